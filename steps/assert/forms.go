package assert

import (
	"slices"

	"deploy/internal/node"
	"deploy/steps/cluster/clus"
	"deploy/steps/inspect"
)

// forms are the programs that say which machine this is, and who asks.
func forms() []node.ToolForm {
	return slices.Concat(inspect.Forms(), clus.Forms(), []node.ToolForm{
		{Program: "hostname", Reads: func(args []string) bool { return len(args) == 0 }},
		{Program: "whoami", Reads: func([]string) bool { return true }},
		{Program: "uname", Linux: true, Reads: func(args []string) bool {
			return node.OnlyOptions(args, []string{"-a", "-s", "-n", "-r", "-v", "-m", "-o"}, nil) &&
				!slices.ContainsFunc(args, node.IsWord)
		}},
	})
}
