package inspect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"deploy/internal/node"
	"deploy/steps/linux"
)

// RebootMark is where packages of Debian and its kin say that a restart is due; RebootPackages has
// their names, one a line. Source: update-notifier's notify-reboot-required, which the maintainer
// scripts of packages call; unattended-upgrades' kernel hook.
const (
	RebootMark     = "/run/reboot-required"
	RebootPackages = RebootMark + ".pkgs"
)

// rebootTool is what tells it on RHEL, Fedora and their kin, where it is installed. Source:
// dnf-plugins-core, needs-restarting(1): with -r the exit code is 1 when a restart is due, and the
// packages that ask for it stand in lines " * NAME".
const rebootTool = "/usr/bin/needs-restarting"

// ErrNoRebootMark says that a Linux machine has nothing that tells whether a restart is due.
var ErrNoRebootMark = errors.New("it keeps no mark for that which is known here")

// Due is what asks for a restart of a Linux machine.
type Due struct {
	// Reasons are names of packages; "packages" where only the mark is there.
	Reasons []string
	marked  time.Time // when the mark was written last
	tool    bool      // a program told it, and no mark
}

// RebootCalls declares what RestartDue runs.
func RebootCalls() []node.Call {
	return linux.Calls("needs-restarting(1), dnf-plugins-core; asked only where it is installed", "needs-restarting")
}

// RestartDue tells what asks for a restart of a Linux machine. ErrNoRebootMark: this machine cannot
// tell.
func RestartDue(ctx context.Context, r node.Reader) (Due, error) {
	fail := func(err error) (Due, error) {
		return Due{}, fmt.Errorf("cannot tell whether a restart is due: %w", err)
	}
	info, err := r.Stat(ctx, RebootMark)
	if err == nil {
		d := Due{marked: info.Modified}
		if d.Reasons, err = rebootPackages(ctx, r); err != nil {
			return fail(err)
		}
		return d, nil
	}
	if !errors.Is(err, node.ErrNotFound) {
		return fail(err)
	}
	switch r.Facts().Distro {
	case "debian", "ubuntu", "raspbian", "linuxmint", "pop", "kali", "devuan":
		return Due{}, nil
	}
	there, err := Exists(ctx, r, rebootTool)
	if err != nil {
		return fail(err)
	}
	if !there {
		return fail(ErrNoRebootMark)
	}
	a, err := linux.Ask(ctx, r, "needs-restarting", "-r")
	if err != nil {
		return fail(err)
	}
	d := Due{tool: true}
	for _, line := range linux.Lines(a.Stdout) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "* "); ok {
			d.Reasons = append(d.Reasons, strings.TrimSpace(name))
		}
	}
	// an error of Python's ends with 1 as well, and lists no package
	if due := len(d.Reasons) > 0; (a.Code != 0 || due) && (a.Code != 1 || !due) {
		return fail(a.Failed("needs-restarting"))
	}
	return d, nil
}

// rebootPackages reads who asked. Without names it is "packages".
func rebootPackages(ctx context.Context, r node.Reader) ([]string, error) {
	none := []string{"packages"}
	f, err := r.Open(ctx, RebootPackages)
	if errors.Is(err, node.ErrNotFound) {
		return none, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	const most = 64 << 10
	b, err := io.ReadAll(io.LimitReader(f, most))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, line := range linux.Lines(string(b)) {
		if line = strings.TrimSpace(line); line != "" && !slices.Contains(names, line) {
			names = append(names, line)
		}
	}
	if len(names) == 0 {
		return none, nil
	}
	return names, nil
}

// Since tells what asks for a restart now and did not before, so that what others left is not taken
// for one's own. A mark that was there and was written again counts: then what asked before is
// asked for again. The program of RHEL tells a package only once.
func (d Due) Since(before Due) []string {
	var fresh []string
	for _, r := range d.Reasons {
		if !slices.Contains(before.Reasons, r) {
			fresh = append(fresh, r)
		}
	}
	if len(fresh) == 0 && len(d.Reasons) > 0 && !d.tool && !d.marked.Equal(before.marked) {
		return slices.Clone(d.Reasons)
	}
	return fresh
}
