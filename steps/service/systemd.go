package service

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/steps"
	"deploy/steps/inspect"
	"deploy/steps/linux"
)

// unitBefore is what was found of a unit of systemd.
type unitBefore struct {
	File    string `json:"unit_file"` // systemd's own word
	Wanted  bool   `json:"wanted,omitempty"`
	Running bool   `json:"running"`
}

func onLinux(r node.Reader) bool { return r.Facts().OS == "linux" }

// unit reads the unit and refuses what cannot be wished of it.
func (s *Service) unit(ctx context.Context, r node.Reader) (inspect.Unit, error) {
	u, found, err := inspect.Units(ctx, r, s.Name)
	if err != nil {
		return u, err
	}
	if !found {
		if s.Until != "" {
			return u, steps.Until(s.Until, "it makes service "+s.Name)
		}
		return u, hint.Wrap(fmt.Errorf("cannot find service %s", inspect.UnitName(s.Name)),
			"is the package that brings it installed? `systemctl list-unit-files` shows what there is")
	}
	if u.Load != "loaded" && u.Load != "masked" {
		return u, hint.Wrap(fmt.Errorf("cannot use service %s: systemd could not load it (%s)", u.ID, u.Load),
			"`systemctl status` on the node tells why")
	}
	return u, s.refuse(u)
}

// refuse names the wishes that systemd cannot fulfil for this unit.
func (s *Service) refuse(u inspect.Unit) error {
	switch {
	case s.Start != "" && u.ID != inspect.UnitName(s.Name):
		return hint.Wrap(fmt.Errorf("cannot set the start type of service %s: that is an alias of %s, and may go with it",
			inspect.UnitName(s.Name), u.ID), "name "+u.ID)
	case s.Start == "delayed":
		return hint.Wrap(fmt.Errorf("cannot start service %s delayed: systemd has no delayed start", u.ID),
			"use start: auto; a timer unit starts something later")
	case s.Start == "auto" && (u.File == "static" || u.File == "indirect"):
		return hint.Wrap(fmt.Errorf("cannot set service %s to start: auto: its unit is %s, so it cannot be enabled", u.ID,
			u.File),
			"other units start it: enable those, or use state: running alone")
	case s.Start == "disabled" && u.File != "masked" && strings.HasPrefix(u.Path, "/etc/systemd/system/") &&
		!strings.Contains(u.ID, "@"):
		return hint.Wrap(fmt.Errorf("cannot disable service %s: its own unit file stands in /etc/systemd/system, where "+
			"the mask would stand", u.ID),
			"use start: manual with state: stopped, or remove the file")
	case (s.Start == "auto" || s.Start == "manual") &&
		!slices.Contains([]string{"enabled", "enabled-runtime", "disabled", "static", "indirect", "masked", "masked-runtime"},
			u.File):
		why := "its unit file is " + u.File
		if u.File == "" {
			why = "it has no unit file"
		}
		return hint.Wrap(fmt.Errorf("cannot set the start type of service %s: %s", u.ID, why),
			"give the step a state only, or disabled")
	case s.State == "running" && u.Type == "oneshot" && !u.Remain:
		return hint.Wrap(fmt.Errorf("cannot keep service %s running: it is a oneshot, which does its work and ends", u.ID),
			"give the step a start type only")
	}
	return nil
}

func (s *Service) checkUnit(ctx context.Context, r node.Reader) (steps.Diff, error) {
	u, err := s.unit(ctx, r)
	if err != nil {
		return steps.Diff{}, err
	}
	warnings, err := s.triggers(ctx, r, u)
	if err != nil {
		return steps.Diff{}, err
	}
	changes := s.changes(before{Start: u.Start(), Running: s.runs(u)})
	if len(changes) == 0 {
		d := steps.NoChange()
		d.Warnings = warnings
		return d, nil
	}
	d := steps.Diff{Action: steps.Update, Changes: changes, Warnings: warnings,
		Before: steps.MustJSON(unitBefore{u.File, u.Wanted, s.runs(u)}), Via: "systemd"}
	if s.State == "stopped" && u.Running() {
		d.Effects.Interrupts = s.Name
	}
	return d, nil
}

// runs says whether the unit counts as running for the declared state: one that systemd starts over
// and over again is neither running nor stopped.
func (s *Service) runs(u inspect.Unit) bool {
	if s.State == "stopped" {
		return !u.Stopped()
	}
	return u.Running()
}

// triggers tells of units at work that will start a stopped service again.
func (s *Service) triggers(ctx context.Context, r node.Reader, u inspect.Unit) (warnings []string, err error) {
	if s.State != "stopped" {
		return nil, nil
	}
	for _, name := range u.Triggers {
		t, found, err := inspect.Units(ctx, r, name)
		if err != nil {
			return nil, err
		}
		if found && !t.Stopped() {
			warnings = append(warnings, fmt.Sprintf("%s is active and can start %s again; stop it as well", name, u.ID))
		}
	}
	return warnings, nil
}

// fileWords are the unit file states that fulfil the start types.
var fileWords = map[string]string{"auto": "enabled", "manual": "disabled", "disabled": "masked"}

func (s *Service) applyUnit(ctx context.Context, n node.Node) error {
	u, err := s.unit(ctx, n)
	if err != nil {
		return err
	}
	file, running := u.File, s.runs(u)
	if s.Start != "" && s.Start != u.Start() {
		file = fileWords[s.Start]
	}
	if s.State != "" {
		running = s.State == "running"
	}
	return s.bringUnit(ctx, n, u, file, running)
}

