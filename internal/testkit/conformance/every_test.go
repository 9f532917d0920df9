package conformance

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"deploy/internal/node"
	"deploy/steps"
	"deploy/steps/all"
)

// Every kind that there is was played in both ways, on each system that it makes calls on. It comes
// after the families' own tests of the tier.
func TestTierConformanceEveryKind(t *testing.T) {
	dir := os.Getenv(shared)
	if dir == "" {
		t.Skip("what was played is known only to the tier conformance: make test-conformance")
	}
	kinds := all.Kinds()
	for _, name := range kinds.Names() {
		k, _ := kinds.Get(name)
		t.Run(name, func(t *testing.T) {
			found, err := filepath.Glob(filepath.Join(dir, name+"@*"))
			if err != nil {
				t.Fatal(err)
			}
			if len(found) == 0 {
				t.Error("it was not played directly and by an agent on any machine")
			}
			for _, system := range systems(k) {
				if !slices.Contains(found, filepath.Join(dir, name+"@"+system)) {
					t.Errorf("it makes calls on %s and was not played there directly and by an agent", system)
				}
			}
		})
	}
}

// systems are those on which a kind makes calls.
func systems(k steps.Kind) []string {
	var out []string
	for _, c := range k.Calls {
		for _, r := range c.On {
			system := "windows"
			if r == node.Linux {
				system = "linux"
			}
			if !slices.Contains(out, system) {
				out = append(out, system)
			}
		}
	}
	return out
}

// Every field of every kind was changed after an apply, and the page says on which releases.
// DEPLOY_FIELDS names a file into which the page is written.
func TestTierConformanceFields(t *testing.T) {
	dir := os.Getenv(shared)
	if dir == "" {
		t.Skip("what was played is known only to the tier conformance: make test-conformance")
	}
	page, missing, err := Table(all.Kinds(), dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range missing {
		t.Errorf("no case shows what a change of %s does", f)
	}
	t.Log("\n" + page)
	if to := os.Getenv("DEPLOY_FIELDS"); to != "" {
		if err := os.WriteFile(to, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	was, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "fields.md"))
	if err != nil {
		t.Fatal(err)
	}
	if string(was) != page {
		t.Error("docs/fields.md is not what the tier has shown: make docs-fields")
	}
}
