package file

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"deploy/internal/node"
	"deploy/steps"
	"deploy/steps/inspect"
	"deploy/steps/linux"
)

// Directory is a directory with access rights.
type Directory struct {
	Path string `json:"path" required:"true" doc:"full path on the node; missing parents are made" type:"path" check:"compared"`
	ACL  []ACE  `json:"acl" doc:"Windows: rights that must be granted; other entries stay"`
	Access
}

// ACE grants rights to one account, known by its SID since account names are translated.
type ACE struct {
	SID     string `json:"sid" required:"true" doc:"S-1-5-20, or a short form of SDDL like BA (Administrators), SY (SYSTEM), NS (NETWORK SERVICE)" check:"compared"`
	Rights  string `json:"rights" required:"true" enum:"full|modify|read|write" doc:"full control, change, read and execute, or write" check:"compared"`
	Inherit *bool  `json:"inherit" doc:"also on the files and directories in it; the default is true" check:"compared"`
}

type directoryBefore struct {
	Made string `json:"made,omitempty"` // topmost directory that is made
	SDDL string `json:"sddl,omitempty"` // of a directory that was there
	recorded
}

func directoryKind() steps.Kind {
	return steps.Kind{
		Name:    "directory",
		Summary: "Makes a directory and sets who may do what in it.",
		Doc: "On Windows rights are granted by acl, on Linux set by mode, owner and group; the other system's keys are " +
			"refused. Accounts are compared by SID and rights by their bits, through the security descriptor, so that no " +
			"account name in any " +
			"language matters. Rights that are granted already, by an entry of its own or an inherited one, are left alone; " +
			"no entry is taken away. On Windows the owner is not looked at. On Linux parents that are made get the mode 0755.",
		Undo: "Takes the entries that it added off the access list, or puts mode, owner and group back, of those that " +
			"the step declares. A directory that the step made is removed " +
			"if it is empty, and so are the parents that it made; " +
			"one that holds anything is left, and reported with what it holds.",
		Proof:     proof + "; " + linux.Proof,
		Calls:     linux.Calls("getent(1)", "getent"),
		Sources:   []string{"chmod(2)", "getent(1)", "Security Descriptor String Format (SDDL)", "well-known SIDs"},
		ReadForms: forms(),
		New:       func() steps.Step { return &Directory{} },
		Example: "path: D:\\TransportRoles\nacl:\n  - {sid: BA, rights: full}\n  - {sid: S-1-5-20, rights: full}\n  - " +
			"{sid: SY, rights: full}\n",
	}
}

// Kind names the step.
func (s *Directory) Kind() string { return "directory" }

// Validate looks at the data.
func (s *Directory) Validate() error {
	for i, a := range s.ACL {
		if sidOf(a.SID) == "" {
			return &steps.FieldError{Path: []string{"acl", fmt.Sprintf("[%d]", i), "sid"},
				Msg:  fmt.Sprintf("%q is neither a SID nor a known short form", a.SID),
				Hint: "write the SID itself, S-1-5-21-...: short forms of accounts of a domain are not known here"}
		}
	}
	if len(s.ACL) > 0 && strings.HasPrefix(s.Path, "/") {
		return &steps.FieldError{Path: []string{"acl"}, Msg: "access lists are for Windows",
			Hint: "on Linux, give mode, owner and group"}
	}
	return s.validate(s.Path)
}

// Reads names what Check will ask.
func (s *Directory) Reads(node.Facts) []node.Query {
	if len(s.ACL) == 0 {
		return nil
	}
	return []node.Query{node.ACL{Path: s.Path}}
}

// Check tells whether the directory is there and grants the rights.
func (s *Directory) Check(ctx context.Context, r node.Reader) (steps.Diff, error) {
	if err := s.refuse(r, s.Path); err != nil {
		return steps.Diff{}, err
	}
	var sddl string
	var list acl
	var info node.FileInfo
	var err error
	// the access list comes first: it is what was asked for ahead, and it tells as well whether
	// there is anything
	if len(s.ACL) > 0 {
		sddl, list, err = s.acl(ctx, r)
	}
	if err == nil {
		info, err = r.Stat(ctx, s.Path)
	}
	if errors.Is(err, node.ErrNotFound) {
		made, err := topmostMissing(ctx, r, s.Path)
		if err != nil {
			return steps.Diff{}, err
		}
		d := steps.Diff{Action: steps.Create, Before: steps.MustJSON(directoryBefore{Made: made}),
			Changes: []steps.Change{{Attr: "directory", From: nil, To: s.Path}}}
		for _, a := range s.ACL {
			d.Changes = append(d.Changes, steps.Change{Attr: "acl " + a.SID, From: nil, To: a.Rights})
		}
		access, err := s.changes(ctx, r, nil)
		d.Changes = append(d.Changes, access...)
		return d, err
	}
	if err != nil {
		return steps.Diff{}, fmt.Errorf("cannot check %s: %w", s.Path, err)
	}
	if !info.Dir {
		return steps.Diff{}, fmt.Errorf("cannot make directory %s: a file has that name", s.Path)
	}
	var changes []steps.Change
	for _, a := range s.missing(list) {
		changes = append(changes, steps.Change{Attr: "acl " + a.SID,
			From: list.granted(sidOf(a.SID)).String(), To: a.Rights})
	}
	access, err := s.changes(ctx, r, &info)
	if err != nil {
		return steps.Diff{}, err
	}
	if changes = append(changes, access...); len(changes) == 0 {
		return steps.NoChange(), nil
	}
	b := directoryBefore{SDDL: sddl}
	if r.Facts().OS == "linux" {
		b.recorded = record(info)
	}
	return steps.Diff{Action: steps.Update, Changes: changes, Before: steps.MustJSON(b)}, nil
}

