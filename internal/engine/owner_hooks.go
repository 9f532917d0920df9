package engine

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/internal/owner"
)

// planOwner is what the plan says of who is in charge of a node.
func (r *run) planOwner(ctx context.Context, name string) (*PlanOwner, error) {
	f, err := r.compareOwner(ctx, name)
	if err != nil {
		return nil, err
	}
	text, toDo := f.Say(name)
	if text == "" {
		return nil, nil
	}
	return &PlanOwner{Verdict: f.Verdict, Text: text, Hint: toDo, Refused: !f.Verdict.Allowed() &&
		!(f.Verdict.Yields() && r.o.TakeOver) && !(f.Verdict == owner.WentBack && r.o.wentBack(name))}, nil
}

// Refused is the refusal of an apply of the plan, nil where nothing speaks against one.
func (p *Plan) Refused() error {
	var errs []error
	for _, n := range p.Nodes {
		if o := n.Owner; o != nil && o.Refused {
			errs = append(errs, hint.Wrap(&OwnerError{Node: n.Name, Verdict: o.Verdict, Text: o.Text}, o.Hint))
		}
	}
	return join(errs)
}

// chargeOf compares the nodes of acts that are to be taken back, and those whose agents will be
// asked, and refuses where one does not fit. It returns their names. A node that cannot be reached
// is left to the rollback.
func (r *run) chargeOf(ctx context.Context, acts []standingAct, ro RollbackOptions) ([]string, error) {
	names := r.tellers(ro)
	for _, sa := range acts {
		name := sa.task.Node
		if r.inSite(name) && !fits(ro.Leave, name) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if err := r.compareOwners(ctx, names); err != nil {
		return nil, err
	}
	return names, r.inCharge(names)
}

// enter notes what a person said of the nodes, and puts this journal's record at once on those that
// it takes over, and where the site now says otherwise whether a node is shared. Everything else
// waits for the first act.
func (r *run) enter(ctx context.Context, names []string) error {
	if err := r.noteOwners(names); err != nil {
		return err
	}
	var mu sync.Mutex
	var errs []error
	r.lookers(names, func(name string) {
		n := r.ownedNode(name)
		n.mu.Lock()
		f := n.finding
		n.mu.Unlock()
		if !r.takes(name) && (f.Verdict != owner.Fits || f.Record == "" || f.Owner.Shared == r.o.Shared[name]) {
			return
		}
		err := r.links.reads(ctx, name, func(ex Executor) error { return r.enterOne(ctx, name, ex) })
		if err != nil {
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, fmt.Errorf("cannot take charge of %s: %w", name, err))
		}
	})
	return join(errs)
}

func (r *run) enterOne(ctx context.Context, name string, ex Executor) error {
	o, ok := ex.(Owned)
	if !ok {
		return nil
	}
	n := r.ownedNode(name)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.claimed {
		return nil
	}
	if err := r.announced(ctx, name, n); err != nil {
		return err
	}
	return r.claim(ctx, name, o, n, 0)
}

// stillInCharge compares again over a new link to a node that this run has claimed: whoever slept
// so long that the link broke may have been superseded.
func (r *run) stillInCharge(ctx context.Context, name string, ex Executor) error {
	o, ok := ex.(Owned)
	r.own.mu.Lock()
	claimed := r.own.ours[name]
	r.own.mu.Unlock()
	if !ok || !claimed {
		return nil
	}
	kept, err := o.Owners(ctx)
	if err != nil {
		return err
	}
	text := ""
	for _, t := range kept.Records {
		if t.Site == r.o.Program.Site {
			text = t.Record
		}
	}
	if !r.fence("").Passes(text) {
		err = &node.SupersededError{Node: name, Record: text}
		r.fail(err) // nothing more is begun anywhere, and a rollback does not take it for a node that is away
		return err
	}
	return nil
}

// fence is what this run proves, with the record that is to stand on the node.
func (r *run) fence(record string) node.Fence {
	r.rec.Lock()
	defer r.rec.Unlock()
	return node.Fence{Site: r.o.Program.Site, Journal: r.o.journalID(), Epoch: r.rec.State.Epoch, Run: r.o.Run,
		Record: record}
}

// unsent makes of a link that broke while the record was read or written one that says nothing of
// the act: that has not been begun.
func (r *run) unsent(name string, err error) error {
	if !linkBroke(err) {
		return err
	}
	r.links.drop(name)
	return &node.LinkError{Node: name, Err: err}
}

// limit is how long a batch may take at most before the next sign of the holder.
func (b Batch) limit() time.Duration {
	var d time.Duration
	for _, t := range b.Tasks {
		d = max(d, t.Timeout)
	}
	return d
}

// batchEnded frees a shared node after the agent's batch.
func (r *run) batchEnded(ctx context.Context, name string, w Worker) error {
	if !r.o.Shared[name] {
		return nil
	}
	return r.actEnded(ctx, name, w)
}

// freeShared lets the other sites go on after a restart.
func (r *run) freeShared(ctx context.Context, name string) {
	if !r.o.Shared[name] {
		return
	}
	_ = r.links.reads(ctx, name, func(ex Executor) error { return r.actEnded(ctx, name, ex) }) // else it expires
}
