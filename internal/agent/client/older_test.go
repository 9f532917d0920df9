package client

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"deploy/internal/agent/wire"
	"deploy/internal/engine"
)

// The journal is copied after an apply, the site is rolled back, and the copy takes the journal's
// place: the agent's record shows that it is a copy, over the wire, also when the agent was started
// anew meanwhile. And what the rollback itself has heard is not told to it again.
func TestOlderCopyOfTheJournal(t *testing.T) {
	for _, anew := range []bool{false, true} {
		g := newRig(t, "a", "b")
		if err := os.WriteFile(filepath.Join(g.dir, "b"), []byte("old"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := g.apply(); err != nil {
			t.Fatal(err)
		}
		older := g.copyJournal()
		if _, err := engine.Rollback(t.Context(), g.o, engine.RollbackOptions{All: true}); err != nil {
			t.Fatal(err)
		}
		const done = "begin:a done:a begin:b done:b checkpoint:one"
		const back = " undo-begin:b undone:b undo-begin:a undone:a"
		if got := g.story(); got != done+back {
			t.Errorf("the journal says %s", got)
		}
		if _, err := engine.Rollback(t.Context(), g.o, engine.RollbackOptions{All: true}); err != nil ||
			g.story() != done+back {
			t.Errorf("it was told of its own rollback: %s, %v", g.story(), err)
		}

		if anew {
			root := g.root
			g.group.Wait()
			if err := g.w.Close(); err != nil {
				t.Fatal(err)
			}
			g.w = g.worker(root)
		}
		g.store = openStore(t, older)
		g.o.Journal = g.store
		if _, err := g.apply(); !errors.Is(err, engine.ErrNotInCharge) || g.story() != done || g.notes() != "b=old" {
			t.Errorf("the copy is used: %v, %s, %s", err, g.story(), g.notes())
		}
		const over = " take-over:"
		g.o.TakeOver = true // what the owner record says; then there is the agent's
		if _, err := g.apply(); !errors.Is(err, engine.ErrReport) || g.story() != done+over || g.notes() != "b=old" {
			t.Errorf("the copy is used: %v, %s, %s", err, g.story(), g.notes())
		}
		g.o.ForgetAgents = []string{"n1"}
		sum, err := g.apply()
		if err != nil || sum.Counts.Change != 2 {
			t.Errorf("%+v, %v", sum, err)
		}
		passed := strings.Repeat(" agent-position:", 4)
		if got, want := g.story(), done+over+passed+" begin:a done:a begin:b done:b checkpoint:one"; got != want {
			t.Errorf("the copy says %s\nwant %s", got, want)
		}
		if _, err := engine.Rollback(t.Context(), g.o, engine.RollbackOptions{All: true}); err != nil ||
			g.notes() != "b=old" {
			t.Errorf("after the copy's rollback: %s, %v", g.notes(), err)
		}
	}
}

// The link is cut at every message of a rollback. It is brought to its end, and neither the next
// run of the same journal nor an older copy of it is led astray by what the record has of the undo
// that was cut.
func TestRollbackCutAtEveryMessage(t *testing.T) {
	messages := 0
	for at := 1; at == 1 || at <= messages+1; at++ {
		g := newRig(t, "a", "b")
		if err := os.WriteFile(filepath.Join(g.dir, "b"), []byte("old"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := g.apply(); err != nil {
			t.Fatal(err)
		}
		older := g.copyJournal()
		var mu sync.Mutex
		n, cut := 0, ""
		g.tap = func(_ bool, m wire.Type) error {
			mu.Lock()
			defer mu.Unlock()
			if n++; n == at {
				cut = m.String()
				return errors.New("cut")
			}
			return nil
		}
		if _, err := engine.Rollback(t.Context(), g.o, engine.RollbackOptions{All: true}); err != nil {
			t.Fatalf("cut at %s: %v", cut, err)
		}
		mu.Lock()
		messages = max(messages, n)
		mu.Unlock()
		g.tap = nil
		if got := g.notes(); got != "b=old" {
			t.Errorf("cut at %s: left %s", cut, got)
		}
		for _, copied := range []bool{false, true} {
			if copied {
				g.store = openStore(t, older)
				g.o.Journal, g.o.ForgetAgents, g.o.TakeOver = g.store, []string{"n1"}, true
			}
			if sum, err := g.apply(); err != nil || sum.Counts.Change != 2 || g.notes() != "a=text of a, b=text of b" {
				t.Errorf("cut at %s, applied again, from a copy %v: %+v, %v: %s", cut, copied, sum, err, g.notes())
			}
			if _, err := engine.Rollback(t.Context(), g.o, engine.RollbackOptions{All: true}); err != nil ||
				g.notes() != "b=old" {
				t.Errorf("cut at %s, rolled back again, from a copy %v: %s, %v", cut, copied, g.notes(), err)
			}
		}
		if cut == "" {
			break
		}
	}
	if messages < 8 {
		t.Errorf("a rollback has only %d messages", messages)
	}
	t.Logf("%d messages", messages)
}
