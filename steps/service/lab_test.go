package service

import (
	"testing"

	"deploy/internal/node"
	"deploy/internal/testkit/conformance"
)

func TestTierConformanceInLab(t *testing.T) {
	for name, with := range map[string]map[string]any{
		"manual":  {"name": "spooler", "start": "manual"},
		"delayed": {"name": "Spooler", "start": "delayed"},
		"stopped": {"name": "Spooler", "start": "disabled", "state": "stopped"},
	} {
		t.Run(name, func(t *testing.T) {
			conformance.InLab(t, nil, func(t *testing.T, b *conformance.Bench) {
				if name == "delayed" && b.World.Machine(conformance.Node1).Release == node.WS2003 {
					return // Windows Server 2003 has no delayed start
				}
				conformance.Run(t, conformance.Case{Kind: kind(), With: with,
					Open: func(t *testing.T) node.Session { return b.Session(t, conformance.Node1) }})
			})
		})
	}
}
