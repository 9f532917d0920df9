package cli

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"deploy/steps"
)

// Every command that help lists shows a first line in the imperative and an example that begins
// with its own name.
func TestHelp(t *testing.T) {
	a := &App{Registry: steps.NewRegistry(), Version: func() string { return "v" }}
	n := 0
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			if sub.Hidden || sub.Name() == "completion" || sub.Name() == "help" {
				continue // cobra's own, and the agent's
			}
			n++
			if s := sub.Short; s == "" || strings.HasSuffix(s, ".") || s[:1] != strings.ToUpper(s[:1]) {
				t.Errorf("%s: first line %q", sub.CommandPath(), s)
			}
			if !strings.Contains(sub.Example, "  "+sub.CommandPath()) {
				t.Errorf("%s: no example of it in %q", sub.CommandPath(), sub.Example)
			}
			walk(sub)
		}
	}
	walk(a.root())
	if n < 18 {
		t.Errorf("only %d commands", n)
	}
}
