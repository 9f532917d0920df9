package task

import (
	"context"
	"fmt"
	"time"

	"deploy/steps"
)

// Doer is one task in the place where it is done: an engine that works from afar, or an agent
// beside the machine. Run knows the order; a Doer knows how each is done there.
type Doer interface {
	// Begin writes the intent down. After an error of it nothing is done.
	Begin(ctx context.Context, d steps.Diff) error
	// Act does what d says is missing.
	Act(ctx context.Context, d steps.Diff) (steps.Outcome, error)
	// Restart restarts the machine and waits until it serves again. done false, without an error, says
	// that somebody else restarts it: what is left is theirs.
	Restart(ctx context.Context) (done bool, err error)
	// Look checks the task anew.
	Look(ctx context.Context) (steps.Diff, error)
	// Pause waits for d. It ends early with ctx's error.
	Pause(ctx context.Context, d time.Duration) error
	// Patience is how long looks go on until the act is seen; see PatienceFor.
	Patience() time.Duration
}

// End is how a task ended that was begun.
type End struct {
	Outcome steps.Outcome
	// Verb says what failed: "begin", "apply", "restart" or "check"; "" where nothing did.
	Verb string
	// Restart: a restart is due before the task counts as done, and somebody else sees to it.
	Restart bool
}

// Run does one task that a check has found to be done: intent, act, restart where the act asks for
// one, and looks whether it held, for as long as its effect may take to show. What the intent or
// the act say as an error is given back as it is, with the verb of what failed.
func Run(ctx context.Context, do Doer, d steps.Diff) (End, error) {
	if err := do.Begin(ctx, d); err != nil {
		return End{Verb: "begin"}, err
	}
	out, err := do.Act(ctx, d)
	if err != nil {
		return End{Outcome: out, Verb: "apply"}, err
	}
	return Prove(ctx, do, out)
}

// Prove is Run from the end of the act on: for one whose act was done in another place.
func Prove(ctx context.Context, do Doer, out steps.Outcome) (End, error) {
	end := End{Outcome: out}
	if out.Reboot {
		done, err := do.Restart(ctx)
		if err != nil {
			end.Verb = "restart"
			return end, err
		}
		if !done {
			end.Restart = true
			return end, nil
		}
	}
	again, err := Hold(ctx, do.Patience(), do.Pause, do.Look, asWished)
	if err != nil {
		end.Verb = "check"
		return end, err
	}
	if !asWished(again) {
		end.Verb = "apply"
		return end, fmt.Errorf("it %w: %s", ErrDidNotHold, Describe(again))
	}
	return end, nil
}

// asWished says that a look after the act finds nothing left to do.
func asWished(d steps.Diff) bool { return d.Action == steps.NoOp || IsProof(d) }

// LeftToEngine says that an agent does not do d by itself: a person has to agree, or nothing on the
// machine shows that it was done.
func LeftToEngine(s steps.Step, d steps.Diff) bool {
	_, gated := s.(steps.Gated)
	return gated || d.Action == steps.Unknown || d.Action == "" || IsProof(d) || NoReturn(s, d) != ""
}
