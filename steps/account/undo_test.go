package account

import (
	"errors"
	"slices"
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

// left wants an undo to be left for this reason.
func left(t *testing.T, err error, why string) {
	t.Helper()
	var l *steps.LeftError
	if !errors.As(err, &l) || l.Why != why {
		t.Errorf("%v, want left: %s", err, why)
	}
}

// A home in which somebody has worked stays and is reported; the account goes all the same.
func TestUndoLeavesAHomeInUse(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(m *nodetest.Machine)
		own   string
	}{
		"new file":     {func(m *nodetest.Machine) { m.SetFile("/home/ops/work", nil) }, "work"},
		"changed file": {func(m *nodetest.Machine) { m.SetFile("/home/ops/.profile", []byte("mine")) }, ".profile"},
		"directory":    {func(m *nodetest.Machine) { m.SetDir("/home/ops/.ssh") }, ".ssh"},
		"several": {func(m *nodetest.Machine) {
			for _, n := range []string{"d", "c", "b", "a"} {
				m.SetFile("/home/ops/"+n, nil)
			}
		}, "a, b, c, ..."},
	} {
		s := machine()
		step := &User{Name: "ops"}
		d := act(t, s.m, step)
		c.spoil(s.m)
		for range 2 {
			left(t, step.Undo(t.Context(), s.m, d.Before),
				"account ops is removed; its home /home/ops holds files of its own ("+c.own+") and is left")
			if s.users["ops"] != nil || s.groups["ops"] != nil || s.m.Files["/home/ops/.profile"] == nil {
				t.Errorf("%s: the account is %v, its home %v", name, s.users["ops"], s.m.Files["/home/ops/.profile"])
			}
		}
	}
}

// An account that a process uses is left whole, with the process's number and name; so is its
// group.
func TestUndoLeavesAnAccountInUse(t *testing.T) {
	for name, c := range map[string]struct {
		ps  []string
		why string
	}{
		"one":   {[]string{"    812 sleep"}, "account svc is used by process 812 (sleep)"},
		"blank": {[]string{"812 Web Content"}, "account svc is used by process 812 (Web Content)"},
		"many": {[]string{"  1 a", "  2 b", " 33 c", "444 d"},
			"account svc is used by 4 processes: 1 (a), 2 (b), 33 (c), ..."},
		"a login": {[]string{" "}, "account svc is in use (the node's tools refuse with code 8)"},
	} {
		s := machine()
		step := &User{Name: "svc"}
		d := act(t, s.m, step)
		s.running = c.ps
		left(t, step.Undo(t.Context(), s.m, d.Before), c.why)
		if s.users["svc"] == nil || s.m.Files["/home/svc/.profile"] == nil {
			t.Errorf("%s: the account is half removed: %s", name, s.state())
		}
		s.running = nil
		if err := step.Undo(t.Context(), s.m, d.Before); err != nil || s.users["svc"] != nil {
			t.Errorf("%s: nothing uses it any more: %v", name, err)
		}
	}
}

// A broken link while it is asked who uses the account is no "in use".
func TestInUseNeedsAnAnswer(t *testing.T) {
	s := machine()
	step := &User{Name: "svc"}
	d := act(t, s.m, step)
	s.running = []string{"1 a"}
	s.m.Break = func(r node.Request) error {
		if argv, _ := r.Args["argv"].([]any); len(argv) > 0 && argv[0] == "ps" {
			return &node.LinkError{Sent: true, Err: errors.New("cut")}
		}
		return nil
	}
	var link *node.LinkError
	if err := step.Undo(t.Context(), s.m, d.Before); !errors.As(err, &link) {
		t.Errorf("%v", err)
	}
}

// A group that others use by now stays: as somebody's primary group, or with members.
func TestUndoLeavesAGroupInUse(t *testing.T) {
	s := machine()
	step := &Group{Name: "web"}
	d := act(t, s.m, step)
	s.users["late"] = &user{uid: 900, gid: s.groups["web"].gid}
	left(t, step.Undo(t.Context(), s.m, d.Before), "group web is the primary group of late")
	delete(s.users, "late")
	s.groups["web"].members = []string{"www"}
	left(t, step.Undo(t.Context(), s.m, d.Before), "group web has members (www)")
	s.groups["web"].members = nil
	if err := step.Undo(t.Context(), s.m, d.Before); err != nil || s.groups["web"] != nil {
		t.Errorf("%v: %s", err, s.state())
	}

	s = machine()
	account := &User{Name: "ops"}
	d = act(t, s.m, account)
	s.groups["ops"].members = []string{"www"}
	left(t, account.Undo(t.Context(), s.m, d.Before),
		"account ops is removed; its group ops has members of its own (www) and is left")
}

// Membership that somebody else gave meanwhile is not taken away by an undo.
func TestUndoKeepsMembershipOfOthers(t *testing.T) {
	s := machine()
	s.groups["late"] = &group{gid: 99}
	step := &User{Name: "www", Groups: []string{"sudo", "adm"}}
	d := act(t, s.m, step)
	s.groups["late"].members = []string{"www"}
	if err := step.Undo(t.Context(), s.m, d.Before); err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(s.groups["late"].members, "www") || slices.Contains(s.groups["sudo"].members, "www") ||
		!slices.Contains(s.groups["adm"].members, "www") {
		t.Error(s.state())
	}
}

// A group's name may hold a blank. It is one group, which is neither taken for two nor lost.
func TestGroupsWithABlank(t *testing.T) {
	s := machine()
	for i, g := range []string{"docker users", "docker", "users", "extra"} {
		s.groups[g] = &group{gid: 2000 + i}
	}
	s.groups["docker users"].members = []string{"www"}
	start := s.state()
	step := &User{Name: "www", Groups: []string{"extra"}}
	d := act(t, s.m, step)
	if len(d.Changes) != 1 || d.Changes[0].From != "adm,docker users" || d.Changes[0].To != "adm,docker users,extra" {
		t.Errorf("%+v", d.Changes)
	}
	if len(s.groups["docker"].members)+len(s.groups["users"].members) > 0 || len(s.groups["docker users"].members) != 1 {
		t.Error(s.state())
	}
	if err := step.Undo(t.Context(), s.m, d.Before); err != nil || s.state() != start {
		t.Errorf("%v: was\n%sis\n%s", err, start, s.state())
	}
	for _, call := range s.calls {
		if strings.HasPrefix(call, "usermod") && !strings.Contains(call, "--append") {
			t.Errorf("%q replaces the whole list", call)
		}
	}
}

// A removed account comes back with what the plan had named of it.
func TestChangesNameTheWholeAccount(t *testing.T) {
	s := machine()
	d := act(t, s.m, &User{Name: "www", Absent: true})
	from := map[string]any{}
	for _, c := range d.Changes {
		from[c.Attr] = c.From
		if c.To != nil {
			t.Errorf("%+v", c)
		}
	}
	for attr, want := range map[string]any{"user www": "there", "uid": 33, "group": "www", "groups": "adm",
		"home": "/var/www", "shell": "/usr/sbin/nologin"} {
		if from[attr] != want {
			t.Errorf("%s: %v, want %v", attr, from[attr], want)
		}
	}
	d = act(t, s.m, &Group{Name: "sudo", Absent: true})
	if len(d.Changes) != 2 || d.Changes[1].Attr != "gid" || d.Changes[1].From != 27 {
		t.Errorf("%+v", d.Changes)
	}
}
