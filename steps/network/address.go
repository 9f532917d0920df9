package network

import (
	"context"
	"encoding/json"
	"errors"

	"deploy/internal/node"
	"deploy/steps"
)

// Address gives a network card its static addresses, or DHCP.
type Address struct {
	MAC       string   `json:"mac" required:"true" doc:"hardware address of the card"`
	Addresses []string `json:"addresses" doc:"static IPv4 addresses with prefix length, like 192.0.2.11/24; the set that the card shall have"`
	Gateway   string   `json:"gateway,omitempty" doc:"default gateway; when it is not given, the card's gateways are left as they are"`
	NoGateway bool     `json:"no_gateway,omitempty" doc:"the card shall have no default gateway, as a private network wants it"`
	DHCP      bool     `json:"dhcp" doc:"take the address from DHCP; excludes addresses and gateway"`
}

// Kind names the step.
func (s *Address) Kind() string { return "network.address" }

// Check looks at the machine.
func (s *Address) Check(ctx context.Context, r node.Reader) (steps.Diff, error) {
	return steps.Diff{}, errors.New("not written yet")
}

// Apply does what d says.
func (s *Address) Apply(ctx context.Context, n node.Node, d steps.Diff) (steps.Outcome, error) {
	return steps.Outcome{}, errors.New("not written yet")
}

// Undo restores before.
func (s *Address) Undo(ctx context.Context, n node.Node, before json.RawMessage) error {
	return errors.New("not written yet")
}

func addressKind() steps.Kind {
	return steps.Kind{
		Name: "network.address",
		New:  func() steps.Step { return &Address{} },
	}
}
