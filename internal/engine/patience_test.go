package engine

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"deploy/internal/journal"
)

// mute is an agent that lives and says what it is at, for ever.
type mute struct {
	fakeAgent
	in string // where: "sync" or "work"
}

func (m *mute) noise(ctx context.Context, report func(Report) error) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
			if err := report(Report{What: RepDoing, Task: "p/a@n1", Text: "working"}); err != nil {
				return err
			}
		}
	}
}

func (m *mute) Sync(ctx context.Context, b Position, report func(Report) error) error {
	if m.in != "sync" {
		return m.fakeAgent.Sync(ctx, b, report)
	}
	return m.noise(ctx, report)
}

func (m *mute) Work(ctx context.Context, row Batch, halt <-chan struct{}, report func(Report) error) error {
	if m.in != "work" {
		return m.fakeAgent.Work(ctx, row, halt, report)
	}
	return m.noise(ctx, report)
}

// TestAgentThatOnlyMakesNoise: the controller keeps a limit of its own, says so, and does not take
// silence for an outcome.
func TestAgentThatOnlyMakesNoise(t *testing.T) {
	for _, where := range []string{"sync", "work"} {
		t.Run(where, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newRig(t, "p: a b")
				g.real()
				g.o.StepTimeout = 20 * time.Second
				g.o.Dial = func(ctx context.Context, name string, b Position) (Executor, error) {
					ex, err := g.w.dialAgent(ctx, name, b)
					if err != nil {
						return nil, err
					}
					return &mute{ex.(fakeAgent), where}, nil
				}
				start := time.Now()
				_, err := Apply(context.Background(), g.o, nil)
				if !errors.Is(err, errMute) ||
					!strings.Contains(text(err), "cannot wait for the agent on n1 any longer than 2m0s") {
					t.Errorf("got %v", err)
				}
				if took := time.Since(start); took < 2*time.Minute || took > 3*time.Minute {
					t.Errorf("it took %s", took)
				}
				for _, e := range g.m.entries {
					if e.Kind == journal.Failed || e.Kind == journal.Done {
						t.Errorf("the journal says %s of %s", e.Kind, e.Task)
					}
				}
			})
		})
	}
}
