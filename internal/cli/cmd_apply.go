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

// frozenJournal is what a journal held when it was read. Nothing can be added: a plan must not
// leave a trace.
type frozenJournal struct {
	identity journal.Identity
	entries  []journal.Entry
}

func (j frozenJournal) Append(context.Context, ...journal.Entry) (int64, error) {
	return 0, errors.New("the journal is read-only")
}
func (j frozenJournal) Entries(context.Context) ([]journal.Entry, error) { return j.entries, nil }
func (j frozenJournal) Identity() journal.Identity                       { return j.identity }
func (j frozenJournal) Close() error                                     { return nil }

func (a *App) applyCmd() *cobra.Command {
	var f runFlags
	c := &cobra.Command{
		Use:   "apply SITE|PLAN",
		Short: "Bring the nodes to the desired state of a site",
		Long: `Shows the plan, asks for approval and applies it phase by phase. Every step is written to the
journal before it runs, so an interrupted run can be continued: run apply or resume again.
A saved plan is applied exactly as it is, or refused when the site, the playbook, the program or
the nodes have changed since.

Exit codes: 0 done, 1 error, 3 waiting for the sign-off of a gate, 130 second Ctrl-C.`,
		Example: `  deploy apply site.yaml
  deploy apply --auto-approve plan.json
  deploy apply --exclude db2 --sign 'app/cabling@web1=checked by ann' site.yaml`,
		Args: oneArg("a site file or a saved plan"),
		RunE: func(c *cobra.Command, args []string) error { return a.apply(c.Context(), "apply", args[0], f) },
	}
	f.addRun(c)
	a.completeSelection(c, &f)
	return c
}

func (a *App) resumeCmd() *cobra.Command {
	var f runFlags
	c := &cobra.Command{
		Use:   "resume SITE",
		Short: "Continue the last run, also an interrupted rollback",
		Long: `Shows what is left to do, asks for approval and continues the last run: an apply, or a rollback
that was interrupted. Steps whose outcome is unknown are checked on the node first.`,
		Example: `  deploy resume site.yaml`,
		Args:    oneArg("a site file"),
		RunE:    func(c *cobra.Command, args []string) error { return a.apply(c.Context(), "resume", args[0], f) },
	}
	f.addRun(c)
	a.completeSelection(c, &f)
	return c
}

func (f *runFlags) addRun(c *cobra.Command) {
	f.addMachines(c.Flags())
	f.addSelection(c.Flags())
	f.addTimes(c.Flags())
	f.addAnswers(c.Flags())
	f.addForget(c.Flags())
	f.addOwner(c.Flags())
}

func (a *App) apply(ctx context.Context, command, path string, f runFlags) (err error) {
	var saved *engine.Plan
	if p, isPlan, err := loadPlan(path); err != nil {
		return err
	} else if isPlan {
		if command == "resume" {
			return hint.Wrap(fmt.Errorf("cannot resume %s: it is a saved plan, and resume takes a site", path),
				"deploy "+command+" "+quote(p.site))
		}
		if f.Selection.Given() {
			return hint.Wrap(errors.New("a saved plan already selects its phases, nodes and tasks"),
				"leave --phase, --skip, --node, --exclude and --task out, or make another plan")
		}
		saved, path = p.plan, p.site
		f.Selection = saved.Selection
	}
	l, err := a.load(path, f.siteFlags)
	if err != nil {
		return err
	}
	if err := f.Selection.Validate(l.program); err != nil {
		return err
	}
	if !f.json {
		a.showFindings(l)
	}
	run := engine.NewRunID(a.Now())
	// the journal first: a run that cannot write it must not even look busy
	j, closeJournal, err := a.openJournal(l.place, run)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeJournal()) }()
	var back *engine.RollbackOptions
	if command == "resume" {
		entries, err := j.Entries(ctx)
		if err != nil {
			return err
		}
		if back, err = engine.Pending(entries); err != nil {
			return err
		}
	}
	fl, err := a.fleet(ctx, l, f.siteFlags)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fl.close()) }()

	o := a.options(l, fl, f, j)
	if !f.approve && saved == nil {
		if err := a.agree(ctx, o, f, back); err != nil {
			return err
		}
	}
	t := a.talk(fl, f)
	defer t.close()
	o = t.with(o, command, run)
	var summary *engine.Summary
	if command == "resume" {
		summary, err = engine.Resume(ctx, o)
	} else {
		summary, err = engine.Apply(ctx, o, saved)
	}
	t.close()
	if summary != nil && !f.json {
		view.Summary(a.Stdout, summary, view.Options{Color: a.color()})
	}
	return declined(waits(leftUnasked(err), f.again(command, path)))
}

// declined makes of a person's no what it is: an end that was wanted, and no failure.
func declined(err error) error {
	parts := hint.Split(err)
	var lines []string
	for _, e := range parts {
		if !errors.Is(e, engine.ErrDeclined) {
			return err
		}
		lines = append(lines, e.Error())
	}
	if len(lines) == 0 {
		return err
	}
	for _, h := range hint.All(err) {
		lines = append(lines, "hint: "+h)
	}
	return &exitError{code: ExitError, text: strings.Join(lines, "\n")}
}

// waits makes of a gate that waits what a person needs: what is to be done, and the command line
// that signs it. What is to be done is not said again to somebody who has signed already; there it
// counts what the look still misses.
func waits(err error, again string) error {
	var g *engine.GateError
	if !errors.Is(err, engine.ErrWaiting) || !errors.As(err, &g) {
		return err
	}
	text := "waiting: " + err.Error() + "\n\n"
	if !g.Signed {
		text += g.Gate.Text + "\n\n"
	}
	return &exitError{code: ExitWaiting, text: text + "then: " + again + " --sign " + quote(g.Task+"=what was done")}
}

// agree shows what is to be done and asks. Without a terminal there is nobody to ask.
func (a *App) agree(ctx context.Context, o engine.Options, f runFlags, back *engine.RollbackOptions) error {
	if back != nil {
		p, err := engine.PlanRollback(ctx, o, *back)
		if err != nil {
			return err
		}
		return a.agreeToRollback(ctx, p, f)
	}
	p, err := engine.MakePlan(ctx, o)
	if err == nil {
		err = p.LookError()
	}
	if err == nil {
		err = p.Refused()
	}
	if err != nil {
		return err
	}
	if !p.HasChanges() {
		return nil
	}
	if !a.interactive(f.siteFlags) {
		return hint.Wrap(errors.New("approval required, but there is no terminal"),
			"review deploy plan, then pass --auto-approve, or apply a saved plan")
	}
	view.PlanText(redactingWriter{a.Stdout, &a.redact}, p, view.Options{Color: a.color(), Verbose: f.verbose})
	return a.yes(ctx, "\nApply these changes? Only yes is accepted:")
}

// yes asks before a run; anything but the word itself ends the command.
func (a *App) yes(ctx context.Context, text string) error {
	answer, err := a.question(ctx, nil, text)
	if err == nil && answer != "yes" {
		return &exitError{code: ExitError, text: "nothing was changed"}
	}
	return err
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
