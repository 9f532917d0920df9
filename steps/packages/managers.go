package packages

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"deploy/internal/node"
	"deploy/steps/linux"
)

// apt is the package manager of Debian and its kin.
type apt struct{}

func (apt) list() node.Query {
	return node.Tool{Argv: []string{"dpkg-query", "-W", "-f",
		"${db:Status-Abbrev}\t${Package}\t${Architecture}\t${Version}\n"}}
}

// parse keeps what is installed. Of the status, the second letter tells: i is installed, c only
// configuration files, n nothing; any other is a package half on its way, which has to be brought
// to its end and so does not count. Source: dpkg-query(1), dpkg(1).
func (apt) parse(stdout string) (out []installed) {
	for _, line := range linux.Lines(stdout) {
		f := strings.Split(line, "\t")
		if len(f) == 4 && len(f[0]) >= 2 && f[0][1] == 'i' {
			out = append(out, installed{f[1], f[2], f[3]})
		}
	}
	return out
}

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
			out = append(out, installed{f[0], f[1], f[2]})
		}
	}
	return out
}

// foresee cannot tell: dnf prints its transaction as a table for people.
func (dnf) foresee(context.Context, node.Reader, transaction) (come, gone []string, known bool, err error) {
	return nil, nil, false, nil
}

// argv: dnf fetches its lists by itself.
func (dnf) argv(t transaction) []string {
	switch t.Verb {
	case refresh:
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
