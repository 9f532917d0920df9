package system

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/steps"
	"deploy/steps/inspect"
	"deploy/steps/linux"
)

// Mount is a file system at a place of the directory tree: its line in /etc/fstab and whether it is
// mounted.
type Mount struct {
	Path    string   `json:"path" required:"true" doc:"where it is mounted; the directory is made when it is missing" check:"compared"`
	Source  string   `json:"source,omitempty" doc:"what is mounted: a device, UUID=..., LABEL=..., host:/path, tmpfs, or a directory with the option bind" check:"compared"`
	Type    string   `json:"type,omitempty" doc:"type of file system, like ext4, xfs, nfs, tmpfs; none with the option bind" check:"compared"`
	Options []string `json:"options" doc:"mount options, one each; no key means any in the line that is there, and defaults in a new one" check:"compared"`
	Pass    int      `json:"pass,omitempty" doc:"sixth field of the line: when fsck looks at it" check:"compared"`
	State   string   `json:"state" enum:"mounted|configured|absent" doc:"mounted: line and mount; configured: the line, mounted or not; absent: neither" check:"compared"`
}

// mountBefore is what was found.
type mountBefore struct {
	Fstab   string   `json:"fstab"` // the whole file
	Had     bool     `json:"had"`   // the file was there
	Mounted *mounted `json:"mounted,omitempty"`
	Made    string   `json:"made,omitempty"` // topmost directory that is made
}

// mounted is what the kernel says.
type mounted struct {
	Source  string `json:"source"`
	Type    string `json:"fstype"`
	Options string `json:"options"`
}

const fstabFile = "/etc/fstab"

func mountKind() steps.Kind {
	return steps.Kind{
		Name:    "mount",
		OS:      "linux",
		Summary: "Keeps a line of /etc/fstab and mounts it, on Linux.",
		Doc: "Compares the line field by field, the options as a set and only when they are declared, and asks the kernel " +
			"by findmnt whether it is mounted, " +
			"with this type and source, and with those declared options that the kernel shows (ro, noatime, size= and the " +
			"like). Options that differ are changed by a remount. " +
			"Something else that is mounted there is an error and is never taken away. Swap is not handled.",
		Undo: "Puts the recorded line of the path back, and the recorded state: unmounts what it had mounted, mounts " +
			"again what it had unmounted. Other lines stay. Directories that it made are removed while they are empty; one " +
			"that holds anything is left and reported.",
		Proof:   "unit-tested on a scripted machine; " + linux.Proof,
		Sources: []string{"fstab(5)", "mount(8)", "umount(8)", "findmnt(8)"},
		Calls: append(linux.Calls("findmnt(8)", "findmnt"),
			linux.Calls("mount(8), umount(8), systemctl(1)", "mount", "umount", "systemctl")...),
		ReadForms: forms(),
		New:       func() steps.Step { return &Mount{State: "mounted"} },
		Example:   "path: /srv/scratch\nsource: tmpfs\ntype: tmpfs\noptions: [size=64m, nosuid, nodev]\n",
	}
}

// Kind names the step.
func (s *Mount) Kind() string { return "mount" }

// Validate looks at the data.
func (s *Mount) Validate() error {
	if !strings.HasPrefix(s.Path, "/") || (s.Path != "/" && strings.HasSuffix(s.Path, "/")) ||
		strings.Contains(s.Path, "\n") || strings.Contains(s.Path, "/../") {
		return steps.FieldErr("path", "%q is not a full path without a slash at its end", s.Path)
	}
	if s.State == "absent" {
		if s.Source != "" || s.Type != "" || s.Options != nil || s.Pass != 0 {
			return steps.FieldErr("state", "absent excludes source, type, options and pass")
		}
		return nil
	}
	if s.Source == "" {
		return steps.FieldErr("source", "is required, except with state: absent")
	}
	if s.Type == "" || strings.ContainsAny(s.Type, " \t\n#") {
		return steps.FieldErr("type", "is required, except with state: absent")
	}
	if s.Type == "swap" {
		return steps.FieldErr("type", "swap is not handled")
	}
	for i, o := range s.Options {
		if o == "" || strings.ContainsAny(o, ", \t\n") {
			return &steps.FieldError{Path: []string{"options", fmt.Sprintf("[%d]", i)},
				Msg: fmt.Sprintf("%q is not one option", o)}
		}
	}
	return nil
}

func (s *Mount) look() []string {
	return []string{"findmnt", "--json", "--kernel", "--mountpoint", s.Path, "--output", "TARGET,SOURCE,FSTYPE,OPTIONS"}
}

