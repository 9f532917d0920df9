package exchange

import (
	"fmt"
	"slices"
	"testing"

	labexchange "deploy/internal/lab/exchange"
	"deploy/internal/lab/failover"
	"deploy/internal/node"
	"deploy/internal/testkit/conformance"
	"deploy/steps"
	"deploy/steps/cluster"
	"deploy/steps/feature"
	"deploy/steps/network"
	"deploy/steps/storage"
)

// stack is a lab with a formed cluster of two nodes, ready for Exchange.
type stack struct {
	t                *testing.T
	kinds            *steps.Registry
	first, other, dc node.Session
}

func newStack(t *testing.T, b *conformance.Bench) *stack {
	t.Helper()
	f := failover.New(labexchange.Types()...)
	b.Module.Add(f.Module()).Add(labexchange.Module(f))
	for _, name := range []string{conformance.Node1, conformance.Node2, conformance.DC} {
		m := b.World.Machine(name)
		if m.Extra == nil {
			m.Extra = map[string]map[string]string{}
		}
		m.Extra["media"] = map[string]string{`c:\exchange`: "exchange-2007-sp1"}
	}
	kinds := slices.Concat(cluster.Kinds(), feature.Kinds(), network.Kinds(), storage.Kinds(), Kinds())
	s := &stack{t: t, kinds: steps.NewRegistry(kinds), dc: b.Session(t, conformance.DC, kinds...)}
	s.first, s.other = s.prepare(b, 0, kinds), s.prepare(b, 1, kinds)
	for serial, letter := range map[string]string{conformance.DiskA: "E", conformance.DiskB: "F"} {
		s.have(s.first, "storage.disk", map[string]any{"serial": serial})
		s.have(s.first, "storage.volume", map[string]any{"serial": serial, "letter": letter})
	}
	s.have(s.dc, "feature", map[string]any{"names": []any{"PowerShell"}})
	s.have(s.first, "cluster.create",
		map[string]any{"name": "clu1", "node": conformance.Node1, "addresses": []any{"192.0.2.20"},
			"as": conformance.Credential})
	s.have(s.first, "cluster.node", map[string]any{"cluster": "clu1", "name": conformance.Node2,
		"as": conformance.Credential})
	s.have(s.first, "cluster.disk", map[string]any{"serial": conformance.DiskA, "name": "data1"})
	s.have(s.first, "cluster.disk", map[string]any{"serial": conformance.DiskB, "name": "data2"})
	s.have(s.first, "cluster.network", map[string]any{"subnet": "192.0.2.0/24", "name": "Public", "role": "mixed"})
	return s
}

func (s *stack) prepare(b *conformance.Bench, i int, kinds []steps.Kind) node.Session {
	s.t.Helper()
	var n node.Session = b.Session(s.t, []string{conformance.Node1, conformance.Node2}[i], kinds...)
	names := []any{"PowerShell", "Failover-Clustering", "Web-Server", "Web-ISAPI-Ext", "Web-Metabase",
		"Web-Lgcy-Mgmt-Console", "Web-Basic-Auth", "Web-Windows-Auth"}
	if s.have(n, "feature", map[string]any{"names": names}) {
		n = conformance.Restart(s.t, n)
	}
	mac := []string{conformance.PrivateMAC, "00:15:5D:00:02:02"}[i]
	s.have(n, "network.address", map[string]any{"mac": mac, "addresses": []any{fmt.Sprintf("10.10.10.%d/24", 10+i)},
		"no_gateway": true})
	return n
}

// have brings a wish about and leaves it so; it says whether a restart is due.
func (s *stack) have(n node.Session, kind string, with map[string]any) bool {
	s.t.Helper()
	k, ok := s.kinds.Get(kind)
	if !ok {
		s.t.Fatalf("no kind %s", kind)
	}
	step, err := k.Decode(with)
	if err != nil {
		s.t.Fatalf("%s: %v", kind, err)
	}
	d, err := step.Check(s.t.Context(), n)
	if err != nil {
		s.t.Fatalf("%s: check: %v", kind, err)
	}
	if d.Action == steps.NoOp {
		return false
	}
	out, err := step.Apply(s.t.Context(), n, d)
	if err != nil {
		s.t.Fatalf("%s: apply: %v", kind, err)
	}
	return out.Reboot
}

// play runs the suite for a kind and then brings the wish about for good.
func (s *stack) play(n node.Session, kind string, with map[string]any) {
	s.t.Helper()
	k, _ := s.kinds.Get(kind)
	looks := kind == "exchange.storagegroup" || kind == "exchange.status"
	ok := s.t.Run(kind, func(t *testing.T) {
		var changed map[string][]any
		switch with["what"] {
		case "ad":
			changed = map[string][]any{"what": {}} // the schema is extended, and the domain prepared along with it
		case "schema":
			changed = map[string][]any{"organization": {}} // there is none yet that it could be held against
		}
		conformance.Run(t, conformance.Case{Kind: k, With: with, OnlyLooks: looks, Programs: []string{setupPath},
			Changed: changed,
			Open:    func(*testing.T) node.Session { return n }})
	})
	if !ok {
		s.t.FailNow()
	}
	s.have(n, kind, with)
}

const setupPath = `C:\Exchange\setup.com`

func TestTierConformanceInLab(t *testing.T) {
	conformance.InLab(t, releases(), func(t *testing.T, b *conformance.Bench) {
		s := newStack(t, b)
		as := conformance.Credential
		for _, what := range []string{"schema", "ad"} {
			s.play(s.dc, "exchange.prepare", map[string]any{"what": what, "setup": setupPath, "organization": "Contoso",
				"as": as})
		}
		s.have(s.dc, "exchange.prepare", map[string]any{"what": "domain", "setup": setupPath, "as": as})
		s.play(s.first, "exchange.install", map[string]any{"roles": []any{"Mailbox"}, "setup": setupPath, "as": as})
		s.play(s.first, "exchange.cms", map[string]any{"name": "mbx01", "address": "192.0.2.21", "data_path": `E:\mbx01`,
			"disks": []any{conformance.DiskA}, "setup": setupPath, "as": as})
		s.play(s.first, "exchange.storagegroup", map[string]any{"server": "mbx01", "letters": []any{"E"}, "as": as})
		s.play(s.other, "exchange.install", map[string]any{"roles": []any{"Mailbox"}, "setup": setupPath, "as": as})
		s.have(s.first, "cluster.dependency", map[string]any{"group": "mbx01", "type": "Exchange Database",
			"on": []any{"data1"}, "may_restart": true})
		s.play(s.first, "exchange.storagegrouppath", map[string]any{"server": "mbx01", "log_path": `E:\logs`, "as": as})
		s.play(s.first, "exchange.databasepath", map[string]any{"server": "mbx01", "path": `E:\db\mbx01.edb`, "as": as})
		nodes := []any{conformance.Node1, conformance.Node2}
		s.play(s.first, "exchange.status", map[string]any{"name": "mbx01", "machines": nodes, "as": as})
		s.play(s.first, "exchange.move", map[string]any{"name": "mbx01", "nodes": nodes, "owner": conformance.Node1,
			"as": as})
		s.play(s.other, "exchange.cms", map[string]any{"name": "mbx02", "address": "192.0.2.22", "data_path": `F:\mbx02`,
			"disks": []any{conformance.DiskB}, "setup": setupPath, "as": as})
		s.play(s.dc, "exchange.mta", map[string]any{"server": "mbx02", "like": "mbx01"})
	})
}
