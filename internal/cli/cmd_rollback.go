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

func (a *App) rollbackCmd() *cobra.Command {
	var f runFlags
	var ro engine.RollbackOptions
	var dry bool
	c := &cobra.Command{
		Use:   "rollback SITE",
		Short: "Take back what was done, newest first",
		Long: `Walks back through the journal and restores what each step found before it acted. It stops at a point of no return and names it;
--leave TASK passes over that one and leaves it as it is.`,
		Args: oneArg("a site file"),
		RunE: func(c *cobra.Command, args []string) error {
			if dry {
				return a.dryRollback(c.Context(), args[0], f, ro)
			}
			return a.rollback(c.Context(), args[0], f, ro)
		},
	}
	f.addMachines(c.Flags())
	f.addTimes(c.Flags())
	f.addForget(c.Flags())
	c.Flags().BoolVar(&f.approve, "auto-approve", false, "do not ask")
	c.Flags().StringVar(&ro.ToPhase, "to", "", "go back to the end of this phase (default: to before the first)")
	c.Flags().StringSliceVar(&ro.Leave, "leave", nil, "points of no return to pass over")
	c.Flags().BoolVar(&dry, "dry-run", false, "only show what would be undone; asks no machine, finds no secret, takes "+
		"no lock")
	return c
}

// dryRollback shows what a rollback would do, from the journal alone.
func (a *App) dryRollback(ctx context.Context, path string, f runFlags, ro engine.RollbackOptions) error {
	l, err := a.load(path, f.siteFlags)
	if err != nil {
		return err
	}
	j, err := a.readJournal(ctx, l.place)
	if err != nil {
		return err
	}
	p, err := engine.PlanRollback(ctx, a.options(l, &fleet{app: a, l: l}, f, j), ro)
	if err != nil {
		return err
	}
	return a.showRollback(p, f)
}

func (a *App) rollback(ctx context.Context, path string, f runFlags, ro engine.RollbackOptions) (err error) {
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
	p, err := engine.PlanRollback(ctx, a.options(l, &fleet{app: a, l: l}, f, j), ro)
	if err != nil {
		return err
	}
	if len(p.Acts) == 0 && !f.json {
		return a.showRollback(p, f)
	}
	fl, err := a.fleet(ctx, l, f.siteFlags)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fl.close()) }()
	if !f.approve {
		if err := a.agreeToRollback(ctx, p, f); err != nil {
			return err
		}
	}
	t := a.talk(fl, f)
	defer t.close()
	summary, err := engine.Rollback(ctx, t.with(a.options(l, fl, f, j), "rollback", run), ro)
	t.close()
	if summary != nil && !f.json {
		view.Summary(a.Stdout, summary, view.Options{Color: a.color()})
	}
	return err
}

func (a *App) showRollback(p *engine.RollbackPlan, f runFlags) error {
	if f.json {
		return view.WriteJSON(redactingWriter{a.Stdout, &a.redact}, p)
	}
	view.RollbackPlan(redactingWriter{a.Stdout, &a.redact}, p, view.Options{Color: a.color(), Verbose: f.verbose})
	return nil
}

// agreeToRollback shows what a rollback would do and asks.
func (a *App) agreeToRollback(ctx context.Context, p *engine.RollbackPlan, f runFlags) error {
	if err := a.showRollback(p, f); err != nil {
		return err
	}
	if p.Undoes() == 0 {
		return nil
	}
	if !a.interactive(f.siteFlags) {
		return hint.Wrap(fmt.Errorf("there is something to undo and nobody to ask"),
			"look at deploy rollback --dry-run, then give --auto-approve")
	}
	return a.yes(ctx, "\nUndo this? Only the word yes goes on:")
}
