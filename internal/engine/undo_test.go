package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"deploy/internal/node"
	"deploy/steps"
)

// applied is a rig after its apply, with a fresh story.
func applied(t *testing.T, setup string) *rig {
	t.Helper()
	g := newRig(t, setup)
	if _, err := Apply(context.Background(), g.o, nil); err != nil {
		t.Fatal(err)
	}
	g.next()
	return g
}

// next makes the next run one of its own.
func (g *rig) next() {
	g.o.Run = ""
	g.story()
}

func (g *rig) back(ro RollbackOptions) (*Summary, error) {
	g.next()
	return Rollback(context.Background(), g.o, ro)
}

func (g *rig) set(at, value string) {
	g.w.mu.Lock()
	defer g.w.mu.Unlock()
	if value == "" {
		delete(g.w.values, at)
	} else {
		g.w.values[at] = value
	}
}

// TestUndoOfThreeValues: what was there before, what the act left, and what is there now.
func TestUndoOfThreeValues(t *testing.T) {
	for _, c := range []struct {
		name, setup, now string
		ro               RollbackOptions
		want, end        string
		left             int
	}{
		{"as left", "p: a:old", "new", RollbackOptions{}, "undo-begin:a@n1 undo:a@n1 undone:a@n1", "old", 0},
		{"as before", "p: a:old", "old", RollbackOptions{}, "undone:a@n1", "old", 0},
		{"changed", "p: a:old", "theirs", RollbackOptions{}, "left:a@n1", "theirs", 1},
		{"changed, overwritten", "p: a:old", "theirs", RollbackOptions{Overwrite: []string{"p/a"}},
			"undo-begin:a@n1 undo:a@n1 undone:a@n1", "old", 0},
		{"changed, left as asked", "p: a:old", "theirs", RollbackOptions{Leave: []string{"p/a@n1"}},
			"left:a@n1", "theirs", 0},
		{"removed by hand, and it was not there before", "p: a", "", RollbackOptions{}, "undone:a@n1", "", 0},
		{"removed by hand, and it was there before", "p: a:old", "", RollbackOptions{}, "left:a@n1", "", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			for name, dial := range map[string]bool{"from here": false, "by an agent": true} {
				g := newRig(t, c.setup)
				if dial {
					g.o.Dial = g.w.dialAgent
				}
				if _, err := Apply(context.Background(), g.o, nil); err != nil {
					t.Fatal(err)
				}
				g.set("n1/a", c.now)
				sum, err := g.back(c.ro)
				if got := g.story(); got != c.want {
					t.Errorf("%s: got %s\nwant %s", name, got, c.want)
				}
				if got := g.w.snapshot()["n1/a"]; got != c.end {
					t.Errorf("%s: the end is %q", name, got)
				}
				if errors.Is(err, ErrLeft) != (c.left > 0) || (err == nil) != (c.left == 0) {
					t.Errorf("%s: %v", name, err)
				}
				if want := map[bool]string{true: HowLeft, false: HowDone}[c.left > 0]; sum.How != want {
					t.Errorf("%s: ended as %s", name, sum.How)
				}
			}
		})
	}
}

// TestNothingStopsForWhatIsLeft: the rest goes on, and a later rollback takes up what was left.
func TestNothingStopsForWhatIsLeft(t *testing.T) {
	g := applied(t, "p: a b:old c")
	g.set("n1/b", "theirs")
	_, err := g.back(RollbackOptions{})
	if got := text(err); got != "p/b@n1 is left as it is: it was changed since: value was left as new, is theirs" {
		t.Error(got)
	}
	if got, want := g.story(), "undo-begin:c@n1 undo:c@n1 undone:c@n1 left:b@n1 undo-begin:a@n1 undo:a@n1 "+
		"undone:a@n1"; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	rep, err := Status(g.m.entries, g.o.Program)
	if err != nil || !strings.Contains(rep.Phases[0].Tasks[1].Left, "theirs") || !rep.Phases[0].Tasks[1].Changed {
		t.Errorf("status does not show what is owed: %+v %v", rep.Phases[0].Tasks[1], err)
	}
	g.set("n1/b", "new")
	if _, err := g.back(RollbackOptions{}); err != nil {
		t.Error(err)
	}
	if got := g.w.snapshot()["n1/b"]; got != "old" {
		t.Errorf("b is %q", got)
	}
}

