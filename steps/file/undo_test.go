package file

import (
	"errors"
	"strings"
	"testing"

	"deploy/internal/node"
	"deploy/internal/testkit/nodetest"
	"deploy/steps"
)

// act checks and applies a step and returns what the undo needs.
func act(t *testing.T, m *nodetest.Machine, s steps.Step) steps.Diff {
	t.Helper()
	d, err := s.Check(t.Context(), m)
	if err != nil || d.Action == steps.NoOp {
		t.Fatalf("%+v, %v", d, err)
	}
	if _, err := s.Apply(t.Context(), m, d); err != nil {
		t.Fatal(err)
	}
	return d
}

// A directory that holds anything stays, and the undo says what it holds; so does a parent that was
// made along with it. Once it is empty, the same undo removes it.
func TestUndoLeavesADirectoryInUse(t *testing.T) {
	for name, c := range map[string]struct {
		machine *nodetest.Machine
		path    string
		theirs  []string
		why     string
		there   []string
		gone    []string
	}{
		"one entry": {nodetest.NewLinux(), "/srv/web/shared", []string{"/srv/web/shared/data"},
			"/srv/web/shared holds 1 entry (data)", []string{"/srv/web/shared/data"}, nil},
		"many entries": {nodetest.NewLinux(), "/srv/web", []string{"/srv/web/d", "/srv/web/c", "/srv/web/b", "/srv/web/a"},
			"/srv/web holds 4 entries (a, b, c, ...)", []string{"/srv/web/d"}, nil},
		"in a parent": {nodetest.NewLinux(), "/srv/web/shared", []string{"/srv/web/other/x"},
			"/srv/web holds 1 entry (other)", []string{"/srv/web/other/x"}, []string{"/srv/web/shared"}},
		"windows": {nodetest.New(node.WS2008), `D:\A\B`, []string{`D:\A\B\theirs`}, `D:\A\B holds 1 entry (theirs)`,
			[]string{`d:\a\b\theirs`}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			m, s := c.machine, &Directory{Path: c.path}
			d := act(t, m, s)
			for _, path := range c.theirs {
				m.SetFile(path, nil)
			}
			err := s.Undo(t.Context(), m, d.Before)
			var left *steps.LeftError
			if !errors.As(err, &left) || left.Why != c.why {
				t.Fatalf("%v, want left: %s", err, c.why)
			}
			for _, path := range c.there {
				if m.Files[path] == nil {
					t.Errorf("undo removed %s", path)
				}
			}
			for _, path := range c.gone {
				if m.Files[path] != nil {
					t.Errorf("undo did not remove %s", path)
				}
			}
			for path := range m.Files {
				if strings.HasPrefix(path, strings.ToLower(c.path)) || strings.HasPrefix(path, "/srv/web/") {
					delete(m.Files, path)
				}
			}
			m.SetDir(c.path)
			if err := s.Undo(t.Context(), m, d.Before); err != nil || m.Files[strings.ToLower(c.path)] != nil {
				t.Errorf("it is empty now, and is not removed: %v", err)
			}
		})
	}
}

// A directory that nobody can look into is no empty one.
func TestUndoOfADirectoryThatCannotBeRead(t *testing.T) {
	m, s := nodetest.NewLinux(), &Directory{Path: "/srv/x"}
	d := act(t, m, s)
	denied := errors.New("denied")
	m.Break = func(r node.Request) error {
		if r.Verb == "dir.list" {
			return denied
		}
		return nil
	}
	if err := s.Undo(t.Context(), m, d.Before); !errors.Is(err, denied) {
		t.Errorf("%v", err)
	}
	if m.Files["/srv/x"] == nil {
		t.Error("it is removed")
	}
}

// The access list loses the entries of the step, not those that others have entered since.
func TestUndoOfRightsKeepsThoseOfOthers(t *testing.T) {
	const before = "D:AI(A;OICI;0x1200a9;;;BU)(A;OICIID;FA;;;SY)"
	inherit := false
	for name, c := range map[string]struct{ then, want string }{
		"nobody else":         {"", before},
		"an entry of others":  {"(A;;FR;;;S-1-5-21-1-2-3-500)", "D:AI(A;;FR;;;S-1-5-21-1-2-3-500)" + before[len("D:AI"):]},
		"ours in other words": {"ours", before},
	} {
		m := nodetest.New(node.WS2008)
		m.SetDir(`D:\A`)
		f := m.Files[`d:\a`]
		f.SDDL = before
		s := &Directory{Path: `D:\A`, ACL: []ACE{{SID: "BA", Rights: "full"}, {SID: "NS", Rights: "read", Inherit: &inherit}}}
		d := act(t, m, s)
		switch c.then {
		case "ours":
			f.SDDL = strings.Replace(f.SDDL, "0x1f01ff;;;S-1-5-32-544", "FA;;;BA", 1)
		default:
			f.SDDL = strings.Replace(f.SDDL, "D:AI", "D:AI"+c.then, 1)
		}
		for range 2 {
			if err := s.Undo(t.Context(), m, d.Before); err != nil {
				t.Fatal(err)
			}
			if f.SDDL != c.want {
				t.Errorf("%s: %s, want %s", name, f.SDDL, c.want)
			}
		}
	}
}

// What the step does not declare stays as others have left it; a file that is gone comes back
// whole.
func TestUndoOfAFileKeepsWhatIsNotDeclared(t *testing.T) {
	b := "b"
	for name, c := range map[string]struct {
		step  *File
		then  func(m *nodetest.Machine)
		mode  uint32
		owner string
	}{
		"content alone": {&File{Path: "/etc/a", Content: &b},
			func(m *nodetest.Machine) { m.Own("/etc/a", 0o444, "www", "adm") }, 0o444, "www"},
		"mode is declared": {&File{Path: "/etc/a", Content: &b, Access: Access{Mode: "0600"}},
			func(m *nodetest.Machine) { m.Own("/etc/a", 0o600, "www", "adm") }, 0o640, "www"},
		"gone": {&File{Path: "/etc/a", Absent: true}, func(*nodetest.Machine) {}, 0o640, "root"},
		"gone since": {&File{Path: "/etc/a", Content: &b},
			func(m *nodetest.Machine) { delete(m.Files, "/etc/a") }, 0o640, "root"},
	} {
		m := linuxMachine()
		d := act(t, m, c.step)
		c.then(m)
		if err := c.step.Undo(t.Context(), m, d.Before); err != nil {
			t.Fatal(err)
		}
		if f := m.Files["/etc/a"]; f == nil || string(f.Data) != "a" || f.Mode != c.mode || f.Owner != c.owner {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

// The recorded content can be told from another one of the same length.
func TestContentIsComparable(t *testing.T) {
	b := "bb"
	from := func(content string) any {
		m := linuxMachine()
		m.SetFile("/etc/a", []byte(content))
		d, err := (&File{Path: "/etc/a", Content: &b}).Check(t.Context(), m)
		if err != nil || len(d.Changes) != 1 {
			t.Fatalf("%+v, %v", d, err)
		}
		return d.Changes[0].From
	}
	if from("11") == from("22") || from("11") != from("11") {
		t.Errorf("%v, %v", from("11"), from("22"))
	}
}
