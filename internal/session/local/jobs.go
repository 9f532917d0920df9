package local

import (
	"context"
	"fmt"
	"time"

	"deploy/internal/node"
)

// job is what the system is to start.
type job struct {
	id    string // as the caller knows it
	argv  []string
	dir   string
	limit time.Duration
	as    *node.Credential // nil is the session's own user (SYSTEM on Windows)
}

// StartJob starts a program that outlives the session. A known id does nothing.
func (s *Session) StartJob(ctx context.Context, id string, c node.Cmd) error {
	if len(c.Stdin) > 0 {
		return fmt.Errorf("cannot start the job %s on %s: a job has no standard input", id, s.opts.Node)
	}
	if id == "" || len(c.Argv) == 0 || c.Argv[0] == "" {
		return fmt.Errorf("cannot start the job %q on %s: an id and a program are needed", id, s.opts.Node)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	j := job{id: id, argv: c.Argv, dir: c.Dir, limit: c.Timeout}
	if c.As != "" {
		cred, err := s.credential(c.As)
		if err != nil {
			return fmt.Errorf("cannot start the job %s on %s: %w", id, s.opts.Node, err)
		}
		j.as = &cred
	}
	if j.limit == 0 {
		j.limit = s.opts.Job
	}
	if err := s.pass(ctx); err != nil {
		return err
	}
	op := "job.start " + id
	err := s.fail(op, s.startJob(ctx, j))
	s.opts.Log.DebugContext(ctx, "request", "node", s.opts.Node, "op", op, "err", err)
	return err
}

// Job tells how a job stands. A job that another session of this machine started is known as well.
func (s *Session) Job(ctx context.Context, id string) (node.JobState, error) {
	if err := ctx.Err(); err != nil {
		return node.JobState{}, err
	}
	state, err := s.jobState(ctx, id)
	return state, s.fail("job.state "+id, err)
}

// forgetJob removes what is kept of a job; one that runs is refused.
func (s *Session) forgetJob(ctx context.Context, id string) error { return s.removeJob(ctx, id) }
