package engine

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"deploy/internal/node"
	"deploy/steps"
)

// real takes the fake clock out, so that the bubble's own clock counts.
func (g *rig) real() { g.o.Now, g.o.Sleep = nil, nil }

func TestRebootWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, "p: a:reboot")
		g.real()
		g.w.onAct = func(string, string) { g.w.mu.Lock(); g.w.down["n1"] = 20; g.w.mu.Unlock() }
		var beats []Event
		g.o.Events = func(e Event) {
			if e.Kind == EvHeartbeat {
				beats = append(beats, e)
			}
		}
		start := time.Now()
		sum, err := Apply(context.Background(), g.o, nil)
		if err != nil {
			t.Fatal(err)
		}
		took := time.Since(start)
		if took < time.Minute || took > 10*time.Minute || sum.Reboots != 1 {
			t.Errorf("twenty refused dials took %s, %d restarts", took, sum.Reboots)
		}
		if n := int(took / (10 * time.Second)); len(beats) < n-1 || len(beats) > n+1 {
			t.Errorf("%d heartbeats in %s", len(beats), took)
		}
		last := beats[len(beats)-1]
		if !strings.Contains(last.Text, "n1 to come back from its restart") || last.Task != "p/a@n1" ||
			last.ElapsedMS < 50_000 {
			t.Errorf("the last heartbeat is %+v", last)
		}
	})
}

func TestRebootTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, "p: a:reboot")
		g.real()
		g.o.RebootTimeout = 5 * time.Minute
		g.w.onAct = func(string, string) { g.w.mu.Lock(); g.w.down["n1"] = 1 << 30; g.w.mu.Unlock() }
		start := time.Now()
		_, err := Apply(context.Background(), g.o, nil)
		if took := time.Since(start); took < 4*time.Minute || took > 6*time.Minute {
			t.Errorf("it took %s", took)
		}
		if want := "cannot restart the machine after p/a@n1 on n1: n1 did not come back within 5m0s: cannot reach n1: " +
			"refused"; text(err) != want {
			t.Errorf("got %v\nwant %s", err, want)
		}
		// it comes back in the night; the next run goes on there
		g.w.down["n1"] = 3
		g.o.Run = ""
		g.story()
		if _, err := Resume(context.Background(), g.o); err != nil {
			t.Fatal(err)
		}
		if got, want := g.story(), "rebooted:a@n1 done:a@n1 checkpoint:p"; got != want {
			t.Errorf("got %s\nwant %s", got, want)
		}
	})
}

// TestRebootDidNotHappen: the machine answers, but it is the same boot.
func TestRebootDidNotHappen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, "p: a:reboot")
		g.real()
		g.o.Dial = func(ctx context.Context, name string, b Position) (Executor, error) {
			ex, err := g.w.dial(ctx, name, b)
			return deaf{ex}, err
		}
		_, err := Apply(context.Background(), g.o, nil)
		if want := "cannot restart the machine after p/a@n1 on n1: n1 did not come back within 20m0s: it has not " +
			"restarted yet"; text(err) != want {
			t.Errorf("got %v\nwant %s", err, want)
		}
	})
}

// deaf does not restart.
type deaf struct{ Executor }

func (deaf) Restart(context.Context, string) error { return nil }

// moments tells of every boot the moment at which it began, as Windows does: in local time, and
// anew after each correction of the clock.
type moments struct {
	Executor
	boot string
}

func (m moments) Facts() node.Facts {
	f := m.Executor.Facts()
	f.BootID = m.boot
	return f
}

// TestClockIsNoRestart: summer time begins and the clock is corrected while a restart is waited
// for, and before an older journal is resumed.
func TestClockIsNoRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, "p: a:reboot")
		g.real()
		boots := []string{"20260329003000.500000+060", "20260329013000.516000+120", "20260328233003.100000+000",
			"20260329014500.500000+120"}
		dial := func(deafly bool) func(context.Context, string, Position) (Executor, error) {
			return func(ctx context.Context, name string, b Position) (Executor, error) {
				ex, err := g.w.dial(ctx, name, b)
				m := moments{ex, boots[0]}
				if boots = boots[1:]; len(boots) == 0 {
					boots = []string{m.boot}
				}
				if deafly {
					return deaf{m}, err
				}
				return m, err
			}
		}
		// the machine was told, the program waits for one look and is gone
		g.o.Dial, g.o.RebootTimeout = dial(true), time.Second
		if _, err := Apply(context.Background(), g.o, nil); !strings.Contains(text(err),
			"it has not restarted yet") {
			t.Fatal(err)
		}
		g.story()
		g.o.Dial, g.o.Run, g.o.RebootTimeout = dial(false), "", time.Hour
		if _, err := Resume(context.Background(), g.o); err != nil {
			t.Fatal(err)
		}
		if got, want := g.story(), "restart:n1 rebooted:a@n1 done:a@n1 checkpoint:p"; got != want {
			t.Errorf("got %s\nwant %s", got, want)
		}
	})
}

