package file

import (
	"strings"

	"deploy/internal/node"
	"deploy/steps/linux"
)

// forms are the programs that look at access lists and owners.
func forms() []node.ToolForm {
	return append(linux.Getent(), node.ToolForm{Program: "icacls", Reads: icaclsReads},
		node.ToolForm{Program: "readlink", Linux: true, Reads: func([]string) bool { return true }})
}

// icaclsReads: a path and at most /t, /c, /l, /q, which only say how much is shown.
func icaclsReads(args []string) bool {
	if len(args) == 0 || strings.HasPrefix(args[0], "/") {
		return false
	}
	for _, a := range args[1:] {
		switch a {
		case "/t", "/c", "/l", "/q":
		default:
			return false
		}
	}
	return true
}
