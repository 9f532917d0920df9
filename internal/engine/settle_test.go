package engine

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"deploy/steps"
)

// starting says of every check that things are on their way, until a moment.
type starting struct {
	Executor
	until time.Time
}

func (s starting) Check(ctx context.Context, list []steps.Step) []Checked {
	got := s.Executor.Check(ctx, list)
	if time.Now().Before(s.until) {
		got[len(got)-1] = Checked{Err: steps.Settling(errors.New("the service starts"))}
	}
	return got
}

// A service that starts is waited for, and not for ever.
func TestSettling(t *testing.T) {
	for _, tc := range []struct {
		name  string
		lasts time.Duration
		want  string
	}{
		{"it comes", time.Minute, ""},
		{"it does not", time.Hour, "cannot check p/b@n1 on n1: the service starts"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newRig(t, "p: a b")
				g.real()
				start := time.Now()
				g.o.Dial = func(ctx context.Context, name string, b Position) (Executor, error) {
					ex, err := g.w.dial(ctx, name, b)
					return starting{ex, start.Add(tc.lasts)}, err
				}
				_, err := Apply(context.Background(), g.o, nil)
				if text(err) != tc.want {
					t.Errorf("got %v\nwant %s", err, tc.want)
				}
				if took := time.Since(start); took > 2*time.Minute+time.Second {
					t.Errorf("it took %s", took)
				}
			})
		})
	}
}

// A node that was there and is gone is tried again for as long as LinkTimeout says.
func TestLinkTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, "p: a:lostbefore b")
		g.real()
		g.o.LinkTimeout = 20 * time.Second
		g.w.onAct = func(string, string) {
			g.w.mu.Lock()
			g.w.down["n1"] = 1000
			g.w.mu.Unlock()
		}
		start := time.Now()
		_, err := Apply(context.Background(), g.o, nil)
		if want := "cannot check p/a@n1 on n1: cannot reach n1: refused"; text(err) != want {
			t.Errorf("got %v\nwant %s", err, want)
		}
		if took := time.Since(start); took < 10*time.Second || took > 30*time.Second {
			t.Errorf("it took %s", took)
		}
	})
}