func (s *Directory) acl(ctx context.Context, r node.Reader) (string, acl, error) {
	rows, err := r.Query(ctx, node.ACL{Path: s.Path})
	if err != nil {
		return "", acl{}, fmt.Errorf("cannot read the access list of %s: %w", s.Path, err)
	}
	if len(rows) != 1 || rows[0].String("sddl") == "" {
		return "", acl{}, fmt.Errorf("cannot read the access list of %s: none came back", s.Path)
	}
	sddl := rows[0].String("sddl")
	list, err := parseSDDL(sddl)
	if err != nil {
		return "", acl{}, fmt.Errorf("cannot read the access list of %s: %w", s.Path, err)
	}
	return sddl, list, nil
}

// missing returns what is declared and not granted.
func (s *Directory) missing(list acl) (out []ACE) {
	for _, a := range s.ACL {
		g, want := list.granted(sidOf(a.SID)), masks[a.Rights]
		if g.own&want != want || (inherits(a) && (g.files&want != want || g.dirs&want != want)) {
			out = append(out, a)
		}
	}
	return out
}

func inherits(a ACE) bool { return a.Inherit == nil || *a.Inherit }

// Apply makes the directory and adds the entries that are missing.
func (s *Directory) Apply(ctx context.Context, n node.Node, _ steps.Diff) (steps.Outcome, error) {
	if _, err := n.Do(ctx, node.MakeDir{Path: s.Path}); err != nil {
		return steps.Outcome{}, fmt.Errorf("cannot make directory %s: %w", s.Path, err)
	}
	if len(s.ACL) == 0 {
		return steps.Outcome{}, s.set(ctx, n, s.Path)
	}
	_, list, err := s.acl(ctx, n)
	if err != nil {
		return steps.Outcome{}, err
	}
	missing := s.missing(list)
	if len(missing) == 0 {
		return steps.Outcome{}, nil
	}
	for _, a := range missing {
		list.grant(sidOf(a.SID), masks[a.Rights], inherits(a))
	}
	return steps.Outcome{}, s.setACL(ctx, n, list.String())
}

func (s *Directory) setACL(ctx context.Context, n node.Node, sddl string) error {
	if _, err := n.Do(ctx, node.ACLSet{Path: s.Path, SDDL: sddl}); err != nil {
		return fmt.Errorf("cannot set the access list of %s: %w", s.Path, err)
	}
	return nil
}

// Undo puts the access list back, or removes what was made as far as it is empty.
func (s *Directory) Undo(ctx context.Context, n node.Node, before json.RawMessage) error {
	var b directoryBefore
	if err := json.Unmarshal(before, &b); err != nil {
		return fmt.Errorf("cannot read the recorded state: %w", err)
	}
	if b.Made == "" {
		if b.SDDL == "" {
			return s.back(ctx, n, s.Path, b.recorded)
		}
		return s.giveBack(ctx, n, b.SDDL)
	}
	stays, err := inspect.DropEmpty(ctx, n, s.Path, b.Made, upTo)
	if err != nil || stays == "" {
		return err
	}
	return steps.Left(stays)
}

// upTo is parent, with nothing above a directory of the root.
func upTo(path string) string {
	if up := parent(path); !isRoot(up) {
		return up
	}
	return ""
}

// giveBack takes the entries away that the step had added, and puts back those that it had taken
// away. What others have entered since stays.
func (s *Directory) giveBack(ctx context.Context, n node.Node, sddl string) error {
	was, err := parseSDDL(sddl)
	if err != nil {
		return fmt.Errorf("cannot read the recorded access list: %w", err)
	}
	ours, err := parseSDDL(sddl)
	if err != nil {
		return fmt.Errorf("cannot read the recorded access list: %w", err)
	}
	for _, a := range s.missing(was) {
		ours.grant(sidOf(a.SID), masks[a.Rights], inherits(a))
	}
	_, now, err := s.acl(ctx, n)
	if err != nil {
		return err
	}
	if same(now, was) {
		return nil
	}
	if same(now, ours) {
		return s.setACL(ctx, n, sddl)
	}
	now.drop(ours.besides(was))
	return s.setACL(ctx, n, now.String())
}

// topmostMissing returns the highest directory on the way to path that is not there.
func topmostMissing(ctx context.Context, r node.Reader, path string) (string, error) {
	missing := path
	for up := parent(path); !isRoot(up); up = parent(up) {
		_, err := r.Stat(ctx, up)
		if err == nil {
			break
		}
		if !errors.Is(err, node.ErrNotFound) {
			return "", fmt.Errorf("cannot check %s: %w", up, err)
		}
		missing = up
	}
	return missing, nil
}
