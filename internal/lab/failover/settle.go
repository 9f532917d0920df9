package failover

import (
	"sort"
	"strings"

	"deploy/internal/lab/machine"
	"deploy/internal/lab/model"
)

// Settle brings every cluster in line with what has happened to its machines since the last time:
// one that lost power or whose Cluster service stopped leaves and its groups fail over; one that
// came back joins; a cluster that lost its majority stops everywhere, and one that has it again
// starts. Every request of this family and every hook calls it; the front may as well.
func (f *Family) Settle(c *machine.Ctx) {
	for _, cl := range clusters(c.W) {
		f.settle(c, cl)
	}
	for _, m := range c.W.Machines {
		// a machine without a cluster cannot keep the service running
		if s := service(m); s != nil && s.State != svcStopped && clusterOf(c.W, m) == nil {
			s.State = svcStopped
		}
	}
}

// wait lets time pass, in which others may work: afterwards the cluster has settled again, or is
// gone or stopped (1753).
func (f *Family) wait(c *machine.Ctx, cl *model.Cluster) error {
	c.Sleep(pause)
	f.Settle(c)
	if c.W.Clusters[strings.ToLower(cl.Name)] != cl || len(upNodes(cl)) == 0 {
		return NoEndpoint
	}
	return nil
}

// willing says that a member's machine runs and its service is started or starting.
func willing(w *model.World, n *model.ClusterNode) bool {
	m := w.Machine(n.Name)
	if m == nil || !m.Powered || clusterOf(w, m) == nil {
		return false
	}
	s := service(m)
	return s != nil && (s.State == svcRunning || s.State == svcPending)
}

func (f *Family) settle(c *machine.Ctx, cl *model.Cluster) {
	lost := false
	for _, n := range cl.Nodes {
		if n.State != 1 && !willing(c.W, n) {
			lost = true
			f.leave(c, cl, n)
		}
	}
	up := upNodes(cl)
	if lost && !quorate(c.W, cl, up) {
		f.halt(c, cl)
		return
	}
	if lost {
		rebalance(c.W, cl)
		f.failover(c, cl)
	}
	f.rejoin(c, cl)
	if len(upNodes(cl)) > 0 {
		f.refreshNetworks(c, cl)
	}
}

// rejoin lets members that are willing into the running cluster, or forms it when they have the
// majority. A node that waits for the others is joining and its service stays in start pending.
// UNCONFIRMED: what state the service shows while it waits.
func (f *Family) rejoin(c *machine.Ctx, cl *model.Cluster) {
	var coming []*model.ClusterNode
	for _, n := range cl.Nodes {
		if (n.State == 1 || n.State == 3) && willing(c.W, n) {
			coming = append(coming, n)
		}
	}
	if len(coming) == 0 {
		return
	}
	running := len(upNodes(cl)) > 0
	if !running && !quorate(c.W, cl, coming) {
		for _, n := range coming {
			n.State = 3
			service(c.W.Machine(n.Name)).State = svcPending
		}
		return
	}
	for _, n := range coming {
		n.State = 0
		service(c.W.Machine(n.Name)).State = svcRunning
	}
	rebalance(c.W, cl)
	f.refreshNetworks(c, cl)
	if !running {
		f.startGroups(c, cl)
		return
	}
	f.retryFailed(c, cl)
	f.failback(c, cl)
}

// halt stops the cluster on every node: there is no majority. The service ends there, and the
// service control manager starts it again, as ClusSvc's recovery actions have it: it then waits for
// the others, as in rejoin. UNCONFIRMED: how soon.
func (f *Family) halt(c *machine.Ctx, cl *model.Cluster) {
	for _, n := range cl.Nodes {
		if n.State == 1 {
			continue
		}
		f.leave(c, cl, n)
		if m := c.W.Machine(n.Name); m != nil && m.Powered {
			if s := service(m); s != nil && s.State != svcStopped {
				n.State, s.State = 3, svcPending
			}
		}
	}
	for _, r := range cl.Resources {
		r.State = stateOffline
	}
	for _, n := range cl.Networks {
		n.State = 0
	}
}

// leave takes a node out of the running cluster: where its machine still runs its resources go
// offline in order, else they are gone.
func (f *Family) leave(c *machine.Ctx, cl *model.Cluster, n *model.ClusterNode) {
	if m := c.W.Machine(n.Name); m != nil && m.Powered {
		for _, g := range cl.Groups {
			if strings.EqualFold(g.Owner, n.Name) {
				f.takeDown(c, cl, g)
			}
		}
	} else {
		f.dropReservations(c, cl, n)
	}
	n.State = 1
}

