package main

import (
	"strings"
	"testing"

	"deploy/internal/testkit/leaves"
	"deploy/inventory"
	"deploy/playbooks"
	"deploy/steps"
	"deploy/steps/all"
)

// compiled is the program of a site file.
func compiled(t *testing.T, site string) *steps.Program {
	t.Helper()
	s, err := inventory.Load(site)
	if err != nil {
		t.Fatal(err)
	}
	pb, err := playbooks.Load(s)
	if err != nil {
		t.Fatal(err)
	}
	prog, _, err := pb.Compile(s, all.Kinds())
	if err != nil {
		t.Fatal(err)
	}
	return prog
}

// Every value below parameters of the shipped sites is changed after an apply, one at a time: the
// plan does not say "no changes" unless the value feeds instructions alone. Those are printed.
func TestTierLabLeaves(t *testing.T) {
	tierLab(t)
	for _, example := range []string{twoNodes, "exchange-2007-scc-4node"} {
		t.Run(example, func(t *testing.T) {
			b := newBench(t, example)
			b.startLab()
			b.must(0, "apply", "--lab", "--auto-approve", b.site)
			before := compiled(t, b.site)
			whole := ""
			b.edit(func(s string) string { whole = s; return s })
			list, err := leaves.Of(whole)
			if err != nil {
				t.Fatal(err)
			}
			if len(list) < 40 {
				t.Fatalf("only %d leaves", len(list))
			}
			silent := 0
			for _, l := range list {
				changed, err := l.Change(whole)
				if err != nil {
					t.Error(err)
					continue
				}
				b.edit(func(string) string { return changed })
				r := b.run(nil, "plan", "--lab", b.site)
				if r.code != 0 {
					t.Logf("%s: %s -> %s: exit %d, %s", l.Path, l.From, l.To, r.code, about(r))
					continue
				}
				fields, err := leaves.Feeds(all.Kinds(), before, compiled(t, b.site))
				if err != nil {
					t.Fatal(err)
				}
				if leaves.Seen(fields) {
					t.Errorf("%s: %s -> %s, and the plan says that nothing changes; it feeds %s", l.Path, l.From, l.To,
						strings.Join(fields, ", "))
					continue
				}
				silent++
				t.Logf("%s feeds instructions alone: %s", l.Path, strings.Join(fields, ", "))
			}
			t.Logf("%d leaves, %d of them feed instructions alone", len(list), silent)
			b.edit(func(string) string { return whole })
			b.must(0, "plan", "--lab", b.site)
		})
	}
}

// about is the first line in which a plan says what is wrong, or how much is to be done.
func about(r result) string {
	for _, line := range strings.Split(r.errOut+"\n"+r.out, "\n") {
		if strings.Contains(line, "error") || strings.Contains(line, ".yaml:") || strings.HasPrefix(line, "plan: ") ||
			strings.Contains(line, "cannot ") {
			return strings.TrimSpace(line)
		}
	}
	return "changes"
}
