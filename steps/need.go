package steps

import (
	"fmt"
	"strings"

	"deploy/internal/node"
)

// Need is an operating system that a task is for, and what says so.
type Need struct {
	OS   string   // as node.Facts has it
	Why  string   // "kind feature", "path C:\\farm"
	Path []string // of the value that says so, as in FieldError; nil for the kind itself
}

// Needs are the systems that a step with this data is for: the kind's own, and those of paths that
// are written as one system writes them. The same data on another system would make something that
// nobody asked for: a directory with the name C:\farm.
func (k Kind) Needs(with map[string]any) []Need {
	var out []Need
	if k.OS != "" {
		out = append(out, Need{OS: k.OS, Why: "kind " + k.Name})
	}
	for _, v := range k.Values("path", with) {
		os := "windows"
		if strings.HasPrefix(v.Text, "/") {
			os = "linux"
		}
		if os != k.OS {
			out = append(out, Need{OS: os, Why: "path " + v.Text, Path: v.Path})
		}
	}
	return out
}

// SystemError says that a task is for another system than its node runs.
type SystemError struct {
	Need Need
	Node string
	Runs string // "debian 12"
}

func (e *SystemError) Error() string {
	return fmt.Sprintf("%s is for %s; %s runs %s", e.Need.Why, systemWord(e.Need.OS), e.Node, e.Runs)
}

// Refuse answers a SystemError when the task is for another system than that of facts. Facts that
// name no system refuse nothing.
func (t Task) Refuse(f node.Facts) error {
	for _, n := range t.Needs {
		if f.OS != "" && n.OS != f.OS {
			return &SystemError{Need: n, Node: t.Node, Runs: runs(f)}
		}
	}
	return nil
}

// runs names what a machine runs.
func runs(f node.Facts) string {
	if f.Distro != "" {
		return strings.TrimSpace(f.Distro + " " + f.Version)
	}
	if f.OS == "windows" && f.Release != "" {
		return "Windows Server " + string(f.Release)
	}
	return systemWord(f.OS)
}

func systemWord(os string) string {
	return map[string]string{"windows": "Windows", "linux": "Linux"}[os]
}
