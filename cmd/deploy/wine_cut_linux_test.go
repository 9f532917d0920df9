package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"deploy/internal/testkit/winenodes"
)

// wineLike is what a node is like without and with the site's work, and what the journal says of
// it.
type wineLike struct {
	bare, applied map[string]map[string]string
	story         []string
}

// wineUndisturbed plays the site on every node alone, in peace, and back.
func wineUndisturbed(t *testing.T, l *wineLab, work *book) map[string]wineLike {
	t.Helper()
	out := map[string]wineLike{}
	var mu sync.Mutex
	t.Run("undisturbed", func(t *testing.T) {
		for _, n := range l.nodes {
			t.Run(n.Name, func(t *testing.T) {
				t.Parallel()
				f := l.site(t, work, n)
				k := wineLike{bare: wineState(t, n)}
				if end := f.apply(t); end.Counts.Change != work.steps {
					t.Errorf("%+v", end.Counts)
				}
				k.applied, k.story = wineState(t, n), f.story(t)
				f.rollback(t)
				same(t, "after the rollback", k.bare, wineState(t, n))
				mu.Lock()
				defer mu.Unlock()
				out[n.Name] = k
			})
		}
	})
	if t.Failed() {
		t.FailNow()
	}
	return out
}

// lost gives a Windows node up that something was left on.
func lost(*testing.T, *winenodes.Node) error {
	return errors.New("nothing more is played on this node")
}

// The connection to a Windows node ends at every message of a phase that has a step of every
// family, before it is sent or when it has come: the run goes on by itself, node and journal are as
// after a run that nobody disturbed, and a rollback leaves nothing.
func TestTierWineCutAtEveryMessage(t *testing.T) {
	l := newWineLab(t, 2)
	work := wineWork(true)
	want := wineUndisturbed(t, l, work)
	count := everyOne(t, l.nodes, lost, func(t *testing.T, n *winenodes.Node, k int) bool {
		f := l.site(t, work, n)
		c := onMessage(t, func() {
			if err := n.Cut(); err != nil {
				t.Error(err)
			}
		})
		r := f.run(t, c.env(k), "apply", "--auto-approve", "--json", f.site)
		at := c.reached()
		if r.code != 0 {
			t.Fatalf("cut at %s: exit %d\n%s\n%s", at, r.code, tail(r.out), tail(r.errOut))
		}
		same(t, "the node, cut at "+at, want[n.Name].applied, wineState(t, n))
		same(t, "the journal, cut at "+at, want[n.Name].story, f.story(t))
		f.rollback(t)
		same(t, "after the rollback, cut at "+at, want[n.Name].bare, wineState(t, n))
		return at != ""
	})
	if count < 2*work.steps {
		t.Errorf("the run has only %d messages", count)
	}
	t.Logf("%d messages", count)
}

// acts are a journal's entries without those that say only that a run came to a phase or to its
// end, which a second run says once more.
func acts(story []string) []string {
	return slices.DeleteFunc(slices.Clone(story), func(line string) bool {
		return strings.HasPrefix(line, "phase ") || strings.HasPrefix(line, "run-end ")
	})
}

// The program is killed after every journal entry of the phase and run again, in turn on the same
// state directory and on a copy of it after the first has gone.
func TestTierWineKilledAfterEveryEntry(t *testing.T) {
	l := newWineLab(t, 2)
	work := wineWork(true)
	want := wineUndisturbed(t, l, work)
	count := everyOne(t, l.nodes, lost, func(t *testing.T, n *winenodes.Node, k int) bool {
		f := l.site(t, work, n)
		r := f.run(t, []string{fmt.Sprintf("%s=%d", killAfter, k)}, "apply", "--auto-approve", f.site)
		if !r.killed && r.code != 0 {
			t.Fatalf("exit %d\n%s\n%s", r.code, tail(r.out), tail(r.errOut))
		}
		if r.killed && k%2 == 1 {
			f.moved(t)
		}
		f.apply(t)
		same(t, "the node", want[n.Name].applied, wineState(t, n))
		same(t, "the journal", acts(want[n.Name].story), acts(f.story(t)))
		f.rollback(t)
		same(t, "after the rollback", want[n.Name].bare, wineState(t, n))
		return r.killed
	})
	if count < 2*work.steps {
		t.Errorf("the run has only %d entries", count)
	}
	t.Logf("%d entries", count)
}
