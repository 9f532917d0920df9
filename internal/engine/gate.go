package engine

import (
	"context"
	"errors"
	"fmt"

	"deploy/internal/hint"
	"deploy/internal/journal"
	"deploy/internal/task"
	"deploy/steps"
)

// Signature is what a person said at a gate.
type Signature = journal.Signature

// GateRequest asks a person to do something.
type GateRequest struct {
	Task, Phase, Node string
	Gate              steps.Gate
	Missing           []steps.Change // what the probe finds still to be done
}

// GateError says that a run waits for a person. It is ErrWaiting.
type GateError struct {
	Task, Node string
	Gate       steps.Gate
	Missing    []steps.Change
	Signed     bool // somebody signed, and the probe still finds Missing
}

func (e *GateError) Error() string {
	s := fmt.Sprintf("%s is waiting for sign-off: %s", e.Task, e.Gate.Title)
	if e.Signed {
		s = fmt.Sprintf("%s was signed, but the check still fails: %s", e.Task,
			task.Describe(steps.Diff{Action: steps.Run, Changes: e.Missing}))
	}
	return s
}

// Is makes a GateError an ErrWaiting.
func (e *GateError) Is(target error) bool { return target == ErrWaiting }

// byWord says that a gate has no probe: its check can only ask, and a signature is the answer.
func byWord(d steps.Diff) bool { return d.Action == steps.Run && len(d.Changes) == 0 }

// confirmed says that a gate without a probe was signed before, so that nobody is asked twice.
func confirmed(st journal.TaskState, d steps.Diff) bool {
	return byWord(d) && (st.Status == journal.StatusDone || st.Status == journal.StatusSigned) && st.Signature.By != ""
}

// gate asks a person, notes the signature, and looks whether it is so.
func (r *run) gate(ctx context.Context, t steps.Task, g steps.Gate, d steps.Diff) error {
	st := r.rec.Task(t.ID)
	if confirmed(st, d) {
		return r.nothing(ctx, t)
	}
	if st.Status != journal.StatusWaiting {
		if _, err := r.note(ctx, journal.Waiting, t, g); err != nil {
			return err
		}
	}
	e := event(EvGate, t).with(d)
	e.Text = g.Title + "\n" + g.Text
	r.emit(e)
	start := r.o.Now()
	waits := func(signed bool, missing []steps.Change) error {
		err := &GateError{Task: t.ID, Node: t.Node, Gate: g, Missing: missing, Signed: signed}
		return hint.Wrap(err, g.Text)
	}
	if r.o.Gate == nil {
		return waits(false, d.Changes)
	}
	r.ask.Lock()
	defer r.ask.Unlock()
	if r.halted(ctx) && !r.waiting.Load() {
		return nil
	}
	var sig Signature
	ok := false
	err := r.links.retry(ctx, t.Node, true, func() error { // whoever acts for the person may need a link
		var err error
		sig, ok, err = r.o.Gate(ctx, GateRequest{Task: t.ID, Phase: t.Phase, Node: t.Node, Gate: g, Missing: d.Changes})
		return err
	})
	if errors.Is(err, ErrStopped) {
		return nil
	}
	if err != nil {
		return &TaskError{"pass the gate", t.ID, t.Node, err}
	}
	if !ok {
		return waits(false, d.Changes)
	}
	if sig.At.IsZero() {
		sig.At = r.o.Now()
	}
	if sig.By == "" {
		sig.By = r.o.Who
	}
	if _, err := r.note(ctx, journal.Signed, t, sig); err != nil {
		return err
	}
	r.acted(t.Node) // whatever a person did, we did not see it
	e = event(EvSigned, t)
	e.Text = sig.By
	r.emit(e)
	if err := r.check(ctx, t.Node, []steps.Task{t}); err != nil {
		return r.failed(ctx, "check", t, err)
	}
	k := r.lookOf(t.ID)
	switch {
	case k.err != nil:
		return r.failed(ctx, "check", t, k.err)
	case k.diff.Action != steps.NoOp && !byWord(k.diff):
		if _, err := r.note(ctx, journal.Waiting, t, g); err != nil {
			return err
		}
		return waits(true, k.diff.Changes)
	}
	return r.done(ctx, t, journal.Note{Note: "signed by " + sig.By, Proof: k.diff.Proof}, start)
}

// current makes of a look at a gate one at what the machines are now: what proved the gate before
// something that it stands on was undone or found gone does not prove it again.
func (r *run) current(t steps.Task, k look) look {
	if k.diff.Proof == "" || k.err != nil || k.diff.Action != steps.NoOp {
		return k
	}
	if k.diff.Proof == r.rec.Task(t.ID).Stale {
		k.diff = steps.Diff{Action: steps.Run, Effects: steps.Effects{NothingToUndo: true}, Via: "a person",
			Changes: []steps.Change{{Attr: "proof", From: k.diff.Proof + ", before what it depends on was undone",
				To: "one of the machines as they are"}}}
	}
	return k
}
