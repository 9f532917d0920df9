package clus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"deploy/internal/node"
)

// jobLimit is the longest that a job is waited for where the caller's deadline is not nearer: Exchange's setup takes an hour.
const jobLimit = 4 * time.Hour

// RunJob runs a program as a job of the node and waits for its end. The id is stable, so that a run that was cut finds the job
// that still runs and waits for it instead of starting a second one. A job of that id that has ended before is forgotten first,
// and this one once its end is known.
func RunJob(ctx context.Context, n node.Node, id string, c node.Cmd) (node.JobState, error) {
	st, err := n.Job(ctx, id)
	switch {
	case errors.Is(err, node.ErrNotFound):
	case err != nil:
		return st, fmt.Errorf("cannot look for job %s on %s: %w", id, n.Facts().Computer, err)
	case st.Phase != node.JobRunning:
		if _, err := n.Do(ctx, node.JobRemove{ID: id}); err != nil {
			return st, fmt.Errorf("cannot forget the last job %s on %s: %w", id, n.Facts().Computer, err)
		}
	}
	if st.Phase != node.JobRunning {
		if err := n.StartJob(ctx, id, c); err != nil {
			return st, fmt.Errorf("cannot start job %s on %s: %w", id, n.Facts().Computer, err)
		}
	}
	err = Until(ctx, jobLimit, fmt.Sprintf("job %s on %s", id, n.Facts().Computer), func(ctx context.Context) (bool, error) {
		var err error
		st, err = n.Job(ctx, id)
		return err == nil && st.Phase != node.JobRunning, err
	})
	if err != nil {
		return st, err
	}
	if _, err := n.Do(ctx, node.JobRemove{ID: id}); err != nil {
		return st, fmt.Errorf("cannot forget job %s on %s: %w", id, n.Facts().Computer, err)
	}
	if st.Phase == node.JobLost {
		return st, fmt.Errorf("job %s on %s is gone and left no exit code: the machine restarted or somebody ended it", id, n.Facts().Computer)
	}
	return st, nil
}

// JobError makes the error for a job that ended with an exit code that means failure. Only the last line of its output is kept.
func JobError(what string, st node.JobState) error {
	return &node.CodeError{Op: what, Code: int64(st.Code), Text: lastLine(st.Output)}
}
