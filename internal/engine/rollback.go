package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"deploy/internal/hint"
	"deploy/internal/journal"
	"deploy/internal/task"
	"deploy/steps"
)

// RollbackOptions say how far a rollback goes.
type RollbackOptions struct {
	// back to this phase's checkpoint: its own work stays; "" takes back everything
	ToPhase string   `json:"to_phase,omitempty"`
	Leave   []string `json:"leave,omitempty"` // points of no return to pass over, as task ids or phase/step
}

// RollbackPlan is what a rollback would do, as the journal alone tells it.
type RollbackPlan struct {
	Acts []RollbackAct `json:"acts"` // in the order in which they would be taken back
}

// Undoes is how many acts a rollback would undo before it comes to its end, or to a point of no
// return that stops it.
func (p *RollbackPlan) Undoes() int {
	n := 0
	for _, a := range p.Acts {
		if a.Do == DoUndo && !a.Beyond {
			n++
		}
	}
	return n
}

// RollbackAct is one act of an earlier run.
type RollbackAct struct {
	Task    string         `json:"task"`
	Phase   string         `json:"phase"`
	Node    string         `json:"node"`
	Kind    string         `json:"kind"`
	Do      string         `json:"do"` // undo, pass (nothing to undo), leave, stop
	Why     string         `json:"why,omitempty"`
	Beyond  bool           `json:"beyond,omitempty"`  // a point of no return stops the rollback before it gets here
	Open    bool           `json:"open,omitempty"`    // whether it was done is not known; the node will be looked at
	Changes []steps.Change `json:"changes,omitempty"` // what undoing changes: from the desired value back to the previous one
}

// What a rollback does with an act.
const (
	DoUndo  = "undo"
	DoPass  = "pass"
	DoLeave = "leave"
	DoStop  = "stop"
)

// standingAct is an act that the journal says was not taken back.
type standingAct struct {
	act  journal.Act
	task steps.Task
	diff steps.Diff       // as it stood in the intent, with Before
	at   journal.AgentRef // where the agent's record has its undo
}

// PlanRollback says what Rollback would do. It looks at no node.
func PlanRollback(ctx context.Context, o Options, ro RollbackOptions) (*RollbackPlan, error) {
	r, err := newRun(ctx, o)
	if err != nil {
		return nil, err
	}
	acts, err := r.standingActs(ro)
	if err != nil {
		return nil, err
	}
	p := &RollbackPlan{Acts: []RollbackAct{}}
	stopped := false
	for _, sa := range acts {
		do, why := sa.verdict(ro.Leave)
		a := RollbackAct{Task: sa.task.ID, Phase: sa.task.Phase, Node: sa.task.Node, Kind: sa.act.Intent.Kind, Do: do,
			Why: why, Beyond: stopped, Open: !sa.act.Done}
		stopped = stopped || (do == DoStop && sa.act.Done) // one whose end is open may turn out not to have happened
		if do == DoUndo {
			for _, c := range sa.diff.Changes {
				a.Changes = append(a.Changes, steps.Change{Attr: c.Attr, From: c.To, To: c.From})
			}
		}
		p.Acts = append(p.Acts, a)
	}
	return p, nil
}

// Rollback takes back what the journal says was done or begun, newest first, giving each its own
// Before. It stops before a point of no return that is not to be left, as ErrNoReturn. It can be
// cut off and run again. What it took back, the next apply does again.
func Rollback(ctx context.Context, o Options, ro RollbackOptions) (*Summary, error) {
	if o.Command == "" {
		o.Command = "rollback"
	}
	r, err := newRun(ctx, o)
	if err != nil {
		return nil, err
	}
	defer r.close()
	r.undoing, r.acting = true, true
	r.prog = r.o.Program
	r.emit(Event{Kind: EvRunStart, Text: r.o.Command})
	if _, err := r.standingActs(ro); err != nil {
		return nil, r.ended(HowFailed, err) // before anything is written
	}
	if err := r.begin(&ro); err != nil {
		return nil, r.ended(HowFailed, err)
	}
	if err := r.syncAll(ctx); err != nil {
		r.fail(err)
		return r.end(ctx)
	}
	acts, err := r.standingActs(ro)
	if err != nil {
		r.fail(err)
		return r.end(ctx)
	}
	r.toUndo = len(acts)
	r.fail(r.undoAll(ctx, acts, ro.Leave))
	return r.end(ctx)
}

// takeBack undoes what was done in a phase since its last checkpoint: the policy of a phase that
// does not want to be left half done.
func (r *run) takeBack(ctx context.Context, ph steps.Phase) error {
	r.mu.Lock()
	var from int64
	if s, ok := r.state.Phases[ph.ID]; ok {
		from = s.Checkpoint
	}
	acts, err := r.decodeActs(func(t *journal.TaskState, a journal.Act) bool { return t.Phase == ph.ID && a.Seq > from })
	r.mu.Unlock()
	if err != nil {
		return err
	}
	r.failing.Store(false) // the failure is kept; taking back is new work
	defer r.failing.Store(true)
	return r.undoAll(ctx, acts, nil)
}

