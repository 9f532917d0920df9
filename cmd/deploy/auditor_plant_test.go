package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"deploy/internal/cli"
	"deploy/internal/engine"
	"deploy/internal/journal"
	"deploy/steps"
)

// plant names a defect that the program under test shall have. An auditor that finds nothing is
// only worth something when it finds these.
const plant = "DEPLOY_TEST_PLANT"

// planted are the defects, each with the rule that tells it.
func planted() map[string]func(a *cli.App) {
	entries := func(f func(e *journal.Entry)) func(a *cli.App) {
		return func(a *cli.App) {
			a.WrapJournal = func(j journal.Journal) journal.Journal { return &forger{Journal: j, forge: f} }
		}
	}
	executors := func(f func(e engine.Executor) engine.Executor) func(a *cli.App) {
		return func(a *cli.App) { a.WrapExecutor = f }
	}
	neutral := func(e *journal.Entry) { e.Kind, e.Task, e.Node, e.Data = journal.PhaseStart, "", "", nil }
	return map[string]func(a *cli.App){
		"begin dropped": entries(func(e *journal.Entry) {
			if e.Kind == journal.Begin {
				neutral(e)
			}
		}),
		"done of another node": entries(func(e *journal.Entry) {
			if e.Kind == journal.Done && e.Node == "w19" {
				e.Node = "w08"
			}
		}),
		"entry for another task": entries(func(e *journal.Entry) {
			if e.Kind == journal.Done && strings.HasPrefix(e.Task, "rest/two@") {
				e.Task = "rest/one@" + e.Node
			}
		}),
		"failure called done": entries(func(e *journal.Entry) {
			if e.Kind == journal.Begin && e.Task == "rest/one@w08" {
				e.Kind, e.Data = journal.Done, nil
			}
		}),
		"undone called done": entries(func(e *journal.Entry) {
			if e.Kind == journal.Undone {
				e.Kind, e.Data = journal.Done, nil
			}
		}),
		"checkpoint too early": entries(func(e *journal.Entry) {
			if e.Kind == journal.PhaseStart {
				e.Kind = journal.Checkpoint
			}
		}),
		"restart not in the journal": entries(func(e *journal.Entry) {
			if e.Kind == journal.Reboot || e.Kind == journal.Rebooted {
				neutral(e)
			}
		}),
		"before altered": entries(func(e *journal.Entry) {
			if e.Kind == journal.Begin && strings.HasPrefix(e.Task, "settings/hostname@") {
				e.Data = json.RawMessage(strings.ReplaceAll(string(e.Data), e.Node, "nobody"))
			}
		}),
		"act outside the journal": executors(func(e engine.Executor) engine.Executor { return &stray{Executor: e} }),
		"undo and look that do nothing": executors(func(e engine.Executor) engine.Executor {
			return &blind{Executor: e, undone: map[string]json.RawMessage{}}
		}),
	}
}

// forger changes entries before they are written down.
type forger struct {
	journal.Journal
	forge func(e *journal.Entry)
}

func (f *forger) Append(ctx context.Context, entries ...journal.Entry) (int64, error) {
	list := slices.Clone(entries)
	for i := range list {
		f.forge(&list[i])
	}
	return f.Journal.Append(ctx, list...)
}

// stray writes something that no task has asked for.
type stray struct{ engine.Executor }

func (s *stray) Apply(ctx context.Context, step steps.Step, d steps.Diff) (steps.Outcome, error) {
	out, err := s.Executor.Apply(ctx, step, d)
	if err != nil || step.Kind() != "registry" {
		return out, err
	}
	k, _ := newApp().Registry.Get("registry")
	other := k.New()
	if err := json.Unmarshal([]byte(`{"key":"HKLM\\SOFTWARE\\Stray","name":"x","type":"string","data":"y"}`),
		other); err != nil {
		return out, err
	}
	_, err = s.Executor.Apply(ctx, other, steps.Diff{Action: steps.Create})
	return out, err
}

// blind takes nothing back, and afterwards shows what was seen before the act.
type blind struct {
	engine.Executor
	mu     sync.Mutex
	undone map[string]json.RawMessage // by step: what was recorded before the act
}

func (b *blind) Check(ctx context.Context, list []steps.Step) []engine.Checked {
	out := b.Executor.Check(ctx, list)
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, s := range list {
		if before, ok := b.undone[string(steps.MustJSON(s))]; ok && s.Kind() == "registry" {
			out[i] = engine.Checked{Diff: steps.Diff{Action: steps.Create, Before: before}}
		}
	}
	return out
}

func (b *blind) Undo(ctx context.Context, s steps.Step, before json.RawMessage) error {
	if s.Kind() != "registry" {
		return b.Executor.Undo(ctx, s, before)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.undone[string(steps.MustJSON(s))] = before
	return nil
}

// plantForTest gives the program the defect that the environment names.
func plantForTest(a *cli.App) {
	name := os.Getenv(plant)
	if name == "" {
		return
	}
	f, ok := planted()[name]
	if !ok {
		fmt.Fprintf(os.Stderr, "no defect %q\n", name)
		os.Exit(2)
	}
	f(a)
}

// Each planted defect is found within fifty seeds; the first seed that finds it is printed.
func TestTierAuditorFindsPlantedDefects(t *testing.T) {
	tierAuditor(t)
	const most = 50
	calm, objects, usual := labCalm(t)
	for _, name := range slices.Sorted(maps.Keys(planted())) {
		t.Run(name, func(t *testing.T) {
			for seed := uint64(1); seed <= most; seed++ {
				a := labSchedule(t, calm, objects, replace(t, "agent: auto", "agent: never"))
				a.tally = &tally{kills: map[string]int{}}
				if f := a.play(seed, usual, []string{plant + "=" + name}); len(f) > 0 {
					t.Logf("seed %d: %s", seed, f[0])
					return
				}
			}
			t.Errorf("not found within %d seeds", most)
		})
	}
}
