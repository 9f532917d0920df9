package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"deploy/internal/hint"
	"deploy/internal/journal"
	"deploy/steps"
)

func TestPlan(t *testing.T) {
	g := newRig(t, "p: a@n1+n2:old b:noop,reboot / "+
		"q: c:gives=x,reboot d:until=x,noreturn e:until=x f:final g:gate h:probe")
	p, err := MakePlan(context.Background(), g.o)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprintf("%+v", p.Counts),
		"{Tasks:9 NoOp:1 Change:6 Unknown:2 Failed:0 Undone:0 Left:0 NotRun:0}"; got != want {
		t.Errorf("counts are %s, want %s", got, want)
	}
	if !p.HasChanges() || p.Format != PlanFormat || p.Site != "s" || p.Version != "v1" || len(p.Nodes) != 2 ||
		p.Nodes[1].Facts.Computer != "n2" {
		t.Errorf("the plan is %+v", p)
	}
	d := p.Phases[1].Steps[1].Tasks[0]
	if d.Diff.Action != steps.Unknown || d.Diff.Until != "x" || !slices.Equal(d.Diff.Waits, []string{"q/c@n1"}) {
		t.Errorf("d is %+v", d.Diff)
	}
	if got := notes(p.NoReturn); got != "q/f@n1: steps of kind final cannot be undone" {
		t.Errorf("points of no return: %s", got)
	}
	if got := notes(p.Gates); got != "q/g@n1: do g" {
		t.Errorf("gates: %s", got)
	}
	if got := notes(p.Reboots); got != "q/c@n1: n1" {
		t.Errorf("reboots: %s", got)
	}
	if len(g.m.entries) != 0 || len(g.w.trace) != 0 {
		t.Error("a plan wrote or did something")
	}
	if g.w.checks != 2 || g.w.looked != 9 {
		t.Errorf("nine checks on two nodes took %d round trips and %d looks", g.w.checks, g.w.looked)
	}
	// the journal is not needed to make one
	g.o.Journal = nil
	if again, err := MakePlan(context.Background(), g.o); err != nil || again.Fingerprint() != p.Fingerprint() {
		t.Errorf("a second look differs: %v", err)
	}
}

// What an executor has to tell of itself stands in the plan and in the story of a run, once for
// every connection and without secrets.
func TestNotesOfConnections(t *testing.T) {
	g := newRig(t, "p: a@n1+n2:old")
	dial := g.o.Dial
	g.o.Dial = func(ctx context.Context, name string, b Position) (Executor, error) {
		ex, err := dial(ctx, name, b)
		if name == "n2" && err == nil {
			ex = noted{ex}
		}
		return ex, err
	}
	g.o.Redact = func(s string) string { return strings.ReplaceAll(s, "hush", "[secret]") }
	p, err := MakePlan(context.Background(), g.o)
	if err != nil {
		t.Fatal(err)
	}
	if p.Nodes[0].Notes != nil || !slices.Equal(p.Nodes[1].Notes, []string{"it came the long way: [secret]"}) {
		t.Errorf("the plan's nodes are %+v", p.Nodes)
	}
	var told []string
	g.o.Events = func(e Event) {
		if e.Kind == EvWarning {
			told = append(told, e.Node+": "+e.Text)
		}
	}
	if _, err := Apply(context.Background(), g.o, nil); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(told, []string{"n2: it came the long way: [secret]"}) {
		t.Errorf("a run told %q", told)
	}
}

type noted struct{ Executor }

func (noted) Notes() []string { return []string{"it came the long way: hush"} }

func notes(list []PlanNote) string {
	var out []string
	for _, n := range list {
		out = append(out, n.Task+": "+n.Text)
	}
	return strings.Join(out, ", ")
}

// TestPlanErrorsAreJoined: everything in the way is told at once, each with its task.
func TestPlanErrorsAreJoined(t *testing.T) {
	g := newRig(t, "p: a@n1+n2:cannot b:until=x")
	_, err := MakePlan(context.Background(), g.o)
	want := "cannot check p/a@n1 on n1: access denied\ncannot check p/a@n2 on n2: access denied\n" +
		"cannot check p/b@n1 on n1: cannot tell before x exists: it is not there, and no earlier step of this run makes it"
	if text(err) != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
}

