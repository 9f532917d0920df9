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
		Short: "Undo the last run that changed something, or a selection",
		Long: `Restores what each step found before it changed the node, as recorded in the journal: newest first
on each node, several nodes at a time.

Without --run, --to, --node, --task and --all it undoes the last run that changed something. Several
of these flags together select what matches all of them. The next apply does it again.

Each step is checked before it is undone. A step is left as it is, and reported, when something has
changed it since, when it cannot be undone, when it holds other data, and when its node cannot be
reached; the other steps are undone. What is left stays in the journal: status shows it, and a later
rollback tries it again.

Exit codes: 0 all undone, or left as --leave says; 4 something else was left; 1 something failed.`,
		Example: `  deploy rollback --dry-run site.yaml                        # what the last run changed
  deploy rollback site.yaml                                  # undo it
  deploy rollback --run 20261122-034432-8efc site.yaml       # another run, see deploy history
  deploy rollback --to network site.yaml                     # back to the end of a phase
  deploy rollback --node web2 site.yaml                      # everything that was done on one node
  deploy rollback --task web/config site.yaml                # everything that one step did
  deploy rollback --all site.yaml                            # everything, to before the first apply
  deploy rollback --all --leave db1 site.yaml                # but leave one node as it is
  deploy rollback --overwrite web/config@web1 site.yaml      # also where the file was changed since`,
		Args:              oneArg("a site file"),
		ValidArgsFunction: siteFiles,
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
	f.addOwner(c.Flags())
	fs := c.Flags()
	f.addParallel(fs)
	fs.BoolVar(&f.approve, "auto-approve", false, "do not ask")
	fs.BoolVar(&ro.All, "all", false, "undo everything, back to before the first apply")
	fs.StringSliceVar(&ro.Runs, "run", nil, "undo these runs (ids)")
	fs.StringVar(&ro.ToPhase, "to", "", "go back to the end of this phase")
	fs.StringSliceVar(&ro.Nodes, "node", nil, "undo the steps on these nodes")
	fs.StringSliceVar(&ro.Tasks, "task", nil, "undo these tasks, or steps as phase/step")
	fs.StringSliceVar(&ro.Leave, "leave", nil, "tasks, steps or nodes to leave as they are")
	fs.StringSliceVar(&ro.Overwrite, "overwrite", nil, "tasks or steps to undo even when the node has changed since")
	fs.BoolVar(&dry, "dry-run", false, "only show what would be undone, from the journal alone")
	a.completeRollback(c, &f)
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
	summary, err := engine.Rollback(ctx, t.with(a.options(l, fl, f, j), "rollback", run), p.Scope)
	t.close()
	if summary != nil && !f.json {
		view.Summary(a.Stdout, summary, view.Options{Color: a.color()})
	}
	return leftUnasked(err)
}

// leftUnasked gives a rollback that left something its own exit code: it is no failure.
func leftUnasked(err error) error {
	if !errors.Is(err, engine.ErrLeft) {
		return err
	}
	text := "not all is undone: " + err.Error()
	if h := hint.Of(err); h != "" {
		text += "\nhint: " + h
	}
	return &exitError{code: ExitLeft, text: text}
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
		return hint.Wrap(fmt.Errorf("approval required, but there is no terminal"),
			"review deploy rollback --dry-run, then pass --auto-approve")
	}
	return a.yes(ctx, "\nUndo "+view.RollbackSteps(p)+"? Only yes is accepted:")
}
