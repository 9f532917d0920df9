package linux

import (
	"slices"

	"deploy/internal/node"
)

// Getent is getent(1) on databases that hold no secret.
func Getent() []node.ToolForm {
	return []node.ToolForm{{Program: "getent", Linux: true, Reads: func(args []string) bool {
		return len(args) > 0 && slices.Contains([]string{"passwd", "group", "hosts", "ahosts", "services", "protocols",
			"networks"}, args[0]) && node.NoOptions(args[1:])
	}}}
}
