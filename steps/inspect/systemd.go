package inspect

import (
	"context"
	"fmt"
	"strings"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/steps/linux"
)

// Unit is how a unit of systemd stands. The words are systemd's own and the same in every language.
// Source: systemctl(1), org.freedesktop.systemd1(5).
type Unit struct {
	ID     string // its name; that of the unit itself when it was asked for by an alias
	Load   string // loaded, not-found, masked, error, bad-setting
	Active string // active, reloading, inactive, failed, activating, deactivating
	Sub    string // running, exited, dead, auto-restart ...
	File   string // enabled, disabled, static, masked, generated, indirect, linked ...; "" without a unit file
	Path   string // of the unit file
	Type   string // of a service: simple, oneshot ...
	Remain bool   // a oneshot that counts as active after it has ended
	Wanted bool   // other units start it: behind a mask, this tells that it is enabled
	Reload bool   // its file has changed since systemd read it
	// Triggers are the units that start this one when something happens: sockets, timers, paths
	Triggers []string
}

var unitProps = []string{"Id", "LoadState", "ActiveState", "SubState", "UnitFileState", "FragmentPath", "Type",
	"RemainAfterExit", "WantedBy", "RequiredBy", "NeedDaemonReload", "TriggeredBy"}

// UnitName completes a name without a unit type by ".service".
func UnitName(name string) string {
	for _, t := range []string{".service", ".socket", ".timer", ".mount", ".automount", ".path", ".target", ".swap",
		".slice", ".scope", ".device"} {
		if strings.HasSuffix(name, t) {
			return name
		}
	}
	return name + ".service"
}

func unitArgv(name string) []string {
	return []string{"systemctl", "show", "--no-pager", "--property=" + strings.Join(unitProps, ","), "--", UnitName(name)}
}

// UnitQuery asks for one unit.
func UnitQuery(name string) node.Query { return node.Tool{Argv: unitArgv(name)} }

// UnitCall declares UnitQuery.
func UnitCall() node.Call {
	return node.Call{Tool: "systemctl", On: linux.Linux(), Source: "systemctl(1)"}
}

// Units reads one unit; found is false when there is none of that name. A machine whose process 1
// is not systemd is an error.
func Units(ctx context.Context, r node.Reader, name string) (u Unit, found bool, err error) {
	if r.Facts().Init != "systemd" {
		return Unit{}, false, hint.Wrap(fmt.Errorf("cannot check service %s: process 1 of the node is not systemd",
			UnitName(name)),
			"services of other init systems are not known here; use a command step")
	}
	a, err := linux.Ask(ctx, r, unitArgv(name)...)
	if err != nil {
		return Unit{}, false, err
	}
	if a.Code != 0 {
		return Unit{}, false, fmt.Errorf("cannot check service %s: %w", UnitName(name), a.Failed("systemctl show"))
	}
	v := map[string]string{}
	for _, line := range linux.Lines(a.Stdout) {
		if key, value, ok := strings.Cut(line, "="); ok {
			v[key] = value
		}
	}
	if v["LoadState"] == "" || v["ActiveState"] == "" {
		return Unit{}, false, fmt.Errorf("cannot check service %s: systemctl gave no state", UnitName(name))
	}
	u = Unit{ID: v["Id"], Load: v["LoadState"], Active: v["ActiveState"], Sub: v["SubState"], File: v["UnitFileState"],
		Path: v["FragmentPath"],
		Type: v["Type"], Remain: v["RemainAfterExit"] == "yes",
		Wanted: v["WantedBy"] != "" || v["RequiredBy"] != "", Reload: v["NeedDaemonReload"] == "yes",
		Triggers: strings.Fields(v["TriggeredBy"])}
	if u.ID == "" {
		u.ID = UnitName(name)
	}
	return u, u.Load != "not-found", nil
}

// Running says that the unit runs or is on its way to; one that systemd starts over and over again
// does not.
func (u Unit) Running() bool {
	switch u.Active {
	case "active", "reloading", "refreshing":
		return true
	case "activating":
		return u.Sub != "auto-restart"
	}
	return false
}

// Stopped says that the unit has come to rest. One that waits to be started again, or is on its way
// down, has not: systemd goes on with it.
func (u Unit) Stopped() bool { return u.Active == "inactive" || u.Active == "failed" }

// Start is the start type as the service kind words it: auto, manual, disabled, or systemd's own
// word for what is none of these. A static unit has no [Install] section: nothing but other units
// starts it, which is manual.
func (u Unit) Start() string {
	switch u.File {
	case "enabled":
		return "auto"
	case "disabled", "static", "indirect":
		return "manual"
	case "masked":
		return "disabled"
	case "":
		return "none"
	}
	return u.File
}
