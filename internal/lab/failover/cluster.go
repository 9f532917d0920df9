package failover

import (
	"sort"
	"strings"

	"deploy/internal/lab/machine"
	"deploy/internal/lab/model"
	"deploy/internal/node"
)

// FindCluster returns the cluster that answers on c's machine: the machine is a member and its
// Cluster service is up in it. nil otherwise.
func FindCluster(c *machine.Ctx) *model.Cluster {
	cl := clusterOf(c.W, c.M)
	if cl == nil {
		return nil
	}
	if n := nodeOf(cl, c.M.Name); n == nil || !isUp(n) {
		return nil
	}
	return cl
}

// clusterOf returns the cluster that has m among its nodes and in which m believes, running or not.
func clusterOf(w *model.World, m *model.Machine) *model.Cluster {
	for _, cl := range clusters(w) {
		if cl.ID == memberOf(m) && nodeOf(cl, m.Name) != nil {
			return cl
		}
	}
	return nil
}

// clusters lists the clusters in a fixed order.
func clusters(w *model.World) []*model.Cluster {
	names := make([]string, 0, len(w.Clusters))
	for n := range w.Clusters {
		names = append(names, n)
	}
	sort.Strings(names)
	out := make([]*model.Cluster, 0, len(names))
	for _, n := range names {
		out = append(out, w.Clusters[n])
	}
	return out
}

// isUp says that a node takes part in the cluster (a paused one does).
func isUp(n *model.ClusterNode) bool { return n.State == 0 || n.State == 2 }

func short(name string) string {
	name, _, _ = strings.Cut(name, ".")
	return name
}

func nodeOf(cl *model.Cluster, name string) *model.ClusterNode {
	for _, n := range cl.Nodes {
		if strings.EqualFold(n.Name, short(name)) {
			return n
		}
	}
	return nil
}

// Node returns a member by name or by its number as text. It returns nil for one that is not there.
func Node(cl *model.Cluster, name string) *model.ClusterNode {
	if n := nodeOf(cl, name); n != nil {
		return n
	}
	for _, n := range cl.Nodes {
		if itoa(n.ID) == name {
			return n
		}
	}
	return nil
}

// Group returns a group by name or id, or nil.
func Group(cl *model.Cluster, name string) *model.ClusterGroup {
	for _, g := range cl.Groups {
		if strings.EqualFold(g.Name, name) || strings.EqualFold(g.ID, trimBraces(name)) {
			return g
		}
	}
	return nil
}

// Resource returns a resource by name or id, or nil.
func Resource(cl *model.Cluster, name string) *model.ClusterResource {
	for _, r := range cl.Resources {
		if strings.EqualFold(r.Name, name) || strings.EqualFold(r.ID, trimBraces(name)) {
			return r
		}
	}
	return nil
}

// Network returns a network by name or id, or nil.
func Network(cl *model.Cluster, name string) *model.ClusterNetwork {
	for _, n := range cl.Networks {
		if strings.EqualFold(n.Name, name) || strings.EqualFold(n.ID, trimBraces(name)) {
			return n
		}
	}
	return nil
}

// ResourceType returns a registered type by name, or nil.
func ResourceType(cl *model.Cluster, name string) *model.ResourceType {
	for _, t := range cl.Types {
		if strings.EqualFold(t.Name, name) {
			return t
		}
	}
	return nil
}

func trimBraces(s string) string { return strings.Trim(s, "{}") }

// Resources lists the resources of a group in the order in which they were made.
func Resources(cl *model.Cluster, group string) []*model.ClusterResource {
	var out []*model.ClusterResource
	for _, r := range cl.Resources {
		if strings.EqualFold(r.Group, group) {
			out = append(out, r)
		}
	}
	return out
}

// OwnerOf returns the machine that owns a resource's group, or nil while no node does.
func OwnerOf(c *machine.Ctx, cl *model.Cluster, res *model.ClusterResource) *model.Machine {
	g := Group(cl, res.Group)
	if g == nil || g.Owner == "" {
		return nil
	}
	return c.W.Machine(g.Owner)
}

// GroupState is the state of a group, which its resources make: 0 online 1 offline 2 failed 3
// partially online 4 pending. UNCONFIRMED: an empty group is what it was last asked to be.
func GroupState(cl *model.Cluster, g *model.ClusterGroup) int {
	online, other := 0, 0
	for _, r := range Resources(cl, g.Name) {
		switch r.State {
		case stateOnline:
			online++
		case stateOnlinePending, stateOfflinePending:
			return 4
		case stateFailed:
			return 2
		default:
			other++
		}
	}
	switch {
	case online == 0 && other == 0:
		if g.Persistent {
			return 0
		}
		return 1
	case other == 0:
		return 0
	case online == 0:
		return 1
	}
	return 3
}

// coreGroup returns the group that holds the cluster's own name, or nil while a cluster is being
// made.
func coreGroup(cl *model.Cluster) *model.ClusterGroup {
	for _, g := range cl.Groups {
		if g.Type == 1 {
			return g
		}
	}
	return nil
}

// storageGroup returns the group of disks that no application has; 2003 has none and uses the core
// group.
func storageGroup(cl *model.Cluster) *model.ClusterGroup {
	for _, g := range cl.Groups {
		if g.Type == 2 {
			return g
		}
	}
	return coreGroup(cl)
}

// releaseOf is the oldest release among the members: it bounds what the cluster can do.
func releaseOf(w *model.World, cl *model.Cluster) node.Release {
	oldest := node.Release("")
	for _, n := range cl.Nodes {
		m := w.Machine(n.Name)
		if m == nil {
			continue
		}
		if oldest == "" || !m.Release.AtLeast(oldest) {
			oldest = m.Release
		}
	}
	return oldest
}

// upNodes lists the members that are up, by number.
func upNodes(cl *model.Cluster) []*model.ClusterNode {
	var out []*model.ClusterNode
	for _, n := range cl.Nodes {
		if isUp(n) {
			out = append(out, n)
		}
	}
	return out
}

func containsFold(list []string, s string) bool {
	for _, x := range list {
		if strings.EqualFold(x, s) {
			return true
		}
	}
	return false
}
