package command

import (
	"errors"
	"strings"
	"testing"

	"deploy/internal/node"
	"deploy/internal/testkit/conformance"
	"deploy/internal/testkit/nodetest"
	"deploy/steps"
)

func TestDocumented(t *testing.T) { conformance.Documented(t, Kinds()) }

func check(t *testing.T, s steps.Step, r node.Reader) steps.Diff {
	t.Helper()
	d, err := s.Check(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func command(code *int) *nodetest.Machine {
	m := nodetest.New(node.WS2008)
	done := false
	m.Programs[`c:\t\check.exe`] = func([]string) node.Result {
		if *code != 0 {
			return node.Result{Code: *code}
		}
		if done {
			return node.Result{}
		}
		return node.Result{Code: 1}
	}
	m.Programs[`c:\t\do.exe`] = func(argv []string) node.Result {
		done = argv[1] == "on"
		return node.Result{Code: 7}
	}
	return m
}

func TestTierConformanceCommand(t *testing.T) {
	for _, as := range []string{"", "admin"} {
		code := 0
		m := command(&code)
		with := map[string]any{"check": []any{`C:\t\check.exe`}, "apply": []any{`C:\t\do.exe`, "on"},
			"undo": []any{`C:\t\do.exe`, "off"}, "codes": []any{7}, "as": as}
		conformance.Run(t, conformance.Case{Kind: commandKind(), With: with, Programs: []string{`C:\t\do.exe`},
			Open: func(*testing.T) node.Session { return m }})
		s := &Command{CheckArgv: []string{`C:\t\check.exe`}, ApplyArgv: []string{`C:\t\do.exe`, "on"}, RebootCodes: []int{7},
			As: as}
		d := check(t, s, m)
		if d.Effects.PointOfNoReturn == "" {
			t.Error("a command without undo is a point of no return")
		}
		if out, err := s.Apply(t.Context(), m, d); err != nil || !out.Reboot {
			t.Errorf("%+v, %v", out, err)
		}
		s.RebootCodes = nil
		if _, err := s.Apply(t.Context(), m, d); err == nil {
			t.Error("code 7 was taken for success")
		}
		code = 9
		if d, err := s.Check(t.Context(), m); err == nil {
			t.Errorf("code 9 of check is neither yes nor no: %+v", d)
		}
	}
}

// A command needs nothing but its programs.
func TestTierConformanceCommandOnLinux(t *testing.T) {
	m := nodetest.NewLinux()
	m.Programs["/usr/bin/test"] = func([]string) node.Result {
		if m.Files["/opt/done"] == nil {
			return node.Result{Code: 1}
		}
		return node.Result{}
	}
	m.Programs["touch"] = func(argv []string) node.Result { m.SetFile(argv[1], nil); return node.Result{} }
	m.Programs["rm"] = func(argv []string) node.Result { delete(m.Files, argv[1]); return node.Result{} }
	with := map[string]any{"check": []any{"/usr/bin/test", "-e", "/opt/done"}, "apply": []any{"touch", "/opt/done"},
		"undo": []any{"rm", "/opt/done"}, "directory": "/opt"}
	conformance.Run(t, conformance.Case{Kind: commandKind(), With: with, Programs: []string{"touch", "rm"},
		Open: func(*testing.T) node.Session { return m }})
	if m.Asked("run", strings.ToLower("/opt/done")) == 0 {
		t.Error("nothing was run")
	}
}

// reg.exe is a program that every release has, so it serves as the user's own.
func TestTierConformanceCommandInLab(t *testing.T) {
	const key = `HKLM\SOFTWARE\DeployTest`
	conformance.InLab(t, nil, func(t *testing.T, b *conformance.Bench) {
		conformance.Run(t, conformance.Case{
			Kind: commandKind(),
			With: map[string]any{"check": []any{"reg.exe", "query", key}, "apply": []any{"reg.exe", "add", key, "/f"},
				"undo": []any{"reg.exe", "delete", key, "/f"}},
			Programs: []string{"reg.exe"}, Open: func(t *testing.T) node.Session { return b.Session(t, conformance.Node1) },
		})
	})
}

func TestValidate(t *testing.T) {
	for name, s := range map[string]steps.Validator{
		"without work":    &Command{CheckArgv: []string{"x"}},
		"0 is to be done": &Command{CheckArgv: []string{"x"}, ApplyArgv: []string{"x"}, Todo: []int{0}},
	} {
		var fe *steps.FieldError
		if err := s.Validate(); !errors.As(err, &fe) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
