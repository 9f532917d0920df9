package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"deploy/internal/node"
	"deploy/internal/task"
	"deploy/steps"
)

// session records what goes over it.
type session struct {
	calls    []string
	prefetch error
}

func (s *session) Facts() node.Facts { return node.Facts{Computer: "n1"} }
func (s *session) Query(_ context.Context, q node.Query) ([]node.Row, error) {
	s.calls = append(s.calls, fmt.Sprintf("query %v", q.Request().Args["key"]))
	return nil, nil
}
func (s *session) Stat(context.Context, string) (node.FileInfo, error) {
	return node.FileInfo{}, node.ErrNotFound
}
func (s *session) Open(context.Context, string) (io.ReadCloser, error) { return nil, node.ErrNotFound }
func (s *session) Do(_ context.Context, a node.Action) ([]node.Row, error) {
	s.calls = append(s.calls, a.Request().Verb)
	return nil, nil
}
func (s *session) Run(context.Context, node.Cmd) (node.Result, error)                { return node.Result{}, nil }
func (s *session) StartJob(context.Context, string, node.Cmd) error                  { return nil }
func (s *session) Job(context.Context, string) (node.JobState, error)                { return node.JobState{}, nil }
func (s *session) Write(context.Context, string, io.Reader, node.WriteOptions) error { return nil }
func (s *session) Prefetch(_ context.Context, qs []node.Query) error {
	s.calls = append(s.calls, fmt.Sprintf("prefetch %d", len(qs)))
	return s.prefetch
}
func (s *session) Mode() string { return "direct" }
func (s *session) Close() error { s.calls = append(s.calls, "close"); return nil }

// reads is a step that names its reads and asks them.
type reads struct {
	oneWay
	key string
}

func (r reads) Reads(node.Facts) []node.Query { return []node.Query{node.Registry{Key: r.key}} }
func (r reads) Check(ctx context.Context, rd node.Reader) (steps.Diff, error) {
	if r.key == "panic" {
		panic("oh")
	}
	if r.key == "link" {
		return steps.Diff{}, &node.LinkError{Node: "n1", Err: errors.New("cut")}
	}
	if _, ok := rd.(node.Node); ok {
		return steps.Diff{}, errors.New("a check was given verbs that change")
	}
	_, err := rd.Query(ctx, node.Registry{Key: r.key})
	return steps.NoChange(), err
}

func TestDirect(t *testing.T) {
	ctx := context.Background()
	s := &session{}
	d := Direct(s, "too old for an agent")
	if mode, why := d.Mode(); mode != "direct" || why != "too old for an agent" {
		t.Errorf("mode is %s: %s", mode, why)
	}
	got := d.Check(ctx, []steps.Step{reads{key: "a"}, reads{key: "panic"}, reads{key: "b"}})
	if got[0].Err != nil || got[2].Err != nil || got[0].Diff.Action != steps.NoOp {
		t.Errorf("the answers are %+v", got)
	}
	var pe *task.PanicError
	if !errors.As(got[1].Err, &pe) || pe.Error() != "the step final panicked when asked to check: oh" ||
		!strings.Contains(pe.Stack, "direct_test") {
		t.Errorf("a panic came as %v", got[1].Err)
	}
	if calls := strings.Join(s.calls, ", "); calls != "prefetch 3, query a, query b" {
		t.Errorf("the calls were %s", calls)
	}
	// a dead link is not asked again and again
	s.calls = nil
	got = d.Check(ctx, []steps.Step{reads{key: "link"}, reads{key: "a"}})
	if !linkBroke(got[0].Err) || !linkBroke(got[1].Err) || len(s.calls) != 1 {
		t.Errorf("after a dead link: %+v, calls %v", got, s.calls)
	}
	s.prefetch = &node.LinkError{Node: "n1", Err: errors.New("cut")}
	if got = d.Check(ctx, []steps.Step{reads{key: "a"}}); !linkBroke(got[0].Err) {
		t.Errorf("a failed prefetch came as %+v", got)
	}
	if err := d.Undo(ctx, reads{key: "a"}, nil); !errors.Is(err, ErrNoReturn) {
		t.Errorf("undo of a step without a way back: %v", err)
	}
	s.calls = nil
	if err := errors.Join(d.Restart(ctx, "why"), d.Close()); err != nil ||
		strings.Join(s.calls, ", ") != "restart, close" {
		t.Errorf("%v, calls %v", err, s.calls)
	}
}
