package view

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"deploy/internal/engine"
	"deploy/internal/journal"
	"deploy/internal/node"
	"deploy/steps"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// recorded is a run with one event of every kind.
func recorded(t *testing.T) []engine.Event {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", "events.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	var out []engine.Event
	sc := bufio.NewScanner(f)
	for sc.Scan() {
		var e engine.Event
		if err := json.Unmarshal(sc.Bytes(), &e); err != nil {
			t.Fatal(err)
		}
		out = append(out, e)
	}
	return out
}

// golden holds text against a file; UPDATE=1 writes the file.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s (-want +got):\n%s", name, d)
	}
}

func TestPlain(t *testing.T) {
	for name, o := range map[string]Options{"plain.txt": {}, "verbose.txt": {Verbose: true}, "color.txt": {Color: true}} {
		var out bytes.Buffer
		v := New(&out, o)
		for _, e := range recorded(t) {
			v.Event(e)
		}
		v.Close()
		golden(t, name, out.String())
		for _, twice := range []string{"waiting for waiting", "again again", "has changed has changed"} {
			if strings.Contains(out.String(), twice) {
				t.Errorf("%s says %q", name, twice)
			}
		}
	}
}

// A golden of every recorded kind means little when a new kind is left out of it.
func TestRecordedHasEveryKind(t *testing.T) {
	seen := map[engine.EventKind]bool{}
	for _, e := range recorded(t) {
		seen[e.Kind] = true
	}
	for _, k := range []engine.EventKind{engine.EvRunStart, engine.EvConnected, engine.EvRetry, engine.EvPlan,
		engine.EvPhaseStart, engine.EvCheckpoint,
		engine.EvNoOp, engine.EvBegin, engine.EvDone, engine.EvFailed, engine.EvLost, engine.EvHeartbeat, engine.EvReboot,
		engine.EvRebooted,
		engine.EvApprove, engine.EvGate, engine.EvSigned, engine.EvWarning, engine.EvUndoBegin, engine.EvUndone,
		engine.EvUndoFailed,
		engine.EvLeft, engine.EvRunEnd} {
		if !seen[k] {
			t.Errorf("no event of kind %s", k)
		}
	}
}

func TestJSONLines(t *testing.T) {
	want := recorded(t)
	var out bytes.Buffer
	v := New(&out, Options{JSON: true})
	for _, e := range want {
		v.Event(e)
	}
	v.Aside(func() {})
	v.Close()
	var got []engine.Event
	for line := range strings.Lines(out.String()) {
		var e engine.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		got = append(got, e)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("what comes back is not what was sent (-want +got):\n%s", d)
	}
}

// show plays what a terminal makes of text: lines, and the two sequences by which the live view
// takes its block back.
func show(t *testing.T, text string) string {
	t.Helper()
	lines := []string{""}
	for text != "" {
		switch {
		case text[0] == '\n':
			lines = append(lines, "")
			text = text[1:]
		case strings.HasPrefix(text, "\x1b["):
			end := strings.IndexAny(text, "ABCDJm")
			n := 0
			for _, c := range text[2:end] {
				n = n*10 + int(c-'0')
			}
			switch text[end] {
			case 'A':
				if n >= len(lines) || lines[len(lines)-1] != "" {
					t.Fatalf("it goes up %d lines of %d, from %q", n, len(lines), lines[len(lines)-1])
				}
				lines = append(lines[:len(lines)-1-n], "")
			case 'J': // what stood below is gone already: going up cut it off
			default:
				t.Fatalf("an unknown sequence %q", text[:end+1])
			}
			text = text[end+1:]
		default:
			lines[len(lines)-1] += text[:1]
			text = text[1:]
		}
	}
	return strings.Join(lines, "\n")
}

// What the live view leaves behind is what the plain view writes, less the heartbeats, and while it
// goes on a block of what is under way stands below.
func TestLive(t *testing.T) {
	var out, plainOut bytes.Buffer
	now := time.Time{}
	v := newLive(&out, Options{Width: func() int { return 0 }, Now: func() time.Time { return now }})
	p := New(&plainOut, Options{})
	var during strings.Builder
	for _, e := range recorded(t) {
		now = e.Time
		v.Event(e)
		if e.Kind != engine.EvHeartbeat {
			p.Event(e)
			continue
		}
		v.mu.Lock()
		during.WriteString(show(t, out.String()) + "----\n")
		v.mu.Unlock()
	}
	v.Close()
	golden(t, "live.txt", during.String())
	if d := cmp.Diff(plainOut.String(), show(t, out.String())); d != "" {
		t.Errorf("what is left (-plain +live):\n%s", d)
	}
	for line := range strings.Lines(during.String()) {
		if n := len([]rune(line)); strings.Contains(line, "> ") && n > 80 {
			t.Errorf("a terminal of unknown width has 80 columns, this line %d: %q", n, line)
		}
	}
}

