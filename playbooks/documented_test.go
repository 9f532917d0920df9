package playbooks

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestFunctionsAreDocumented: docs/language.md has a row for each function of the language with its
// usage, and names each of the library's functions that playbooks may call; it names no others.
func TestFunctionsAreDocumented(t *testing.T) {
	src, err := os.ReadFile(filepath.Join("..", "docs", "language.md"))
	if err != nil {
		t.Fatal(err)
	}
	text := string(src)
	var known []string
	for _, f := range Functions() {
		known = append(known, f.Name)
		if !strings.Contains(text, "`"+f.Name+"(") {
			t.Errorf("docs/language.md has no %s", f.Usage)
		}
	}
	// first and last are the library's own, and stand in the table
	library := slices.DeleteFunc(Builtins(), func(name string) bool { return slices.Contains(known, name) })
	if m := regexp.MustCompile("switched on: `([^`]+)`").FindStringSubmatch(text); m == nil {
		t.Error("docs/language.md has no list of the library's functions")
	} else if listed := strings.Fields(m[1]); !slices.Equal(slices.Sorted(slices.Values(listed)), library) {
		t.Errorf("docs/language.md lists %q, not %q", listed, library)
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_]+)\\(").FindAllStringSubmatch(text, -1) {
		if !slices.Contains(known, m[1]) {
			t.Errorf("docs/language.md names %s, which is no function", m[1])
		}
	}
}
