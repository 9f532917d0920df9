package engine

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"deploy/internal/hint"
	"deploy/internal/journal"
	"deploy/steps"
)

// liar is an agent that reports what it likes: late in its Sync, or live in place of its work.
type liar struct {
	fakeAgent
	late, live func(last journal.AgentRef, row Batch) []Report
}

func (l *liar) Sync(_ context.Context, b Position, report func(Report) error) error {
	return tellAll(l.late, b.Agent, Batch{}, report)
}

func (l *liar) Work(ctx context.Context, row Batch, halt <-chan struct{}, report func(Report) error) error {
	if l.live == nil {
		return l.fakeAgent.Work(ctx, row, halt, report)
	}
	return tellAll(l.live, journal.AgentRef{}, row, report)
}

func tellAll(f func(journal.AgentRef, Batch) []Report, last journal.AgentRef, row Batch,
	report func(Report) error) error {
	if f == nil {
		return nil
	}
	for _, rep := range append(f(last, row), Report{What: RepPause}) {
		if err := report(rep); err != nil {
			return err
		}
	}
	return nil
}

// liarRig has applied phase p on two nodes by agents. From then on n1 is in other hands.
func liarRig(t *testing.T, late, live func(last journal.AgentRef, row Batch) []Report) *rig {
	t.Helper()
	g := newRig(t, "p: a@n1+n2 b@n1+n2 / q: c@n1+n2 d@n2")
	g.o.Dial = g.w.dialAgent
	g.o.Only = []string{"p"}
	if _, err := Apply(context.Background(), g.o, nil); err != nil {
		t.Fatal(err)
	}
	g.story()
	g.w.values["n2/b"] = "drifted" // something to do for n2 in the same phase
	g.o.Only, g.o.Run = nil, "r2"
	g.o.Dial = func(ctx context.Context, name string, b Position) (Executor, error) {
		ex, err := g.w.dialAgent(ctx, name, b)
		if err == nil && name == "n1" {
			return &liar{ex.(fakeAgent), late, live}, nil
		}
		return ex, err
	}
	return g
}

func firstRun(g *rig) string { return g.m.entries[0].Run }

func digestOf(g *rig, id string) string {
	for _, t := range g.o.Program.Tasks() {
		if t.ID == id {
			return stepData(t.Step).Digest()
		}
	}
	return "none"
}

// lookFor is a diff that an agent may report.
func lookFor() (steps.Diff, json.RawMessage) {
	d := steps.Diff{Action: steps.Update, Changes: []steps.Change{{Attr: "value", From: "", To: "new"}},
		Before: steps.MustJSON(map[string]string{"value": ""})}
	return d, steps.MustJSON(d)
}

