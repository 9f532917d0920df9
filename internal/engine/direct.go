package engine

import (
	"context"
	"encoding/json"
	"sync/atomic"

	"deploy/internal/node"
	"deploy/internal/task"
	"deploy/steps"
)

// Direct runs steps from here over a session. why says why there is no agent; the plan shows it.
func Direct(s node.Session, why string) Executor {
	if _, ok := s.(node.Fenced); ok {
		f := &fenced{Session: s}
		return &ownedDirect{direct: &direct{s: f, why: why}, s: f}
	}
	return &direct{s: s, why: why}
}

type direct struct {
	s     node.Session
	why   string
	doing atomic.Value // string: the last line of what a job prints
}

var _ Executor = (*direct)(nil)

func (d *direct) Facts() node.Facts { return d.s.Facts() }

func (d *direct) Mode() (string, string) { return d.s.Mode(), d.why }

func (d *direct) Check(ctx context.Context, list []steps.Step) []Checked {
	return task.Check(ctx, d.s, list)
}

func (d *direct) Apply(ctx context.Context, s steps.Step, diff steps.Diff) (steps.Outcome, error) {
	defer d.doing.Store("")
	return task.Apply(ctx, task.Watched(d.s, func(line string) { d.doing.Store(line) }), s, diff)
}

// Doing is the last line of what the act under way prints, or "".
func (d *direct) Doing() string {
	line, _ := d.doing.Load().(string)
	return line
}

func (d *direct) Undo(ctx context.Context, s steps.Step, before json.RawMessage) error {
	return task.Undo(ctx, d.s, s, before)
}

func (d *direct) Restart(ctx context.Context, reason string) error {
	_, err := d.s.Do(ctx, node.Restart{Reason: reason})
	return err
}

func (d *direct) Close() error { return d.s.Close() }
