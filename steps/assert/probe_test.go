package assert

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

const rebootKey = `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\RebootPending`

func check(t *testing.T, s steps.Step, r node.Reader) steps.Diff {
	t.Helper()
	d, err := s.Check(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return d
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
				changed := map[string][]any{"no_file": {`C:\there`}, "free_letter": {"C"}}
				if c.with["severity"] == "should" {
					changed["severity"] = []any{} // it does not hold, and that is what severity is about
				}
				conformance.Run(t, conformance.Case{Kind: probeKind(), With: c.with, OnlyLooks: true, Changed: changed,
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
}

func TestValidate(t *testing.T) {
	for name, s := range map[string]steps.Validator{
		"nothing": &Probe{Message: "m"},
	} {
		var fe *steps.FieldError
		if err := s.Validate(); !errors.As(err, &fe) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
