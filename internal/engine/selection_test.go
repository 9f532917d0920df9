package engine

import (
	"context"
	"errors"
	"strings"
	"testing"

	"deploy/internal/hint"
	"deploy/steps"
)

// TestSelection holds what was asked for against what is done: which tasks, or why none.
func TestSelection(t *testing.T) {
	const setup = "p: a:gives=x / q: b:until=x / r: c@n1+n2"
	for _, c := range []struct {
		name      string
		setup     string
		sel       Selection
		want, err string
		hint      string
	}{
		{name: "first only", sel: Selection{Only: []string{"p"}}, want: "a@n1 p"},
		{name: "needs the one before", sel: Selection{Only: []string{"q"}},
			err:  "cannot run q: it needs p, which is done on 0 of 1 nodes",
			hint: "run p too; where you know that the work is there, --skip p says so"},
		{name: "needs two", sel: Selection{Only: []string{"r"}},
			err:  "cannot run r: it needs p, which is done on 0 of 1 nodes, and q, which is done on 0 of 1 nodes",
			hint: "run p and q too; where you know that the work is there, --skip p,q says so"},
		{name: "one need skipped by name, the other not", sel: Selection{Only: []string{"r"}, Skip: []string{"p"}},
			err: "cannot run r: it needs q, which is done on 0 of 1 nodes"},
		{name: "skipped by name", sel: Selection{Skip: []string{"p", "q"}}, want: "c@n1 c@n2 r"},
		{name: "skipped, but its work is missed", sel: Selection{Skip: []string{"p"}},
			err: "cannot check q/b@n1 on n1: cannot tell before x exists: it is not there; p/a@n1 makes it and is no part " +
				"of this run", hint: "choose it too"},
		{name: "a node whose phase needs nothing of others", setup: "p: a@n1+n2", sel: Selection{Nodes: []string{"n2"}},
			want: "a@n2"},
		{name: "a node alone passes no need", setup: "p: a@n1+n2 / q: b@n1+n2", sel: Selection{Nodes: []string{"n2"}},
			err:  "cannot run q on n2: it needs p, which is done on 0 of 2 nodes",
			hint: "choose n1 too; where you know that the work is there, --skip p says so"},
		{name: "a phase of other nodes alone", setup: "p: a / q: b@n2", sel: Selection{Nodes: []string{"n2"}},
			err: "cannot run q on n2: it needs p, which is done on 0 of 1 nodes"},
		{name: "a gate of another node", setup: "p: a:gate@n1 / q: b@n2", sel: Selection{Exclude: []string{"n1"}},
			err: "cannot run q on n2: it needs p, which is done on 0 of 1 nodes"},
		{name: "one phase on one node", setup: "p: a@n1+n2 / q: b@n1+n2",
			sel: Selection{Only: []string{"p"}, Nodes: []string{"n2"}}, want: "a@n2"},
		{name: "all nodes of the need are in the run", setup: "p: a@n2 / q: b@n2 / r: c@n1", sel: Selection{
			Nodes: []string{"n2"}}, want: "a@n2 p b@n2 q"},
		{name: "a task alone", setup: "p: a@n1+n2 b", sel: Selection{Tasks: []string{"p/a@n2"}}, want: "a@n2"},
		{name: "a step", setup: "p: a@n1+n2 b", sel: Selection{Tasks: []string{"p/a"}}, want: "a@n1 a@n2"},
		{name: "a pattern of tasks", setup: "p: aa ab b", sel: Selection{Tasks: []string{"p/a*"}}, want: "aa@n1 ab@n1"},
		{name: "tasks of one node", setup: "p: a@n1+n2 b@n1+n2", sel: Selection{Tasks: []string{"*@n2"}}, want: "a@n2 b@n2"},
		{name: "a task whose phase needs another", setup: "p: a / q: b", sel: Selection{Tasks: []string{"q/b"}},
			err:  "cannot run q on n1: it needs p, which is done on 0 of 1 nodes",
			hint: "run p too; where you know that the work is there, --skip p says so"},
		{name: "a pattern of nodes", setup: "p: a@web1+web2+db1", sel: Selection{Nodes: []string{"web?"}},
			want: "a@web1 a@web2"},
		{name: "several", setup: "p: a@web1+web2+db1", sel: Selection{Nodes: []string{"*2", "db1"}}, want: "a@web2 a@db1"},
		{name: "a role", setup: "p: a@n1+n2+n3", sel: Selection{Nodes: []string{"role.odd"}}, want: "a@n1 a@n3"},
		{name: "a role left out", setup: "p: a@n1+n2+n3", sel: Selection{Exclude: []string{"role.odd"}}, want: "a@n2"},
		{name: "nodes less nodes", setup: "p: a@web1+web2+db1", sel: Selection{Nodes: []string{"w*"},
			Exclude: []string{"web2"}}, want: "a@web1"},
		{name: "what is made elsewhere", setup: "p: a:gives=x b@n2:until=x", sel: Selection{Nodes: []string{"n2"}},
			err: "cannot check p/b@n2 on n2: cannot tell before x exists: it is not there; you chose n2 alone, and p/a runs " +
				"on n1", hint: "choose n1 too"},
		{name: "no such phase", sel: Selection{Only: []string{"pp"}}, err: `there is no phase "pp"`,
			hint: `did you mean "p"?`},
		{name: "no such node", sel: Selection{Nodes: []string{"n3"}}, err: `there is no node "n3"`,
			hint: `did you mean "n1"?`},
		{name: "no such node to leave out", sel: Selection{Exclude: []string{"nn"}}, err: `there is no node "nn"`},
		{name: "no node fits", sel: Selection{Nodes: []string{"x*"}}, err: `there is no node that fits "x*"`,
			hint: "there are: n1, n2"},
		{name: "no such role", sel: Selection{Nodes: []string{"role.od"}}, err: `there is no role "od"`,
			hint: `did you mean "odd"?`},
		{name: "no such task", sel: Selection{Tasks: []string{"q/d@n1"}}, err: `there is no task "q/d@n1"`,
			hint: `did you mean "q/b@n1"?`},
		{name: "run and skipped", sel: Selection{Only: []string{"p"}, Skip: []string{"p"}},
			err: "cannot both run and skip the phase p"},
		{name: "nothing in common", sel: Selection{Only: []string{"p"}, Nodes: []string{"n2"}},
			err: "there is nothing to run: no step is in all of what was selected"},
		{name: "everything left out", sel: Selection{Exclude: []string{"*"}},
			err: "there is nothing to run: no step is in all of what was selected"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.setup == "" {
				c.setup = setup
			}
			g := newRig(t, strings.ReplaceAll(c.setup, ":gate@n1", "@n1:gate"))
			g.o.Program.Roles = map[string][]string{"odd": {"n1", "n3"}}
			g.o.Selection = c.sel
			var told []EventKind
			g.o.Events = func(e Event) { told = append(told, e.Kind) }
			_, err := Apply(context.Background(), g.o, nil)
			if text(err) != c.err {
				t.Errorf("got %v\nwant %s", err, c.err)
			}
			if c.hint != "" && hint.Of(err) != c.hint {
				t.Errorf("the hint is %q\nwant        %q", hint.Of(err), c.hint)
			}
			if got := did(g.story()); got != c.want {
				t.Errorf("got %s\nwant %s", got, c.want)
			}
			if strings.HasPrefix(c.err, "cannot run ") && len(told) > 0 {
				t.Errorf("a run was refused, and yet told of: %v", told)
			}
		})
	}
}