// TestLies: whatever an agent reports beyond the outcome of what it was handed is refused with an
// error that names it, and leaves nothing in the journal; a rollback then does nothing on other
// nodes than undo what was done there.
func TestLies(t *testing.T) {
	evil := journal.StepData{Kind: "fake", Data: json.RawMessage(`{"name":"evil","flags":["rm"]}`)}
	d, look := lookFor()
	var g *rig
	begin := func(id, digest string) Report {
		return Report{What: RepBegin, Task: id, Run: firstRun(g), Digest: digest, Diff: d, Look: look}
	}
	own := func() Report { return begin("p/a@n1", digestOf(g, "p/a@n1")) }
	end := func(what Reported, id string) Report {
		return Report{What: what, Task: id, Run: firstRun(g), Verb: "apply", Err: errors.New("so it says")}
	}
	with := func(r Report, f func(*Report)) Report { f(&r); return r }
	cases := []struct {
		name string
		lies func() []Report
		why  string
	}{
		{"another node's task", func() []Report { return []Report{begin("p/a@n2", digestOf(g, "p/a@n2"))} },
			`"begin" of "p/a@n2": that task was not handed to it`},
		{"another node's task, with a step of its own", func() []Report {
			return []Report{with(begin("p/a@n2", ""), func(r *Report) { r.Step = &evil })}
		}, `"begin" of "p/a@n2": that task was not handed to it`},
		{"the end of another node's task", func() []Report { return []Report{end(RepDone, "p/a@n2")} },
			`"done" of "p/a@n2": it has not begun that task`},
		{"the failure of another node's task", func() []Report { return []Report{end(RepFailed, "p/a@n2")} },
			`"failed" of "p/a@n2": it has not begun that task`},
		{"a restart for another node's task", func() []Report { return []Report{end(RepReboot, "p/a@n2")} },
			`"reboot" of "p/a@n2": it has not begun that task`},
		{"an id that no program has", func() []Report { return []Report{begin("../../etc/passwd", "0")} },
			`"begin" of "../../etc/passwd": that task was not handed to it`},
		{"a task that was never handed there", func() []Report {
			return []Report{begin("q/c@n1", digestOf(g, "q/c@n1"))}
		}, `"begin" of "q/c@n1": that task was not handed to it`},
		{"another step", func() []Report { return []Report{begin("p/a@n1", evil.Digest())} },
			`"begin" of "p/a@n1": it was handed over under another digest`},
		{"the step of another task of its own", func() []Report {
			return []Report{begin("p/a@n1", digestOf(g, "p/b@n1"))}
		}, `"begin" of "p/a@n1": it was handed over under another digest`},
		{"a step of its own, as an old record would tell it", func() []Report {
			return []Report{with(own(), func(r *Report) { r.Digest, r.Step = "", &evil })}
		}, `"begin" of "p/a@n1": that task was not handed to it`},
		{"an end without a begin", func() []Report { return []Report{end(RepDone, "p/a@n1")} },
			`"done" of "p/a@n1": it has not begun that task`},
		{"lost without a begin", func() []Report { return []Report{end(RepLost, "p/a@n1")} },
			`"lost" of "p/a@n1": it has not begun that task`},
		{"a begin with nothing to do", func() []Report {
			return []Report{with(own(), func(r *Report) { r.Diff = steps.NoChange() })}
		}, `"begin" of "p/a@n1": there is nothing to do by its own diff`},
		{"a look of any size", func() []Report {
			return []Report{with(own(), func(r *Report) { r.Look = make(json.RawMessage, maxLook+1) })}
		}, `"begin" of "p/a@n1": it is too large`},
		{"an undo that nobody asked for", func() []Report {
			return []Report{with(end(RepUndone, "p/a@n1"), func(r *Report) { r.Act = 4 })}
		}, `"undone" of "p/a@n1": this journal did not ask for the undo of act 4 of that task`},
		{"an undo on another node", func() []Report {
			return []Report{with(end(RepUndone, "p/a@n2"), func(r *Report) { r.Act = 4 })}
		}, `"undone" of "p/a@n2": this journal did not ask for the undo of act 4 of that task`},
		{"an undo of an act that never was", func() []Report {
			return []Report{with(end(RepUndoBegin, "p/a@n1"), func(r *Report) { r.Act = -1 })}
		}, `"undo-begin" of "p/a@n1": this journal did not ask for the undo of act -1 of that task`},
		{"a run that never was", func() []Report { return []Report{with(own(), func(r *Report) { r.Run = "evil" })} },
			`"begin" of "p/a@n1": this journal knows no run "evil"`},
		{"a no-op long after", func() []Report { return []Report{end(RepNoOp, "p/a@n1")} },
			`"no-op" of "p/a@n1": that is no report of an act`},
		{"something else, with control characters", func() []Report {
			return []Report{end("\x1b[2J", "p/a@n1\x1b[31m\u202e")}
		}, `"\x1b[2J" of "p/a@n1\x1b[31m\u202e": that is no report of an act`},
	}
	for _, late := range []bool{true, false} {
		for _, tc := range cases {
			if !late && tc.name == "a task that was never handed there" {
				continue // it is handed there just then
			}
			name := "live, "
			if late {
				name = "late, "
			}
			t.Run(name+tc.name, func(t *testing.T) {
				tell := func(last journal.AgentRef, _ Batch) []Report {
					if !late {
						last, _ = lastOf(g, "n1")
					}
					return numbered(last, tc.lies())
				}
				if late {
					g = liarRig(t, tell, nil)
				} else {
					g = liarRig(t, nil, tell)
				}
				before := len(g.m.entries)
				_, err := Apply(context.Background(), g.o, nil)
				if !errors.Is(err, ErrReport) || !strings.Contains(text(err), "the agent on n1 reports, ") ||
					!strings.Contains(hint.Of(err), "Examine n1") {
					t.Fatalf("got %v, hint %q", err, hint.Of(err))
				}
				if late && !strings.Contains(text(err), tc.why) {
					t.Errorf("got %v\nwant %s", err, tc.why)
				}
				for _, e := range g.m.entries[before:] {
					if e.Task != "" && e.Node != "n2" || strings.Contains(string(e.Data), "evil") &&
						e.Kind != journal.RunEnd {
						t.Errorf("it wrote %s %s %s %s", e.Kind, e.Node, e.Task, e.Data)
					}
				}
				// the other node has gone on to where it needs the first
				if v := g.w.snapshot(); v["n2/b"] != "new" || v["n2/d"] != "" {
					t.Errorf("n2 is %v", v)
				}
				g.story()
				g.o.Run = "r3"
				_, err = Rollback(context.Background(), g.o, RollbackOptions{})
				if late && !errors.Is(err, ErrReport) {
					t.Errorf("the rollback said %v", err)
				}
				if got := g.story(); strings.Contains(got, "evil") {
					t.Errorf("the rollback did %s", got)
				}
			})
		}
	}
}

