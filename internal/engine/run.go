package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"deploy/internal/engine/recorder"
	"deploy/internal/journal"
	"deploy/steps"
)

// run is one run of the engine over a program.
type run struct {
	o     Options
	prog  *steps.Program        // the part that was asked for
	byID  map[string]steps.Task // the tasks of the whole program: an agent reports each by its id
	start time.Time

	waits   map[string][]string // by task: the tasks that the plan says it waits for
	undoing bool                // a rollback
	acting  bool                // it may change nodes
	toUndo  int                 // acts that it found

	evMu sync.Mutex // events go out one at a time
	ask  sync.Mutex // people are asked one thing at a time

	links *links

	rec     *recorder.Recorder // its lock guards what follows
	begun   map[string]bool
	known   map[string]look
	nodeAct map[string]int64 // count of acts after the last one on a node
	late    map[string]error // tasks of this run whose end was told over a later link; nil for done
	errs    []error
	sum     Summary

	forgotten map[string]int  // by node: reports that were passed over
	lostActs  map[string]int  // by task: see timesLost
	rested    map[string]bool // by node: see atRest

	own ownership // who is in charge of the nodes

	acts    atomic.Int64 // acts of this run, on all nodes: what was looked at before an act may not hold after it
	waiting atomic.Bool  // a gate waits
	failing atomic.Bool  // something failed, so nothing new is started
}

// look is the answer of one Check, and the count of acts when it was asked.
type look struct {
	diff  steps.Diff
	err   error
	stamp int64
	own   bool // the controller looked itself, not an agent
}

func newRun(ctx context.Context, o Options) (*run, error) {
	o = o.withDefaults()
	r := &run{o: o, start: o.Now(), begun: map[string]bool{}, waits: map[string][]string{},
		known: map[string]look{}, nodeAct: map[string]int64{}, late: map[string]error{}, lostActs: map[string]int{},
		rested: map[string]bool{}, forgotten: map[string]int{}, byID: map[string]steps.Task{}}
	for _, t := range o.Program.Tasks() {
		r.byID[t.ID] = t
	}
	var err error
	r.rec, err = recorder.Open(ctx, o.Journal, o.Run, o.Now, func() { r.failing.Store(true) })
	if err != nil {
		return nil, err
	}
	r.links = &links{timeout: o.LinkTimeout, sleep: o.Sleep, byName: map[string]*link{}, dial: r.dial, away: r.restarting,
		await:  func(ctx context.Context, name string) (Executor, error) { return r.awaitServing(ctx, name, "") },
		opened: r.connected, retrying: r.retrying}
	r.sum = Summary{Run: o.Run, Started: r.start}
	return r, nil
}

// note writes an entry about a task. The first one of a phase in an apply is preceded by the
// phase's own.
func (r *run) note(ctx context.Context, kind journal.Kind, t steps.Task, data any) (int64, error) {
	r.rec.Lock()
	if !r.undoing && !r.begun[t.Phase] {
		r.begun[t.Phase] = true
		if _, err := r.rec.Append(journal.Entry{Kind: journal.PhaseStart, Phase: t.Phase}, r.phaseInfo(t.Phase)); err != nil {
			r.rec.Unlock()
			return 0, err
		}
	}
	seq, err := r.rec.Append(journal.Entry{Kind: kind, Phase: t.Phase, Task: t.ID, Node: t.Node}, data)
	r.rec.Unlock()
	if err != nil {
		return 0, err
	}
	if l, ok := ctx.Value(laterKey{}).(*later); ok {
		l.seq = seq
		return seq, nil
	}
	return seq, r.rec.Commit(ctx, seq)
}

// phaseInfo is what a rollback may have to know of a phase of the program when the program has
// lost it; nil for another one.
func (r *run) phaseInfo(id string) any {
	for _, ph := range r.o.Program.Phases {
		if ph.ID != id {
			continue
		}
		info := journal.PhaseInfo{Needs: append([]string{}, ph.Needs...)}
		at := map[string]string{}
		for _, g := range ph.Groups {
			for _, t := range g.Tasks {
				at[t.ID] = t.Node
			}
		}
		for task, makers := range r.waits {
			for _, m := range makers {
				if at[task] == "" || at[m] == "" || at[m] == at[task] {
					continue
				}
				if info.Waits == nil {
					info.Waits = map[string][]string{}
				}
				info.Waits[task] = append(info.Waits[task], m)
			}
		}
		return info
	}
	return nil
}

// later is what a context carries whose notes are written down together, by a commit of their own:
// those of an agent, which has its own record of them.
type later struct{ seq int64 }

type laterKey struct{}

// fail keeps an error and lets nothing new begin.
func (r *run) fail(err error) {
	if err == nil {
		return
	}
	// an agent that is not believed ends its own node's part: the others go on to where they need it
	if !errors.Is(err, ErrReport) {
		r.failing.Store(true)
	}
	if errors.Is(err, ErrWaiting) {
		r.waiting.Store(true)
	}
	r.rec.Lock()
	defer r.rec.Unlock()
	for _, e := range r.errs {
		if errors.Is(err, ErrJournal) && errors.Is(e, ErrJournal) || notOurs(err) && notOurs(e) {
			return // every node meets the same broken journal, or the same other controller
		}
	}
	r.errs = append(r.errs, err)
}

// halted says that nothing new may begin.
func (r *run) halted(ctx context.Context) bool {
	return r.failing.Load() || ctx.Err() != nil || r.stopped()
}

func (r *run) stopped() bool {
	select {
	case <-r.o.Stop:
		return r.o.Stop != nil
	default:
		return false
	}
}

// result joins what went wrong; nil when nothing did.
func (r *run) result(ctx context.Context) error {
	r.rec.Lock()
	defer r.rec.Unlock()
	switch {
	case len(r.errs) == 1:
		return r.errs[0]
	case len(r.errs) > 1:
		return errors.Join(r.errs...)
	case ctx.Err() != nil:
		return fmt.Errorf("interrupted: %w", ctx.Err())
	}
	return nil
}

// eachNode calls f for every node at the same time, at most Parallel of them, and waits for all.
func (r *run) eachNode(nodes []string, f func(node string)) { atOnce(r.o.Parallel, nodes, f) }

// lookers is eachNode for what only connects, reads or leaves: that waits for the network, so many
// more can do it than should work.
func (r *run) lookers(nodes []string, f func(node string)) {
	atOnce(max(r.o.Parallel, lookers), nodes, f)
}

// lookers is how many nodes are looked at side by side.
const lookers = 64

func atOnce(most int, nodes []string, f func(node string)) {
	sem := make(chan struct{}, most)
	var wg sync.WaitGroup
	for _, n := range nodes {
		sem <- struct{}{}
		wg.Go(func() {
			defer func() { <-sem }()
			f(n)
		})
	}
	wg.Wait()
}

// beat calls f and emits a heartbeat while it lasts. text says what is waited for; it may change
// meanwhile.
func (r *run) beat(e Event, text func() string, f func()) {
	start := r.o.Now()
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(r.o.HeartbeatEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				e.Kind, e.Text = EvHeartbeat, text()
				r.emit(e.since(r, start))
			case <-done:
				return
			}
		}
	})
	defer wg.Wait()
	defer close(done)
	f()
}

// always is a text that does not change.
func always(text string) func() string { return func() string { return text } }
