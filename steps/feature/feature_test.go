package feature

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/internal/testkit/conformance"
	"deploy/internal/testkit/nodetest"
	"deploy/steps"
	"deploy/steps/inspect"
)

// server is a French 2008 whose ServerManagerCmd answers with the codes given, in turn; then with
// 0.
func server(codes ...int) *nodetest.Machine {
	m := nodetest.New(node.WS2008)
	m.SetDir(`C:\Windows\Temp`)
	m.SetClass(`root\cimv2:Win32_Service`,
		node.Row{"Name": "ClusSvc", "StartMode": "Disabled", "State": "Stopped"})
	state := map[string]bool{"Failover-Clustering": false, "PowerShell": true, "Web-Server": false}
	m.Programs["servermanagercmd.exe"] = func(argv []string) node.Result {
		switch argv[1] {
		case "-query":
			var b strings.Builder
			b.WriteString("----- Rôles -----\r\n\r\n")
			for id, on := range state {
				fmt.Fprintf(&b, "    [%s] Clustering avec basculement (suite\r\nlongue)  [%s]\r\n",
					map[bool]string{true: "X", false: " "}[on], id)
			}
			return node.Result{Stdout: []byte(b.String())}
		case "-install", "-remove":
			code := 0
			if len(codes) > 0 {
				code, codes = codes[0], codes[1:]
			}
			if code == 0 || code == 3010 {
				state[argv[2]] = argv[1] == "-install"
			}
			return node.Result{Code: code, Stdout: []byte("Réussite")}
		}
		return node.Result{Code: 4}
	}
	return m
}

func TestTierConformanceAgainstScript(t *testing.T) {
	m := server()
	conformance.Run(t, conformance.Case{Kind: kind(),
		With: map[string]any{"names": []any{"Failover-Clustering", "powershell", "Web-Server"}},
		Open: func(*testing.T) node.Session { return m }})
	if m.Asked("run", "-install PowerShell") != 0 || m.Asked("run", "-remove PowerShell") != 0 {
		t.Error("what was installed already was touched")
	}
}

