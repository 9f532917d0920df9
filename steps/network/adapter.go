package network

import (
	"context"
	"encoding/json"
	"errors"

	"deploy/internal/node"
	"deploy/steps"
)

// Adapter gives a network card its connection name.
type Adapter struct {
	MAC  string `json:"mac" required:"true" doc:"hardware address of the card, like 00:15:5D:00:00:01; dashes are allowed"`
	Name string `json:"name" required:"true" doc:"connection name that the card shall have, like Public"`
}

// Kind names the step.
func (s *Adapter) Kind() string { return "network.adapter" }

// Check looks at the machine.
func (s *Adapter) Check(ctx context.Context, r node.Reader) (steps.Diff, error) {
	return steps.Diff{}, errors.New("not written yet")
}

// Apply does what d says.
func (s *Adapter) Apply(ctx context.Context, n node.Node, d steps.Diff) (steps.Outcome, error) {
	return steps.Outcome{}, errors.New("not written yet")
}

// Undo restores before.
func (s *Adapter) Undo(ctx context.Context, n node.Node, before json.RawMessage) error {
	return errors.New("not written yet")
}

func adapterKind() steps.Kind {
	return steps.Kind{
		Name: "network.adapter",
		New:  func() steps.Step { return &Adapter{} },
	}
}