// numbered gives reports the next places in the record.
func numbered(last journal.AgentRef, list []Report) []Report {
	for i := range list {
		list[i].Agent = journal.AgentRef{Epoch: last.Epoch, Seq: last.Seq + int64(i) + 1}
	}
	return list
}

func lastOf(g *rig, name string) (journal.AgentRef, error) {
	st, err := journal.Fold(g.m.entries)
	if err != nil {
		return journal.AgentRef{}, err
	}
	return st.Agents[name], nil
}

// TestOddNumbers: entries of a record follow each other.
func TestOddNumbers(t *testing.T) {
	d, look := lookFor()
	for _, tc := range []struct {
		name string
		at   func(last journal.AgentRef) journal.AgentRef
		why  string
	}{
		{"negative", func(l journal.AgentRef) journal.AgentRef { return journal.AgentRef{Epoch: l.Epoch, Seq: -5} },
			"it is number -5 of the agent's record where 5 is due"},
		{"huge", func(l journal.AgentRef) journal.AgentRef { return journal.AgentRef{Epoch: l.Epoch, Seq: 1 << 62} },
			"it is number 4611686018427387904 of the agent's record where 5 is due"},
		{"again", func(l journal.AgentRef) journal.AgentRef { return l },
			"it is number 4 of the agent's record where 5 is due"},
		{"none", func(journal.AgentRef) journal.AgentRef { return journal.AgentRef{} }, "it names no record"},
		{"a new record in its middle", func(journal.AgentRef) journal.AgentRef {
			return journal.AgentRef{Epoch: "new", Seq: 2}
		}, "it is number 2 of the agent's record where 1 is due"},
		{"a record with a long name", func(journal.AgentRef) journal.AgentRef {
			return journal.AgentRef{Epoch: strings.Repeat("e", maxEpoch+1), Seq: 1}
		}, "it names no record"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var g *rig
			g = liarRig(t, func(last journal.AgentRef, _ Batch) []Report {
				return []Report{{What: RepBegin, Task: "p/a@n1", Run: firstRun(g), Digest: digestOf(g, "p/a@n1"), Diff: d,
					Look: look, Agent: tc.at(last)}}
			}, nil)
			_, err := Apply(context.Background(), g.o, nil)
			if !errors.Is(err, ErrReport) || !strings.Contains(text(err), tc.why) {
				t.Errorf("got %v\nwant %s", err, tc.why)
			}
		})
	}
}

