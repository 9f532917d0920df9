package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/steps"
)

// link is the connection to one node, opened at need.
type link struct {
	mu     sync.Mutex
	ex     Executor
	seen   bool // it answered once in this run
	synced bool // ex is no agent, or has told what it did over earlier links
	silent int  // links in a row that broke before the agent had told anything
}

// Waits between tries to reach a node: a short row for one that never answered (the address may
// simply be wrong), a long one for one that did, since a setup program may restart the very service
// we talk to. Each is varied by a quarter, so that many nodes that were lost together do not come
// back together. Together they take no longer than LinkTimeout.
func (o Options) waits(seen bool) []time.Duration {
	const longest = time.Minute
	left := o.LinkTimeout
	if !seen {
		left = min(left, 3*time.Second)
	}
	var out []time.Duration
	for d := time.Second; left > 0; d = min(2*d, longest) {
		out = append(out, min(d, left))
		left -= d
	}
	return out
}

func jitter(d time.Duration) time.Duration {
	return d*3/4 + time.Duration(rand.Int64N(int64(d/2)+1))
}

// link returns the node's connection, without opening it.
func (r *run) link(name string) *link {
	r.rec.Lock()
	defer r.rec.Unlock()
	l := r.links[name]
	if l == nil {
		l = &link{}
		r.links[name] = l
	}
	return l
}

// open returns the node's executor and dials when there is none. A node whose restart is on record
// is given the time for it.
func (r *run) open(ctx context.Context, name string) (Executor, error) {
	l := r.link(name)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ex != nil {
		return l.ex, nil
	}
	var ex Executor
	var err error
	if r.restarting(name) && !l.seen {
		ex, err = r.awaitServing(ctx, name, "")
	} else {
		err = r.retry(ctx, name, l.seen, func() error {
			ex, err = r.dial(ctx, name)
			return err
		})
	}
	if err != nil {
		return nil, err
	}
	l.ex, l.seen, l.synced = ex, true, false
	mode, why := ex.Mode()
	text := mode
	if why != "" {
		text += ": " + why
	}
	r.emit(Event{Kind: EvConnected, Node: name, Text: text})
	for _, note := range r.notes(ex) {
		r.emit(Event{Kind: EvWarning, Node: name, Text: note})
	}
	return ex, nil
}

// restarting says that the journal holds a restart of the node that has no end.
func (r *run) restarting(name string) bool {
	r.rec.Lock()
	defer r.rec.Unlock()
	for _, t := range r.rec.State.Tasks {
		if t.Node == name && t.BootID != "" {
			return true
		}
	}
	return false
}

// drop closes the node's executor; the next open dials again.
func (r *run) drop(name string) {
	l := r.link(name)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ex != nil {
		_ = l.ex.Close() // the link is broken or about to be: there is nobody left to tell
		l.ex = nil
	}
}

// close closes every executor, all at the same time: each may take a round trip.
func (r *run) close() {
	r.rec.Lock()
	names := slices.Collect(maps.Keys(r.links))
	r.rec.Unlock()
	r.lookers(names, r.drop)
}

// retry calls f until it works, at most once more than there are waits; seen says that the node
// answered before. Only a broken link is tried again: refused credentials may lock the account, and
// an alien host key does not become the right one.
func (r *run) retry(ctx context.Context, name string, seen bool, f func() error) error {
	waits := r.o.waits(seen)
	for i := 0; ; i++ {
		err := f()
		if err == nil || !linkBroke(err) || ctx.Err() != nil {
			return err
		}
		if i == len(waits) {
			return gaveUp(err, name, seen)
		}
		d := jitter(waits[i])
		r.emit(Event{Kind: EvRetry, Node: name, Text: d.Round(100 * time.Millisecond).String()}.failed(err))
		if serr := r.o.Sleep(ctx, d); serr != nil {
			return errors.Join(err, serr)
		}
	}
}

// gaveUp tells what a person can do about a link that did not come back. About a node that never
// answered the transport knows best.
func gaveUp(err error, name string, seen bool) error {
	if !seen && hint.Of(err) != "" {
		return err
	}
	return hint.Wrap(err, "check that "+name+" is powered on and reachable, then run again to continue")
}

// linkBroke says that err is about the link, so that trying again may help.
func linkBroke(err error) bool {
	var le *node.LinkError
	return errors.As(err, &le) && !errors.Is(err, node.ErrAuth) && !errors.Is(err, node.ErrHostKey)
}

// sent says that err leaves the outcome unknown: the request had gone out when the link broke.
func sent(err error) bool {
	var le *node.LinkError
	return errors.As(err, &le) && le.Sent
}

