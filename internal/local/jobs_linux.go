package local

import (
	"context"

	"deploy/internal/node"
)

func stateDir() string { return "/var/lib/deploy/jobs" }

func (s *Session) startJob(_ context.Context, j job) error {
	return s.unsupported("job.start "+j.id, "not yet")
}

func (s *Session) jobState(_ context.Context, id string) (node.JobState, error) {
	return node.JobState{}, s.unsupported("job.state "+id, "not yet")
}

func (s *Session) removeJob(_ context.Context, id string) error {
	return s.unsupported("job.remove "+id, "not yet")
}
