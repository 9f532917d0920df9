// Package task runs steps over a session: the one place that knows how a check, an act and an
// undo are called, for the controller that works from afar and for the agent beside the machine
// alike.
package task

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime/debug"

	"deploy/internal/node"
	"deploy/steps"
)

// ErrRecordDamaged: the record that an agent keeps of its acts is not what it wrote.
var ErrRecordDamaged = errors.New("the record is damaged")

// ErrNoReturn: the kind of step has no way back.
var ErrNoReturn = errors.New("point of no return")

// ErrDidNotHold: an Apply said that it worked, and the Check after it still found a difference; or
// the same of an Undo.
var ErrDidNotHold = errors.New("did not hold")

// Checked is the answer to one Check.
type Checked struct {
	Diff steps.Diff
	Err  error
}

// Check sends everything that the checks will surely ask in one request, then asks each check. The
// answers are in the order of list. When the link breaks under way, the rest is answered with the
// same error: it would only wait for the same dead link.
func Check(ctx context.Context, s node.Session, list []steps.Step) []Checked {
	out := make([]Checked, len(list))
	facts := s.Facts()
	var qs []node.Query
	for i, step := range list {
		if p, ok := step.(steps.Prefetcher); ok {
			out[i].Err = guard(step, "say what its check reads", func() error {
				qs = append(qs, p.Reads(facts)...)
				return nil
			})
		}
	}
	if len(qs) > 0 {
		if err := s.Prefetch(ctx, qs); err != nil {
			for i := range out {
				out[i].Err = err
			}
			return out
		}
	}
	for i, step := range list {
		if out[i].Err != nil {
			continue
		}
		out[i].Err = guard(step, "check", func() error {
			var err error
			out[i].Diff, err = step.Check(ctx, reader{s})
			return err
		})
		var link *node.LinkError
		if errors.As(out[i].Err, &link) {
			for j := i + 1; j < len(out); j++ {
				out[j].Err = out[i].Err
			}
			break
		}
	}
	return out
}

// Apply does what d says is missing.
func Apply(ctx context.Context, n node.Session, s steps.Step, d steps.Diff) (steps.Outcome, error) {
	var out steps.Outcome
	err := guard(s, "apply", func() error {
		var err error
		out, err = s.Apply(ctx, n, d)
		return err
	})
	return out, err
}

// Undo gives the step its recorded Before. A kind without a way back is ErrNoReturn.
func Undo(ctx context.Context, n node.Session, s steps.Step, before json.RawMessage) error {
	u, ok := s.(steps.Undoer)
	if !ok {
		return fmt.Errorf("cannot undo a step of kind %s: %w", s.Kind(), ErrNoReturn)
	}
	return guard(s, "undo", func() error { return u.Undo(ctx, n, before) })
}

// IsProof says that d is a proof that leaves nothing behind: no look at the node can tell that it
// was given, so having worked is all there is, and the journal remembers it.
func IsProof(d steps.Diff) bool {
	return d.Action == steps.Run && len(d.Changes) == 0 && d.Effects.NothingToUndo
}

// NoReturn tells why doing d with s cannot be undone, or "" when it can.
func NoReturn(s steps.Step, d steps.Diff) string {
	if d.Effects.PointOfNoReturn != "" {
		return d.Effects.PointOfNoReturn
	}
	if _, ok := s.(steps.Undoer); ok || d.Effects.NothingToUndo {
		return ""
	}
	if _, ok := s.(steps.Gated); ok {
		return ""
	}
	return "steps of kind " + s.Kind() + " cannot be undone"
}

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

// PanicError is a panic of a step, made an error: one bad kind must not end a run that has work to
// write down.
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
