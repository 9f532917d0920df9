package task

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"deploy/steps"
)

// script plays a Doer and writes down what it was asked for.
type script struct {
	fails  string // the verb whose turn ends with an error
	reboot bool   // the act asks for a restart
	other  bool   // somebody else restarts
	holds  bool
	said   []string
}

var errScript = errors.New("no")

func (s *script) say(verb string) error {
	s.said = append(s.said, verb)
	if s.fails == verb {
		return errScript
	}
	return nil
}

func (s *script) Begin(context.Context, steps.Diff) error { return s.say("begin") }

func (s *script) Act(context.Context, steps.Diff) (steps.Outcome, error) {
	return steps.Outcome{Reboot: s.reboot, Note: "n"}, s.say("apply")
}

func (s *script) Restart(context.Context) (bool, error) { return !s.other, s.say("restart") }

func (s *script) Look(context.Context) (steps.Diff, error) {
	if s.holds {
		return steps.NoChange(), s.say("check")
	}
	return steps.Diff{Action: steps.Update}, s.say("check")
}

func (s *script) Pause(context.Context, time.Duration) error { return nil }

func (s *script) Patience() time.Duration { return 0 }

// TestRun: nothing follows what failed, and nothing counts as done that was not looked at.
func TestRun(t *testing.T) {
	for _, c := range []struct {
		name    string
		s       script
		said    string
		verb    string
		err     error
		restart bool
	}{
		{"it holds", script{holds: true}, "begin apply check", "", nil, false},
		{"it does not", script{}, "begin apply check", "apply", ErrDidNotHold, false},
		{"the intent cannot be written", script{fails: "begin", holds: true}, "begin", "begin", errScript, false},
		{"the act fails", script{fails: "apply", reboot: true}, "begin apply", "apply", errScript, false},
		{"a restart", script{reboot: true, holds: true}, "begin apply restart check", "", nil, false},
		{"a restart that fails", script{reboot: true, fails: "restart"}, "begin apply restart", "restart", errScript, false},
		{"a restart that is another's", script{reboot: true, other: true}, "begin apply restart", "", nil, true},
		{"the look fails", script{fails: "check", holds: true}, "begin apply check", "check", errScript, false},
	} {
		end, err := Run(t.Context(), &c.s, steps.Diff{Action: steps.Update})
		if got := strings.Join(c.s.said, " "); got != c.said || end.Verb != c.verb || !errors.Is(err, c.err) ||
			end.Restart != c.restart {
			t.Errorf("%s: %s, %+v, %v", c.name, got, end, err)
		}
	}
}
