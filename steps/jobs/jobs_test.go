package jobs

import (
	"context"
	"errors"
	"testing"
	"time"

	"deploy/internal/node"
	"deploy/internal/testkit/nodetest"
)

func TestRun(t *testing.T) {
	m := nodetest.New(node.WS2008)
	m.Programs["setup.com"] = func([]string) node.Result { return node.Result{Code: 3010, Stdout: []byte("done")} }
	s, err := Run(t.Context(), m, "id", node.Cmd{Argv: []string{"setup.com"}, As: "admin"}, 0)
	if err != nil || s.Code != 3010 || s.Output != "done" {
		t.Errorf("%+v, %v", s, err)
	}
}

// A job that still runs belongs to a run that was cut off: it is waited for, not started twice.
func TestRunAdoptsARunningJob(t *testing.T) {
	m := nodetest.New(node.WS2008)
	m.SetJob("id", node.JobState{Phase: node.JobRunning})
	looks := 0
	m.Break = func(r node.Request) error {
		if r.Verb == "job.state" {
			if looks++; looks == 3 {
				m.SetJob("id", node.JobState{Phase: node.JobDone, Code: 0})
			}
		}
		return nil
	}
	if _, err := Run(t.Context(), m, "id", node.Cmd{Argv: []string{"setup.com"}}, time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if m.Asked("job.start", "") != 0 {
		t.Error("it was started again")
	}
}

func TestRunLosesAJob(t *testing.T) {
	m := nodetest.New(node.WS2008)
	m.SetJob("id", node.JobState{Phase: node.JobRunning})
	looks := 0
	m.Break = func(r node.Request) error {
		if looks++; looks == 2 {
			m.SetJob("id", node.JobState{Phase: node.JobLost})
		}
		return nil
	}
	if _, err := Run(t.Context(), m, "id", node.Cmd{Argv: []string{"setup.com"}}, time.Millisecond); err == nil {
		t.Error("a lost job was taken for one that ended")
	}
}

func TestRunCanBeCancelled(t *testing.T) {
	m := nodetest.New(node.WS2008)
	m.SetJob("id", node.JobState{Phase: node.JobRunning})
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	start := time.Now()
	_, err := Run(ctx, m, "id", node.Cmd{Argv: []string{"setup.com"}}, time.Hour)
	if !errors.Is(err, context.Canceled) || time.Since(start) > 5*time.Second {
		t.Errorf("after %s: %v", time.Since(start), err)
	}
}

func TestIDTellsWorkApart(t *testing.T) {
	seen := map[string]bool{ID("x", "a", "b"): true, ID("x", "ab"): true, ID("x", "a", "", "b"): true,
		ID("y", "a", "b"): true}
	if len(seen) != 4 {
		t.Errorf("other work needs another id: %v", seen)
	}
}
