package engine

import (
	"context"
	"slices"
	"strings"
	"testing"

	"deploy/internal/hint"
	"deploy/internal/journal"
)

// answering has the nodes answer with the given machine ids.
func (g *rig) answering(ids map[string]string) { g.w.ids = ids }

func (g *rig) kinds() (list []journal.Kind) {
	for _, e := range g.m.entries {
		if e.Kind == journal.Answered || e.Kind == journal.Forgotten {
			list = append(list, e.Kind)
		}
	}
	return list
}

// Another machine behind the same name: the plan says so, whatever was done on the old one counts
// as not done, and its acts are no longer there to be taken back.
func TestReplacedMachine(t *testing.T) {
	g := newRig(t, "p: a@n1+n2 h@n1:gate,word / q: b@n2")
	g.o.Gate = func(context.Context, GateRequest) (Signature, bool, error) { return Signature{By: "ann"}, true, nil }
	g.answering(map[string]string{"n1": "one", "n2": "two"})
	if _, err := Apply(context.Background(), g.o, nil); err != nil {
		t.Fatal(err)
	}
	first := g.m.entries[0].Run
	delete(g.w.values, "n1/a")
	g.answering(map[string]string{"n1": "other", "n2": "two"})
	p, err := MakePlan(context.Background(), g.o)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Replaced) != 1 || p.Replaced[0].Text() !=
		"n1 is another machine than the one of run "+first+": its step will be done anew" {
		t.Errorf("the plan says %+v", p.Replaced)
	}
	if p.Counts.Change != 2 || p.Phases[0].Checkpoint || p.Tasks()[0].Last != journal.StatusNotStarted {
		t.Errorf("the plan still counts on the old machine: %+v", p)
	}
	// a phase that stands on the lost work cannot be run alone
	g.o.Selection = Selection{Tasks: []string{"q/b", "p/a@n1"}}
	if _, err := MakePlan(context.Background(), g.o); !strings.HasPrefix(text(err), "cannot run q on n2: it needs p, ") {
		t.Errorf("got %v", err)
	}
	g.o.Selection, g.o.Run = Selection{}, ""
	g.story()
	if _, err := Apply(context.Background(), g.o, nil); err != nil {
		t.Fatal(err)
	}
	st, err := journal.Fold(g.m.entries)
	if err != nil {
		t.Fatal(err)
	}
	if acts := st.Task("p/a@n1").Acts; len(acts) != 1 || st.Machines["n1"].ID != "other" {
		t.Errorf("the journal has the acts %+v of %+v", acts, st.Machines)
	}
	if got := g.kinds(); !slices.Equal(got, []journal.Kind{journal.Answered, journal.Answered, journal.Forgotten,
		journal.Answered}) {
		t.Errorf("the journal has %v", got)
	}
	g.o.Run = ""
	if p, err := MakePlan(context.Background(), g.o); err != nil || len(p.Replaced) > 0 || p.HasChanges() {
		t.Errorf("afterwards the plan is %+v, %v", p, err)
	}
}

// A machine that tells no id makes no statement, and the same one none after a restart.
func TestSameMachine(t *testing.T) {
	g := newRig(t, "p: a@n1+n2:reboot")
	g.answering(map[string]string{"n1": "one"})
	for _, ids := range []map[string]string{{"n1": "one"}, {"n1": ""}, {"n1": "one", "n2": "two"}} {
		g.answering(ids)
		g.o.Run = ""
		if _, err := Apply(context.Background(), g.o, nil); err != nil {
			t.Fatal(err)
		}
		if p, err := MakePlan(context.Background(), g.o); err != nil || len(p.Replaced)+len(p.Gone) > 0 {
			t.Errorf("%v: %+v %v", ids, p, err)
		}
	}
	if got := g.kinds(); len(got) != 2 {
		t.Errorf("the journal has %v", got)
	}
}

