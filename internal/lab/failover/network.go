package failover

import (
	"fmt"
	"net/netip"
	"strings"

	"deploy/internal/lab/machine"
	"deploy/internal/lab/model"
	"deploy/internal/node"
)

// card is one adapter of one member on one network: an interface of the cluster.
type card struct {
	machine *model.Machine
	node    *model.ClusterNode
	adapter *model.Adapter
	address string // without the mask
	network *model.ClusterNetwork
}

// name of a network interface: node and adapter name.
func (i card) name() string { return i.machine.Name + " - " + i.adapter.Name }

// subnet splits a CIDR address into address, network address and mask; ok is false for what is no
// usable IPv4 address.
func subnet(cidr string) (addr, net, mask string, ok bool) {
	p, err := netip.ParsePrefix(cidr)
	if err != nil || !p.Addr().Is4() || p.Addr().IsLinkLocalUnicast() || p.Bits() == 0 || p.Bits() == 32 {
		return "", "", "", false
	}
	return p.Addr().String(), p.Masked().Addr().String(), maskOf(p.Bits()), true
}

func maskOf(bits int) string {
	m := ^uint32(0) << (32 - bits)
	return fmt.Sprintf("%d.%d.%d.%d", m>>24, m>>16&255, m>>8&255, m&255)
}

// prefixOf makes a prefix of an address and a dotted mask.
func prefixOf(addr, mask string) (netip.Prefix, bool) {
	a, err := netip.ParseAddr(addr)
	m, err2 := netip.ParseAddr(mask)
	if err != nil || err2 != nil || !a.Is4() || !m.Is4() {
		return netip.Prefix{}, false
	}
	b := m.As4()
	v := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	bits := 0
	for v&(1<<31) != 0 {
		bits++
		v <<= 1
	}
	return netip.PrefixFrom(a, bits), v == 0
}

// cards lists the interfaces of the members, one for each adapter that has an address on a network:
// the first one. An adapter on a network on which its node has another one already is not used by
// the cluster.
func cards(w *model.World, cl *model.Cluster) []card {
	var out []card
	for _, n := range cl.Nodes {
		m := w.Machine(n.Name)
		if m == nil {
			continue
		}
		used := map[string]bool{}
		for _, a := range m.Adapters {
			for _, cidr := range a.Addresses {
				addr, net, mask, ok := subnet(cidr)
				if !ok || used[net+mask] || clusterAddress(cl, m, addr) {
					continue
				}
				used[net+mask] = true
				i := card{machine: m, node: n, adapter: a, address: addr}
				for _, x := range cl.Networks {
					if x.Address == net && x.Mask == mask {
						i.network = x
					}
				}
				out = append(out, i)
			}
		}
	}
	return out
}

// clusterAddress says that an address of m belongs to a resource and not to the machine.
func clusterAddress(cl *model.Cluster, m *model.Machine, addr string) bool {
	for _, r := range cl.Resources {
		if r.Type == typeIP && r.Private["Address"] == addr {
			return true
		}
	}
	return false
}

// refreshNetworks finds the networks that the members' adapters make, keeps those that it knows,
// and sets their states. A new one is named in the language of the machine on which the request
// runs.
func (f *Family) refreshNetworks(c *machine.Ctx, cl *model.Cluster) {
	rel := releaseOf(c.W, cl)
	for _, i := range cards(c.W, cl) {
		if i.network != nil {
			continue
		}
		_, net, mask, _ := subnet(i.address + "/" + itoa(bitsFor(i.adapter, i.address)))
		if networkAt(cl, net, mask) != nil {
			continue
		}
		n := &model.ClusterNetwork{ID: guid(c.W), Address: net, Mask: mask, Role: newRole(cl, rel, i.adapter)}
		n.Name = f.networkName(c, cl, rel, i.adapter)
		cl.Networks = append(cl.Networks, n)
	}
	seen := map[*model.ClusterNetwork][]card{}
	for _, i := range cards(c.W, cl) {
		if i.network != nil {
			seen[i.network] = append(seen[i.network], i)
		}
	}
	var keep []*model.ClusterNetwork
	for _, n := range cl.Networks {
		if len(seen[n]) == 0 && !networkUsed(cl, n) {
			continue
		}
		n.State = networkState(seen[n])
		keep = append(keep, n)
	}
	cl.Networks = keep
	autoMetric(cl, rel)
}

func bitsFor(a *model.Adapter, addr string) int {
	for _, cidr := range a.Addresses {
		if p, err := netip.ParsePrefix(cidr); err == nil && p.Addr().String() == addr {
			return p.Bits()
		}
	}
	return 0
}

func networkAt(cl *model.Cluster, net, mask string) *model.ClusterNetwork {
	for _, n := range cl.Networks {
		if n.Address == net && n.Mask == mask {
			return n
		}
	}
	return nil
}

// newRole is the role of a network that was just found. From 2008 a network with a default gateway
// carries clients as well, one without only the cluster's own traffic (UNCONFIRMED: the documents
// only give DefaultNetworkRole 3, which 2003 uses).
func newRole(cl *model.Cluster, rel node.Release, a *model.Adapter) int {
	if n, ok := cl.Properties["DefaultNetworkRole"].(int64); ok {
		return int(n)
	}
	if rel == node.WS2003 || len(a.Gateways) > 0 {
		return 3
	}
	return 1
}

