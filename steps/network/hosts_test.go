package network

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/internal/testkit/conformance"
	"deploy/internal/testkit/nodetest"
	"deploy/steps"
)

const oldHosts = "127.0.0.1\tlocalhost\n# ours\n192.0.2.11  web1.example.com web1 # first\n192.0.2.12 web2\n::1 " +
	"localhost ip6-localhost"

func TestTierConformanceHostsAgainstScript(t *testing.T) {
	entry := func(address string, names ...any) map[string]any {
		return map[string]any{"address": address, "names": names}
	}
	for name, with := range map[string]map[string]any{
		"new lines":      {"entries": []any{entry("192.0.2.21", "db1.example.com", "db1"), entry("2001:db8::21", "db1")}},
		"moved":          {"entries": []any{entry("192.0.2.12", "web1")}},
		"moved, no line": {"entries": []any{entry("192.0.2.13", "WEB2")}},
		"absent":         {"entries": []any{entry("192.0.2.11", "web1"), entry("192.0.2.12", "web2")}, "absent": true},
	} {
		t.Run(name, func(t *testing.T) {
			m := nodetest.NewLinux()
			m.SetFile(hostsFile, []byte(oldHosts))
			m.Own(hostsFile, 0o640, "root", "adm")
			conformance.Run(t, conformance.Case{Kind: hostsKind(), With: with, Open: func(*testing.T) node.Session { return m }})
			if f := m.Files[hostsFile]; string(f.Data) != oldHosts || f.Mode != 0o640 || f.Group != "adm" {
				t.Errorf("%+v %s", f, f.Data)
			}
		})
	}
	m := nodetest.NewLinux()
	m.SetDir("/etc")
	conformance.Run(t, conformance.Case{Kind: hostsKind(), With: map[string]any{"entries": []any{entry("192.0.2.1", "a")}},
		Open: func(*testing.T) node.Session { return m }})
	if m.Files[hostsFile] != nil {
		t.Error("the file that was made is still there")
	}
}

func TestHostsText(t *testing.T) {
	for name, c := range map[string]struct {
		s    Hosts
		want string
	}{
		"as it is": {Hosts{Entries: []HostEntry{{"192.0.2.11", []string{"WEB1", "web1.example.com"}},
			{"127.0.0.1", []string{"localhost"}}}}, oldHosts},
		"added": {Hosts{Entries: []HostEntry{{"192.0.2.11", []string{"www"}}}},
			"127.0.0.1\tlocalhost\n# ours\n192.0.2.11\tweb1.example.com web1 www # first\n192.0.2.12 web2\n::1 localhost " +
				"ip6-localhost\n"},
		"families are apart": {Hosts{Entries: []HostEntry{{"127.0.1.1", []string{"localhost"}}}},
			"# ours\n192.0.2.11  web1.example.com web1 # first\n192.0.2.12 web2\n::1 localhost " +
				"ip6-localhost\n127.0.1.1\tlocalhost\n"},
		"absent elsewhere": {Hosts{Absent: true, Entries: []HostEntry{{"192.0.2.99", []string{"web1"}}}}, oldHosts},
	} {
		if got := c.s.edit(oldHosts); got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, c.want)
		}
	}
}

