package network

import (
	"context"
	"encoding/json"
	"errors"

	"deploy/internal/node"
	"deploy/steps"
)

// Binding puts network cards in order: the first is asked before the second, and so on.
type Binding struct {
	Order []string `json:"order" required:"true" doc:"hardware addresses of the cards in the order wished; only their order among each other counts"`
}

// Kind names the step.
func (s *Binding) Kind() string { return "network.binding" }

// Check looks at the machine.
func (s *Binding) Check(ctx context.Context, r node.Reader) (steps.Diff, error) {
	return steps.Diff{}, errors.New("not written yet")
}

// Apply does what d says.
func (s *Binding) Apply(ctx context.Context, n node.Node, d steps.Diff) (steps.Outcome, error) {
	return steps.Outcome{}, errors.New("not written yet")
}

// Undo restores before.
func (s *Binding) Undo(ctx context.Context, n node.Node, before json.RawMessage) error {
	return errors.New("not written yet")
}

func bindingKind() steps.Kind {
	return steps.Kind{
		Name: "network.binding",
		New:  func() steps.Step { return &Binding{} },
	}
}
