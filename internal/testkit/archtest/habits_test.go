package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

// Tables of cases make tests longer than code. Widths are in characters; a tab counts as one.
const (
	maxLines     = 500
	maxTestLines = 800
	maxCode      = 120
	maxProse     = 100
)

// TestHabits: no file of code over 500 lines, no interface over seven methods, no init, and a test
// that belongs to a tier says so in its name, so that no tier is skipped silently.
func TestHabits(t *testing.T) {
	root := filepath.Join("..", "..", "..")
	fset := token.NewFileSet()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); name == ".git" || name == "testdata" || name == "node_modules" || name == ".deploy" {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		limit := maxLines
		if strings.HasSuffix(path, "_test.go") {
			limit = maxTestLines
		}
		if n := strings.Count(string(src), "\n"); n > limit {
			t.Errorf("%s has %d lines", path, n)
		}
		for _, line := range tooWide(string(src)) {
			t.Errorf("%s:%s", path, line)
		}
		file, err := parser.ParseFile(fset, path, src, parser.ParseComments)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.InterfaceType:
				if len(n.Methods.List) > 7 {
					t.Errorf("%s: an interface with %d methods", fset.Position(n.Pos()), len(n.Methods.List))
				}
			case *ast.FuncDecl:
				if n.Recv == nil && n.Name.Name == "init" {
					t.Errorf("%s: an init function", fset.Position(n.Pos()))
				}
				if strings.HasSuffix(path, "_test.go") && usesTierSkip(n) && !strings.HasPrefix(n.Name.Name, "TestTier") {
					t.Errorf("%s: skips by DEPLOY_TIER but is not called TestTier...", fset.Position(n.Pos()))
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// usesTierSkip says that a test looks at DEPLOY_TIER to skip itself.
func usesTierSkip(f *ast.FuncDecl) bool {
	if !strings.HasPrefix(f.Name.Name, "Test") || f.Body == nil {
		return false
	}
	found := false
	ast.Inspect(f.Body, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Value == `"DEPLOY_TIER"` {
			found = true
		}
		return !found
	})
	return found
}

// tooWide lists the lines of a source file that are wider than allowed. Text in back quotes
// (embedded YAML, struct tags) and preformatted comments (tables) are as wide as they have to be.
func tooWide(src string) []string {
	var out []string
	raw := false
	for i, line := range strings.Split(src, "\n") {
		quotes := strings.Count(line, "`")
		exempt := raw || quotes > 0
		if quotes%2 == 1 {
			raw = !raw
		}
		text := strings.TrimLeft(line, "\t")
		limit := maxCode
		if strings.HasPrefix(text, "//") {
			limit = maxProse
			rest := strings.TrimPrefix(text, "//")
			exempt = exempt || strings.HasPrefix(rest, "\t") || strings.HasPrefix(rest, "  ") ||
				rest != "" && rest[0] != ' ' // a directive
		}
		if n := utf8.RuneCountInString(line); n > limit && !exempt {
			out = append(out, fmt.Sprintf("%d: %d characters; break it at %d", i+1, n, limit))
		}
	}
	return out
}

func TestTooWide(t *testing.T) {
	long := strings.Repeat("x", 130)
	for src, want := range map[string]int{
		"a := " + long:                     1,
		"// " + long:                       1,
		"// " + long[:90]:                  0,
		"//\t" + long:                      0,
		"//go:embed " + long:               0,
		"s := `" + long + "`":              0,
		"s := `\n" + long + "\n`\n" + long: 1,
		strings.Repeat("é", 110):           0,
	} {
		if got := tooWide(src); len(got) != want {
			t.Errorf("%q: %q", src, got)
		}
	}
}
