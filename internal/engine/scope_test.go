package engine

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"deploy/internal/hint"
	"deploy/internal/journal"
	"deploy/steps"
)

// threeRuns is a site to which each of three runs, r1 to r3, added a phase.
func threeRuns(t *testing.T) *rig {
	t.Helper()
	g := newRig(t, "p: a@n1+n2 / q: b@n1+n2 / r: c@n1")
	whole := *g.o.Program
	for i := range whole.Phases {
		part := whole
		part.Phases = whole.Phases[:i+1]
		g.o.Program, g.o.Run = &part, fmt.Sprint("r", i+1)
		if _, err := Apply(context.Background(), g.o, nil); err != nil {
			t.Fatal(err)
		}
	}
	g.next()
	return g
}

// TestScope: what is taken back, as the machines show it afterwards.
func TestScope(t *testing.T) {
	for _, c := range []struct {
		name string
		ro   RollbackOptions
		left string // what is still there
		err  string
	}{
		{"the last run", RollbackOptions{}, "n1/a n1/b n2/a n2/b", ""},
		{"another run", RollbackOptions{Runs: []string{"r2"}}, "n1/a n1/c n2/a", ""},
		{"two runs", RollbackOptions{Runs: []string{"r1", "r3"}}, "n1/b n2/b", ""},
		{"to a phase", RollbackOptions{ToPhase: "p"}, "n1/a n2/a", ""},
		{"a node", RollbackOptions{Nodes: []string{"n2"}}, "n1/a n1/b n1/c", ""},
		{"nodes that fit", RollbackOptions{Nodes: []string{"*1"}}, "n2/a n2/b", ""},
		{"a task", RollbackOptions{Tasks: []string{"q/b@n2"}}, "n1/a n1/b n1/c n2/a", ""},
		{"a step", RollbackOptions{Tasks: []string{"q/b"}}, "n1/a n1/c n2/a", ""},
		{"a run on a node", RollbackOptions{Runs: []string{"r1"}, Nodes: []string{"n2"}}, "n1/a n1/b n1/c n2/b", ""},
		{"everything", RollbackOptions{All: true}, "", ""},
		{"everything but a node", RollbackOptions{All: true, Leave: []string{"n1"}}, "n1/a n1/b n1/c", ""},
		{"no such run", RollbackOptions{Runs: []string{"r4"}}, "", `there is no run "r4"`},
		{"no such node", RollbackOptions{Nodes: []string{"n3"}}, "", `there is no node "n3"`},
		{"no such task", RollbackOptions{Tasks: []string{"q/x"}}, "", `there is no task "q/x"`},
		{"no such thing to leave", RollbackOptions{Leave: []string{"n3"}}, "", `there is no task or node "n3"`},
		{"no such thing to overwrite", RollbackOptions{Overwrite: []string{"q/x"}}, "", `there is no task "q/x"`},
		{"everything and a part", RollbackOptions{All: true, Runs: []string{"r1"}}, "",
			"cannot undo everything and a selection: --all excludes --run and --to"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := threeRuns(t)
			before := g.w.snapshot()
			p, perr := PlanRollback(context.Background(), g.o, c.ro)
			sum, err := g.back(c.ro)
			if text(err) != c.err || text(perr) != c.err {
				t.Fatalf("error %q, in the plan %q", text(err), text(perr))
			}
			var left []string
			for _, at := range []string{"n1/a", "n1/b", "n1/c", "n2/a", "n2/b"} {
				if g.w.snapshot()[at] != "" {
					left = append(left, at)
				}
			}
			if c.err != "" {
				if len(left) != len(before) || len(g.story()) > 0 {
					t.Errorf("it was refused, and did something")
				}
				return
			}
			if got := strings.Join(left, " "); got != c.left {
				t.Errorf("left is %s", got)
			}
			steps := 0
			for _, r := range p.Runs {
				steps += r.Steps
			}
			if p.Undoes() != sum.Counts.Undone || steps != sum.Counts.Undone {
				t.Errorf("the plan says %d, by runs %d; undone were %d", p.Undoes(), steps, sum.Counts.Undone)
			}
		})
	}
}

