package system

import (
	"slices"
	"strings"

	"deploy/internal/node"
)

// forms are the programs that look at mounts and at the kernel's settings.
func forms() []node.ToolForm {
	return []node.ToolForm{{Program: "findmnt", Linux: true, Reads: findmntReads},
		{Program: "sysctl", Linux: true, Reads: sysctlReads}}
}

// sysctlReads: no argument may hold "=", which writes, and no option but those that show. Source:
// sysctl(8).
func sysctlReads(args []string) bool {
	if len(args) == 0 {
		return false
	}
	for _, a := range args {
		if strings.Contains(a, "=") || (!node.IsWord(a) &&
			!slices.Contains([]string{"-n", "--values", "-a", "--all", "-N", "--names", "-b", "--binary", "-e", "--ignore",
				"--"}, a)) {
			return false
		}
	}
	return true
}

// findmntReads: everything but --poll, which never ends. Source: findmnt(8).
func findmntReads(args []string) bool {
	return node.OnlyOptions(args, []string{"-J", "--json", "-k", "--kernel", "-s", "--fstab", "-m", "--mtab", "-n",
		"--noheadings",
		"-r", "--raw", "-P", "--pairs", "-l", "--list",
		"-b", "--bytes", "-A", "--all", "-e", "--evaluate", "-f", "--first-only", "-u", "--notruncate", "-v", "--nofsroot"},
		[]string{"-M", "--mountpoint", "-T", "--target", "-S", "--source", "-o", "--output", "-t", "--types", "-O",
			"--options"})
}
