package cli

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"deploy/internal/testkit/gendoc"
	"deploy/steps"
)

// The table of flags in docs/cli.md is what the commands take. A flag that means something else for
// another command has a line for each meaning.
func TestTableOfFlags(t *testing.T) {
	type line struct{ flag, usage string }
	commands := map[line][]string{}
	var lines []line
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			if sub.Hidden || sub.Name() == "completion" || sub.Name() == "help" {
				continue
			}
			name := strings.TrimPrefix(sub.CommandPath(), "deploy ")
			sub.LocalFlags().VisitAll(func(f *pflag.Flag) {
				if f.Hidden || f.Name == "help" {
					return
				}
				l := line{flagOf(f), usageOf(f)}
				if commands[l] == nil {
					lines = append(lines, l)
				}
				commands[l] = append(commands[l], name)
			})
			walk(sub)
		}
	}
	a := &App{Registry: steps.NewRegistry(), Version: func() string { return "v" }}
	walk(a.root())
	if len(lines) < 30 {
		t.Errorf("only %d flags", len(lines))
	}
	slices.SortStableFunc(lines, func(x, y line) int { return strings.Compare(x.flag, y.flag) })
	var b strings.Builder
	b.WriteString("| flag | of | meaning |\n|---|---|---|\n")
	for _, l := range lines {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", l.flag, strings.Join(commands[l], ", "), l.usage)
	}
	gendoc.Part(t, filepath.Join("..", "..", "docs", "cli.md"), "flags", b.String())
}

func flagOf(f *pflag.Flag) string {
	out := "--" + f.Name
	if kind, _ := pflag.UnquoteUsage(f); kind != "" {
		out += " " + kind
	}
	if f.Shorthand != "" {
		out += ", -" + f.Shorthand
	}
	return out
}

func usageOf(f *pflag.Flag) string {
	_, usage := pflag.UnquoteUsage(f)
	switch f.DefValue {
	case "", "false", "[]", "0", "0s":
	default:
		usage += " (default " + strings.TrimSuffix(f.DefValue, "0s") + ")"
	}
	return strings.NewReplacer("|", `\|`, "<", "&lt;").Replace(usage)
}
