// Package cluster holds the kinds that form and shape a Windows failover cluster.
//
// They run on one member, usually the first node, and see the whole cluster from there. Objects
// that Windows names in its own language (networks, groups, disks) are found by address, by serial
// number or by what they hold, never by a name that was not declared.
package cluster

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"deploy/internal/node"
	"deploy/steps"
	"deploy/steps/inspect"
)

// Kinds lists the kinds of this family.
func Kinds() []steps.Kind {
	return []steps.Kind{
		createKind(),
		nodeKind(),
		networkKind(),
		propertyKind(),
		diskKind(),
		quorumKind(),
		validationKind(),
		groupKind(),
		resourceKind(),
		dependencyKind(),
		ownerKind(),
		moveKind(),
	}
}

const proof = "lab-proven; names checked against recorded tables where there are any (2012 and later, WMI from 2008)"

// createTag is the tag of a cluster that exists.
const createTag = "cluster"

func from2008() []node.Release { return inspect.From(node.WS2008) }

func calls(lists ...[]node.Call) []node.Call { return slices.Concat(lists...) }

func decode(before json.RawMessage, into any) error {
	if err := json.Unmarshal(before, into); err != nil {
		return fmt.Errorf("cannot read the recorded state: %w", err)
	}
	return nil
}

// jobID makes the stable name of a job from words that may hold anything.
func jobID(words ...string) string {
	return strings.ToLower(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' {
			return r
		}
		return '-'
	}, strings.Join(words, "-")))
}

// has says whether a list holds a text, compared without case.
func has(list []string, s string) bool {
	return slices.ContainsFunc(list, func(x string) bool { return strings.EqualFold(x, s) })
}

func anys(list []string) []any {
	out := make([]any, len(list))
	for i, s := range list {
		out[i] = s
	}
	return out
}
