package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"deploy/internal/hint"
	"deploy/internal/journal"
	"deploy/internal/node"
	"deploy/internal/task"
	"deploy/steps"
)

// reboot restarts t's node and waits until another boot of it serves.
func (r *run) reboot(ctx context.Context, t steps.Task, at journal.AgentRef) error {
	ex, err := r.links.open(ctx, t.Node)
	if err != nil {
		return r.failed(ctx, "restart the machine after", t, err)
	}
	old := ex.Facts().BootID
	if _, err := r.note(ctx, journal.Reboot, t, journal.Boot{ID: old, Agent: at}); err != nil {
		return err
	}
	return r.restart(ctx, t, old)
}

// restart asks for the restart that the journal announces and waits for its end.
func (r *run) restart(ctx context.Context, t steps.Task, old string) error {
	start := r.o.Now()
	r.emit(event(EvReboot, t))
	err := r.bounded(ctx, t, "the restart after", func(ctx context.Context, ex Executor) error {
		return ex.Restart(ctx, "deploy: "+t.ID)
	})
	r.acted(t.Node)
	// a link that broke after the request is what a restart looks like from here
	if err != nil && !sent(err) {
		return r.failed(ctx, "restart the machine after", t, err)
	}
	r.links.drop(t.Node)
	var ex Executor
	text := t.Node + " to come back from its restart"
	r.beat(event(EvHeartbeat, t), always(text), func() { ex, err = r.awaitServing(ctx, t.Node, old) })
	if err != nil {
		return r.failed(ctx, "restart the machine after", t, err)
	}
	l := r.links.of(t.Node)
	l.mu.Lock()
	l.ex, l.seen, l.synced = ex, true, false
	l.mu.Unlock()
	return r.rebooted(ctx, t, ex.Facts().BootID, start)
}

func (r *run) rebooted(ctx context.Context, t steps.Task, boot string, start time.Time) error {
	if _, err := r.note(ctx, journal.Rebooted, t, journal.Boot{ID: boot}); err != nil {
		return err
	}
	r.acted(t.Node)
	r.emit(event(EvRebooted, t).since(r, start))
	r.freeShared(ctx, t.Node)
	r.rec.Lock()
	r.sum.Reboots++
	r.rec.Unlock()
	return nil
}

// awaitServing dials until the machine answers from another boot than old ("" accepts any), for at
// most RebootTimeout. A refused password ends the wait at once, also while the machine starts:
// trying on could lock the account.
func (r *run) awaitServing(ctx context.Context, name, old string) (Executor, error) {
	ctx, cancel := context.WithTimeout(ctx, r.o.RebootTimeout)
	defer cancel()
	var slept time.Duration
	last := errors.New("no connection was possible")
	for d := 2 * time.Second; ; d = min(d*3/2, 15*time.Second) {
		ex, err := r.dial(ctx, name)
		switch {
		case err == nil && !node.SameBoot(ex.Facts().BootID, old):
			return ex, nil
		case err == nil:
			_ = ex.Close() // it has not gone down yet
			last = errors.New("it has not restarted yet")
		case errors.Is(err, node.ErrAuth), errors.Is(err, node.ErrHostKey), errors.Is(err, errUnheard), notOurs(err):
			return nil, err
		case ctx.Err() == nil:
			last = err
		}
		w := jitter(d)
		// counting the sleeps too ends the wait even where the clock does not move
		if slept += w; slept > r.o.RebootTimeout || ctx.Err() != nil {
			return nil, hint.Wrap(fmt.Errorf("%s did not come back within %s: %w", name, r.o.RebootTimeout, last),
				"check its console; when it is back, run again to continue")
		}
		if err := r.o.Sleep(ctx, w); err != nil && ctx.Err() == nil {
			return nil, err
		}
	}
}

// settleReboot ends a restart that an earlier run left on record: it was done when the boot is
// another, and is owed otherwise.
func (r *run) settleReboot(ctx context.Context, t steps.Task) error {
	st := r.rec.Task(t.ID)
	if st.BootID == "" {
		return nil
	}
	ex, err := r.links.open(ctx, t.Node)
	if err != nil {
		return r.failed(ctx, "restart the machine after", t, err)
	}
	if now := ex.Facts().BootID; !node.SameBoot(now, st.BootID) {
		return r.rebooted(ctx, t, now, r.o.Now())
	}
	return r.restart(ctx, t, st.BootID)
}

// rebootIfOwed restarts the node of an act whose outcome nobody heard, when that left a restart
// due: the answer that was lost may have asked for it.
func (r *run) rebootIfOwed(ctx context.Context, t steps.Task, st journal.TaskState) error {
	if len(st.Acts) == 0 {
		return nil
	}
	act := st.Acts[len(st.Acts)-1]
	d, err := diffOf(act)
	if err != nil {
		return r.failed(ctx, "settle", t, err)
	}
	if act.Done {
		return nil
	}
	restarted, err := r.settleUnheard(ctx, t, d.Effects, restartOf(d.Effects), act.Intent.BootID)
	if err != nil || !restarted {
		return err
	}
	if err := r.check(ctx, t.Node, []steps.Task{t}); err != nil {
		return r.failed(ctx, "check", t, err)
	}
	if k := r.lookOf(t.ID); k.err != nil {
		return r.failed(ctx, "check", t, k.err)
	} else if k.diff.Action != steps.NoOp {
		return r.failed(ctx, "apply", t, fmt.Errorf("after the restart it %w: %s", ErrDidNotHold, task.Describe(k.diff)))
	}
	return nil
}
