// Package gendoc keeps parts of hand-written pages equal to what the code says. A part stands
// between <!-- generated: NAME --> and <!-- end of NAME -->; `make docs` writes it anew.
package gendoc

import (
	"os"
	"strings"
	"testing"
)

// Update is the environment variable with which Part writes the page instead of comparing it.
const Update = "UPDATE"

// Part wants a part of a page to be text.
func Part(t testing.TB, page, name, text string) {
	t.Helper()
	data, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(data), "<!-- generated: "+name+" -->\n")
	is, after, closed := strings.Cut(rest, "<!-- end of "+name+" -->\n")
	if !ok || !closed {
		t.Fatalf("%s has no part %q", page, name)
	}
	text = "\n" + text + "\n"
	if is == text {
		return
	}
	if os.Getenv(Update) == "" {
		t.Errorf("the part %q of %s is not what the code says: make docs", name, page)
		return
	}
	whole := before + "<!-- generated: " + name + " -->\n" + text + "<!-- end of " + name + " -->\n" + after
	if err := os.WriteFile(page, []byte(whole), 0o644); err != nil {
		t.Fatal(err)
	}
}
