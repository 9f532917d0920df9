package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"deploy/internal/hint"
	"deploy/internal/journal"
	"deploy/steps"
)

// ErrLeft: a rollback undid what it could and left something that nobody had asked to leave. The
// Summary lists it.
var ErrLeft = errors.New("left as it is")

// RollbackOptions say what a rollback takes back. Without All, Runs, ToPhase, Nodes and Tasks it is
// the last run that changed something; with some of them it is what all of them agree to.
type RollbackOptions struct {
	All  bool     `json:"all,omitempty"`
	Runs []string `json:"runs,omitempty"` // ids of runs
	// back to this phase's checkpoint: its own work and that of the phases before it stays
	ToPhase string   `json:"to_phase,omitempty"`
	Nodes   []string `json:"nodes,omitempty"`
	Tasks   []string `json:"tasks,omitempty"` // task ids or phase/step; both may hold * and ?, as in a Selection
	// Leave names tasks, phase/step, or nodes that are passed over.
	Leave []string `json:"leave,omitempty"`
	// Overwrite names tasks or phase/step that are undone even where the machine was changed since.
	Overwrite []string `json:"overwrite,omitempty"`
}

// scoped says that the options name what is taken back.
func (ro RollbackOptions) scoped() bool {
	return ro.All || len(ro.Runs) > 0 || ro.ToPhase != "" || len(ro.Nodes) > 0 || len(ro.Tasks) > 0
}

// RollbackPlan is what a rollback would do, as the journal alone tells it.
type RollbackPlan struct {
	Scope RollbackOptions `json:"scope"` // as it was asked for, with the runs that this means
	Runs  []RollbackRun   `json:"runs"`  // whose acts they are, newest first
	Acts  []RollbackAct   `json:"acts"`  // newest first
}

// RollbackRun is a run of which something would be undone.
type RollbackRun struct {
	ID      string    `json:"id"`
	Command string    `json:"command,omitempty"`
	Who     string    `json:"who,omitempty"`
	Started time.Time `json:"started,omitzero"`
	Steps   int       `json:"steps"` // that would be undone
}

// Undoes is how many acts a rollback would undo, as far as the journal can tell.
func (p *RollbackPlan) Undoes() int {
	n := 0
	for _, a := range p.Acts {
		if a.undone() {
			n++
		}
	}
	return n
}

// RollbackAct is one act of an earlier run.
type RollbackAct struct {
	Task   string `json:"task"`
	Phase  string `json:"phase"`
	Node   string `json:"node"`
	Kind   string `json:"kind"`
	Run    string `json:"run"`
	Do     string `json:"do"` // undo, pass (nothing to undo), leave, stop
	Why    string `json:"why,omitempty"`
	Beyond bool   `json:"beyond,omitempty"` // it is not touched, since a point of no return stands on it
	Open   bool   `json:"open,omitempty"`   // whether it was done is not known; the node will be looked at
	// what undoing changes: from the desired value back to the previous one
	Changes []steps.Change `json:"changes,omitempty"`
}

func (a RollbackAct) undone() bool { return a.Do == DoUndo && !a.Beyond }

// What a rollback does with an act. DoStop is a point of no return: it is left, and with it what is
// older on its node or in a phase that it needed.
const (
	DoUndo  = "undo"
	DoPass  = "pass"
	DoLeave = "leave"
	DoStop  = "stop"
)

// PlanRollback says what Rollback would do. It looks at no node.
func PlanRollback(ctx context.Context, o Options, ro RollbackOptions) (*RollbackPlan, error) {
	r, err := newRun(ctx, o)
	if err != nil {
		return nil, err
	}
	if ro, err = r.scope(ro); err != nil {
		return nil, err
	}
	acts, err := r.standingActs(ro)
	if err != nil {
		return nil, err
	}
	b := r.newTakingBack(acts, ro)
	p := &RollbackPlan{Scope: ro, Runs: []RollbackRun{}, Acts: []RollbackAct{}}
	for _, sa := range acts {
		do, why := b.verdict(sa)
		_, beyond := b.stopped(sa)
		a := RollbackAct{Task: sa.task.ID, Phase: sa.task.Phase, Node: sa.task.Node, Kind: sa.act.Intent.Kind,
			Run: sa.act.Run, Do: do, Why: why, Beyond: beyond, Open: !sa.act.Done}
		if do == DoStop && sa.act.Done { // one whose end is open may turn out not to have happened
			b.stop(sa, "")
		}
		if do == DoUndo {
			for _, c := range sa.diff.Changes {
				a.Changes = append(a.Changes, steps.Change{Attr: c.Attr, From: c.To, To: c.From})
			}
		}
		p.Acts = append(p.Acts, a)
		p.count(a, r.rec.State.Run(a.Run))
	}
	return p, nil
}

func (p *RollbackPlan) count(a RollbackAct, run *journal.RunState) {
	i := slices.IndexFunc(p.Runs, func(r RollbackRun) bool { return r.ID == a.Run })
	if i < 0 {
		i = len(p.Runs)
		rr := RollbackRun{ID: a.Run}
		if run != nil {
			rr.Command, rr.Who, rr.Started = run.Info.Command, run.Info.Who, run.Started
		}
		p.Runs = append(p.Runs, rr)
	}
	p.Runs[i].Steps += btoi(a.undone())
}

