package main

import (
	"strings"
	"testing"
	"time"

	"deploy/internal/testkit/linuxnodes"
)

// nodes makes a lab for the tests of the program and waits for it.
func nodes(t *testing.T, o linuxnodes.Options) *linuxnodes.Lab {
	t.Helper()
	linuxnodes.Tier(t, "nodes")
	l := linuxnodes.New(t, o)
	buildAgent(t, l) // while they start
	if err := l.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	return l
}

// Forty steps on twenty nodes: apply, nothing to do, and back to what was there, by agents beside
// the nodes.
func TestTierNodesTwenty(t *testing.T) {
	start := time.Now()
	l := nodes(t, linuxnodes.Options{Systemd: 4, Plain: 16})
	t.Logf("twenty nodes after %s", time.Since(start))
	f := newFleet(t, l, forty().String(), l.Nodes()...)
	bare := f.state(t)

	start = time.Now()
	r := f.must(t, 0, "apply", "--auto-approve", "--json")
	t.Logf("apply took %s", time.Since(start))
	end := endOf(t, r)
	if want := 40*20 - 16; end.Counts.Change != want {
		t.Errorf("%d changes, want %d", end.Counts.Change, want)
	}
	for name, mode := range modes(t, r) {
		if !strings.Contains(mode, "agent") {
			t.Errorf("the steps of %s run %q, want by an agent", name, mode)
		}
	}
	applied := f.state(t)

	start = time.Now()
	end = f.apply(t)
	t.Logf("second apply took %s", time.Since(start))
	if end.Counts.Change != 0 || end.Counts.NoOp != 40*20-16 {
		t.Errorf("the second run: %+v", end.Counts)
	}
	same(t, "the second run changed something", applied, f.state(t))

	start = time.Now()
	f.rollback(t)
	t.Logf("rollback took %s", time.Since(start))
	same(t, "after the rollback", bare, f.state(t))
}
