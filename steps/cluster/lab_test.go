package cluster

import (
	"fmt"
	"testing"

	"deploy/internal/lab/failover"
	"deploy/internal/node"
	"deploy/internal/testkit/conformance"
	"deploy/steps"
	"deploy/steps/cluster/clus"
	"deploy/steps/feature"
	"deploy/steps/inspect"
	"deploy/steps/network"
	"deploy/steps/storage"
)

// bench is a lab whose two nodes have the cluster feature, addresses, and two formatted shared
// disks; it returns a session to the first.
func bench(t *testing.T, b *conformance.Bench) node.Session {
	t.Helper()
	b.Module.Add(failover.Module())
	base := steps.NewRegistry(feature.Kinds(), network.Kinds(), storage.Kinds())
	kind := func(name string) steps.Kind { k, _ := base.Get(name); return k }
	var first node.Session
	for i, name := range []string{conformance.Node1, conformance.Node2} {
		var s node.Session = b.Session(t, name, append(Kinds(), feature.Kinds()...)...)
		names := []any{"Failover-Clustering"}
		if s.Facts().Release.AtLeast(node.WS2012) {
			names = append(names, "RSAT-Clustering-PowerShell")
		}
		if s.Facts().Release == node.WS2003 {
			names = nil
		}
		if names != nil && have(t, s, kind("feature"), map[string]any{"names": names}) {
			s = conformance.Restart(t, s)
		}
		mac := []string{conformance.PrivateMAC, "00:15:5D:00:02:02"}[i]
		have(t, s, kind("network.address"),
			map[string]any{"mac": mac, "addresses": []any{fmt.Sprintf("10.10.10.%d/24", 10+i)}, "no_gateway": true})
		if i > 0 {
			continue
		}
		first = s
		if s.Facts().Release == node.WS2003 {
			continue
		}
		for serial, letter := range map[string]string{conformance.DiskA: "E", conformance.DiskB: "Q"} {
			have(t, s, kind("storage.disk"), map[string]any{"serial": serial})
			have(t, s, kind("storage.volume"), map[string]any{"serial": serial, "letter": letter, "label": letter})
		}
	}
	return first
}

// have brings a wish about and leaves it so.
func have(t *testing.T, s node.Session, k steps.Kind, with map[string]any) (reboot bool) {
	t.Helper()
	step, err := k.Decode(with)
	if err != nil {
		t.Fatalf("%s: %v", k.Name, err)
	}
	d, err := step.Check(t.Context(), s)
	if err != nil {
		t.Fatalf("%s: check: %v", k.Name, err)
	}
	if d.Action == steps.NoOp {
		return false
	}
	out, err := step.Apply(t.Context(), s, d)
	if err != nil {
		t.Fatalf("%s: apply: %v", k.Name, err)
	}
	if out.Reboot {
		return true
	}
	if d, err = step.Check(t.Context(), s); err != nil || d.Action != steps.NoOp {
		t.Fatalf("%s: after apply: %+v, %v", k.Name, d, err)
	}
	return false
}

func form() map[string]any {
	return map[string]any{"name": "clu1", "node": conformance.Node1, "addresses": []any{"192.0.2.20"},
		"as": conformance.Credential}
}

func join() map[string]any {
	return map[string]any{"cluster": "clu1", "name": conformance.Node2, "as": conformance.Credential}
}

