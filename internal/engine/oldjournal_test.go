package engine

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"deploy/internal/hint"
	"deploy/internal/journal"
)

// twice applies and rolls back by an agent, and returns everything that the journal had in the end.
func twice(t *testing.T, setup string) (*rig, []journal.Entry) {
	t.Helper()
	g := newRig(t, setup)
	g.o.Dial = g.w.dialAgent
	if _, err := Apply(context.Background(), g.o, nil); err != nil {
		t.Fatal(err)
	}
	g.o.Run = ""
	if _, err := Rollback(context.Background(), g.o, RollbackOptions{All: true}); err != nil {
		t.Fatal(err)
	}
	g.o.Run = ""
	g.story()
	return g, slices.Clone(g.m.entries)
}

func endOfRun(entries []journal.Entry) int {
	return slices.IndexFunc(entries, func(e journal.Entry) bool { return e.Kind == journal.RunEnd }) + 1
}

// An older copy of the journal that is used after a rollback is refused before anything is done; a
// person can say that what it does not know is lost.
func TestOlderCopyIsRefused(t *testing.T) {
	g, all := twice(t, "p: a b:old")
	older := all[:endOfRun(all)]
	g.m.entries = slices.Clone(older)
	if _, err := Apply(context.Background(), g.o, nil); !errors.Is(err, ErrNotInCharge) || g.story() != "" {
		t.Fatalf("the node's owner record lets an older copy work: %v", err)
	}
	g.o.TakeOver = true // and then there is the agent
	taken := false
	for _, f := range []func() error{
		func() error { _, err := Rollback(context.Background(), g.o, RollbackOptions{All: true}); return err },
		func() error { _, err := Apply(context.Background(), g.o, nil); return err },
	} {
		g.o.Run = ""
		err := f()
		if !errors.Is(err, ErrReport) || !strings.Contains(text(err), "it is an older copy, or another journal is used") ||
			!strings.Contains(hint.Of(err), "--forget-agent n1") {
			t.Errorf("got %v, hint %q", err, hint.Of(err))
		}
		if got := g.story(); got != "take-over" && (got != "" || !taken) {
			t.Errorf("it did or wrote %s", got)
		}
		taken = true
	}
	g.o.Run, g.o.ForgetAgents = "", []string{"n1"}
	if _, err := Resume(context.Background(), g.o); err != nil {
		t.Fatal(err)
	}
	if got := g.story(); !strings.HasSuffix(got, "begin:a@n1 apply:a@n1 done:a@n1 begin:b@n1 apply:b@n1 done:b@n1 "+
		"checkpoint:p") {
		t.Errorf("got %s", got)
	}
	g.o.Run, g.o.ForgetAgents = "", nil
	if _, err := Rollback(context.Background(), g.o, RollbackOptions{All: true}); err != nil {
		t.Fatal(err)
	}
	if got := g.w.snapshot(); got["n1/a"] != "" || got["n1/b"] != "old" {
		t.Errorf("rolled back: %v", got)
	}
}

// Whatever the moment at which the copy was taken: it is used as it is, or it is refused and
// nothing is done; and when a person says that the rest is lost, an apply brings everything about.
func TestOlderCopyOfAnyMoment(t *testing.T) {
	const setup = "p: a b:old c:reboot / q: d:half1,old e:lost f:reboot,old"
	again := func(g *rig) error {
		var err error
		for range 9 { // a step fails once
			g.o.Run = ""
			if _, err = Apply(context.Background(), g.o, nil); err == nil || errors.Is(err, ErrReport) {
				break
			}
		}
		g.o.Run = ""
		return err
	}
	play := func(t *testing.T) (*rig, []journal.Entry) {
		t.Helper()
		g := newRig(t, setup)
		g.o.Dial = g.w.dialAgent
		if err := again(g); err != nil {
			t.Fatal(err)
		}
		if _, err := Rollback(context.Background(), g.o, RollbackOptions{All: true}); err != nil {
			t.Fatal(err)
		}
		g.o.Run = ""
		return g, slices.Clone(g.m.entries)
	}
	_, all := play(t)
	if len(all) < 40 {
		t.Fatalf("the journal has only %d entries", len(all))
	}
	refused := 0
	for n := 1; n < len(all); n++ { // without a first run the journal has no name, and is another one
		g, all := play(t)
		g.m.entries, g.o.TakeOver = slices.Clone(all[:n]), true
		was := g.w.snapshot()
		if err := again(g); err != nil {
			refused++
			if !errors.Is(err, ErrReport) {
				t.Errorf("copied after %d entries: %v", n, err)
			}
			if got := g.w.snapshot(); !maps.Equal(got, was) {
				t.Errorf("copied after %d entries and refused, yet something was done: %v", n, got)
			}
			g.o.ForgetAgents = []string{"n1"}
			if err := again(g); err != nil {
				t.Errorf("copied after %d entries, the rest forgotten: %v", n, err)
			}
		}
		for k, v := range g.w.snapshot() {
			if v != "new" {
				t.Errorf("copied after %d entries, applied: %s is %q", n, k, v)
			}
		}
	}
	if refused < len(all)/2 {
		t.Errorf("only %d copies of %d were refused", refused, len(all))
	}
}
