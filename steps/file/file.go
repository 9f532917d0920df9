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
	"deploy/steps/inspect"
	"deploy/steps/linux"
)

// File is a file with given content, or no file.
type File struct {
	Path     string  `json:"path" required:"true" doc:"full path on the node; its directory must be there" type:"path" check:"compared"`
	Content  *string `json:"content" doc:"the text that it shall hold; never a secret, since plan and journal show it" check:"compared"`
	Base64   string  `json:"base64,omitempty" doc:"its bytes in base64, instead of content" check:"compared"`
	Encoding string  `json:"encoding,omitempty" enum:"utf-8|utf-8-bom|utf-16le" doc:"how content is written; utf-16le gets a byte order mark" check:"compared"`
	CRLF     bool    `json:"crlf,omitempty" doc:"write line ends of content as CR LF" check:"compared"`
	Absent   bool    `json:"absent,omitempty" doc:"the file shall not be there" check:"compared"`
	Access
}

type fileBefore struct {
	Found   bool   `json:"found"`
	Content string `json:"content,omitempty"` // base64; unset when only mode or owner change
	Kept    bool   `json:"kept,omitempty"`    // the content needed no change, so it is not recorded
	Link    string `json:"link,omitempty"`    // where the link pointed that stood there instead of a file
	recorded
}

func fileKind() steps.Kind {
	return steps.Kind{
		Name:    "file",
		Summary: "Puts a file with given content in place, or removes one.",
		Doc: "Compares the SHA-256 of the file with that of the wished bytes and writes it whole: under another name " +
			"first, then renamed. " +
			"The previous content is kept in the journal, up to 1 MB; replacing or removing a larger file cannot be undone. " +
			"On Linux a symbolic link at the path is taken away by absent, and comes back with the undo; content is written " +
			"to the file that it points to, with a warning in the plan. " +
			"A new file has its mode, owner and group before it appears under its name, and a replaced one keeps " +
			"those that are not declared. It provides the tag file:PATH.",
		Undo: "Writes the previous content back, or removes the file. Of mode, owner and group it puts those back that " +
			"the step declares, and all of them when the file is not there any more.",
		Proof:     proof + "; " + linux.Proof,
		Sources:   []string{"chmod(2)", "getent(1)", "readlink(1)", "ln(1)"},
		Calls:     linux.Calls("getent(1), readlink(1), ln(1)", "getent", "readlink", "ln"),
		ReadForms: forms(),
		New:       func() steps.Step { return &File{} },
		Example:   "path: C:\\deploy\\answer.txt\ncontent: |\n  [General]\n  Quiet=1\ncrlf: true\n",
	}
}

// Kind names the step.
func (s *File) Kind() string { return "file" }

// Provides names the file.
func (s *File) Provides() []string { return provides(s.Path, s.Absent) }

func provides(path string, absent bool) []string {
	if absent {
		return nil
	}
	return []string{"file:" + path}
}

