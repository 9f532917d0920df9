package main

import (
	"strings"
	"testing"
)

// A site whose declared data was changed after an apply is never called unchanged: where the data
// is fixed once the thing exists, the plan ends with an error that names both values.
func TestTierLabChangedSite(t *testing.T) {
	tierLab(t)
	b := newBench(t, twoNodes)
	b.startLab()
	b.must(0, "apply", "--lab", "--auto-approve", b.site)
	b.must(0, "plan", "--lab", b.site)
	for _, c := range []struct{ from, to, says string }{
		{"192.0.2.20}", "192.0.2.30}", "cluster mbx01-clu has address 192.0.2.20, the site says 192.0.2.30"},
		{"192.0.2.21", "192.0.2.31", "clustered mailbox server mbx01 has address 192.0.2.21, the site says 192.0.2.31"},
		{"mbx01-clu", "mbx01-cl2", "has name mbx01-clu, the site says mbx01-cl2"},
		{"LUN-DATA-01", "LUN-DATA2-01", "LUN-DATA2-01"},
		{`data_path: 'E:\mbx01'`, `data_path: 'E:\mbx02'`, `has data path E:\mbx01, the site says E:\mbx02`},
	} {
		change := func(from, to string) func(string) string {
			return func(text string) string {
				declared, machines, _ := strings.Cut(text, "\nlab:\n")
				if !strings.Contains(declared, from) {
					t.Fatalf("the site does not say %s", from)
				}
				return strings.ReplaceAll(declared, from, to) + "\nlab:\n" + machines
			}
		}
		b.edit(change(c.from, c.to))
		r := b.run(nil, "plan", "--lab", b.site)
		if r.code == 0 || !strings.Contains(r.out+r.errOut, c.says) {
			t.Errorf("%s for %s: exit %d, and the plan does not say %q\n%s\n%s", c.to, c.from, r.code, c.says, tail(r.out),
				tail(r.errOut))
		}
		if strings.Contains(r.out, "no changes") {
			t.Errorf("%s for %s: the plan says that there are no changes", c.to, c.from)
		}
		b.edit(change(c.to, c.from))
	}
	b.must(0, "plan", "--lab", b.site)
}
