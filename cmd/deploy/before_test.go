package main

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// stateOfBefore unpacks what a program from before the chain left in its state directory when it
// was killed: testdata/before/NAME.tar.gz. The lab's keys are not in it, and are made anew.
func stateOfBefore(t *testing.T, b *bench, name string) {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", "before", name+".tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		path := filepath.Join(b.state(), filepath.FromSlash(h.Name))
		if err := errors.Join(err, os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, data, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
}

// State directories that an older program left when it was killed at five different places: its
// journal is read as it is by what only looks, brought to the present version by the first run,
// and then resumes to the end of a run that nobody disturbed, and rolls back to bare machines.
// What its agents did and could not tell any more is in their records of the older format.
func TestTierLabStateOfBefore(t *testing.T) {
	tierLab(t)
	bare, done := directly(t)
	for name, c := range map[string]struct {
		agent  string
		back   bool   // it was a rollback
		status string // what status says of the place
	}{
		"apply-begin":      {"never", false, "files/value@ws19"},
		"apply-restart":    {"never", false, "roles/clustering@ws22"},
		"apply-agent":      {"always", false, "files"},
		"rollback-restart": {"never", true, "roles/clustering@ws19"},
		"rollback-agent":   {"always", true, "storage/volume@ws22"},
	} {
		t.Run(name, func(t *testing.T) {
			b := agentBench(t, replace(t, "agent: always", "agent: "+c.agent))
			stateOfBefore(t, b, name)
			l := b.startLab()
			db := filepath.Join(b.state(), "journal.db")
			before, err := os.ReadFile(db)
			if err != nil {
				t.Fatal(err)
			}
			if s := b.must(0, "status", "--lab", "--verbose", b.site).out; !strings.Contains(s, c.status) {
				t.Errorf("status does not speak of %s:\n%s", c.status, s)
			}
			b.must(0, "history", "--lab", b.site)
			b.must(2, "plan", "--lab", b.site)
			if after, err := os.ReadFile(db); err != nil || string(after) != string(before) {
				t.Errorf("a look has changed the journal (%v)", err)
			}
			b.must(0, "resume", "--lab", "--auto-approve", b.site)
			if c.back {
				same(t, "the rollback, resumed", bare, withoutAgent(machines(t, l)))
				b.must(0, "apply", "--lab", "--auto-approve", b.site)
			}
			same(t, "the machines", done, withoutAgent(machines(t, l)))
			b.must(0, "plan", "--lab", b.site)
			b.must(0, "rollback", "--lab", "--all", "--auto-approve", b.site)
			same(t, "the rollback left something", bare, withoutAgent(machines(t, l)))
			if h := b.must(0, "history", "--lab", b.site).out; !strings.HasPrefix(strings.TrimSpace(h), "1 ") {
				t.Errorf("the older entries are gone:\n%s", tail(h))
			}
		})
	}
}

// A plan that an older program saved is refused, before a machine is asked.
func TestTierLabPlanOfBefore(t *testing.T) {
	tierLab(t)
	b := agentBench(t, replace(t, "agent: always", "agent: never"))
	stateOfBefore(t, b, "apply-begin")
	plan := filepath.Join(filepath.Dir(b.site), "saved.plan")
	if err := os.Rename(filepath.Join(b.state(), "saved.plan"), plan); err != nil {
		t.Fatal(err)
	}
	r := b.must(1, "apply", "--lab", "--auto-approve", plan)
	if !strings.Contains(r.errOut, "plan again") {
		t.Errorf("it says: %s", r.errOut)
	}
}
