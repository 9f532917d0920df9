package winenodes

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// wineLoader starts a Windows program. The name "wine" is a script that looks for a 32-bit Wine
// first.
const wineLoader = "/usr/lib/wine/wine64"

// loud are the programs that Wine has and that do nothing, or lie, when they are run. Those without
// a path stand in system32.
func loud() []string {
	return []string{"arp", "cacls", "certutil", "dism", "fsutil", "icacls", "klist", "lodctr", "mofcomp", "net", "netsh",
		"pnputil", "regini", "robocopy", "schtasks",
		"secedit", "setx", "shutdown", "subst", "systeminfo", "unlodctr", "wevtutil", "wmic", "wusa",
		`WindowsPowerShell\v1.0\powershell`}
}

// environment is that of every process on the Windows side, beside what a caller adds. A program of
// Wine's own that has been covered in system32 has to be named as one that is to be taken from
// there.
func environment() []string {
	overrides := "mscoree,mshtml="
	for _, name := range loud() {
		overrides += ";" + name[strings.LastIndexByte(name, '\\')+1:] + ".exe=n"
	}
	return []string{"PATH=/usr/bin:/bin", "HOME=/home", "XDG_RUNTIME_DIR=/tmp", "WINEPREFIX=/wine", "WINEARCH=win64",
		"WINEDEBUG=-all", "LC_ALL=C.UTF-8",
		"WINEDLLOVERRIDES=" + overrides}
}

// view is a prefix seen from inside the tree.
type view struct {
	base
	prefix string            // on this machine; stands at /wine inside
	upper  string            // a directory for what is written over the prefix; "" writes into the prefix itself
	layers []string          // directories that lie between them, the topmost first
	binds  map[string]string // further directories, by their place inside, which must be there
	noZ    bool              // the programs see no drive but C:
}

// command makes a command that runs argv in the tree as the user, in namespaces of its own: nothing
// that it mounts or leaves running outlives it. dir is a path inside; env is added.
func (v view) command(ctx context.Context, dir string, env []string, argv ...string) *exec.Cmd {
	inner := append([]string{"chroot", "--userspec=" + user + ":" + group, v.tree, "/usr/bin/env", "-i", "--chdir=" + dir},
		environment()...)
	inner = append(append(inner, env...), argv...)
	cmd := exec.CommandContext(ctx, "unshare",
		append([]string{"--mount", "--pid", "--fork", "--kill-child", "--", "/bin/sh", "-c", v.mounts() + `"$@"; exit $?`,
			"sh"}, inner...)...)
	guarded(cmd)
	return cmd
}

// guarded has a command end with this process. Process 1 of its namespace, and with it everything
// in there, ends with the command; that is a shell that stays root, because a change of user takes
// back the wish to die with the parent.
func guarded(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = 10 * time.Second
}

// mounts is a script that builds the view in a mount namespace of its own.
func (v view) mounts() string {
	var s strings.Builder
	line := func(words ...string) {
		for i, w := range words {
			words[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
		s.WriteString(strings.Join(words, " ") + "\n")
	}
	s.WriteString("set -eu\nmount --make-rprivate /\n")
	line("mount", "-t", "proc", "proc", filepath.Join(v.tree, "proc"))
	line("mount", "--rbind", "/dev", filepath.Join(v.tree, "dev"))
	line("mount", "-t", "tmpfs", "-o", "mode=1777", "tmpfs", filepath.Join(v.tree, "tmp"))
	line("mount", "-t", "tmpfs", "-o", "mode=1777", "tmpfs", filepath.Join(v.tree, "home"))
	at := filepath.Join(v.tree, "wine")
	if v.upper == "" {
		line("mount", "--bind", v.prefix, at)
	} else {
		lower := strings.Join(append(append([]string{}, v.layers...), v.prefix), ":")
		line("mount", "-t", "overlay", "overlay", "-o",
			"lowerdir="+lower+",upperdir="+filepath.Join(v.upper, "up")+",workdir="+filepath.Join(v.upper, "work"), at)
	}
	if v.noZ {
		line("rm", "-f", filepath.Join(at, "dosdevices", "z:"))
	}
	for inside, outside := range v.binds {
		line("mount", "--bind", outside, filepath.Join(v.tree, inside))
	}
	return s.String()
}

// makeUpper makes the directories that an overlay writes to, as the user's.
func makeUpper(dir string) error {
	for _, d := range []string{"up", "work"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return err
		}
	}
	return os.Chown(filepath.Join(dir, "up"), userID, userID)
}
