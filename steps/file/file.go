package file

import (
	"context"
	"encoding/json"
	"errors"

	"deploy/internal/node"
	"deploy/steps"
)

// File is a file with given content, or no file.
type File struct {
	Path     string  `json:"path" required:"true" doc:"full path on the node"`
	Content  *string `json:"content" doc:"the text that it shall hold; never a secret, since plan and journal show it"`
	Base64   string  `json:"base64,omitempty" doc:"its bytes in base64, instead of content"`
	Encoding string  `json:"encoding,omitempty" enum:"utf-8|utf-8-bom|utf-16le" doc:"how content is written; utf-16le gets a byte order mark"`
	CRLF     bool    `json:"crlf,omitempty" doc:"write line ends of content as CR LF"`
	Absent   bool    `json:"absent,omitempty" doc:"the file shall not be there"`
}

// Kind names the step.
func (s *File) Kind() string { return "file" }

// Check looks at the machine.
func (s *File) Check(ctx context.Context, r node.Reader) (steps.Diff, error) {
	return steps.Diff{}, errors.New("not written yet")
}

// Apply does what d says.
func (s *File) Apply(ctx context.Context, n node.Node, d steps.Diff) (steps.Outcome, error) {
	return steps.Outcome{}, errors.New("not written yet")
}

// Undo restores before.
func (s *File) Undo(ctx context.Context, n node.Node, before json.RawMessage) error {
	return errors.New("not written yet")
}

func fileKind() steps.Kind {
	return steps.Kind{
		Name: "file",
		New:  func() steps.Step { return &File{} },
	}
}
