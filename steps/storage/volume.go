package storage

import (
	"context"
	"encoding/json"
	"errors"

	"deploy/internal/node"
	"deploy/steps"
)

// Volume makes the one NTFS volume of an empty shared disk.
type Volume struct {
	Serial string `json:"serial" required:"true" doc:"serial number of the disk"`
	Letter string `json:"letter" required:"true" doc:"drive letter, like E or E:"`
	Label  string `json:"label" doc:"volume label, 32 characters at most; no key means any"`
	Size   int    `json:"size" doc:"size of the partition in MB; 0 takes the whole disk and accepts any size"`
}

// Kind names the step.
func (s *Volume) Kind() string { return "storage.volume" }

// Check looks at the machine.
func (s *Volume) Check(ctx context.Context, r node.Reader) (steps.Diff, error) {
	return steps.Diff{}, errors.New("not written yet")
}

// Apply does what d says.
func (s *Volume) Apply(ctx context.Context, n node.Node, d steps.Diff) (steps.Outcome, error) {
	return steps.Outcome{}, errors.New("not written yet")
}

// Undo restores before.
func (s *Volume) Undo(ctx context.Context, n node.Node, before json.RawMessage) error {
	return errors.New("not written yet")
}

func volumeKind() steps.Kind {
	return steps.Kind{
		Name: "storage.volume",
		New:  func() steps.Step { return &Volume{} },
	}
}
