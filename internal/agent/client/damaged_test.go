package client

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"deploy/internal/engine"
	"deploy/internal/hint"
)

// A line in the middle of the agent's record is damaged while what stands behind it has not been
// told to this journal. A run is refused before it acts and says what to do; a plan is not. Given
// up by a person, the work is looked at and the file is kept.
func TestDamagedRecord(t *testing.T) {
	g := newRig(t, "a", "b")
	older := g.copyJournal()
	if _, err := g.apply(); err != nil {
		t.Fatal(err)
	}
	g.group.Wait()
	if err := g.w.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(g.root, "*.log"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	data, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	data[strings.Index(string(data), "one/a@n1")] ^= 1
	if err := os.WriteFile(files[0], data, 0o600); err != nil {
		t.Fatal(err)
	}
	g.w = g.worker(g.root)
	g.store = openStore(t, older)
	g.o.Journal, g.o.TakeOver = g.store, true // what its owner record says is told by another test

	if p, err := engine.MakePlan(t.Context(), g.o); err != nil || p.HasChanges() {
		t.Errorf("the plan: %v", err)
	}
	_, err = g.apply()
	if err == nil || !strings.Contains(err.Error(), "line 2 is damaged, 3 lines follow it") ||
		!strings.Contains(err.Error(), files[0]) || !strings.Contains(hint.Of(err), "--forget-agent n1") {
		t.Errorf("%v (%s)", err, hint.Of(err))
	}
	if got := g.story(); strings.Contains(got, "begin") {
		t.Errorf("the journal says %s", got)
	}
	if kept, err := os.ReadFile(files[0]); err != nil || string(kept) != string(data) {
		t.Errorf("the file was changed (%v)", err)
	}
	g.o.ForgetAgents = []string{"n1"}
	if sum, err := g.apply(); err != nil || sum.Counts.NoOp != 2 {
		t.Errorf("given up: %+v, %v", sum, err)
	}
	if aside, _ := filepath.Glob(files[0] + ".damaged-*"); len(aside) != 1 {
		t.Errorf("put aside: %v", aside)
	}
	g.o.ForgetAgents = nil
	if sum, err := g.apply(); err != nil || sum.Counts.NoOp != 2 {
		t.Errorf("and after that: %+v, %v", sum, err)
	}
}