// Reads names what Check will ask.
func (s *Mount) Reads(f node.Facts) []node.Query {
	if f.OS != "linux" {
		return nil
	}
	return []node.Query{node.Tool{Argv: s.look()}}
}

// now asks the kernel what is mounted at the path; nil means nothing.
func (s *Mount) now(ctx context.Context, r node.Reader) (*mounted, error) {
	a, err := linux.Ask(ctx, r, s.look()...)
	if err != nil {
		return nil, err
	}
	if a.Code == 1 && strings.TrimSpace(a.Stdout) == "" {
		return nil, nil // findmnt's code for nothing found
	}
	var out struct {
		Filesystems []mounted `json:"filesystems"`
	}
	if a.Code != 0 {
		return nil, fmt.Errorf("cannot tell what is mounted at %s: %w", s.Path, a.Failed("findmnt"))
	}
	if err := json.Unmarshal([]byte(a.Stdout), &out); err != nil || len(out.Filesystems) == 0 {
		return nil, fmt.Errorf("cannot tell what is mounted at %s: findmnt's answer is no JSON list", s.Path)
	}
	return &out.Filesystems[len(out.Filesystems)-1], nil // the last one lies on top
}

// same says that what is mounted is the declared source and type. findmnt itself resolves UUID=,
// LABEL= and links of devices.
func (s *Mount) same(ctx context.Context, r node.Reader, m *mounted) error {
	if slices.Contains(s.Options, "bind") || slices.Contains(s.Options, "rbind") {
		return nil // the kernel shows the device behind the directory
	}
	err := hint.Wrap(fmt.Errorf("cannot mount %s at %s: %s of type %s is mounted there", s.Source, s.Path, m.Source,
		m.Type), "unmount it by hand, or correct source and type")
	if m.Type != s.Type && s.Type != "auto" && (s.Type != "nfs" || m.Type != "nfs4") {
		return err
	}
	if m.Source == s.Source {
		return nil
	}
	a, askErr := linux.Ask(ctx, r, "findmnt", "--json", "--kernel", "--source", s.Source, "--mountpoint", s.Path,
		"--output", "TARGET")
	switch {
	case askErr != nil:
		return askErr
	case a.Code == 0:
		return nil
	case a.Code == 1:
		return err
	}
	return fmt.Errorf("cannot tell what is mounted at %s: %w", s.Path, a.Failed("findmnt"))
}

// Check compares the line and the mount.
func (s *Mount) Check(ctx context.Context, r node.Reader) (steps.Diff, error) {
	if err := linux.Only(r, "mount"); err != nil {
		return steps.Diff{}, err
	}
	m, err := s.now(ctx, r)
	if err != nil {
		return steps.Diff{}, err
	}
	text, had, err := linux.Read(ctx, r, fstabFile)
	if err != nil {
		return steps.Diff{}, err
	}
	d := steps.Diff{Action: steps.Update, Via: "mount"}
	if want := s.edit(text); want != text {
		d.Changes = append(d.Changes, steps.Change{Attr: fstabFile, From: lineOf(text, s.Path), To: lineOf(want, s.Path)})
	}
	b := mountBefore{Fstab: text, Had: had, Mounted: m}
	switch {
	case s.State == "absent" && m != nil:
		d.Changes = append(d.Changes, steps.Change{Attr: s.Path, From: "mounted: " + m.Source, To: nil})
		d.Effects.Interrupts = "what uses " + s.Path
	case s.State != "mounted":
	case m == nil:
		d.Changes = append(d.Changes, steps.Change{Attr: s.Path, From: nil, To: "mounted: " + s.Source})
		if b.Made, err = topmostMissing(ctx, r, s.Path); err != nil {
			return steps.Diff{}, err
		}
	default:
		if err := s.same(ctx, r, m); err != nil {
			return steps.Diff{}, err
		}
		if bad := s.differing(m.Options); len(bad) > 0 {
			d.Changes = append(d.Changes, steps.Change{Attr: s.Path + " options", From: standing(bad, m.Options),
				To: strings.Join(bad, ",")})
		}
	}
	if len(d.Changes) == 0 {
		return steps.NoChange(), nil
	}
	d.Before = steps.MustJSON(b)
	return d, nil
}

func topmostMissing(ctx context.Context, r node.Reader, path string) (made string, err error) {
	for p := path; p != ""; p = p[:strings.LastIndexByte(p, '/')] {
		_, err := r.Stat(ctx, p)
		if err == nil {
			break
		}
		if !errors.Is(err, node.ErrNotFound) {
			return "", fmt.Errorf("cannot check %s: %w", p, err)
		}
		made = p
	}
	return made, nil
}

