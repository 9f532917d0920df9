package winenodes

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"deploy/steps/all"
)

// TestEveryKindIsTold: docs/wine.md says of every kind whether Wine judges it.
func TestEveryKindIsTold(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "wine.md"))
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		if cells := strings.Split(line, "|"); len(cells) > 3 {
			for _, w := range strings.Split(cells[1], "`") {
				told[w] = true
			}
		}
	}
	for _, name := range all.Kinds().Names() {
		if !told[name] {
			t.Errorf("docs/wine.md does not say what Wine judges of %s", name)
		}
	}
}
