package storage

import (
	"testing"

	"deploy/internal/node"
	"deploy/internal/testkit/conformance"
)

func open(b *conformance.Bench, name string) func(t *testing.T) node.Session {
	return func(t *testing.T) node.Session { return b.Session(t, name) }
}

func TestTierConformanceDiskInLab(t *testing.T) {
	conformance.InLab(t, nil, func(t *testing.T, b *conformance.Bench) {
		conformance.Run(t, conformance.Case{Kind: diskKind(), With: map[string]any{"serial": conformance.DiskA},
			Open: open(b, conformance.Node1)})
		conformance.Run(t, conformance.Case{Kind: diskKind(),
			With: map[string]any{"serial": conformance.DiskA, "initialize": false},
			Open: open(b, conformance.Node2), OnlyLooks: true})
		conformance.Run(t, conformance.Case{Kind: letterKind(),
			With: map[string]any{"serial": conformance.DiskA, "letter": "E"},
			Open: open(b, conformance.Node2), OnlyLooks: true, Changed: map[string][]any{"letter": {"C"}}})
	})
}

func TestTierConformanceVolumeInLab(t *testing.T) {
	conformance.InLab(t, nil, func(t *testing.T, b *conformance.Bench) {
		s := b.Session(t, conformance.Node1)
		apply(t, &Disk{Serial: conformance.DiskB, Style: "mbr", Initialize: true}, s)
		for _, with := range []map[string]any{
			{"serial": conformance.DiskB, "letter": "q", "label": "Quorum"},
			{"serial": conformance.DiskB, "letter": "E:", "size": 300},
		} {
			conformance.Run(t, conformance.Case{Kind: volumeKind(), With: with, Changed: map[string][]any{"size": {400}},
				Open: func(*testing.T) node.Session { return s }})
		}
	})
}
