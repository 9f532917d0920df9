package feature

import (
	"testing"

	"deploy/internal/node"
	"deploy/internal/testkit/conformance"
	"deploy/steps/inspect"
)

func TestTierConformanceInLab(t *testing.T) {
	for name, with := range map[string]map[string]any{
		"cluster": {"names": []any{"failover-clustering"}},
		"web":     {"names": []any{"Web-Server", "Web-Metabase", "Web-Lgcy-Mgmt-Console", "Web-Basic-Auth"}},
		"tools":   {"names": []any{"RSAT-ADDS"}},
	} {
		t.Run(name, func(t *testing.T) {
			conformance.InLab(t, inspect.From(node.WS2008), func(t *testing.T, b *conformance.Bench) {
				if name != "cluster" && b.World.Locale != "en" {
					return // one case in every language is enough: these are slow
				}
				conformance.Run(t, conformance.Case{Kind: kind(), With: with, Restart: conformance.Restart,
					Open: func(t *testing.T) node.Session { return b.Session(t, conformance.Node1) }})
			})
		})
	}
}