// networkName: 2003 takes the connection's name (UNCONFIRMED), later ones number them in their own
// language.
func (f *Family) networkName(c *machine.Ctx, cl *model.Cluster, rel node.Release, a *model.Adapter) string {
	if rel == node.WS2003 && Network(cl, a.Name) == nil {
		return a.Name
	}
	return freeName(lang(c.M.Locale).network, func(s string) bool { return Network(cl, s) != nil })
}

// freeName fills the first number into a name that nobody has.
func freeName(format string, taken func(string) bool) string {
	for n := 1; ; n++ {
		if name := numbered(format, n); !taken(name) {
			return name
		}
	}
}

func networkUsed(cl *model.Cluster, n *model.ClusterNetwork) bool {
	for _, r := range cl.Resources {
		if r.Type == typeIP {
			if x, _ := r.Private["Network"].(string); strings.EqualFold(x, n.Name) {
				return true
			}
		}
	}
	return false
}

// networkState: 0 unavailable (no member up on it), 1 down, 2 partitioned, 3 up.
func networkState(list []card) int {
	up, all := 0, 0
	for _, i := range list {
		if !isUp(i.node) {
			continue
		}
		all++
		if !i.adapter.LinkDown {
			up++
		}
	}
	switch {
	case all == 0:
		return 0
	case up == 0:
		return 1
	case up < all:
		return 2
	}
	return 3
}

// interfaceState: 0 unavailable 1 failed 2 unreachable 3 up.
func interfaceState(i card) int {
	switch {
	case !isUp(i.node):
		return 0
	case i.adapter.LinkDown:
		return 1
	}
	return 3
}

// autoMetric numbers the networks from 2008 R2 on: internal ones first. UNCONFIRMED numbers.
func autoMetric(cl *model.Cluster, rel node.Release) {
	if !rel.AtLeast(node.WS2008R2) {
		return
	}
	internal, client := 1000, 10000
	for _, n := range cl.Networks {
		if n.FixedMetric {
			continue
		}
		if n.Role == 3 {
			n.Metric, client = client, client+100
		} else {
			n.Metric, internal = internal, internal+100
		}
	}
}

// RenameNetwork gives a network another name. IP Address resources follow.
func RenameNetwork(cl *model.Cluster, n *model.ClusterNetwork, name string) error {
	if name == "" {
		return InvalidParameter
	}
	if o := Network(cl, name); o != nil && o != n {
		return NetworkExists
	}
	for _, r := range cl.Resources {
		if x, _ := r.Private["Network"].(string); r.Type == typeIP && strings.EqualFold(x, n.Name) {
			r.Private["Network"] = name
		}
	}
	n.Name = name
	return nil
}

// SetNetworkRole sets 0 (not used), 1 (internal) or 3 (both); 2 (clients only) exists on 2003 only.
// It is refused with 5067 while an IP Address resource uses a network that clients would lose, and
// with 5066 for the last network that carries the nodes' own traffic. Source: networks-role of the
// MsCS property pages.
func SetNetworkRole(w *model.World, cl *model.Cluster, n *model.ClusterNetwork, role int) error {
	if role < 0 || role > 3 || (role == 2 && releaseOf(w, cl) != node.WS2003) {
		return InvalidParameter
	}
	if (role == 0 || role == 1) && networkUsed(cl, n) {
		return NetworkHasDependents
	}
	if role&1 == 0 && n.Role&1 == 1 {
		internal := 0
		for _, x := range cl.Networks {
			if x.Role&1 == 1 {
				internal++
			}
		}
		if internal == 1 {
			return LastInternalNetwork
		}
	}
	n.Role = role
	autoMetric(cl, releaseOf(w, cl))
	return nil
}

// priorities lists the internal networks, most wanted first (2003). Those that were never put in
// order follow as they were found.
func priorities(cl *model.Cluster) []*model.ClusterNetwork {
	var out []*model.ClusterNetwork
	add := func(n *model.ClusterNetwork) {
		if n == nil || n.Role&1 == 0 {
			return
		}
		for _, x := range out {
			if x == n {
				return
			}
		}
		out = append(out, n)
	}
	for _, id := range cl.Priority {
		add(Network(cl, id))
	}
	for _, n := range cl.Networks {
		add(n)
	}
	return out
}

// setPriorities takes all internal networks in the new order; one that is missing or not internal
// is refused.
func setPriorities(cl *model.Cluster, names []string) error {
	var ids []string
	for _, name := range names {
		n := Network(cl, name)
		if n == nil {
			return NetworkNotFound
		}
		if n.Role&1 == 0 || containsFold(ids, n.ID) {
			return InvalidParameter
		}
		ids = append(ids, n.ID)
	}
	if len(ids) != len(priorities(cl)) {
		return InvalidParameter
	}
	cl.Priority = ids
	return nil
}

// networkName is the name of the interface's network, "" before it was found.
func (i card) networkName() string {
	if i.network == nil {
		return ""
	}
	return i.network.Name
}