func TestExitCodesOf2008(t *testing.T) {
	for code, want := range map[int]struct{ reboot, fails bool }{0: {}, 1003: {}, 3010: {reboot: true},
		1004: {fails: true}, 5: {fails: true}, 1641: {fails: true}} {
		m := server(code)
		s := &Feature{Names: []string{"Web-Server"}}
		d, err := s.Check(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		out, err := s.Apply(t.Context(), m, d)
		got, _ := node.Code(err)
		if out.Reboot != want.reboot || (err != nil) != want.fails || (want.fails && got != int64(code)) {
			t.Errorf("code %d: %+v, %v", code, out, err)
		}
	}
}

func TestUnknownFeature(t *testing.T) {
	_, err := (&Feature{Names: []string{"Failover-Clusterin"}}).Check(t.Context(), server())
	if err == nil || !strings.Contains(hint.Of(err), "failover-clustering") {
		t.Errorf("error %v, hint %q", err, hint.Of(err))
	}
}

func TestNoFeaturesOn2003(t *testing.T) {
	if _, err := (&Feature{Names: []string{"x"}}).Check(t.Context(), nodetest.New(node.WS2003)); err == nil {
		t.Error("2003 has no features, and no error came")
	}
}

// A list that cannot be read must not look like a machine without features.
func TestCannotTell(t *testing.T) {
	m := server()
	for name, f := range map[string]func(argv []string) node.Result{
		"refused": func([]string) node.Result { return node.Result{Code: 1004} },
		"empty":   func([]string) node.Result { return node.Result{} },
		"sentence": func([]string) node.Result {
			return node.Result{Stdout: []byte("Impossible [1] de lire [la liste].")}
		},
	} {
		m.Programs["servermanagercmd.exe"] = f
		if all, err := inspect.Features(t.Context(), m); err == nil {
			t.Errorf("%s: %v", name, all)
		}
	}
}

func TestModule(t *testing.T) {
	for word, reboot := range map[string]bool{"No": false, "Yes": true, "Maybe": true} {
		m := nodetest.New(node.WS2022)
		installed := false
		m.Cmdlets["get-windowsfeature"] = func(map[string]any) ([]node.Row, error) {
			return []node.Row{{"Name": "Web-Server", "Installed": installed}, {"Name": "DNS", "Installed": true}}, nil
		}
		m.Cmdlets["install-windowsfeature"] = func(map[string]any) ([]node.Row, error) {
			installed = true
			return []node.Row{{"Success": true, "RestartNeeded:name": word, "ExitCode:name": "Success"}}, nil
		}
		m.Cmdlets["uninstall-windowsfeature"] = func(map[string]any) ([]node.Row, error) {
			installed = false
			return []node.Row{{"Success": true, "RestartNeeded:name": "No"}}, nil
		}
		conformance.Run(t, conformance.Case{Kind: kind(), With: map[string]any{"names": []any{"web-server"}},
			Open: func(*testing.T) node.Session { return m }})
		s := &Feature{Names: []string{"web-server"}}
		out, err := s.Apply(t.Context(), m, steps.Diff{})
		if err != nil || out.Reboot != reboot {
			t.Errorf("%s: %+v, %v", word, out, err)
		}
		installed = false
		m.Cmdlets["install-windowsfeature"] = func(map[string]any) ([]node.Row, error) {
			return []node.Row{{"Success": false, "RestartNeeded:name": "No", "ExitCode:name": "Failed"}}, nil
		}
		if _, err := s.Apply(t.Context(), m, steps.Diff{}); err == nil {
			t.Error("a failure was taken for success")
		}
	}
}

// A member of a cluster keeps the feature, whatever the journal says, whether its service runs or
// not; without an answer nothing is removed.
func TestUndoOnAClusterMember(t *testing.T) {
	const services = `root\cimv2:Win32_Service`
	row := func(start, state string) node.Row {
		return node.Row{"Name": "ClusSvc", "StartMode": start, "State": state}
	}
	for name, c := range map[string]struct {
		service node.Row
		hive    bool
		why     string
	}{
		"member":            {row("Auto", "Running"), true, "NODE1 is a member of cluster mbx01-clu"},
		"its service stops": {row("Auto", "Stopped"), false, "NODE1 is a member of cluster whose service does not run"},
		"started by hand":   {row("Manual", "Running"), true, "NODE1 is a member of cluster mbx01-clu"},
		"no member":         {row("Disabled", "Stopped"), false, ""},
	} {
		m := server()
		m.SetClass(services, c.service)
		s := &Feature{Names: []string{"Failover-Clustering", "Web-Server"}}
		d, err := s.Check(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Apply(t.Context(), m, d); err != nil {
			t.Fatal(err)
		}
		if c.hive {
			m.SetValue(`HKLM\Cluster`, "ClusterName", "string", "mbx01-clu")
		}
		err = s.Undo(t.Context(), m, d.Before)
		var left *steps.LeftError
		switch {
		case c.why == "" && (err != nil || m.Asked("run", "-remove Failover-Clustering") != 1):
			t.Errorf("%s: %v", name, err)
		case c.why != "" && (!errors.As(err, &left) || left.Why != c.why || m.Asked("run", "-remove") != 0):
			t.Errorf("%s: %v, want left: %s", name, err, c.why)
		}
		m.Break = func(r node.Request) error {
			if r.Verb == "wmi.get" {
				return &node.CodeError{Op: "wmi.get", Code: 5}
			}
			return nil
		}
		if err := s.Undo(t.Context(), m, d.Before); err == nil || errors.As(err, &left) && left.Why == c.why && c.why != "" {
			t.Errorf("%s: it cannot be told, and the answer is %v", name, err)
		}
	}
}
