package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"deploy/internal/hint"
	"deploy/internal/journal"
	"deploy/steps"
)

// Summary tells how a run went.
type Summary struct {
	Run     string         `json:"run"`
	How     string         `json:"how"` // done, failed, stopped, waiting, declined, left
	Started time.Time      `json:"started"`
	Elapsed time.Duration  `json:"elapsed_ns"`
	Counts  Counts         `json:"counts"`
	Phases  []PhaseSummary `json:"phases"`
	Reboots int            `json:"reboots,omitempty"`
	Left    []LeftNote     `json:"left,omitempty"` // what a rollback left as it is, and why
	// Restarts are nodes of which nobody can tell whether they must restart.
	Restarts []RestartNote `json:"restarts_unknown,omitempty"`
}

// PhaseSummary tells how one phase of a run went.
type PhaseSummary struct {
	ID         string        `json:"id"`
	Title      string        `json:"title"`
	Counts     Counts        `json:"counts"`
	Checkpoint bool          `json:"checkpoint,omitempty"` // it stands at the end of the run
	Elapsed    time.Duration `json:"elapsed_ns"`
}

// How a run ended.
const (
	HowDone     = "done"
	HowFailed   = "failed"
	HowStopped  = "stopped"
	HowWaiting  = "waiting"
	HowDeclined = "declined" // a person did not agree to a point of no return
	HowLeft     = "left"     // a rollback left something unasked
)

// runStart is the Data of a RunStart: what the journal asks for, and what Resume needs to go on
// with a rollback.
type runStart struct {
	journal.RunInfo
	Rollback *RollbackOptions `json:"rollback,omitempty"`
}

// Apply brings the site to the state that the program wishes. It plans first; with a saved plan it
// refuses, as ErrStale, when anything that the plan rests on has moved. It returns the Summary also
// with an error: ErrWaiting at a gate, ErrStopped after Options.Stop, ErrJournal, ctx's error, or
// what failed.
func Apply(ctx context.Context, o Options, saved *Plan) (*Summary, error) {
	if saved != nil {
		if err := stale(saved.movedFrom(o.Program, o.Version)); err != nil {
			return nil, err
		}
		o.Selection = saved.Selection
	}
	r, err := newRun(ctx, o)
	if err != nil {
		return nil, err
	}
	if err := r.choose(); err != nil {
		return nil, err
	}
	defer r.links.close()
	r.acting = true
	r.emit(Event{Kind: EvRunStart, Text: r.o.Command})
	plan, err := r.plan(ctx)
	if err == nil {
		err = plan.LookError()
	}
	if err == nil && saved != nil {
		err = stale(saved.movedTo(plan))
	}
	if err != nil {
		return nil, r.ended(HowFailed, err)
	}
	if err := r.inCharge(r.prog.Nodes); err != nil {
		return nil, r.ended(HowFailed, err)
	}
	r.warn(plan)
	if err := r.begin(nil); err != nil {
		return nil, r.ended(HowFailed, err)
	}
	if err := r.identify(plan); err != nil {
		return nil, r.ended(HowFailed, err)
	}
	if err := r.enter(ctx, r.prog.Nodes); err != nil {
		r.fail(err)
		return r.end(ctx)
	}
	for _, ph := range r.prog.Phases {
		if r.halted(ctx) {
			break
		}
		r.phase(ctx, ph)
	}
	return r.end(ctx)
}

// warn tells what the looks of the plan warn of, for those who did not see the plan.
func (r *run) warn(p *Plan) {
	for _, ph := range p.Phases {
		for _, s := range ph.Steps {
			for _, t := range s.Tasks {
				for _, w := range t.Diff.Warnings {
					r.emit(Event{Kind: EvWarning, Phase: ph.ID, Task: t.ID, Node: t.Node, Step: t.Kind, Text: w})
				}
			}
		}
	}
}

// Pending says what Resume would go on with: the options of a rollback that was cut off, or nil for
// an apply. It refuses where nothing to resume: nothing was ever run, or the last run was
// a rollback that went to its end (applying again is a wish that must be spoken).
func Pending(entries []journal.Entry) (*RollbackOptions, error) {
	st, err := journal.Fold(entries)
	if err != nil {
		return nil, err
	}
	last := st.LastRun()
	if last == nil {
		return nil, hint.Wrap(errors.New("nothing to resume: this site was never applied from this state directory"),
			"run deploy apply")
	}
	var s runStart
	if err := unmarshal(last.Data, &s); err != nil {
		return nil, fmt.Errorf("cannot read the options of run %s: %w", last.ID, err)
	}
	if s.Rollback != nil && last.Result.How == HowDone {
		return nil, hint.Wrap(fmt.Errorf("nothing to resume: the last run %s was a rollback that completed",
			last.ID),
			"run deploy apply to apply the site again")
	}
	if s.Rollback != nil && !s.Rollback.scoped() {
		s.Rollback.All = true // of a program that knew no other
	}
	return s.Rollback, nil
}

// Resume goes on with what the journal says was not finished: a rollback, with its own options, or
// an apply. See Pending.
func Resume(ctx context.Context, o Options) (*Summary, error) {
	if o.Command == "" {
		o.Command = "resume"
	}
	entries, err := o.Journal.Entries(ctx)
	if err != nil {
		return nil, err
	}
	if len(entries) == 0 {
		return Apply(ctx, o, nil)
	}
	rb, err := Pending(entries)
	switch {
	case err != nil:
		return nil, err
	case rb == nil:
		return Apply(ctx, o, nil)
	}
	return Rollback(ctx, o, *rb)
}

