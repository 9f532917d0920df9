package cli

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"

	"deploy/internal/engine"
	"deploy/internal/hint"
	"deploy/internal/view"
)

func (a *App) validateCmd() *cobra.Command {
	var f siteFlags
	c := &cobra.Command{
		Use:   "validate SITE",
		Short: "Check a site file, its playbook and the static rules",
		Long: `Checks the site file, the playbook and all rules that can be checked without a machine. Does not
connect to any node. Exit code 1 when something is wrong.`,
		Example: `  deploy validate site.yaml
  deploy validate --json site.yaml`,
		Args: oneArg("a site file"),
		RunE: func(_ *cobra.Command, args []string) error {
			l, err := a.load(args[0], f)
			if err != nil {
				return err
			}
			if f.json {
				type finding struct {
					Text string `json:"text"`
				}
				list := []finding{}
				for _, x := range l.findings {
					list = append(list, finding{x.String()})
				}
				return view.WriteJSON(a.Stdout, map[string]any{"site": l.site.Name, "playbook": l.program.Playbook,
					"nodes":  len(l.site.Nodes),
					"phases": len(l.program.Phases), "steps": l.program.Count(), "warnings": list})
			}
			a.showFindings(l)
			fmt.Fprintf(a.Stdout, "%s is valid: playbook %s, %s, %s, %s, %s\n", args[0], l.program.Playbook,
				view.Count(len(l.site.Nodes), "node"),
				view.Count(len(l.program.Phases), "phase"), view.Count(l.program.Count(), "step"),
				view.Count(len(l.findings), "warning"))
			return nil
		},
	}
	f.addJSON(c.Flags())
	return c
}

func (a *App) planCmd() *cobra.Command {
	var f runFlags
	var out, format string
	c := &cobra.Command{
		Use:   "plan SITE",
		Short: "Show what an apply would change",
		Long: `Checks every node and shows what each step would change, or which earlier step decides it. Points
of no return, gates, restarts and interruptions are marked. Applies nothing. A node that cannot be
checked is reported, and the others are shown.

Exit codes: 0 no changes, 1 error or a node that could not be checked, 2 changes.`,
		Example: `  deploy plan site.yaml
  deploy plan --phase network --node 'web*' site.yaml
  deploy plan --exclude role.db --format markdown site.yaml
  deploy plan --task app/unit -o plan.json site.yaml`,
		Args: oneArg("a site file"),
		RunE: func(c *cobra.Command, args []string) (err error) {
			if f.json {
				format = "json"
			}
			if out != "" {
				if err := engine.CanSave(out); err != nil {
					return err
				}
			}
			l, err := a.load(args[0], f.siteFlags)
			if err != nil {
				return err
			}
			if err := f.Selection.Validate(l.program); err != nil {
				return err
			}
			a.showFindings(l)
			// the journal first: one that cannot be trusted or is another site's is refused before a node
			// is asked
			j, err := a.readJournal(c.Context(), l.place)
			if err != nil {
				return err
			}
			fl, err := a.fleet(c.Context(), l, f.siteFlags)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, fl.close()) }()
			p, err := engine.MakePlan(c.Context(), a.options(l, fl, f, j))
			if err != nil {
				return err
			}
			if out != "" && len(p.NotLooked) == 0 {
				if p.SitePath, err = seenFrom(out, args[0]); err != nil {
					return err
				}
				if err := p.Save(out); err != nil {
					return err
				}
				again := runFlags{siteFlags: siteFlags{lab: f.lab, state: f.state}}.again("apply", out)
				fmt.Fprintf(a.Stderr, "plan saved to %s; to apply exactly this plan: %s\n", out, again)
			}
			w := redactingWriter{a.Stdout, &a.redact}
			if err := writePlan(w, p, format, view.Options{Verbose: f.verbose, Color: a.color()}); err != nil {
				return err
			}
			if len(p.NotLooked) > 0 {
				return notWhole(p, out)
			}
			if p.HasChanges() {
				return &exitError{code: ExitChanges}
			}
			return nil
		},
	}
	f.addMachines(c.Flags())
	f.addSelection(c.Flags())
	a.completeSelection(c, &f)
	f.addTimes(c.Flags())
	c.Flags().StringVarP(&out, "out", "o", "", "save the plan to this file")
	c.Flags().StringVar(&format, "format", "text", "text, json or markdown")
	return c
}

// notWhole says why a plan is without some nodes, and that it was therefore not saved.
func notWhole(p *engine.Plan, out string) error {
	err := p.LookError()
	if out != "" {
		err = errors.Join(fmt.Errorf("%s is not written: the plan is without %s", out,
			view.Count(len(p.NotLooked), "node")), err)
	}
	return err
}

// seenFrom is the path of a site file as seen from the directory of a plan, so that both can be
// moved together. On another volume it is the whole path.
func seenFrom(plan, site string) (string, error) {
	plan, err := filepath.Abs(plan)
	if err != nil {
		return "", err
	}
	if site, err = filepath.Abs(site); err != nil {
		return "", err
	}
	if rel, err := filepath.Rel(filepath.Dir(plan), site); err == nil {
		return rel, nil
	}
	return site, nil
}

func writePlan(w io.Writer, p *engine.Plan, format string, o view.Options) error {
	switch format {
	case "text":
		view.PlanText(w, p, o)
	case "json":
		return view.WriteJSON(w, p)
	case "markdown":
		view.PlanMarkdown(w, p)
	default:
		return hint.Wrap(fmt.Errorf("unknown plan format %q", format), "use text, json or markdown")
	}
	return nil
}