func TestRefusedPasswordIsTriedOnce(t *testing.T) {
	for _, after := range []bool{false, true} {
		g := newRig(t, "p: a:reboot")
		tries, refuse := 0, !after
		g.o.Dial = func(ctx context.Context, name string, b Position) (Executor, error) {
			if refuse {
				tries++
				return nil, &node.LinkError{Node: name, Err: node.ErrAuth}
			}
			refuse = after
			return g.w.dial(ctx, name, b)
		}
		if _, err := Apply(context.Background(), g.o, nil); !errors.Is(err, node.ErrAuth) || tries != 1 {
			t.Errorf("after a restart %v: %d tries, %v", after, tries, err)
		}
	}
}

func TestUnreachable(t *testing.T) {
	g := newRig(t, "p: a@n1+n2+n3")
	g.w.down["n1"], g.w.down["n2"] = 100, 2 // n2 answers at the third try
	_, err := Apply(context.Background(), g.o, nil)
	if want := "cannot check n1: cannot reach n1: refused"; text(err) != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
	if left := g.w.down["n1"]; left != 97 {
		t.Errorf("n1 was tried %d times", 100-left)
	}
	if len(g.m.entries) != 0 {
		t.Errorf("something was written before all nodes were there: %d entries", len(g.m.entries))
	}
}

// TestUnreachableWaitsForNobody: a wrong address is told at once, however long the checks of the
// other nodes would take.
func TestUnreachableWaitsForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, "p: a@n1+n2")
		g.real()
		g.w.down["n1"] = 100
		g.o.Dial = func(ctx context.Context, name string, b Position) (Executor, error) {
			ex, err := g.w.dial(ctx, name, b)
			return patient{ex}, err
		}
		start := time.Now()
		_, err := Apply(context.Background(), g.o, nil)
		if want := "cannot check n1: cannot reach n1: refused"; text(err) != want {
			t.Errorf("got %v\nwant %s", err, want)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("it took %s", took)
		}
	})
}

// patient answers after an hour.
type patient struct{ Executor }

func (p patient) Check(ctx context.Context, list []steps.Step) []Checked {
	select {
	case <-time.After(time.Hour):
	case <-ctx.Done():
	}
	return p.Executor.Check(ctx, list)
}

func TestStepTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, "p: a:hang b")
		g.real()
		g.o.Program.Phases[0].Groups[0].Tasks[0].Timeout = 3 * time.Minute
		start := time.Now()
		_, err := Apply(context.Background(), g.o, nil)
		if want := "cannot apply p/a@n1 on n1: it did not end within 3m0s: context deadline exceeded"; text(err) != want {
			t.Errorf("got %v\nwant %s", err, want)
		}
		if took := time.Since(start); took != 3*time.Minute {
			t.Errorf("it took %s", took)
		}
		if got, want := g.story(), "begin:a@n1 apply:a@n1 failed:a@n1"; got != want {
			t.Errorf("got %s\nwant %s", got, want)
		}
	})
}

// TestLeave: the second Ctrl-C ends ctx. The act under way is neither done nor failed, and the
// journal says so.
func TestLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, "p rollback: a b:hang c")
		g.real()
		ctx, cancel := context.WithCancel(context.Background())
		go func() { time.Sleep(time.Minute); cancel() }()
		sum, err := Apply(ctx, g.o, nil)
		if !errors.Is(err, context.Canceled) || sum.How != HowStopped {
			t.Errorf("%v %+v", err, sum)
		}
		if got, want := g.story(), "begin:a@n1 apply:a@n1 done:a@n1 begin:b@n1 apply:b@n1 lost:b@n1"; got != want {
			t.Errorf("got %s\nwant %s", got, want)
		}
	})
}

