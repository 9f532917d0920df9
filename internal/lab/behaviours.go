package lab

import "deploy/internal/lab/machine"

// everything is the full set of what machines can do.
func everything() *machine.Behaviours { return machine.Base() }
