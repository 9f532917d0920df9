package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"deploy/steps"
)

func TestRollback(t *testing.T) {
	for _, c := range []struct {
		name, setup string
		ro          RollbackOptions
		want, err   string
	}{
		{"backwards", "p: a b / q: c", RollbackOptions{},
			"undo-begin:c@n1 undo:c@n1 undone:c@n1 undo-begin:b@n1 undo:b@n1 undone:b@n1 undo-begin:a@n1 undo:a@n1 undone:a@n1",
			""},
		{"to a checkpoint", "p: a / q: b / r: c", RollbackOptions{ToPhase: "q"}, "undo-begin:c@n1 undo:c@n1 undone:c@n1", ""},
		{"to a phase that is not there", "p: a", RollbackOptions{ToPhase: "x"}, "", `there is no phase "x"`},
		{"only what was done", "p: a:noop b", RollbackOptions{}, "undo-begin:b@n1 undo:b@n1 undone:b@n1", ""},
		{"a probe leaves nothing behind", "p: a b:probe", RollbackOptions{},
			"undone:b@n1 undo-begin:a@n1 undo:a@n1 undone:a@n1", ""},
		{"what was there before", "p: a:old", RollbackOptions{}, "undo-begin:a@n1 undo:a@n1 undone:a@n1", ""},
		{"a point of no return", "p: a b:noreturn c", RollbackOptions{},
			"undo-begin:c@n1 undo:c@n1 undone:c@n1 left:b@n1 left:a@n1",
			"2 acts are left as they are"},
		{"no way back at all", "p: a b:final", RollbackOptions{},
			"left:b@n1 left:a@n1", "2 acts are left as they are"},
		{"a last one without a way back", "p: b:final", RollbackOptions{}, "left:b@n1",
			"p/b@n1 is left as it is: steps of kind final cannot be undone: point of no return"},
		{"left by id", "p: a b:final", RollbackOptions{Leave: []string{"p/b@n1"}},
			"left:b@n1 undo-begin:a@n1 undo:a@n1 undone:a@n1",
			""},
		{"left by step", "p: a b@n1+n2:final", RollbackOptions{Leave: []string{"p/b"}},
			"left:b@n2 left:b@n1 undo-begin:a@n1 undo:a@n1 undone:a@n1", ""},
		{"half of a step", "p: a b:half", RollbackOptions{},
			"undo-begin:b@n1 undo:b@n1 undone:b@n1 undo-begin:a@n1 undo:a@n1 undone:a@n1", ""},
		{"a step that did nothing", "p: a b:fail", RollbackOptions{}, "undone:b@n1 undo-begin:a@n1 undo:a@n1 undone:a@n1",
			""},
		{"a point of no return that was not passed", "p: a b:final,fail", RollbackOptions{},
			"undone:b@n1 undo-begin:a@n1 undo:a@n1 undone:a@n1", ""},
		{"a person's work stays", "p: a g:gate", RollbackOptions{}, "undo-begin:a@n1 undo:a@n1 undone:a@n1", ""},
		{"undo fails", "p: a b:undofail", RollbackOptions{}, "undo-begin:b@n1 undo:b@n1 undo-failed:b@n1 left:a@n1",
			"cannot undo p/b@n1 on n1: no way"},
		{"undo does nothing", "p: a:undonot", RollbackOptions{}, "undo-begin:a@n1 undo:a@n1 undo-failed:a@n1",
			"cannot undo p/a@n1 on n1: it did not hold: value was \"\", is new"},
		{"undo makes something else", "p: a:old,undoodd", RollbackOptions{}, "undo-begin:a@n1 undo:a@n1 undo-failed:a@n1",
			`cannot undo p/a@n1 on n1: it did not hold: value was old, is odd`},
		{"undo restarts", "p: a b:undoreboot", RollbackOptions{},
			"undo-begin:b@n1 undo:b@n1 reboot:b@n1 restart:n1 rebooted:b@n1 undone:b@n1 undo-begin:a@n1 undo:a@n1 undone:a@n1",
			""},
		{"the link breaks", "p: a:undolost", RollbackOptions{}, "undo-begin:a@n1 undo:a@n1 lost:a@n1 undo-begin:a@n1 " +
			"undo:a@n1 undone:a@n1", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newRig(t, c.setup)
			start := g.w.snapshot()
			g.o.Gate = func(context.Context, GateRequest) (Signature, bool, error) {
				g.w.mu.Lock()
				defer g.w.mu.Unlock()
				g.w.values["n1/g"] = "new"
				return Signature{By: "bob"}, true, nil
			}
			_, _ = Apply(context.Background(), g.o, nil)
			g.story()
			g.o.Run = ""
			plan, perr := PlanRollback(context.Background(), g.o, c.ro)
			sum, err := Rollback(context.Background(), g.o, c.ro)
			if got := g.story(); got != c.want {
				t.Errorf("story:\n got %s\nwant %s", got, c.want)
			}
			if got := text(err); got != c.err {
				t.Errorf("error:\n got %s\nwant %s", got, c.err)
			}
			if perr == nil && err == nil && c.ro.ToPhase == "" && c.ro.Leave == nil && !strings.Contains(c.setup, "gate") {
				delete(start, "none")
				if got := g.w.snapshot(); !maps.Equal(got, start) {
					t.Errorf("the end is %v, the beginning was %v", got, start)
				}
			}
			if perr == nil && sum != nil {
				final := slices.ContainsFunc(plan.Acts, func(a RollbackAct) bool { return a.Do == DoStop && !a.Open })
				if final != errors.Is(err, ErrLeft) || final != (sum.How == HowLeft) {
					t.Errorf("the plan says %+v, the rollback ended with %s: %v", plan.Acts, sum.How, err)
				}
			}
		})
	}
}

