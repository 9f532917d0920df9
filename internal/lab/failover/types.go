package failover

import (
	"net/netip"
	"slices"
	"strings"

	"deploy/internal/lab/machine"
	"deploy/internal/lab/model"
	"deploy/internal/node"
)

// Names of resource types. They are not translated; only display names are.
const (
	typeDisk  = "Physical Disk"
	typeIP    = "IP Address"
	typeName  = "Network Name"
	typeShare = "File Share Witness"
	typeMNS   = "Majority Node Set"
)

// builtin are the types of the system that the lab plays. The system has more (DHCP, WINS, print,
// virtual machines ...): these are not there, so that nobody relies on them.
func (f *Family) builtin() []Type {
	noop := func(*machine.Ctx, *model.ClusterResource) error { return nil }
	return []Type{
		{Name: typeDisk, Class: 1, Quorum: true, Online: diskOnline, Offline: diskOffline},
		{Name: typeIP, Class: 2, Online: addressOnline, Offline: addressOffline},
		{Name: typeName, Class: 2, Needs: []string{typeIP}, Online: nameOnline, Offline: noop},
		{Name: typeShare, Display: "File Share Quorum Witness", Since: node.WS2008, Quorum: true, Online: shareOnline,
			Offline: noop},
		{Name: typeMNS, Until: node.WS2003, Quorum: true},
		{Name: "File Share", Until: node.WS2003, Online: needs("ShareName", "Path")},
		{Name: "Generic Application", Online: needs("CommandLine"), Offline: noop},
		{Name: "Generic Script", DLL: "GenScript.dll", Online: needs("ScriptFilepath"), Offline: noop},
		{Name: "Generic Service", Online: serviceOnline, Offline: serviceOffline},
		{Name: "Distributed Transaction Coordinator", DLL: "mtxclu.dll", Needs: []string{typeDisk, typeName}, Online: noop,
			Offline: noop},
	}
}

// registerBuiltin makes the system's types known to a new cluster.
func (f *Family) registerBuiltin(cl *model.Cluster, rel node.Release) {
	for _, t := range f.builtin() {
		if (t.Since == "" || rel.AtLeast(t.Since)) && (t.Until == "" || t.Until.AtLeast(rel)) {
			RegisterType(cl, t)
		}
	}
}

// needs makes an Online that checks that private properties are set.
func needs(props ...string) func(*machine.Ctx, *model.ClusterResource) error {
	return func(_ *machine.Ctx, r *model.ClusterResource) error {
		for _, p := range props {
			if s, _ := r.Private[p].(string); s == "" {
				return InvalidParameter
			}
		}
		return nil
	}
}

// addressOnline puts the address on the owner's adapter of its network. It is one of the adapter's
// addresses then, as ipconfig and WMI show it.
func addressOnline(c *machine.Ctx, r *model.ClusterResource) error {
	addr, _ := r.Private["Address"].(string)
	mask, _ := r.Private["SubnetMask"].(string)
	p, ok := prefixOf(addr, mask)
	if !ok {
		return InvalidParameter
	}
	cl := clusterOf(c.W, c.M)
	if cl == nil {
		return InvalidState
	}
	if name, _ := r.Private["Network"].(string); name != "" {
		n := Network(cl, name)
		if n == nil {
			return NetworkNotFound
		}
		if n.Address != p.Masked().Addr().String() {
			return NoNetworkForAddress
		}
	}
	a := adapterFor(c.M, p)
	if a == nil || a.LinkDown {
		return NoNetworkForAddress
	}
	if inUse(c.W, cl, r, addr) {
		return AddressInUse
	}
	a.Addresses = append(a.Addresses, p.String())
	return nil
}

// adapterFor returns the machine's adapter that is on the network of an address.
func adapterFor(m *model.Machine, p netip.Prefix) *model.Adapter {
	for _, a := range m.Adapters {
		for _, cidr := range a.Addresses {
			if q, err := netip.ParsePrefix(cidr); err == nil && q.Bits() == p.Bits() && q.Masked() == p.Masked() {
				return a
			}
		}
	}
	return nil
}

// inUse says that somebody else has an address: a machine that runs, or another resource.
func inUse(w *model.World, cl *model.Cluster, r *model.ClusterResource, addr string) bool {
	for _, m := range w.Machines {
		if !m.Powered {
			continue
		}
		for _, a := range m.Adapters {
			for _, cidr := range a.Addresses {
				if q, err := netip.ParsePrefix(cidr); err == nil && q.Addr().String() == addr {
					return true
				}
			}
		}
	}
	for _, x := range cl.Resources {
		if x != r && x.Type == typeIP && x.State == stateOnline && x.Private["Address"] == addr {
			return true
		}
	}
	return false
}

func addressOffline(c *machine.Ctx, r *model.ClusterResource) error {
	removeAddress(c.M, r)
	return nil
}

// removeAddress takes the address of a resource off a machine's adapters.
func removeAddress(m *model.Machine, r *model.ClusterResource) {
	addr, _ := r.Private["Address"].(string)
	if m == nil || addr == "" {
		return
	}
	for _, a := range m.Adapters {
		a.Addresses = slices.DeleteFunc(a.Addresses, func(cidr string) bool {
			q, err := netip.ParsePrefix(cidr)
			return err == nil && q.Addr().String() == addr
		})
	}
}

// nameOnline registers the name. 52 when a machine or another resource has it.
func nameOnline(c *machine.Ctx, r *model.ClusterResource) error {
	name := netName(r)
	if name == "" {
		return InvalidParameter
	}
	cl := clusterOf(c.W, c.M)
	if c.W.Machine(name) != nil {
		return DuplicateName
	}
	for _, other := range clusters(c.W) {
		for _, x := range other.Resources {
			if x != r && x.Type == typeName && x.State == stateOnline && strings.EqualFold(netName(x), name) {
				return DuplicateName
			}
		}
	}
	kerberos := c.M.Release.AtLeast(node.WS2008)
	if n, ok := r.Private["RequireKerberos"].(int64); ok && n == 1 {
		kerberos = true
	}
	register(c.W, cl, r, kerberos)
	return nil
}

func shareOnline(c *machine.Ctx, r *model.ClusterResource) error {
	path, _ := r.Private["SharePath"].(string)
	if path == "" {
		return InvalidParameter
	}
	if !shareHost(c.W, path) {
		return BadNetPath
	}
	return nil
}

func serviceOnline(c *machine.Ctx, r *model.ClusterResource) error {
	s := namedService(c, r)
	if s == nil {
		return NoSuchService
	}
	s.State = svcRunning
	return nil
}

func serviceOffline(c *machine.Ctx, r *model.ClusterResource) error {
	if s := namedService(c, r); s != nil {
		s.State = svcStopped
	}
	return nil
}

func namedService(c *machine.Ctx, r *model.ClusterResource) *model.Service {
	name, _ := r.Private["ServiceName"].(string)
	for _, s := range c.M.Services {
		if strings.EqualFold(s.Name, name) {
			return s
		}
	}
	return nil
}
