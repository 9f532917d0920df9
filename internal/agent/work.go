package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"deploy/internal/agent/wire"
	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/internal/task"
	"deploy/steps"
)

// work does the requests of one controller, one after the other, with the hands that all
// controllers share: what an earlier link had begun is brought to its end first.
func (a *attachment) work() {
	defer a.w.group.Done()
	defer func() { _ = a.session.Close() }()
	for f := range a.queue {
		<-a.w.hands
		if !a.isGone() {
			if err := a.do(f); err != nil {
				a.w.o.Log.Warn("invalid request", "message", f.Type.String(), "why", err)
				a.end()
			}
		}
		a.w.setDoing("")
		a.w.hands <- struct{}{}
	}
}

func (a *attachment) do(f wire.Frame) error {
	switch f.Type {
	case wire.TCheck:
		return a.check(f)
	case wire.TApply:
		return a.apply(f)
	case wire.TUndo:
		return a.undo(f)
	case wire.TRestart:
		var q wire.Restart
		if err := f.Decode(&q); err != nil {
			return err
		}
		err := a.prove(q.Fence)
		if err == nil {
			_, err = a.session.Do(a.w.ctx, node.Restart{Reason: q.Reason})
		}
		a.tell(wire.TEnded, wire.Ended{ID: q.ID, Err: a.err(err)})
	case wire.TSync:
		return a.sync(f)
	case wire.TWork:
		return a.row(f)
	case wire.TOwner:
		return a.owner(f)
	}
	return nil
}

// sync opens the record of a journal and tells what the journal lacks.
func (a *attachment) sync(f wire.Frame) error {
	var q wire.Sync
	if err := f.Decode(&q); err != nil {
		return err
	}
	list, err := a.lacks(q.Position)
	for _, e := range list {
		a.tell(wire.TEvent, e)
	}
	a.tell(wire.TEnded, wire.Ended{ID: q.ID, Err: a.err(err)})
	return nil
}

// lacks opens the record of a journal and returns what the journal does not have of it.
func (a *attachment) lacks(b wire.Position) ([]wire.Event, error) {
	s, err := a.w.journalRecord(a.hello.Site, b.Journal, b.Forget)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	a.record = s
	a.mu.Unlock()
	if b.Epoch == s.head.Epoch {
		if err := s.ack(b.Seq); err != nil {
			return nil, err
		}
	}
	return s.after(b.Epoch, b.Seq)
}

// isUpToDate says that nothing is under way, and that the journal that the controller named lacks
// nothing. Of a journal that was never here no record is made for that: whoever only looks leaves
// nothing behind.
func (a *attachment) isUpToDate() bool {
	b := a.hello.Position
	if b.Journal == "" {
		return false
	}
	select {
	case <-a.w.hands:
		defer func() { a.w.hands <- struct{}{} }()
	default:
		return false // something that an earlier link had begun
	}
	if !a.w.hasRecord(a.hello.Site, b.Journal) {
		return true
	}
	list, err := a.lacks(b)
	return err == nil && len(list) == 0
}

func (a *attachment) err(err error) *wire.Error { return wire.NewError(err, a.redact.Redact) }

// limited bounds what one request may take. The controller's link has no part in it.
func (a *attachment) limited(limit time.Duration) (context.Context, context.CancelFunc) {
	if limit <= 0 {
		return context.WithCancel(a.w.ctx)
	}
	return context.WithTimeout(a.w.ctx, limit)
}

// step decodes a step that came as data.
func (a *attachment) step(s wire.Step) (steps.Step, error) {
	k, ok := a.w.o.Kinds.Get(s.Kind)
	if !ok {
		return nil, fmt.Errorf("the agent does not know kind %s: %w", s.Kind, node.ErrUnsupported)
	}
	out := k.New()
	if err := json.Unmarshal(s.Data, out); err != nil {
		return nil, fmt.Errorf("cannot read a %s step: %w", s.Kind, err)
	}
	return out, nil
}

// watched lets the controller see the last line of what a job prints.
func (a *attachment) watched(id string) node.Session {
	return task.Watched(a.session, func(line string) {
		a.tell(wire.TProgress,
			wire.Progress{Task: id, Text: a.redact.Redact(line)})
	})
}

