package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"runtime/debug"

	"deploy/internal/node"
	"deploy/steps"
)

// Direct runs steps from here over a session. why says why there is no agent; the plan shows it.
func Direct(s node.Session, why string) Executor { return &direct{s, why} }

type direct struct {
	s   node.Session
	why string
}

var _ Executor = (*direct)(nil)

func (d *direct) Facts() node.Facts { return d.s.Facts() }

func (d *direct) Mode() (string, string) { return d.s.Mode(), d.why }

// Check sends everything that the checks will surely ask in one request, then asks each check.
func (d *direct) Check(ctx context.Context, list []steps.Step) []Checked {
	out := make([]Checked, len(list))
	facts := d.s.Facts()
	var qs []node.Query
	for i, s := range list {
		if p, ok := s.(steps.Prefetcher); ok {
			out[i].Err = guard(s, "say what its check reads", func() error {
				qs = append(qs, p.Reads(facts)...)
				return nil
			})
		}
	}
	if len(qs) > 0 {
		if err := d.s.Prefetch(ctx, qs); err != nil {
			for i := range out {
				out[i].Err = err
			}
			return out
		}
	}
	for i, s := range list {
		if out[i].Err != nil {
			continue
		}
		out[i].Err = guard(s, "check", func() error {
			var err error
			out[i].Diff, err = s.Check(ctx, reader{d.s})
			return err
		})
		if linkBroke(out[i].Err) {
			// the rest would only wait for the same dead link
			for j := i + 1; j < len(out); j++ {
				out[j].Err = out[i].Err
			}
			break
		}
	}
	return out
}

func (d *direct) Apply(ctx context.Context, s steps.Step, diff steps.Diff) (steps.Outcome, error) {
	var out steps.Outcome
	err := guard(s, "apply", func() error {
		var err error
		out, err = s.Apply(ctx, d.s, diff)
		return err
	})
	return out, err
}

func (d *direct) Undo(ctx context.Context, s steps.Step, before json.RawMessage) error {
	u, ok := s.(steps.Undoer)
	if !ok {
		return fmt.Errorf("cannot undo a step of kind %s: %w", s.Kind(), ErrNoReturn)
	}
	return guard(s, "undo", func() error { return u.Undo(ctx, d.s, before) })
}

func (d *direct) Restart(ctx context.Context, reason string) error {
	_, err := d.s.Do(ctx, node.Restart{Reason: reason})
	return err
}

func (d *direct) Close() error { return d.s.Close() }

// reader hides the verbs that change a machine, also from a type assertion.
type reader struct{ s node.Session }

func (r reader) Facts() node.Facts { return r.s.Facts() }

func (r reader) Query(ctx context.Context, q node.Query) ([]node.Row, error) {
	return r.s.Query(ctx, q)
}

func (r reader) Stat(ctx context.Context, path string) (node.FileInfo, error) {
	return r.s.Stat(ctx, path)
}

func (r reader) Open(ctx context.Context, path string) (io.ReadCloser, error) {
	return r.s.Open(ctx, path)
}

// PanicError is a panic of a step, made an error: one bad kind must not end a run that has work to write down.
type PanicError struct {
	Kind  string
	Verb  string
	Value any
	Stack string // for a debug log
}

func (e *PanicError) Error() string {
	return fmt.Sprintf("the step %s panicked when asked to %s: %v", e.Kind, e.Verb, e.Value)
}

func guard(s steps.Step, verb string, f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Kind: s.Kind(), Verb: verb, Value: v, Stack: string(debug.Stack())}
		}
	}()
	return f()
}