// TestRollbackRunByRun: each further one takes back the run before.
func TestRollbackRunByRun(t *testing.T) {
	g := threeRuns(t)
	for i, want := range []int{4, 2, 0, 0} {
		if _, err := g.back(RollbackOptions{}); err != nil {
			t.Fatal(err)
		}
		if got := len(g.w.snapshot()); got != want {
			t.Errorf("after %d of them %d values are left, want %d", i+1, got, want)
		}
	}
}

// TestRunUnderALaterOne: a run cannot be taken away from under the one that changed its work. Both
// can.
func TestRunUnderALaterOne(t *testing.T) {
	g := newRig(t, "p: a:old b")
	for _, run := range []string{"r1", "r2"} {
		g.o.Run = run
		if _, err := Apply(context.Background(), g.o, nil); err != nil {
			t.Fatal(err)
		}
		g.set("n1/a", "drifted") // so that the next run does it again
	}
	g.set("n1/a", "new")
	_, err := g.back(RollbackOptions{Runs: []string{"r1"}})
	if text(err) != "cannot take that back by itself: run r2 changed p/a@n1 later" ||
		hint.Of(err) != "undo both: add --run r2" || g.story() != "" {
		t.Errorf("%v, %s", err, hint.Of(err))
	}
	if _, err := g.back(RollbackOptions{Runs: []string{"r1", "r2"}}); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(g.w.snapshot()); got != "map[n1/a:old]" {
		t.Errorf("the end is %s", got)
	}
}

