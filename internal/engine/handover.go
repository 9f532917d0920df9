package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"deploy/internal/hint"
	"deploy/internal/journal"
	"deploy/internal/task"
	"deploy/steps"
)

// handed is how a row of tasks was left by an agent.
type handed int

const (
	notTaken handed = iota // there is no agent, or nothing that it may do by itself
	leftToUs               // the task after those that are at their end is the engine's
	goOn                   // the rest may be handed over again
)

// sync lets the agent on a node tell what it did that the journal does not have, once for every
// link. Where there is no agent, dial has seen to it that there is nothing to be told.
func (r *run) sync(ctx context.Context, name string) error {
	return r.links.reads(ctx, name, func(ex Executor) error {
		w, ok := ex.(Worker)
		l := r.links.of(name)
		l.mu.Lock()
		synced := l.synced
		l.mu.Unlock()
		if err := r.seeRestart(ctx, name, ex.Facts().BootID); err != nil {
			return err
		}
		if !ok || synced {
			return nil
		}
		b := r.books(name)
		b.Forget = slices.Contains(r.o.ForgetAgents, name)
		var err error
		r.beat(Event{Node: name}, always("the agent on "+name+" to finish its current step"), func() {
			err = r.askLate(ctx, name, w, b)
		})
		switch {
		case err == nil:
			r.atRest(name)
			l.mu.Lock()
			l.synced = l.ex == ex
			l.mu.Unlock()
		case errors.Is(err, ErrReport), errors.Is(err, errMute):
			r.links.drop(name)
		case errors.Is(err, task.ErrRecordDamaged):
			err = hint.Wrap(err, "what the agent on "+name+" did and has not reported is in that file, which is kept: "+
				"read it, then pass --forget-agent "+name+" to set it aside and check the node instead")
		}
		return err
	})
}

// askLate asks an agent for what the journal lacks, for as long as a step under way may take.
func (r *run) askLate(ctx context.Context, name string, w Worker, b Position) error {
	most := r.longest(r.tasksOn(name))
	wait, p, done := withPatience(ctx, most)
	defer done()
	n := 0
	err := w.Sync(wait, b, func(rep Report) error {
		if rep.What != RepDoing && rep.What != RepPause {
			p.again(most)
			n++
		}
		if n > maxReports {
			return r.reported(name, rep, fmt.Sprintf("it is one of more than %d", maxReports))
		}
		return r.heardLate(ctx, name, rep)
	})
	return p.explain(err, name, most)
}

// books are what the journal knows of the agent on a node.
func (r *run) books(name string) Position {
	r.rec.Lock()
	defer r.rec.Unlock()
	return Position{Journal: r.o.journalID(), Agent: r.rec.State.Agents[name]}
}

// heardLate writes down what an agent did while nobody listened.
func (r *run) heardLate(ctx context.Context, name string, rep Report) error {
	if rep.What == RepPause || rep.What == RepDoing {
		return nil
	}
	t, step, err := r.accept(name, rep)
	if err != nil {
		return r.refused(ctx, name, rep, err)
	}
	ours := rep.Run == r.o.Run
	switch rep.What {
	case RepBegin:
		return r.heardBegin(ctx, t, step, rep)
	case RepDone:
		n := r.noteOf(rep)
		if !ours {
			_, err := r.note(ctx, journal.Done, t, n)
			return err
		}
		r.keepLate(t.ID, nil)
		return r.done(ctx, t, n, r.o.Now())
	case RepReboot:
		_, err := r.note(ctx, journal.Reboot, t, journal.Boot{ID: r.bootOf(t.ID), Agent: rep.Agent})
		return err
	case RepLost:
		if ours {
			r.rec.Lock()
			r.lostActs[t.ID]++
			r.rec.Unlock()
		}
		if _, err := r.note(ctx, journal.Lost, t,
			journal.Note{Note: r.o.Redact(rep.Err.Error()), Agent: rep.Agent}); err != nil {
			return err
		}
		r.emit(event(EvLost, t).failed(rep.Err))
		return nil
	case RepUndoBegin, RepUndone:
		return r.position(ctx, name, rep.Agent, fmt.Sprintf("%s of act %d, whose outcome is being "+
			"checked", rep.What, rep.Act))
	case RepFailed:
		if ours {
			err := r.failedAt(ctx, rep.Verb, t, rep.Err, rep.Agent)
			if errors.Is(err, ErrJournal) {
				return err
			}
			r.keepLate(t.ID, err)
			return nil
		}
		te := &TaskError{rep.Verb, t.ID, t.Node, rep.Err}
		_, err := r.note(ctx, journal.Failed, t, r.failure(te, rep.Agent))
		return err
	}
	return nil
}

