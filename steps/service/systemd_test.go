package service

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/internal/testkit/conformance"
	"deploy/internal/testkit/nodetest"
	"deploy/steps"
)

// unit is one unit of the scripted systemd. under is the state behind a mask.
type unit struct {
	file, under, active, sub, typ, path string
	fails, reload                       bool
}

// systemd answers systemctl for its units as systemd 252 does.
type systemd struct {
	units map[string]*unit
	calls []string
	looks int
}

func (s *systemd) run(argv []string) node.Result {
	name := argv[len(argv)-1]
	u := s.units[name]
	verb := argv[1]
	if verb == "--no-ask-password" {
		verb = argv[2]
	}
	if verb != "show" {
		s.calls = append(s.calls, strings.Join(argv[slices.Index(argv, verb):], " "))
	}
	runtime := ""
	if slices.Contains(argv, "--runtime") {
		runtime = "-runtime"
	}
	if verb == "daemon-reload" {
		for _, u := range s.units {
			u.reload = false
		}
		return node.Result{}
	}
	if u == nil {
		if verb == "show" {
			return node.Result{Stdout: []byte("Id=" + name +
				"\nLoadState=not-found\nActiveState=inactive\nSubState=dead\nUnitFileState=\nFragmentPath=\nNeedDaemonReload=no\n")}
		}
		return node.Result{Code: 5}
	}
	switch verb {
	case "show":
		load := "loaded"
		if strings.HasPrefix(u.file, "masked") {
			load = "masked"
		}
		if s.looks++; u.active == "activating" && s.looks > 2 {
			u.active, u.sub = "active", "running"
		}
		wanted := ""
		if u.file == "enabled" || (strings.HasPrefix(u.file, "masked") && u.under == "enabled") {
			wanted = "multi-user.target"
		}
		reload := map[bool]string{true: "yes", false: "no"}[u.reload]
		return node.Result{Stdout: []byte(
			fmt.Sprintf("Id=%s\nLoadState=%s\nActiveState=%s\nSubState=%s\nUnitFileState=%s\nFragmentPath=%s\n"+
				"Type=%s\nRemainAfterExit=no\nWantedBy=%s\nNeedDaemonReload=%s\n",
				name, load, u.active, u.sub, u.file, u.path, u.typ, wanted, reload))}
	case "start":
		switch {
		case strings.HasPrefix(u.file, "masked"):
			return node.Result{Code: 1}
		case u.fails:
			u.active, u.sub = "failed", "failed"
		default:
			u.active, u.sub, s.looks = "activating", "start", 0
		}
	case "stop":
		u.active, u.sub = "inactive", "dead"
	case "enable":
		if u.file != "enabled" { // enabling for this boot does not take the lasting link away
			u.file = "enabled" + runtime
		}
	case "disable":
		u.file = "disabled"
	case "mask":
		u.file, u.under = "masked"+runtime, u.file
	case "unmask":
		u.file = u.under
	case "reset-failed":
		return node.Result{Code: 1}
	default:
		return node.Result{Code: 1, Stderr: []byte("no such verb")}
	}
	return node.Result{}
}

func linuxMachine(u *unit) (*nodetest.Machine, *systemd) {
	m := nodetest.NewLinux()
	s := &systemd{units: map[string]*unit{"chrony.service": u}}
	m.Programs["systemctl"] = s.run
	return m, s
}

func running(file string) *unit {
	return &unit{file: file, under: "enabled", active: "active", sub: "running", typ: "simple",
		path: "/lib/systemd/system/chrony.service"}
}

func stopped(file string) *unit {
	u := running(file)
	u.active, u.sub = "inactive", "dead"
	return u
}

func TestTierConformanceSystemdAgainstScript(t *testing.T) {
	for name, c := range map[string]struct {
		with map[string]any
		unit *unit
	}{
		"masked and stopped": {map[string]any{"name": "chrony", "start": "disabled", "state": "stopped"},
			running("enabled")},
		"runs, was masked": {map[string]any{"name": "chrony.service", "start": "auto", "state": "running"},
			stopped("masked")},
		"disabled, was masked":    {map[string]any{"name": "chrony", "start": "manual"}, stopped("masked")},
		"auto, was for this boot": {map[string]any{"name": "chrony", "start": "auto"}, running("enabled-runtime")},
		"auto, masked this boot":  {map[string]any{"name": "chrony", "start": "auto"}, stopped("masked-runtime")},
		"a static one is masked":  {map[string]any{"name": "chrony", "start": "disabled"}, stopped("static")},
		"auto, disabled behind": {map[string]any{"name": "chrony", "start": "auto"},
			func() *unit { u := stopped("masked"); u.under = "disabled"; return u }()},
		"state alone": {map[string]any{"name": "chrony", "state": "running"}, stopped("static")},
		"start alone": {map[string]any{"name": "chrony", "start": "manual"}, running("enabled")},
	} {
		t.Run(name, func(t *testing.T) {
			m, _ := linuxMachine(c.unit)
			start := *c.unit
			conformance.Run(t, conformance.Case{Kind: kind(), With: c.with, Open: func(*testing.T) node.Session { return m }})
			if c.unit.file != start.file || (strings.HasPrefix(start.file, "masked") && c.unit.under != start.under) {
				t.Errorf("was %+v, is %+v", start, *c.unit)
			}
		})
	}
}

