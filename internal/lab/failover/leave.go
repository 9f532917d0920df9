package failover

import (
	"strings"

	"deploy/internal/lab/machine"
	"deploy/internal/lab/model"
)

// Evict takes a node out of the cluster; its groups go to others first. Evicting the last node
// destroys the cluster. A machine that is off or unreachable cannot be cleaned: the node is evicted
// and the answer is 5896.
func (f *Family) Evict(c *machine.Ctx, cl *model.Cluster, n *model.ClusterNode) error {
	if err := mayConfigure(c); err != nil {
		return err
	}
	if len(cl.Nodes) == 1 {
		return f.Destroy(c, cl, false)
	}
	m := c.W.Machine(n.Name)
	up := isUp(n)
	n.State = 2 // nothing is placed on it any more
	for _, g := range ordered(cl) {
		if strings.EqualFold(g.Owner, n.Name) {
			f.takeDown(c, cl, g)
			f.place(c, cl, g)
		}
	}
	n.State = 1
	if !up {
		f.dropReservations(c, cl, n)
	}
	f.removeMember(c, cl, n)
	if m == nil || !m.Powered {
		return EvictedUncleaned
	}
	clean(m)
	return nil
}

// removeMember takes a node out of everything that names it.
func (f *Family) removeMember(c *machine.Ctx, cl *model.Cluster, n *model.ClusterNode) {
	var keep []*model.ClusterNode
	for _, x := range cl.Nodes {
		if x != n {
			keep = append(keep, x)
		}
	}
	cl.Nodes = keep
	without := func(list []string) []string {
		var out []string
		for _, s := range list {
			if !strings.EqualFold(s, n.Name) {
				out = append(out, s)
			}
		}
		return out
	}
	m := c.W.Machine(n.Name)
	for _, g := range cl.Groups {
		g.PreferredOwners = without(g.PreferredOwners)
	}
	for _, r := range cl.Resources {
		r.Owners = without(r.Owners)
		if r.Type == typeDisk && m != nil {
			giveBack(m, r)
		}
	}
	rebalance(c.W, cl)
	f.refreshNetworks(c, cl)
	if up := upNodes(cl); len(up) > 0 && !quorate(c.W, cl, up) {
		f.halt(c, cl)
	}
}

// Destroy ends a cluster: 5023 while it has groups of applications with resources (UNCONFIRMED
// code). cleanupAD deletes the account of its name, which is only disabled otherwise.
func (f *Family) Destroy(c *machine.Ctx, cl *model.Cluster, cleanupAD bool) error {
	if err := mayConfigure(c); err != nil {
		return err
	}
	for _, g := range cl.Groups {
		if !g.Core && len(Resources(cl, g.Name)) > 0 {
			return InvalidState
		}
	}
	name := cl.Name
	f.erase(c, cl)
	if cleanupAD && c.W.Forest != nil {
		deleteAccount(c.W.Forest, name)
	}
	return nil
}

// erase takes a cluster out of the world.
func (f *Family) erase(c *machine.Ctx, cl *model.Cluster) {
	cl.Quorum.Resource = ""
	for i := len(cl.Resources) - 1; i >= 0 && i < len(cl.Resources); i-- {
		f.drop(c, cl, cl.Resources[i])
	}
	for len(cl.Resources) > 0 {
		f.forget(c, cl, cl.Resources[len(cl.Resources)-1])
	}
	for _, n := range cl.Nodes {
		if m := c.W.Machine(n.Name); m != nil && m.Powered {
			clean(m)
		}
	}
	delete(c.W.Clusters, strings.ToLower(cl.Name))
}

// ForceCleanup takes the cluster's configuration off a machine, whatever the cluster says: the
// others see a node that is down. When it was the only one, the cluster is gone.
func (f *Family) ForceCleanup(c *machine.Ctx, m *model.Machine) {
	cl := clusterOf(c.W, m)
	if cl == nil {
		clean(m)
		return
	}
	if len(cl.Nodes) == 1 {
		f.erase(c, cl)
		return
	}
	if n := nodeOf(cl, m.Name); n != nil && isUp(n) {
		n.State = 1
		f.dropReservations(c, cl, n)
		clean(m)
		n.State = 0 // so that settling sees it go
		f.settle(c, cl)
	}
	clean(m)
	for _, r := range cl.Resources {
		if r.Type == typeDisk {
			giveBack(m, r)
		}
	}
}

// renameCluster gives the cluster another name: its key, its Network Name and, once that comes
// online again, its account and record.
func (f *Family) renameCluster(c *machine.Ctx, cl *model.Cluster, name string) error {
	if !validComputerName(name) {
		return BadComputerName
	}
	if strings.EqualFold(name, cl.Name) {
		return nil
	}
	if c.W.Clusters[strings.ToLower(name)] != nil || c.W.Machine(name) != nil {
		return DuplicateCluster
	}
	delete(c.W.Clusters, strings.ToLower(cl.Name))
	cl.Name = name
	c.W.Clusters[strings.ToLower(name)] = cl
	core := coreGroup(cl)
	if core == nil {
		return nil
	}
	for _, r := range Resources(cl, core.Name) {
		if r.Core && r.Type == typeName {
			r.Private["Name"] = strings.ToUpper(name)
			return PropertiesStored
		}
	}
	return nil
}
