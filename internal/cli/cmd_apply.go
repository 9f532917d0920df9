package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"deploy/internal/engine"
	"deploy/internal/hint"
	"deploy/internal/journal"
	"deploy/internal/view"
)

// frozenJournal is entries that can be read and not added to.
type frozenJournal []journal.Entry

func (j frozenJournal) Append(context.Context, journal.Entry) (int64, error) {
	return 0, errors.New("this journal is read only")
}
func (j frozenJournal) Entries(context.Context) ([]journal.Entry, error) { return j, nil }
func (j frozenJournal) Close() error                                     { return nil }

// applyCmd makes apply and resume, which are one: a run goes on where the journal stands.
func (a *App) applyCmd(name string) *cobra.Command {
	var f runFlags
	short := "Bring the nodes to the state that the site describes"
	if name == "resume" {
		short = "Go on with a run that was cut off (apply does the same)"
	}
	c := &cobra.Command{
		Use:   name + " SITE|PLAN",
		Short: short,
		Long: `Shows the plan, asks, then carries it out phase by phase. Every act is written to the journal before it is done.
A run that was cut off goes on where it stood: what was under way is settled by looking at the node.
Given a saved plan it does exactly that plan, or refuses when site, playbook, program or nodes have moved since.`,
		Args: oneArg("a site file or a saved plan"),
		RunE: func(c *cobra.Command, args []string) error { return a.apply(c.Context(), name, args[0], f) },
	}
	f.add(c.Flags())
	f.addAnswers(c.Flags())
	return c
}

func (a *App) apply(ctx context.Context, command, path string, f runFlags) (err error) {
	var saved *engine.Plan
	if p, isPlan, err := loadPlan(path); err != nil {
		return err
	} else if isPlan {
		saved, path = p.plan, p.site
		f.only, f.skip, f.nodes = saved.Selection.Only, saved.Selection.Skip, saved.Selection.Nodes
	}
	l, err := a.load(path, f.siteFlags)
	if err != nil {
		return err
	}
	if !f.json {
		a.showFindings(l)
	}
	run := engine.NewRunID(a.Now())
	// the journal first: a run that cannot write it must not even look busy
	j, closeJournal, err := a.openJournal(l, run)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeJournal()) }()
	fl, err := a.fleet(ctx, l, f.siteFlags)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fl.close()) }()

	if command == "resume" {
		if entries, err := j.Entries(ctx); err != nil {
			return err
		} else if len(entries) == 0 {
			return hint.Wrap(fmt.Errorf("there is nothing to resume: site %s was never applied from here", l.site.Name), "deploy apply "+path)
		}
	}
	if !f.approve && saved == nil {
		if err := a.agree(ctx, l, fl, f, j); err != nil {
			return err
		}
	}
	v := a.view(f.siteFlags)
	defer v.Close()
	o := a.options(l, fl, f, j, v.Event)
	o.Command, o.Run = command, run
	done := make(chan struct{})
	defer close(done)
	o.Stop = a.stopSignal(done)
	var summary *engine.Summary
	if command == "resume" {
		summary, err = engine.Resume(ctx, o)
	} else {
		summary, err = engine.Apply(ctx, o, saved)
	}
	v.Close()
	if summary != nil && !f.json {
		view.Summary(a.Stdout, summary, view.Options{Color: a.color()})
	}
	if errors.Is(err, engine.ErrWaiting) {
		var g *engine.GateError
		if errors.As(err, &g) {
			return &exitError{code: ExitWaiting, text: fmt.Sprintf("waiting: %v\n\n%s\n\nthen: deploy %s %s --sign '%s=what was done'", err, g.Gate.Text, command, path, g.Task)}
		}
	}
	return err
}

// agree shows the plan and asks. Without a terminal there is nobody to ask.
func (a *App) agree(ctx context.Context, l *loaded, fl *fleet, f runFlags, j journal.Journal) error {
	o := a.options(l, fl, f, j, nil)
	p, err := engine.MakePlan(ctx, o)
	if err != nil {
		return err
	}
	if !p.HasChanges() {
		return nil
	}
	if !a.interactive(f.siteFlags) {
		return hint.Wrap(errors.New("there are changes and nobody to ask"), "look at deploy plan, then give --auto-approve, or apply a saved plan")
	}
	view.PlanText(redactingWriter{a.Stdout, &a.redact}, p, view.Options{Color: a.color(), Verbose: f.verbose})
	answer, err := a.question("\nDo this? Only the word yes goes on:")
	if err != nil {
		return err
	}
	if answer != "yes" {
		return &exitError{code: ExitError, text: "nothing was changed"}
	}
	return nil
}