// bootOf is the boot of the node in which the last act of a task was begun.
func (r *run) bootOf(id string) string {
	acts := r.rec.Task(id).Acts
	if len(acts) == 0 {
		return ""
	}
	return acts[len(acts)-1].Intent.BootID
}

func (r *run) keepLate(id string, err error) {
	r.rec.Lock()
	defer r.rec.Unlock()
	r.late[id] = err
}

// toldLate says that the end of a task of this run was told over a later link.
func (r *run) toldLate(t steps.Task) (bool, error) {
	r.rec.Lock()
	defer r.rec.Unlock()
	err, ok := r.late[t.ID]
	delete(r.late, t.ID)
	return ok && err == nil, err
}

// timesLost is how often in this run an agent was gone in the middle of the task.
func (r *run) timesLost(id string) int {
	r.rec.Lock()
	defer r.rec.Unlock()
	return r.lostActs[id]
}

// wasHanded says that an agent may have begun the task, and nothing was heard of it.
func (r *run) wasHanded(id string) bool {
	r.rec.Lock()
	defer r.rec.Unlock()
	return r.rec.State.Handed[id]
}

// notBegun notes that the agent found nothing to do in what it was given just now.
func (r *run) notBegun(id string) {
	r.rec.Lock()
	defer r.rec.Unlock()
	delete(r.rec.State.Handed, id)
}

// heardBegin writes down an intent: the step as it was handed over, and what the agent saw before
// it. Where the controller has looked by itself, and nothing was done on the node since, it counts
// what it saw.
func (r *run) heardBegin(ctx context.Context, t steps.Task, step journal.StepData, rep Report) error {
	in := journal.Intent{Kind: step.Kind, Step: step.Data, Diff: rep.Look, BootID: rep.BootID,
		Restart: restartOf(rep.Diff.Effects), Agent: rep.Agent}
	if rep.Run != r.o.Run && r.knowsRun(rep.Run) {
		in.Run = rep.Run
	}
	if k := r.lookOf(t.ID); k.own && r.fresh(t, 0) && k.err == nil && k.diff.Action != steps.NoOp {
		in.Diff = steps.MustJSON(k.diff)
	}
	if _, err := r.note(ctx, journal.Begin, t, in); err != nil {
		return err
	}
	r.acted(t.Node)
	r.emit(event(EvBegin, t).with(rep.Diff))
	return nil
}

func (r *run) noteOf(rep Report) journal.Note {
	n := journal.Note{Note: r.o.Redact(rep.Outcome.Note), Agent: rep.Agent}
	for _, w := range rep.Outcome.Warnings {
		n.Warnings = append(n.Warnings, r.o.Redact(w))
	}
	return n
}

// row is what is handed over of tasks: up to the first that a person does.
func (r *run) row(tasks []steps.Task) Batch {
	w := Batch{Run: r.o.Run}
	for _, t := range tasks {
		if _, gated := t.Step.(steps.Gated); gated {
			break
		}
		if t.Timeout <= 0 {
			t.Timeout = r.o.StepTimeout
		}
		w.Tasks = append(w.Tasks, t)
		w.Digests = append(w.Digests, stepData(t.Step).Digest())
	}
	return w
}

