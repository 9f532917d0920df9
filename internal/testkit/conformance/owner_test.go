package conformance

import (
	"testing"

	"deploy/internal/node"
	"deploy/internal/testkit/nodetest"
)

// TestOwnerAndFence: the owner records of an emulated machine and the fence, as an agent's steps
// meet them there, and those of the scripted machine.
func TestOwnerAndFence(t *testing.T) {
	join := func(name string) string { return `C:\Windows\Temp\` + name }
	program := []string{"cmd.exe", "/c", "echo", "x"}
	t.Run("lab", func(t *testing.T) {
		nodetest.OwnerContract(t, NewBench(t, node.WS2008, "ja").Session(t, Node1), join, program)
	})
	t.Run("nodetest", func(t *testing.T) {
		m := nodetest.New(node.WS2008)
		m.SetDir(`C:\Windows\Temp`)
		m.Programs[program[0]] = func([]string) node.Result { return node.Result{} }
		nodetest.OwnerContract(t, m, join, program)
	})
}
