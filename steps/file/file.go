package file

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf16"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/steps"
)

// File is a file with given content, or no file.
type File struct {
	Path     string  `json:"path" required:"true" doc:"full path on the node; its directory must be there"`
	Content  *string `json:"content" doc:"the text that it shall hold; never a secret, since plan and journal show it"`
	Base64   string  `json:"base64,omitempty" doc:"its bytes in base64, instead of content"`
	Encoding string  `json:"encoding,omitempty" enum:"utf-8|utf-8-bom|utf-16le" doc:"how content is written; utf-16le gets a byte order mark"`
	CRLF     bool    `json:"crlf,omitempty" doc:"write line ends of content as CR LF"`
	Absent   bool    `json:"absent,omitempty" doc:"the file shall not be there"`
}

type fileBefore struct {
	Found   bool   `json:"found"`
	Content string `json:"content,omitempty"` // base64
}

func fileKind() steps.Kind {
	return steps.Kind{
		Name:    "file",
		Summary: "Puts a file with given content in place, or removes one.",
		Doc: "Compares the SHA-256 of the file with that of the wished bytes and writes it whole: under another name first, then renamed. " +
			"The previous content is kept in the journal, up to 1 MB; replacing or removing a larger file cannot be undone.",
		Undo:    "Writes the previous content back, or removes the file.",
		Proof:   proof,
		New:     func() steps.Step { return &File{} },
		Example: "path: C:\\deploy\\answer.txt\ncontent: |\n  [General]\n  Quiet=1\ncrlf: true\n",
	}
}

// Kind names the step.
func (s *File) Kind() string { return "file" }

// Validate looks at the data.
func (s *File) Validate() error {
	if err := checkPath("path", s.Path); err != nil {
		return err
	}
	given := 0
	for _, is := range []bool{s.Content != nil, s.Base64 != "", s.Absent} {
		if is {
			given++
		}
	}
	if given != 1 {
		return steps.FieldErr("content", "give one of content, base64 and absent: true")
	}
	if _, err := base64.StdEncoding.DecodeString(s.Base64); err != nil {
		return steps.FieldErr("base64", "is not base64: %v", err)
	}
	return nil
}

// bytes are what the file shall hold.
func (s *File) bytes() ([]byte, error) {
	if s.Content == nil {
		b, err := base64.StdEncoding.DecodeString(s.Base64)
		if err != nil {
			return nil, fmt.Errorf("cannot read base64: %w", err)
		}
		return b, nil
	}
	text := *s.Content
	if s.CRLF {
		text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\n", "\r\n")
	}
	switch s.Encoding {
	case "utf-8-bom":
		return append([]byte{0xEF, 0xBB, 0xBF}, text...), nil
	case "utf-16le":
		return utf16le(text), nil
	}
	return []byte(text), nil
}

// utf16le encodes with a byte order mark.
func utf16le(text string) []byte {
	out := []byte{0xFF, 0xFE}
	for _, u := range utf16.Encode([]rune(text)) {
		out = binary.LittleEndian.AppendUint16(out, u)
	}
	return out
}

// Reads names what Check will ask.
func (s *File) Reads(node.Facts) []node.Query { return []node.Query{node.FileHash{Path: s.Path}} }

// Check compares the hash.
func (s *File) Check(ctx context.Context, r node.Reader) (steps.Diff, error) {
	rows, err := r.Query(ctx, node.FileHash{Path: s.Path})
	found := true
	switch {
	case errors.Is(err, node.ErrNotFound):
		found = false
	case err != nil:
		return steps.Diff{}, fmt.Errorf("cannot look at %s: %w", s.Path, err)
	case len(rows) != 1:
		return steps.Diff{}, fmt.Errorf("cannot look at %s: no hash came back", s.Path)
	}
	if s.Absent && !found {
		return steps.NoChange(), nil
	}
	if !found {
		b, err := s.bytes()
		return steps.Diff{Action: steps.Create, Before: steps.MustJSON(fileBefore{}),
			Changes: []steps.Change{{Attr: "content", From: nil, To: describe(b)}}}, err
	}
	d := steps.Diff{Action: steps.Delete, Changes: []steps.Change{{Attr: "content", From: fmt.Sprintf("%d bytes", rows[0].Int("size"))}}}
	if !s.Absent {
		b, err := s.bytes()
		if err != nil {
			return steps.Diff{}, err
		}
		if sum := sha256.Sum256(b); strings.EqualFold(rows[0].String("sha256"), hex.EncodeToString(sum[:])) {
			return steps.NoChange(), nil
		}
		d.Action, d.Changes[0].To = steps.Update, describe(b)
	}
	if rows[0].Int("size") > mostKept {
		d.Effects.PointOfNoReturn = fmt.Sprintf("the file is larger than %d bytes, so its content is not kept", mostKept)
		return d, nil
	}
	old, err := content(ctx, r, s.Path)
	if err != nil {
		return steps.Diff{}, err
	}
	d.Before = steps.MustJSON(fileBefore{Found: true, Content: base64.StdEncoding.EncodeToString(old)})
	return d, nil
}

// describe tells about content without showing it.
func describe(b []byte) string {
	sum := sha256.Sum256(b)
	return fmt.Sprintf("%d bytes, sha256 %s", len(b), hex.EncodeToString(sum[:6]))
}

// Apply writes or removes the file.
func (s *File) Apply(ctx context.Context, n node.Node, _ steps.Diff) (steps.Outcome, error) {
	if s.Absent {
		return steps.Outcome{}, remove(ctx, n, s.Path)
	}
	b, err := s.bytes()
	if err != nil {
		return steps.Outcome{}, err
	}
	err = write(ctx, n, s.Path, b)
	if errors.Is(err, node.ErrNotFound) {
		err = hint.Wrap(err, "its directory is missing: make it with a directory step before")
	}
	return steps.Outcome{}, err
}

// Undo writes the previous content back.
func (s *File) Undo(ctx context.Context, n node.Node, before json.RawMessage) error {
	var b fileBefore
	if err := json.Unmarshal(before, &b); err != nil {
		return fmt.Errorf("cannot read the recorded content: %w", err)
	}
	if !b.Found {
		return remove(ctx, n, s.Path)
	}
	old, err := base64.StdEncoding.DecodeString(b.Content)
	if err != nil {
		return fmt.Errorf("cannot read the recorded content: %w", err)
	}
	return write(ctx, n, s.Path, old)
}