// did is a story's acts and checkpoints.
func did(story string) string {
	var out []string
	for word := range strings.FieldsSeq(story) {
		kind, what, _ := strings.Cut(word, ":")
		if kind == "apply" || kind == "checkpoint" {
			out = append(out, what)
		}
	}
	return strings.Join(out, " ")
}

// Node by node within a phase, the checkpoint comes with the last; and a need of which the rest was
// done by earlier runs is met by a run that does what is left.
func TestSelectionNodeByNode(t *testing.T) {
	g := newRig(t, "p: a@n1+n2 / q: b@n1+n2")
	run := func(sel Selection, want, wantErr string) {
		t.Helper()
		g.o.Selection, g.o.Run = sel, ""
		_, err := Apply(context.Background(), g.o, nil)
		if text(err) != wantErr {
			t.Errorf("got %v\nwant %s", err, wantErr)
		}
		if got := did(g.story()); got != want {
			t.Errorf("got %s\nwant %s", got, want)
		}
	}
	run(Selection{Only: []string{"p"}, Nodes: []string{"n2"}}, "a@n2", "")
	run(Selection{Only: []string{"q"}, Nodes: []string{"n2"}}, "",
		"cannot run q on n2: it needs p, which is done on 1 of 2 nodes")
	run(Selection{Nodes: []string{"n1"}}, "a@n1 p b@n1", "")
	run(Selection{Nodes: []string{"n2"}}, "b@n2 q", "")
}

