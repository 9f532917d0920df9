package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"deploy/internal/hint"
	"deploy/internal/journal"
	"deploy/internal/task"
	"deploy/steps"
)

// maxTries is how often one act is begun in one run when its outcome is lost and the node then
// shows that it is not done.
const maxTries = 3

// nodeTasks works through the tasks of one node in a stage. The first look covers all of them,
// since mostly nothing is to be done; after an act the next one alone is looked at again, together
// with the proof of the act, and the view widens as long as nothing is found.
func (r *run) nodeTasks(ctx context.Context, tasks []steps.Task, since int64) error {
	window := len(tasks)
	alone := -1 // the task that the agent has left to us
	for i := 0; i < len(tasks); {
		t := tasks[i]
		if r.halted(ctx) {
			return nil
		}
		if err := r.sync(ctx, t.Node); err != nil {
			return r.failed(ctx, "check", t, err)
		}
		if err := r.settleReboot(ctx, t); err != nil {
			return err
		}
		// a restart has made a new link
		if err := r.sync(ctx, t.Node); err != nil {
			return r.failed(ctx, "check", t, err)
		}
		if told, err := r.toldLate(t); err != nil {
			return err
		} else if told {
			i++
			continue
		}
		if i != alone && !r.wished(t, since) && r.timesLost(t.ID) < maxTries {
			n, what, err := r.handOver(ctx, tasks[i:])
			if err != nil {
				return err
			}
			i += n
			if what == leftToUs {
				alone = i
			}
			if what != notTaken {
				continue
			}
		}
		if !r.fresh(t, since) {
			ask := tasks[i:min(len(tasks), i+window)]
			window *= 2
			if err := r.check(ctx, t.Node, ask); err != nil {
				return r.failed(ctx, "check", t, err)
			}
		}
		var next []steps.Task
		if i+1 < len(tasks) {
			next = tasks[i+1 : i+2]
		}
		acted, err := r.doTask(ctx, t, next)
		if err != nil {
			return err
		}
		if acted {
			window = 1
		}
		i++
	}
	return nil
}

// wished says that the last look at t still holds, and found nothing to do.
func (r *run) wished(t steps.Task, since int64) bool {
	k := r.lookOf(t.ID)
	return r.fresh(t, since) && k.err == nil && k.diff.Action == steps.NoOp
}

// fresh says that the last look at t still holds: nothing was done anywhere between it and the
// beginning of the stage, nor on its own node since.
func (r *run) fresh(t steps.Task, since int64) bool {
	r.rec.Lock()
	defer r.rec.Unlock()
	k, ok := r.known[t.ID]
	return ok && k.stamp >= max(since, r.nodeAct[t.Node])
}

// acted notes that something was done on a node: what was seen there before counts no more.
func (r *run) acted(name string) {
	r.rec.Lock()
	defer r.rec.Unlock()
	r.nodeAct[name] = r.acts.Add(1)
}

// doTask brings one task to its end, on a fresh look. It says whether something was done.
func (r *run) doTask(ctx context.Context, t steps.Task, next []steps.Task) (bool, error) {
	k := r.lookOf(t.ID)
	if k.err != nil {
		return false, r.failed(ctx, "check", t, k.err)
	}
	if k.diff.Action == steps.NoOp || r.recalled(t, k.diff) {
		return false, r.nothing(ctx, t)
	}
	if g, ok := t.Step.(steps.Gated); ok {
		return true, r.gate(ctx, t, g.Gate(), k.diff)
	}
	return true, r.act(ctx, t, k.diff, next)
}