// handOver gives the agent on the node as many of tasks as it may do by itself. It returns how many
// of them are at their end.
func (r *run) handOver(ctx context.Context, tasks []steps.Task) (int, handed, error) {
	name := tasks[0].Node
	ex, err := r.links.open(ctx, name)
	if err != nil {
		return 0, notTaken, r.failed(ctx, "check", tasks[0], err)
	}
	w, ok := ex.(Worker)
	row := r.row(tasks)
	if !ok || len(row.Tasks) == 0 {
		return 0, notTaken, nil
	}
	h := &handover{r: r, ctx: ctx, tasks: row.Tasks, digests: row.Digests, earlier: map[string]bool{}}
	for _, t := range row.Tasks {
		h.earlier[t.ID] = r.wasHanded(t.ID)
	}
	if err := r.noteHanded(ctx, row); err != nil {
		return 0, notTaken, err
	}
	again := false
	err = r.links.reads(ctx, name, func(now Executor) error {
		again = now != ex
		return r.takeCharge(ctx, name, now, row.limit(), row.Tasks[0].ID)
	})
	switch {
	case err != nil && !errors.Is(err, errHalted):
		return 0, goOn, r.failed(ctx, "apply", tasks[0], err)
	case err != nil, again: // over another link the agent is asked first what it did
		return 0, goOn, nil
	}
	halt, release := r.haltSignal(ctx)
	defer release()
	most := r.longest(row.Tasks)
	wait, p, done := withPatience(ctx, most)
	defer done()
	r.beat(Event{Phase: tasks[0].Phase, Node: name}, h.text, func() {
		err = w.Work(wait, row, halt, func(rep Report) error {
			if rep.What != RepDoing && rep.What != RepPause {
				p.again(most)
			}
			return h.heard(rep)
		})
	})
	err = p.explain(err, name, most)
	if werr := h.write(); werr != nil && err == nil {
		err = werr // also where the link broke before a pause
	}
	switch {
	case err == nil:
		r.atRest(name)
		err = r.batchEnded(ctx, name, w)
	case errors.Is(err, ErrReport), errors.Is(err, errMute):
		r.links.drop(name)
	}
	l := r.links.of(name)
	l.mu.Lock()
	if l.silent++; h.told || err == nil {
		l.silent = 0
	}
	silent := l.silent
	l.mu.Unlock()
	switch {
	case h.failure != nil:
		return h.ended, goOn, h.failure
	case err != nil && ctx.Err() != nil:
		return h.ended, goOn, fmt.Errorf("interrupted: %w", ctx.Err())
	case err != nil && linkBroke(err) && silent < maxTries:
		r.links.drop(name)
		r.emit(Event{Kind: EvRetry, Node: name, Text: "0s"}.failed(err))
		return h.ended, goOn, nil
	case err != nil:
		return h.ended, goOn, r.failed(ctx, "apply", row.Tasks[min(h.ended, len(row.Tasks)-1)], err)
	case h.reboot != nil:
		// the act worked and a restart is due: what follows is the same as after an act of our own
		t := row.Tasks[h.ended]
		r.warnings(t, *h.reboot)
		do := &doing{r: r, t: t, start: h.begun, at: h.at}
		end, err := task.Prove(ctx, do, *h.reboot)
		return h.ended + 1, goOn, do.ended(ctx, end, err)
	}
	return h.ended, leftToUs, nil
}

// noteHanded writes down what an agent may begin, and as what. Should its record be lost together
// with the node's disk, this is what remains; and nothing else is taken from what it reports.
func (r *run) noteHanded(ctx context.Context, row Batch) error {
	over := journal.HandedOver{Digests: row.Digests, Steps: map[string]journal.StepData{}}
	r.rec.Lock()
	for i, t := range row.Tasks {
		over.Tasks = append(over.Tasks, t.ID)
		if d := row.Digests[i]; !r.rec.State.KnowsStep(d) {
			over.Steps[d] = stepData(t.Step)
		}
	}
	r.rec.Unlock()
	t := steps.Task{Phase: row.Tasks[0].Phase, Node: row.Tasks[0].Node}
	_, err := r.note(ctx, journal.Handed, t, over)
	return err
}

