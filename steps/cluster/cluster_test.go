package cluster

import (
	"errors"
	"strings"
	"testing"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/internal/testkit/nodetest"
	"deploy/steps"
	"deploy/steps/cluster/clus"
)

func TestEveryKindIsDocumented(t *testing.T) {
	for _, k := range Kinds() {
		if k.Summary == "" || k.Doc == "" || k.Undo == "" || k.Proof == "" || len(k.Sources) == 0 || len(k.Calls) == 0 ||
			k.Example == "" {
			t.Errorf("%s lacks documentation", k.Name)
		}
	}
}

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		kind steps.Kind
		with map[string]any
		bad  string // what the error speaks of; "" is accepted
	}{
		{createKind(), map[string]any{"name": "clu", "node": "n", "addresses": []any{"192.0.2.1"}, "as": "a"}, ""},
		{createKind(), map[string]any{"name": "a-name-of-16-char", "node": "n", "addresses": []any{"192.0.2.1"}, "as": "a"},
			"name"},
		{createKind(), map[string]any{"name": "clu", "node": "n", "addresses": []any{"192.0.2"}, "as": "a"}, "addresses"},
		{createKind(), map[string]any{"name": "clu", "node": "n", "addresses": []any{"192.0.2.1"}, "mask": "255.0.0.0",
			"as": "a"}, "mask"},
		{networkKind(), map[string]any{"subnet": "10.0.0.0/24", "role": "private"}, ""},
		{networkKind(), map[string]any{"subnet": "10.0.0.0/24"}, "name"},
		{networkKind(), map[string]any{"subnet": "10.0.0.0"}, "subnet"},
		{propertyKind(), map[string]any{"properties": map[string]any{"SameSubnetThreshold": 10}}, ""},
		{propertyKind(), map[string]any{"properties": map[string]any{"SameSubnetThreshold": 2}}, "SameSubnetThreshold"},
		{propertyKind(), map[string]any{"properties": map[string]any{"SameSubnetTreshold": 10}}, "SameSubnetTreshold"},
		{quorumKind(), map[string]any{"model": "node-majority"}, ""},
		{quorumKind(), map[string]any{"model": "node-majority", "disk": "D"}, "disk"},
		{quorumKind(), map[string]any{"model": "node-and-disk-majority"}, "disk"},
		{quorumKind(), map[string]any{"model": "node-and-share-majority", "share": `C:\x`}, "share"},
		{groupKind(), map[string]any{"name": "g", "properties": map[string]any{"FailoverPeriod": 2000}}, "FailoverPeriod"},
		{resourceKind(), map[string]any{"name": "r", "private": map[string]any{"Anything": "x", "On": true}}, ""},
		{resourceKind(), map[string]any{"type": "Network Name"}, "name"},
		{resourceKind(), map[string]any{"name": "r", "common": map[string]any{"PendingTimout": 1}}, "PendingTimout"},
		{resourceKind(), map[string]any{"name": "r", "private": map[string]any{"X": []any{1}}}, "X"},
		{dependencyKind(), map[string]any{"resource": "a", "group": "g", "type": "t", "on": []any{"b"}}, "resource"},
		{dependencyKind(), map[string]any{"group": "g", "on": []any{"b"}}, "resource"},
		{ownerKind(), map[string]any{"resource": "r", "nodes": []any{}}, "nodes"},
		{moveKind(), map[string]any{"group": "g", "disk": "d", "node": "n"}, "group"},
		{validationKind(), map[string]any{"report": `C:\r`, "name": `a\b`, "as": "a"}, "name"},
	} {
		_, err := c.kind.Decode(c.with)
		if c.bad == "" && err != nil || c.bad != "" && (err == nil || !strings.Contains(err.Error(), c.bad)) {
			t.Errorf("%s %v: %v", c.kind.Name, c.with, err)
		}
	}
}

// member makes a node that is in a cluster of that name.
func member(rel node.Release, name string) *nodetest.Machine {
	m := nodetest.New(rel)
	m.SetClass(`root\cimv2:Win32_Service`, node.Row{"Name": "ClusSvc", "State": "Running", "StartMode": "Auto"})
	m.SetClass(clus.Namespace+":MSCluster_Cluster", node.Row{"Name": name, "SameSubnetThreshold": int64(5)})
	m.SetClass(clus.Namespace+":MSCluster_Node", node.Row{"Name": "NODE1", "State": int64(0)},
		node.Row{"Name": "NODE2", "State": int64(1)})
	return m
}

// What cannot be told, or is somebody else's, is an error and never an answer.
func TestRefusals(t *testing.T) {
	create := &Create{Name: "clu", Node: "NODE1", Addresses: []string{"192.0.2.1"}, As: "a"}
	for name, c := range map[string]struct {
		step steps.Step
		m    *nodetest.Machine
	}{
		"another cluster": {create, member(node.WS2008, "other")},
		"another node": {&Create{Name: "clu", Node: "NODE2", Addresses: []string{"192.0.2.1"}, As: "a"},
			nodetest.New(node.WS2008)},
		"2003 forms no cluster": {create, nodetest.New(node.WS2003)},
		"two addresses on 2008": {&Create{Name: "clu", Node: "NODE1", Addresses: []string{"192.0.2.1", "192.0.3.1"},
			As: "a"}, nodetest.New(node.WS2008)},
		"a member that is down":      {&Node{Cluster: "clu", Name: "node2", As: "a"}, member(node.WS2008, "clu")},
		"a node for another cluster": {&Node{Cluster: "clu", Name: "node3", As: "a"}, member(node.WS2008, "other")},
		"more than 2008 takes": {&Property{Properties: map[string]int64{"SameSubnetThreshold": 11}},
			member(node.WS2008, "clu")},
		"later than 2008": {&Property{Properties: map[string]int64{"ClusterLogSize": 100}},
			member(node.WS2008, "clu")},
		"validation on 2008": {&Validation{Report: `C:\`, Name: "r", As: "a"}, member(node.WS2008, "clu")},
	} {
		d, err := c.step.Check(t.Context(), c.m)
		var until *steps.UntilError
		if err == nil || errors.As(err, &until) {
			t.Errorf("%s: %+v, %v", name, d, err)
		}
	}
}

// A code that tells why gets a word on what to do.
func TestHints(t *testing.T) {
	for _, code := range []int64{5, 52, 5057, 5894, 5900} {
		if hint.Of(createHint(&node.CodeError{Code: code})) == "" {
			t.Errorf("%d has no hint", code)
		}
		if hint.Of(createHint(&node.CodeError{Code: 0x80070000 | code})) == "" {
			t.Errorf("the HRESULT of %d has no hint", code)
		}
	}
}

func TestVerdict(t *testing.T) {
	for text, want := range map[string]int{
		`<Report><Message Level="Pass">x</Message><Message Level="Warn"/></Report>`:                                         0,
		`<?xml version="1.0" encoding="utf-16"?><Report><A Level="Fail"/><B><Message Level="fail">n</Message></B></Report>`: 2,
	} {
		if got, err := failures(strings.NewReader(text)); err != nil || got != want {
			t.Errorf("%s: %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "no xml", "<Report>", `<Report><Message Level="Pass"></Report>`} {
		if got, err := failures(strings.NewReader(text)); err == nil {
			t.Errorf("%q was taken for a report with %d failures", text, got)
		}
	}
}

func FuzzVerdict(f *testing.F) {
	f.Add(`<Report><Message Level="Fail"/></Report>`)
	f.Fuzz(func(_ *testing.T, s string) { _, _ = failures(strings.NewReader(s)) })
}
