package journal

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"deploy/internal/hint"
)

// versionOne puts a journal that the first release wrote into a directory, with its lock. It has
// three entries, of the run r1.
func versionOne(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	copyFile(t, filepath.Join("testdata", "v1.db"), filepath.Join(dir, dbFile))
	write(t, filepath.Join(dir, lockFile), "")
	return dir
}

func contentOf(t *testing.T, dir string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, dbFile))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestVersionOneSealed: a journal of version 1 is read as it is, brought to version 2 by the first
// that writes, keeps its entries and the id by which agents know it, and from then on none of the
// old entries can change unseen.
func TestVersionOneSealed(t *testing.T) {
	dir := versionOne(t)
	before := contentOf(t, dir)
	ro, err := OpenReadOnly(dir, "site")
	if err != nil {
		t.Fatal(err)
	}
	old, err := ro.Entries(t.Context())
	if err != nil || len(old) != 3 {
		t.Fatal(old, err)
	}
	run := old[0].Run
	if ro.ID() != run || ro.Site() != "" {
		t.Errorf("read only: %+v", ro.Identity())
	}
	_ = ro.Close()
	if contentOf(t, dir) != before {
		t.Error("a reader has changed the file")
	}
	s, err := Open(dir, OpenOptions{Site: "site"})
	if err != nil {
		t.Fatal(err)
	}
	if s.ID() != run || s.Site() != "site" {
		t.Errorf("%+v", s.Identity())
	}
	if seq, err := s.Append(t.Context(), Entry{Run: "r2", Kind: RunStart}); err != nil || seq != 4 {
		t.Error(seq, err)
	}
	_ = s.Close()
	opens(t, dir, "site", 4)
	refused(t, dir, "other", "this journal is of site site, not other", "--state-dir")
	for q, want := range map[string]string{
		`UPDATE entries SET data = '{"command":"rollback"}' WHERE seq = 1`: "entry 1 is damaged",
		`UPDATE entries SET node = 'n9' WHERE seq = 3`:                     "entry 3 is damaged",
		`DELETE FROM entries WHERE seq = 2`:                                "entry 2 is missing",
		`UPDATE meta SET sealed = 0`:                                       "(table meta) is damaged",
	} {
		copied := t.TempDir()
		copyFile(t, filepath.Join(dir, dbFile), filepath.Join(copied, dbFile))
		raw(t, copied, q)
		refused(t, copied, "site", want, fromBackup)
	}
}

// TestVersionOneDamaged: what can be seen of a damaged file of version 1 is told with what to do,
// and the file is not sealed as it is.
func TestVersionOneDamaged(t *testing.T) {
	for q, want := range map[string]string{
		`UPDATE entries SET time = '2026-11-3pT00:00:00Z' WHERE seq = 2`: `entry 2 is damaged: its time is "2026-11-3pT00:00:00Z"`,
		`DELETE FROM entries WHERE seq = 2`:                              "entry 2 is missing",
	} {
		dir := versionOne(t)
		raw(t, dir, q)
		before := contentOf(t, dir)
		refused(t, dir, "site", want, fromBackup)
		if contentOf(t, dir) != before {
			t.Errorf("%s: the file was changed", q)
		}
	}
}

// TestVersionOneGone: an older program left a lock, and its journal is gone.
func TestVersionOneGone(t *testing.T) {
	dir := versionOne(t)
	write(t, filepath.Join(dir, dbFile), "")
	refused(t, dir, "site", "the journal of site site is missing: journal.db is empty, and a lock says", "remove ")
}

// TestVersionOnePutBack: a copy from before the upgrade takes the place of the journal. It is told,
// and not sealed again.
func TestVersionOnePutBack(t *testing.T) {
	dir := versionOne(t)
	old := contentOf(t, dir)
	opens(t, dir, "site", 3) // as it is, and sealed
	if err := try("open", dir, "site"); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, dbFile), old)
	refused(t, dir, "site", "journal.db is an older copy: it is of version 1, and entry 3 was written here later",
		"remove "+filepath.Join(dir, headFile))
	if contentOf(t, dir) != old {
		t.Error("the copy was changed")
	}
	if err := os.Remove(filepath.Join(dir, headFile)); err != nil {
		t.Fatal(err)
	}
	opens(t, dir, "site", 3)
}

// TestVersionOneWithoutRuns: agents know nothing of it, so it gets an id like any other.
func TestVersionOneWithoutRuns(t *testing.T) {
	dir := versionOne(t)
	raw(t, dir, `DELETE FROM entries`)
	s, err := Open(dir, OpenOptions{Site: "site"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if len(s.ID()) != 32 {
		t.Errorf("%+v", s.Identity())
	}
}

// TestSealedInOneTransaction: cut off in the middle, the file is still of version 1 and is sealed
// by the next one; and a program that knows version 1 alone refuses what has been sealed.
func TestSealedInOneTransaction(t *testing.T) {
	dir := versionOne(t)
	db, err := connect(dir, 0, false)
	if err != nil {
		t.Fatal(err)
	}
	cut := migrations("site")
	cut[1] = func(ctx context.Context, tx *sql.Tx) error {
		if err := chainColumn(ctx, tx, "site"); err != nil {
			return err
		}
		return context.Canceled
	}
	if err := migrate(t.Context(), db, cut); err == nil {
		t.Fatal("the cut was not told")
	}
	if v, err := version(t.Context(), db); err != nil || v != 1 {
		t.Fatal(v, err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	opens(t, dir, "site", 3)
	if db, err = connect(dir, 0, false); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	before := contentOf(t, dir)
	err = migrate(t.Context(), db, migrations("site")[:1])
	if err == nil || !strings.Contains(err.Error(), "the journal has version 2, this program knows 1") ||
		!strings.Contains(hint.Of(err), "newer deploy") || contentOf(t, dir) != before {
		t.Errorf("an older program: %v", err)
	}
}
