package clus

import (
	"context"
	"fmt"

	"deploy/internal/node"
	"deploy/steps/jobs"
)

// RunJob runs a program as a job of the node and waits for its end; see jobs.Run. Once the end is
// known the job is forgotten, so that nothing of it stays on the node.
func RunJob(ctx context.Context, n node.Node, id string, c node.Cmd) (node.JobState, error) {
	st, err := jobs.Run(ctx, n, id, c, pauseMost)
	if err != nil {
		return st, fmt.Errorf("job %s on %s: %w", id, n.Facts().Computer, err)
	}
	if _, err := n.Do(ctx, node.JobRemove{ID: id}); err != nil {
		return st, fmt.Errorf("cannot forget job %s on %s: %w", id, n.Facts().Computer, err)
	}
	return st, nil
}

// JobError makes the error for a job that ended with an exit code that means failure. Only the last
// line of its output is kept.
func JobError(what string, st node.JobState) *node.CodeError {
	return &node.CodeError{Op: what, Code: int64(st.Code), Text: lastLine(st.Output)}
}
