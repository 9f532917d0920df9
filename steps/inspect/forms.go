package inspect

import (
	"slices"

	"deploy/internal/node"
)

// Forms are the programs with which this package looks: at units, at features, and at whether a
// restart is due.
func Forms() []node.ToolForm {
	return []node.ToolForm{
		{Program: "systemctl", Linux: true, Reads: systemctlReads},
		{Program: "needs-restarting", Linux: true,
			Reads: func(args []string) bool { return slices.Equal(args, []string{"-r"}) }},
		{Program: "servermanagercmd", Reads: func(args []string) bool {
			return len(args) > 0 && (args[0] == "-query" || args[0] == "-q" || args[0] == "-version")
		}},
	}
}

// systemctlReads: the verb comes first, as steps write it. Source: systemctl(1).
func systemctlReads(args []string) bool {
	if len(args) == 0 {
		return false
	}
	switch args[0] {
	case "show", "is-active", "is-enabled", "is-failed", "list-unit-files", "list-units", "list-timers", "list-sockets",
		"cat", "get-default", "is-system-running":
	default:
		return false
	}
	return node.OnlyOptions(args[1:], []string{"--no-pager", "--no-legend", "--all", "-a", "--value", "--plain",
		"--quiet", "-q",
		"--full", "-l"},
		[]string{"-p", "--property", "-t", "--type", "--state", "--output", "-o"})
}