// Rollback takes back what the journal says was done or begun, giving each act its own Before:
// newest first on each node, the nodes side by side where no phase says otherwise. What was changed
// since, what cannot be undone and what cannot be reached is left and told; the rest goes on. It is
// ErrLeft when something was left that Leave does not name. It can be cut off and run again. What
// it took back, the next apply does again.
func Rollback(ctx context.Context, o Options, ro RollbackOptions) (*Summary, error) {
	if o.Command == "" {
		o.Command = "rollback"
	}
	r, err := newRun(ctx, o)
	if err != nil {
		return nil, err
	}
	defer r.links.close()
	r.undoing, r.acting = true, true
	r.prog = r.o.Program
	r.emit(Event{Kind: EvRunStart, Text: r.o.Command})
	ro, err = r.scope(ro)
	if err != nil {
		return nil, r.ended(HowFailed, err) // before anything is written
	}
	acts, err := r.standingActs(ro)
	if err != nil {
		return nil, r.ended(HowFailed, err)
	}
	owned, err := r.chargeOf(ctx, acts, ro)
	if err != nil {
		return nil, r.ended(HowFailed, err)
	}
	if err := r.begin(&ro); err != nil {
		return nil, r.ended(HowFailed, err)
	}
	if err := r.enter(ctx, owned); err != nil {
		r.fail(err)
		return r.end(ctx)
	}
	silent := r.syncThese(ctx, r.tellers(ro))
	if acts, err = r.standingActs(ro); err != nil {
		r.fail(err)
		return r.end(ctx)
	}
	r.toUndo = len(acts)
	b := r.newTakingBack(acts, ro)
	b.silent = silent
	b.run(ctx)
	r.fail(b.result(ctx))
	return r.end(ctx)
}

// takeBack undoes what was done in a phase since its last checkpoint: the policy of a phase that
// does not want to be left half done.
func (r *run) takeBack(ctx context.Context, ph steps.Phase) error {
	r.rec.Lock()
	var from int64
	if s, ok := r.rec.State.Phases[ph.ID]; ok {
		from = s.Checkpoint
	}
	acts, err := r.decodeActs(func(t *journal.TaskState, a journal.Act) bool { return t.Phase == ph.ID && a.Seq > from })
	r.rec.Unlock()
	if err != nil {
		return err
	}
	r.failing.Store(false) // the failure is kept; taking back is new work
	defer r.failing.Store(true)
	b := r.newTakingBack(acts, RollbackOptions{All: true})
	b.run(ctx)
	return b.failures()
}

// syncThese lets the agents on these nodes tell what the journal lacks. It returns the nodes on
// which that did not go, and why.
func (r *run) syncThese(ctx context.Context, names []string) map[string]error {
	silent := map[string]error{}
	errs := make([]error, len(names))
	at := map[string]int{}
	for i, name := range names {
		at[name] = i
	}
	r.eachNode(names, func(name string) { errs[at[name]] = r.sync(ctx, name) })
	for i, err := range errs {
		if err != nil {
			silent[names[i]] = err
		}
	}
	return silent
}

// tellers are the nodes whose agents a rollback asks first what they did: an agent that was at work
// may have done more than the journal knows.
func (r *run) tellers(ro RollbackOptions) []string {
	r.rec.Lock()
	defer r.rec.Unlock()
	names := map[string]bool{}
	for name := range r.rec.State.Agents {
		names[name] = true
	}
	for name := range r.rec.State.Owing {
		names[name] = true
	}
	var out []string
	for name := range names {
		chosen := len(ro.Nodes) == 0 || fits(ro.Nodes, name)
		if chosen && r.inSite(name) && !fits(ro.Leave, name) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// inSite says that the site has the node, as far as this is known.
func (r *run) inSite(name string) bool {
	return r.o.Inventory == nil || slices.Contains(r.o.Inventory, name)
}

// leftBehind is the error of a rollback that left something unasked.
func leftBehind(left []LeftNote) error {
	n, last := 0, LeftNote{}
	for _, l := range left {
		if !l.Asked {
			n += l.Acts
			last = l
		}
	}
	var err leftError
	switch {
	case n == 0:
		return nil
	case n == 1:
		err = leftError(cmp.Or(last.Task, last.Node) + " is left as it is: " + last.Text)
	case n == last.Acts:
		err = leftError(fmt.Sprintf("%d acts on %s are left as they are: %s", n, last.Node, last.Text))
	default:
		err = leftError(fmt.Sprintf("%d acts are left as they are", n))
	}
	if h := last.Hint; n == last.Acts && h != "" {
		return hint.Wrap(err, h)
	}
	return hint.Wrap(err, "run it again once the reasons are gone; --leave TASK or --leave NODE says that it may stay, "+
		"--overwrite TASK undoes what was changed since")
}

// leftError is an ErrLeft.
type leftError string

func (e leftError) Error() string { return string(e) }

func (e leftError) Is(target error) bool { return target == ErrLeft }
