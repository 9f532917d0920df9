package node

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestEveryVerbIsClassified: a verb of this package that Verbs does not know, or that it gives
// another access than the type that makes it has, would pass or miss the guard of every session.
func TestEveryVerbIsClassified(t *testing.T) {
	known, seen := Verbs(), map[string]bool{}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var parsed []*ast.File
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, f)
	}
	access := map[string]Access{} // by type
	verbs := map[string]string{}
	for _, f := range parsed {
		for _, d := range f.Decls {
			m, ok := d.(*ast.FuncDecl)
			if !ok || m.Recv == nil {
				continue
			}
			of, ok := m.Recv.List[0].Type.(*ast.Ident)
			if !ok {
				continue
			}
			switch m.Name.Name {
			case "query":
				access[of.Name] = Reads
			case "action":
				access[of.Name] = Writes
			case "Request":
				verbs[of.Name] = verbOf(m.Body)
			}
		}
	}
	if len(verbs) < 27 || len(verbs) != len(access) {
		t.Fatalf("%d types make requests, %d are queries or actions", len(verbs), len(access))
	}
	for of, verb := range verbs {
		seen[verb] = true
		switch got := known[verb]; {
		case got == 0:
			t.Errorf("%s makes the verb %q, which nobody has classified", of, verb)
		case got != Depends && got != access[of]:
			t.Errorf("%s is %v and its verb %q is classified as %v", of, access[of], verb, got)
		}
	}
	// these are made by sessions alone
	for _, verb := range []string{"facts", "file.stat", "file.read", "file.put", "job.start", "job.state"} {
		seen[verb] = true
	}
	for verb := range known {
		if !seen[verb] {
			t.Errorf("nothing makes the verb %q", verb)
		}
	}
}

// verbOf is the verb of the request that a function makes.
func verbOf(n ast.Node) (text string) {
	ast.Inspect(n, func(n ast.Node) bool {
		lit, ok := n.(*ast.CompositeLit)
		if !ok || len(lit.Elts) == 0 {
			return true
		}
		of, named := lit.Type.(*ast.Ident)
		if verb, ok := lit.Elts[0].(*ast.BasicLit); ok && named && of.Name == "Request" && verb.Kind == token.STRING {
			text, _ = strconv.Unquote(verb.Value)
		}
		return true
	})
	return text
}
