package failover

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"deploy/internal/lab/machine"
	"deploy/internal/lab/model"
	"deploy/internal/node"
)

// object is something with properties. private chooses between the two sets.
type object struct {
	kind string // cluster, node, group, resource, restype, network, netinterface
	name string // as shown
	cl   *model.Cluster

	node     *model.ClusterNode
	group    *model.ClusterGroup
	resource *model.ClusterResource
	network  *model.ClusterNetwork
	restype  *model.ResourceType
	card     *card
}

// table lists the properties that an object has on a release.
func (f *Family) table(o object, rel node.Release, private bool) []Property {
	if !private {
		return propertiesOf(o.kind, rel)
	}
	switch o.kind {
	case "resource":
		if t, ok := f.types[strings.ToLower(o.resource.Type)]; ok && t.Private != nil {
			return slices.DeleteFunc(slices.Clone(t.Private),
				func(p Property) bool { return !rel.AtLeast(p.Since) && p.Since != "" })
		}
		return propertiesOf(o.resource.Type, rel)
	case "restype":
		return propertiesOf("restype/"+o.restype.Name, rel)
	}
	return propertiesOf(o.kind+"/private", rel)
}

func (f *Family) property(o object, rel node.Release, name string, private bool) (Property, bool) {
	for _, p := range f.table(o, rel, private) {
		if strings.EqualFold(p.Name, name) {
			return p, true
		}
	}
	return Property{}, false
}

// stored returns where an object keeps what was set.
func (o object) stored(private bool) *model.Props {
	switch {
	case o.kind == "cluster" && private:
		return &o.cl.Private
	case o.kind == "cluster":
		return &o.cl.Properties
	case o.kind == "resource" && private:
		return &o.resource.Private
	case o.kind == "resource":
		return &o.resource.Properties
	case o.kind == "group":
		return &o.group.Properties
	case o.kind == "node":
		return &o.node.Props
	case o.kind == "network":
		return &o.network.Props
	case o.kind == "restype" && private:
		return &o.restype.Private
	case o.kind == "restype":
		return &o.restype.Properties
	}
	return &model.Props{}
}

// value reads one property: what the model computes, what was set, or the default.
func (f *Family) value(w *model.World, o object, p Property, private bool) any {
	if v, ok := f.computed(w, o, p.Name, private); ok {
		return v
	}
	if v, ok := (*o.stored(private))[p.Name]; ok {
		return v
	}
	switch p.Type {
	case "dword", "ularge":
		_, _, def := p.limits(releaseOf(w, o.cl))
		return def
	case "multistr":
		return []any{}
	case "binary":
		return []byte{}
	}
	return ""
}

// computed reads the properties that follow from the model.
func (f *Family) computed(w *model.World, o object, name string, private bool) (any, bool) {
	switch {
	case o.kind == "network":
		n := o.network
		switch name {
		case "Name":
			return n.Name, true
		case "Address":
			return n.Address, true
		case "AddressMask":
			return n.Mask, true
		case "IPv4Addresses":
			return []any{n.Address}, true
		case "IPv4PrefixLengths":
			p, _ := prefixOf(n.Address, n.Mask)
			return []any{itoa(p.Bits())}, true
		case "Role":
			return int64(n.Role), true
		case "Metric":
			return int64(n.Metric), true
		case "AutoMetric":
			return truth(!n.FixedMetric), true
		}
	case o.kind == "group":
		g := o.group
		switch name {
		case "Name":
			return g.Name, true
		case "GroupType":
			return int64(g.Type), true
		case "PersistentState":
			return truth(g.Persistent), true
		}
	case o.kind == "node":
		return nodeValue(w, o.node, name)
	case o.kind == "netinterface":
		i := o.card
		switch name {
		case "Name":
			return i.name(), true
		case "Node":
			return i.machine.Name, true
		case "Network":
			return i.networkName(), true
		case "Address":
			return i.address, true
		case "Adapter":
			return i.adapter.Desc, true
		case "AdapterId":
			return trimBraces(i.adapter.GUID), true
		case "DhcpEnabled":
			return truth(i.adapter.DHCP), true
		case "IPv4Addresses":
			return []any{i.address}, true
		}
	case o.kind == "restype":
		switch name {
		case "Name":
			return o.restype.Name, true
		case "DllName":
			return o.restype.DLL, true
		}
	case o.kind == "resource" && !private:
		r := o.resource
		switch name {
		case "Name":
			return r.Name, true
		case "Type":
			return r.Type, true
		case "PersistentState":
			return truth(r.Wanted), true
		case "SeparateMonitor":
			return truth(r.Separate), true
		}
	case o.kind == "cluster" && !private && name == "WitnessDynamicWeight":
		sum := 0
		for _, n := range o.cl.Nodes {
			sum += n.Dynamic
		}
		return int64(witnessVote(w, o.cl, sum)), true
	case o.kind == "resource" && private:
		switch r := o.resource; {
		case name == "StatusNetBIOS" || name == "StatusDNS" || name == "StatusKerberos":
			return truth(false), r.State == stateOnline
		case name == "DnsName" && r.Type == typeName:
			if _, set := r.Private["DnsName"]; !set {
				return strings.ToLower(netName(r)), true
			}
		}
	}
	return nil, false
}

func nodeValue(w *model.World, n *model.ClusterNode, name string) (any, bool) {
	m := w.Machine(n.Name)
	switch name {
	case "NodeName":
		return n.Name, true
	case "NodeWeight":
		return int64(n.Vote), true
	case "DynamicWeight":
		return int64(n.Dynamic), true
	}
	if m == nil {
		return nil, false
	}
	major, minor, _ := strings.Cut(m.Version, ".")
	minor, _, _ = strings.Cut(minor, ".")
	switch name {
	case "MajorVersion":
		return atoi(major), true
	case "MinorVersion":
		return atoi(minor), true
	case "BuildNumber":
		return int64(m.Build), true
	case "CSDVersion":
		if m.SP > 0 {
			return "Service Pack " + itoa(m.SP), true
		}
		return "", true
	}
	return nil, false
}