// nothing notes that a task needs nothing. The journal hears it once; and where it had been left
// open, it hears how it ended.
func (r *run) nothing(ctx context.Context, t steps.Task) error {
	st := r.rec.Task(t.ID)
	kind, text := journal.NoOp, ""
	proof := r.lookOf(t.ID).diff.Proof
	switch st.Status {
	case journal.StatusDone, journal.StatusUnchanged:
		if proof != "" && proof != st.Proof { // another one than the journal knows
			if st.Status == journal.StatusDone {
				kind = journal.Done
			}
			break
		}
		r.emit(event(EvNoOp, t))
		r.countEvent(EvNoOp, t)
		return nil
	case journal.StatusNotStarted, journal.StatusUndone:
		if r.wasHanded(t.ID) {
			kind, text = journal.Done, "it was given to the agent, and a check shows that it is done; the previous state "+
				"is not known"
		}
	case journal.StatusFailed:
		if len(st.Acts) > 0 {
			kind, text = journal.Done, "a check shows that it is done"
		}
	case journal.StatusBegun, journal.StatusLost:
		kind, text = journal.Done, "an earlier run began it; a check shows that it is done"
		if err := r.rebootIfOwed(ctx, t, st); err != nil {
			return err
		}
	default:
		kind, text = journal.Done, "a check shows that it is done"
	}
	var data any
	if text != "" || proof != "" {
		data = journal.Note{Note: text, Proof: proof}
	}
	if _, err := r.note(ctx, kind, t, data); err != nil {
		return err
	}
	e := event(EvNoOp, t)
	if kind == journal.Done {
		e.Kind, e.Text = EvDone, text
	}
	r.emit(e)
	r.countEvent(e.Kind, t)
	return nil
}

// act does what is missing, and settles by a look what it hears no end of.
func (r *run) act(ctx context.Context, t steps.Task, d steps.Diff, next []steps.Task) error {
	if err := r.approve(ctx, t, d); err != nil {
		if errors.Is(err, errHalted) {
			return nil
		}
		return err
	}
	do := &doing{r: r, t: t, next: next, start: r.o.Now()}
	for try := 1; ; try++ {
		end, err := task.Run(ctx, do, d)
		if errors.Is(err, errHalted) {
			return nil
		}
		if end.Verb != "apply" || !do.unheard {
			return do.ended(ctx, end, err)
		}
		// neither "it worked" nor "it failed": the node will tell
		if nerr := r.lost(ctx, t, err); nerr != nil {
			return nerr
		}
		if ctx.Err() != nil {
			return &TaskError{"apply", t.ID, t.Node, err}
		}
		r.links.drop(t.Node)
		if err := r.check(ctx, t.Node, []steps.Task{t}); err != nil {
			return r.failed(ctx, "check", t, err)
		}
		k := r.lookOf(t.ID)
		switch {
		case k.err != nil:
			return r.failed(ctx, "check", t, k.err)
		case k.diff.Action == steps.NoOp:
			if err := r.rebootIfOwed(ctx, t, r.rec.Task(t.ID)); err != nil {
				return err
			}
			return r.done(ctx, t, journal.Note{Note: "connection lost during the step; a check shows that it is done"}, do.start)
		case try == maxTries:
			return r.failed(ctx, "apply", t, fmt.Errorf("connection lost %d times, and a check shows that it is not done: %w",
				try, err))
		case r.stopped():
			return nil // begun and lost: the next run goes on from there
		}
		d = k.diff
	}
}

// doing is a task.Doer: a task that is done from here, over an executor.
type doing struct {
	r     *run
	t     steps.Task
	next  []steps.Task // looked at together with the proof
	start time.Time
	at    journal.AgentRef // where an agent's record says that a restart is due

	unheard bool // the act was asked for, and its answer was not heard
}

// Begin writes the intent to the journal.
func (a *doing) Begin(ctx context.Context, d steps.Diff) error {
	r, t := a.r, a.t
	ex, err := r.links.open(ctx, t.Node)
	if err != nil {
		return r.failed(ctx, "apply", t, err)
	}
	intent := journal.Intent{Kind: t.Step.Kind(), Step: steps.MustJSON(t.Step), Diff: steps.MustJSON(d),
		BootID: ex.Facts().BootID, Restart: restartOf(d.Effects)}
	if _, err := r.note(ctx, journal.Begin, t, intent); err != nil {
		return err
	}
	r.emit(event(EvBegin, t).with(d))
	return nil
}

// Act calls Apply, again when the request never left.
func (a *doing) Act(ctx context.Context, d steps.Diff) (steps.Outcome, error) {
	var out steps.Outcome
	err := a.r.bounded(ctx, a.t, "the end of", func(ctx context.Context, ex Executor) error {
		var err error
		out, err = ex.Apply(ctx, a.t.Step, d)
		return err
	})
	a.r.acted(a.t.Node)
	a.unheard = err != nil && (sent(err) || ctx.Err() != nil)
	if err == nil {
		a.r.warnings(a.t, out)
	}
	return out, err
}

