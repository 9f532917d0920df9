package main

import "testing"

func TestSkipsInCI(t *testing.T) {
	for name, tt := range map[string]struct {
		c        count
		home, ci bool // whether the run fails
		line     string
	}{
		"passed":  {count{passed: 2}, false, false, "x: 2 passed, 0 failed, 0 skipped"},
		"failed":  {count{passed: 2, failed: 1}, true, true, "x: 2 passed, 1 failed, 0 skipped"},
		"skipped": {count{passed: 2, skipped: 1}, false, true, "x: 2 passed, 0 failed, 1 skipped"},
		"allowed": {count{allowed: 3}, false, false, "x: 0 passed, 0 failed, 3 skipped (3 of them may be: why)"},
		"allowed, other": {count{passed: 1, allowed: 3, skipped: 1}, false, true,
			"x: 1 passed, 0 failed, 4 skipped (3 of them may be: why)"},
		"nothing ran":  {count{}, true, true, "x: 0 passed, 0 failed, 0 skipped"},
		"only skipped": {count{skipped: 1}, true, true, "x: 0 passed, 0 failed, 1 skipped"},
	} {
		if got := tt.c.wrong(false); got != tt.home {
			t.Errorf("%s: fails outside CI: %v", name, got)
		}
		if got := tt.c.wrong(true); got != tt.ci {
			t.Errorf("%s: fails in CI: %v", name, got)
		}
		if got := tt.c.line("x", "why"); got != tt.line {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// Only the tier that needs a pwsh may be skipped.
func TestOneTierMaySkip(t *testing.T) {
	for _, x := range tiers() {
		if (x.maySkip != "") != (x.name == "powershell") {
			t.Errorf("%s may skip: %q", x.name, x.maySkip)
		}
	}
}