// SetResourceProperty sets one private property of a resource for a family that writes its own; the
// value is an int64, a string or []any of text. It is not checked against the property table.
func SetResourceProperty(r *model.ClusterResource, name string, value any) {
	if r.Private == nil {
		r.Private = model.Props{}
	}
	r.Private[name] = value
}

// setProperty checks and sets one property. value nil restores the default. An unknown name and a
// value out of range are refused with 87, a wrong type with 5895, a read-only one with 5089
// (UNCONFIRMED which codes, except 5895). PropertiesStored (5024) says that a private property is
// stored but takes effect only when the resource comes online again.
func (f *Family) setProperty(c *machine.Ctx, o object, name string, value any, private bool) error {
	rel := releaseOf(c.W, o.cl)
	p, ok := f.property(o, rel, name, private)
	if !ok {
		return InvalidParameter
	}
	if p.Access == "ro" {
		return PropertyReadOnly
	}
	if value == nil {
		if o.kind == "network" && (p.Name == "Role" || p.Name == "Metric") {
			return InvalidParameter
		}
		delete(*o.stored(private), p.Name)
		return f.stored5024(o, private)
	}
	value, err := p.convert(value, rel)
	if err != nil {
		return err
	}
	if handled, err := f.apply(c, o, p, value, private); handled || err != nil {
		return err
	}
	s := o.stored(private)
	if *s == nil {
		*s = model.Props{}
	}
	if old, had := (*s)[p.Name]; had && equalValue(old, value) {
		return nil
	}
	(*s)[p.Name] = value
	return f.stored5024(o, private)
}

// stored5024: a Network Name or IP Address that is online reads its private properties only when it
// comes online.
func (f *Family) stored5024(o object, private bool) error {
	if private && o.kind == "resource" && o.resource.State == stateOnline {
		return PropertiesStored
	}
	return nil
}

func equalValue(a, b any) bool { return fmt.Sprint(a) == fmt.Sprint(b) }

// apply sets the properties that are more than a stored value.
func (f *Family) apply(c *machine.Ctx, o object, p Property, value any, private bool) (bool, error) {
	n, _ := value.(int64)
	text, _ := value.(string)
	switch {
	case o.kind == "network" && p.Name == "Role":
		return true, SetNetworkRole(c.W, o.cl, o.network, int(n))
	case o.kind == "network" && p.Name == "Metric":
		o.network.Metric, o.network.FixedMetric = int(n), true
		return true, nil
	case o.kind == "network" && p.Name == "AutoMetric":
		o.network.FixedMetric = n == 0
		autoMetric(o.cl, releaseOf(c.W, o.cl))
		return true, nil
	case o.kind == "node" && p.Name == "NodeWeight":
		o.node.Vote = int(n)
		rebalance(c.W, o.cl)
		return true, nil
	case o.kind == "group" && p.Name == "PersistentState":
		o.group.Persistent = n != 0
		return true, nil
	case o.kind == "resource" && !private && p.Name == "PersistentState":
		o.resource.Wanted = n != 0
		return true, nil
	case o.kind == "resource" && !private && p.Name == "SeparateMonitor":
		o.resource.Separate = n != 0
		return true, nil
	case o.kind == "resource" && private && o.resource.Type == typeIP && (p.Name == "Address" || p.Name == "SubnetMask"):
		if a, err := netip.ParseAddr(text); err != nil || !a.Is4() {
			return true, InvalidParameter
		}
	case o.kind == "resource" && private && o.resource.Type == typeIP && p.Name == "Network":
		if Network(o.cl, text) == nil {
			return true, NetworkNotFound
		}
	case o.kind == "resource" && private && o.resource.Type == typeShare && p.Name == "SharePath":
		if host, rest, ok := strings.Cut(strings.TrimPrefix(text, `\\`), `\`); !strings.HasPrefix(text, `\\`) || !ok ||
			host == "" || rest == "" {
			return true, InvalidParameter
		}
	}
	return false, nil
}

// convert brings a value to the property's type and checks its range.
func (p Property) convert(value any, rel node.Release) (any, error) {
	switch p.Type {
	case "dword", "ularge":
		var n int64
		switch v := value.(type) {
		case int64:
			n = v
		case bool:
			n = truth(v)
		case string:
			x, err := strconv.ParseInt(strings.TrimSpace(v), 0, 64)
			if err != nil {
				return nil, InvalidParameter
			}
			n = x
		default:
			return nil, PropertyTypeMismatch
		}
		if p.Type == "dword" && n < 0 && n >= -1<<31 {
			n += 1 << 32
		}
		lo, hi, _ := p.limits(rel)
		if n < lo || n > hi {
			return nil, InvalidParameter
		}
		return n, nil
	case "string":
		if s, ok := value.(string); ok {
			return s, nil
		}
		return nil, PropertyTypeMismatch
	case "multistr":
		switch v := value.(type) {
		case []any:
			return v, nil
		case []string:
			return machine.Anys(v), nil
		case string:
			return []any{v}, nil
		}
		return nil, PropertyTypeMismatch
	}
	return nil, NotSupported // the lab keeps no binary properties
}

func truth(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

func itoa(n int) string { return strconv.Itoa(n) }

func atoi(s string) int64 {
	n, _ := strconv.ParseInt(s, 10, 64)
	return n
}
