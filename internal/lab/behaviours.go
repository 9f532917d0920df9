package lab

import (
	"sort"
	"strings"

	"deploy/internal/lab/directory"
	"deploy/internal/lab/exchange"
	"deploy/internal/lab/failover"
	"deploy/internal/lab/machine"
)

// everything is the full set of what machines can do.
func everything() *machine.Module {
	cluster := failover.New(exchange.Types()...)
	return machine.Base().Add(cluster.Module()).Add(directory.Module()).Add(exchange.Module(cluster)).Add(operator())
}

// OperatorTool is the program through which a person's act is played on a machine: lab-operator.exe
// ACT ARGUMENT. No real machine has it; it is how a command that joined a running lab reaches the
// machine's console.
const OperatorTool = "lab-operator.exe"

func operator() *machine.Module {
	return &machine.Module{Tools: map[string]machine.Tool{OperatorTool: func(c *machine.Ctx, argv []string,
		_ []byte) machine.Result {
		if len(argv) != 3 || c.B.Operate[argv[1]] == nil {
			acts := make([]string, 0, len(c.B.Operate))
			for a := range c.B.Operate {
				acts = append(acts, a)
			}
			sort.Strings(acts)
			return machine.Result{Code: 87, Stderr: "usage: " + OperatorTool + " ACT ARGUMENT; acts: " + strings.Join(acts,
				", ") + "\r\n"}
		}
		n := *c
		n.Network = false // a person stands at the console
		if err := n.B.Operate[argv[1]](&n, argv[2]); err != nil {
			return machine.Result{Code: 1, Stderr: err.Error() + "\r\n"}
		}
		return machine.Result{}
	}}}
}
