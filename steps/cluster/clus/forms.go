package clus

import (
	"strings"

	"deploy/internal/node"
)

// Forms are the forms of cluster.exe that only look.
func Forms() []node.ToolForm { return []node.ToolForm{{Program: "cluster", Reads: clusterReads}} }

// clusterReads: every option must be one that shows, and no argument may set a value (name=value).
// Source: cluster.exe syntax of Windows Server 2003 and 2008.
func clusterReads(args []string) bool {
	for _, a := range args {
		if strings.Contains(a, "=") {
			return false
		}
		if !strings.HasPrefix(a, "/") {
			continue
		}
		option, value, valued := strings.Cut(a[1:], ":")
		switch option {
		case "cluster":
			if value == "" {
				return false
			}
		case "prop", "properties", "priv", "privproperties":
		case "stat", "status", "listowners", "listdep", "listdependencies", "listnetpri", "list", "ver", "version", "quorum",
			"quorumresource", "?", "help":
			if valued {
				return false
			}
		default:
			return false
		}
	}
	return true
}
