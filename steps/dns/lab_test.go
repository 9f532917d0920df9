package dns

import (
	"testing"

	"deploy/internal/lab/model"
	"deploy/internal/node"
	"deploy/internal/testkit/conformance"
)

func TestTierConformanceInLab(t *testing.T) {
	for name, with := range map[string]map[string]any{
		"new":     {"zone": "contoso.com", "name": "mbx01", "data": []any{"192.0.2.21", "198.51.100.21"}, "ttl": 600},
		"ttl":     {"zone": "contoso.com", "name": "NODE1", "data": []any{"10.10.10.10", "192.0.2.11"}, "ttl": 600},
		"root":    {"zone": "contoso.com", "name": "@", "data": []any{"192.0.2.5", "192.0.2.6"}},
		"one off": {"zone": "contoso.com", "name": "node1", "absent": true, "data": []any{"10.10.10.10"}},
		"replace": {"zone": "contoso.com", "name": "node1", "data": []any{"192.0.2.99"}},
		"absent":  {"zone": "contoso.com", "name": "node1", "absent": true},
	} {
		t.Run(name, func(t *testing.T) {
			conformance.InLab(t, nil, func(t *testing.T, b *conformance.Bench) {
				b.World.Forest.Zones["contoso.com"].Records = []*model.Record{
					{Name: "NODE1", Type: "A", Data: "192.0.2.11", TTL: 1200},
					{Name: "node1", Type: "A", Data: "10.10.10.10", TTL: 1200},
					{Name: "node10", Type: "A", Data: "192.0.2.110", TTL: 1200}, {Name: "@", Type: "A", Data: "192.0.2.5", TTL: 600},
				}
				conformance.Run(t, conformance.Case{Kind: recordKind(), With: with,
					Open: func(t *testing.T) node.Session { return b.Session(t, conformance.DC) }})
			})
		})
	}
}
