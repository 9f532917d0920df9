package failover

import (
	"strings"

	"deploy/internal/lab/machine"
	"deploy/internal/lab/model"
)

// Online brings a resource online on the owner of its group, after what it depends on. The error
// says why it is not: 5071 when the owner may not host it, 5002 when it lacks a dependency that its
// type requires, 5004 when what it depends on is not online, else what the type says.
func (f *Family) Online(c *machine.Ctx, cl *model.Cluster, r *model.ClusterResource) error {
	f.want(cl, r)
	return f.bring(c, cl, r)
}

// want notes that a resource is to be online, with what it depends on.
func (f *Family) want(cl *model.Cluster, r *model.ClusterResource) {
	if r.Wanted {
		return
	}
	r.Wanted = true
	for _, p := range providers(cl, r) {
		f.want(cl, p)
	}
}

// bring does the work of Online without changing what is wanted.
func (f *Family) bring(c *machine.Ctx, cl *model.Cluster, r *model.ClusterResource) error {
	if r.State == stateOnline {
		return nil
	}
	g := Group(cl, r.Group)
	if g == nil {
		return GroupNotFound
	}
	owner := nodeOf(cl, g.Owner)
	if owner == nil || !isUp(owner) {
		return HostNotAvailable
	}
	if len(r.Owners) > 0 && !containsFold(r.Owners, owner.Name) {
		return NodeCannotHost
	}
	e := dependency(r)
	var cause error
	for _, p := range providers(cl, r) {
		if err := f.bring(c, cl, p); err != nil && cause == nil {
			cause = err
		}
	}
	if !e.holds(func(n string) bool { p := Resource(cl, n); return p != nil && p.State == stateOnline }) {
		if cause == nil {
			cause = ResourceNotOnline
		}
		return cause // it was never tried: it stays offline
	}
	t, known := f.types[strings.ToLower(r.Type)]
	if !known {
		r.State = stateFailed
		return TypeNotFound
	}
	for _, need := range t.Needs {
		if !anyOfType(providers(cl, r), need) {
			r.State = stateFailed
			return DependencyNotFound
		}
	}
	m := c.W.Machine(owner.Name)
	r.State = stateOnlinePending
	if t.Online != nil {
		if err := t.Online(on(c, m), r); err != nil {
			r.State = stateFailed
			return err
		}
	}
	r.State = stateOnline
	g.Persistent = true
	return nil
}

func anyOfType(list []*model.ClusterResource, typ string) bool {
	for _, r := range list {
		if strings.EqualFold(r.Type, typ) {
			return true
		}
	}
	return false
}

// Offline takes a resource offline after everything that cannot be without it. 5068 for the
// witness.
func (f *Family) Offline(c *machine.Ctx, cl *model.Cluster, r *model.ClusterResource) error {
	if witness(cl) == r {
		return InvalidOnQuorum
	}
	f.unwant(cl, r)
	f.drop(c, cl, r)
	return nil
}

// unwant notes that a resource is to stay offline; what cannot be without it stays offline with it.
func (f *Family) unwant(cl *model.Cluster, r *model.ClusterResource) {
	r.Wanted = false
	for _, d := range dependents(cl, r) {
		if d.Wanted && !dependency(d).holds(func(n string) bool { p := Resource(cl, n); return p != nil && p.Wanted }) {
			f.unwant(cl, d)
		}
	}
}

// drop takes a resource offline without changing what is wanted. What depends on it goes first,
// unless its expression still holds.
func (f *Family) drop(c *machine.Ctx, cl *model.Cluster, r *model.ClusterResource) {
	if r.State == stateOffline {
		return
	}
	was := r.State
	r.State = stateOfflinePending
	for _, d := range dependents(cl, r) {
		if d.State != stateOffline && !dependency(d).holds(func(n string) bool {
			p := Resource(cl, n)
			return p != nil &&
				p.State == stateOnline
		}) {
			f.drop(c, cl, d)
		}
	}
	if t, ok := f.types[strings.ToLower(r.Type)]; ok && t.Offline != nil && was != stateFailed {
		if m := OwnerOf(c, cl, r); m != nil && m.Powered {
			_ = t.Offline(on(c, m), r) // a resource that does not go quietly is terminated
		}
	}
	r.State = stateOffline
}

// Fail makes a resource fail. Its policy restarts it at once: that is what the group does with a
// single failure.
func (f *Family) Fail(c *machine.Ctx, cl *model.Cluster, r *model.ClusterResource) error {
	if r.State != stateOnline {
		return ResourceNotOnline
	}
	f.drop(c, cl, r)
	if n, set := r.Properties["RestartAction"].(int64); set && n == 0 {
		r.State = stateFailed
		r.Wanted = false
		return nil
	}
	g := Group(cl, r.Group)
	if err := f.restore(c, cl, g); err != nil {
		f.takeDown(c, cl, g)
		f.place(c, cl, g)
	}
	return nil
}

// OnlineGroup brings all resources of a group online and says what did not come.
func (f *Family) OnlineGroup(c *machine.Ctx, cl *model.Cluster, g *model.ClusterGroup) error {
	n := nodeOf(cl, g.Owner)
	if n == nil || !isUp(n) {
		return HostNotAvailable
	}
	g.Persistent = true
	var first error
	for _, r := range Resources(cl, g.Name) {
		if err := f.Online(c, cl, r); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// OfflineGroup takes all resources of a group offline. 5068 when the witness is one of them.
func (f *Family) OfflineGroup(c *machine.Ctx, cl *model.Cluster, g *model.ClusterGroup) error {
	w := witness(cl)
	if w != nil && strings.EqualFold(w.Group, g.Name) {
		return InvalidOnQuorum
	}
	g.Persistent = false
	for _, r := range Resources(cl, g.Name) {
		f.unwant(cl, r)
		f.drop(c, cl, r)
	}
	return nil
}

// MoveGroup moves a group to another node; "" means the best one. What was online comes online
// there, and goes on to the next possible node, the old one at last, when it does not; then the
// error says why. 5042 no such node, 5050 it is down, 5070 it is paused, 5071 it may not host a
// resource, 5005 there is no other node.
func (f *Family) MoveGroup(c *machine.Ctx, cl *model.Cluster, g *model.ClusterGroup, to string) error {
	from := g.Owner
	var target *model.ClusterNode
	if to == "" {
		list := f.candidates(c, cl, g, from)
		if len(list) == 0 {
			return HostNotAvailable
		}
		target = list[0]
	} else {
		target = Node(cl, to)
	}
	switch {
	case target == nil:
		return NodeNotFound
	case strings.EqualFold(target.Name, from):
		return nil
	case target.State == 2:
		return NodePaused
	case target.State != 0:
		return NodeDown
	}
	for _, r := range Resources(cl, g.Name) {
		if len(r.Owners) > 0 && !containsFold(r.Owners, target.Name) {
			return NodeCannotHost
		}
	}
	f.takeDown(c, cl, g)
	g.Owner = target.Name
	err := f.restore(c, cl, g)
	if err == nil {
		return nil
	}
	tried := []string{target.Name}
	back := append(f.candidates(c, cl, g, from), nodeOf(cl, from))
	for _, n := range back {
		if n == nil || !isUp(n) || containsFold(tried, n.Name) {
			continue
		}
		tried = append(tried, n.Name)
		f.takeDown(c, cl, g)
		g.Owner = n.Name
		if f.restore(c, cl, g) == nil {
			break
		}
	}
	return err
}
