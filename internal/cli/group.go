package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"deploy/internal/hint"
	"deploy/internal/nearest"
)

// group makes a command that has only subcommands refuse a word that is none of them. Without this
// cobra prints the help and exits with 0.
func group(c *cobra.Command) {
	c.Args = cobra.ArbitraryArgs
	c.DisableFlagsInUseLine = true
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return c.Help()
		}
		return hint.Wrap(fmt.Errorf("unknown command %q for %q", args[0], c.CommandPath()),
			suggestion(args[0], subcommands(c), "see "+c.CommandPath()+" --help"))
	}
}

// subcommands are the names of the commands below c that help lists.
func subcommands(c *cobra.Command) []string {
	var names []string
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name())
		}
	}
	return names
}

// suggestion is the hint for an unknown word: the known word that is near it, or otherwise.
func suggestion(got string, known []string, otherwise string) string {
	if near := nearest.Of(got, known); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return otherwise
}
