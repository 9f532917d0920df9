package packages

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"deploy/internal/node"
	"deploy/steps/jobs"
)

// run runs a transaction, and again while somebody else's apt holds one of the locks that apt-get
// does not wait for.
func run(ctx context.Context, n node.Node, what string, argv []string) error {
	const pause = 2 * time.Second
	for waited := time.Duration(0); ; waited += pause {
		err := runOnce(ctx, n, what, argv)
		code, ok := node.Code(err)
		if !ok || code != aptNone || !slices.Contains(argv, "apt-get") {
			return err
		}
		held, lockErr := aptHeld(ctx, n)
		if lockErr != nil || !held || waited >= lockWait {
			return errors.Join(err, lockErr)
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return errors.Join(err, ctx.Err())
		case <-timer.C:
		}
	}
}

// runOnce runs a transaction as a job, so that it outlives the link, or in the session where that
// has no jobs.
func runOnce(ctx context.Context, n node.Node, what string, argv []string) error {
	c := node.Cmd{Argv: argv, Timeout: limit}
	state, err := jobs.Run(ctx, n, jobs.ID("packages", argv...), c, 0)
	if errors.Is(err, node.ErrUnsupported) {
		res, err := n.Run(ctx, c)
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		state = node.JobState{Code: res.Code, Output: string(res.Stdout) + string(res.Stderr)}
	} else if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if state.Code != 0 {
		return fmt.Errorf("%s: %w", what, &node.CodeError{Op: "the package manager", Code: int64(state.Code),
			Text: tail(state.Output)})
	}
	return nil
}
