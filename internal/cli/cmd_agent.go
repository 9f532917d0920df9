package cli

import (
	"github.com/spf13/cobra"

	"deploy/internal/agent/command"
	"deploy/steps"
)

// agentCmd is what a controller starts on a node. People have no use for it, so it is not listed.
func (a *App) agentCmd() *cobra.Command {
	return &cobra.Command{
		Use:                "agent",
		Short:              "Run the agent of a node; started by a controller",
		Hidden:             true,
		DisableFlagParsing: true,
		RunE: func(c *cobra.Command, args []string) error {
			p := command.Program{Kinds: func() *steps.Registry { return a.Registry }, Version: a.Version, Digest: a.Digest}
			if code := p.Run(c.Context(), args, a.Stdin, a.Stdout, a.Stderr); code != 0 {
				return &exitError{code: code}
			}
			return nil
		},
	}
}
