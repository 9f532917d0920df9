package rules_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"deploy/internal/rules"
)

// sourced is "publisher, title: chapter".
var sourced = regexp.MustCompile(`^(Microsoft|NEC), [A-Z][^:]+: [^ ]`)

// TestCatalogue: the counts are those of the reference (49 + 64 + 52 + 10) and of the playbook for
// Linux (5), numbers have no gaps, every rule says all it must.
func TestCatalogue(t *testing.T) {
	counts := map[string]int{"SCC": 49, "EVS": 64, "EC": 52, "SHD": 10, "LNX": 5}
	have := map[string]bool{}
	texts := map[string]string{}
	for _, r := range rules.All() {
		if have[r.ID] {
			t.Errorf("%s occurs twice", r.ID)
		}
		have[r.ID] = true
		if r.Severity != rules.Must && r.Severity != rules.Should {
			t.Errorf("%s: severity %q", r.ID, r.Severity)
		}
		if len(r.Playbooks) == 0 || len(r.Checks) == 0 || r.Source == "" ||
			!strings.HasPrefix(r.ID, "LNX-") && !sourced.MatchString(r.Source) {
			t.Errorf("%s: incomplete: %+v", r.ID, r)
		}
		for _, s := range []string{r.Text, r.Hint} {
			if !strings.HasSuffix(s, ".") || len(s) < 20 {
				t.Errorf("%s: %q is no sentence", r.ID, s)
			}
		}
		if other := texts[r.Text]; other != "" {
			t.Errorf("%s and %s say the same", r.ID, other)
		}
		texts[r.Text] = r.ID
	}
	for family, n := range counts {
		for i := 1; i <= n; i++ {
			if id := fmt.Sprintf("%s-%02d", family, i); !have[id] {
				t.Errorf("%s is missing", id)
			}
		}
	}
	if len(have) != 180 {
		t.Errorf("%d rules, not 180", len(have))
	}
}

func TestFor(t *testing.T) {
	// of the 52 rules for ExpressCluster, 10 concern 2003 alone and 11 concern 2007 alone
	for playbook, n := range map[string]int{"scc07": 49, "evs03": 64, "ec03": 41, "ec07": 42, "shadow10": 10,
		"linux-baseline": 5, "none": 0} {
		if got := len(rules.All().For(playbook)); got != n {
			t.Errorf("%s has %d rules, not %d", playbook, got, n)
		}
	}
	r, ok := rules.Get("SCC-43")
	if !ok || r.Severity != rules.Must || !slices.Contains(r.Checks, rules.Static) {
		t.Errorf("SCC-43: %+v", r)
	}
	if _, ok := rules.Get("SCC-50"); ok {
		t.Error("there is no SCC-50")
	}
}
