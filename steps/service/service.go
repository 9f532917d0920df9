package service

import (
	"context"
	"encoding/json"
	"errors"

	"deploy/internal/node"
	"deploy/steps"
)

// Service sets how a Windows service starts and whether it runs.
type Service struct {
	Name  string `json:"name" required:"true" doc:"service name (not the display name), like MSExchangeIS"`
	Start string `json:"start" enum:"auto|delayed|manual|disabled" doc:"start type; no key leaves it; delayed needs 2008 or later"`
	State string `json:"state" enum:"running|stopped" doc:"whether it runs now; no key leaves it"`
}

// Kind names the step.
func (s *Service) Kind() string { return "service" }

// Check looks at the machine.
func (s *Service) Check(ctx context.Context, r node.Reader) (steps.Diff, error) {
	return steps.Diff{}, errors.New("not written yet")
}

// Apply does what d says.
func (s *Service) Apply(ctx context.Context, n node.Node, d steps.Diff) (steps.Outcome, error) {
	return steps.Outcome{}, errors.New("not written yet")
}

// Undo restores before.
func (s *Service) Undo(ctx context.Context, n node.Node, before json.RawMessage) error {
	return errors.New("not written yet")
}

func kind() steps.Kind {
	return steps.Kind{
		Name: "service",
		New:  func() steps.Step { return &Service{} },
	}
}
