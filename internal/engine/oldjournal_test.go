package engine

import (
	"context"
	"slices"
	"strings"
	"testing"

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
	if _, err := Rollback(context.Background(), g.o, RollbackOptions{}); err != nil {
		t.Fatal(err)
	}
	g.o.Run = ""
	g.story()
	return g, slices.Clone(g.m.entries)
}

func endOfRun(entries []journal.Entry) int {
	return slices.IndexFunc(entries, func(e journal.Entry) bool { return e.Kind == journal.RunEnd }) + 1
}

// An older copy of the journal that is used after a rollback hears that what it takes for done was
// taken back.
func TestOlderCopyHearsOfTheRollback(t *testing.T) {
	g, all := twice(t, "p: a b:old")
	older := all[:endOfRun(all)]
	g.m.entries = slices.Clone(older)
	s, err := Rollback(context.Background(), g.o, RollbackOptions{})
	if err != nil || s.Counts.Undone != 0 {
		t.Errorf("there was nothing left to take back: %+v, %v", s.Counts, err)
	}
	if got, want := g.story(), "undo-begin:b@n1 undone:b@n1 undo-begin:a@n1 undone:a@n1"; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	g.m.entries, g.o.Run = slices.Clone(older), ""
	if _, err := Resume(context.Background(), g.o); err != nil {
		t.Fatal(err)
	}
	if got := g.story(); !strings.HasPrefix(got, "undo-begin:b@n1 undone:b@n1 undo-begin:a@n1 undone:a@n1 begin:a@n1 "+
		"apply:a@n1 done:a@n1 begin:b@n1 apply:b@n1 done:b@n1") {
		t.Errorf("got %s", got)
	}
}

// Whatever the moment at which the copy was taken: an apply from it brings everything about, and a
// rollback then leaves what was there at the very first.
func TestOlderCopyOfAnyMoment(t *testing.T) {
	const setup = "p: a b:old c:reboot / q: d:half1,old e:lost f:reboot,old"
	play := func(t *testing.T) (*rig, []journal.Entry) {
		t.Helper()
		g := newRig(t, setup)
		g.o.Dial = g.w.dialAgent
		for range 9 { // a step fails once
			g.o.Run = ""
			if _, err := Apply(context.Background(), g.o, nil); err == nil {
				break
			}
		}
		g.o.Run = ""
		if _, err := Rollback(context.Background(), g.o, RollbackOptions{}); err != nil {
			t.Fatal(err)
		}
		g.o.Run = ""
		return g, slices.Clone(g.m.entries)
	}
	g, all := play(t)
	first := g.w.snapshot()
	for n := range all {
		if n == 0 {
			continue // without a first run the journal has no name, and is another one
		}
		g, all := play(t)
		g.m.entries = slices.Clone(all[:n])
		for range 9 {
			g.o.Run = ""
			if _, err := Apply(context.Background(), g.o, nil); err == nil {
				break
			}
		}
		for k, v := range g.w.snapshot() {
			if v != "new" {
				t.Errorf("copied after %d entries, applied: %s is %q", n, k, v)
			}
		}
		st, err := journal.Fold(g.m.entries)
		if err != nil {
			t.Fatal(err)
		}
		for id, task := range st.Tasks {
			if len(task.Acts) != 1 || !task.Acts[0].Done {
				t.Errorf("copied after %d entries, applied: %s has acts %+v", n, id, task.Acts)
			}
		}
		g.o.Run = ""
		if _, err := Rollback(context.Background(), g.o, RollbackOptions{}); err != nil {
			t.Errorf("copied after %d entries: %v", n, err)
		}
		for k, v := range g.w.snapshot() {
			if v != first[k] {
				t.Errorf("copied after %d entries, rolled back: %s is %q, was %q", n, k, v, first[k])
			}
		}
	}
	if len(all) < 40 {
		t.Errorf("the journal has only %d entries", len(all))
	}
}