// The whole story of a cluster, each kind checked, applied, checked, undone and applied again, on
// every release that the kinds claim.
func TestTierConformanceInLab(t *testing.T) {
	conformance.InLab(t, inspect.From(node.WS2008), func(t *testing.T, b *conformance.Bench) {
		s := bench(t, b)
		rel := s.Facts().Release
		for _, c := range []struct {
			kind steps.Kind
			with map[string]any
			skip bool
		}{
			{createKind(), form(), false},
			{nodeKind(), join(), false},
			{diskKind(), map[string]any{"serial": conformance.DiskA, "name": "data"}, false},
			{diskKind(), map[string]any{"serial": conformance.DiskB, "name": "witness"}, false},
			{diskKind(), map[string]any{"serial": conformance.DiskB, "name": "quorum"}, false},
			{networkKind(), map[string]any{"subnet": "10.10.10.0/24", "name": "Private", "role": "private"}, false},
			{networkKind(), map[string]any{"subnet": "192.0.2.0/24", "name": "Public", "role": "mixed"}, false},
			{propertyKind(), map[string]any{"properties": map[string]any{"SameSubnetThreshold": 9, "CrossSubnetThreshold": 8}},
				false},
			{quorumKind(), map[string]any{"model": "node-and-disk-majority", "disk": conformance.DiskB}, false},
			{quorumKind(), map[string]any{"model": "node-majority"}, false},
			{quorumKind(), map[string]any{"model": "node-and-share-majority", "share": `\\dc1\witness`}, false},
			{quorumKind(), map[string]any{"model": "disk-only", "disk": conformance.DiskB}, false},
			{groupKind(), map[string]any{"name": "files", "properties": map[string]any{"FailoverThreshold": 3}}, false},
			{groupKind(), map[string]any{"name": "files",
				"properties": map[string]any{"FailoverThreshold": 2, "AutoFailbackType": 1}}, false},
			{resourceKind(), map[string]any{"name": "files-ip", "type": "IP Address", "group": "files",
				"private": map[string]any{"Address": "192.0.2.30", "SubnetMask": "255.255.255.0", "Network": "Public"}}, false},
			{resourceKind(), map[string]any{"name": "files-name", "type": "Network Name", "group": "files",
				"private": map[string]any{"Name": "files", "DnsName": "files"}}, false},
			{dependencyKind(), map[string]any{"resource": "files-name", "on": []any{"files-ip"}}, false},
			{resourceKind(), map[string]any{"name": "files-name", "state": "online"}, true},
			{resourceKind(), map[string]any{"type": "Network Name", "group": "files",
				"private": map[string]any{"HostRecordTTL": 600}}, false},
			{resourceKind(), map[string]any{"name": "files-name", "common": map[string]any{"PendingTimeout": 300000}}, false},
			{diskKind(), map[string]any{"serial": conformance.DiskA, "group": "files"}, false},
			{dependencyKind(), map[string]any{"group": "files", "type": "Network", "on": []any{"data"}, "may_restart": true},
				false},
			{ownerKind(), map[string]any{"group": "files", "nodes": []any{conformance.Node2, conformance.Node1}}, false},
			{ownerKind(), map[string]any{"resource": "files-name", "nodes": []any{conformance.Node1}}, false},
			{ownerKind(), map[string]any{"resource": "files-name", "nodes": []any{conformance.Node1, conformance.Node2}}, false},
			{moveKind(), map[string]any{"group": "files", "node": conformance.Node2}, false},
			{moveKind(), map[string]any{"disk": conformance.DiskA, "node": conformance.Node1}, false},
			{validationKind(), map[string]any{"report": `C:\Windows\Temp`, "name": "report", "as": conformance.Credential},
				rel == node.WS2008},
		} {
			if c.skip {
				continue
			}
			ok := t.Run(c.kind.Name, func(t *testing.T) {
				conformance.Run(t, conformance.Case{Kind: c.kind, With: c.with, Open: func(*testing.T) node.Session { return s }})
				have(t, s, c.kind, c.with)
			})
			if !ok {
				t.FailNow()
			}
		}
	})
}

// On Windows Server 2003 a cluster is formed by hand; the kinds that need no password of a service
// account shape it, and read what cluster.exe prints.
func TestTierConformanceInLab2003(t *testing.T) {
	b := conformance.NewBench(t, node.WS2003, "en")
	s := bench(t, b)
	cred := node.Cmd{As: conformance.Credential}
	for id, argv := range map[string][]string{
		"1": {"cluster.exe", "/cluster:clu1", "/create",
			"/ipaddress:192.0.2.20,255.255.255.0," + connection(t, s, conformance.PublicMAC), "/node:" + conformance.Node1,
			"/user:CONTOSO\\deploy", "/password:correct horse", "/unattended", "/minimum"},
	} {
		cred.Argv = argv
		if st, err := clus.RunJob(t.Context(), s, id, cred); err != nil || st.Code != 0 {
			t.Fatalf("%v: %+v, %v", argv, st, err)
		}
	}
	for _, c := range []struct {
		kind steps.Kind
		with map[string]any
	}{
		{networkKind(), map[string]any{"subnet": "192.0.2.0/24", "name": "The public network of the cluster",
			"role": "mixed"}},
		{networkKind(), map[string]any{"subnet": "10.10.10.0/24", "role": "private"}},
		{groupKind(), map[string]any{"name": "A group with a very long name",
			"properties": map[string]any{"FailoverThreshold": 3}}},
		{resourceKind(), map[string]any{"name": "files ip", "type": "IP Address", "group": "A group with a very long name",
			"private": map[string]any{"Address": "192.0.2.30", "SubnetMask": "255.255.255.0"}}},
		{resourceKind(), map[string]any{"name": "files name", "type": "Network Name",
			"group": "A group with a very long name", "private": map[string]any{"Name": "FILES"}}},
		{dependencyKind(), map[string]any{"resource": "files name", "on": []any{"files ip"}}},
		{ownerKind(), map[string]any{"group": "A group with a very long name", "nodes": []any{conformance.Node1}}},
	} {
		ok := t.Run(c.kind.Name, func(t *testing.T) {
			conformance.Run(t, conformance.Case{Kind: c.kind, With: c.with, Open: func(*testing.T) node.Session { return s }})
			have(t, s, c.kind, c.with)
		})
		if !ok {
			t.FailNow()
		}
	}
}

func connection(t *testing.T, s node.Session, mac string) string {
	t.Helper()
	a, err := inspect.AdapterByMAC(t.Context(), s, mac)
	if err != nil {
		t.Fatal(err)
	}
	return a.Name
}
