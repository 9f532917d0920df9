package failover

import (
	"slices"
	"sort"
	"strings"

	"deploy/internal/lab/model"
)

// Flags of userAccountControl for the account of a network name. Source: ADS_USER_FLAG.
const (
	accountOn  = "4096" // workstation trust account
	accountOff = "4098" // the same, disabled
)

func accountDN(f *model.Forest, name string) string {
	return "CN=" + name + ",CN=Computers," + baseDN(f)
}

func baseDN(f *model.Forest) string {
	var parts []string
	for _, p := range strings.Split(f.Domain, ".") {
		parts = append(parts, "DC="+p)
	}
	return strings.Join(parts, ",")
}

// account finds the computer account of a name anywhere in the forest.
func account(f *model.Forest, name string) *model.Object {
	if f == nil {
		return nil
	}
	keys := make([]string, 0, len(f.Objects))
	for k := range f.Objects {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	prefix := "cn=" + strings.ToLower(name) + ","
	for _, k := range keys {
		if o := f.Objects[k]; strings.HasPrefix(k, prefix) && strings.EqualFold(o.Class, "computer") {
			return o
		}
	}
	return nil
}

func enabled(o *model.Object) bool {
	v := o.Attrs["useraccountcontrol"]
	return len(v) == 0 || v[0] != accountOff
}

// register makes or enables the computer account of a network name (from 2008 on; on 2003 only with
// RequireKerberos) and puts its addresses into DNS.
func register(w *model.World, cl *model.Cluster, r *model.ClusterResource, kerberos bool) {
	f := w.Forest
	name := netName(r)
	if f == nil || name == "" {
		return
	}
	if kerberos {
		o := account(f, name)
		if o == nil {
			if f.Objects == nil {
				f.Objects = map[string]*model.Object{}
			}
			dn := accountDN(f, name)
			o = &model.Object{DN: dn, Class: "computer",
				Attrs: map[string][]string{"samaccountname": {strings.ToUpper(name) + "$"},
					"dnshostname": {strings.ToLower(name) + "." + f.Domain},
					"description": {"Failover cluster virtual network name account"}}}
			f.Objects[strings.ToLower(dn)] = o
		}
		if o.Attrs == nil {
			o.Attrs = map[string][]string{}
		}
		o.Attrs["useraccountcontrol"] = []string{accountOn}
	}
	registerDNS(w, cl, r)
}

// registerDNS writes the A records of a network name: the addresses that are online, or all with
// RegisterAllProvidersIP. A zone that takes no dynamic updates stays as it is.
func registerDNS(w *model.World, cl *model.Cluster, r *model.ClusterResource) {
	f := w.Forest
	if f == nil {
		return
	}
	z := zoneOf(f)
	if z == nil || z.DynamicUpdate == 0 {
		return
	}
	all, _ := r.Private["RegisterAllProvidersIP"].(int64)
	ttl, set := r.Private["HostRecordTTL"].(int64)
	if !set {
		ttl = 1200
	}
	name := netName(r)
	dropRecords(z, name)
	for _, p := range providers(cl, r) {
		if p.Type == typeIP && (p.State == stateOnline || all == 1) {
			if addr, _ := p.Private["Address"].(string); addr != "" {
				z.Records = append(z.Records, &model.Record{Name: strings.ToLower(name), Type: "A", Data: addr, TTL: int(ttl)})
			}
		}
	}
}

func zoneOf(f *model.Forest) *model.Zone {
	for k, z := range f.Zones {
		if strings.EqualFold(k, f.Domain) {
			return z
		}
	}
	return nil
}

func dropRecords(z *model.Zone, name string) {
	z.Records = slices.DeleteFunc(z.Records,
		func(x *model.Record) bool { return x.Type == "A" && strings.EqualFold(x.Name, name) })
	if len(z.Records) == 0 {
		z.Records = nil
	}
}

// unregister follows the deletion of a network name: its account is disabled, and deleted only when
// the type's private property DeleteVcoOnResCleanup says so (cc771174); its records go.
// UNCONFIRMED: that the records go.
func unregister(w *model.World, cl *model.Cluster, r *model.ClusterResource) {
	f := w.Forest
	if f == nil {
		return
	}
	if t := ResourceType(cl, typeName); t != nil && t.Private["DeleteVcoOnResCleanup"] == int64(1) && !r.Core {
		deleteAccount(f, netName(r))
	}
	if o := account(f, netName(r)); o != nil && o.Attrs != nil {
		o.Attrs["useraccountcontrol"] = []string{accountOff}
	}
	if z := zoneOf(f); z != nil {
		dropRecords(z, netName(r))
	}
}

// deleteAccount removes the account of a name: what -CleanupAD does.
func deleteAccount(f *model.Forest, name string) {
	if o := account(f, name); o != nil {
		delete(f.Objects, strings.ToLower(o.DN))
	}
}

// netName is the computer name of a Network Name resource.
func netName(r *model.ClusterResource) string {
	s, _ := r.Private["Name"].(string)
	return s
}
