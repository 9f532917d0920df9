package network

import (
	"slices"
	"testing"

	"deploy/internal/node"
	"deploy/internal/testkit/conformance"
	"deploy/steps"
)

// The bench's first node has its private card first, on DHCP, and its public card second, at
// 192.0.2.11/24.
func TestTierConformanceInLab(t *testing.T) {
	cases := []struct {
		kind steps.Kind
		with map[string]any
	}{
		{adapterKind(), map[string]any{"mac": "00-15-5d-00-01-01", "name": "Public"}},
		{addressKind(), map[string]any{"mac": conformance.PublicMAC, "addresses": []any{"192.0.2.21/24", "192.0.2.22/24"},
			"gateway": "192.0.2.1"}},
		{addressKind(), map[string]any{"mac": conformance.PrivateMAC, "addresses": []any{"10.10.10.10/24"},
			"no_gateway": true}},
		{addressKind(), map[string]any{"mac": conformance.PublicMAC, "dhcp": true}},
		{dnsKind(), map[string]any{"mac": conformance.PublicMAC, "servers": []any{"192.0.2.5", "192.0.2.6"}}},
		{dnsKind(), map[string]any{"mac": conformance.PrivateMAC, "servers": []any{}, "register": false}},
		{netbiosKind(), map[string]any{"mac": conformance.PrivateMAC, "mode": "disabled"}},
	}
	changed := map[string]map[string][]any{"network.address": {
		"dhcp": {conformance.Instead{"dhcp": nil, "addresses": []any{"192.0.2.11/24"}},
			conformance.Instead{"dhcp": true, "addresses": nil, "gateway": nil, "no_gateway": nil}},
		"no_gateway": {conformance.Instead{"gateway": nil, "no_gateway": true}},
	}}
	for _, c := range cases {
		t.Run(c.kind.Name, func(t *testing.T) {
			conformance.InLab(t, nil, func(t *testing.T, b *conformance.Bench) {
				conformance.Run(t, conformance.Case{Kind: c.kind, With: c.with, Restart: conformance.Restart,
					Changed: changed[c.kind.Name],
					Open:    func(t *testing.T) node.Session { return b.Session(t, conformance.Node1) }})
			})
		})
	}
}

// Which card is bound first on delivery is the lab's business; the case takes the other order.
func TestTierConformanceBindingInLab(t *testing.T) {
	conformance.InLab(t, nil, func(t *testing.T, b *conformance.Bench) {
		s := b.Session(t, conformance.Node1)
		order := []string{conformance.PublicMAC, conformance.PrivateMAC}
		if check(t, &Binding{Order: order}, s).Action == steps.NoOp {
			slices.Reverse(order)
		}
		conformance.Run(t, conformance.Case{Kind: bindingKind(), With: map[string]any{"order": anys(order)},
			Restart: conformance.Restart,
			Open:    func(*testing.T) node.Session { return s }})
	})
}