// Apply writes the line, then mounts by it.
func (s *Mount) Apply(ctx context.Context, n node.Node, _ steps.Diff) (steps.Outcome, error) {
	m, err := s.now(ctx, n)
	if err != nil {
		return steps.Outcome{}, err
	}
	if s.State == "absent" && m != nil {
		if err := unmount(ctx, n, s.Path); err != nil {
			return steps.Outcome{}, err
		}
	}
	text, _, err := linux.Read(ctx, n, fstabFile)
	if err != nil {
		return steps.Outcome{}, err
	}
	if err := writeFstab(ctx, n, text, s.edit(text)); err != nil {
		return steps.Outcome{}, err
	}
	if s.State != "mounted" {
		return steps.Outcome{}, nil
	}
	if m == nil {
		if _, err := n.Do(ctx, node.MakeDir{Path: s.Path}); err != nil {
			return steps.Outcome{}, fmt.Errorf("cannot make directory %s: %w", s.Path, err)
		}
		return steps.Outcome{}, mount(ctx, n, s.Path, "mount", s.Path)
	}
	if err := s.same(ctx, n, m); err != nil {
		return steps.Outcome{}, err
	}
	if bad := append(s.differing(m.Options), s.renewed(text)...); len(bad) > 0 {
		return steps.Outcome{}, mount(ctx, n, s.Path, "mount", "-o", "remount,"+strings.Join(bad, ","), s.Path)
	}
	return steps.Outcome{}, nil
}

// writeFstab writes the file when it differs, and makes systemd read it, which keeps a unit for
// every line.
func writeFstab(ctx context.Context, n node.Node, old, text string) error {
	if text == old {
		return nil
	}
	if err := linux.Write(ctx, n, fstabFile, text); err != nil {
		return err
	}
	if n.Facts().Init != "systemd" {
		return nil
	}
	if err := linux.Do(ctx, n, nil, "systemctl", "daemon-reload"); err != nil {
		return fmt.Errorf("cannot make systemd read %s: %w", fstabFile, err)
	}
	return nil
}

func mount(ctx context.Context, n node.Node, path string, argv ...string) error {
	if err := linux.Do(ctx, n, nil, argv...); err != nil {
		return hint.Wrap(fmt.Errorf("cannot mount %s: %w", path, err),
			"is the source there, and does the kernel know the type and the options?")
	}
	return nil
}

func unmount(ctx context.Context, n node.Node, path string) error {
	if err := linux.Do(ctx, n, nil, "umount", path); err != nil {
		return hint.Wrap(fmt.Errorf("cannot unmount %s: %w", path, err),
			"something uses it: `fuser -vm` on the node shows what")
	}
	return nil
}

// Undo puts line and mount back.
func (s *Mount) Undo(ctx context.Context, n node.Node, before json.RawMessage) error {
	var b mountBefore
	if err := decode(before, &b); err != nil {
		return err
	}
	m, err := s.now(ctx, n)
	if err != nil {
		return err
	}
	if m != nil && b.Mounted == nil && s.State == "mounted" {
		if err := unmount(ctx, n, s.Path); err != nil {
			return err
		}
		m = nil
	}
	text, _, err := linux.Read(ctx, n, fstabFile)
	if err != nil {
		return err
	}
	back := s.takeBack(b.Fstab, text)
	if !b.Had && back == "" {
		err = linux.Remove(ctx, n, fstabFile)
	} else {
		err = writeFstab(ctx, n, text, back)
	}
	if err != nil {
		return err
	}
	switch {
	case m == nil && b.Mounted != nil && s.State == "absent":
		if lineOf(back, s.Path) != nil {
			return mount(ctx, n, s.Path, "mount", s.Path)
		}
		return mount(ctx, n, s.Path, "mount", "-t", b.Mounted.Type, "-o", b.Mounted.Options, b.Mounted.Source, s.Path)
	case m != nil && b.Mounted != nil && s.State == "mounted":
		if old := s.reverse(m.Options, b.Mounted.Options); len(old) > 0 {
			return mount(ctx, n, s.Path, "mount", "-o", "remount,"+strings.Join(old, ","), s.Path)
		}
		return nil
	}
	if b.Made == "" {
		return nil
	}
	above := func(p string) string { return p[:strings.LastIndexByte(p, '/')] }
	stays, err := inspect.DropEmpty(ctx, n, s.Path, b.Made, above)
	if err != nil || stays == "" {
		return err
	}
	return steps.Left(fmt.Sprintf("%s is taken back; the directory %s and is left", s.Path, stays))
}
