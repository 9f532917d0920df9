package service

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/steps"
	"deploy/steps/inspect"
	"deploy/steps/linux"
)

// Service sets how a service of Windows, or a unit of systemd, starts and whether it runs.
type Service struct {
	Name  string `json:"name" required:"true" doc:"service name (not the display name), like MSExchangeIS; on Linux the unit's, where .service may be left out" check:"compared"`
	Start string `json:"start" enum:"auto|delayed|manual|disabled" doc:"start type; no key leaves it; delayed needs Windows 2008 or later; on Linux auto is enabled, manual is disabled, disabled is masked" check:"compared"`
	State string `json:"state" enum:"running|stopped" doc:"whether it runs now; no key leaves it" check:"compared"`
	Until string `json:"until,omitempty" doc:"tag of the earlier step that makes the service; with it, a service that is not there yet is unknown in a plan" check:"instruction:order"`
}

// before holds what was found. Start may also be boot or system.
type before struct {
	Start   string `json:"start"`
	Running bool   `json:"running"`
}

// settle is how long a service may take to start or stop. Windows itself waits 30 seconds for an
// answer to a control, but the Exchange information store was seen to take minutes.
const settle = 5 * time.Minute

func kind() steps.Kind {
	all := node.WindowsReleases()
	return steps.Kind{
		Name:    "service",
		Summary: "Sets how a service starts and whether it runs: a Windows service, or a unit of systemd.",
		Doc: "On Windows: reads the service through WMI and, for delayed starts, the registry. Start types are set " +
			"through WMI; the delayed start, " +
			"which WMI cannot set, by sc.exe. Starting and stopping waits until the service has come to rest, five minutes " +
			"at most. " +
			"A service that others depend on is not stopped while they run. " +
			"On Linux: reads the unit by systemctl show and works through systemctl. The three start types are systemd's " +
			"enabled, disabled and masked: " +
			"only masking keeps other units and people from starting it. A static unit counts as manual and cannot be auto; " +
			"a generated one has no start type; " +
			"a oneshot that does not remain cannot be kept running. When a unit's file has changed, systemd reads its units " +
			"anew first.",
		Undo: "Puts the recorded start type and state back, of those that the step had changed.",
		Proof: "unit-tested on a scripted machine; played in the lab for every Windows release; names checked against " +
			"recorded tables; " + linux.Proof,
		Sources: []string{"Win32_Service", "sc config", `HKLM\SYSTEM\CurrentControlSet\Services: Start, DelayedAutostart`,
			"systemctl(1)", "org.freedesktop.systemd1(5)"},
		Calls: []node.Call{
			inspect.UnitCall(),
			inspect.ServiceCall(all),
			{WMI: inspect.CIMv2 + ":Win32_Service", Props: []string{"Name"}, Method: "ChangeStartMode",
				Args: []string{"StartMode"}, On: all},
			{WMI: inspect.CIMv2 + ":Win32_Service", Props: []string{"Name"}, Method: "StartService", On: all},
			{WMI: inspect.CIMv2 + ":Win32_Service", Props: []string{"Name"}, Method: "StopService", On: all},
			{Tool: "sc.exe", On: inspect.From(node.WS2008), Source: "sc config start= delayed-auto, Windows Server command " +
				"reference"},
		},
		ReadForms: forms(),
		New:       func() steps.Step { return &Service{} },
		Example:   "name: MSExchangeIS\nstart: manual\n",
	}
}

// Kind names the step.
func (s *Service) Kind() string { return "service" }

// Validate looks at the data.
func (s *Service) Validate() error {
	if s.Start == "" && s.State == "" {
		return steps.FieldErr("start", "give start or state")
	}
	if s.Start == "disabled" && s.State == "running" {
		return steps.FieldErr("state", "a disabled service cannot be started")
	}
	return nil
}

