package engine

import (
	"context"
	"errors"
	"strings"
	"testing"

	"deploy/internal/hint"
	"deploy/internal/journal"
)

// owing plays an agent that is gone in the middle of its row, and a node that can carry none from
// then on.
func owing(t *testing.T) *rig {
	t.Helper()
	g := newRig(t, "p: a b:lost c")
	dials := 0
	g.o.Dial = func(ctx context.Context, name string, b Position) (Executor, error) {
		if dials++; dials == 1 {
			return g.w.dialAgent(ctx, name, b)
		}
		return g.w.dial(ctx, name, b)
	}
	_, err := Apply(context.Background(), g.o, nil)
	if !errors.Is(err, errUnheard) || !strings.Contains(hint.Of(err), "--forget-agent n1") {
		t.Fatalf("the agent was gone in the middle: %v, hint %q", err, hint.Of(err))
	}
	if got, want := g.story(), "begin:a@n1 apply:a@n1 done:a@n1 begin:b@n1 apply:b@n1"; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	g.o.Run = ""
	return g
}

// A node whose agent owes its story is not worked on from here, by any command that acts, and may
// be looked at.
func TestNoWorkBesideAnAgentThatOwes(t *testing.T) {
	g := owing(t)
	g.o.Dial = g.w.dial
	if _, err := MakePlan(context.Background(), g.o); err != nil {
		t.Errorf("a plan only looks: %v", err)
	}
	for _, c := range []struct {
		name string
		f    func() error
	}{
		{"apply", func() error { _, err := Apply(context.Background(), g.o, nil); return err }},
		{"resume", func() error { _, err := Resume(context.Background(), g.o); return err }},
		{"rollback", func() error { _, err := Rollback(context.Background(), g.o, RollbackOptions{All: true}); return err }},
	} {
		g.o.Run = ""
		want := errUnheard
		if c.name == "rollback" {
			want = ErrLeft // and goes on elsewhere
		}
		if err := c.f(); !errors.Is(err, want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if got := g.story(); strings.Contains(got, "apply:") || strings.Contains(got, "undo:") {
		t.Errorf("something was done: %s", got)
	}
}

// Once the agent is there again, it tells, and from then on the way does not matter.
func TestAnAgentThatOwedTells(t *testing.T) {
	g := owing(t)
	g.o.Dial = g.w.dialAgent
	if _, err := Apply(context.Background(), g.o, nil); err != nil {
		t.Fatal(err)
	}
	st, err := journal.Fold(g.m.entries)
	if err != nil || len(st.Owing) != 0 {
		t.Fatalf("owing: %v, %v", st.Owing, err)
	}
	if w := st.Task("p/b@n1").Status; w != journal.StatusDone {
		t.Errorf("b is %s", w)
	}
	g.o.Dial, g.o.Run = g.w.dial, ""
	if _, err := Rollback(context.Background(), g.o, RollbackOptions{All: true}); err != nil {
		t.Errorf("from here, after everything was heard: %v", err)
	}
	if v := g.w.snapshot(); v["n1/a"]+v["n1/b"]+v["n1/c"] != "" {
		t.Errorf("left: %v", v)
	}
}

// A run that was cut off has heard nothing of the end, so its agent owes as well.
func TestACutRunOwes(t *testing.T) {
	g := newRig(t, "p: a b")
	g.o.Dial = g.w.dialAgent
	if _, err := Apply(context.Background(), g.o, nil); err != nil {
		t.Fatal(err)
	}
	for n := range g.m.entries {
		st, err := journal.Fold(g.m.entries[:n+1])
		if err != nil {
			t.Fatal(err)
		}
		handed := false
		for _, e := range g.m.entries[:n+1] {
			handed = handed || e.Kind == journal.Handed
		}
		if want := handed && n+1 < len(g.m.entries); st.Owing["n1"] != want {
			t.Errorf("after %d of %d entries it owes: %v", n+1, len(g.m.entries), st.Owing)
		}
	}
}

// Who knows that the node has lost the record says so, once; what was done there is found by a
// look.
func TestForgottenAgent(t *testing.T) {
	g := owing(t)
	g.o.Dial, g.o.ForgetAgents = g.w.dial, []string{"n1"}
	var warned []string
	g.o.Events = func(e Event) {
		if e.Kind == EvWarning {
			warned = append(warned, e.Text)
		}
	}
	if _, err := Apply(context.Background(), g.o, nil); err != nil {
		t.Fatal(err)
	}
	if len(warned) != 1 || !strings.Contains(warned[0], "the node is checked instead") {
		t.Errorf("warned %q", warned)
	}
	g.o.Run, g.o.ForgetAgents = "", nil
	if s, err := Apply(context.Background(), g.o, nil); err != nil || s.Counts.Change != 0 {
		t.Errorf("the next run needs no word: %+v, %v", s, err)
	}
}
