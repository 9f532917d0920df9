package packages

import (
	"errors"
	"strings"
	"testing"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/internal/testkit/conformance"
	"deploy/internal/testkit/nodetest"
	"deploy/steps"
)

const product = "{8E5233E1-7495-44FB-8DEB-4BE906D59619}"

// machine has an installer that ends with a code and, when that means done, leaves the product's
// key.
func machine(code int) *nodetest.Machine {
	m := nodetest.New(node.WS2008)
	m.Programs["msiexec.exe"] = func(argv []string) node.Result {
		switch {
		case argv[1] == "/i" && (code == 0 || code == 3010 || code == 1641):
			m.SetValue(uninstallKey32+product, "DisplayName", "string", "Outil")
		case argv[1] == "/x":
			delete(m.Registry, strings.ToLower(uninstallKey32+product))
		}
		return node.Result{Code: code, Stdout: []byte("…")}
	}
	m.Programs[`d:\setup.exe`] = func([]string) node.Result {
		m.SetValue(`HKLM\SOFTWARE\Vendor`, "Version", "string", "8.1")
		return node.Result{}
	}
	return m
}

func TestTierConformanceAgainstScript(t *testing.T) {
	for name, with := range map[string]map[string]any{
		"msi":          {"path": `D:\tool.MSI`, "product_code": product, "arguments": []any{"ALLUSERS=1"}},
		"msi as a job": {"path": `D:\tool.msi`, "product_code": product, "as": "admin"},
		"setup, no undo": {"path": `D:\setup.exe`, "detect": map[string]any{"key": `HKLM\SOFTWARE\Vendor`, "name": "version",
			"data": "8.1"}},
		"own uninstaller": {"path": `D:\tool.msi`, "product_code": product, "uninstall": []any{"msiexec.exe", "/x", "x"}},
	} {
		t.Run(name, func(t *testing.T) {
			m := machine(0)
			conformance.Run(t, conformance.Case{Kind: kind(), With: with, Programs: []string{`D:\setup.exe`},
				Open: func(*testing.T) node.Session { return m }})
			if _, asJob := with["as"]; asJob != (m.Asked("job.start", "admin") > 0) {
				t.Error("a job ran without a credential, or none ran with one")
			}
		})
	}
}

func TestExitCodes(t *testing.T) {
	for code, want := range map[int]struct{ reboot, fails bool }{0: {}, 3010: {reboot: true}, 1641: {reboot: true},
		1603: {fails: true}, 1618: {fails: true}, 1003: {fails: true}} {
		s := &Package{Path: `D:\tool.msi`, ProductCode: product}
		out, err := s.Apply(t.Context(), machine(code), steps.Diff{})
		got, _ := node.Code(err)
		if out.Reboot != want.reboot || (err != nil) != want.fails || (want.fails && got != int64(code)) {
			t.Errorf("code %d: %+v, %v", code, out, err)
		}
	}
	s := &Package{Path: `D:\tool.msi`, ProductCode: product, Codes: []int{1603}}
	if _, err := s.Apply(t.Context(), machine(1603), steps.Diff{}); err != nil {
		t.Errorf("a code that was declared good: %v", err)
	}
}

// A restart that was due before is told, explains a setup that failed, and is never taken for one
// that this setup asks for.
func TestRestartWasDueBefore(t *testing.T) {
	for code, want := range map[int]struct {
		reboot        bool
		warning, hint string
	}{
		0:    {warning: "a restart of NODE1 was due before this (servicing); it is left to whoever asked for it"},
		3010: {reboot: true},
		1603: {hint: "a restart of NODE1 was due before (servicing), which many setup programs refuse: restart the " +
			"machine, then run again"},
		1618: {hint: "another installation is running on the machine: wait for its end"},
	} {
		m := machine(code)
		m.SetKey(`HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\RebootPending`)
		out, err := (&Package{Path: `D:\tool.msi`, ProductCode: product}).Apply(t.Context(), m, steps.Diff{})
		if out.Reboot != want.reboot || strings.Join(out.Warnings, "; ") != want.warning || hint.Of(err) != want.hint {
			t.Errorf("code %d: %+v, %v, hint %q", code, out, err, hint.Of(err))
		}
	}
}

// What an interrupted run has left must not be taken for this run's success.
func TestOldJobIsForgotten(t *testing.T) {
	m := machine(0)
	s := &Package{Path: `D:\tool.msi`, ProductCode: product, As: "admin"}
	if _, err := s.Apply(t.Context(), m, steps.Diff{}); err != nil {
		t.Fatal(err)
	}
	started := m.Asked("job.start", "")
	if _, err := s.Apply(t.Context(), m, steps.Diff{}); err != nil {
		t.Fatal(err)
	}
	if m.Asked("job.remove", "") != 1 || m.Asked("job.start", "") != started+1 {
		t.Error("the job that had ended was not started anew")
	}
}

func TestValidate(t *testing.T) {
	for name, s := range map[string]*Package{
		"no way to tell":   {Path: "x.msi"},
		"two ways to tell": {Path: "x.msi", ProductCode: product, Detect: &Detect{Key: `HKLM\x`}},
	} {
		var fe *steps.FieldError
		if err := s.Validate(); !errors.As(err, &fe) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