// A restart loop is not running, a unit on its way is; both are told by systemd's words.
func TestSystemdStates(t *testing.T) {
	for state, running := range map[[2]string]bool{{"active", "running"}: true, {"reloading", "reload"}: true,
		{"activating", "start"}:        true,
		{"activating", "auto-restart"}: false, {"failed", "failed"}: false, {"inactive", "dead"}: false,
		{"deactivating", "stop"}: false} {
		u := stopped("enabled")
		u.active, u.sub = state[0], state[1]
		m, s := linuxMachine(u)
		s.looks = -10
		d, err := (&Service{Name: "chrony", State: "running"}).Check(t.Context(), m)
		if err != nil || (d.Action == steps.NoOp) != running {
			t.Errorf("%v: %+v, %v", state, d, err)
		}
		rests := state[0] == "failed" || state[0] == "inactive"
		d, err = (&Service{Name: "chrony", State: "stopped"}).Check(t.Context(), m)
		if err != nil || (d.Action == steps.NoOp) != rests {
			t.Errorf("stopped, %v: %+v, %v", state, d, err)
		}
	}
}

func TestSystemdRefuses(t *testing.T) {
	own := stopped("enabled")
	own.path = "/etc/systemd/system/chrony.service"
	once := stopped("enabled")
	once.typ = "oneshot"
	for name, c := range map[string]struct {
		s    *Service
		unit *unit
	}{
		"delayed":                 {&Service{Name: "chrony", Start: "delayed"}, stopped("enabled")},
		"static cannot be auto":   {&Service{Name: "chrony", Start: "auto"}, stopped("static")},
		"generated":               {&Service{Name: "chrony", Start: "manual"}, stopped("generated")},
		"no unit file":            {&Service{Name: "chrony", Start: "auto"}, stopped("")},
		"mask over its own file":  {&Service{Name: "chrony", Start: "disabled"}, own},
		"oneshot kept running":    {&Service{Name: "chrony", State: "running"}, once},
		"linked from elsewhere":   {&Service{Name: "chrony", Start: "manual"}, stopped("linked")},
		"no such unit":            {&Service{Name: "nothing", State: "running"}, stopped("")},
		"running though disabled": {&Service{Name: "chrony", State: "running"}, nil},
	} {
		m, _ := linuxMachine(c.unit)
		if c.unit == nil {
			m.F.Init = ""
		}
		_, err := c.s.Check(t.Context(), m)
		if err == nil || hint.Of(err) == "" {
			t.Errorf("%s: error %v", name, err)
		}
	}
	var until *steps.UntilError
	m, _ := linuxMachine(stopped(""))
	if _, err := (&Service{Name: "later", State: "running", Until: "packages"}).Check(t.Context(), m); !errors.As(err,
		&until) {
		t.Errorf("error %v", err)
	}
}

func TestSystemdStartThatFails(t *testing.T) {
	u := stopped("enabled")
	u.fails, u.reload = true, true
	m, s := linuxMachine(u)
	_, err := (&Service{Name: "chrony", State: "running"}).Apply(t.Context(), m, steps.Diff{})
	if err == nil || hint.Of(err) == "" {
		t.Errorf("error %v", err)
	}
	if want := []string{"daemon-reload", "reset-failed -- chrony.service",
		"start -- chrony.service"}; !slices.Equal(s.calls, want) {
		t.Errorf("calls %q", s.calls)
	}
}

// What systemctl cannot tell is not "absent".
func TestSystemdThatCannotTell(t *testing.T) {
	for name, res := range map[string]node.Result{"code": {Code: 1, Stderr: []byte("Failed to connect to bus")},
		"nothing": {}} {
		m, _ := linuxMachine(stopped("enabled"))
		m.Programs["systemctl"] = func([]string) node.Result { return res }
		var until *steps.UntilError
		if d, err := (&Service{Name: "chrony", State: "running", Until: "x"}).Check(t.Context(), m); err == nil ||
			errors.As(err, &until) {
			t.Errorf("%s: %+v, %v", name, d, err)
		}
	}
}

func TestSystemdUndoOfWhatIsGone(t *testing.T) {
	m, s := linuxMachine(stopped("enabled"))
	delete(s.units, "chrony.service")
	if err := (&Service{Name: "chrony", State: "running"}).Undo(t.Context(), m,
		steps.MustJSON(unitBefore{File: "enabled", Running: true})); err != nil {
		t.Error(err)
	}
}
