package engine

import (
	"context"
	"encoding/json"

	"deploy/internal/node"
	"deploy/internal/perform"
	"deploy/steps"
)

// Executor runs steps on one node: from here over a session (Direct), or by an agent beside the node.
type Executor interface {
	Facts() node.Facts
	// Mode is "direct" or "agent", with the reason in the second value; both are shown in the plan.
	Mode() (mode, why string)
	// Check checks many steps in one round trip where it can. The answers are in the order of list.
	Check(ctx context.Context, list []steps.Step) []Checked
	Apply(ctx context.Context, s steps.Step, d steps.Diff) (steps.Outcome, error)
	Undo(ctx context.Context, s steps.Step, before json.RawMessage) error
	// Restart asks the machine to restart. The connection is gone after it: dial again.
	Restart(ctx context.Context, reason string) error
	Close() error
}

// Checked is the answer to one Check.
type Checked = perform.Checked