// TestRollbackWithoutTheProgram: the steps come from the journal, so a site that has lost them can
// still be taken back.
func TestRollbackWithoutTheProgram(t *testing.T) {
	g := newRig(t, "p: a:old / q: b")
	start := g.w.snapshot()
	if _, err := Apply(context.Background(), g.o, nil); err != nil {
		t.Fatal(err)
	}
	g.o.Program = &steps.Program{Site: "s", Phases: []steps.Phase{{ID: "other"}}}
	g.o.Run = ""
	rep, err := Status(g.m.entries, g.o.Program)
	if err != nil || len(rep.Gone) != 2 || rep.Gone[0].ID != "p/a@n1" || !rep.Gone[0].Changed ||
		len(rep.LastRun.Moved) != 2 {
		t.Errorf("status does not show what is gone: %v %+v", err, rep)
	}
	if _, err := Rollback(context.Background(), g.o, RollbackOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := g.w.snapshot(); !maps.Equal(got, start) {
		t.Errorf("the end is %v, the beginning was %v", got, start)
	}
}

// TestRollbackOfDrift: a task that was done twice, since somebody had changed the machine between,
// is taken back twice, newest first.
func TestRollbackOfDrift(t *testing.T) {
	g := newRig(t, "p: a:old")
	for range 2 {
		if _, err := Apply(context.Background(), g.o, nil); err != nil {
			t.Fatal(err)
		}
		g.o.Run = ""
		g.w.values["n1/a"] = "drifted"
	}
	g.w.values["n1/a"] = "new"
	var befores []string
	g.w.onAct = func(string, string) { befores = append(befores, g.w.snapshot()["n1/a"]) }
	if _, err := Rollback(context.Background(), g.o, RollbackOptions{All: true}); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%v %s", befores, g.w.snapshot()["n1/a"]); got != "[new drifted] old" {
		t.Errorf("the way back was %s", got)
	}
}

// TestRollbackThenApply: after a rollback everything is to be done again, and status says so.
func TestRollbackThenApply(t *testing.T) {
	g := newRig(t, "p: a / q: b")
	if _, err := Apply(context.Background(), g.o, nil); err != nil {
		t.Fatal(err)
	}
	first := g.story()
	g.o.Run = ""
	if _, err := Rollback(context.Background(), g.o, RollbackOptions{}); err != nil {
		t.Fatal(err)
	}
	rep, err := Status(g.m.entries, g.o.Program)
	if err != nil {
		t.Fatal(err)
	}
	for _, ph := range rep.Phases {
		if ph.Checkpoint || ph.Counts.NotYet != 1 {
			t.Errorf("after the rollback, phase %s is %+v", ph.ID, ph)
		}
	}
	g.story()
	g.o.Run = ""
	if _, err := Apply(context.Background(), g.o, nil); err != nil {
		t.Fatal(err)
	}
	if again := g.story(); again != first {
		t.Errorf("the second apply did %s\nthe first %s", again, first)
	}
}

func TestRollbackNeedsDecode(t *testing.T) {
	g := newRig(t, "p: a")
	if _, err := Apply(context.Background(), g.o, nil); err != nil {
		t.Fatal(err)
	}
	g.o.Decode = func(kind string, _ json.RawMessage) (steps.Step, error) { return nil, fmt.Errorf("no kind %s", kind) }
	g.story()
	if _, err := Rollback(context.Background(), g.o, RollbackOptions{}); text(err) != "cannot read act 3 (p/a@n1): no "+
		"kind fake" {
		t.Error(err)
	}
	if got := g.story(); got != "" {
		t.Errorf("it went on and did %s", got)
	}
}
