package manual

import (
	"errors"
	"strings"
	"testing"
	"time"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/internal/testkit/conformance"
	"deploy/internal/testkit/nodetest"
	"deploy/steps"
)

const rebootKey = `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\RebootPending`

func check(t *testing.T, s steps.Step, r node.Reader) steps.Diff {
	t.Helper()
	d, err := s.Check(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestTierConformanceGate(t *testing.T) {
	m := nodetest.New(node.WS2008)
	m.SetDir(`C:\Reports`)
	conformance.Run(t, conformance.Case{
		Kind:   gateKind(),
		With:   map[string]any{"title": "Validate", "text": "...", "report": `C:\Reports\*.mht`, "min_size": 3},
		Open:   func(*testing.T) node.Session { return m },
		Person: func(*testing.T) { m.SetFile(`C:\Reports\Überprüfung 1.MHT`, []byte("html")) },
	})
}

func TestGateBelievesNoSignOff(t *testing.T) {
	m := nodetest.New(node.WS2008)
	s := &Gate{Title: "Validate", Report: `C:\Reports\r.mht`, Operator: "validate-cluster"}
	if g := s.Gate(); g.Argument != `C:\Reports\r.mht` {
		t.Errorf("argument %q", g.Argument)
	}
	_, err := s.Apply(t.Context(), m, check(t, s, m))
	if err == nil || hint.Of(err) == "" {
		t.Errorf("error %v", err)
	}
}

func TestGateWantsANewReport(t *testing.T) {
	m := nodetest.New(node.WS2008)
	m.SetFile(`C:\Reports\r.mht`, []byte("old"))
	m.SetFile(`C:\Windows\Cluster\CLUSDB`, nil)
	s := &Gate{Title: "Validate", Report: `C:\Reports\r.mht`, Newer: `C:\Windows\Cluster\CLUSDB`}
	for name, c := range map[string]struct {
		written time.Duration
		data    string
		ok      bool
	}{"older": {-time.Hour, "x", false}, "newer": {time.Hour, "x", true}, "empty": {time.Hour, "", false}} {
		f := m.Files[`c:\reports\r.mht`]
		f.Modified, f.Data = m.Files[`c:\windows\cluster\clusdb`].Modified.Add(c.written), []byte(c.data)
		if d := check(t, s, m); (d.Action == steps.NoOp) != c.ok {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

func TestTierConformanceProbe(t *testing.T) {
	m := nodetest.New(node.WS2008R2)
	m.F.ServicePack = 1
	m.F.Arch = "amd64"
	m.SetClass(`root\cimv2:Win32_Service`, node.Row{"Name": "ClusSvc", "StartMode": "Manual", "State": "Stopped"})
	m.SetClass(`root\cimv2:Win32_LogicalDisk`, node.Row{"DeviceID": "C:", "DriveType": int64(3), "FileSystem": "NTFS",
		"VolumeName": ""})
	m.SetValue(`HKLM\SOFTWARE\X`, "V", "dword", int64(3))
	m.SetFile(`C:\there`, nil)
	m.SetClass(`root\cimv2:Win32_NetworkAdapter`, node.Row{"MACAddress": "00:15:5D:00:00:01", "NetConnectionID": "Public",
		"PhysicalAdapter": true},
		node.Row{"MACAddress": "00:15:5D:00:00:02", "NetConnectionID": "Private member", "PhysicalAdapter": true},
		node.Row{"MACAddress": "00:15:5D:00:00:02", "NetConnectionID": "Private", "PhysicalAdapter": false},
		node.Row{"MACAddress": "00:15:5D:00:00:01", "NetConnectionID": nil, "PhysicalAdapter": false})
	m.Cmdlets["get-windowsfeature"] = func(map[string]any) ([]node.Row, error) {
		return []node.Row{{"Name": "Web-Server", "Installed": true}, {"Name": "DNS", "Installed": false}}, nil
	}
	for name, c := range map[string]struct {
		with map[string]any
		ok   bool
	}{
		"release":       {map[string]any{"releases": []any{"2008r2", "2012"}}, true},
		"other release": {map[string]any{"releases": []any{"2008"}}, false},
		"service pack":  {map[string]any{"min_service_pack": 2}, false},
		"arch":          {map[string]any{"arch": "amd64"}, true},
		"domain":        {map[string]any{"domain": "CONTOSO.com"}, true},
		"other domain":  {map[string]any{"domain": "fabrikam.com"}, false},
		"feature":       {map[string]any{"features": []any{"web-server"}}, true},
		"no feature":    {map[string]any{"features": []any{"Web-Server", "DNS"}}, false},
		"service": {map[string]any{"service": map[string]any{"name": "ClusSvc", "state": "stopped",
			"start": "manual"}}, true},
		"service runs":    {map[string]any{"service": map[string]any{"name": "ClusSvc", "state": "running"}}, false},
		"service starts":  {map[string]any{"service": map[string]any{"name": "ClusSvc", "start": "auto"}}, false},
		"no service":      {map[string]any{"service": map[string]any{"name": "IISADMIN", "absent": true}}, true},
		"service missing": {map[string]any{"service": map[string]any{"name": "IISADMIN"}}, false},
		"value": {map[string]any{"registry": map[string]any{"key": `HKLM\SOFTWARE\X`, "name": "v", "data": "3"}},
			true},
		"other value": {map[string]any{"registry": map[string]any{"key": `HKLM\SOFTWARE\X`, "name": "v", "data": "4"}},
			false},
		"not other value": {map[string]any{"registry": map[string]any{"key": `HKLM\SOFTWARE\X`, "name": "v", "data": "4",
			"absent": true}}, true},
		"key":              {map[string]any{"registry": map[string]any{"key": `HKLM\SOFTWARE\X`}}, true},
		"no key":           {map[string]any{"registry": map[string]any{"key": `HKLM\SOFTWARE\Y`, "absent": true}}, true},
		"file":             {map[string]any{"file": `C:\there`}, true},
		"no file":          {map[string]any{"no_file": `C:\there`}, false},
		"free letter":      {map[string]any{"free_letter": "E"}, true},
		"taken letter":     {map[string]any{"free_letter": "c:"}, false},
		"plain card":       {map[string]any{"plain_adapters": []any{"00-15-5d-00-00-01"}}, true},
		"team":             {map[string]any{"plain_adapters": []any{"00-15-5d-00-00-01", "00-15-5d-00-00-02"}}, false},
		"pending restart":  {map[string]any{"pending_reboot": "none"}, true},
		"two, one broken":  {map[string]any{"arch": "amd64", "min_service_pack": 2}, false},
		"two, both hold":   {map[string]any{"arch": "amd64", "min_service_pack": 1}, true},
		"should only warn": {map[string]any{"min_service_pack": 2, "severity": "should"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			c.with["message"] = "it does not hold"
			step, err := probeKind().Decode(c.with)
			if err != nil {
				t.Fatal(err)
			}
			d := check(t, step, m)
			if (d.Action == steps.NoOp) != c.ok {
				t.Fatalf("%+v", d)
			}
			if !d.Effects.NothingToUndo && d.Action != steps.NoOp {
				t.Error("a probe leaves nothing to undo")
			}
			if c.with["severity"] == "should" && len(d.Warnings) != 1 {
				t.Errorf("warnings %q", d.Warnings)
			}
			if c.ok {
				conformance.Run(t, conformance.Case{Kind: probeKind(), With: c.with, OnlyLooks: true,
					Open: func(*testing.T) node.Session { return m }})
				return
			}
			if _, err := step.Apply(t.Context(), m, d); err == nil || !strings.Contains(err.Error(), "it does not hold") {
				t.Errorf("apply: %v", err)
			}
		})
	}
}

func TestProbeNamesItsRuleAndPassesOnceRepaired(t *testing.T) {
	m := nodetest.New(node.WS2008)
	m.SetKey(rebootKey)
	s := &Probe{Rule: "SCC-02", Message: "a restart is due", Hint: "restart it", Severity: "must", PendingReboot: "none"}
	d := check(t, s, m)
	_, err := s.Apply(t.Context(), m, d)
	if err == nil || !strings.Contains(err.Error(), "SCC-02") || !strings.Contains(err.Error(), "servicing") ||
		hint.Of(err) != "restart it" {
		t.Errorf("error %v, hint %q", err, hint.Of(err))
	}
	delete(m.Registry, strings.ToLower(rebootKey))
	if _, err := s.Apply(t.Context(), m, d); err != nil {
		t.Errorf("after the repair: %v", err)
	}
}

func TestProbeThatCannotTell(t *testing.T) {
	m := nodetest.New(node.WS2008)
	m.Break = func(node.Request) error { return &node.CodeError{Op: "reg.get", Code: 5} }
	for _, s := range []*Probe{{Message: "m", PendingReboot: "none"}, {Message: "m", File: `C:\x`},
		{Message: "m", Service: &Running{Name: "x", Absent: true}}} {
		if d, err := s.Check(t.Context(), m); err == nil {
			t.Errorf("%+v", d)
		}
	}
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

func TestValidate(t *testing.T) {
	for name, s := range map[string]steps.Validator{
		"gate without proof":   &Gate{Title: "t", Text: "t"},
		"two stars":            &Gate{Report: `C:\*\*.mht`},
		"newer than nothing":   &Gate{Value: &Value{Key: `HKLM\x`}, Newer: `C:\x`},
		"other hive":           &Gate{Value: &Value{Key: `HKCU\x`}},
		"probe of nothing":     &Probe{Message: "m"},
		"unknown release":      &Probe{Message: "m", Releases: []string{"2010"}},
		"no letter":            &Probe{Message: "m", FreeLetter: "EE"},
		"command without work": &Command{CheckArgv: []string{"x"}},
		"0 is to be done":      &Command{CheckArgv: []string{"x"}, ApplyArgv: []string{"x"}, Todo: []int{0}},
	} {
		var fe *steps.FieldError
		if err := s.Validate(); !errors.As(err, &fe) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A card that is not there, and a release that does not tell, are no plain cards.
func TestPlainCardCannotBeTold(t *testing.T) {
	m := nodetest.New(node.WS2008)
	m.SetClass(`root\cimv2:Win32_NetworkAdapter`, node.Row{"MACAddress": "00:15:5D:00:00:01", "NetConnectionID": "Public",
		"PhysicalAdapter": true})
	if _, err := (&Probe{Message: "m", Plain: []string{"00:15:5D:00:00:09"}}).Check(t.Context(), m); err == nil {
		t.Error("a card that is not there holds")
	}
	if _, err := (&Probe{Message: "m", Plain: []string{"00:15:5D:00:00:01"}}).Check(t.Context(),
		nodetest.New(node.WS2003)); err == nil || hint.Of(err) == "" {
		t.Errorf("on 2003: %v", err)
	}
	if err := (&Probe{Message: "m", Severity: "must", Plain: []string{"x"}}).Validate(); err == nil {
		t.Error("x is no hardware address")
	}
}
