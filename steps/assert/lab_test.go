package assert

import (
	"strings"
	"testing"

	"deploy/internal/node"
	"deploy/internal/testkit/conformance"
	"deploy/steps"
	"deploy/steps/inspect"
)

func TestTierConformanceProbeInLab(t *testing.T) {
	conformance.InLab(t, nil, func(t *testing.T, b *conformance.Bench) {
		s := b.Session(t, conformance.Node1, probeKind())
		with := map[string]any{
			"message": "m", "releases": []any{string(s.Facts().Release)}, "min_adapters": 2, "free_letter": "E",
			"pending_reboot": "none",
			"disks":          []any{conformance.DiskA, conformance.DiskB}, "domain": conformance.Domain,
			"service": map[string]any{"name": "spooler", "state": "running"},
			"file":    `C:\Windows`, "no_file": `C:\Nothing`,
			"registry": map[string]any{"key": `HKLM\SYSTEM\CurrentControlSet\Services\Tcpip`},
		}
		conformance.Run(t, conformance.Case{Kind: probeKind(), With: with, OnlyLooks: true,
			Changed: map[string][]any{"no_file": {`C:\Windows`}, "free_letter": {"C"}},
			Open:    func(*testing.T) node.Session { return s }})
	})
}

func TestFeatureProbeInLab(t *testing.T) {
	conformance.InLab(t, inspect.From(node.WS2008), func(t *testing.T, b *conformance.Bench) {
		s := b.Session(t, conformance.Node1, probeKind())
		p := &Probe{Message: "m", Features: []string{"Failover-Clustering"}}
		if d := check(t, p, s); len(d.Changes) != 1 {
			t.Errorf("a machine as delivered has no clustering: %+v", d)
		}
	})
}

// In the lab a card is made a team; the rule SCC-27 warns of it and stops nothing.
func TestTeamProbeInLab(t *testing.T) {
	conformance.InLab(t, inspect.From(node.WS2008), func(t *testing.T, b *conformance.Bench) {
		s := b.Session(t, conformance.Node1, probeKind())
		b.World.Lock()
		card := b.World.Machine(conformance.Node1).Adapters[1]
		b.World.Unlock()
		p := &Probe{Rule: "SCC-27", Message: "m", Severity: "should", Plain: []string{card.MAC}}
		if d := check(t, p, s); d.Action != steps.NoOp || len(d.Warnings) != 0 {
			t.Errorf("a machine as delivered has plain cards: %+v", d)
		}
		b.World.Lock()
		card.Team = true
		b.World.Unlock()
		if d := check(t, p, s); d.Action != steps.NoOp || len(d.Warnings) != 1 ||
			!strings.HasPrefix(d.Warnings[0], "SCC-27: m (network card "+card.Name) {
			t.Errorf("a team: %+v", d)
		}
	})
}
