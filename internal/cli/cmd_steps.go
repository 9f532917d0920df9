package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"sort"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"deploy/internal/hint"
	"deploy/internal/rules"
	"deploy/internal/view"
	"deploy/inventory"
	"deploy/playbooks"
	"deploy/steps"
)

func (a *App) stepsCmd() *cobra.Command {
	var asJSON, markdown bool
	c := &cobra.Command{
		Use:   "steps [KIND]",
		Short: "List the kinds of steps, or show one",
		Example: `  deploy steps
  deploy steps service`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			names := a.Registry.Names()
			if len(args) == 1 {
				k, ok := a.Registry.Get(args[0])
				if !ok {
					err := fmt.Errorf("unknown kind %q", args[0])
					if n := steps.Nearest(args[0], names); n != "" {
						return hint.Wrap(err, fmt.Sprintf("did you mean %q?", n))
					}
					return hint.Wrap(err, "run deploy steps to list all kinds")
				}
				if asJSON {
					return view.WriteJSON(a.Stdout, kindJSON(k))
				}
				kindMarkdown(a.Stdout, k)
				return nil
			}
			switch {
			case asJSON:
				var list []any
				for _, n := range names {
					k, _ := a.Registry.Get(n)
					list = append(list, kindJSON(k))
				}
				return view.WriteJSON(a.Stdout, map[string]any{"kinds": list})
			case markdown:
				fmt.Fprint(a.Stdout, "# Kinds of steps\n\nMade by `deploy steps --markdown` from the same declarations that the "+
					"program runs. Do not edit.\n")
				for _, n := range names {
					k, _ := a.Registry.Get(n)
					fmt.Fprintln(a.Stdout)
					kindMarkdown(a.Stdout, k)
				}
				return nil
			}
			w := tabwriter.NewWriter(a.Stdout, 0, 4, 2, ' ', 0)
			for _, n := range names {
				k, _ := a.Registry.Get(n)
				fmt.Fprintf(w, "%s\t%s\n", n, k.Summary)
			}
			return w.Flush()
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	c.Flags().BoolVar(&markdown, "markdown", false, "write the whole reference as Markdown")
	return c
}

func kindJSON(k steps.Kind) map[string]any {
	return map[string]any{"kind": k.Name, "os": k.OS, "summary": k.Summary, "doc": k.Doc, "undo": k.Undo, "proof": k.Proof,
		"sources": k.Sources, "fields": k.Fields()}
}

func kindMarkdown(w io.Writer, k steps.Kind) {
	fmt.Fprintf(w, "## %s\n\n%s\n\n%s\n\n", k.Name, k.Summary, k.Doc)
	if k.OS != "" {
		fmt.Fprintf(w, "For %s only.\n\n", map[string]string{"windows": "Windows", "linux": "Linux"}[k.OS])
	}
	fmt.Fprint(w, "| key | type | default | check | meaning |\n|---|---|---|---|---|\n")
	fieldRows(w, "", k.Fields())
	fieldReasons(w, k.Fields())
	if k.Example != "" {
		fmt.Fprintf(w, "\n```yaml\nuses: %s\nwith:\n%s```\n", k.Name, indent(k.Example, "  "))
	}
	fmt.Fprintf(w, "\nUndo: %s\n\nProof: %s\n", k.Undo, k.Proof)
	if len(k.Sources) > 0 {
		fmt.Fprintf(w, "\nSources: %s\n", strings.Join(k.Sources, "; "))
	}
	if calls := callList(k); calls != "" {
		fmt.Fprintf(w, "\nReads and calls: %s\n", calls)
	}
}

// callList names what a kind may call, without repetition.
func callList(k steps.Kind) string {
	seen := map[string]bool{}
	var out []string
	for _, c := range k.Calls {
		name := c.Cmdlet
		switch {
		case c.WMI != "" && c.Method != "":
			name = c.WMI + "." + c.Method
		case c.WMI != "":
			name = c.WMI
		case c.Tool != "":
			name = c.Tool
		case c.Property != "":
			name = "cluster property " + c.Property
		}
		if name != "" && !seen[name] {
			seen[name] = true
			out = append(out, "`"+name+"`")
		}
	}
	sort.Strings(out)
	return strings.Join(out, ", ")
}

func fieldRows(w io.Writer, prefix string, fields []steps.Field) {
	for _, f := range fields {
		typ := f.Type
		if len(f.Enum) > 0 {
			typ = strings.Join(f.Enum, ", ")
		}
		def := ""
		switch {
		case f.Required:
			def = "required"
		case f.Default != nil:
			b, _ := json.Marshal(f.Default)
			def = "`" + string(b) + "`"
		}
		fmt.Fprintf(w, "| `%s%s` | %s | %s | %s | %s |\n", prefix, f.Name, typ, def, f.Class,
			strings.ReplaceAll(f.Doc, "|", "\\|"))
		fieldRows(w, prefix+f.Name+".", f.Fields)
	}
}

// fieldReasons says why fields are not compared.
func fieldReasons(w io.Writer, fields []steps.Field) {
	var out []string
	steps.Leaves(fields, func(path string, f steps.Field) {
		if f.Why != "" {
			out = append(out, fmt.Sprintf("- `%s`: %s", path, f.Why))
		}
	})
	if len(out) > 0 {
		fmt.Fprintf(w, "\nNot compared:\n\n%s\n", strings.Join(out, "\n"))
	}
}

func indent(s, by string) string {
	var b strings.Builder
	for _, l := range strings.Split(strings.Trim(s, "\n"), "\n") {
		b.WriteString(by + l + "\n")
	}
	return b.String()
}

func (a *App) rulesCmd() *cobra.Command {
	var asJSON, markdown bool
	var playbook string
	c := &cobra.Command{
		Use:   "rules [ID]",
		Short: "List the requirements of the products, or show one",
		Example: `  deploy rules --playbook scc07
  deploy rules SCC-45`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			var list rules.Catalogue
			for _, r := range catalogue(playbook) {
				if len(args) == 0 || strings.EqualFold(r.ID, args[0]) {
					list = append(list, r)
				}
			}
			if len(list) == 0 {
				return unknownRule(args, playbook)
			}
			switch {
			case asJSON:
				return view.WriteJSON(a.Stdout, map[string]any{"rules": list})
			case markdown:
				fmt.Fprint(a.Stdout, "# Rules\n\nMade by `deploy rules --markdown`. Do not edit.\n\n| id | severity | checked | "+
					"rule | hint | source |\n|---|---|---|---|---|---|\n")
				for _, r := range list {
					fmt.Fprintf(a.Stdout, "| %s | %s | %s | %s | %s | %s |\n", r.ID, r.Severity, checks(r), r.Text, r.Hint, r.Source)
				}
				return nil
			case len(args) == 1:
				r := list[0]
				fmt.Fprintf(a.Stdout, "%s (%s)\n  %s\n  checked: %s\n  source: %s\n  hint: %s\n", r.ID, r.Severity, r.Text,
					checks(r), r.Source, r.Hint)
				return nil
			}
			w := tabwriter.NewWriter(a.Stdout, 0, 4, 2, ' ', 0)
			for _, r := range list {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", r.ID, r.Severity, checks(r), r.Text)
			}
			return w.Flush()
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	c.Flags().BoolVar(&markdown, "markdown", false, "write a Markdown table")
	c.Flags().StringVar(&playbook, "playbook", "", "only the rules of one group: scc07, evs03, ec03, ec07, shadow10, "+
		"linux-baseline")
	return c
}

// unknownRule is the error for a rule, or a group of rules, that the catalogue does not have.
func unknownRule(args []string, playbook string) error {
	if len(args) == 0 {
		var groups []string
		for _, r := range rules.All() {
			groups = append(groups, r.Playbooks...)
		}
		return hint.Wrap(fmt.Errorf("no rules for playbook %q", playbook),
			suggestion(playbook, groups, "run deploy rules to list all rules"))
	}
	return hint.Wrap(fmt.Errorf("unknown rule %q", args[0]),
		suggestion(args[0], rules.All().IDs(), "run deploy rules to list all rules"))
}

func (a *App) schemaCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "schema site|playbook|PLAYBOOK",
		Short: "Print a JSON Schema of site or playbook files",
		Long: `Prints a JSON Schema for editors: of site files, of playbook files, or of the site files of one
shipped playbook.`,
		Example:   "  deploy schema site > site.schema.json\n  deploy schema exchange-2007-scc > site.schema.json",
		Args:      cobra.ExactArgs(1),
		ValidArgs: []string{"site", "playbook"},
		RunE: func(_ *cobra.Command, args []string) error {
			switch args[0] {
			case "site":
				return writeSchema(a.Stdout, inventory.Schema())
			case "playbook":
				return writeSchema(a.Stdout, playbooks.Schema(a.Registry))
			}
			pb, err := shippedPlaybook(args[0])
			if err != nil {
				return err
			}
			return writeSchema(a.Stdout, pb.SiteSchema())
		},
	}
}

