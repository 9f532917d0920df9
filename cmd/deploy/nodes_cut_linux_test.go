package main

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"deploy/internal/testkit/linuxnodes"
)

// lasting is how long a cable stays cut: longer than the sites of these tests need to notice, so
// that every cut is one and not a pause.
const lasting = 1500 * time.Millisecond

// quick makes the site notice a cut within a second.
func quick(t *testing.T, f *fleet) *fleet {
	t.Helper()
	for i, n := range f.nodes {
		f.extra[i] = fmt.Sprintf(", ssh: {fingerprints: ['%s'], keepalive: 250ms}", n.Fingerprint())
	}
	f.timeout = "5s"
	f.write(t)
	return f
}

// like is how a node is without and with the site's work.
type like struct{ bare, applied map[string]linuxnodes.State }

// undisturbed plays the site on every node alone, in peace, and back.
func undisturbed(t *testing.T, l *linuxnodes.Lab, playbook string) map[string]like {
	t.Helper()
	out := map[string]like{}
	var mu sync.Mutex
	t.Run("undisturbed", func(t *testing.T) {
		for _, n := range l.Nodes() {
			t.Run(n.Name, func(t *testing.T) {
				t.Parallel()
				f := newFleet(t, l, playbook, n)
				k := like{bare: f.state(t)}
				f.apply(t)
				k.applied = f.state(t)
				f.rollback(t)
				same(t, "after the rollback", k.bare, f.state(t))
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

// anew makes a node that something was left on as it was.
func anew(t *testing.T, n *linuxnodes.Node) error {
	if err := n.Reset(); err != nil {
		return err
	}
	return n.Wait(t.Context())
}

// The cable is cut at every message of a phase that has a step of every family, before it is sent
// or when it has come, and healed: the run goes on by itself, and the node is as after a run that
// nobody disturbed; a rollback leaves nothing.
func TestTierNodesCutAtEveryMessage(t *testing.T) {
	l := nodes(t, linuxnodes.Options{Systemd: 4})
	book := families()
	want := undisturbed(t, l, book.String())
	count := everyOne(t, l.Nodes(), anew, func(t *testing.T, n *linuxnodes.Node, k int) bool {
		f := quick(t, newFleet(t, l, book.String(), n))
		healed := make(chan error, 1)
		healed <- nil
		c := onMessage(t, func() {
			<-healed
			if err := n.LinkDown(); err != nil {
				t.Error(err)
			}
			time.AfterFunc(lasting, func() { healed <- n.LinkUp() })
		})
		r := f.run(t, c.env(k), "apply", "--auto-approve", "--json", f.site)
		at := c.reached()
		if err := <-healed; err != nil {
			t.Fatal(err)
		}
		if r.code != 0 {
			t.Fatalf("cut at %s: exit %d\n%s\n%s", at, r.code, tail(r.out), tail(r.errOut))
		}
		same(t, "cut at "+at, want[n.Name].applied, f.state(t))
		f.rollback(t)
		same(t, "after the rollback, cut at "+at, want[n.Name].bare, f.state(t))
		return at != ""
	})
	if count < 2*book.steps {
		t.Errorf("the run has only %d messages", count)
	}
	t.Logf("%d messages", count)
}

// The program is killed after every journal entry of the phase and run again, in turn on the same
// state directory and on a copy of it after the first has gone.
func TestTierNodesKilledAfterEveryEntry(t *testing.T) {
	l := nodes(t, linuxnodes.Options{Systemd: 4})
	book := families()
	want := undisturbed(t, l, book.String())
	count := everyOne(t, l.Nodes(), anew, func(t *testing.T, n *linuxnodes.Node, k int) bool {
		f := newFleet(t, l, book.String(), n)
		r := f.run(t, []string{fmt.Sprintf("%s=%d", killAfter, k)}, "apply", "--auto-approve", f.site)
		if !r.killed && r.code != 0 {
			t.Fatalf("exit %d\n%s\n%s", r.code, tail(r.out), tail(r.errOut))
		}
		if r.killed && k%2 == 1 {
			f.moved(t)
		}
		f.apply(t)
		same(t, "the node", want[n.Name].applied, f.state(t))
		f.rollback(t)
		same(t, "after the rollback", want[n.Name].bare, f.state(t))
		return r.killed
	})
	if count < 2*book.steps {
		t.Errorf("the run has only %d entries", count)
	}
	t.Logf("%d entries", count)
}