// dropReservations lets go of what a node held: its disks' reservations and its addresses. The node
// is gone or going, so no resource's Offline is called.
func (f *Family) dropReservations(c *machine.Ctx, cl *model.Cluster, n *model.ClusterNode) {
	for _, g := range cl.Groups {
		if !strings.EqualFold(g.Owner, n.Name) {
			continue
		}
		for _, r := range Resources(cl, g.Name) {
			if r.State == stateOffline || r.State == stateFailed {
				continue
			}
			switch r.Type {
			case typeDisk:
				releaseDisk(c.W, cl, r, c.W.Machine(n.Name))
			case typeIP:
				removeAddress(c.W.Machine(n.Name), r)
			}
			r.State = stateOffline
		}
	}
}

// failover moves the groups of nodes that are down to the best node that is up.
func (f *Family) failover(c *machine.Ctx, cl *model.Cluster) {
	for _, g := range ordered(cl) {
		if n := nodeOf(cl, g.Owner); n != nil && isUp(n) {
			continue
		}
		f.place(c, cl, g)
	}
}

// startGroups brings a cluster up that has just formed.
func (f *Family) startGroups(c *machine.Ctx, cl *model.Cluster) {
	for _, g := range ordered(cl) {
		if n := nodeOf(cl, g.Owner); n != nil && isUp(n) {
			f.restore(c, cl, g)
			continue
		}
		f.place(c, cl, g)
	}
}

// ordered puts the core group first: others may need the cluster's name.
func ordered(cl *model.Cluster) []*model.ClusterGroup {
	out := append([]*model.ClusterGroup(nil), cl.Groups...)
	sort.SliceStable(out, func(i, j int) bool { return out[i].Type < out[j].Type && out[i].Type < 9999 })
	return out
}

// place gives a group to the first candidate on which everything that is wanted comes online, else
// to the first of all.
func (f *Family) place(c *machine.Ctx, cl *model.Cluster, g *model.ClusterGroup) {
	list := f.candidates(c, cl, g, "")
	for _, n := range list {
		g.Owner = n.Name
		if f.restore(c, cl, g) == nil {
			return
		}
		f.takeDown(c, cl, g)
	}
	if len(list) > 0 {
		g.Owner = list[0].Name
		_ = f.restore(c, cl, g) // leaves the failed resources failed
		return
	}
	for _, n := range upNodes(cl) { // nobody may have it: it stays with a node that is up, offline
		g.Owner = n.Name
		return
	}
}

// candidates lists the nodes that may own a group, best first: preferred owners in their order,
// then the others by number. Nodes that are paused or cannot host one of the resources are left
// out, as is the node named not.
func (f *Family) candidates(c *machine.Ctx, cl *model.Cluster, g *model.ClusterGroup, not string) []*model.ClusterNode {
	var out []*model.ClusterNode
	add := func(n *model.ClusterNode) {
		if n == nil || n.State != 0 || strings.EqualFold(n.Name, not) {
			return
		}
		for _, r := range Resources(cl, g.Name) {
			if len(r.Owners) > 0 && !containsFold(r.Owners, n.Name) {
				return
			}
		}
		for _, x := range out {
			if x == n {
				return
			}
		}
		out = append(out, n)
	}
	for _, name := range g.PreferredOwners {
		add(nodeOf(cl, name))
	}
	for _, n := range cl.Nodes {
		add(n)
	}
	return out
}

// restore brings online what was online when somebody last decided, and says what did not come.
func (f *Family) restore(c *machine.Ctx, cl *model.Cluster, g *model.ClusterGroup) error {
	var first error
	for _, r := range Resources(cl, g.Name) {
		if !r.Wanted {
			continue
		}
		if err := f.bring(c, cl, r); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// takeDown takes a group's resources offline and remembers what is wanted.
func (f *Family) takeDown(c *machine.Ctx, cl *model.Cluster, g *model.ClusterGroup) {
	for _, r := range Resources(cl, g.Name) {
		f.drop(c, cl, r)
	}
}

// retryFailed tries wanted resources that are not online again when a node has joined: the new node
// may see what the others do not.
func (f *Family) retryFailed(c *machine.Ctx, cl *model.Cluster) {
	for _, g := range ordered(cl) {
		for _, r := range Resources(cl, g.Name) {
			if r.Wanted && r.State != stateOnline {
				f.takeDown(c, cl, g)
				f.place(c, cl, g)
				break
			}
		}
	}
}

// failback moves groups with AutoFailbackType 1 to their most preferred owner. The failback window
// is not watched.
func (f *Family) failback(c *machine.Ctx, cl *model.Cluster) {
	for _, g := range cl.Groups {
		if n, _ := g.Properties["AutoFailbackType"].(int64); n != 1 || len(g.PreferredOwners) == 0 {
			continue
		}
		want := nodeOf(cl, g.PreferredOwners[0])
		if want == nil || want.State != 0 || strings.EqualFold(want.Name, g.Owner) {
			continue
		}
		_ = f.MoveGroup(c, cl, g, want.Name) // a group that cannot go back stays
	}
}
