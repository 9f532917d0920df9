package dns

import (
	"strings"

	"deploy/internal/node"
)

// forms are the forms of dnscmd.exe that only look.
func forms() []node.ToolForm { return []node.ToolForm{{Program: "dnscmd", Reads: dnscmdReads}} }

// dnscmdReads: a server may be named first. Source: dnscmd, Windows Server command reference.
func dnscmdReads(args []string) bool {
	if len(args) > 0 && !strings.HasPrefix(args[0], "/") {
		args = args[1:] // the server's name
	}
	if len(args) == 0 {
		return false
	}
	switch args[0] {
	case "/enumzones", "/enumrecords", "/enumdirectorypartitions", "/zoneinfo", "/zoneprint", "/info",
		"/directorypartitioninfo", "/statistics":
		return true
	}
	return false
}
