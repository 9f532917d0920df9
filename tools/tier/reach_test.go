package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Every test that names a tier is run by it: a package that a tier's list leaves out would never be
// noticed, since its tests are skipped everywhere else.
func TestEveryTierTestIsReached(t *testing.T) {
	root := filepath.Join("..", "..")
	named := regexp.MustCompile(`(?m)^func TestTier([A-Z][a-z]+)\w*\(t \*testing\.T\)`)
	found := 0
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, "_test.go") {
			return err
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, filepath.Dir(name))
		if err != nil {
			return err
		}
		for _, m := range named.FindAllStringSubmatch(string(text), -1) {
			found++
			if tier := strings.ToLower(m[1]); !reaches(tiers(), tier, "./"+filepath.ToSlash(rel)) {
				t.Errorf("%s: the tier %s does not run the tests of this package", name, tier)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if found < 20 {
		t.Errorf("only %d tests of tiers are found", found)
	}
	if reaches(tiers(), "lab", "./playbooks") {
		t.Error("the check finds what is not there")
	}
}

// reaches says that one of the tier's commands names the package, or a place above it with /... .
func reaches(all []tier, name, pkg string) bool {
	i := slices.IndexFunc(all, func(x tier) bool { return x.name == name })
	if i < 0 {
		return false
	}
	for _, c := range all[i].checks {
		for _, a := range c.argv {
			above, tree := strings.CutSuffix(a, "/...")
			if a == pkg || tree && (above == pkg || strings.HasPrefix(pkg, above+"/")) {
				return true
			}
		}
	}
	return false
}