// haltSignal returns a channel that closes when nothing new may begin any more. release ends the
// watch.
func (r *run) haltSignal(ctx context.Context) (halt <-chan struct{}, release func()) {
	const every = 50 * time.Millisecond
	signal, done := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for !r.halted(ctx) {
			select {
			case <-tick.C:
			case <-done:
				return
			}
		}
		close(signal)
	})
	return signal, func() { close(done); wg.Wait() }
}

// handover is one row of tasks with an agent.
type handover struct {
	r     *run
	ctx   context.Context
	tasks []steps.Task
	// digests are those of the tasks' steps
	digests []string
	// earlier are those that an agent may have begun for an earlier link, and nothing was heard of it
	earlier map[string]bool
	later   later // the last note that waits for the disk

	told    bool // the agent told something
	ended   int  // tasks at their end
	begun   time.Time
	reboot  *steps.Outcome // the task after those at their end waits for a restart
	at      journal.AgentRef
	failure error // of a task

	mu    sync.Mutex
	doing string // for people who wait
}

func (h *handover) text() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.doing
}

func (h *handover) say(text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.doing = text
}

// heard takes in what the agent reports of the task whose turn it is. An error says that it cannot
// be written down.
func (h *handover) heard(rep Report) error {
	h.told = true
	if rep.What == RepPause {
		return h.write()
	}
	r := h.r
	if h.ended >= len(h.tasks) || h.tasks[h.ended].ID != rep.Task || h.reboot != nil || h.failure != nil {
		return r.reported(h.tasks[0].Node, rep, "it is not the turn of that task")
	}
	t := h.tasks[h.ended]
	var step journal.StepData
	switch rep.What {
	case RepDoing:
		h.say(t.ID + ": " + r.o.Redact(rep.Text))
		return nil
	case RepNoOp, RepHold:
		if began := r.began(t.Node); began != "" {
			return r.reported(t.Node, rep, "it has begun "+quoted(began))
		}
	case RepBegin, RepDone, RepReboot, RepFailed:
		var err error
		if _, step, err = r.accept(t.Node, rep); err != nil {
			return err
		}
	default:
		return r.reported(t.Node, rep, "no agent says so while it is listened to")
	}
	switch rep.What {
	case RepNoOp:
		h.ended++
		if !h.earlier[t.ID] {
			r.notBegun(t.ID)
		}
		return h.keep(r.nothing(h.ctx, t))
	case RepBegin:
		if rep.Digest != h.digests[h.ended] {
			return r.reported(t.Node, rep, "it was handed over under another digest")
		}
		h.begun = r.o.Now()
		h.say("the end of " + t.ID)
		r.agentRecorded(t.Node)
		return r.heardBegin(h.lazy(), t, step, rep)
	case RepDone:
		h.ended++
		r.warnings(t, rep.Outcome)
		return r.done(h.lazy(), t, r.noteOf(rep), h.begun)
	case RepReboot:
		rep.Outcome.Reboot = true
		h.reboot, h.at = &rep.Outcome, rep.Agent
	case RepFailed:
		return h.keep(r.failedAt(h.ctx, rep.Verb, t, rep.Err, rep.Agent))
	}
	return nil
}

// lazy lets notes wait for the next pause. Nothing is done here on the strength of them, and the
// agent tells them again until they are acknowledged.
func (h *handover) lazy() context.Context { return context.WithValue(h.ctx, laterKey{}, &h.later) }

// write returns once every note is on disk.
func (h *handover) write() error { return h.r.rec.Commit(h.ctx, h.later.seq) }

// keep parts a task's failure, which ends the row by itself, from a journal that cannot be written,
// which must end the agent's work.
func (h *handover) keep(err error) error {
	if err == nil || errors.Is(err, ErrJournal) {
		return err
	}
	h.failure = err
	return nil
}
