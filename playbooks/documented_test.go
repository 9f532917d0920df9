package playbooks

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"deploy/internal/testkit/gendoc"
	"deploy/internal/yamlx/shape"
)

// TestTableOfFunctions: docs/language.md has each function of the language with its usage, and
// names the library's functions that playbooks may call.
func TestTableOfFunctions(t *testing.T) {
	var b strings.Builder
	b.WriteString("| function | result |\n|---|---|\n")
	var known []string
	for _, f := range Functions() {
		known = append(known, f.Name)
		if f.Usage == "" || f.Doc == "" {
			t.Errorf("%s has no usage or no doc", f.Name)
		}
		fmt.Fprintf(&b, "| `%s` | %s |\n", f.Usage, f.Doc)
	}
	// first and last are the library's own, and stand in the table
	library := slices.DeleteFunc(Builtins(), func(name string) bool { return slices.Contains(known, name) })
	b.WriteString("\nFunctions of Expr that are switched on:")
	line := 100
	for _, name := range library {
		if line += len(name) + 3; line > 95 {
			b.WriteString("\n")
			line = len(name) + 3
		} else {
			b.WriteString(" ")
		}
		b.WriteString("`" + name + "`")
	}
	b.WriteString(".\n")
	gendoc.Part(t, filepath.Join("..", "docs", "language.md"), "functions", b.String())
}

// TestTablesOfPlaybooks: the tables of a playbook's keys in docs/language.md are what its types
// say.
func TestTablesOfPlaybooks(t *testing.T) {
	page := filepath.Join("..", "docs", "language.md")
	step := stepType(&shape.Type{Kind: "map", Doc: "the data of the step, as its kind declares it"})
	playbook := playbookType(step)
	for name, typ := range map[string]*shape.Type{
		"playbook": playbook, "phases": fieldOf(t, playbook, "phases").Of, "steps": step, "parameters": parameterType(),
		"rules": ruleType(),
	} {
		gendoc.Part(t, page, name, gendoc.Keys(t, typ))
	}
}

func fieldOf(t *testing.T, typ *shape.Type, name string) *shape.Type {
	t.Helper()
	i := slices.IndexFunc(typ.Fields, func(f shape.Field) bool { return f.Name == name })
	if i < 0 {
		t.Fatalf("no field %s", name)
	}
	return typ.Fields[i].Type
}
