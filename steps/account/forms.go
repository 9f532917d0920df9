package account

import (
	"deploy/internal/node"
	"deploy/steps/linux"
)

// forms are the programs that look at accounts and at what runs as one. Sources: id(1), ps(1).
func forms() []node.ToolForm {
	return append(linux.Getent(),
		node.ToolForm{Program: "id", Linux: true, Reads: func(args []string) bool {
			return node.OnlyOptions(args, []string{"-u", "-g", "-G", "-n", "-un", "-gn", "-Gn", "-Gnz", "-r"}, nil)
		}},
		node.ToolForm{Program: "ps", Linux: true, Reads: func(args []string) bool {
			return node.OnlyOptions(args, []string{"-e", "-A"}, []string{"-o", "-p", "-u", "-U"})
		}})
}
