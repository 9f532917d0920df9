package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"deploy/internal/engine"
	"deploy/internal/hint"
	"deploy/internal/view"
)

func (a *App) forgetCmd() *cobra.Command {
	var f runFlags
	c := &cobra.Command{
		Use:   "forget SITE NODE...",
		Short: "Forget what was done on nodes that are gone for good",
		Long: `Records in the journal that the machines of nodes which are no longer in the site are gone. Their
steps no longer count as applied, and no rollback undoes them. Connects to no machine. To undo the
steps of a machine that still runs, put its node back into the site and run rollback.`,
		Example: `  deploy status site.yaml          # names the nodes that are no longer in the site
  deploy forget site.yaml w3`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) < 2 {
				return hint.Wrap(fmt.Errorf("%s takes a site file and the names of nodes", c.CommandPath()),
					"for example: deploy forget site.yaml w3")
			}
			return nil
		},
		ValidArgsFunction: func(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 0 {
				return nil, cobra.ShellCompDirectiveDefault
			}
			return a.goneNames(c.Context(), args[0], f), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(c *cobra.Command, args []string) error { return a.forget(c.Context(), args[0], args[1:], f) },
	}
	f.addLab(c.Flags())
	f.addState(c.Flags())
	f.addJSON(c.Flags())
	c.Flags().BoolVar(&f.approve, "auto-approve", false, "do not ask")
	return c
}

func (a *App) forget(ctx context.Context, path string, nodes []string, f runFlags) (err error) {
	l, err := a.load(path, f.siteFlags)
	if err != nil {
		return err
	}
	run := engine.NewRunID(a.Now())
	j, closeJournal, err := a.openJournal(l.place, run)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeJournal()) }()
	entries, err := j.Entries(ctx)
	if err != nil {
		return err
	}
	gone, err := engine.PlanForget(entries, l.program, nodes)
	if err != nil {
		return err
	}
	if !f.approve {
		if !a.interactive(f.siteFlags) {
			return hint.Wrap(errors.New("approval required, but there is no terminal"), "review deploy status, then pass "+
				"--auto-approve")
		}
		for _, g := range gone {
			fmt.Fprintf(a.Stdout, "%s: %s could no longer be undone\n", g.Node, view.Count(g.Steps, "step"))
		}
		if err := a.yes(ctx, "\nForget this? Only yes is accepted:"); err != nil {
			return err
		}
	}
	if err := engine.Forget(ctx, engine.Options{Journal: j, Run: run, Who: who(), Now: a.Now}, gone); err != nil {
		return err
	}
	if f.json {
		return view.WriteJSON(a.Stdout, map[string]any{"forgotten": gone})
	}
	for _, g := range gone {
		fmt.Fprintf(a.Stdout, "%s is forgotten, with %s\n", g.Node, view.Count(g.Steps, "step"))
	}
	return nil
}

// goneNames are the nodes that a site's journal knows and the site does not.
func (a *App) goneNames(ctx context.Context, path string, f runFlags) []string {
	l, err := a.load(path, f.siteFlags)
	if err != nil {
		return nil
	}
	j, err := a.readJournal(ctx, l.place)
	if err != nil {
		return nil
	}
	s, err := engine.Status(j.entries, l.program)
	if err != nil {
		return nil
	}
	var names []string
	for _, g := range s.GoneNodes {
		names = append(names, g.Node)
	}
	return names
}
