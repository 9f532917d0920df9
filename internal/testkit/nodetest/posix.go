package nodetest

import (
	"fmt"
	"strings"
	"time"

	"deploy/internal/node"
)

// NewLinux makes a machine with a Debian: paths have slashes and are told apart by case, files have
// mode, owner and group, and "/" is there.
func NewLinux() *Machine {
	m := New(node.Linux)
	m.posix = true
	m.F = node.Facts{OS: "linux", Release: node.Linux, Version: "12", Distro: "debian", Arch: "amd64", Init: "systemd",
		Computer: "node1", BootID: "1", Privileged: true}
	m.SetDir("/")
	m.Programs["readlink"] = func([]string) node.Result { return node.Result{Code: 1} } // it has no links
	return m
}

// Own sets mode, owner and group of a file that is there.
func (m *Machine) Own(path string, mode uint32, owner, group string) {
	f := m.file(path)
	f.Mode, f.Owner, f.Group = mode, owner, group
}

// fold makes the key under which a path stands in Files.
func (m *Machine) fold(path string) string {
	if !m.posix {
		return strings.ToLower(strings.TrimRight(path, `\`))
	}
	if path != "/" {
		path = strings.TrimRight(path, "/")
	}
	return path
}

// above returns the directory that holds path, "" above the root.
func (m *Machine) above(path string) string {
	if !m.posix {
		return parentOf(path)
	}
	i := strings.LastIndexByte(strings.TrimRight(path, "/"), '/')
	switch {
	case path == "/" || i < 0:
		return ""
	case i == 0:
		return "/"
	}
	return path[:i]
}

// fresh is a file or directory as a new one is made.
func (m *Machine) fresh(path string, dir bool, data []byte) *File {
	f := &File{Path: path, Dir: dir, Data: data, Modified: time.Unix(1_000_000_000, 0)}
	switch {
	case m.posix && dir:
		f.Mode, f.Owner, f.Group = 0o755, "root", "root"
	case m.posix:
		f.Mode, f.Owner, f.Group = 0o644, "root", "root"
	case dir:
		f.SDDL = "D:AI(A;OICIID;FA;;;SY)(A;OICIID;FA;;;BA)"
	}
	return f
}

// setMode is node.SetMode.
func (m *Machine) setMode(a node.SetMode) error {
	if !m.posix {
		return fmt.Errorf("file.mode: %w", node.ErrUnsupported)
	}
	f := m.file(a.Path)
	if f == nil {
		return node.ErrNotFound
	}
	if a.Mode != nil {
		f.Mode = *a.Mode
	}
	if a.Owner != "" {
		f.Owner = a.Owner
	}
	if a.Group != "" {
		f.Group = a.Group
	}
	return nil
}

// options gives a written file what WriteOptions say, with old as what was there before, or nil.
func (f *File) options(o node.WriteOptions, old *File) {
	if old != nil {
		f.Mode, f.Owner, f.Group = old.Mode, old.Owner, old.Group
	}
	if o.Mode != 0 {
		f.Mode = o.Mode
	}
	if o.Owner != "" {
		f.Owner = o.Owner
	}
	if o.Group != "" {
		f.Group = o.Group
	}
}
