package network

import (
	"context"
	"encoding/json"
	"errors"

	"deploy/internal/node"
	"deploy/steps"
)

// DNS sets a card's DNS servers and whether it registers its address.
type DNS struct {
	MAC      string   `json:"mac" required:"true" doc:"hardware address of the card"`
	Servers  []string `json:"servers" doc:"DNS servers in the order in which they are asked; an empty list means none, no key means any"`
	Register *bool    `json:"register" doc:"whether the card registers its addresses in DNS; no key means either"`
}

// Kind names the step.
func (s *DNS) Kind() string { return "network.dns" }

// Check looks at the machine.
func (s *DNS) Check(ctx context.Context, r node.Reader) (steps.Diff, error) {
	return steps.Diff{}, errors.New("not written yet")
}

// Apply does what d says.
func (s *DNS) Apply(ctx context.Context, n node.Node, d steps.Diff) (steps.Outcome, error) {
	return steps.Outcome{}, errors.New("not written yet")
}

// Undo restores before.
func (s *DNS) Undo(ctx context.Context, n node.Node, before json.RawMessage) error {
	return errors.New("not written yet")
}

func dnsKind() steps.Kind {
	return steps.Kind{
		Name: "network.dns",
		New:  func() steps.Step { return &DNS{} },
	}
}