// TestRunsThatWereResumed: a run that was cut off and those that went on with it are one.
func TestRunsThatWereResumed(t *testing.T) {
	g := newRig(t, "p: a b c")
	g.m.killAt = 6
	if _, err := Apply(context.Background(), g.o, nil); err == nil {
		t.Fatal("it was not killed")
	}
	g.m.dead, g.m.killAt, g.o.Run = false, 0, ""
	if _, err := Resume(context.Background(), g.o); err != nil {
		t.Fatal(err)
	}
	if _, err := g.back(RollbackOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := g.w.snapshot(); len(got) != 0 {
		t.Errorf("left is %v", got)
	}
}

// TestResumedRollbackKeepsItsScope: wherever it is cut, the next one takes back the same, and not
// the run before.
func TestResumedRollbackKeepsItsScope(t *testing.T) {
	for kill := 1; ; kill++ {
		g := threeRuns(t)
		g.m.killAt = len(g.m.entries) + kill
		_, err := g.back(RollbackOptions{})
		if err == nil {
			if kill < 4 {
				t.Fatal("it was never killed")
			}
			return
		}
		g.m.dead, g.m.killAt = false, 0
		g.next()
		_, err = Resume(context.Background(), g.o)
		switch {
		case kill == 1: // nothing of it was written, so an apply goes on
			if err != nil || len(g.w.snapshot()) != 5 {
				t.Errorf("killed at once: %v, %v", err, g.w.snapshot())
			}
		case err != nil || len(g.w.snapshot()) != 4:
			t.Errorf("killed at entry %d: %v, %v", kill, err, g.w.snapshot())
		}
	}
}

// TestOrderBetweenNodes: what a phase needs waits until that phase is taken back on all nodes,
// nodes in a row go backwards, and the others side by side.
func TestOrderBetweenNodes(t *testing.T) {
	for _, c := range []struct{ name, setup, want string }{
		{"phases", "p: a@n1+n2 / q: b@n1", "undo:b@n1 undo:a@n1|undo:a@n2"},
		{"a row", "p: a@n1+n2+n3!one-by-one", "undo:a@n3 undo:a@n2 undo:a@n1"},
		{"first, then the rest", "p: a@n1+n2+n3!first-then-rest", "undo:a@n2|undo:a@n3 undo:a@n1"},
		{"a stage", "p: a@n1 b@n2", "undo:b@n2 undo:a@n1"},
	} {
		g := applied(t, c.setup)
		if _, err := g.back(RollbackOptions{}); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, s := range strings.Fields(g.story()) {
			if strings.HasPrefix(s, "undo:") {
				got = append(got, s)
			}
		}
		at := 0
		for _, group := range strings.Fields(c.want) {
			any := strings.Split(group, "|")
			for range any {
				if at == len(got) || !strings.Contains("|"+group+"|", "|"+got[at]+"|") {
					t.Fatalf("%s: got %v, want %s", c.name, got, c.want)
				}
				at++
			}
		}
	}
}

// TestNodesSideBySide: forty nodes take no longer than the slowest, and an order that the playbook
// wants is kept all the same.
func TestNodesSideBySide(t *testing.T) {
	var names []string
	for i := range 40 {
		names = append(names, fmt.Sprint("n", i))
	}
	g := newRig(t, "p: a@"+strings.Join(names, "+"))
	g.o.Parallel = 40
	if _, err := Apply(context.Background(), g.o, nil); err != nil {
		t.Fatal(err)
	}
	g.w.onAct = func(string, string) { time.Sleep(50 * time.Millisecond) }
	start := time.Now()
	if _, err := g.back(RollbackOptions{}); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took > time.Second {
		t.Errorf("it took %s; one after the other it is 2s", took)
	}
}

// TestCheckpointsFall: what was undone takes the checkpoints of all that stands on it with it, also
// of a phase in which nothing was done, and what was looked at there.
func TestCheckpointsFall(t *testing.T) {
	g := newRig(t, "p: a / q: b:noop / other: d / r: g:gate")
	g.o.Program.Phases[2].Needs = nil
	g.o.Program.Phases[3].Needs = []string{"q"}
	g.o.Gate = func(context.Context, GateRequest) (Signature, bool, error) {
		g.set("n1/g", "new")
		return Signature{By: "bob"}, true, nil
	}
	if _, err := Apply(context.Background(), g.o, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := g.back(RollbackOptions{Tasks: []string{"p/a"}}); err != nil {
		t.Fatal(err)
	}
	rep, err := Status(g.m.entries, g.o.Program)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, ph := range rep.Phases {
		got = append(got, fmt.Sprintf("%s %v %d", ph.ID, ph.Checkpoint, ph.Counts.Done))
	}
	if s := strings.Join(got, ", "); s != "p false 0, q false 0, other true 1, r false 0" {
		t.Errorf("got %s", s)
	}
	if sig := rep.Phases[3].Tasks[0].Signature; sig != nil {
		t.Errorf("the gate is still signed: %+v", sig)
	}
	g.o.Run, g.o.Selection = "", Selection{Only: []string{"r"}}
	if _, err := Apply(context.Background(), g.o, nil); err == nil {
		t.Error("a phase runs although what it needs was taken back")
	}
}

// TestMadeAnew is the machine that was replaced, or a directory that somebody removed: the apply
// that makes the work again takes the place of what was done before, and a rollback does not replay
// it.
func TestMadeAnew(t *testing.T) {
	g := newRig(t, "p: a / q: b:noop")
	apply := func(now string) {
		t.Helper()
		g.o.Run = ""
		g.set("n1/a", now)
		if _, err := Apply(context.Background(), g.o, nil); err != nil {
			t.Fatal(err)
		}
	}
	apply("")
	apply("drifted")
	apply("") // gone
	st, err := journal.Fold(g.m.entries)
	if err != nil {
		t.Fatal(err)
	}
	task := st.Task("p/a@n1")
	if len(task.Acts) != 1 || task.Anew.Acts != 2 || task.Anew.Seq != task.Acts[0].Seq {
		t.Errorf("the task has %+v, anew %+v", task.Acts, task.Anew)
	}
	rep, err := Status(g.m.entries, g.o.Program)
	if err != nil || rep.Phases[0].Tasks[0].Anew == nil {
		t.Errorf("status does not tell: %+v, %v", rep.Phases[0].Tasks[0], err)
	}
	if _, err := g.back(RollbackOptions{All: true}); err != nil {
		t.Fatal(err)
	}
	if got, want := g.story(), "undo-begin:a@n1 undo:a@n1 undone:a@n1"; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

// TestMadeAnewByAnotherWish: what was there when a changed wish made it from nothing is not undone
// a second time, however it had changed before. Another wish may be about another thing, so the act
// below it is looked at.
func TestMadeAnewByAnotherWish(t *testing.T) {
	g := newRig(t, "p: a:old")
	change := func(flags ...string) {
		g.o.Run = ""
		g.o.Program.Phases[0].Groups[0].Tasks[0].Step = twoWay{data{Name: "a", Flags: flags}}
		if _, err := Apply(context.Background(), g.o, nil); err != nil {
			t.Fatal(err)
		}
	}
	change("v1")      // old -> new
	g.set("n1/a", "") // gone, and now wished otherwise
	change("v2")      // made from nothing
	if _, err := g.back(RollbackOptions{All: true}); err != nil {
		t.Fatal(err)
	}
	if got, want := g.story(), "undo-begin:a@n1 undo:a@n1 undone:a@n1 undone:a@n1"; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if got := g.w.snapshot(); len(got) != 0 {
		t.Errorf("left is %v: what was there before the first act had gone already", got)
	}
}

// TestOlderRollbackMeantEverything: an older rollback had no scope, so one that was cut off goes on
// with everything.
func TestOlderRollbackMeantEverything(t *testing.T) {
	g := threeRuns(t)
	data := steps.MustJSON(map[string]any{"command": "rollback", "rollback": map[string]any{}})
	g.m.entries = append(g.m.entries, journal.Entry{Seq: int64(len(g.m.entries) + 1), Kind: journal.RunStart, Run: "old",
		Data: data})
	if _, err := Resume(context.Background(), g.o); err != nil {
		t.Fatal(err)
	}
	if got := g.w.snapshot(); len(got) != 0 {
		t.Errorf("left is %v", got)
	}
}

// TestReportOfAnotherMachine: a report that proved a gate does not prove it again once what it was
// about is undone. A new one does, and so did the old one as long as nothing was undone.
func TestReportOfAnotherMachine(t *testing.T) {
	g := newRig(t, "p: a / r: g:gate,proof / s: c")
	asked := 0
	g.o.Gate = func(context.Context, GateRequest) (Signature, bool, error) {
		asked++
		g.set("n1/g made", fmt.Sprint(asked))
		g.set("n1/g", "new")
		return Signature{By: "bob"}, true, nil
	}
	apply := func(want int) {
		t.Helper()
		g.o.Run = ""
		if _, err := Apply(context.Background(), g.o, nil); err != nil {
			t.Fatal(err)
		}
		if asked != want {
			t.Errorf("asked %d times, want %d", asked, want)
		}
	}
	apply(1)
	apply(1)
	g.set("n1/g made", "by hand") // a newer one, seen by the next run
	apply(1)
	if _, err := g.back(RollbackOptions{Tasks: []string{"s/c"}}); err != nil {
		t.Fatal(err)
	}
	apply(1) // nothing under it was undone
	if _, err := g.back(RollbackOptions{All: true}); err != nil {
		t.Fatal(err)
	}
	if g.w.snapshot()["n1/g"] != "new" {
		t.Fatal("what a person did is gone")
	}
	p, err := MakePlan(context.Background(), g.o)
	if err != nil || len(p.Gates) != 1 {
		t.Errorf("the plan asks for %+v, %v", p.Gates, err)
	}
	apply(2)
	apply(2)
}