func TestSavedPlan(t *testing.T) {
	const setup = "p: a@n1+n2:old b / q: c:gives=x d:until=x"
	save := func(t *testing.T, g *rig) *Plan {
		t.Helper()
		p, err := MakePlan(context.Background(), g.o)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "plan.json")
		if err := p.Save(path); err != nil {
			t.Fatal(err)
		}
		loaded, err := LoadPlan(path)
		if err != nil {
			t.Fatal(err)
		}
		if loaded.Fingerprint() != p.Fingerprint() {
			t.Error("a plan differs from itself after it was saved")
		}
		if list, err := os.ReadDir(filepath.Dir(path)); err != nil || len(list) != 1 {
			t.Errorf("files are left beside the plan: %v %v", list, err)
		}
		return loaded
	}
	t.Run("holds", func(t *testing.T) {
		g := newRig(t, setup)
		if _, err := Apply(context.Background(), g.o, save(t, g)); err != nil {
			t.Fatal(err)
		}
	})
	for _, c := range []struct {
		name  string
		move  func(g *rig)
		moved []string
	}{
		{"site", func(g *rig) { g.o.Program.SiteDigest = "x" }, []string{"the site file has changed"}},
		{"other site", func(g *rig) { g.o.Program.Site = "x" }, []string{"it is for site s, not x"}},
		{"playbook", func(g *rig) { g.o.Program.PlaybookDigest = "x" }, []string{"the playbook pb has changed"}},
		{"program", func(g *rig) { g.o.Version = "v2" }, []string{"it was made by deploy v1, this is v2"}},
		{"both", func(g *rig) { g.o.Version, g.o.Program.Playbook = "v2", "pb2" },
			[]string{"it is for playbook pb, the site now uses pb2", "it was made by deploy v1, this is v2"}},
		{"a node was changed", func(g *rig) { g.w.values["n1/a"] = "other" },
			[]string{"p/a@n1 was update (value: old -> new), is now update (value: other -> new)"}},
		{"a node is in the desired state", func(g *rig) { g.w.values["n2/a"] = "new" },
			[]string{"p/a@n2 was update (value: old -> new), is now unchanged"}},
		{"an unknown is known", func(g *rig) { g.w.values["n1/x"] = "here" },
			[]string{"q/d@n1 was unknown until q/c@n1, is now create (value: \"\" -> new)"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newRig(t, setup)
			p := save(t, g)
			c.move(g)
			_, err := Apply(context.Background(), g.o, p)
			var se *StaleError
			if !errors.Is(err, ErrStale) || !errors.As(err, &se) || !slices.Equal(se.Moved, c.moved) {
				t.Fatalf("got %v\nwant %v", err, c.moved)
			}
			if !strings.Contains(hint.Of(err), "nothing was changed") || len(g.m.entries) != 0 || len(g.w.trace) != 0 {
				t.Errorf("something was done: %v", g.w.trace)
			}
		})
	}
	t.Run("selection", func(t *testing.T) {
		g := newRig(t, setup)
		g.o.Only = []string{"p"}
		p := save(t, g)
		g.o.Only = nil
		if _, err := Apply(context.Background(), g.o, p); err != nil {
			t.Fatal(err)
		}
		if got := g.w.snapshot(); got["n1/b"] != "new" || got["n1/c"] != "" {
			t.Errorf("the plan was for phase p alone: %v", got)
		}
	})
}

