package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"deploy/internal/journal"
)

const crashSetup = "p: a@n1+n2 b@n1:old c@n2:reboot / q: d@n1:reboot,quiet e@n1+n2!one-by-one:old f@n2:noop / r: " +
	"g@n1:lost h@n2:probe i@n1"

// TestCrashApply kills the run at every journal entry, once just before it is on disk and once just
// after, and resumes on the same journal. The end is the one of an undisturbed run, and every
// Before is the first one.
func TestCrashApply(t *testing.T) {
	t.Run("from here", func(t *testing.T) { crashApply(t, func(*rig) {}) })
	t.Run("by an agent", func(t *testing.T) { crashApply(t, func(g *rig) { g.o.Dial = g.w.dialAgent }) })
}

func crashApply(t *testing.T, mode func(*rig)) {
	whole := newRig(t, crashSetup)
	mode(whole)
	if _, err := Apply(context.Background(), whole.o, nil); err != nil {
		t.Fatal(err)
	}
	want := whole.w.snapshot()
	for _, late := range []bool{false, true} {
		for n := 1; n <= len(whole.m.entries); n++ {
			t.Run(fmt.Sprintf("late=%v/%d", late, n), func(t *testing.T) {
				g := newRig(t, crashSetup)
				mode(g)
				start := g.w.snapshot()
				g.m.killAt, g.m.late = n, late
				if _, err := Apply(context.Background(), g.o, nil); !errors.Is(err, errKilled) {
					t.Fatalf("the run was not killed: %v", err)
				}
				g.revive()
				sum, err := Resume(context.Background(), g.o)
				if err != nil {
					t.Fatalf("cannot resume after entry %d: %v\n%s", n, err, g.story())
				}
				if sum.How != HowDone {
					t.Errorf("resumed, it ended %s", sum.How)
				}
				if got := g.w.snapshot(); !maps.Equal(got, want) {
					t.Errorf("the end differs:\n got %v\nwant %v", got, want)
				}
				// all the way back from wherever it was cut
				g.o.Run = ""
				if _, err := Rollback(context.Background(), g.o, RollbackOptions{All: true}); err != nil {
					t.Fatalf("cannot roll back: %v\n%s", err, g.story())
				}
				if got := g.w.snapshot(); !maps.Equal(got, start) {
					t.Errorf("the way back ends elsewhere:\n got %v\nwant %v", got, start)
				}
			})
		}
	}
}

// TestCrashRollback does the same to a rollback, also when it is cut off again and again.
func TestCrashRollback(t *testing.T) {
	setup := strings.ReplaceAll(crashSetup, "d@n1:reboot,quiet", "d@n1:undolost j@n2:undoreboot")
	ready := func(t *testing.T) (*rig, map[string]string) {
		g := newRig(t, setup)
		start := g.w.snapshot()
		if _, err := Apply(context.Background(), g.o, nil); err != nil {
			t.Fatal(err)
		}
		g.o.Run = ""
		return g, start
	}
	whole, start := ready(t)
	from := len(whole.m.entries)
	if _, err := Rollback(context.Background(), whole.o, RollbackOptions{All: true}); err != nil {
		t.Fatal(err)
	}
	if got := whole.w.snapshot(); !maps.Equal(got, start) {
		t.Fatalf("an undisturbed rollback ends elsewhere:\n got %v\nwant %v", got, start)
	}
	for _, late := range []bool{false, true} {
		for n := from + 1; n <= len(whole.m.entries); n++ {
			g, start := ready(t)
			g.m.killAt, g.m.late = n, late
			if _, err := Rollback(context.Background(), g.o, RollbackOptions{All: true}); !errors.Is(err, errKilled) {
				t.Fatalf("late=%v/%d: the rollback was not killed: %v", late, n, err)
			}
			g.revive()
			for try := range 3 { // cut off twice more
				g.m.killAt = 0
				if try < 2 {
					g.m.killAt = len(g.m.entries) + 4
				}
				var err error
				if n == from+1 && !late {
					_, err = Rollback(context.Background(), g.o, RollbackOptions{All: true}) // it never stood in the journal
				} else {
					_, err = Resume(context.Background(), g.o)
				}
				if strings.Contains(text(err), "nothing to resume") {
					err = nil // the end of the one before was on disk
				}
				if err != nil && !errors.Is(err, errKilled) {
					t.Fatalf("late=%v/%d: %v\n%s", late, n, err, g.story())
				}
				g.revive()
				if err == nil {
					break
				}
			}
			if _, err := Resume(context.Background(), g.o); err == nil || !strings.Contains(err.Error(), "nothing to resume") {
				t.Errorf("late=%v/%d: a resume after the end said %v", late, n, err)
			}
			if got := g.w.snapshot(); !maps.Equal(got, start) {
				t.Errorf("late=%v/%d: the rollback ends elsewhere:\n got %v\nwant %v", late, n, got, start)
			}
		}
	}
}

// TestCrashAfterRollback: what was taken back, also half way, is done again by the next apply.
func TestCrashAfterRollback(t *testing.T) {
	g := newRig(t, crashSetup)
	if _, err := Apply(context.Background(), g.o, nil); err != nil {
		t.Fatal(err)
	}
	want := g.w.snapshot()
	g.o.Run = ""
	g.m.killAt = len(g.m.entries) + 8
	if _, err := Rollback(context.Background(), g.o, RollbackOptions{All: true}); !errors.Is(err, errKilled) {
		t.Fatal(err)
	}
	g.revive()
	if _, err := Apply(context.Background(), g.o, nil); err != nil {
		t.Fatal(err)
	}
	if got := g.w.snapshot(); !maps.Equal(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
}

// TestOpenEnds: what the journal left open is settled by the node, whichever way it stands.
func TestOpenEnds(t *testing.T) {
	for _, c := range []struct{ name, setup, node, want string }{
		{"it was done", "p: a", "new", "done:a@n1 checkpoint:p"},
		{"it was not", "p: a", "", "begin:a@n1 apply:a@n1 done:a@n1 checkpoint:p"},
		{"half of it was", "p: a", "half", "begin:a@n1 apply:a@n1 done:a@n1 checkpoint:p"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newRig(t, c.setup)
			g.m.killAt, g.m.late = 3, true // run-start, phase, begin
			if _, err := Apply(context.Background(), g.o, nil); !errors.Is(err, errKilled) {
				t.Fatal(err)
			}
			g.revive()
			delete(g.w.values, "n1/a")
			if c.node != "" {
				g.w.values["n1/a"] = c.node
			}
			g.story()
			plan, err := MakePlan(context.Background(), g.o)
			if err != nil || !plan.HasChanges() || len(plan.Open) != 1 {
				t.Errorf("the plan does not show what is open: %v %+v", err, plan)
			}
			if _, err := Resume(context.Background(), g.o); err != nil {
				t.Fatal(err)
			}
			if got := g.story(); got != c.want {
				t.Errorf("got %s\nwant %s", got, c.want)
			}
			st, err := journal.Fold(g.m.entries)
			if err != nil {
				t.Fatal(err)
			}
			acts := st.Task("p/a@n1").Acts
			if len(acts) != 1 || !acts[0].Done {
				t.Fatalf("the acts are %+v", acts)
			}
			if d, _ := diffOf(acts[0]); canonical(d.Before) != `{"value":""}` {
				t.Errorf("the first Before was lost: %s", d.Before)
			}
		})
	}
}

// revive is a new process on the same journal and the same machines.
func (g *rig) revive() {
	g.m.dead, g.m.killAt = false, 0
	g.o.Run = ""
}