// While somebody else writes, the block is gone and stays gone, whatever happens; then it is back.
func TestAside(t *testing.T) {
	var out bytes.Buffer
	now := time.Time{}
	v := newLive(&out, Options{Width: func() int { return 80 }, Now: func() time.Time { return now }})
	defer v.Close()
	text := func() string {
		v.mu.Lock()
		defer v.mu.Unlock()
		return out.String()
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	now = at
	v.Event(engine.Event{Kind: engine.EvPhaseStart, Time: at, Phase: "p", Text: "Phase"})
	v.Aside(func() {
		start := len(text())
		time.Sleep(600 * time.Millisecond) // two rounds of the clock that redraws
		if drawn := text()[start:]; drawn != "" {
			t.Errorf("drawn meanwhile: %q", drawn)
		}
		v.Event(engine.Event{Kind: engine.EvBegin, Time: at, Task: "p/a@n1", Node: "n1"})
		if drawn := text()[start:]; drawn != "" {
			t.Errorf("drawn for an event: %q", drawn)
		}
	})
	v.Event(engine.Event{Kind: engine.EvBegin, Time: at, Task: "p/b@n1", Node: "n1"})
	if got := show(t, text()); !strings.Contains(got, "> n1  p/a") || !strings.Contains(got, "> n1  p/b") {
		t.Errorf("the block is not back:\n%s", got)
	}
}

func TestCount(t *testing.T) {
	for n, want := range map[int]string{0: "0 steps", 1: "1 step", 2: "2 steps"} {
		if got := Count(n, "step"); got != want {
			t.Errorf("%d: %q", n, got)
		}
	}
}

// plan has a task of every sort.
func plan() *engine.Plan {
	task := func(id string, d steps.Diff) engine.PlanStep {
		return engine.PlanStep{Tasks: []engine.PlanTask{{ID: "p/" + id + "@n1", Node: "n1", Kind: "kind", Diff: d}}}
	}
	gate := task("gate", steps.Diff{Action: steps.Run})
	gate.Tasks[0].Gate = &steps.Gate{Title: "Look at the cable"}
	return &engine.Plan{
		Site: "s", Playbook: "pb", Nodes: []engine.PlanNode{
			{Name: "n1", Mode: "direct", Why: "over winrm (no agent for Windows Server 2008)",
				Facts: node.Facts{OS: "windows", Release: node.WS2008, Version: "6.0.6002", PowerShell: "2.0"}},
			{Name: "n2", Mode: "agent", Notes: []string{"its program was sent from here"},
				Facts: node.Facts{OS: "linux", Release: node.Linux, Distro: "debian", Version: "12", Arch: "amd64"}}},
		Phases: []engine.PlanPhase{{ID: "p", Title: "Phase", Steps: []engine.PlanStep{
			task("new", steps.Diff{Action: steps.Create, Changes: []steps.Change{{Attr: "a|b", To: "x"}}}),
			task("restart", steps.Diff{Action: steps.Update, Changes: []steps.Change{{Attr: "a", From: 1, To: 2}},
				Effects: steps.Effects{Reboot: true, Interrupts: "mail", Failover: true}}),
			task("forever", steps.Diff{Action: steps.Unknown, Waits: []string{"p/new@n1", "p/restart@n1", "p/gate@n1"}}),
			task("there", steps.Diff{Action: steps.NoOp}), gate,
		}}},
		Counts:   engine.Counts{Tasks: 5, Change: 3, Unknown: 1, NoOp: 1},
		NoReturn: []engine.PlanNote{{Task: "p/forever@n1", Text: "steps of kind kind cannot be undone"}},
		Warnings: []engine.PlanNote{{Task: "p/there@n1", Text: "clock is off"}},
	}
}

// What cannot be undone is marked on its own line also while nothing else is known of it.
func TestPlan(t *testing.T) {
	var text, md bytes.Buffer
	PlanText(&text, plan(), Options{})
	PlanMarkdown(&md, plan())
	golden(t, "plan.txt", text.String())
	golden(t, "plan.md", md.String())
}

func TestSummaryAndStatus(t *testing.T) {
	var out bytes.Buffer
	Summary(&out, &engine.Summary{How: engine.HowDone, Counts: engine.Counts{Tasks: 1, Change: 1}, Reboots: 1}, Options{})
	Summary(&out, &engine.Summary{How: engine.HowDone, Counts: engine.Counts{Tasks: 1, NoOp: 1}}, Options{})
	Summary(&out, &engine.Summary{How: engine.HowFailed, Counts: engine.Counts{Undone: 7},
		Left: []engine.LeftNote{{Task: "p/x@n1", Acts: 1, Text: "it stays", Asked: true},
			{Node: "n2", Acts: 3, Text: "unreachable"}}}, Options{})
	Summary(&out, &engine.Summary{How: engine.HowDone, Counts: engine.Counts{Undone: 1, NoOp: 3}}, Options{})
	Status(&out, &engine.StatusReport{Site: "s"}, Options{})
	Status(&out, &engine.StatusReport{Site: "s", Open: 1, LastRun: &engine.RunStatus{ID: "r", Command: "apply", Who: "ann",
		How: "failed", Moved: []string{"the site file has changed"}},
		Phases: []engine.PhaseStatus{
			{ID: "p", Title: "Phase", Checkpoint: true, Counts: engine.StatusCounts{Tasks: 1, Done: 1}},
			{ID: "q", Counts: engine.StatusCounts{Tasks: 2, Failed: 1, Open: 1}, Tasks: []engine.TaskStatus{
				{ID: "q/a@n1", Status: journal.StatusFailed, Error: "no", Hint: "try"},
				{ID: "q/b@n1", Status: journal.StatusBegun, Open: true}}},
		}}, Options{})
	golden(t, "summary.txt", strings.ReplaceAll(out.String(), time.Time{}.Local().Format(time.DateTime), "THEN"))
}

func TestRollbackPlan(t *testing.T) {
	var out bytes.Buffer
	RollbackPlan(&out, &engine.RollbackPlan{}, Options{})
	RollbackPlan(&out, &engine.RollbackPlan{Acts: []engine.RollbackAct{
		{Task: "p/f@n1", Do: engine.DoUndo, Changes: []steps.Change{{Attr: "a", From: "new", To: "old"}}},
		{Task: "p/e@n1", Do: engine.DoPass}, {Task: "p/d@n1", Do: engine.DoLeave, Why: "it stays"},
		{Task: "p/o@n1", Do: engine.DoStop, Why: "for ever", Open: true},
		{Task: "p/c@n1", Do: engine.DoStop, Why: "for ever"}, {Task: "p/b@n1", Do: engine.DoUndo, Beyond: true},
		{Task: "p/a@n1", Do: engine.DoStop, Beyond: true},
	}}, Options{})
	golden(t, "rollback.txt", out.String())
}

// A run that finds nothing to do says nothing but its summary, unless everything is asked for; what
// leads to something is told together with it.
func TestRunWithoutChanges(t *testing.T) {
	events := []engine.Event{
		{Kind: engine.EvRunStart, Run: "r", Text: "apply"}, {Kind: engine.EvConnected, Node: "n1", Text: "direct"},
		{Kind: engine.EvPhaseStart, Phase: "p", Text: "First"}, {Kind: engine.EvNoOp, Phase: "p", Task: "p/a@n1", Node: "n1"},
		{Kind: engine.EvCheckpoint, Phase: "p"}, {Kind: engine.EvPhaseStart, Phase: "q", Text: "Second"}}
	show := func(o Options, events ...engine.Event) string {
		var out bytes.Buffer
		v := New(&out, o)
		for _, e := range events {
			v.Event(e)
		}
		v.Close()
		return out.String()
	}
	if got := show(Options{}, append(events, engine.Event{Kind: engine.EvRunEnd, Text: "done"})...); got != "" {
		t.Errorf("it said\n%s", got)
	}
	if got := show(Options{Verbose: true}, events...); strings.Count(got, "\n") != 6 {
		t.Errorf("asked for everything, it said\n%s", got)
	}
	want := "   0.0s  apply, run r\n   0.0s    n1  connected  direct\n   0.0s  == q: Second\n   0.0s  + n1  q/b\n" +
		"   0.0s  -- q: 1 changed, 0 unchanged\n"
	if got := show(Options{}, append(events, engine.Event{Kind: engine.EvDone, Phase: "q", Task: "q/b@n1", Node: "n1"},
		engine.Event{Kind: engine.EvCheckpoint, Phase: "q"})...); got != want {
		t.Errorf("it said\n%swant\n%s", got, want)
	}
}

// The table leaves out phases without steps and columns without numbers.
func TestSummaryTable(t *testing.T) {
	phases := []engine.PhaseSummary{
		{ID: "empty"}, {ID: "p", Counts: engine.Counts{Tasks: 3, Change: 1, NoOp: 2}, Elapsed: time.Second}}
	for _, c := range []struct {
		s    engine.Summary
		want string
	}{
		{engine.Summary{How: engine.HowDone, Counts: engine.Counts{Change: 1, NoOp: 2}, Phases: phases},
			"\nphase  steps  changed  unchanged  time  \np      3      1        2          1.0s  \n\n" +
				"done, 1 step changed, 2 unchanged in 0.0s\n"},
		{engine.Summary{How: engine.HowDone, Counts: engine.Counts{NoOp: 3}, Phases: phases},
			"no changes, 3 steps unchanged in 0.0s\n"},
		{engine.Summary{How: engine.HowDone, Counts: engine.Counts{Undone: 2}, Phases: []engine.PhaseSummary{
			{ID: "p", Counts: engine.Counts{Undone: 2}}}}, "\nphase  undone  \np      2       \n\n2 steps undone in 0.0s\n"},
		{engine.Summary{How: engine.HowDeclined, Counts: engine.Counts{NotRun: 2}, Phases: []engine.PhaseSummary{
			{ID: "p", Counts: engine.Counts{Tasks: 2, NotRun: 2}}}},
			"\nphase  steps  not run  \np      2      2        \n\ndeclined, 0 steps changed, 0 unchanged, 2 not run in 0.0s\n"},
	} {
		var out bytes.Buffer
		Summary(&out, &c.s, Options{})
		if d := cmp.Diff(c.want, out.String()); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
	}
}