// planFile is a saved plan and the site file that it was made from.
type planFile struct {
	plan *engine.Plan
	site string
}

// loadPlan reads path when it is a saved plan. A site file is YAML and never begins with a brace.
func loadPlan(path string) (planFile, bool, error) {
	data, err := os.ReadFile(path)
	if err != nil || !strings.HasPrefix(strings.TrimSpace(string(data[:min(len(data), 64)])), "{") {
		return planFile{}, false, nil // the site loader says what is wrong
	}
	p, err := engine.LoadPlan(path)
	if err != nil {
		return planFile{}, false, err
	}
	site := p.SitePath
	if site != "" && !filepath.IsAbs(site) {
		site = filepath.Join(filepath.Dir(path), site)
	}
	return planFile{p, site}, true, nil
}

func (a *App) rollbackCmd() *cobra.Command {
	var f runFlags
	var to string
	var leave []string
	var dry bool
	c := &cobra.Command{
		Use:   "rollback SITE",
		Short: "Take back what was done, newest first",
		Long: `Walks back through the journal and restores what each step found before it acted. It stops at a point of no return and names it;
--leave TASK passes over that one and leaves it as it is.`,
		Args: oneArg("a site file"),
		RunE: func(c *cobra.Command, args []string) (err error) {
			ctx := c.Context()
			l, err := a.load(args[0], f.siteFlags)
			if err != nil {
				return err
			}
			run := engine.NewRunID(a.Now())
			j, closeJournal, err := a.openJournal(l, run)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, closeJournal()) }()
			fl, err := a.fleet(ctx, l, f.siteFlags)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, fl.close()) }()
			v := a.view(f.siteFlags)
			defer v.Close()
			o := a.options(l, fl, f, j, v.Event)
			o.Command, o.Run = "rollback", run
			ro := engine.RollbackOptions{ToPhase: to, Leave: leave}
			rp, err := engine.PlanRollback(ctx, o, ro)
			if err != nil {
				return err
			}
			if dry || !f.approve {
				if err := a.showRollback(rp, f, dry); err != nil || dry {
					return err
				}
			}
			done := make(chan struct{})
			defer close(done)
			o.Stop = a.stopSignal(done)
			summary, err := engine.Rollback(ctx, o, ro)
			v.Close()
			if summary != nil && !f.json {
				view.Summary(a.Stdout, summary, view.Options{Color: a.color()})
			}
			return err
		},
	}
	f.siteFlags.add(c.Flags())
	c.Flags().BoolVar(&f.approve, "auto-approve", false, "do not ask")
	c.Flags().StringVar(&to, "to", "", "go back to the end of this phase (default: to before the first)")
	c.Flags().StringSliceVar(&leave, "leave", nil, "points of no return to pass over")
	c.Flags().BoolVar(&dry, "dry-run", false, "only show what would be undone")
	c.Flags().DurationVar(&f.stepTimeout, "step-timeout", 0, "for steps without a time of their own (default 10m)")
	return c
}

// showRollback prints what a rollback would do and, unless it is dry, asks.
func (a *App) showRollback(p *engine.RollbackPlan, f runFlags, dry bool) error {
	if f.json {
		if err := writeJSON(a.Stdout, p); err != nil {
			return err
		}
	} else {
		view.RollbackPlan(redactingWriter{a.Stdout, &a.redact}, p, view.Options{Color: a.color(), Verbose: f.verbose})
	}
	if dry {
		return nil
	}
	if !a.interactive(f.siteFlags) {
		return hint.Wrap(errors.New("there is something to undo and nobody to ask"), "look at deploy rollback --dry-run, then give --auto-approve")
	}
	answer, err := a.question("\nUndo this? Only the word yes goes on:")
	if err != nil {
		return err
	}
	if answer != "yes" {
		return &exitError{code: ExitError, text: "nothing was changed"}
	}
	return nil
}