// TestUndoThatLeaves: a kind says that something rightly stays. That is no failure, and the next
// rollback asks it again.
func TestUndoThatLeaves(t *testing.T) {
	for _, agent := range []bool{false, true} {
		g := newRig(t, "p: a b:undoleft c")
		if agent {
			g.o.Dial = g.w.dialAgent
		}
		if _, err := Apply(context.Background(), g.o, nil); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			sum, err := g.back(RollbackOptions{})
			if text(err) != "p/b@n1 is left as it is: holds 1 entry" || sum.Counts.Failed != 0 || sum.Counts.Left != 1 {
				t.Errorf("%v %+v", err, sum.Counts)
			}
			if got := g.story(); !strings.Contains(got, "undo-begin:b@n1 undo:b@n1 left:b@n1") {
				t.Errorf("got %s", got)
			}
		}
		if got := fmt.Sprint(g.w.snapshot()); got != "map[n1/b:new]" {
			t.Errorf("the end is %s", got)
		}
		if sum, err := g.back(RollbackOptions{Leave: []string{"p/b"}}); err != nil || sum.How != HowDone {
			t.Errorf("left as asked: %v %+v", err, sum)
		}
	}
}

// TestAfterAFailure: what is older on the same node and what the phase needed stays; the rest goes
// on.
func TestAfterAFailure(t *testing.T) {
	g := newRig(t, "base: a@n1+n2 / app: b@n1+n2 c@n1:undofail / other: d@n1+n2")
	g.o.Program.Phases[2].Needs = nil
	g.o.Program.Phases[1].Needs = []string{"base"}
	if _, err := Apply(context.Background(), g.o, nil); err != nil {
		t.Fatal(err)
	}
	sum, err := g.back(RollbackOptions{})
	if text(err) != "cannot undo app/c@n1 on n1: no way" || sum.How != HowFailed {
		t.Errorf("%v, %s", err, sum.How)
	}
	// d is of a phase that needs nothing; b on n2 is no older work of n1; base is needed by app
	if got := fmt.Sprint(g.w.snapshot()); got != "map[n1/a:new n1/b:new n1/c:new n2/a:new]" {
		t.Errorf("the end is %s", got)
	}
	var left []string
	for _, n := range sum.Left {
		left = append(left, fmt.Sprintf("%s %d %s", n.Node, n.Acts, n.Text))
	}
	slices.Sort(left)
	if want := []string{"n1 2 not tried: app/c@n1, which is newer, could not be undone",
		"n2 1 not tried: app/c@n1, which is newer, could not be undone"}; !slices.Equal(left, want) {
		t.Errorf("left %q", left)
	}
}

