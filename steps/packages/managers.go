package packages

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"deploy/internal/node"
	"deploy/steps/inspect"
	"deploy/steps/linux"
)

// apt is the package manager of Debian and its kin.
type apt struct{}

func (apt) list() node.Query {
	return node.Tool{Argv: []string{"dpkg-query", "-W", "-f",
		"${db:Status-Abbrev}\t${Package}\t${Architecture}\t${Version}\n"}}
}

// parse keeps what is installed. Of the status, the second letter tells: i is installed, c only
// configuration files, n nothing; any other is a package half on its way, which has files on the
// disk and has to be brought to its end. Source: dpkg-query(1), dpkg(1).
func (apt) parse(stdout string) (out []installed) {
	for _, line := range linux.Lines(stdout) {
		f := strings.Split(line, "\t")
		if len(f) != 4 || len(f[0]) < 2 || strings.ContainsRune("cn", rune(f[0][1])) {
			continue
		}
		p := installed{Name: f[1], Arch: f[2], Version: f[3]}
		if f[0][1] != 'i' {
			p.Half = strings.TrimSpace(f[0])
		}
		out = append(out, p)
	}
	return out
}

// updates holds files while dpkg works, and after it was cut off. Source: dpkg(1), --configure;
// apt's own test of an interrupted dpkg.
const updates = "/var/lib/dpkg/updates"

func (apt) interrupted(ctx context.Context, r node.Reader) (bool, error) {
	names, _, err := inspect.Contents(ctx, r, updates)
	return len(names) > 0, err
}

// dpkgLocked is dpkg's code when its database cannot be had, as while another one works. Source:
// dpkg(1), EXIT STATUS.
const dpkgLocked = 2

// lockWait is how long another installation is waited for.
const lockWait = 10 * time.Minute

// aptNone is apt-get's only code for a failure. Source: apt-get(8).
const aptNone = 100

// foresee reads the lines Inst and Remv of a simulation, which are no sentences and are not
// translated.
func (apt) foresee(ctx context.Context, r node.Reader, t transaction) (come, gone []string, known bool, err error) {
	argv := []string{"apt-get", "-s", "-q", "-o", "Debug::NoLocking=true"}
	switch t.Verb {
	case install:
		argv = append(argv, "--allow-downgrades", recommends(t.Recommends), "install")
	case remove:
		argv = append(argv, "remove")
	case sweep:
		argv = append(argv, "--auto-remove", "remove")
	}
	a, err := linux.Ask(ctx, r, append(argv, t.Names...)...)
	if err != nil {
		return nil, nil, false, err
	}
	if a.Code == aptNone {
		return nil, nil, false, nil // the lists are not there yet, or do not know the name: the installation itself will tell
	}
	if a.Code != 0 {
		return nil, nil, false, fmt.Errorf("cannot simulate the installation: %w", a.Failed("apt-get -s"))
	}
	for _, line := range linux.Lines(a.Stdout) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		name := strings.TrimSuffix(f[1], ":"+debianArch(r.Facts().Arch))
		switch f[0] {
		case "Inst":
			come = append(come, name)
		case "Remv":
			gone = append(gone, name)
		}
	}
	slices.Sort(come)
	slices.Sort(gone)
	return come, gone, true, nil
}

// debianArch is the machine's architecture in Debian's words.
func debianArch(arch string) string {
	switch arch {
	case "386":
		return "i386"
	case "arm":
		return "armhf"
	}
	return arch
}

// lockHeld ends with this code when one of the files is locked.
const lockHeld = 3

// lockScript asks for the holder of a lock without taking it, as apt would take it: F_GETLK of
// fcntl(2), on the structure of 64-bit Linux. Perl is on every Debian (perl-base is essential).
const lockScript = `use Fcntl; for (@ARGV) { open(F, "+<", $_) or next; my $l = pack("s s x4 q q i x4", F_WRLCK, 0, 0, 0, 0);
fcntl(F, F_GETLK, $l) or next; exit 3 if (unpack("s", $l))[0] != F_UNLCK; } exit 0`

