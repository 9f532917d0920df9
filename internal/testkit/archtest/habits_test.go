package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Tables of cases make tests longer than code.
const (
	maxLines     = 500
	maxTestLines = 800
)

// TestHabits: no file of code over 500 lines, no interface over seven methods, no init, and a test that belongs to a tier
// says so in its name, so that no tier is skipped silently.
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
