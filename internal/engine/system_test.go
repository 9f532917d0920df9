package engine

import (
	"testing"

	"deploy/steps"
)

// TestWrongSystem: a task that is for another system than its node runs is refused before anything
// is done, also what comes before it and in other phases; its check is not asked.
func TestWrongSystem(t *testing.T) {
	g := newRig(t, "p: a / q: b c")
	task := &g.o.Program.Phases[1].Groups[0].Tasks[0]
	task.Needs = []steps.Need{{OS: "windows", Why: "kind fake"}, {OS: "linux", Why: "path /srv/x"}}
	const want = "cannot check q/b@n1 on n1: path /srv/x is for Linux; n1 runs Windows Server 2008"
	if _, err := Apply(t.Context(), g.o, nil); text(err) != want {
		t.Errorf("got %v", err)
	}
	if s := g.story(); s != "" {
		t.Errorf("something was done: %s", s)
	}
	if _, err := MakePlan(t.Context(), g.o); text(err) != want {
		t.Errorf("the plan says %v", err)
	}
	task.Needs = task.Needs[:1]
	if _, err := Apply(t.Context(), g.o, nil); err != nil {
		t.Error(err)
	}
}
