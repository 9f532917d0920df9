package engine

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"deploy/steps"
)

// TestPlanOfRollbackEndsWhereItStops: what lies beyond the first point of no return is told apart
// from what will be undone.
func TestPlanOfRollbackEndsWhereItStops(t *testing.T) {
	g := newRig(t, "p: a b:noreturn c d:final e")
	if _, err := Apply(context.Background(), g.o, nil); err != nil {
		t.Fatal(err)
	}
	g.o.Run = ""
	p, err := PlanRollback(context.Background(), g.o, RollbackOptions{All: true})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, a := range p.Acts {
		s := a.Do + " " + a.Task
		if a.Beyond {
			s = "beyond " + s
		}
		got = append(got, s)
	}
	want := []string{"undo p/e@n1", "stop p/d@n1", "beyond undo p/c@n1", "beyond stop p/b@n1", "beyond undo p/a@n1"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

// TestPassedIsNotUndone: a probe has nothing to take back, so it does not count as undone.
func TestPassedIsNotUndone(t *testing.T) {
	g := newRig(t, "p: a b:probe")
	if _, err := Apply(context.Background(), g.o, nil); err != nil {
		t.Fatal(err)
	}
	g.o.Run = ""
	s, err := Rollback(context.Background(), g.o, RollbackOptions{All: true})
	if err != nil || s.Counts.Undone != 1 || s.Counts.NoOp != 1 {
		t.Errorf("%v %+v", err, s.Counts)
	}
}

func TestPending(t *testing.T) {
	g := newRig(t, "p: a b")
	if _, err := Pending(nil); err == nil || !strings.Contains(err.Error(), "never applied") {
		t.Errorf("an empty journal: %v", err)
	}
	if _, err := Apply(context.Background(), g.o, nil); err != nil {
		t.Fatal(err)
	}
	if rb, err := Pending(g.m.entries); rb != nil || err != nil {
		t.Errorf("after an apply: %v %v", rb, err)
	}
	g.o.Run = ""
	if _, err := Rollback(context.Background(), g.o, RollbackOptions{ToPhase: "p"}); err != nil {
		t.Fatal(err)
	}
	if _, err := Pending(g.m.entries); err == nil || !strings.Contains(err.Error(), "that completed") {
		t.Errorf("after a whole rollback: %v", err)
	}
	if rb, err := Pending(g.m.entries[:len(g.m.entries)-1]); err != nil || rb == nil || rb.ToPhase != "p" {
		t.Errorf("after a rollback that was cut off: %+v %v", rb, err)
	}
}

// TestStopAtQuestion: who is asked and wants the run to end instead has neither agreed nor
// declined.
func TestStopAtQuestion(t *testing.T) {
	for _, setup := range []string{"p: a f:final b", "p: a g:gate b"} {
		g := newRig(t, setup)
		stop := make(chan struct{})
		g.o.Stop = stop
		g.o.Approve = func(context.Context, Approval) (bool, error) { close(stop); return false, ErrStopped }
		g.o.Gate = func(context.Context, GateRequest) (Signature, bool, error) {
			close(stop)
			return Signature{}, false, ErrStopped
		}
		s, err := Apply(context.Background(), g.o, nil)
		if !errors.Is(err, ErrStopped) || errors.Is(err, ErrDeclined) || s.How != HowStopped || s.Counts.Change != 1 ||
			s.Counts.Failed != 0 {
			t.Errorf("%s: %v %+v", setup, err, s)
		}
	}
}

// TestWords: views put words before what is waited for and how long, so the engine does not say
// them itself.
func TestWords(t *testing.T) {
	g := newRig(t, "p: a:hang,reboot b:old")
	g.o.HeartbeatEvery = time.Millisecond
	g.o.StepTimeout = 30 * time.Millisecond
	var mu sync.Mutex
	var beats []string
	g.o.Events = func(e Event) {
		mu.Lock()
		defer mu.Unlock()
		if e.Kind == EvHeartbeat || e.Kind == EvRetry {
			beats = append(beats, e.Text)
		}
	}
	_, _ = Apply(context.Background(), g.o, nil)
	if !slices.Contains(beats, "the end of p/a@n1") {
		t.Errorf("the heartbeats are %q", beats)
	}
	for _, b := range beats {
		if strings.HasPrefix(b, "waiting") || strings.HasPrefix(b, "again") {
			t.Errorf("a view would say it twice: %q", b)
		}
	}
}

// TestWarningsAreTold: an apply that nobody shows the plan of still tells what its looks warn of.
func TestWarningsAreTold(t *testing.T) {
	var told []string
	r := &run{o: Options{Events: func(e Event) { told = append(told, e.Phase+" "+e.Task+" "+e.Node+" "+e.Text) },
		Now: time.Now}}
	r.warn(&Plan{Phases: []PlanPhase{{ID: "p", Steps: []PlanStep{{Tasks: []PlanTask{
		{ID: "p/a@n1", Node: "n1", Diff: steps.Diff{Action: steps.NoOp, Warnings: []string{"clock is off"}}},
		{ID: "p/b@n1", Node: "n1"},
	}}}}}})
	if !slices.Equal(told, []string{"p p/a@n1 n1 clock is off"}) {
		t.Errorf("told %q", told)
	}
}

// TestJournalStatus: what the journal speaks of can be told without the playbook.
func TestJournalStatus(t *testing.T) {
	g := newRig(t, "p: a b / q: c:fail")
	_, _ = Apply(context.Background(), g.o, nil)
	s, err := JournalStatus(g.m.entries, "s")
	if err != nil || len(s.Phases) != 2 {
		t.Fatalf("%v %+v", err, s)
	}
	p, q := s.Phases[0], s.Phases[1]
	if p.ID != "p" || !p.Checkpoint || p.Counts.Done != 2 || q.ID != "q" || q.Counts.Failed != 1 ||
		q.Tasks[0].Error == "" {
		t.Errorf("%+v", s.Phases)
	}
	if empty, err := JournalStatus(nil, "s"); err != nil || empty.LastRun != nil {
		t.Errorf("%+v %v", empty, err)
	}
}
