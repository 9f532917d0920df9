package storage

import (
	"context"
	"encoding/json"
	"errors"

	"deploy/internal/node"
	"deploy/steps"
)

// Letter makes sure that a drive letter is free or is the disk's own on a node, so that all nodes can agree on it.
type Letter struct {
	Serial string `json:"serial" required:"true" doc:"serial number of the disk that may hold the letter"`
	Letter string `json:"letter" required:"true" doc:"drive letter, like E or E:"`
}

// Kind names the step.
func (s *Letter) Kind() string { return "storage.letter" }

// Check looks at the machine.
func (s *Letter) Check(ctx context.Context, r node.Reader) (steps.Diff, error) {
	return steps.Diff{}, errors.New("not written yet")
}

// Apply does what d says.
func (s *Letter) Apply(ctx context.Context, n node.Node, d steps.Diff) (steps.Outcome, error) {
	return steps.Outcome{}, errors.New("not written yet")
}

// Undo restores before.
func (s *Letter) Undo(ctx context.Context, n node.Node, before json.RawMessage) error {
	return errors.New("not written yet")
}

func letterKind() steps.Kind {
	return steps.Kind{
		Name: "storage.letter",
		New:  func() steps.Step { return &Letter{} },
	}
}