func (a *attachment) check(f wire.Frame) error {
	var q wire.Check
	if err := f.Decode(&q); err != nil {
		return err
	}
	ctx, cancel := a.limited(q.Limit)
	defer cancel()
	answers := make([]wire.Answer, len(q.Steps))
	var list []steps.Step
	var at []int
	for i, s := range q.Steps {
		step, err := a.step(s)
		if err != nil {
			answers[i].Err = a.err(err)
			continue
		}
		list, at = append(list, step), append(at, i)
	}
	for j, c := range task.Check(ctx, a.session, list) {
		answers[at[j]] = wire.Answer{Diff: c.Diff, Err: a.err(c.Err)}
	}
	a.tell(wire.TChecked, wire.Checked{ID: q.ID, Answers: answers})
	return nil
}

func (a *attachment) apply(f wire.Frame) error {
	var q wire.Apply
	if err := f.Decode(&q); err != nil {
		return err
	}
	ctx, cancel := a.limited(q.Limit)
	defer cancel()
	step, err := a.step(q.Step)
	var out steps.Outcome
	if err == nil {
		err = a.prove(q.Fence)
	}
	if err == nil {
		a.w.setDoing(q.Task)
		out, err = task.Apply(ctx, a.watched(q.Task), step, q.Diff)
	}
	a.tell(wire.TApplied, wire.Applied{ID: q.ID, Outcome: out, Err: a.err(err)})
	return nil
}

func (a *attachment) undo(f wire.Frame) error {
	var q wire.Undo
	if err := f.Decode(&q); err != nil {
		return err
	}
	ctx, cancel := a.limited(q.Limit)
	defer cancel()
	step, err := a.step(q.Step)
	end := wire.Ended{ID: q.ID}
	if err == nil {
		err = a.prove(q.Fence)
	}
	if err == nil {
		a.w.setDoing("an undo")
		a.recordUndo(wire.EvUndoBegin, q, &end)
		if err = task.Undo(ctx, a.session, step, q.Before); err == nil {
			a.recordUndo(wire.EvUndone, q, &end)
		}
	}
	end.Err = a.err(err)
	a.tell(wire.TEnded, end)
	return nil
}

// recordUndo writes down where an undo stands, if the journal has a record here. An act needs its
// intent on the disk first; an undo that only older copies of the journal would miss does not: it
// may be what makes room on a full disk.
func (a *attachment) recordUndo(what string, q wire.Undo, end *wire.Ended) {
	s, err := a.recordIfAny()
	if s == nil || err != nil || q.Task == "" {
		if err != nil {
			a.w.o.Log.Warn("no act in the record matches the undo", "task", q.Task, "why", err)
		}
		return
	}
	e := wire.Event{What: what, Task: q.Task, Phase: q.Phase, Run: q.Run, Time: a.w.o.Now(), Act: q.Act}
	if e, err = s.add(e, what == wire.EvUndoBegin); err != nil {
		a.w.o.Log.Warn("no act in the record matches the undo", "task", q.Task, "why", err)
		return
	}
	end.Epoch, end.Seq = s.head.Epoch, e.Seq
}

// recordIfAny is the record of the controller's journal, nil when it has none.
func (a *attachment) recordIfAny() (*record, error) {
	b := a.hello.Position
	if a.journalRecord() == nil && b.Journal != "" && a.w.hasRecord(a.hello.Site, b.Journal) {
		if _, err := a.lacks(b); err != nil {
			return nil, err
		}
	}
	return a.journalRecord(), nil
}

// row works through tasks until one needs the controller.
func (a *attachment) row(f wire.Frame) error {
	var q wire.Work
	if err := f.Decode(&q); err != nil {
		return err
	}
	a.mu.Lock()
	a.halted = false
	a.mu.Unlock()
	left := len(q.Tasks)
	if a.journalRecord() == nil {
		err := errors.New("work received before its record was opened")
		if a.upToDate {
			_, err = a.lacks(a.hello.Position)
		}
		if err != nil {
			a.tell(wire.TEnded, wire.Ended{ID: q.ID, Left: left, Err: a.err(err)})
			return nil
		}
	}
	for _, t := range q.Tasks {
		if !a.mayBegin() {
			break
		}
		a.w.setDoing(t.ID)
		on, err := a.task(q, t)
		if err != nil {
			// the record cannot be written, or another controller is in charge: nothing is done
			a.tell(wire.TEnded, wire.Ended{ID: q.ID, Left: left, Err: a.err(err)})
			return nil
		}
		left--
		if !on {
			break
		}
	}
	a.tell(wire.TEnded, wire.Ended{ID: q.ID, Left: left})
	return nil
}