// reads calls f, which only reads, with the node's executor, and again over a new link when the
// link breaks.
func (r *run) reads(ctx context.Context, name string, f func(ex Executor) error) error {
	var dialErr error
	err := r.retry(ctx, name, r.wasSeen(name), func() error {
		var ex Executor
		if ex, dialErr = r.open(ctx, name); dialErr != nil {
			return nil // open has its own row of tries
		}
		err := f(ex)
		if err != nil && linkBroke(err) {
			r.drop(name)
		}
		return err
	})
	if dialErr != nil {
		return dialErr
	}
	return err
}

func (r *run) wasSeen(name string) bool {
	l := r.link(name)
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.seen
}

// check looks at tasks of one node in one round trip and keeps the answers. Its error says that
// none could be had.
func (r *run) check(ctx context.Context, name string, tasks []steps.Task) error {
	got, err := r.looks(ctx, name, tasks)
	if err != nil {
		return err
	}
	r.rec.Lock()
	defer r.rec.Unlock()
	for i, t := range tasks {
		r.known[t.ID] = got[i]
	}
	return nil
}

// looks is check without keeping the answers.
func (r *run) looks(ctx context.Context, name string, tasks []steps.Task) ([]look, error) {
	list := make([]steps.Step, len(tasks))
	for i, t := range tasks {
		list[i] = t.Step
	}
	stamp := r.acts.Load()
	got, own, err := r.lookAt(ctx, name, list, r.checkTime(tasks))
	var slept time.Duration
	for d := time.Second; err == nil && settling(got) != nil && slept < r.o.SettleTimeout; d = min(2*d, 15*time.Second) {
		w := min(jitter(d), r.o.SettleTimeout-slept)
		slept += w
		r.emit(Event{Kind: EvRetry, Node: name, Text: w.Round(100 * time.Millisecond).String()}.failed(settling(got)))
		if err = r.o.Sleep(ctx, w); err == nil {
			got, own, err = r.lookAt(ctx, name, list, r.checkTime(tasks))
		}
	}
	if err != nil {
		return nil, err
	}
	out := make([]look, len(tasks))
	for i, t := range tasks {
		out[i] = r.current(t, sound(t, got[i], stamp))
		out[i].own = own
	}
	return out, nil
}

// settling returns the first answer that says that things are on their way.
func settling(got []Checked) error {
	var s *steps.SettlingError
	for _, c := range got {
		if errors.As(c.Err, &s) {
			return s
		}
	}
	return nil
}

// lookAt asks the checks over a link that holds. own says that the controller looked itself, and no
// agent for it.
func (r *run) lookAt(ctx context.Context, name string, list []steps.Step, limit time.Duration) (got []Checked,
	own bool, err error) {
	err = r.reads(ctx, name, func(ex Executor) error {
		_, agent := ex.(Worker)
		own = !agent
		cctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		r.beat(Event{Node: name}, always(answers(name, len(list))), func() { got = ex.Check(cctx, list) })
		if len(got) != len(list) {
			return fmt.Errorf("the executor gave %d answers to %d checks", len(got), len(list))
		}
		for _, c := range got {
			if c.Err != nil && linkBroke(c.Err) {
				return c.Err
			}
		}
		return nil
	})
	return got, own, err
}

// answers says what is waited for while n checks run.
func answers(name string, n int) string {
	if n == 1 {
		return name + " to answer a check"
	}
	return fmt.Sprintf("%s to answer %d checks", name, n)
}

// checkTime is how long a batch of checks may take: as long as the most patient of its tasks.
func (r *run) checkTime(tasks []steps.Task) time.Duration {
	d := r.o.StepTimeout
	for _, t := range tasks {
		d = max(d, t.Timeout)
	}
	return d
}

// sound turns the ways in which a kind can say "unknown" into one, and refuses an answer that is
// none.
func sound(t steps.Task, c Checked, stamp int64) look {
	d := c.Diff
	switch {
	case c.Err != nil:
	case d.Action == steps.Unknown:
		c.Err = steps.Until(d.Until, "the check of "+t.Step.Kind()+" says so")
	case d.Action == "":
		c.Err = fmt.Errorf("the check of %s gave no answer", t.Step.Kind())
	}
	return look{diff: d, err: c.Err, stamp: stamp}
}

// lookOf returns what is known of a task.
func (r *run) lookOf(id string) look {
	r.rec.Lock()
	defer r.rec.Unlock()
	return r.known[id]
}
