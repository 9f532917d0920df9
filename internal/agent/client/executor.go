package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"deploy/internal/agent/wire"
	"deploy/internal/engine"
	"deploy/internal/journal"
	"deploy/internal/node"
	"deploy/steps"
)

// Agent is an engine.Worker on a node.
type Agent struct {
	c     *client
	why   string
	notes []string     // see Notes
	fence *node.Fence  // see Fence
	asked bool         // the owner records of the welcome were taken
	after func() error // ends what carried the stream; nil for nothing
	doing atomic.Value // string: the last line of what a job prints

	// of the Sync or Work under way: the last event that was reported, and how many since the last
	// acknowledgement
	seq     int64
	unheard int
}

// Doing is the last line of what the act under way prints, or "".
func (a *Agent) Doing() string {
	line, _ := a.doing.Load().(string)
	return line
}

var _ engine.Worker = (*Agent)(nil)

// Attach joins an agent whose stream is open already. It owns s from then on, also when it fails.
// why is shown in the plan beside the word "agent".
func Attach(ctx context.Context, s Stream, why string, o Options) (*Agent, error) {
	c, err := attach(ctx, s, o)
	if err != nil {
		_ = s.Close()
		return nil, err
	}
	return &Agent{c: c, why: why}, nil
}

// Facts are those of the agent's welcome.
func (a *Agent) Facts() node.Facts { return a.c.welcome.Facts }

// Mode is "agent".
func (a *Agent) Mode() (mode, why string) { return "agent", a.why }

// Notes are what a person should know of how the agent's program came to the node.
func (a *Agent) Notes() []string { return a.notes }

// Close ends the link, and the agent when it is at rest. Nothing that it did is lost: it stands in
// its record.
func (a *Agent) Close() error {
	err := a.c.leave(true)
	if a.after != nil {
		err = errors.Join(err, a.after())
	}
	return err
}

// limit is how long the agent may take, so that a request does not outlive what the engine waits
// for.
func limit(ctx context.Context) time.Duration {
	if at, ok := ctx.Deadline(); ok {
		return max(time.Until(at), time.Second)
	}
	return 0
}

// Check checks all steps in one round trip.
func (a *Agent) Check(ctx context.Context, list []steps.Step) []engine.Checked {
	out := make([]engine.Checked, len(list))
	q := wire.Check{Limit: limit(ctx), Steps: make([]wire.Step, len(list))}
	for i, s := range list {
		q.Steps[i] = wire.NewStep(s)
	}
	err := a.c.ask(ctx, wire.TCheck, func(id uint64) any { q.ID = id; return q }, func(f wire.Frame) (bool, error) {
		var got wire.Checked
		if f.Type != wire.TChecked {
			return false, nil
		}
		if err := f.Decode(&got); err != nil {
			return true, err
		}
		if len(got.Answers) != len(list) {
			return true, errors.New("the agent returned a wrong number of answers")
		}
		for i, an := range got.Answers {
			out[i] = engine.Checked{Diff: an.Diff, Err: an.Err.Err()}
		}
		return true, nil
	})
	if err != nil {
		for i := range out {
			out[i].Err = unsent(err)
		}
	}
	return out
}

// unsent makes a broken link of a request that only reads: its outcome is of no consequence.
func unsent(err error) error {
	var link *node.LinkError
	if errors.As(err, &link) {
		return &node.LinkError{Node: link.Node, Err: link.Err}
	}
	return err
}

// cut makes an unknown outcome of a request whose caller has stopped waiting.
func (a *Agent) cut(ctx context.Context, err error) error {
	var link *node.LinkError
	if err != nil && ctx.Err() != nil && !errors.As(err, &link) {
		return &node.LinkError{Node: a.c.o.Node, Sent: true, Err: err}
	}
	return err
}

// Apply does one step that the journal has already announced.
func (a *Agent) Apply(ctx context.Context, s steps.Step, d steps.Diff) (steps.Outcome, error) {
	var out steps.Outcome
	defer a.doing.Store("")
	q := wire.Apply{Limit: limit(ctx), Task: s.Kind(), Step: wire.NewStep(s), Diff: d, Fence: a.fence}
	err := a.c.ask(ctx, wire.TApply, func(id uint64) any { q.ID = id; return q }, func(f wire.Frame) (bool, error) {
		if f.Type == wire.TProgress {
			var p wire.Progress
			if err := f.Decode(&p); err != nil {
				return true, err
			}
			a.doing.Store(p.Text)
		}
		if f.Type != wire.TApplied {
			return false, nil
		}
		var got wire.Applied
		if err := f.Decode(&got); err != nil {
			return true, err
		}
		out = got.Outcome
		return true, got.Err.Err()
	})
	return out, a.cut(ctx, err)
}

