package feature

import (
	"context"
	"encoding/json"
	"errors"

	"deploy/internal/node"
	"deploy/steps"
)

// Feature installs Windows roles, role services and features by their ids.
type Feature struct {
	Names  []string `json:"names" required:"true" doc:"ids as Windows names them in every language, like Failover-Clustering or Web-Server"`
	Source string   `json:"source,omitempty" doc:"folder with the installation files, for systems whose payload was removed (2012 and later)"`
}

// Kind names the step.
func (s *Feature) Kind() string { return "feature" }

// Check looks at the machine.
func (s *Feature) Check(ctx context.Context, r node.Reader) (steps.Diff, error) {
	return steps.Diff{}, errors.New("not written yet")
}

// Apply does what d says.
func (s *Feature) Apply(ctx context.Context, n node.Node, d steps.Diff) (steps.Outcome, error) {
	return steps.Outcome{}, errors.New("not written yet")
}

// Undo restores before.
func (s *Feature) Undo(ctx context.Context, n node.Node, before json.RawMessage) error {
	return errors.New("not written yet")
}

func kind() steps.Kind {
	return steps.Kind{
		Name: "feature",
		New:  func() steps.Step { return &Feature{} },
	}
}