// Restart restarts the node and waits for it.
func (a *doing) Restart(ctx context.Context) (bool, error) { return true, a.r.reboot(ctx, a.t, a.at) }

// Look checks the task, and the one that follows.
func (a *doing) Look(ctx context.Context) (steps.Diff, error) {
	if err := a.r.check(ctx, a.t.Node, append([]steps.Task{a.t}, a.next...)); err != nil {
		return steps.Diff{}, err
	}
	k := a.r.lookOf(a.t.ID)
	return k.diff, k.err
}

// Pause waits on the run's clock.
func (a *doing) Pause(ctx context.Context, d time.Duration) error { return a.r.o.Sleep(ctx, d) }

// Patience is that with the task's kind.
func (a *doing) Patience() time.Duration { return task.PatienceFor(a.t.Step) }

// ended writes down how the task ended. What failed before or beside the act is written already.
func (a *doing) ended(ctx context.Context, end task.End, err error) error {
	r := a.r
	switch {
	case err != nil && (end.Verb == "begin" || end.Verb == "restart"):
		return err
	case err != nil:
		return r.failed(ctx, end.Verb, a.t, err)
	}
	n := journal.Note{Note: r.o.Redact(end.Outcome.Note)}
	for _, w := range end.Outcome.Warnings {
		n.Warnings = append(n.Warnings, r.o.Redact(w))
	}
	return r.done(ctx, a.t, n, a.start)
}

// warnings tells what an act warns of.
func (r *run) warnings(t steps.Task, out steps.Outcome) {
	for _, w := range out.Warnings {
		e := event(EvWarning, t)
		e.Text = w
		r.emit(e)
	}
}

// bounded calls f, which may change the node, with the task's time limit, and again when the
// request never left. what stands before the task's id where people are told what is waited for.
func (r *run) bounded(ctx context.Context, t steps.Task, what string,
	f func(ctx context.Context, ex Executor) error) error {
	limit := t.Timeout
	if limit <= 0 {
		limit = r.o.StepTimeout
	}
	var final error
	err := r.links.retry(ctx, t.Node, true, func() error {
		ex, err := r.links.open(ctx, t.Node)
		if err != nil {
			final = err
			return nil // open has its own row of tries
		}
		if err := r.takeCharge(ctx, t.Node, ex, limit, t.ID); err != nil {
			return r.unsent(t.Node, err)
		}
		tctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		r.beat(event(EvHeartbeat, t), r.waitText(what+" "+t.ID, ex), func() {
			if err = f(tctx, ex); err == nil {
				err = r.actEnded(tctx, t.Node, ex)
			}
		})
		if err != nil && errors.Is(tctx.Err(), context.DeadlineExceeded) && ctx.Err() == nil {
			r.links.drop(t.Node) // what hangs there must not hold up the look that follows
			final = hint.Wrap(fmt.Errorf("it did not end within %s: %w", limit, err),
				"set timeout on the step in the playbook")
			return nil
		}
		if err != nil && linkBroke(err) {
			r.links.drop(t.Node)
			if sent(err) {
				final = err
				return nil
			}
		}
		return err
	})
	if notOurs(err) || notOurs(final) {
		r.failing.Store(true) // nothing more is begun anywhere
	}
	if final != nil {
		return final
	}
	return err
}

// waitText says what is waited for, and behind it the last line of what it prints, where the
// executor can tell.
func (r *run) waitText(what string, ex Executor) func() string {
	return func() string {
		if d, ok := ex.(interface{ Doing() string }); ok {
			if line := d.Doing(); line != "" {
				return what + ": " + r.o.Redact(line)
			}
		}
		return what
	}
}

