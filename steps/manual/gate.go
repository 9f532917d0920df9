package manual

import (
	"context"
	"encoding/json"
	"errors"

	"deploy/internal/node"
	"deploy/steps"
)

// Gate is an act of a person, asked for, signed off, and then verified by looking.
type Gate struct {
	Title    string `json:"title" required:"true" doc:"what is asked for, in a few words"`
	Text     string `json:"text" required:"true" doc:"what to do, step by step"`
	Operator string `json:"operator,omitempty" doc:"the name under which the lab plays this act"`
	Argument string `json:"argument,omitempty" doc:"what the act is about, for the lab; the default is report"`
	Report   string `json:"report,omitempty" doc:"file that must be there when the act is done; the last part of the path may hold *"`
	Newer    string `json:"newer_than,omitempty" doc:"a file; the report must have been written after it"`
	MinSize  int    `json:"min_size" doc:"bytes that the report must have at least; the default is 1"`
	Value    *Value `json:"registry,omitempty" doc:"registry value that must be there when the act is done"`
}

// Value is a registry value that is looked for.
type Value struct {
	Key    string `json:"key" required:"true" doc:"key, begins with HKLM\\"`
	Name   string `json:"name" doc:"value name; no name and no data means the key itself"`
	Data   string `json:"data" doc:"what the value must be, as text; no key means that it must exist"`
	Absent bool   `json:"absent,omitempty" doc:"it must not be there"`
}

// Kind names the step.
func (s *Gate) Kind() string { return "gate" }

// Check looks at the machine.
func (s *Gate) Check(ctx context.Context, r node.Reader) (steps.Diff, error) {
	return steps.Diff{}, errors.New("not written yet")
}

// Apply does what d says.
func (s *Gate) Apply(ctx context.Context, n node.Node, d steps.Diff) (steps.Outcome, error) {
	return steps.Outcome{}, errors.New("not written yet")
}

// Undo restores before.
func (s *Gate) Undo(ctx context.Context, n node.Node, before json.RawMessage) error {
	return errors.New("not written yet")
}

func gateKind() steps.Kind {
	return steps.Kind{
		Name: "gate",
		New:  func() steps.Step { return &Gate{} },
	}
}
