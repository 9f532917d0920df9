package assert

import (
	"testing"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/internal/testkit/conformance"
	"deploy/internal/testkit/nodetest"
	"deploy/steps"
	"deploy/steps/inspect"
)

func debian() *nodetest.Machine {
	m := nodetest.NewLinux()
	m.SetFile("/proc/net/tcp", []byte("  sl  local_address rem_address   st\n   0: 00000000:0016 00000000:0000 0A "+
		"00000000:00000000\n   1: 0100007F:1F90 0100007F:0001 01 0\n"))
	m.SetFile("/proc/net/tcp6", []byte("  sl  local_address\n   0: 00000000000000000000000000000000:0050 "+
		"00000000000000000000000000000000:0000 0A 0\n"))
	m.SetFile("/srv/reports/Report-1.html", []byte("done"))
	m.Programs["systemctl"] = func(argv []string) node.Result {
		if argv[len(argv)-1] != "ssh.service" {
			return node.Result{Stdout: []byte("Id=x\nLoadState=not-found\nActiveState=inactive\n")}
		}
		return node.Result{Stdout: []byte(
			"Id=ssh.service\nLoadState=loaded\nActiveState=active\nSubState=running\nUnitFileState=enabled\n")}
	}
	return m
}

func TestTierConformanceProbeOfLinux(t *testing.T) {
	for name, c := range map[string]struct {
		with map[string]any
		ok   bool
	}{
		"distribution":       {map[string]any{"distros": []any{"ubuntu", "debian"}}, true},
		"other distribution": {map[string]any{"distros": []any{"rhel"}}, false},
		"release":            {map[string]any{"releases": []any{"linux"}}, true},
		"unit": {map[string]any{"service": map[string]any{"name": "ssh", "state": "running", "start": "auto"}},
			true},
		"unit stopped":     {map[string]any{"service": map[string]any{"name": "ssh", "state": "stopped"}}, false},
		"unit masked":      {map[string]any{"service": map[string]any{"name": "ssh", "start": "disabled"}}, false},
		"no unit":          {map[string]any{"service": map[string]any{"name": "telnet", "absent": true}}, true},
		"unit is missing":  {map[string]any{"service": map[string]any{"name": "telnet"}}, false},
		"port":             {map[string]any{"listens": 22}, true},
		"port of IPv6":     {map[string]any{"listens": 80}, true},
		"port of a client": {map[string]any{"listens": 8080}, false},
		"restart":          {map[string]any{"pending_reboot": "none"}, true},
		"file":             {map[string]any{"file": "/srv/reports/Report-1.html", "no_file": "/SRV"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			c.with["message"] = "it does not hold"
			m := debian()
			if c.ok {
				conformance.Run(t, conformance.Case{Kind: probeKind(), With: c.with, OnlyLooks: true,
					Changed: map[string][]any{"no_file": {"/srv/reports/Report-1.html"}, "distros": {[]any{"rhel"}}},
					Open:    func(*testing.T) node.Session { return m }})
				return
			}
			step, err := probeKind().Decode(c.with)
			if err != nil {
				t.Fatal(err)
			}
			if d := check(t, step, m); d.Action != steps.Run {
				t.Errorf("%+v", d)
			}
		})
	}
	m := debian()
	m.SetFile(inspect.RebootMark, nil)
	if d := check(t, &Probe{Message: "m", PendingReboot: "none"}, m); d.Action != steps.Run {
		t.Errorf("a restart is due: %+v", d)
	}
}

func TestProbeOfTheOtherSystem(t *testing.T) {
	for _, s := range []*Probe{{Features: []string{"x"}}, {FreeLetter: "E"}, {Registry: &inspect.ExpectedValue{Key: `HKLM\x`}},
		{Adapters: 1}, {Disks: []string{"x"}}, {ServicePack: 1}} {
		if _, err := s.Check(t.Context(), debian()); err == nil || hint.Of(err) == "" {
			t.Errorf("%+v on Linux: %v", s, err)
		}
	}
	for _, s := range []*Probe{{Distros: []string{"debian"}}, {Listens: 22}} {
		if _, err := s.Check(t.Context(), nodetest.New(node.WS2022)); err == nil || hint.Of(err) == "" {
			t.Errorf("%+v on Windows: %v", s, err)
		}
	}
	m := debian()
	m.F.Distro = "rocky"
	if _, err := (&Probe{PendingReboot: "none"}).Check(t.Context(), m); err == nil || hint.Of(err) == "" {
		t.Errorf("no mark of a restart is known: %v", err)
	}
	delete(m.Files, "/proc/net/tcp")
	delete(m.Files, "/proc/net/tcp6")
	if _, err := (&Probe{Listens: 1}).Check(t.Context(), m); err == nil {
		t.Error("no table of sockets, and no error came")
	}
}
