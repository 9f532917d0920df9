package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestTierLabReadme: each line of output in the README is a line that the program prints for that
// example. Times and run ids differ from run to run and are not compared.
func TestTierLabReadme(t *testing.T) {
	tierLab(t)
	src, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t, twoNodes)
	b.startLab()
	printed := strings.Split(b.must(2, "plan", "--lab", b.site).out+
		b.must(0, "apply", "--lab", "--auto-approve", b.site).out, "\n")
	for i := range printed {
		printed[i] = timeless(printed[i])
	}
	n := 0
	for _, line := range strings.Split(string(src), "\n") {
		text, ok := strings.CutPrefix(line, "    ")
		if !ok || !sampleLine.MatchString(text) {
			continue
		}
		n++
		if !slices.Contains(printed, timeless(text)) {
			t.Errorf("the program does not print %q", text)
		}
	}
	if n < 10 {
		t.Errorf("only %d lines of output were found in the README", n)
	}
	again := b.must(0, "apply", "--lab", "--auto-approve", b.site).out
	if !strings.Contains(string(src), "`no changes, 80 steps unchanged`") ||
		!strings.Contains(again, "no changes, 80 steps unchanged") {
		t.Errorf("a run without changes says:\n%s", again)
	}
}

var (
	// a line of a run, of a plan, the counts of either, and the details below them
	sampleLine = regexp.MustCompile(`^ +\d+\.\ds  |^  [+?~>-] |^ {6,}\S|^done, |^\d+ steps: `)
	clock      = regexp.MustCompile(`^ *\d+\.\ds|\(\d+\.\ds\)$|in \d+\.\ds$`)
)

func timeless(line string) string { return strings.TrimRight(clock.ReplaceAllString(line, "T"), " ") }
