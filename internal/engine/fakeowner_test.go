package engine

import (
	"context"
	"maps"
	"slices"

	"deploy/internal/journal"
	"deploy/internal/node"
	"deploy/internal/owner"
)

var (
	_ Owned = (*fakeExec)(nil)
	_ Owned = fakeAgent{}
)

func (e *fakeExec) Owners(context.Context) (Kept, error) {
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	if e.dead() {
		return Kept{}, e.link(false)
	}
	e.w.asked[e.node]++
	var k Kept
	for _, site := range slices.Sorted(maps.Keys(e.w.owners[e.node])) {
		k.Records = append(k.Records, owner.Text{Site: site, Record: e.w.owners[e.node][site]})
	}
	return k, nil
}

func (e *fakeExec) SetOwner(_ context.Context, s node.OwnerSet) error {
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	if e.dead() {
		return e.link(false)
	}
	if there := e.w.owners[e.node][s.Site]; there != s.Was {
		return &node.SupersededError{Node: e.node, Record: there}
	}
	e.w.setOwner(e.node, s.Site, s.Record)
	return nil
}

func (w *world) setOwner(name, site, text string) {
	if w.owners[name] == nil {
		w.owners[name] = map[string]string{}
	}
	if w.owners[name][site] = text; text == "" {
		delete(w.owners[name], site)
	}
}

func (e *fakeExec) Fence(f node.Fence) { e.fence, e.wrote = f, false }

func (e *fakeExec) Recorded() bool { return e.wrote }

// pass is the fence, as a session keeps it. The caller holds the world's lock.
func (e *fakeExec) pass() error {
	f := e.fence
	if f.Journal == "" {
		return nil
	}
	there := e.w.owners[e.node][f.Site]
	if !f.Passes(there) {
		return &node.SupersededError{Node: e.node, Record: there}
	}
	if f.Record != "" {
		e.w.setOwner(e.node, f.Site, f.Record)
		e.wrote = true
	}
	return nil
}

// Owners of an agent say how far its own record goes as well.
func (a fakeAgent) Owners(ctx context.Context) (Kept, error) {
	k, err := a.fakeExec.Owners(ctx)
	a.w.mu.Lock()
	defer a.w.mu.Unlock()
	k.Agent = &journal.AgentRef{}
	if rec := a.w.records[a.recordKey()]; rec != nil && len(rec.reports) > 0 {
		*k.Agent = rec.reports[len(rec.reports)-1].Agent
	}
	return k, err
}
