package file

import (
	"context"
	"encoding/json"
	"errors"

	"deploy/internal/node"
	"deploy/steps"
)

// Directory is a directory with access rights.
type Directory struct {
	Path string `json:"path" required:"true" doc:"full path on the node; missing parents are made"`
	ACL  []ACE  `json:"acl" doc:"rights that must be granted; other entries stay"`
}

// ACE grants rights to one account, known by its SID since account names are translated.
type ACE struct {
	SID     string `json:"sid" required:"true" doc:"S-1-5-20, or an SDDL short form like BA, SY, NS"`
	Rights  string `json:"rights" required:"true" enum:"full|modify|read|write" doc:"full control, change, read and execute, or write"`
	Inherit *bool  `json:"inherit" doc:"also on the files and directories in it; the default is true"`
}

// Kind names the step.
func (s *Directory) Kind() string { return "directory" }

// Check looks at the machine.
func (s *Directory) Check(ctx context.Context, r node.Reader) (steps.Diff, error) {
	return steps.Diff{}, errors.New("not written yet")
}

// Apply does what d says.
func (s *Directory) Apply(ctx context.Context, n node.Node, d steps.Diff) (steps.Outcome, error) {
	return steps.Outcome{}, errors.New("not written yet")
}

// Undo restores before.
func (s *Directory) Undo(ctx context.Context, n node.Node, before json.RawMessage) error {
	return errors.New("not written yet")
}

func directoryKind() steps.Kind {
	return steps.Kind{
		Name: "directory",
		New:  func() steps.Step { return &Directory{} },
	}
}
