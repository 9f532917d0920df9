// Package jobs runs a program as a job and waits for it. Jobs outlive the link and the session, run
// under credentials of their own, and are known by an id, so that a run that was cut off finds its
// program again instead of starting it twice.
package jobs

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"deploy/internal/hint"
	"deploy/internal/node"
)

// DefaultPoll is how often Run looks at a job when it is not told otherwise.
const DefaultPoll = 2 * time.Second

// ID makes the id of a job from a word for people and all that makes the job what it is: equal work
// has an equal id.
func ID(word string, parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return word + "-" + hex.EncodeToString(sum[:6])
}

// Run starts c as job id and waits for its end. A job of that id that still runs is waited for; one
// that ended before is forgotten and started anew, since the caller has looked and found that its
// work is not done. poll 0 is DefaultPoll. A job that is lost is an error; an exit code never is.
func Run(ctx context.Context, n node.Node, id string, c node.Cmd, poll time.Duration) (node.JobState, error) {
	if poll <= 0 {
		poll = DefaultPoll
	}
	state, err := n.Job(ctx, id)
	switch {
	case errors.Is(err, node.ErrNotFound):
		err = n.StartJob(ctx, id, c)
	case err == nil && state.Phase != node.JobRunning:
		if _, err = n.Do(ctx, node.JobRemove{ID: id}); err == nil {
			err = n.StartJob(ctx, id, c)
		}
	}
	if err != nil {
		return node.JobState{}, fmt.Errorf("cannot start %s as a job: %w", program(c), err)
	}
	// look at once: many programs are done quickly, and then more and more seldom up to poll
	wait := min(poll, 50*time.Millisecond)
	for {
		state, err := n.Job(ctx, id)
		if err != nil {
			return node.JobState{}, fmt.Errorf("cannot tell how job %s stands: %w", id, err)
		}
		switch state.Phase {
		case node.JobDone:
			return state, nil
		case node.JobLost:
			return state, hint.Wrap(fmt.Errorf("cannot tell how %s ended: its process is gone and left no exit code",
				program(c)),
				"did the machine restart, or did somebody end it? look at its log, then run again")
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return state, fmt.Errorf("gave up waiting for %s, which still runs as job %s: %w", program(c), id, ctx.Err())
		case <-timer.C:
		}
		wait = min(poll, 2*wait)
	}
}

// program names the program without its arguments, which people may have put anything into.
func program(c node.Cmd) string {
	if len(c.Argv) == 0 {
		return "nothing"
	}
	return c.Argv[0]
}