// Undo gives a step its Before.
func (a *Agent) Undo(ctx context.Context, s steps.Step, before json.RawMessage) error {
	q := wire.Undo{Limit: limit(ctx), Step: wire.NewStep(s), Before: before, Fence: a.fence}
	return a.cut(ctx, a.c.ask(ctx, wire.TUndo, func(id uint64) any { q.ID = id; return q }, ended))
}

// TakeBack is Undo, and lets the agent write it down beside what it did.
func (a *Agent) TakeBack(ctx context.Context, u engine.Undoing) (at journal.AgentRef, err error) {
	q := wire.Undo{Limit: limit(ctx), Step: wire.NewStep(u.Step), Before: u.Before, Run: u.Run, Task: u.Task,
		Phase: u.Phase, Act: u.Act.Seq, Fence: a.fence}
	err = a.cut(ctx, a.c.ask(ctx, wire.TUndo, func(id uint64) any { q.ID = id; return q },
		func(f wire.Frame) (bool, error) {
			var e wire.Ended
			if f.Type == wire.TEnded && f.Decode(&e) == nil && e.Seq > 0 && len(e.Epoch) <= maxEpoch {
				at = journal.AgentRef{Epoch: e.Epoch, Seq: e.Seq}
			}
			return ended(f)
		}))
	return at, err
}

// Restart asks the machine to restart.
func (a *Agent) Restart(ctx context.Context, reason string) error {
	return a.cut(ctx, a.c.ask(ctx, wire.TRestart, func(id uint64) any {
		return wire.Restart{ID: id, Reason: reason, Fence: a.fence}
	}, ended))
}

// ended waits for the answer of a request that gives nothing but its end.
func ended(f wire.Frame) (bool, error) {
	if f.Type != wire.TEnded {
		return false, nil
	}
	var e wire.Ended
	if err := f.Decode(&e); err != nil {
		return true, err
	}
	return true, e.Err.Err()
}

// Sync opens the agent's record and reports what the journal lacks.
func (a *Agent) Sync(ctx context.Context, b engine.Position, report func(engine.Report) error) error {
	known := b
	known.Forget = a.c.o.Position.Forget // a record that is up to date is not damaged
	if a.c.welcome.UpToDate && known == a.c.o.Position {
		return nil // its welcome said so
	}
	return a.c.ask(ctx, wire.TSync, func(id uint64) any {
		return wire.Sync{ID: id, Position: positionOf(b)}
	}, func(f wire.Frame) (bool, error) { return a.told(f, report) })
}

func positionOf(b engine.Position) wire.Position {
	return wire.Position{Journal: b.Journal, Epoch: b.Agent.Epoch, Seq: b.Agent.Seq, Forget: b.Forget}
}

// Work hands tasks over.
func (a *Agent) Work(ctx context.Context, w engine.Batch, halt <-chan struct{},
	report func(engine.Report) error) error {
	q := wire.Work{Run: w.Run, Fence: a.fence, Tasks: make([]wire.Task, len(w.Tasks))}
	for i, t := range w.Tasks {
		q.Tasks[i] = wire.Task{ID: t.ID, Phase: t.Phase, Limit: t.Timeout, Step: wire.NewStep(t.Step),
			Digest: w.Digests[i]}
	}
	over := make(chan struct{})
	watching := make(chan struct{})
	go func() {
		defer close(watching)
		select {
		case <-halt:
			a.halt()
		case <-over:
		}
	}()
	var failed error // of report: the agent finishes its step, and what it still tells is not taken any more
	err := a.c.ask(ctx, wire.TWork, func(id uint64) any { q.ID = id; return q }, func(f wire.Frame) (bool, error) {
		if failed != nil {
			return ended(f)
		}
		last, err := a.told(f, report)
		if err != nil && f.Type != wire.TEnded {
			failed = err
			a.halt()
			return false, nil
		}
		return last, err
	})
	close(over)
	<-watching
	if failed != nil {
		return failed
	}
	return err
}

func (a *Agent) halt() {
	if err := a.c.write(wire.THalt, struct{}{}); err != nil {
		a.c.fail(err)
	}
}