func (s *Service) key() string { return `HKLM\SYSTEM\CurrentControlSet\Services\` + s.Name }

// Reads names what Check will ask.
func (s *Service) Reads(f node.Facts) []node.Query {
	if f.OS == "linux" {
		if f.Init != "systemd" {
			return nil
		}
		return []node.Query{inspect.UnitQuery(s.Name)}
	}
	reads := []node.Query{inspect.ServiceQuery(s.Name)}
	if s.Start != "" {
		reads = append(reads, node.Registry{Key: s.key()})
	}
	return reads
}

// Check compares what is declared.
func (s *Service) Check(ctx context.Context, r node.Reader) (steps.Diff, error) {
	if onLinux(r) {
		return s.checkUnit(ctx, r)
	}
	if s.Start == "delayed" && !r.Facts().Release.AtLeast(node.WS2008) {
		return steps.Diff{}, hint.Wrap(fmt.Errorf("cannot start service %s delayed: Windows Server 2003 has no delayed start",
			s.Name), "use start: auto")
	}
	now, err := s.read(ctx, r)
	if err != nil {
		return steps.Diff{}, err
	}
	changes := s.changes(now)
	if len(changes) == 0 {
		return steps.NoChange(), nil
	}
	d := steps.Diff{Action: steps.Update, Changes: changes, Before: steps.MustJSON(now), Via: "WMI"}
	if s.State == "stopped" && now.Running {
		d.Effects.Interrupts = s.Name
	}
	return d, nil
}

func (s *Service) changes(now before) (changes []steps.Change) {
	if s.Start != "" && s.Start != now.Start {
		changes = append(changes, steps.Change{Attr: "start", From: now.Start, To: s.Start})
	}
	if s.State != "" && (s.State == "running") != now.Running {
		changes = append(changes, steps.Change{Attr: "state", From: stateWord(now.Running), To: s.State})
	}
	return changes
}

func stateWord(running bool) string {
	if running {
		return "running"
	}
	return "stopped"
}

// read tells how the service stands. A service between two states counts as the state that it is on
// its way to, so that a second look after a wait is honest; Apply waits for the end of the way.
func (s *Service) read(ctx context.Context, r node.Reader) (before, error) {
	svc, found, err := inspect.Services(ctx, r, s.Name)
	if err != nil {
		return before{}, err
	}
	if !found {
		if s.Until != "" {
			return before{}, steps.Until(s.Until, "it makes service "+s.Name)
		}
		return before{}, hint.Wrap(fmt.Errorf("cannot find service %s", s.Name),
			"is the product that brings it installed? the name is the short one, not what the services window shows")
	}
	b := before{Start: strings.ToLower(svc.Start), Running: strings.EqualFold(svc.State, "Running") ||
		strings.EqualFold(svc.State, "Start Pending")}
	if s.Start != "" {
		// Win32_Service.DelayedAutoStart came with Windows Server 2016; the registry value with
		// 2008.
		v, found, err := inspect.RegistryValue(ctx, r, s.key(), "DelayedAutostart")
		if err != nil {
			return before{}, err
		}
		if b.Start == "auto" && found && v.Text() == "1" {
			b.Start = "delayed"
		}
	}
	return b, nil
}

// Apply sets the start type before it starts the service, and after it has stopped it.
func (s *Service) Apply(ctx context.Context, n node.Node, _ steps.Diff) (steps.Outcome, error) {
	if onLinux(n) {
		return steps.Outcome{}, s.applyUnit(ctx, n)
	}
	now, err := s.read(ctx, n)
	if err != nil {
		return steps.Outcome{}, err
	}
	want := now
	if s.Start != "" {
		want.Start = s.Start
	}
	if s.State != "" {
		want.Running = s.State == "running"
	}
	return steps.Outcome{}, s.bring(ctx, n, now, want)
}

// Undo puts the recorded start type and state back.
func (s *Service) Undo(ctx context.Context, n node.Node, recorded json.RawMessage) error {
	if onLinux(n) {
		return s.undoUnit(ctx, n, recorded)
	}
	var b before
	if err := json.Unmarshal(recorded, &b); err != nil {
		return fmt.Errorf("cannot read the recorded state: %w", err)
	}
	now, err := s.read(ctx, n)
	if err != nil {
		return err
	}
	want := now
	for _, c := range s.changes(b) { // what was right already was not changed
		if c.Attr == "start" {
			want.Start = b.Start
		} else {
			want.Running = b.Running
		}
	}
	return s.bring(ctx, n, now, want)
}

func (s *Service) bring(ctx context.Context, n node.Node, now, want before) error {
	if now.Running && !want.Running {
		if err := s.control(ctx, n, "StopService", false); err != nil {
			return err
		}
	}
	if now.Start != want.Start {
		if err := s.setStart(ctx, n, now.Start, want.Start); err != nil {
			return err
		}
	}
	if !now.Running && want.Running {
		return s.control(ctx, n, "StartService", true)
	}
	return nil
}

// modeWords are ChangeStartMode's words, which are not those that StartMode reads back. Source:
// Win32_Service.ChangeStartMode.
var modeWords = map[string]string{"auto": "Automatic", "manual": "Manual", "disabled": "Disabled", "boot": "Boot",
	"system": "System"}

func (s *Service) setStart(ctx context.Context, n node.Node, from, to string) error {
	if to == "delayed" || (from == "delayed" && to == "auto") {
		// the service manager keeps the delayed flag in memory: the registry value alone would
		// only count after a restart
		word := map[string]string{"delayed": "delayed-auto", "auto": "auto"}[to]
		res, err := n.Run(ctx, node.Cmd{Argv: []string{"sc.exe", "config", s.Name, "start=", word}})
		if err != nil {
			return fmt.Errorf("cannot set the start type of service %s: %w", s.Name, err)
		}
		if res.Code != 0 {
			return fmt.Errorf("cannot set the start type of service %s: %w", s.Name,
				&node.CodeError{Op: "sc config", Code: int64(res.Code)})
		}
		return nil
	}
	word, ok := modeWords[to]
	if !ok {
		return fmt.Errorf("cannot set the start type of service %s to %q: no such type", s.Name, to)
	}
	code, err := s.call(ctx, n, "ChangeStartMode", map[string]any{"StartMode": word})
	if err == nil && code != 0 {
		err = fmt.Errorf("cannot set the start type of service %s: %w", s.Name,
			&node.CodeError{Op: "Win32_Service.ChangeStartMode", Code: code})
	}
	return err
}

// Return values of StartService and StopService that mean that the service is where it should be,
// or on its way. Source: Win32_Service.StartService, StopService.
const (
	wmiDependents = 3
	wmiWrongState = 5 // the control does not fit the state: it is stopped already
	wmiNotActive  = 6
	wmiTimeout    = 7
	wmiRunning    = 10
	wmiDisabled   = 14
)

func (s *Service) control(ctx context.Context, n node.Node, method string, running bool) error {
	code, err := s.call(ctx, n, method, nil)
	if err != nil {
		return err
	}
	switch {
	case code == 0, code == wmiTimeout, running && code == wmiRunning, !running &&
		(code == wmiWrongState || code == wmiNotActive):
	case code == wmiDependents:
		return hint.Wrap(fmt.Errorf("cannot stop service %s: other running services depend on it", s.Name),
			"stop those first, by steps of their own")
	case code == wmiDisabled:
		return hint.Wrap(fmt.Errorf("cannot start service %s: it is disabled", s.Name), "give the step a start type as well")
	default:
		return hint.Wrap(fmt.Errorf("cannot control service %s: %w", s.Name,
			&node.CodeError{Op: "Win32_Service." + method, Code: code}),
			"the system's event log tells why")
	}
	want := map[bool]string{true: "Running", false: "Stopped"}[running]
	return inspect.Wait(ctx, "service "+s.Name+" to be "+stateWord(running), settle,
		func(ctx context.Context) (bool, error) {
			svc, found, err := inspect.Services(ctx, n, s.Name)
			if err == nil && !found {
				err = fmt.Errorf("cannot find service %s any more", s.Name)
			}
			return strings.EqualFold(svc.State, want), err
		})
}

func (s *Service) call(ctx context.Context, n node.Node, method string, args map[string]any) (int64, error) {
	rows, err := n.Do(ctx, node.WMICall{Namespace: inspect.CIMv2, Class: "Win32_Service",
		Where: map[string]any{"Name": s.Name}, Method: method, Args: args})
	if err != nil {
		return 0, fmt.Errorf("cannot call %s of service %s: %w", method, s.Name, err)
	}
	if len(rows) == 0 || !rows[0].Has("ReturnValue") {
		return 0, fmt.Errorf("cannot call %s of service %s: no return value came back", method, s.Name)
	}
	return rows[0].Int("ReturnValue"), nil
}
