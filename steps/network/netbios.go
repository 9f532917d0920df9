package network

import (
	"context"
	"encoding/json"
	"errors"

	"deploy/internal/node"
	"deploy/steps"
)

// Netbios sets NetBIOS over TCP/IP of a card.
type Netbios struct {
	MAC  string `json:"mac" required:"true" doc:"hardware address of the card"`
	Mode string `json:"mode" required:"true" enum:"default|enabled|disabled" doc:"default takes what DHCP says"`
}

// Kind names the step.
func (s *Netbios) Kind() string { return "network.netbios" }

// Check looks at the machine.
func (s *Netbios) Check(ctx context.Context, r node.Reader) (steps.Diff, error) {
	return steps.Diff{}, errors.New("not written yet")
}

// Apply does what d says.
func (s *Netbios) Apply(ctx context.Context, n node.Node, d steps.Diff) (steps.Outcome, error) {
	return steps.Outcome{}, errors.New("not written yet")
}

// Undo restores before.
func (s *Netbios) Undo(ctx context.Context, n node.Node, before json.RawMessage) error {
	return errors.New("not written yet")
}

func netbiosKind() steps.Kind {
	return steps.Kind{
		Name: "network.netbios",
		New:  func() steps.Step { return &Netbios{} },
	}
}