// maxUnheard is how many events are taken in before the journal is made to write them down, where
// ever more of them come: well below what an agent runs ahead, so that it need not wait.
const maxUnheard = 64

// told takes in one frame of a Sync or a Work. What came in one go is written down in one go, and
// then acknowledged.
func (a *Agent) told(f wire.Frame, report func(engine.Report) error) (bool, error) {
	switch f.Type {
	case wire.TEnded:
		if err := a.heard(report); err != nil {
			return true, err
		}
		return ended(f)
	case wire.TProgress:
		var p wire.Progress
		if err := f.Decode(&p); err != nil {
			return true, err
		}
		return false, report(engine.Report{What: engine.RepDoing, Task: p.Task, Text: p.Text})
	case wire.TEvent:
		var e wire.Event
		if err := f.Decode(&e); err != nil {
			return true, err
		}
		rep, err := reportOf(e)
		if err != nil {
			return true, err
		}
		if err := report(rep); err != nil {
			return true, err
		}
		if e.Seq > 0 {
			a.seq, a.unheard = e.Seq, a.unheard+1
		}
		if !a.c.more.Load() || a.unheard >= maxUnheard {
			return false, a.heard(report)
		}
	}
	return false, nil
}

// heard acknowledges what the journal has been told, once it has written it down.
func (a *Agent) heard(report func(engine.Report) error) error {
	if a.unheard == 0 {
		return nil
	}
	if err := report(engine.Report{What: engine.RepPause}); err != nil {
		return err
	}
	a.unheard = 0
	if err := a.c.write(wire.TAck, wire.Ack{Seq: a.seq}); err != nil {
		a.c.fail(err)
	}
	return nil
}

// Bounds on what an event holds, in bytes and warnings.
const (
	maxEpoch    = 64
	maxText     = 16 << 10
	maxWarnings = 32
)

// bounded cuts a text of a node.
func bounded(text string) string {
	if len(text) <= maxText {
		return text
	}
	return strings.ToValidUTF8(text[:maxText], "") + "..."
}

// reportOf reads an event. A diff with a field that this version does not know is refused: both
// ends are the same program.
func reportOf(e wire.Event) (engine.Report, error) {
	if e.Err != nil {
		e.Err.Text, e.Err.Hint = bounded(e.Err.Text), bounded(e.Err.Hint)
	}
	r := engine.Report{Task: e.Task, Run: e.Run, Verb: verb(e.Verb), Err: e.Err.Err(), Digest: e.Digest, BootID: e.BootID,
		Look: e.Diff, Act: e.Act, Outcome: steps.Outcome{Reboot: e.What == wire.EvReboot, Note: bounded(e.Note)}}
	for _, w := range e.Warnings[:min(len(e.Warnings), maxWarnings)] {
		r.Outcome.Warnings = append(r.Outcome.Warnings, bounded(w))
	}
	if e.Seq != 0 {
		r.Agent = journal.AgentRef{Epoch: e.Epoch, Seq: e.Seq}
	}
	what, ok := map[string]engine.Reported{
		wire.EvNoOp: engine.RepNoOp, wire.EvBegin: engine.RepBegin, wire.EvDone: engine.RepDone,
		wire.EvFailed:    engine.RepFailed,
		wire.EvUndoBegin: engine.RepUndoBegin, wire.EvUndone: engine.RepUndone, wire.EvReboot: engine.RepReboot,
		wire.EvLost: engine.RepLost, wire.EvHold: engine.RepHold,
	}[e.What]
	if !ok {
		return r, fmt.Errorf("the agent reported something of an unknown kind: %.40q", e.What)
	}
	r.What = what
	if (what == engine.RepFailed || what == engine.RepLost) && r.Err == nil {
		return r, fmt.Errorf("the agent reported %q without a reason", what)
	}
	if e.Diff != nil {
		d := json.NewDecoder(bytes.NewReader(e.Diff))
		d.DisallowUnknownFields()
		if err := d.Decode(&r.Diff); err != nil {
			return r, fmt.Errorf("cannot read a diff of the agent: %w", err)
		}
	}
	if e.Step != nil {
		r.Step = &journal.StepData{Kind: e.Step.Kind, Data: e.Step.Data}
	}
	return r, nil
}

// verb is what failed: an agent checks and applies, and nothing else.
func verb(v string) string {
	if v == "check" {
		return v
	}
	return "apply"
}