// TestNodesThatCannotBeAsked: one that left the site, and one that does not answer. Neither holds
// up the others.
func TestNodesThatCannotBeAsked(t *testing.T) {
	for _, agent := range []bool{false, true} {
		g := newRig(t, "p: a@n1+n2+n3 b@n1+n2+n3")
		if agent {
			g.o.Dial = g.w.dialAgent
		}
		if _, err := Apply(context.Background(), g.o, nil); err != nil {
			t.Fatal(err)
		}
		g.o.Inventory, g.o.SiteFile = []string{"n1", "n3"}, "site.yaml"
		dial := g.o.Dial
		g.o.Dial = func(ctx context.Context, name string, p Position) (Executor, error) {
			switch name {
			case "n2":
				return nil, errors.New("the node of another site was asked")
			case "n3":
				return nil, &node.LinkError{Node: name, Err: errors.New("no route")}
			}
			return dial(ctx, name, p)
		}
		sum, err := g.back(RollbackOptions{})
		if !errors.Is(err, ErrLeft) {
			t.Error(err)
		}
		var left []string
		for _, n := range sum.Left {
			left = append(left, fmt.Sprintf("%s %d %s", n.Node, n.Acts, n.Text))
		}
		slices.Sort(left)
		if want := []string{"n2 2 n2 is no longer in site.yaml. Put it back to undo its 2 steps, or --leave n2",
			"n3 2 unreachable: cannot reach n3: no route"}; !slices.Equal(left, want) {
			t.Errorf("left %q", left)
		}
		if got := fmt.Sprint(g.w.snapshot()); got != "map[n2/a:new n2/b:new n3/a:new n3/b:new]" {
			t.Errorf("the end is %s", got)
		}
		if sum, err = g.back(RollbackOptions{Leave: []string{"n2", "n3"}}); err != nil || sum.How != HowDone {
			t.Errorf("left as asked: %v %+v", err, sum)
		}
		g.o.Inventory, g.o.Dial = nil, dial
		if _, err := g.back(RollbackOptions{}); err != nil || len(g.w.snapshot()) != 0 {
			t.Errorf("once they are back: %v, %v", err, g.w.snapshot())
		}
	}
}

// TestOnlyWhatTheActChangedCounts: the look after an undo is at the attributes of the act. What
// else a kind records of the machine may be another by now.
func TestOnlyWhatTheActChangedCounts(t *testing.T) {
	act := standingAct{diff: steps.Diff{Action: steps.Update, Before: steps.MustJSON("whole picture"),
		Changes: []steps.Change{{Attr: "lines", From: []any{"a"}, To: []any{"a", "ours"}}, {Attr: "mode", From: 6, To: 4}}}}
	change := func(list ...steps.Change) steps.Diff {
		return steps.Diff{Action: steps.Update, Before: steps.MustJSON("another"), Changes: list}
	}
	lines := steps.Change{Attr: "lines", From: []string{"a"}, To: []string{"a", "ours"}}
	mode := steps.Change{Attr: "mode", From: int64(6), To: 4}
	other := steps.Change{Attr: "owner", From: "bob", To: "root"}
	older := change(steps.Change{Attr: "all lines", From: "1 line"}) // an older release worded it otherwise
	older.Before = act.diff.Before
	for _, c := range []struct {
		name   string
		now    steps.Diff
		before found
		after  string
	}{
		{"as declared", steps.NoChange(), foundAsLeft, `lines was ["a"], is ["a","ours"]; mode was 6, is 4`},
		{"as before", change(lines, mode), foundRestored, ""},
		{"as before, and others changed the rest", change(lines, mode, other), foundRestored, ""},
		{"as before, in other words", older, foundRestored, ""},
		{"half", change(mode), foundChanged, `lines was ["a"], is ["a","ours"]`},
		{"only the rest changed", change(other), foundChanged, `lines was ["a"], is ["a","ours"]; mode was 6, is 4`},
		{"another value", change(mode, steps.Change{Attr: "lines", From: []string{"b"}}), foundChanged,
			`lines was ["a"], is ["b"]`},
	} {
		if got := act.compare(c.now); got != c.before {
			t.Errorf("%s: before the undo: %v", c.name, got)
		}
		if got := act.unheld(c.now); got != c.after {
			t.Errorf("%s: after the undo: %q", c.name, got)
		}
	}
}

// TestUndoOfWhatLastsUntilARestart: a point of no return that is one only until the node starts
// again is undone as far as that goes, is left, and stops nothing.
func TestUndoOfWhatLastsUntilARestart(t *testing.T) {
	var b takingBack
	b.r = &run{o: Options{}}
	sa := standingAct{diff: steps.Diff{Effects: steps.Effects{PointOfNoReturn: "until the next start",
		UntilRestart: true}}}
	if do, why := b.verdict(sa); do != DoUndo || why != "" {
		t.Errorf("%s, %s", do, why)
	}
	sa.diff.Effects.UntilRestart = false
	if do, why := b.verdict(sa); do != DoStop || why != "until the next start" {
		t.Errorf("%s, %s", do, why)
	}
}