// standingActs lists what a rollback has to take back, newest first.
func (r *run) standingActs(ro RollbackOptions) ([]standingAct, error) {
	var phases []string
	keep := map[string]bool{}
	for _, ph := range r.o.Program.Phases {
		phases = append(phases, ph.ID)
	}
	if ro.ToPhase != "" {
		if err := known("phase", []string{ro.ToPhase}, phases); err != nil {
			return nil, err
		}
		// a phase that the playbook no longer has is not before anything, so its work goes
		for _, id := range phases[:slices.Index(phases, ro.ToPhase)+1] {
			keep[id] = true
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.decodeActs(func(t *journal.TaskState, _ journal.Act) bool { return !keep[t.Phase] })
}

// decodeActs makes steps of the journalled acts that want agrees to, so that a rollback works when
// the site or the playbook has changed or lost the step. The caller holds mu.
func (r *run) decodeActs(want func(*journal.TaskState, journal.Act) bool) ([]standingAct, error) {
	if r.o.Decode == nil {
		return nil, errors.New("cannot take anything back: no decoder of steps was given")
	}
	timeouts := map[string]steps.Task{}
	for _, t := range r.o.Program.Tasks() {
		timeouts[t.ID] = t
	}
	var out []standingAct
	for _, t := range r.state.Tasks {
		for _, a := range t.Acts {
			if !want(t, a) {
				continue
			}
			d, err := diffOf(a)
			if err != nil {
				return nil, fmt.Errorf("cannot read act %d (%s): %w", a.Seq, t.ID, err)
			}
			s, err := r.o.Decode(a.Intent.Kind, a.Intent.Step)
			if err != nil {
				return nil, fmt.Errorf("cannot read act %d (%s): %w", a.Seq, t.ID, err)
			}
			out = append(out, standingAct{act: a, diff: d, task: steps.Task{
				ID: t.ID, Phase: t.Phase, Node: t.Node, Step: s, Timeout: timeouts[t.ID].Timeout,
			}})
		}
	}
	slices.SortFunc(out, func(a, b standingAct) int { return int(b.act.Seq - a.act.Seq) })
	return out, nil
}

func diffOf(a journal.Act) (steps.Diff, error) {
	var d steps.Diff
	err := unmarshal(a.Intent.Diff, &d)
	return d, err
}

func unmarshal(data json.RawMessage, v any) error {
	if len(data) == 0 {
		return nil
	}
	return json.Unmarshal(data, v)
}

// verdict says what a rollback does with the act, and why.
func (sa standingAct) verdict(leave []string) (do, why string) {
	if sa.diff.Effects.NothingToUndo {
		return DoPass, "it changed nothing that needs undoing"
	}
	why = task.NoReturn(sa.task.Step, sa.diff)
	if why == "" {
		return DoUndo, ""
	}
	step, _, _ := strings.Cut(sa.task.ID, "@")
	step, _, _ = strings.Cut(step, "[")
	if slices.Contains(leave, sa.task.ID) || slices.Contains(leave, step) {
		return DoLeave, why
	}
	return DoStop, why
}

// undoAll takes acts back in the given order and stops at the first that does not go.
func (r *run) undoAll(ctx context.Context, acts []standingAct, leave []string) error {
	for _, sa := range acts {
		if r.halted(ctx) {
			return nil
		}
		if err := r.undoOne(ctx, sa, leave); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) undoOne(ctx context.Context, sa standingAct, leave []string) error {
	do, why := sa.verdict(leave)
	if do == DoPass {
		return r.passed(ctx, sa, why)
	}
	if err := r.settleReboot(ctx, sa.task); err != nil {
		return err
	}
	if !sa.act.Done {
		// begun, or already half taken back: perhaps there is nothing to do
		same, err := r.restored(ctx, sa)
		if err != nil {
			return err
		}
		if same {
			return r.undone(ctx, sa, "the node shows what was there before it")
		}
	}
	switch do {
	case DoLeave:
		e := event(EvLeft, sa.task)
		e.Text = why
		r.emit(e)
		r.mu.Lock()
		r.sum.Left = append(r.sum.Left, PlanNote{sa.task.ID, why})
		r.mu.Unlock()
		return nil
	case DoStop:
		err := &TaskError{"undo", sa.task.ID, sa.task.Node, hint.Wrap(fmt.Errorf("%s: %w", why, ErrNoReturn),
			"what was done after it is taken back; --leave "+sa.task.ID+" passes over it and goes on")}
		r.emit(event(EvUndoFailed, sa.task).failed(err))
		return err
	}
	return r.undo(ctx, sa)
}

// undo takes one act back and looks whether the node is as it was.
func (r *run) undo(ctx context.Context, sa standingAct) error {
	t := sa.task
	for try := 1; ; try++ {
		if _, err := r.note(ctx, journal.UndoBegin, t, journal.Note{Act: sa.act.Seq}); err != nil {
			return err
		}
		r.emit(event(EvUndoBegin, t))
		err := r.bounded(ctx, t, "the undo of", func(ctx context.Context, ex Executor) error {
			w, ok := ex.(Worker)
			if !ok {
				return ex.Undo(ctx, t.Step, sa.diff.Before)
			}
			var err error
			sa.at, err = w.TakeBack(ctx, Undoing{Run: r.o.Run, Task: t.ID, Phase: t.Phase, Step: t.Step, Before: sa.diff.Before,
				Act: sa.act})
			return err
		})
		r.acted(t.Node)
		if errors.Is(err, steps.ErrRebootDue) {
			if err = r.reboot(ctx, t, journal.AgentRef{}); err != nil {
				return err
			}
		}
		if err == nil {
			break
		}
		if !sent(err) && ctx.Err() == nil {
			return r.undoFailed(ctx, sa, err)
		}
		if nerr := r.lost(ctx, t, err); nerr != nil {
			return nerr
		}
		if ctx.Err() != nil {
			return &TaskError{"undo", t.ID, t.Node, err}
		}
		r.drop(t.Node)
		same, lerr := r.restored(ctx, sa)
		switch {
		case lerr != nil:
			return lerr
		case same:
			return r.undone(ctx, sa, "the link broke under way; the node shows what was there before")
		case try == maxTries:
			return r.undoFailed(ctx, sa, fmt.Errorf("the link broke %d times: %w", try, err))
		}
	}
	if err := r.check(ctx, t.Node, []steps.Task{t}); err != nil {
		return r.undoFailed(ctx, sa, err)
	}
	k := r.lookOf(t.ID)
	var until *steps.UntilError
	switch {
	case errors.As(k.err, &until):
		// what it stood on is gone as well, so there is nothing left to compare
		return r.undone(ctx, sa, k.err.Error())
	case k.err != nil:
		return r.undoFailed(ctx, sa, k.err)
	case len(k.diff.Before) > 0 && len(sa.diff.Before) > 0:
		if now, was := canonical(k.diff.Before), canonical(sa.diff.Before); now != was {
			return r.undoFailed(ctx, sa, fmt.Errorf("it %w: recorded was %s, found is %s", ErrDidNotHold, short(was),
				short(now)))
		}
	case k.diff.Action == steps.NoOp && sa.diff.Action != steps.Run:
		return r.undoFailed(ctx, sa, fmt.Errorf("it %w: the node is still as the step wished", ErrDidNotHold))
	}
	return r.undone(ctx, sa, "")
}

// restored says that the node is as it was before the act, as far as its check can tell.
func (r *run) restored(ctx context.Context, sa standingAct) (bool, error) {
	if err := r.check(ctx, sa.task.Node, []steps.Task{sa.task}); err != nil {
		te := &TaskError{"undo", sa.task.ID, sa.task.Node, err}
		r.emit(event(EvUndoFailed, sa.task).failed(te))
		return false, te
	}
	k := r.lookOf(sa.task.ID)
	if k.err != nil || len(sa.diff.Before) == 0 || len(k.diff.Before) == 0 {
		return false, nil // undo restores a recorded state, so it may be called on whatever is there
	}
	return canonical(k.diff.Before) == canonical(sa.diff.Before), nil
}

func (r *run) undone(ctx context.Context, sa standingAct, text string) error {
	if _, err := r.note(ctx, journal.Undone, sa.task,
		journal.Note{Act: sa.act.Seq, Note: text, Agent: sa.at}); err != nil {
		return err
	}
	e := event(EvUndone, sa.task)
	e.Text = text
	r.emit(e)
	r.countEvent(EvUndone, sa.task)
	return nil
}

// passed notes that the act leaves nothing to take back. It counts as looked at, not as undone.
func (r *run) passed(ctx context.Context, sa standingAct, why string) error {
	if _, err := r.note(ctx, journal.Undone, sa.task, journal.Note{Act: sa.act.Seq, Note: why}); err != nil {
		return err
	}
	e := event(EvNoOp, sa.task)
	e.Text = why
	r.emit(e)
	r.countEvent(EvNoOp, sa.task)
	return nil
}

func (r *run) undoFailed(ctx context.Context, sa standingAct, err error) error {
	te := &TaskError{"undo", sa.task.ID, sa.task.Node, err}
	if _, jerr := r.note(ctx, journal.UndoFailed, sa.task,
		journal.Failure{Error: r.o.Redact(te.Error()), Hint: hint.Of(err), Agent: sa.at}); jerr != nil {
		return errors.Join(te, jerr)
	}
	r.emit(event(EvUndoFailed, sa.task).failed(te))
	return te
}

// short keeps an error readable.
func short(s string) string {
	const limit = 300
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "") + "..."
}