// TestOutOfOrder: a begin has its end before anything else is reported.
func TestOutOfOrder(t *testing.T) {
	d, look := lookFor()
	for _, tc := range []struct{ name, second, task, why string }{
		{"a second begin", "begin", "p/b@n1", `it has begun "p/a@n1"`},
		{"the same begin", "begin", "p/a@n1", `it has begun "p/a@n1"`},
		{"the end of another", "done", "p/b@n1", "it has not begun that task"},
		{"an undo", "undone", "p/a@n1", `it has begun "p/a@n1"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var g *rig
			g = liarRig(t, func(last journal.AgentRef, _ Batch) []Report {
				if last.Seq > 4 {
					return nil
				}
				return numbered(last, []Report{
					{What: RepBegin, Task: "p/a@n1", Run: firstRun(g), Digest: digestOf(g, "p/a@n1"), Diff: d, Look: look},
					{What: Reported(tc.second), Task: tc.task, Run: firstRun(g), Digest: digestOf(g, tc.task), Diff: d, Look: look},
				})
			}, nil)
			_, err := Apply(context.Background(), g.o, nil)
			if !errors.Is(err, ErrReport) || !strings.Contains(text(err), tc.why) {
				t.Errorf("got %v\nwant %s", err, tc.why)
			}
		})
	}
}

// TestJournalHoldsItsOwnStep: what stands in a begin is the step that was handed over, also when
// the playbook has another one since.
func TestJournalHoldsItsOwnStep(t *testing.T) {
	d, look := lookFor()
	var g *rig
	digest := ""
	g = liarRig(t, func(last journal.AgentRef, _ Batch) []Report {
		if last.Seq > 4 {
			return nil
		}
		return numbered(last, []Report{
			{What: RepBegin, Task: "p/a@n1", Run: firstRun(g), Digest: digest, Diff: d, Look: look, BootID: "b"},
			{What: RepDone, Task: "p/a@n1", Run: firstRun(g)},
		})
	}, nil)
	digest = digestOf(g, "p/a@n1")
	g.o.Program = program(t, g.w, "p: a@n1+n2:changed b@n1+n2 / q: c@n1+n2 d@n2")
	g.o.Only = []string{"p"}
	before := len(g.m.entries)
	if _, err := Apply(context.Background(), g.o, nil); err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(g.m.entries[before:], func(e journal.Entry) bool { return e.Kind == journal.Begin })
	var in journal.Intent
	if err := json.Unmarshal(g.m.entries[before+at].Data, &in); err != nil {
		t.Fatal(err)
	}
	if string(in.Step) != `{"name":"a"}` || in.Kind != "fake" || in.BootID != "b" || string(in.Diff) != string(look) {
		t.Errorf("the intent is %+v", in)
	}
}

// TestOldRecord: a record of a version that wrote no digests is read where journal or playbook know
// the step, and refused otherwise; then --forget-agent goes on.
func TestOldRecord(t *testing.T) {
	d, look := lookFor()
	for _, tc := range []struct {
		name, step, why string
	}{
		{"the step of the playbook", `{"name":"a"}`, ""},
		{"the same step, written another way", `{ "flags": [], "name": "a" }`, "neither the playbook nor the journal knows"},
		{"spaces do not matter", `{ "name" : "a" }`, ""},
		{"another step", `{"name":"evil"}`, "neither the playbook nor the journal knows its step"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := newRig(t, "p: a@n1 b@n1")
			// what the earlier version's journal holds when it was killed in its first handover
			for _, e := range []journal.Entry{
				{Kind: journal.RunStart, Run: "r1", Data: json.RawMessage(`{}`)},
				{Kind: journal.PhaseStart, Run: "r1", Phase: "p"},
				{Kind: journal.Handed, Run: "r1", Phase: "p", Node: "n1",
					Data: json.RawMessage(`{"tasks":["p/a@n1","p/b@n1"]}`)},
			} {
				if _, err := g.m.append(e); err != nil {
					t.Fatal(err)
				}
			}
			g.w.values["n1/a"] = "new"
			g.o.Dial = func(ctx context.Context, name string, b Position) (Executor, error) {
				ex, err := g.w.dialAgent(ctx, name, b)
				if err != nil {
					return nil, err
				}
				return &liar{fakeAgent: ex.(fakeAgent), late: func(last journal.AgentRef, _ Batch) []Report {
					if last.Seq >= 2 {
						return nil
					}
					return numbered(journal.AgentRef{Epoch: "old"}, []Report{
						{What: RepBegin, Task: "p/a@n1", Run: "r1", Step: &journal.StepData{Kind: "fake",
							Data: json.RawMessage(tc.step)}, Diff: d, Look: look},
						{What: RepDone, Task: "p/a@n1", Run: "r1"},
					})
				}}, nil
			}
			_, err := Apply(context.Background(), g.o, nil)
			if tc.why != "" {
				if !errors.Is(err, ErrReport) || !strings.Contains(text(err), tc.why) {
					t.Fatalf("got %v\nwant %s", err, tc.why)
				}
				g.o.Run, g.o.ForgetAgents = "", []string{"n1"}
				_, err = Apply(context.Background(), g.o, nil)
			}
			if err != nil {
				t.Fatal(err)
			}
			st, err := journal.Fold(g.m.entries)
			if err != nil {
				t.Fatal(err)
			}
			acts := st.Task("p/a@n1").Acts
			if tc.why == "" && (len(acts) != 1 || !acts[0].Done) || tc.why != "" && len(acts) != 0 {
				t.Errorf("the acts are %+v", acts)
			}
			if st.Agents["n1"].Epoch == "" {
				t.Error("where the record stands was not noted")
			}
		})
	}
}

// TestStepsStandOnce: a step is written once for a journal, not with every run.
func TestStepsStandOnce(t *testing.T) {
	g := newRig(t, "p: a b")
	g.o.Dial = g.w.dialAgent
	for range 3 {
		g.o.Run = ""
		g.w.values["n1/a"] = "drifted"
		if _, err := Apply(context.Background(), g.o, nil); err != nil {
			t.Fatal(err)
		}
	}
	n, handed := 0, 0
	for _, e := range g.m.entries {
		if e.Kind == journal.Handed {
			handed++
			n += strings.Count(string(e.Data), `"kind":"fake"`)
		}
	}
	if handed < 3 || n != 2 {
		t.Errorf("%d steps stand in %d entries", n, handed)
	}
}