// begin notes that the run starts. It is on disk before whatever comes next of the run: a run that
// does nothing is written down once, at its end.
func (r *run) begin(rb *RollbackOptions) error {
	p := r.o.Program
	r.rec.Lock()
	defer r.rec.Unlock()
	_, err := r.rec.Append(journal.Entry{Kind: journal.RunStart}, runStart{journal.RunInfo{
		Command: r.o.Command, Who: r.o.Who, Version: r.o.Version,
		SiteDigest: p.SiteDigest, Playbook: p.Playbook, PlaybookDigest: p.PlaybookDigest,
	}, rb})
	return err
}

// phase runs one phase to its checkpoint, or to its policy.
func (r *run) phase(ctx context.Context, ph steps.Phase) {
	start := r.o.Now()
	r.emit(Event{Kind: EvPhaseStart, Phase: ph.ID, Text: ph.Title})
	for _, s := range stages(ph, r.waits) {
		if r.halted(ctx) {
			break
		}
		since := r.acts.Load()
		r.eachNode(s.nodes, func(name string) { r.fail(r.nodeTasks(ctx, s.tasks[name], since)) })
		r.failTogether()
	}
	switch {
	case r.halted(ctx):
		if ph.OnFailure == steps.RollBack && r.mayTakeBack(ctx) {
			r.fail(r.takeBack(ctx, ph))
		}
	default:
		r.fail(r.checkpoint(ctx, ph, start))
	}
	r.phaseTime(ph.ID, r.o.Now().Sub(start))
}

// failTogether lets nothing new begin where a node has dropped out: what follows may rest on it.
func (r *run) failTogether() {
	r.rec.Lock()
	defer r.rec.Unlock()
	if len(r.errs) > 0 {
		r.failing.Store(true)
	}
}

// checkpoint marks the phase as reached, once, when no task of it was left out by the selection of
// nodes.
func (r *run) checkpoint(ctx context.Context, ph steps.Phase, start time.Time) error {
	r.rec.Lock()
	s, ok := r.rec.State.Phases[ph.ID]
	reached := ok && s.Reached
	for _, whole := range r.o.Program.Phases {
		if whole.ID != ph.ID || reached {
			continue
		}
		for _, g := range whole.Groups {
			for _, t := range g.Tasks {
				if w := r.rec.State.Task(t.ID).Status; w != journal.StatusDone && w != journal.StatusUnchanged {
					r.rec.Unlock()
					return nil
				}
			}
		}
	}
	r.rec.Unlock()
	if !reached {
		if _, err := r.rec.Write(ctx, journal.Entry{Kind: journal.Checkpoint, Phase: ph.ID}, r.phaseInfo(ph.ID)); err != nil {
			return err
		}
	}
	r.emit(Event{Kind: EvCheckpoint, Phase: ph.ID, Text: ph.Title}.since(r, start))
	return nil
}

// mayTakeBack says that the failure at hand is one that the policy of a phase answers: a step
// failed. Not a person who was not there or did not agree, nor a journal that cannot be written,
// nor somebody who wants the run to end.
func (r *run) mayTakeBack(ctx context.Context) bool {
	if ctx.Err() != nil || r.stopped() {
		return false
	}
	r.rec.Lock()
	defer r.rec.Unlock()
	for _, err := range r.errs {
		if errors.Is(err, ErrJournal) || notOurs(err) {
			return false
		}
	}
	for _, err := range r.errs {
		if !errors.Is(err, ErrWaiting) && !errors.Is(err, ErrDeclined) {
			return true
		}
	}
	return false
}

// end writes how the run ended and returns its summary.
func (r *run) end(ctx context.Context) (*Summary, error) {
	err := r.result(ctx)
	how := HowDone
	switch {
	case err != nil && r.waiting.Load() && only(ErrWaiting, r.errs):
		how = HowWaiting
	case err != nil && len(r.errs) > 0 && only(ErrDeclined, r.errs):
		how = HowDeclined
	case errors.Is(err, ErrLeft):
		how = HowLeft
	case err != nil:
		how = HowFailed
	case r.stopped() && r.unfinished():
		how = HowStopped
		err = hint.Wrap(fmt.Errorf("%w: %s", ErrStopped, r.standing()), "run again to continue")
	}
	if ctx.Err() != nil {
		how = HowStopped
	}
	res := journal.RunResult{How: how, AtRest: r.restedNow()}
	if err != nil {
		res.Error = r.o.Redact(err.Error())
	}
	var leaving sync.WaitGroup
	leaving.Go(func() { // nothing is asked of a node any more, and the disk takes its time as well
		r.giveUp(ctx)
		r.links.close()
	})
	_, jerr := r.rec.Write(ctx, journal.Entry{Kind: journal.RunEnd}, res)
	leaving.Wait()
	if jerr != nil && !errors.Is(err, ErrJournal) {
		err = errors.Join(err, jerr)
		how = HowFailed
	}
	err = r.ended(how, err)
	return &r.sum, err
}

// ended closes the summary and emits the run's last event.
func (r *run) ended(how string, err error) error {
	r.summarize()
	r.rec.Lock()
	r.sum.Restarts = restartNotes(r.rec.State)
	r.rec.Unlock()
	r.sum.How, r.sum.Elapsed = how, r.o.Now().Sub(r.start)
	e := Event{Kind: EvRunEnd, Text: how, Counts: &r.sum.Counts}.since(r, r.start)
	if err != nil {
		e = e.failed(err)
	}
	r.emit(e)
	return err
}

func only(what error, errs []error) bool {
	for _, err := range errs {
		if !errors.Is(err, what) {
			return false
		}
	}
	return true
}
