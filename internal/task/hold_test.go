package task

import (
	"context"
	"errors"
	"testing"
	"time"

	"deploy/steps"
)

// TestHold: what comes late is waited for, and not for longer than patience says; an error that
// says nothing of "not yet" ends it at once.
func TestHold(t *testing.T) {
	no := errors.New("access denied")
	not := steps.Until("x", "it replicates")
	for _, c := range []struct {
		name     string
		answers  []any // errors, or whether it held; the last one stays
		patience time.Duration
		looks    int
		least    time.Duration // waited
		want     any
	}{
		{"at once", []any{true}, Patience, 1, 0, true},
		{"late", []any{false, false, true}, Patience, 3, 750 * time.Millisecond, true},
		{"never", []any{false}, Patience, 8, Patience, false},
		{"no patience", []any{false}, 0, 1, 0, false},
		{"not there yet", []any{not, true}, Patience, 2, 250 * time.Millisecond, true},
		{"never there", []any{not}, time.Second, 4, time.Second, not},
		{"cannot tell", []any{no, true}, Patience, 1, 0, no},
	} {
		looks, waited := 0, time.Duration(0)
		got, err := Hold(t.Context(), c.patience, func(_ context.Context, d time.Duration) error { waited += d; return nil },
			func(context.Context) (bool, error) {
				a := c.answers[min(looks, len(c.answers)-1)]
				looks++
				if err, ok := a.(error); ok {
					return false, err
				}
				return a.(bool), nil
			}, func(ok bool) bool { return ok })
		var have any = got
		if err != nil {
			have = err
		}
		if have != c.want || looks != c.looks || waited != c.least {
			t.Errorf("%s: %v after %d looks and %s", c.name, have, looks, waited)
		}
	}
}

// slow is a step whose kind takes longer.
type slow struct {
	steps.Step
	d time.Duration
}

func (s slow) ShowsWithin() time.Duration { return s.d }

func TestPatienceFor(t *testing.T) {
	for want, s := range map[time.Duration]steps.Step{Patience: slow{d: time.Second}, time.Minute: slow{d: time.Minute}} {
		if got := PatienceFor(s); got != want {
			t.Errorf("%s, not %s", got, want)
		}
	}
}