// Validate looks at the data.
func (s *File) Validate() error {
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
	if s.Absent && s.given() {
		return steps.FieldErr(s.first(), "a file that shall not be there has no mode, owner or group")
	}
	return s.validate(s.Path)
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
func (s *File) Reads(f node.Facts) []node.Query {
	out := []node.Query{node.FileHash{Path: s.Path}}
	if f.OS == "linux" {
		out = append(out, node.Tool{Argv: linkArgv(s.Path)})
	}
	return out
}

// Check compares the hash, and on Linux what is declared of mode, owner and group.
func (s *File) Check(ctx context.Context, r node.Reader) (steps.Diff, error) {
	if err := s.refuse(r, s.Path); err != nil {
		return steps.Diff{}, err
	}
	rows, err := r.Query(ctx, node.FileHash{Path: s.Path})
	found := true
	switch {
	case errors.Is(err, node.ErrNotFound):
		found = false
	case err != nil:
		return steps.Diff{}, fmt.Errorf("cannot check %s: %w", s.Path, err)
	case len(rows) != 1:
		return steps.Diff{}, fmt.Errorf("cannot check %s: no hash came back", s.Path)
	}
	link, err := linkOf(ctx, r, s.Path)
	if err != nil {
		return steps.Diff{}, err
	}
	switch {
	case s.Absent && link != "":
		return takesLink(link), nil
	case link != "" && !found:
		return steps.Diff{}, hint.Wrap(fmt.Errorf("cannot write %s: it is a link to %s, which is not there", s.Path, link),
			"take the link away first (absent: true), or name the file that it points to")
	}
	if s.Absent && !found {
		return steps.NoChange(), nil
	}
	if !found {
		b, err := s.bytes()
		if err != nil {
			return steps.Diff{}, err
		}
		access, err := s.changes(ctx, r, nil)
		return steps.Diff{Action: steps.Create, Before: steps.MustJSON(fileBefore{}),
			Changes: append([]steps.Change{{Attr: "content", From: nil, To: describe(b)}}, access...)}, err
	}
	d, err := s.replace(ctx, r, rows[0])
	if err == nil && link != "" && len(d.Changes) > 0 {
		d.Warnings = append(d.Warnings, writtenThrough(s.Path, link))
	}
	return d, err
}

// replace compares a file that is there.
func (s *File) replace(ctx context.Context, r node.Reader, hash node.Row) (steps.Diff, error) {
	d := steps.Diff{Action: steps.Update}
	b := fileBefore{Found: true}
	var access []steps.Change
	if r.Facts().OS == "linux" {
		info, err := r.Stat(ctx, s.Path)
		if err != nil {
			return steps.Diff{}, fmt.Errorf("cannot check %s: %w", s.Path, err)
		}
		b.recorded = record(info)
		if access, err = s.changes(ctx, r, &info); err != nil {
			return steps.Diff{}, err
		}
	}
	wish := steps.Change{Attr: "content", From: inspect.Fingerprint(hash)}
	if s.Absent {
		d.Action = steps.Delete
		d.Changes = []steps.Change{wish}
	} else {
		want, err := s.bytes()
		if err != nil {
			return steps.Diff{}, err
		}
		wish.To = describe(want)
		if sum := sha256.Sum256(want); strings.EqualFold(hash.String("sha256"), hex.EncodeToString(sum[:])) {
			b.Kept = true
		} else {
			d.Changes = []steps.Change{wish}
		}
	}
	d.Changes = append(d.Changes, access...)
	switch {
	case len(d.Changes) == 0:
		return steps.NoChange(), nil
	case b.Kept:
		d.Before = steps.MustJSON(b)
		return d, nil
	case hash.Int("size") > mostKept:
		d.Effects.PointOfNoReturn = fmt.Sprintf("the file is larger than %d bytes, so its content is not kept", mostKept)
		return d, nil
	}
	old, err := content(ctx, r, s.Path)
	if err != nil {
		return steps.Diff{}, err
	}
	b.Content = base64.StdEncoding.EncodeToString(old)
	d.Before = steps.MustJSON(b)
	return d, nil
}

// describe tells about content without showing it, as inspect.Fingerprint does.
func describe(b []byte) string {
	sum := sha256.Sum256(b)
	return inspect.Fingerprint(node.Row{"size": int64(len(b)), "sha256": hex.EncodeToString(sum[:])})
}

// Apply writes or removes the file, or sets mode and owner alone.
func (s *File) Apply(ctx context.Context, n node.Node, d steps.Diff) (steps.Outcome, error) {
	if s.Absent {
		return steps.Outcome{}, remove(ctx, n, s.Path)
	}
	var b fileBefore
	if len(d.Before) > 0 {
		if err := json.Unmarshal(d.Before, &b); err != nil {
			return steps.Outcome{}, fmt.Errorf("cannot read the recorded content: %w", err)
		}
	}
	if b.Kept {
		return steps.Outcome{}, s.set(ctx, n, s.Path)
	}
	want, err := s.bytes()
	if err != nil {
		return steps.Outcome{}, err
	}
	err = writeAs(ctx, n, s.Path, want, s.options())
	if errors.Is(err, node.ErrNotFound) {
		err = hint.Wrap(err, missingHint(s.Access))
	}
	if m := s.bits(); err == nil && m != nil && *m == 0 {
		err = s.set(ctx, n, s.Path) // to WriteOptions 0 means no wish
	}
	return steps.Outcome{}, err
}

// missingHint: a name that is not there may be that of the directory, the user or the group.
func missingHint(a Access) string {
	if a.Owner != "" || a.Group != "" {
		return "its directory, its owner or its group is missing: make them with directory, user and group steps before"
	}
	return "its directory is missing: make it with a directory step before"
}

// Undo writes the previous content back, with the access that it had.
func (s *File) Undo(ctx context.Context, n node.Node, before json.RawMessage) error {
	var b fileBefore
	if err := json.Unmarshal(before, &b); err != nil {
		return fmt.Errorf("cannot read the recorded content: %w", err)
	}
	if !b.Found {
		return remove(ctx, n, s.Path)
	}
	if b.Link != "" {
		return linkBack(ctx, n, s.Path, b.Link)
	}
	if b.Kept {
		return s.back(ctx, n, s.Path, b.recorded)
	}
	old, err := base64.StdEncoding.DecodeString(b.Content)
	if err != nil {
		return fmt.Errorf("cannot read the recorded content: %w", err)
	}
	access, err := s.accessBack(ctx, n, b.recorded)
	if err != nil {
		return err
	}
	if err := writeAs(ctx, n, s.Path, old, access.options()); err != nil || access.Mode == nil || *access.Mode != 0 {
		return err
	}
	return setMode(ctx, n, node.SetMode{Path: s.Path, Mode: access.Mode})
}

// accessBack is the access that a file which is written back gets: that recorded, but of a file
// that is still there only what the step declares. The rest stays as the file has it.
func (s *File) accessBack(ctx context.Context, r node.Reader, b recorded) (recorded, error) {
	if s.Absent || r.Facts().OS != "linux" {
		return b, nil
	}
	there, err := inspect.Exists(ctx, r, s.Path)
	if err != nil || !there {
		return b, err
	}
	return s.declared(b), nil
}
