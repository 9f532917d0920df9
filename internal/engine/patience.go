package engine

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"deploy/internal/hint"
	"deploy/steps"
)

const (
	// spare is what an agent gets beside the limits of its steps: to write, and to come to its turn.
	spare = time.Minute
	// maxReports is how many reports of one agent are taken in one Sync.
	maxReports = 100_000
)

// errMute: an agent lives, and reports nothing of what it was given.
var errMute = errors.New("it reported nothing within that time")

// patience bounds the wait for an agent's reports. The agent keeps limits itself; this is for one
// that does not, or only makes noise.
type patience struct {
	timer *time.Timer
	over  atomic.Bool
}

// withPatience returns a context that ends when nothing was reported for that long, see again.
func withPatience(ctx context.Context, most time.Duration) (context.Context, *patience, func()) {
	ctx, cancel := context.WithCancel(ctx)
	p := &patience{}
	p.timer = time.AfterFunc(most, func() {
		p.over.Store(true)
		cancel()
	})
	return ctx, p, func() {
		p.timer.Stop()
		cancel()
	}
}

// again begins the wait anew.
func (p *patience) again(most time.Duration) { p.timer.Reset(most) }

// explain makes the error of a wait that came to its limit.
func (p *patience) explain(err error, name string, most time.Duration) error {
	if err == nil || !p.over.Load() {
		return err
	}
	err = fmt.Errorf("cannot wait for the agent on %s any longer than %s: %w: %w", name, most, errMute, errUnheard)
	return hint.Wrap(err, "check the agent on the node (its program may have been replaced); the next run reads "+
		"its report")
}

// longest is how long an agent may be at one of tasks: it checks, acts and checks again.
func (r *run) longest(tasks []steps.Task) time.Duration {
	const looksAndActs = 3
	return looksAndActs*r.checkTime(tasks) + spare
}

// tasksOn are the tasks of a node.
func (r *run) tasksOn(name string) []steps.Task {
	var out []steps.Task
	for _, t := range r.o.Program.Tasks() {
		if t.Node == name {
			out = append(out, t)
		}
	}
	return out
}
