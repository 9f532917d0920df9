package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"deploy/internal/testkit/gendoc"
)

// The tables of events and of journal entries in docs/events.md are the comments of their
// constants.
func TestTablesOfEvents(t *testing.T) {
	root := filepath.Join("..", "..", "..")
	page := filepath.Join(root, "docs", "events.md")
	for _, table := range []struct {
		part, dir, typ, head string
		least                int
	}{
		{"events", "internal/engine", "EventKind", "| kind | what it carries; what it means |\n|---|---|\n", 20},
		{"entries", "internal/journal", "Kind", "| kind | keys of `data`; what it means |\n|---|---|\n", 24},
	} {
		rows := constants(t, filepath.Join(root, filepath.FromSlash(table.dir)), table.typ)
		if len(rows) < table.least {
			t.Errorf("only %d constants of %s in %s", len(rows), table.typ, table.dir)
		}
		gendoc.Part(t, page, table.part, table.head+strings.Join(rows, ""))
	}
}

// constants are the table's lines of the constants of a type, in the order of the source.
func constants(t *testing.T, dir, typ string) []string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range list {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, e.Name()), nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			v, ok := n.(*ast.ValueSpec)
			if !ok {
				return true
			}
			if id, ok := v.Type.(*ast.Ident); !ok || id.Name != typ || len(v.Values) != 1 {
				return true
			}
			lit, ok := v.Values[0].(*ast.BasicLit)
			if !ok {
				return true
			}
			value, err := strconv.Unquote(lit.Value)
			if err != nil {
				t.Fatal(err)
			}
			doc := strings.Join(strings.Fields(v.Doc.Text()), " ")
			if doc == "" {
				t.Errorf("%s/%s: %s has no comment", dir, e.Name(), v.Names[0])
			}
			out = append(out, fmt.Sprintf("| `%s` | %s |\n", value, strings.TrimSuffix(doc, ".")))
			return true
		})
	}
	return out
}
