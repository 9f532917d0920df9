package registry

import (
	"context"
	"encoding/json"
	"errors"

	"deploy/internal/node"
	"deploy/steps"
)

// Registry is one registry value, there or not there.
type Registry struct {
	Key    string `json:"key" required:"true" doc:"key, begins with HKLM\\"`
	Name   string `json:"name" doc:"value name; no name means the default value"`
	Type   string `json:"type" enum:"string|expand|binary|dword|qword|multi" doc:"type of the value"`
	Data   any    `json:"data" doc:"text, a number, a list of text (multi), or bytes in hexadecimal (binary)"`
	Absent bool   `json:"absent,omitempty" doc:"the value shall not be there"`
}

// Kind names the step.
func (s *Registry) Kind() string { return "registry" }

// Check looks at the machine.
func (s *Registry) Check(ctx context.Context, r node.Reader) (steps.Diff, error) {
	return steps.Diff{}, errors.New("not written yet")
}

// Apply does what d says.
func (s *Registry) Apply(ctx context.Context, n node.Node, d steps.Diff) (steps.Outcome, error) {
	return steps.Outcome{}, errors.New("not written yet")
}

// Undo restores before.
func (s *Registry) Undo(ctx context.Context, n node.Node, before json.RawMessage) error {
	return errors.New("not written yet")
}

func kind() steps.Kind {
	return steps.Kind{
		Name: "registry",
		New:  func() steps.Step { return &Registry{} },
	}
}
