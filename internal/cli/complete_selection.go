package cli

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"deploy/steps"
)

// completeSelection offers what the flags that choose a part of a program take: the names that the
// site and its playbook have. The site is the argument that was typed already, or site.yaml here.
func (a *App) completeSelection(c *cobra.Command, f *runFlags) {
	offer := func(flag string, names func(p *steps.Program) []string) {
		// an error here means that the command has no such flag, which its own tests would show
		_ = c.RegisterFlagCompletionFunc(flag, func(_ *cobra.Command, args []string,
			typed string) ([]string, cobra.ShellCompDirective) {
			path := "site.yaml"
			if len(args) > 0 {
				path = args[0]
			}
			l, err := a.load(path, siteFlags{state: f.state})
			if err != nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			before := "" // a list with commas: what was typed of it stays
			if i := strings.LastIndexByte(typed, ','); i >= 0 {
				before = typed[:i+1]
			}
			var out []string
			for _, n := range names(l.program) {
				out = append(out, before+n)
			}
			return out, cobra.ShellCompDirectiveNoFileComp
		})
	}
	phases := func(p *steps.Program) []string {
		var out []string
		for _, ph := range p.Phases {
			out = append(out, ph.ID)
		}
		return out
	}
	nodes := func(p *steps.Program) []string {
		out := slices.Clone(p.Inventory)
		for role := range p.Roles {
			out = append(out, "role."+role)
		}
		slices.Sort(out)
		return out
	}
	tasks := func(p *steps.Program) []string {
		var out []string
		for _, ph := range p.Phases {
			for _, g := range ph.Groups {
				out = append(out, ph.ID+"/"+g.StepID)
				for _, t := range g.Tasks {
					out = append(out, t.ID)
				}
			}
		}
		return out
	}
	offer("phase", phases)
	offer("skip", phases)
	offer("node", nodes)
	offer("exclude", nodes)
	offer("task", tasks)
}
