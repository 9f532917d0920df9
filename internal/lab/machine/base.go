package machine

import "deploy/internal/node"

// Base is what every machine can do before any family adds to it: the system's tools, classes, cmdlets and registry.
func Base() *Behaviours {
	b := &Behaviours{
		Tools: map[string]Tool{"cmd.exe": cmdTool},
		Hives: []*Hive{serviceHive()},
	}
	return b
}

// between says that a tool is there from one release to another; "" is open.
func between(since, until node.Release) func(c *Ctx) bool {
	return func(c *Ctx) bool {
		return (since == "" || c.AtLeast(since)) && (until == "" || c.M.Release == until || !c.AtLeast(until))
	}
}