func TestLoadPlanRefuses(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]struct{ content, want string }{
		"junk":  {"{", "it is not a deploy plan"},
		"other": {`{"a": 1}`, "it is not a deploy plan"},
		"newer": {`{"format": 99}`, "a newer deploy made it (format 99, this program has 2)"},
		"older": {`{"format": 1}`, "an older deploy made it (format 1, this program has 2)"},
		"bare":  {`{"format": 2, "phases": []}`, "it has no digest"},
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(c.content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadPlan(path); !strings.Contains(text(err), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := LoadPlan(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	err := (&Plan{}).Save(filepath.Join(dir, "no", "such", "dir"))
	if !strings.HasSuffix(text(err), filepath.Join("no", "such")+" is not there") {
		t.Error(err)
	}
}

func TestBadPrograms(t *testing.T) {
	g := newRig(t, "p: a / q: b")
	for want, spoil := range map[string]func(p *steps.Program){
		"cannot run playbook pb: phase p needs q, which does not run earlier": func(p *steps.Program) {
			p.Phases[0].Needs = []string{"q"}
		},
		"cannot run playbook pb: phase p occurs twice": func(p *steps.Program) {
			p.Phases[1].ID = "p"
		},
		"cannot run playbook pb: task p/a@n1 occurs twice": func(p *steps.Program) {
			p.Phases[1].Groups[0].Tasks[0].ID = "p/a@n1"
		},
		"cannot run playbook pb: a task names node n9, which is not in the inventory": func(p *steps.Program) {
			p.Phases[1].Groups[0].Tasks[0].Node = "n9"
		},
	} {
		g.o.Program = program(t, g.w, "p: a / q: b")
		spoil(g.o.Program)
		if _, err := MakePlan(context.Background(), g.o); text(err) != want {
			t.Errorf("got %v\nwant %s", err, want)
		}
	}
}

// TestRoundTrips counts what goes over the wire: a second run costs one round trip per node, and an
// act two (itself, and the proof together with the next look).
func TestRoundTrips(t *testing.T) {
	g := newRig(t, "p: a@n1+n2 b@n1+n2 c@n1+n2 d@n1+n2 / q: e@n1+n2 f@n1+n2")
	if _, err := Apply(context.Background(), g.o, nil); err != nil {
		t.Fatal(err)
	}
	if g.w.checks > 2+12+2+2 || g.w.dials != 2 {
		t.Errorf("twelve acts took %d round trips of checks and %d dials", g.w.checks, g.w.dials)
	}
	g.w.checks, g.o.Run = 0, ""
	if _, err := Apply(context.Background(), g.o, nil); err != nil {
		t.Fatal(err)
	}
	if g.w.checks != 2 {
		t.Errorf("a run without changes took %d round trips of checks", g.w.checks)
	}
}

// TestLookAgain: after an act, what was seen of the same node before is not acted upon.
func TestLookAgain(t *testing.T) {
	g := newRig(t, "p: a b c d")
	g.w.onAct = func(_, id string) {
		if id == "a@n1" { // doing a also does c
			g.w.mu.Lock()
			g.w.values["n1/c"] = "new"
			g.w.mu.Unlock()
		}
	}
	if _, err := Apply(context.Background(), g.o, nil); err != nil {
		t.Fatal(err)
	}
	want := "begin:a@n1 apply:a@n1 done:a@n1 begin:b@n1 apply:b@n1 done:b@n1 no-op:c@n1 begin:d@n1 apply:d@n1 " +
		"done:d@n1 checkpoint:p"
	if got := g.story(); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

// TestEvents: a listener can tell the whole story, and the JSON keeps its keys.
func TestEvents(t *testing.T) {
	g := newRig(t, "p: a b:noop c:fail")
	var kinds []string
	g.o.Events = func(e Event) {
		kinds = append(kinds, strings.TrimSuffix(string(e.Kind)+":"+e.Task, ":"))
		if e.Time.IsZero() || e.Run == "" {
			t.Errorf("an event without time or run: %+v", e)
		}
		if e.Kind == EvFailed && (e.Error != "cannot apply p/c@n1 on n1: no" || e.Step != "fake" || e.Node != "n1" ||
			e.Phase != "p") {
			t.Errorf("the failure is told as %+v", e)
		}
		if e.Kind == EvRunEnd {
			b, _ := json.Marshal(e)
			var m map[string]any
			_ = json.Unmarshal(b, &m)
			if c, _ := m["counts"].(map[string]any); m["text"] != "failed" || m["error"] != "cannot apply p/c@n1 on n1: no" ||
				c["failed"] != 1.0 || c["no_op"] != 1.0 || c["change"] != 1.0 {
				t.Errorf("the end is told as %s", b)
			}
		}
	}
	_, _ = Apply(context.Background(), g.o, nil)
	want := "run-start connected plan phase-start begin:p/a@n1 done:p/a@n1 no-op:p/b@n1 begin:p/c@n1 failed:p/c@n1 run-end"
	if got := strings.Join(kinds, " "); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

func TestStatus(t *testing.T) {
	g := newRig(t, "p: a / q: b c:fail d")
	if rep, err := Status(nil, g.o.Program); err != nil || rep.LastRun != nil || rep.Phases[1].Counts.NotYet != 3 {
		t.Errorf("before the first run: %v %+v", err, rep)
	}
	_, _ = Apply(context.Background(), g.o, nil)
	rep, err := Status(g.m.entries, g.o.Program)
	if err != nil {
		t.Fatal(err)
	}
	p, q := rep.Phases[0], rep.Phases[1]
	if !p.Checkpoint || q.Checkpoint || fmt.Sprint(q.Counts) != "{3 1 0 1 1}" || rep.LastRun.How != HowFailed ||
		rep.LastRun.Who != "ann@desk" {
		t.Errorf("the report is %+v", rep)
	}
	if c := q.Tasks[1]; c.Status != journal.StatusFailed || c.Error != "cannot apply q/c@n1 on n1: no" ||
		c.Kind != "fake" {
		t.Errorf("c is %+v", c)
	}
	cut := g.m.entries[:3] // run-start, phase, begin
	rep, _ = Status(cut, g.o.Program)
	if rep.Open != 1 || rep.LastRun.How != CutOff || !rep.Phases[0].Tasks[0].Open {
		t.Errorf("cut off, the report is %+v", rep)
	}
	runs, err := History(g.m.entries)
	if err != nil || len(runs) != 1 || runs[0].Command != "apply" || runs[0].Error == "" {
		t.Errorf("the history is %+v, %v", runs, err)
	}
}