// What others wrote meanwhile stays, also on the line that the step has changed.
func TestHostsUndoKeepsTheWorkOfOthers(t *testing.T) {
	type entries = []HostEntry
	for name, c := range map[string]struct {
		s          Hosts
		from, into string // what others change in the file
		want       string
	}{
		"a line of theirs": {Hosts{Entries: entries{{"192.0.2.21", []string{"db1"}}}}, "", "192.0.2.50\tlate\n",
			oldHosts + "\n192.0.2.50\tlate\n"},
		"a name on the new line": {Hosts{Entries: entries{{"192.0.2.21", []string{"db1"}}}}, "\tdb1\n", "\tdb1 late\n",
			oldHosts + "\n192.0.2.21\tlate\n"},
		"a name on a line that was there": {Hosts{Entries: entries{{"192.0.2.12", []string{"db1"}}}}, "web2 db1",
			"web2 db1 x", "127.0.0.1\tlocalhost\n# ours\n192.0.2.11  web1.example.com web1 # first\n192.0.2.12\tweb2 x\n::1 " +
				"localhost ip6-localhost\n"},
		"moved, and a name on the new line": {Hosts{Entries: entries{{"192.0.2.12", []string{"web1"}}}}, "web2 web1",
			"web2 web1 x", "127.0.0.1\tlocalhost\n# ours\n192.0.2.11\tweb1.example.com web1 # first\n192.0.2.12\tweb2 x\n" +
				"::1 localhost ip6-localhost\n"},
		"their own name of the same address": {Hosts{Entries: entries{{"192.0.2.21", []string{"db1"}}}}, "",
			"192.0.2.21\tlate\n", oldHosts + "\n192.0.2.21\tlate\n"},
		"taken off, and a name on the rest": {Hosts{Absent: true, Entries: entries{{"192.0.2.11", []string{"web1"}}}},
			"web1.example.com #", "web1.example.com x #", "127.0.0.1\tlocalhost\n# ours\n192.0.2.11\tweb1.example.com x " +
				"web1 # first\n192.0.2.12 web2\n::1 localhost ip6-localhost\n"},
	} {
		m := nodetest.NewLinux()
		m.SetFile(hostsFile, []byte(oldHosts))
		d, err := c.s.Check(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.s.Apply(t.Context(), m, d); err != nil {
			t.Fatal(err)
		}
		now := string(m.Files[hostsFile].Data)
		if c.from == "" {
			now += c.into
		} else if now = strings.Replace(now, c.from, c.into, 1); !strings.Contains(now, c.into) {
			t.Fatalf("%s: %s does not hold %q", name, now, c.from)
		}
		m.SetFile(hostsFile, []byte(now))
		for range 2 {
			if err := c.s.Undo(t.Context(), m, d.Before); err != nil {
				t.Fatal(err)
			}
			if got := string(m.Files[hostsFile].Data); got != c.want {
				t.Errorf("%s:\n%s\nwant\n%s", name, got, c.want)
			}
		}
		again, err := c.s.Check(t.Context(), m)
		if diff := cmp.Diff(d.Changes, again.Changes); err != nil || diff != "" {
			t.Errorf("%s: after the undo the changes are others (%v):\n%s", name, err, diff)
		}
	}
}

// The changes tell where a name stands, so that one that moves can be compared after an undo.
func TestHostsChanges(t *testing.T) {
	m := nodetest.NewLinux()
	m.SetFile(hostsFile, []byte(oldHosts))
	for name, c := range map[string]struct {
		s        Hosts
		from, to any
	}{
		"new":      {Hosts{Entries: []HostEntry{{"192.0.2.21", []string{"a", "b"}}}}, nil, "a b"},
		"one more": {Hosts{Entries: []HostEntry{{"192.0.2.12", []string{"web2", "b"}}}}, "web2", "web2 b"},
		"moves":    {Hosts{Entries: []HostEntry{{"192.0.2.12", []string{"WEB1"}}}}, "WEB1 (at 192.0.2.11)", "WEB1"},
		"absent":   {Hosts{Absent: true, Entries: []HostEntry{{"192.0.2.12", []string{"a", "web2"}}}}, "web2", nil},
	} {
		d, err := c.s.Check(t.Context(), m)
		if err != nil || len(d.Changes) != 1 || d.Changes[0].From != c.from || d.Changes[0].To != c.to {
			t.Errorf("%s: %+v, %v", name, d.Changes, err)
		}
	}
}

func TestHostsValidate(t *testing.T) {
	for name, s := range map[string]*Hosts{
		"no address": {Entries: []HostEntry{{"web1", []string{"a"}}}},
		"bad name":   {Entries: []HostEntry{{"192.0.2.1", []string{"a b"}}}},
		"comment":    {Entries: []HostEntry{{"192.0.2.1", []string{"a#"}}}},
		"twice":      {Entries: []HostEntry{{"192.0.2.1", []string{"a"}}, {"192.0.2.2", []string{"A"}}}},
	} {
		var fe *steps.FieldError
		if err := s.Validate(); !errors.As(err, &fe) {
			t.Errorf("%s: %v", name, err)
		}
	}
	both := &Hosts{Entries: []HostEntry{{"192.0.2.1", []string{"a"}}, {"2001:db8::1", []string{"a"}}}}
	if err := both.Validate(); err != nil {
		t.Errorf("one name in both families: %v", err)
	}
}

// The kinds about cards refuse Linux and say what to use.
func TestCardsAreForWindows(t *testing.T) {
	for _, s := range []steps.Step{&Adapter{}, &Address{}, &DNS{}, &Binding{}, &Netbios{}} {
		m := nodetest.NewLinux()
		if _, err := s.Check(t.Context(), m); err == nil || hint.Of(err) == "" || len(m.Log()) > 0 {
			t.Errorf("%s: %v", s.Kind(), err)
		}
	}
	if _, err := (&Hosts{}).Check(t.Context(), nodetest.New(node.WS2022)); err == nil || hint.Of(err) == "" {
		t.Errorf("hosts on Windows: %v", err)
	}
}