// aptHeld says that another program holds a lock that DPkg::Lock::Timeout does not wait for: that
// of the package lists, or of the downloaded packages. Source: apt.conf(5); apt's
// pkgAcquire::GetLock.
func aptHeld(ctx context.Context, n node.Node) (bool, error) {
	if arch := n.Facts().Arch; arch != "amd64" && arch != "arm64" {
		return false, nil
	}
	res, err := n.Run(ctx, node.Cmd{Argv: []string{"perl", "-e", lockScript, "/var/lib/apt/lists/lock",
		"/var/cache/apt/archives/lock"}, Timeout: time.Minute})
	var broken *node.LinkError
	if errors.As(err, &broken) {
		return false, err
	}
	return err == nil && res.Code == lockHeld, nil // a machine without Perl cannot tell: what apt-get said stands
}

func recommends(yes bool) string {
	if yes {
		return "--install-recommends"
	}
	return "--no-install-recommends"
}

// quiet starts apt-get so that it never asks, keeps changed configuration files and waits for a
// lock.
func quiet(args ...string) []string {
	return append([]string{"env", "DEBIAN_FRONTEND=noninteractive", "NEEDRESTART_MODE=a", "apt-get", "-y", "-q", "-o",
		"DPkg::Lock::Timeout=600",
		"-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold"}, args...)
}

func (apt) argv(t transaction) []string {
	switch t.Verb {
	case refresh:
		return quiet("update")
	case finish:
		return []string{"env", "DEBIAN_FRONTEND=noninteractive", "NEEDRESTART_MODE=a", "dpkg", "--force-confdef",
			"--force-confold", "--configure", "-a"}
	case install:
		return quiet(append([]string{"--allow-downgrades", recommends(t.Recommends), "install"}, t.Names...)...)
	}
	return quiet(append([]string{"remove"}, t.Names...)...)
}

func (apt) exact(p installed) string {
	name := p.Name
	if p.Arch != "" && p.Arch != "all" {
		name += ":" + p.Arch
	}
	return name + "=" + p.Version
}

func (apt) same(have, want string) bool { return have == want }

// dnf is the package manager of Fedora, RHEL and their kin.
type dnf struct{}

func (dnf) list() node.Query {
	return node.Tool{Argv: []string{"rpm", "-qa", "--qf", "%{NAME}\t%{ARCH}\t%{EPOCHNUM}:%{VERSION}-%{RELEASE}\n"}}
}

func (dnf) parse(stdout string) (out []installed) {
	for _, line := range linux.Lines(stdout) {
		if f := strings.Split(line, "\t"); len(f) == 3 && f[0] != "gpg-pubkey" {
			out = append(out, installed{Name: f[0], Arch: f[1], Version: f[2]})
		}
	}
	return out
}

// interrupted: rpm's transactions leave no list of what is still to be done.
func (dnf) interrupted(context.Context, node.Reader) (bool, error) { return false, nil }

// foresee tells what a removal takes along: what requires the packages, and what requires that.
// What an installation would do dnf prints as a table for people, so it cannot be told.
func (dnf) foresee(ctx context.Context, r node.Reader, t transaction) (come, gone []string, known bool, err error) {
	if t.Verb != remove {
		return nil, nil, false, nil
	}
	for _, name := range t.Names {
		a, err := linux.Ask(ctx, r, "dnf", "-q", "-C", "repoquery", "--installed", "--recursive", "--qf", "%{name}\\n",
			"--whatrequires", name)
		if err != nil {
			return nil, nil, false, err
		}
		if a.Code != 0 {
			return nil, nil, false, nil // it has no repoquery, or its own database cannot be read
		}
		gone = append(append(gone, name), strings.Fields(a.Stdout)...)
	}
	slices.Sort(gone)
	return nil, slices.Compact(gone), true, nil
}

// argv: dnf fetches its lists by itself.
func (dnf) argv(t transaction) []string {
	switch t.Verb {
	case refresh, finish:
		return nil
	case install:
		weak := "False"
		if t.Recommends {
			weak = "True"
		}
		return append([]string{"dnf", "-y", "-q", "--setopt=install_weak_deps=" + weak, "install"}, t.Names...)
	}
	return append([]string{"dnf", "-y", "-q", "remove"}, t.Names...)
}

func (dnf) exact(p installed) string {
	out := p.Name + "-" + strings.TrimPrefix(p.Version, "0:")
	if p.Arch != "" {
		out += "." + p.Arch
	}
	return out
}

// same compares as far as the wish goes: with or without epoch and release.
func (dnf) same(have, want string) bool {
	_, bare, _ := strings.Cut(have, ":")
	version, _, _ := strings.Cut(bare, "-")
	return want == have || want == bare || want == version
}
