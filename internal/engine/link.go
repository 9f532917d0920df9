package engine

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"deploy/internal/hint"
	"deploy/internal/node"
)

// link is the connection to one node, opened at need.
type link struct {
	mu     sync.Mutex
	ex     Executor
	seen   bool // it answered once in this run
	synced bool // ex is no agent, or has told what it did over earlier links
	silent int  // links in a row that broke before the agent had told anything
}

// links are the connections of a run, one for each node. They know of the run only what these
// functions say.
type links struct {
	timeout time.Duration // how long a node that answered before is tried
	sleep   func(ctx context.Context, d time.Duration) error
	// dial opens a connection to a node; away says that its restart is on record, and await waits for
	// the end of it
	dial  func(ctx context.Context, name string) (Executor, error)
	away  func(name string) bool
	await func(ctx context.Context, name string) (Executor, error)
	// opened and retrying tell of a connection and of a wait for one
	opened   func(name string, ex Executor)
	retrying func(name string, wait time.Duration, err error)

	mu     sync.Mutex
	byName map[string]*link
}

// Waits between tries to reach a node: a short row for one that never answered (the address may
// simply be wrong), a long one for one that did, since a setup program may restart the very service
// we talk to. Each is varied by a quarter, so that many nodes that were lost together do not come
// back together. Together they take no longer than the timeout.
func (ls *links) waits(seen bool) []time.Duration {
	const longest = time.Minute
	left := ls.timeout
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

// of returns the node's connection, without opening it.
func (ls *links) of(name string) *link {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	l := ls.byName[name]
	if l == nil {
		l = &link{}
		ls.byName[name] = l
	}
	return l
}

// open returns the node's executor and dials when there is none. A node whose restart is on record
// is given the time for it.
func (ls *links) open(ctx context.Context, name string) (Executor, error) {
	l := ls.of(name)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ex != nil {
		return l.ex, nil
	}
	var ex Executor
	var err error
	if ls.away(name) && !l.seen {
		ex, err = ls.await(ctx, name)
	} else {
		err = ls.retry(ctx, name, l.seen, func() error {
			ex, err = ls.dial(ctx, name)
			return err
		})
	}
	if err != nil {
		return nil, err
	}
	l.ex, l.seen, l.synced = ex, true, false
	ls.opened(name, ex)
	return ex, nil
}

// connected tells of a new connection.
func (r *run) connected(name string, ex Executor) {
	mode, why := ex.Mode()
	text := mode
	if why != "" {
		text += ": " + why
	}
	r.emit(Event{Kind: EvConnected, Node: name, Text: text})
	for _, note := range r.notes(ex) {
		r.emit(Event{Kind: EvWarning, Node: name, Text: note})
	}
}

// retrying tells of a wait before the next try.
func (r *run) retrying(name string, wait time.Duration, err error) {
	r.emit(Event{Kind: EvRetry, Node: name, Text: wait.Round(100 * time.Millisecond).String()}.failed(err))
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
func (ls *links) drop(name string) {
	l := ls.of(name)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ex != nil {
		_ = l.ex.Close() // the link is broken or about to be: there is nobody left to tell
		l.ex = nil
	}
}

// close closes every executor, all at the same time: each may take a round trip.
func (ls *links) close() {
	ls.mu.Lock()
	names := slices.Collect(maps.Keys(ls.byName))
	ls.mu.Unlock()
	atOnce(lookers, names, ls.drop)
}

// retry calls f until it works, at most once more than there are waits; seen says that the node
// answered before. Only a broken link is tried again: refused credentials may lock the account, and
// an alien host key does not become the right one.
func (ls *links) retry(ctx context.Context, name string, seen bool, f func() error) error {
	waits := ls.waits(seen)
	for i := 0; ; i++ {
		err := f()
		if err == nil || !linkBroke(err) || ctx.Err() != nil {
			return err
		}
		if i == len(waits) {
			return gaveUp(err, name, seen)
		}
		d := jitter(waits[i])
		ls.retrying(name, d, err)
		if serr := ls.sleep(ctx, d); serr != nil {
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
func (ls *links) reads(ctx context.Context, name string, f func(ex Executor) error) error {
	var dialErr error
	err := ls.retry(ctx, name, ls.wasSeen(name), func() error {
		var ex Executor
		if ex, dialErr = ls.open(ctx, name); dialErr != nil {
			return nil // open has its own row of tries
		}
		err := f(ex)
		if err != nil && linkBroke(err) {
			ls.drop(name)
		}
		return err
	})
	if dialErr != nil {
		return dialErr
	}
	return err
}

func (ls *links) wasSeen(name string) bool {
	l := ls.of(name)
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.seen
}
