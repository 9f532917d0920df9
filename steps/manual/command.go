package manual

import (
	"context"
	"encoding/json"
	"errors"

	"deploy/internal/node"
	"deploy/steps"
)

// Command is a user's own step: three programs that check, do and take back.
type Command struct {
	CheckArgv   []string `json:"check" required:"true" doc:"program and arguments that look and change nothing: exit code 0 means nothing to do, any of todo means to be done, every other one is an error"`
	ApplyArgv   []string `json:"apply" required:"true" doc:"program and arguments that do it"`
	UndoArgv    []string `json:"undo" doc:"program and arguments that take it back; without it the step is a point of no return"`
	Todo        []int    `json:"todo" doc:"exit codes of check that mean to be done; the default is 1"`
	Codes       []int    `json:"codes" doc:"exit codes of apply and undo that mean done; the default is 0"`
	RebootCodes []int    `json:"reboot_codes" doc:"exit codes of apply that mean done with a restart due"`
	Directory   string   `json:"directory,omitempty" doc:"working directory of apply and undo"`
	As          string   `json:"as,omitempty" doc:"name of the site's credential for apply and undo, which are then jobs"`
}

// Kind names the step.
func (s *Command) Kind() string { return "command" }

// Check looks at the machine.
func (s *Command) Check(ctx context.Context, r node.Reader) (steps.Diff, error) {
	return steps.Diff{}, errors.New("not written yet")
}

// Apply does what d says.
func (s *Command) Apply(ctx context.Context, n node.Node, d steps.Diff) (steps.Outcome, error) {
	return steps.Outcome{}, errors.New("not written yet")
}

// Undo restores before.
func (s *Command) Undo(ctx context.Context, n node.Node, before json.RawMessage) error {
	return errors.New("not written yet")
}

func commandKind() steps.Kind {
	return steps.Kind{
		Name: "command",
		New:  func() steps.Step { return &Command{} },
	}
}