// A need that holds no step at all is met when what it stands on itself is.
func TestSelectionEmptyNeed(t *testing.T) {
	g := newRig(t, "p: a / q: b / r: c")
	g.o.Program.Phases[1].Groups = nil
	g.o.Program.Phases[2].Needs = []string{"q"}
	g.o.Only = []string{"r"}
	if _, err := Apply(context.Background(), g.o, nil); text(err) !=
		"cannot run r: it needs q, whose checkpoint is not valid: what it depends on was undone or changed since" {
		t.Error(err)
	}
	g.o.Only, g.o.Run = []string{"p"}, ""
	if _, err := Apply(context.Background(), g.o, nil); err != nil {
		t.Fatal(err)
	}
	g.o.Only, g.o.Run = []string{"r"}, ""
	if _, err := Apply(context.Background(), g.o, nil); err != nil {
		t.Error(err)
	}
}

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{
		{"w1", "w1", true}, {"w1", "w12", false}, {"w*", "w12", true}, {"*", "", true}, {"w?", "w", false},
		{"w?", "w1", true},
		{"p/*@w1", "p/s[x/y]@w1", true},
		{"p/s[*]@w1", "p/s[a]@w1", true}, {"*a*b", "xaxbxab", true}, {"*a*b", "xaxbx", false},
		{"ü?", "üß", true}, {"", "", true}, {"", "x", false}, {"**", "x", true},
	} {
		if got := matches(c.pattern, c.text); got != c.want {
			t.Errorf("matches(%q, %q) = %v", c.pattern, c.text, got)
		}
	}
}

// A plan tells of all nodes that answer, says which did not and why, and is not carried out.
func TestPlanWithoutNodes(t *testing.T) {
	g := newRig(t, "p: a@n1+n2:gives=x b@n3:until=x")
	g.w.down["n1"], g.w.down["n2"] = 100, 100
	p, err := MakePlan(context.Background(), g.o)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Nodes) != 1 || p.Nodes[0].Name != "n3" || len(p.NotLooked) != 2 {
		t.Fatalf("the plan has %+v and is without %+v", p.Nodes, p.NotLooked)
	}
	if n := p.NotLooked[1]; n.Node != "n2" || n.Error != "cannot reach n2: refused" || n.Hint == "" || n.Steps != 1 {
		t.Errorf("n2 is told as %+v", n)
	}
	// whether the steps there have something to do is not known, so what waits for them has to wait
	if ts := p.Tasks(); len(ts) != 1 || ts[0].Diff.Action != steps.Unknown || len(ts[0].Diff.Waits) != 2 {
		t.Errorf("the tasks are %+v", ts)
	}
	_, err = Apply(context.Background(), g.o, nil)
	if want := "cannot check n1: cannot reach n1: refused\ncannot check n2: cannot reach n2: refused"; text(
		err) != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
	if all := hint.All(err); len(all) != 3 || all[0] != "to go on without: --exclude n1,n2" {
		t.Errorf("the hints are %q", all)
	}
	if len(g.m.entries) != 0 || len(g.w.trace) != 0 {
		t.Errorf("something was done: %v", g.w.trace)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := MakePlan(ctx, g.o); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted, it says %v", err)
	}
}
