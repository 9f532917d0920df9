package registry

import (
	"deploy/internal/node"
)

// forms are the forms of reg.exe that only look.
func forms() []node.ToolForm {
	return []node.ToolForm{{Program: "reg", Reads: func(args []string) bool {
		return len(args) > 1 &&
			args[0] == "query"
	}}}
}
