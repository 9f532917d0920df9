package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"deploy/internal/node"
	"deploy/internal/owner"
)

// sharedPoll is how often a node is asked whether the other sites have ended their acts.
const sharedPoll = 2 * time.Second

// Busy is the error of a Dial that found the node's agent in the hands of another controller. Busy
// says in whose, since when and at what.
type Busy interface {
	error
	Busy() string
}

// dialShared dials, and on a shared node waits until the other site's run has left the agent.
func (r *run) dialShared(ctx context.Context, name string) (Executor, error) {
	waited := false
	for {
		ex, err := r.o.Dial(ctx, name, r.books(name))
		var busy Busy
		if err == nil || !r.o.Shared[name] || !errors.As(err, &busy) || r.halted(ctx) {
			return ex, err
		}
		text := name + ": waiting: " + r.o.Redact(busy.Busy())
		if !waited {
			waited = true
			r.emit(Event{Kind: EvWarning, Node: name, Text: text})
		}
		var serr error
		r.beat(Event{Node: name}, always(text), func() { serr = r.o.Sleep(ctx, jitter(sharedPoll)) })
		if serr != nil {
			return nil, errors.Join(err, serr)
		}
	}
}

// myTurn waits until no other site acts on a shared node, and says that this one does. Each site
// first writes that it is busy and then looks at the others, so that of two at least one sees the
// other. Where both do, the one that came first stays, and the other steps back until it has ended.
func (r *run) myTurn(ctx context.Context, name string, o Owned, n *ownedNode, limit time.Duration,
	what string) (*node.Busy, error) {
	began := r.o.Now().UTC()
	waited := false
	for {
		now := r.o.Now().UTC()
		busy := &node.Busy{What: what, Since: began, Expires: now.Add(limit + grace)}
		if err := r.putBusy(ctx, name, o, n, limit, busy); err != nil {
			return nil, err
		}
		kept, err := o.Owners(ctx)
		if err != nil {
			return nil, err
		}
		other, ok := r.otherAtWork(name, n, kept, now)
		if !ok {
			return busy, nil
		}
		if before(other, r.o.Program.Site, began) {
			if err := r.putBusy(ctx, name, o, n, limit, nil); err != nil {
				return nil, err
			}
		}
		text := waitsFor(name, other)
		if !waited {
			waited = true
			r.emit(Event{Kind: EvWarning, Node: name, Text: text})
		}
		r.beat(Event{Node: name}, always(text), func() { err = r.o.Sleep(ctx, jitter(sharedPoll)) })
		if err != nil {
			return nil, err
		}
		if r.halted(ctx) {
			return nil, errHalted
		}
	}
}

func (r *run) putBusy(ctx context.Context, name string, o Owned, n *ownedNode, limit time.Duration,
	busy *node.Busy) error {
	text, err := r.record(name, n, limit, busy)
	if err == nil {
		err = r.setOwner(ctx, o, n.record, text)
	}
	if err == nil {
		n.record = text
	}
	return err
}

// otherAtWork finds a site that acts on the node. One whose time is over is taken for gone.
func (r *run) otherAtWork(name string, n *ownedNode, kept Kept, now time.Time) (node.Owner, bool) {
	f := owner.Compare(r.knownOf(name, n, kept), kept.Records, now)
	for _, o := range f.Beside {
		if o.Busy != nil && o.Busy.Expires.After(now) {
			return o, true
		}
	}
	return node.Owner{}, false
}

// before says that the other site came first.
func before(o node.Owner, site string, began time.Time) bool {
	if o.Busy.Since.Equal(began) {
		return o.Site < site
	}
	return o.Busy.Since.Before(began)
}

func waitsFor(name string, o node.Owner) string {
	return fmt.Sprintf("%s: waiting for site %s, which is at %s since %s (%s on %s)", name, o.Site, o.Busy.What,
		o.Busy.Since.UTC().Format(time.RFC3339), o.Holder.Who, o.Holder.Host)
}
