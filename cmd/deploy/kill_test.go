package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"deploy/internal/engine"
)

// most bounds the kills, in case that a run never ends.
const most = 3000

// pastNoReturn names the phases from the first point of no return on.
func pastNoReturn(t *testing.T, b *bench) string {
	t.Helper()
	var p engine.Plan
	if err := json.Unmarshal([]byte(b.must(2, "plan", "--lab", "--json", b.site).out), &p); err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(p.NoReturn[0].Task, "/")
	var out []string
	for _, ph := range p.Phases {
		if ph.ID == first || len(out) > 0 {
			out = append(out, ph.ID)
		}
	}
	return strings.Join(out, ",")
}

// copyOf makes a bench whose site, journal and machines are those of b. No lab of b may run.
func copyOf(t *testing.T, b *bench) *bench {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "site")
	if err := os.CopyFS(dir, os.DirFS(filepath.Dir(b.site))); err != nil {
		t.Fatal(err)
	}
	return &bench{t: t, site: filepath.Join(dir, filepath.Base(b.site)), env: b.env}
}

// everyEntry runs a command once for each of its journal entries, killed right after that entry,
// and then again without a kill. fresh makes the bench for one such run; want is how the machines
// must be at the end; the run has least entries or more.
func everyEntry(t *testing.T, fresh func(t *testing.T) *bench, want any, least int, args ...string) {
	t.Helper()
	const atOnce = 8
	ended := 0
	for n := 1; n < most && ended == 0; n += atOnce {
		t.Run(fmt.Sprintf("from-%d", n), func(t *testing.T) {
			for k := n; k < n+atOnce; k++ {
				t.Run(fmt.Sprint(k), func(t *testing.T) {
					t.Parallel()
					b := fresh(t)
					l := b.startLab()
					r := b.run([]string{fmt.Sprintf("%s=%d", killAfter, k)}, append(args, b.site)...)
					if !r.killed {
						ended = k
						if r.code != 0 {
							t.Fatalf("exit %d\n%s", r.code, tail(r.errOut))
						}
					} else {
						b.must(0, append(args, b.site)...)
					}
					same(t, "the machines", want, withoutAgent(machines(t, l)))
				})
			}
		})
		if t.Failed() {
			return
		}
	}
	if ended < least {
		t.Errorf("the run has only %d entries", ended)
	}
}

// A run that is killed after any one of its journal entries, and run again, ends as one that nobody
// disturbed.
func TestTierLabKilledAfterEveryEntry(t *testing.T) {
	tierLab(t)
	calm := newBench(t, twoNodes)
	l := calm.startLab()
	calm.must(0, "apply", "--lab", "--auto-approve", calm.site)
	want := machines(t, l)
	everyEntry(t, func(t *testing.T) *bench { return newBench(t, twoNodes) }, want, 50, "apply", "--lab", "--auto-approve")
}

// The same for rollback, from the end of the last phase before the first point of no return.
func TestTierLabRollbackKilledAfterEveryEntry(t *testing.T) {
	tierLab(t)
	built := newBench(t, twoNodes)
	l := built.startLab()
	bare := machines(t, l)
	built.must(0, "apply", "--lab", "--auto-approve", "--skip", pastNoReturn(t, built), built.site)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	everyEntry(t, func(t *testing.T) *bench { return copyOf(t, built) }, bare, 50,
		"rollback", "--lab", "--all", "--auto-approve")
}

// A run that is killed again and again, a few entries further each time, ends as one that nobody
// disturbed.
func TestTierLabKilledAllTheTime(t *testing.T) {
	tierLab(t)
	calm := newBench(t, twoNodes)
	l := calm.startLab()
	calm.must(0, "apply", "--lab", "--auto-approve", calm.site)
	want := machines(t, l)

	b := newBench(t, twoNodes)
	l = b.startLab()
	for kills := 0; ; kills++ {
		// a run's first entries say that it started and what it looked at; some more let it get somewhere
		r := b.run([]string{fmt.Sprintf("%s=%d", killAfter, 4+kills%5)}, "apply", "--lab", "--auto-approve", b.site)
		if r.killed && kills < most {
			continue
		}
		if r.code != 0 || kills < 20 {
			t.Fatalf("after %d kills: exit %d\n%s\n%s", kills, r.code, tail(r.out), tail(r.errOut))
		}
		break
	}
	same(t, "the machines after a run that was killed all the time", want, machines(t, l))
}

// The newcomer's way: the lab lives in the program that is killed, so machines and controller go
// down together, as in a power cut.
func TestTierLabKilledWithItsLab(t *testing.T) {
	tierLab(t)
	calm := newBench(t, twoNodes)
	l := calm.startLab()
	calm.must(0, "apply", "--lab", "--auto-approve", calm.site)
	want := machines(t, l)

	b := newBench(t, twoNodes)
	for kills := 0; ; kills++ {
		r := b.run([]string{fmt.Sprintf("%s=%d", killAfter, 5+7*(kills%5))}, "apply", "--lab", "--auto-approve", b.site)
		if r.killed && kills < most {
			continue
		}
		if r.code != 0 || kills < 5 {
			t.Fatalf("after %d kills: exit %d\n%s\n%s", kills, r.code, tail(r.out), tail(r.errOut))
		}
		break
	}
	same(t, "the machines", want, machines(t, b.startLab()))
}
