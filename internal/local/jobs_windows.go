package local

import (
	"context"
	"os"
	"path/filepath"

	"deploy/internal/node"
)

// stateDir is where the resident script keeps its jobs too.
func stateDir() string { return filepath.Join(os.Getenv("SystemRoot"), "deploy", "jobs") }

func (s *Session) startJob(_ context.Context, j job) error {
	return s.unsupported("job.start "+j.id, "no scheduler")
}

func (s *Session) jobState(_ context.Context, id string) (node.JobState, error) {
	return node.JobState{}, s.unsupported("job.state "+id, "no scheduler")
}

func (s *Session) removeJob(_ context.Context, id string) error {
	return s.unsupported("job.remove "+id, "no scheduler")
}