func (a *App) playbookCmd() *cobra.Command {
	c := &cobra.Command{Use: "playbook", Short: "List the shipped playbooks, or print one",
		Example: "  deploy playbook list\n  deploy playbook show linux-baseline > my.yaml"}
	c.AddCommand(&cobra.Command{
		Use: "list", Short: "List the shipped playbooks", Example: "  deploy playbook list", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			for _, n := range playbooks.Shipped() {
				pb, err := shippedPlaybook(n)
				if err != nil {
					return err
				}
				fmt.Fprintf(a.Stdout, "%s  %s\n", n, pb.Title)
			}
			return nil
		},
	}, &cobra.Command{
		Use: "show NAME", Short: "Print a shipped playbook", Args: cobra.ExactArgs(1),
		Example: "  deploy playbook show linux-baseline > my.yaml",
		RunE: func(_ *cobra.Command, args []string) error {
			src, err := playbooks.Source(args[0])
			if err != nil {
				return err
			}
			_, err = a.Stdout.Write(src)
			return err
		},
	})
	return c
}

// writeSchema prints a JSON Schema, which has a version of its own.
func writeSchema(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

func catalogue(group string) rules.Catalogue {
	if group == "" {
		return rules.All()
	}
	return rules.All().For(group)
}

// checks says how a rule is checked, in one word or two.
func checks(r rules.Rule) string {
	words := make([]string, len(r.Checks))
	for i, c := range r.Checks {
		words[i] = string(c)
	}
	return strings.Join(words, "+")
}

func shippedPlaybook(name string) (*playbooks.Playbook, error) {
	src, err := playbooks.Source(name)
	if err != nil {
		return nil, err
	}
	return playbooks.Parse("playbook "+name, src)
}