// task looks at one task and does what is missing. on says that the next one may follow. An error
// says that the record cannot be written, or that the controller is not in charge any more.
func (a *attachment) task(q wire.Work, t wire.Task) (on bool, err error) {
	live := func(what string, err error) {
		a.tell(wire.TEvent, wire.Event{What: what, Task: t.ID, Phase: t.Phase, Time: a.w.o.Now(), Err: a.err(err)})
	}
	step, err := a.step(t.Step)
	if err != nil {
		live(wire.EvHold, err)
		return false, nil
	}
	do := &doing{a: a, run: q.Run, fence: q.Fence, t: t, step: step}
	d, err := do.Look(a.w.ctx)
	switch {
	case err != nil:
		live(wire.EvHold, err)
		return false, nil
	case d.Action == steps.NoOp:
		live(wire.EvNoOp, nil)
		return true, nil
	case task.LeftToEngine(step, d):
		live(wire.EvHold, nil)
		return false, nil
	}
	end, err := task.Run(a.w.ctx, do, d)
	if end.Verb == "begin" {
		return false, err
	}
	e := wire.Event{What: wire.EvDone, Note: a.redact.Redact(end.Outcome.Note)}
	for _, w := range end.Outcome.Warnings {
		e.Warnings = append(e.Warnings, a.redact.Redact(w))
	}
	switch {
	case err != nil:
		e.What, e.Verb, e.Err = wire.EvFailed, end.Verb, a.err(err)
	case end.Restart:
		e.What = wire.EvReboot
	}
	// how it ended can be seen on the machine as well, so this need not wait for the disk
	return e.What == wire.EvDone, do.note(e, false)
}

// doing is a task.Doer: a task that is done beside the machine, for a controller that hears of it.
type doing struct {
	a     *attachment
	run   string
	fence *node.Fence
	t     wire.Task
	step  steps.Step
}

// note writes an event to the record, and tells it.
func (w *doing) note(e wire.Event, sync bool) error {
	a := w.a
	e.Task, e.Phase, e.Run, e.Time = w.t.ID, w.t.Phase, w.run, a.w.o.Now()
	e, err := a.journalRecord().add(e, sync)
	if err == nil {
		e.Epoch = a.journalRecord().head.Epoch
		a.tell(wire.TEvent, e)
	}
	return err
}

// Begin puts the intent on the disk of the machine, where the controller is still in charge of it.
func (w *doing) Begin(_ context.Context, d steps.Diff) error {
	if err := w.a.prove(w.fence); err != nil {
		return err
	}
	return w.note(wire.Event{What: wire.EvBegin, Digest: w.t.Digest, Diff: steps.MustJSON(d),
		BootID: w.a.session.Facts().BootID}, true)
}

// Act applies the step within its limit.
func (w *doing) Act(_ context.Context, d steps.Diff) (steps.Outcome, error) {
	ctx, cancel := w.a.limited(w.t.Limit)
	defer cancel()
	out, err := task.Apply(ctx, w.a.watched(w.t.ID), w.step, d)
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = hint.Wrap(fmt.Errorf("it did not end within %s: %w", w.t.Limit, err),
			"set timeout on the step in the playbook")
	}
	return out, err
}

// Restart leaves it to the controller, which waits for the machine.
func (w *doing) Restart(context.Context) (done bool, err error) { return false, nil }

// Pause waits, and ends early when the agent does.
func (w *doing) Pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Patience is that with the task's kind.
func (w *doing) Patience() time.Duration { return task.PatienceFor(w.step) }

// Look checks the step within its limit.
func (w *doing) Look(context.Context) (steps.Diff, error) {
	ctx, cancel := w.a.limited(w.t.Limit)
	defer cancel()
	c := task.Check(ctx, w.a.session, []steps.Step{w.step})[0]
	return c.Diff, c.Err
}
