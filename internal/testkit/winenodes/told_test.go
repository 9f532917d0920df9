package winenodes

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"deploy/steps/all"
)

// TestEveryKindIsListed: docs/dev/testing.md says of every kind whether Wine runs it.
func TestEveryKindIsListed(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "dev", "testing.md"))
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		if cells := strings.Split(line, "|"); len(cells) > 3 {
			for _, w := range strings.Split(cells[1], "`") {
				listed[w] = true
			}
		}
	}
	for _, name := range all.Kinds().Names() {
		if !listed[name] {
			t.Errorf("docs/dev/testing.md does not say what runs on Wine of %s", name)
		}
	}
}
