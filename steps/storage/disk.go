package storage

import (
	"context"
	"encoding/json"
	"errors"

	"deploy/internal/node"
	"deploy/steps"
)

// Disk makes a shared disk usable on one node.
type Disk struct {
	Serial     string `json:"serial" required:"true" doc:"serial number of the disk, as the storage reports it on every node"`
	Style      string `json:"style" enum:"mbr|gpt" doc:"partition style; a disk that has another one already is an error"`
	Initialize bool   `json:"initialize" doc:"true: bring it online, make it writable, initialise it; false: it must only be visible, as on every node but the first"`
}

// Kind names the step.
func (s *Disk) Kind() string { return "storage.disk" }

// Check looks at the machine.
func (s *Disk) Check(ctx context.Context, r node.Reader) (steps.Diff, error) {
	return steps.Diff{}, errors.New("not written yet")
}

// Apply does what d says.
func (s *Disk) Apply(ctx context.Context, n node.Node, d steps.Diff) (steps.Outcome, error) {
	return steps.Outcome{}, errors.New("not written yet")
}

// Undo restores before.
func (s *Disk) Undo(ctx context.Context, n node.Node, before json.RawMessage) error {
	return errors.New("not written yet")
}

func diskKind() steps.Kind {
	return steps.Kind{
		Name: "storage.disk",
		New:  func() steps.Step { return &Disk{Style: "mbr", Initialize: true} },
	}
}
