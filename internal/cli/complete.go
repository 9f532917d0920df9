package cli

import (
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"deploy/internal/journal"
)

// siteFiles completes the one argument of a command that takes a site.
func siteFiles(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return []string{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt
}

// completeRollback offers what the site's journal and playbook know, where the site stands on the
// line already.
func (a *App) completeRollback(c *cobra.Command, f *runFlags) {
	for flag, names := range map[string]func(st *journal.State, l *loaded) []string{
		"run":       func(st *journal.State, _ *loaded) []string { return standing(st, runOfAct) },
		"node":      func(st *journal.State, _ *loaded) []string { return standing(st, nodeOfAct) },
		"task":      func(st *journal.State, _ *loaded) []string { return standing(st, taskOfAct) },
		"overwrite": func(st *journal.State, _ *loaded) []string { return standing(st, taskOfAct) },
		"leave": func(st *journal.State, _ *loaded) []string {
			return append(standing(st, nodeOfAct), standing(st, taskOfAct)...)
		},
		"to": func(_ *journal.State, l *loaded) []string {
			var out []string
			for _, ph := range l.program.Phases {
				out = append(out, ph.ID)
			}
			return out
		},
	} {
		// an error says that there is no such flag: the flags are those above
		_ = c.RegisterFlagCompletionFunc(flag, func(c *cobra.Command, args []string, _ string) ([]string,
			cobra.ShellCompDirective) {
			if len(args) == 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			l, err := a.load(args[0], f.siteFlags)
			if err != nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			j, err := a.readJournal(c.Context(), l.place)
			if err != nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			st, err := journal.Fold(j.entries)
			if err != nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return names(st, l), cobra.ShellCompDirectiveNoFileComp
		})
	}
}

func runOfAct(_ *journal.TaskState, a journal.Act) string  { return a.Run }
func nodeOfAct(t *journal.TaskState, _ journal.Act) string { return t.Node }
func taskOfAct(t *journal.TaskState, _ journal.Act) string { return t.ID }

// standing are the names that acts which were not taken back have.
func standing(st *journal.State, name func(*journal.TaskState, journal.Act) string) []string {
	set := map[string]bool{}
	for _, t := range st.Tasks {
		for _, act := range t.Acts {
			set[name(t, act)] = true
		}
	}
	return slices.Sorted(maps.Keys(set))
}
