// Package linux holds what the sessions on Linux (packages local and shell) share: how facts are
// read, how errors are numbered, how words are quoted for a shell, and the scripts that start and
// watch jobs. It sends no request itself.
package linux

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"deploy/internal/node"
)

// ReleaseFiles are where os-release(5) is, the first that exists counts.
func ReleaseFiles() []string { return []string{"/etc/os-release", "/usr/lib/os-release"} }

// Raw is what a machine says of itself, as its files have it.
type Raw struct {
	Release  string // os-release(5); "" when there is none
	BootID   string // /proc/sys/kernel/random/boot_id
	Init     string // /proc/1/stat
	Machine  string // uname -m
	Computer string // uname -n
	ID       string // /etc/machine-id; "" when there is none
	Systemd  bool   // /run/systemd/system exists
	UID      int
}

// Facts makes facts of what a machine says. A file that cannot be understood is an error, never a
// guess.
func (r Raw) Facts() (node.Facts, error) {
	values, err := ParseRelease(r.Release)
	if err != nil {
		return node.Facts{}, fmt.Errorf("cannot understand os-release: %w", err)
	}
	start, err := StartTime(r.Init)
	if err != nil {
		return node.Facts{}, fmt.Errorf("cannot tell when process 1 started: %w", err)
	}
	boot := strings.TrimSpace(r.BootID)
	if boot == "" {
		return node.Facts{}, errors.New("the boot id is empty")
	}
	f := node.Facts{
		OS: "linux", Release: node.Linux, Version: values["VERSION_ID"], Distro: values["ID"], Arch: Arch(r.Machine),
		Computer: strings.TrimSpace(r.Computer), BootID: boot + "-" + strconv.FormatUint(start, 10), Privileged: r.UID == 0,
	}
	if id := strings.TrimSpace(r.ID); isMachineID(id) {
		f.Machine = id
	}
	if f.Distro == "" {
		f.Distro = "linux" // os-release(5): the default of ID
	}
	if r.Systemd {
		f.Init = "systemd"
	}
	if f.Computer == "" {
		return node.Facts{}, errors.New("the host name is empty")
	}
	return f, nil
}

// isMachineID says that the text is an id of machine-id(5); what stands there before the first boot
// ("uninitialized") is none.
func isMachineID(s string) bool {
	if len(s) != 32 {
		return false
	}
	return strings.Trim(s, "0123456789abcdef") == "" && strings.Trim(s, "0") != ""
}

// ParseRelease reads os-release(5): assignments as a shell takes them, without expansion. Anything
// else in it is an error.
func ParseRelease(text string) (map[string]string, error) {
	values := map[string]string{}
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		name, raw, ok := strings.Cut(line, "=")
		if !ok || !isName(name) {
			return nil, fmt.Errorf("line %d is no assignment", i+1)
		}
		value, err := unquote(raw)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		values[name] = value
	}
	return values, nil
}

func isName(s string) bool {
	for i, c := range s {
		letter := c == '_' || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z')
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

func unquote(s string) (string, error) {
	if s == "" {
		return "", nil
	}
	var out strings.Builder
	switch q := s[0]; q {
	case '\'':
		body, ok := strings.CutSuffix(s[1:], "'")
		if !ok || strings.Contains(body, "'") {
			return "", errors.New("a quotation mark is not closed, or text follows it")
		}
		return body, nil
	case '"':
		for i := 1; i < len(s); i++ {
			switch c := s[i]; {
			case c == '"':
				if i != len(s)-1 {
					return "", errors.New("text follows the closing quotation mark")
				}
				return out.String(), nil
			case c == '\\' && i+1 < len(s) && strings.IndexByte("\"$\\`", s[i+1]) >= 0:
				i++
				out.WriteByte(s[i])
			case c == '$' || c == '`':
				return "", errors.New("expansions are not allowed")
			default:
				out.WriteByte(c)
			}
		}
		return "", errors.New("a quotation mark is not closed")
	}
	if strings.ContainsAny(s, " \t'\"$`\\;&|<>()") {
		return "", errors.New("a value with such characters must be quoted")
	}
	return s, nil
}

// StartTime reads field 22 of /proc/PID/stat: when the process started, in clock ticks since the
// kernel's boot.
func StartTime(stat string) (uint64, error) {
	i := strings.LastIndexByte(stat, ')') // the name before it may hold anything
	if i < 0 {
		return 0, errors.New("not a line of /proc/PID/stat")
	}
	fields := strings.Fields(stat[i+1:])
	if len(fields) < 20 {
		return 0, errors.New("too few fields in /proc/PID/stat")
	}
	return strconv.ParseUint(fields[19], 10, 64)
}

// Arch is Go's word for what uname -m says; a machine that is not known keeps its own.
func Arch(machine string) string {
	machine = strings.TrimSpace(machine)
	switch machine {
	case "x86_64", "amd64":
		return "amd64"
	case "i386", "i486", "i586", "i686":
		return "386"
	case "aarch64", "arm64":
		return "arm64"
	case "armv5l", "armv6l", "armv7l", "armv8l", "arm":
		return "arm"
	}
	return machine // ppc64le, s390x, riscv64 are the same in both
}
