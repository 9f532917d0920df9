package engine

import (
	"context"
	"errors"
	"fmt"

	"deploy/internal/journal"
	"deploy/internal/node"
	"deploy/internal/task"
	"deploy/steps"
)

// fakeAgent is a fakeExec that takes rows of tasks and keeps a record of its acts, which outlives
// its link.
type fakeAgent struct{ *fakeExec }

var _ Worker = fakeAgent{}

func (a fakeAgent) Mode() (string, string) { return "agent", "" }

// record is what the agent on a node has written down.
type record struct{ reports []Report }

func (w *world) dialAgent(ctx context.Context, name string, b Position) (Executor, error) {
	ex, err := w.dial(ctx, name, b)
	if err != nil {
		return nil, err
	}
	ex.(*fakeExec).journal = b.Journal
	return fakeAgent{ex.(*fakeExec)}, nil
}

// recordKey is the name of the record of a journal on the node.
func (a fakeAgent) recordKey() string {
	if a.journal == "" || a.journal == "j1" {
		return a.node
	}
	return a.node + " " + a.journal
}

func (a fakeAgent) add(r Report) Report {
	a.w.mu.Lock()
	defer a.w.mu.Unlock()
	rec := a.w.records[a.recordKey()]
	if rec == nil {
		rec = &record{}
		a.w.records[a.recordKey()] = rec
	}
	r.Agent = journal.AgentRef{Epoch: "of " + a.node, Seq: int64(len(rec.reports) + 1)}
	rec.reports = append(rec.reports, r)
	return r
}

func (a fakeAgent) Sync(_ context.Context, b Position, report func(Report) error) error {
	a.w.mu.Lock()
	rec := a.w.records[a.recordKey()]
	dead := a.dead()
	a.w.mu.Unlock()
	if dead {
		return a.link(false)
	}
	if b.Journal == "" {
		return errors.New("the books have no name")
	}
	if rec == nil {
		return nil
	}
	for _, r := range rec.reports {
		if r.Agent.Seq <= b.Agent.Seq {
			continue
		}
		if err := report(r); err != nil {
			return err
		}
	}
	return nil
}

func (a fakeAgent) TakeBack(ctx context.Context, u Undoing) (journal.AgentRef, error) {
	rep := Report{What: RepUndoBegin, Task: u.Task, Run: u.Run, Act: u.Act.Seq}
	a.w.mu.Lock()
	recorded := a.w.records[a.recordKey()] != nil
	a.w.mu.Unlock()
	if !recorded {
		return journal.AgentRef{}, a.Undo(ctx, u.Step, u.Before)
	}
	at := a.add(rep).Agent
	err := a.Undo(ctx, u.Step, u.Before)
	if err == nil {
		rep.What = RepUndone
		at = a.add(rep).Agent
	}
	return at, err
}

func (a fakeAgent) Work(ctx context.Context, row Batch, halt <-chan struct{}, tell func(Report) error) error {
	// there is time to write after every word
	report := func(r Report) error {
		if err := tell(r); err != nil {
			return err
		}
		return tell(Report{What: RepPause})
	}
	for i, t := range row.Tasks {
		select {
		case <-halt:
			return nil
		default:
		}
		on, err := a.task(ctx, row.Run, t, row.Digests[i], report)
		if err != nil || !on {
			return err
		}
	}
	return nil
}

func (a fakeAgent) task(ctx context.Context, run string, t steps.Task, digest string,
	report func(Report) error) (bool, error) {
	rep := Report{Task: t.ID, Run: run}
	c := a.Check(ctx, []steps.Step{t.Step})[0]
	switch {
	case linkBroke(c.Err):
		return false, c.Err
	case c.Err == nil && c.Diff.Action == steps.NoOp:
		rep.What = RepNoOp
		return true, report(rep)
	case c.Err != nil || task.IsProof(c.Diff) || task.NoReturn(t.Step, c.Diff) != "":
		rep.What, rep.Diff, rep.Err = RepHold, c.Diff, c.Err
		return false, report(rep)
	}
	begin := rep
	begin.What, begin.Diff, begin.Look = RepBegin, c.Diff, steps.MustJSON(c.Diff)
	begin.Digest, begin.BootID = digest, a.Facts().BootID
	a.w.mu.Lock()
	perr := a.pass()
	a.w.mu.Unlock()
	if perr != nil {
		return false, perr
	}
	told := report(a.add(begin)) // whether or not somebody heard it, the act follows
	out, err := a.Apply(ctx, t.Step, c.Diff)
	rep.Outcome = out
	var link *node.LinkError
	if errors.As(err, &link) {
		// what happened beside the node while the link was gone
		fresh := fakeAgent{&fakeExec{w: a.w, node: a.node, boot: a.boot}}
		again := fresh.Check(ctx, []steps.Step{t.Step})[0]
		pending := a.w.snapshot()[a.node+"/"+t.Step.(interface{ self() data }).self().Name] == "pending"
		switch {
		case pending:
			rep.What = RepReboot
		case again.Err == nil && again.Diff.Action == steps.NoOp:
			rep.What = RepDone
		default:
			rep.What, rep.Err = RepLost, errors.New("the agent was gone")
		}
		a.add(rep)
		return false, err
	}
	switch {
	case err != nil:
		rep.What, rep.Verb, rep.Err = RepFailed, "apply", err
	case out.Reboot:
		rep.What = RepReboot
	default:
		rep.What = RepDone
		if c := a.Check(ctx, []steps.Step{t.Step})[0]; c.Diff.Action != steps.NoOp {
			rep.What, rep.Verb, rep.Err = RepFailed, "apply", fmt.Errorf("it %w: %s", task.ErrDidNotHold, task.Describe(c.Diff))
		}
	}
	rep = a.add(rep)
	if told != nil {
		return false, told
	}
	return rep.What == RepDone, report(rep)
}