// TestStop: the first Ctrl-C lets what is under way end, and starts nothing new, also not what a
// failure would start.
func TestStop(t *testing.T) {
	for _, c := range []struct{ setup, want, err string }{
		{"p: a b c / q: d", "begin:a@n1 apply:a@n1 done:a@n1 begin:b@n1 apply:b@n1 done:b@n1",
			"stopped by user: 2 of 4 tasks are finished"},
		{"p rollback: a b:fail c", "begin:a@n1 apply:a@n1 done:a@n1 begin:b@n1 apply:b@n1 failed:b@n1",
			"cannot apply p/b@n1 on n1: no"},
		{"p: a b:reboot c", "begin:a@n1 apply:a@n1 done:a@n1 begin:b@n1 apply:b@n1 reboot:b@n1 restart:n1 rebooted:b@n1 " +
			"done:b@n1",
			"stopped by user: 2 of 3 tasks are finished"},
		{"p: a b", "begin:a@n1 apply:a@n1 done:a@n1 begin:b@n1 apply:b@n1 done:b@n1", ""},
	} {
		g := newRig(t, c.setup)
		stop := make(chan struct{})
		g.o.Stop = stop
		g.w.onAct = func(_, id string) {
			if id == "b@n1" {
				close(stop)
			}
		}
		_, err := Apply(context.Background(), g.o, nil)
		if got := g.story(); got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.setup, got, c.want)
		}
		if text(err) != c.err || strings.HasPrefix(c.err, "stopped") != errors.Is(err, ErrStopped) {
			t.Errorf("%s: got %v, want %s", c.setup, err, c.err)
		}
	}
}

func TestStopRollback(t *testing.T) {
	g := newRig(t, "p: a b c")
	if _, err := Apply(context.Background(), g.o, nil); err != nil {
		t.Fatal(err)
	}
	g.story()
	stop := make(chan struct{})
	g.o.Stop, g.o.Run = stop, ""
	g.w.onAct = func(string, string) { close(stop); g.w.onAct = nil }
	_, err := Rollback(context.Background(), g.o, RollbackOptions{All: true})
	if !errors.Is(err, ErrStopped) || text(err) != "stopped by user: 1 of 3 steps are undone" {
		t.Error(err)
	}
	if got, want := g.story(), "undo-begin:c@n1 undo:c@n1 undone:c@n1"; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

// TestParallel: in a block each node goes its own way; a barrier stands where the set of nodes
// changes.
func TestParallel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, "p: a@n1+n2 b@n1+n2 c@n1 d@n1+n2!one-by-one e@n2+n1!first-then-rest")
		g.real()
		g.o.Parallel = 2
		start := time.Now()
		at := map[string]time.Duration{}
		var mu sync.Mutex
		g.w.onAct = func(_, id string) {
			mu.Lock()
			at[id] = time.Since(start)
			mu.Unlock()
			d := time.Minute
			if strings.HasSuffix(id, "n2") {
				d = 3 * time.Minute
			}
			time.Sleep(d)
		}
		if _, err := Apply(context.Background(), g.o, nil); err != nil {
			t.Fatal(err)
		}
		for id, min := range map[string]int{"a@n1": 0, "a@n2": 0, "b@n1": 1, "b@n2": 3, "c@n1": 6, "d@n1": 7, "d@n2": 8,
			"e@n2": 11, "e@n1": 14} {
			if want := time.Duration(min) * time.Minute; at[id] != want {
				t.Errorf("%s began at %s, want %s", id, at[id], want)
			}
		}
	})
}

// TestFailureElsewhere: when one node fails, the others end the step they are at and begin no
// other.
func TestFailureElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, "p: a@n1+n2 b@n1+n2")
		g.real()
		g.o.Parallel = 2
		g.o.Program.Phases[0].Groups[0].Tasks[0].Step = twoWay{data{Name: "a", Flags: []string{"fail"}}}
		g.w.onAct = func(_, id string) {
			if strings.HasSuffix(id, "n2") {
				time.Sleep(time.Minute)
			}
			time.Sleep(time.Second) // n1 fails when n2 has begun, or n2 would rightly not begin
		}
		_, err := Apply(context.Background(), g.o, nil)
		if want := "cannot apply p/a@n1 on n1: no"; text(err) != want {
			t.Errorf("got %v", err)
		}
		if got := g.w.snapshot(); got["n2/a"] != "new" || got["n2/b"] != "" || got["n1/b"] != "" {
			t.Errorf("the end is %v", got)
		}
	})
}
