package playbooks_test

import (
	"context"
	"strings"

	"deploy/internal/node"
	"deploy/steps"
)

// note is a step for tests: its data has one field of each form.
type note struct {
	Text  string            `json:"text" doc:"what to say" required:"true"`
	Count int               `json:"count" doc:"how often"`
	Loud  bool              `json:"loud"`
	Mood  string            `json:"mood" enum:"glad|sad"`
	Tags  []string          `json:"tags"`
	Extra map[string]string `json:"extra"`
	Parts []part            `json:"parts"`
	As    string            `json:"as" doc:"credential" type:"credential"`
	File  string            `json:"file" type:"path"`
}

type part struct {
	Name string `json:"name" required:"true"`
	Size int    `json:"size"`
}

func (*note) Kind() string { return "test.note" }

func (*note) Check(context.Context, node.Reader) (steps.Diff, error) { return steps.NoChange(), nil }

func (*note) Apply(context.Context, node.Node, steps.Diff) (steps.Outcome, error) {
	return steps.Outcome{}, nil
}

func (n *note) Validate() error {
	if n.Count > 100 {
		return steps.FieldErr("count", "%d is too often", n.Count)
	}
	return nil
}

func testRegistry() *steps.Registry {
	return steps.NewRegistry([]steps.Kind{{Name: "test.note", Summary: "says something",
		New: func() steps.Step { return &note{} }}, {Name: "test.unix", Summary: "says something on Linux", OS: "linux",
		New: func() steps.Step { return &note{} }}})
}

func emptyRegistry() *steps.Registry { return steps.NewRegistry() }

// yamlQuote writes a text in single quotes.
func yamlQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