func (s *Service) undoUnit(ctx context.Context, n node.Node, recorded json.RawMessage) error {
	var b unitBefore
	if err := json.Unmarshal(recorded, &b); err != nil {
		return fmt.Errorf("cannot read the recorded state: %w", err)
	}
	u, found, err := inspect.Units(ctx, n, s.Name)
	if err != nil {
		return err
	}
	if !found {
		return nil // what came with a package has gone with it
	}
	file, running := u.File, s.runs(u)
	start, state := false, false // what was right already was not changed
	for _, c := range s.changes(before{Start: inspect.Unit{File: b.File}.Start(), Running: b.Running}) {
		start, state = start || c.Attr == "start", state || c.Attr == "state"
	}
	if start {
		file = b.File
		// what stood behind the mask comes back before the mask does
		behind := ""
		switch {
		case !strings.HasPrefix(b.File, "masked"):
		case !b.Wanted && u.File == "enabled":
			behind = "disabled"
		case b.Wanted && u.File == "disabled":
			behind = "enabled"
		}
		if behind != "" {
			if err := s.setFile(ctx, n, u, behind); err != nil {
				return err
			}
		}
	}
	if state {
		running = b.Running
	}
	return s.bringUnit(ctx, n, u, file, running)
}

// bringUnit stops before it masks, and unmasks before it starts.
func (s *Service) bringUnit(ctx context.Context, n node.Node, u inspect.Unit, file string, running bool) error {
	if u.Reload {
		if err := linux.Do(ctx, n, nil, "systemctl", "daemon-reload"); err != nil {
			return fmt.Errorf("cannot make systemd read its units anew: %w", err)
		}
	}
	if !u.Stopped() && !running {
		if err := s.controlUnit(ctx, n, u.ID, "stop"); err != nil {
			return err
		}
	}
	if err := s.setFile(ctx, n, u, file); err != nil {
		return err
	}
	if !u.Running() && running {
		return s.controlUnit(ctx, n, u.ID, "start")
	}
	return nil
}

// setFile brings the unit file from one state to another. Behind a mask stands the state that the
// unit had before it was masked.
func (s *Service) setFile(ctx context.Context, n node.Node, u inspect.Unit, want string) error {
	systemctl := func(args ...string) error {
		if err := linux.Do(ctx, n, nil, append([]string{"systemctl", "--no-ask-password"}, args...)...); err != nil {
			return fmt.Errorf("cannot %s service %s: %w", args[0], u.ID, err)
		}
		return nil
	}
	if u.File == want {
		return nil
	}
	if strings.HasPrefix(u.File, "masked") {
		runtime := []string{"unmask"}
		if u.File == "masked-runtime" {
			runtime = append(runtime, "--runtime")
		}
		if err := systemctl(append(runtime, "--", u.ID)...); err != nil {
			return err
		}
		now, found, err := inspect.Units(ctx, n, u.ID)
		if err != nil {
			return err
		}
		if !found {
			return nil // there was nothing behind the mask
		}
		if u = now; u.File == want {
			return nil
		}
	}
	switch want {
	case "enabled":
		return systemctl("enable", "--", u.ID)
	case "enabled-runtime":
		if u.File == "enabled" {
			if err := systemctl("disable", "--", u.ID); err != nil {
				return err
			}
		}
		return systemctl("enable", "--runtime", "--", u.ID)
	case "masked":
		return systemctl("mask", "--", u.ID)
	case "masked-runtime":
		return systemctl("mask", "--runtime", "--", u.ID)
	case "disabled":
		if strings.HasSuffix(u.File, "-runtime") {
			if err := systemctl("disable", "--runtime", "--", u.ID); err != nil {
				return err
			}
		}
		if u.File == "static" || u.File == "indirect" {
			return nil // nothing to take away: only other units start it
		}
		return systemctl("disable", "--", u.ID)
	}
	return nil // static, generated and the like: unmasking has brought it back
}

// controlUnit starts or stops the unit and waits until it has come to rest.
func (s *Service) controlUnit(ctx context.Context, n node.Node, id, verb string) error {
	start := verb == "start"
	if start {
		// a unit that failed too often is refused until its count is taken back; that there is
		// nothing to take back is no error
		if err := linux.Do(ctx, n, []int{1}, "systemctl", "reset-failed", "--", id); err != nil {
			return fmt.Errorf("cannot %s service %s: %w", verb, id, err)
		}
	}
	if err := linux.Do(ctx, n, nil, "systemctl", "--no-ask-password", verb, "--", id); err != nil {
		return hint.Wrap(fmt.Errorf("cannot %s service %s: %w", verb, id, err),
			"`systemctl status` and `journalctl -u` on the node tell why")
	}
	return inspect.Wait(ctx, "service "+id+" to be "+stateWord(start), settle, func(ctx context.Context) (bool, error) {
		u, found, err := inspect.Units(ctx, n, id)
		switch {
		case err != nil:
			return false, err
		case !start:
			return !found || u.Active == "inactive" || u.Active == "failed", nil
		case !found:
			return false, fmt.Errorf("cannot find service %s any more", id)
		case u.Active == "failed":
			return false, hint.Wrap(fmt.Errorf("cannot start service %s: it failed", id),
				"`journalctl -u` on the node tells why")
		}
		return u.Active == "active", nil
	})
}