// A node that left the site is one line, with what stands there; the same machine under a new name
// is told as that, unless copies of a machine share its id.
func TestGoneNode(t *testing.T) {
	g := newRig(t, "p: a@n1+n2 b@n2")
	ids := map[string]string{"n1": "one", "n2": "two", "n3": "two", "n4": "three"}
	g.answering(ids)
	if _, err := Apply(context.Background(), g.o, nil); err != nil {
		t.Fatal(err)
	}
	told := func(setup string) string {
		t.Helper()
		g.o.Program = program(t, g.w, setup)
		p, err := MakePlan(context.Background(), g.o)
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, n := range p.Gone {
			out = append(out, n.Text())
		}
		return strings.Join(out, "\n")
	}
	gone := "n2 is no longer in the site; 2 steps of it are still applied: put it back and run `deploy rollback --node " +
		"n2`, or run " +
		"`deploy forget SITE n2`"
	if got := told("p: a@n1"); got != gone {
		t.Errorf("got %s", got)
	}
	if got, want := told("p: a@n1+n3"), "n3 is the machine that was n2: 2 steps are applied under the old name; "+
		"restore that name to undo them, or run `deploy forget SITE n2`"; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if got := told("p: a@n1+n4"); got != gone {
		t.Errorf("another machine is taken for it: %s", got)
	}
	ids["n4"] = "two"
	if got := told("p: a@n1+n3+n4"); got != gone {
		t.Errorf("of two copies one is taken for it: %s", got)
	}
	s, err := Status(g.m.entries, program(t, g.w, "p: a@n1"))
	if err != nil || len(s.GoneNodes) != 1 || s.GoneNodes[0].Text() != gone || len(s.Gone) != 2 {
		t.Errorf("status has %+v, %v", s, err)
	}
}

func TestForget(t *testing.T) {
	g := newRig(t, "p: a@n1+n2")
	if _, err := Apply(context.Background(), g.o, nil); err != nil {
		t.Fatal(err)
	}
	whole, without := g.o.Program, program(t, g.w, "p: a@n1")
	if _, err := PlanForget(g.m.entries, whole, []string{"n2"}); text(err) != "cannot forget n2: it is in the site" ||
		!strings.HasPrefix(hint.Of(err), "deploy rollback --node n2 takes its work back") {
		t.Error(err)
	}
	if _, err := PlanForget(g.m.entries, without, []string{"n9"}); text(err) != `there is no work of a node "n9"` {
		t.Error(err)
	}
	gone, err := PlanForget(g.m.entries, without, []string{"n2"})
	if err != nil || !slices.Equal(gone, []GoneNode{{Node: "n2", Steps: 1}}) {
		t.Fatalf("%+v, %v", gone, err)
	}
	if err := Forget(context.Background(), g.o, gone); err != nil {
		t.Fatal(err)
	}
	st, err := journal.Fold(g.m.entries)
	if err != nil || st.Standing("n2") != 0 || st.Standing("n1") != 1 || !st.Phases["p"].Reached {
		t.Errorf("after it the journal says %+v, %v", st, err)
	}
	// what is gone is not taken back, and what came after a later apply is
	g.o.Program, g.o.Run = whole, ""
	g.story()
	if _, err := Rollback(context.Background(), g.o, RollbackOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := g.story(); strings.Contains(got, "@n2") || !strings.Contains(got, "undo:a@n1") {
		t.Errorf("a rollback did %s", got)
	}
	if _, err := PlanForget(g.m.entries, without, []string{"n2"}); text(err) !=
		"cannot forget n2: the journal has no applied steps there" {
		t.Error(err)
	}
}

// A new machine has no owner record, and none is missed there: neither by the run that finds it,
// nor by one that comes later when there was nothing to do before.
func TestReplacedMachineHasNoRecord(t *testing.T) {
	eachWay(t, "p: a@n1+n2", func(t *testing.T, g *rig) {
		g.answering(map[string]string{"n1": "one", "n2": "two"})
		g.apply(t)
		g.answering(map[string]string{"n1": "other", "n2": "two"})
		delete(g.w.owners, "n1")
		delete(g.w.records, "n1")
		g.apply(t) // the image has everything already
		delete(g.w.values, "n1/a")
		g.story()
		g.apply(t)
		if got := did(g.story()); got != "a@n1 p" {
			t.Errorf("it did %s", got)
		}
	})
}
