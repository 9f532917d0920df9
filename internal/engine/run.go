package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"deploy/internal/hint"
	"deploy/internal/journal"
	"deploy/steps"
)

// run is one run of the engine over a program.
type run struct {
	o     Options
	prog  *steps.Program // the part that was asked for
	start time.Time

	waits   map[string][]string // by task: the tasks that the plan says it waits for
	undoing bool                // a rollback
	toUndo  int                 // acts that it found

	evMu sync.Mutex // events go out one at a time
	ask  sync.Mutex // people are asked one thing at a time

	mu      sync.Mutex // guards what follows
	state   *journal.State
	broken  error // the journal's failure; nothing is done after it
	begun   map[string]bool
	links   map[string]*link
	known   map[string]look
	nodeAct map[string]int64 // count of acts after the last one on a node
	late    map[string]error // tasks of this run whose end was told over a later link; nil for done
	errs    []error
	sum     Summary

	lostActs map[string]int // by task: see timesLost

	acts    atomic.Int64 // acts of this run, on all nodes: what was looked at before an act may not hold after it
	waiting atomic.Bool  // a gate waits
	failing atomic.Bool  // something failed, so nothing new is started
}

// look is the answer of one Check, and the count of acts when it was asked.
type look struct {
	diff  steps.Diff
	err   error
	stamp int64
}

func newRun(ctx context.Context, o Options) (*run, error) {
	o = o.withDefaults()
	r := &run{o: o, start: o.Now(), begun: map[string]bool{}, links: map[string]*link{}, waits: map[string][]string{}, known: map[string]look{}, nodeAct: map[string]int64{}, late: map[string]error{}, lostActs: map[string]int{}}
	var entries []journal.Entry
	if o.Journal != nil {
		var err error
		if entries, err = o.Journal.Entries(ctx); err != nil {
			return nil, err
		}
	}
	var err error
	if r.state, err = journal.Fold(entries); err != nil {
		return nil, err
	}
	r.sum = Summary{Run: o.Run, Started: r.start}
	return r, nil
}

// write appends an entry and takes it into the state.
func (r *run) write(ctx context.Context, e journal.Entry, data any) (int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.append(ctx, e, data)
}

// append is write for a caller who holds mu. What was done must be written down even when ctx has ended meanwhile.
func (r *run) append(ctx context.Context, e journal.Entry, data any) (int64, error) {
	if data != nil {
		b, err := json.Marshal(data)
		if err != nil {
			return 0, fmt.Errorf("cannot encode a %s entry: %w", e.Kind, err)
		}
		e.Data = b
	}
	if r.broken != nil {
		return 0, r.broken
	}
	e.Run, e.Time = r.o.Run, r.o.Now()
	seq, err := r.o.Journal.Append(context.WithoutCancel(ctx), e)
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrJournal, err)
		if hint.Of(err) == "" {
			err = hint.Wrap(err, "nothing is done that cannot be written down; put that right and run again")
		}
		r.broken = err
		r.failing.Store(true)
		return 0, err
	}
	e.Seq = seq
	return seq, r.state.Add(e)
}

// note writes an entry about a task. The first one of a phase in an apply is preceded by the phase's own.
func (r *run) note(ctx context.Context, kind journal.Kind, t steps.Task, data any) (int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.undoing && !r.begun[t.Phase] {
		r.begun[t.Phase] = true
		if _, err := r.append(ctx, journal.Entry{Kind: journal.PhaseStart, Phase: t.Phase}, nil); err != nil {
			return 0, err
		}
	}
	return r.append(ctx, journal.Entry{Kind: kind, Phase: t.Phase, Task: t.ID, Node: t.Node}, data)
}

// task returns the journal's state of a task.
func (r *run) task(id string) journal.TaskState {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state.Task(id)
}

// fail keeps an error and lets nothing new begin.
func (r *run) fail(err error) {
	if err == nil {
		return
	}
	r.failing.Store(true)
	if errors.Is(err, ErrWaiting) {
		r.waiting.Store(true)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.errs {
		if errors.Is(err, ErrJournal) && errors.Is(e, ErrJournal) {
			return // every node meets the same broken journal
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
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case len(r.errs) == 1:
		return r.errs[0]
	case len(r.errs) > 1:
		return errors.Join(r.errs...)
	case ctx.Err() != nil:
		return fmt.Errorf("left in the middle: %w", ctx.Err())
	}
	return nil
}

// eachNode calls f for every node at the same time, at most Parallel of them, and waits for all.
func (r *run) eachNode(nodes []string, f func(node string)) {
	sem := make(chan struct{}, r.o.Parallel)
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

// beat calls f and emits a heartbeat while it lasts. text says what is waited for; it may change meanwhile.
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