// recalled says that the proof was given, and that nothing which runs before it was changed since.
func (r *run) recalled(t steps.Task, d steps.Diff) bool {
	if !task.IsProof(d) {
		return false
	}
	r.rec.Lock()
	defer r.rec.Unlock()
	st := r.rec.State.Task(t.ID)
	if st.Status != journal.StatusDone || len(st.Acts) == 0 || !sameStep(st.Acts[len(st.Acts)-1], t.Step) {
		return false
	}
	for _, earlier := range r.o.Program.Tasks() {
		if earlier.ID == t.ID {
			return true
		}
		if r.rec.State.Task(earlier.ID).Changed > st.Seq {
			return false
		}
	}
	return true
}

func sameStep(a journal.Act, s steps.Step) bool {
	return a.Intent.Kind == s.Kind() && string(a.Intent.Step) == string(steps.MustJSON(s))
}

// done writes down that a task is done.
func (r *run) done(ctx context.Context, t steps.Task, n journal.Note, start time.Time) error {
	n.Recorded = r.recordedOn(t.Node)
	if _, err := r.note(ctx, journal.Done, t, n); err != nil {
		return err
	}
	e := event(EvDone, t).since(r, start)
	e.Text = n.Note
	r.emit(e)
	r.countEvent(EvDone, t)
	return nil
}

// failed writes down that a task failed and returns the error for the run.
func (r *run) failed(ctx context.Context, verb string, t steps.Task, err error) error {
	return r.failedAt(ctx, verb, t, err, journal.AgentRef{})
}

// failedAt is failed for what an agent's record says.
func (r *run) failedAt(ctx context.Context, verb string, t steps.Task, err error, at journal.AgentRef) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return &TaskError{verb, t.ID, t.Node, err} // left, not failed
	}
	var until *steps.UntilError
	if errors.As(err, &until) {
		err = hint.Wrap(err, "include the phase that creates it")
	}
	te := &TaskError{verb, t.ID, t.Node, err}
	// that nobody can be asked, or nobody believed, says nothing of the task, and an entry would say
	// that something was heard of it
	if !errors.Is(err, errUnheard) && !errors.Is(err, ErrReport) {
		if _, jerr := r.note(ctx, journal.Failed, t, r.failure(te, at)); jerr != nil {
			return errors.Join(te, jerr)
		}
	}
	r.emit(event(EvFailed, t).failed(te))
	r.countEvent(EvFailed, t)
	return te
}

func (r *run) failure(err error, at journal.AgentRef) journal.Failure {
	return journal.Failure{Error: r.o.Redact(err.Error()), Hint: hint.Of(err), Agent: at}
}

// lost writes down that the outcome of what was begun is unknown.
func (r *run) lost(ctx context.Context, t steps.Task, err error) error {
	if _, jerr := r.note(ctx, journal.Lost, t, journal.Note{Note: r.o.Redact(err.Error())}); jerr != nil {
		return errors.Join(err, jerr)
	}
	r.emit(event(EvLost, t).failed(err))
	return nil
}

// errHalted says that the run came to its end while a question waited for its turn.
var errHalted = errors.New("the run has ended")

// approve asks before a point of no return. What was begun before was agreed to then.
func (r *run) approve(ctx context.Context, t steps.Task, d steps.Diff) error {
	why := task.NoReturn(t.Step, d)
	if why == "" {
		return nil
	}
	for _, a := range r.rec.Task(t.ID).Acts {
		if !a.Done && sameStep(a, t.Step) {
			return nil
		}
	}
	e := event(EvApprove, t).with(d)
	e.Text = why
	r.emit(e)
	ok := false
	if r.o.Approve != nil {
		r.ask.Lock()
		defer r.ask.Unlock()
		if r.halted(ctx) {
			return errHalted
		}
		var err error
		ok, err = r.o.Approve(ctx, Approval{Task: t.ID, Phase: t.Phase, Node: t.Node, Kind: t.Step.Kind(), Why: why,
			Changes: d.Changes})
		if errors.Is(err, ErrStopped) {
			return errHalted
		}
		if err != nil {
			return &TaskError{"apply", t.ID, t.Node, err}
		}
	}
	if !ok {
		return hint.Wrap(fmt.Errorf("%s was %w: %s", t.ID, ErrDeclined, why),
			"it is a point of no return: nothing of it was done; run again to be asked again")
	}
	return nil
}
