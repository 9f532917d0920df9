package journal

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"deploy/internal/hint"
)

// written makes the journal of a site with n entries and returns its directory.
func written(t *testing.T, site string, n int) string {
	t.Helper()
	dir := t.TempDir()
	s, err := Open(dir, OpenOptions{Who: "ann@desk", Site: site, Now: clock()})
	if err != nil {
		t.Fatal(err)
	}
	more(t, s, n)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func more(t *testing.T, s *Store, n int) {
	t.Helper()
	var list []Entry
	for i := range n {
		e := Entry{Run: "r1", Kind: Begin, Phase: "p", Task: fmt.Sprintf("p/a%d@n1", i), Node: "n1",
			Data: json.RawMessage(fmt.Sprintf(`{"kind":"registry","step":{"value":"original-%d"}}`, i))}
		if i == 0 {
			e = Entry{Run: "r1", Kind: RunStart, Data: json.RawMessage(`{"command":"apply"}`)}
		}
		list = append(list, e)
	}
	if _, err := s.Append(t.Context(), list...); err != nil {
		t.Fatal(err)
	}
}

// raw runs statements on the file behind deploy's back, without the triggers.
func raw(t *testing.T, dir string, statements ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(dir, dbFile)+"?_pragma=synchronous(OFF)")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for _, q := range append([]string{`DROP TRIGGER IF EXISTS entries_keep`, `DROP TRIGGER IF EXISTS entries_same`},
		statements...) {
		if _, err := db.Exec(q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	write(t, to, string(b))
}

// try opens a directory as a run does ("open"), or as a command does that only looks ("read").
func try(way, dir, site string) error {
	var s *Store
	var err error
	if way == "open" {
		s, err = Open(dir, OpenOptions{Site: site})
	} else {
		s, err = OpenReadOnly(dir, site)
	}
	if err != nil {
		return err
	}
	return s.Close()
}

// refused wants an error with a text, the directory and a hint from both ways.
func refused(t *testing.T, dir, site, text, advice string) {
	t.Helper()
	for _, way := range []string{"read", "open", "read"} {
		err := try(way, dir, site)
		switch {
		case err == nil:
			t.Errorf("%s: was opened, want %q", way, text)
		case errors.Is(err, fs.ErrNotExist):
			t.Errorf("%s: is told as never applied: %v", way, err)
		case !strings.Contains(err.Error(), text) || !strings.Contains(err.Error(), dir):
			t.Errorf("%s: %v\nwant %q and the directory", way, err, text)
		case !strings.Contains(hint.Of(err), advice):
			t.Errorf("%s: hint %q, want %q", way, hint.Of(err), advice)
		}
	}
}

// opens wants a journal with n entries from both ways.
func opens(t *testing.T, dir, site string, n int) {
	t.Helper()
	for _, way := range []string{"read", "open", "read"} {
		if err := try(way, dir, site); err != nil {
			t.Fatalf("%s: %v (%s)", way, err, hint.Of(err))
		}
	}
	s, err := OpenReadOnly(dir, site)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if got, err := s.Entries(t.Context()); err != nil || len(got) != n {
		t.Errorf("%d entries, want %d, %v", len(got), n, err)
	}
}

const fromBackup = "restore it from a backup"

// TestTampered: whoever changes the file past deploy is found out, with the entry's number.
func TestTampered(t *testing.T) {
	whole := filepath.Join(written(t, "a", 6), dbFile)
	for q, want := range map[string]string{
		`UPDATE entries SET seq = 9 WHERE seq = 6`:                           "entries 6 to 8 are missing",
		`UPDATE entries SET time = '2027-01-01T00:00:00Z' WHERE seq = 3`:     "entry 3 is damaged",
		`UPDATE entries SET time = '2026-11-3pT00:00:00Z' WHERE seq = 3`:     "entry 3 is damaged",
		`UPDATE entries SET run = 'r2' WHERE seq = 1`:                        "entry 1 is damaged",
		`UPDATE entries SET kind = 'done' WHERE seq = 2`:                     "entry 2 is damaged",
		`UPDATE entries SET phase = 'q' WHERE seq = 6`:                       "entry 6 is damaged",
		`UPDATE entries SET phase = 'pp/a', task = '1@n1' WHERE seq = 2`:     "entry 2 is damaged",
		`UPDATE entries SET task = 'p/b@n1' WHERE seq = 6`:                   "entry 6 is damaged",
		`UPDATE entries SET node = 'n2' WHERE seq = 4`:                       "entry 4 is damaged",
		`UPDATE entries SET data = replace(data, 'orig', 'nrig')`:            "entry 2 is damaged",
		`UPDATE entries SET data = NULL WHERE seq = 5`:                       "entry 5 is damaged",
		`UPDATE entries SET hash = x'00' WHERE seq = 5`:                      "entry 5 is damaged",
		`UPDATE entries SET hash = NULL WHERE seq = 6`:                       "entry 6 is damaged",
		`UPDATE entries SET hash = (SELECT hash FROM entries WHERE seq = 1)`: "entry 2 is damaged",
		`DELETE FROM entries WHERE seq = 3`:                                  "entry 3 is missing",
		`DELETE FROM entries WHERE seq IN (2, 3, 4)`:                         "entries 2 to 4 are missing",
		`DELETE FROM entries WHERE seq = 1`:                                  "entry 1 is missing",
		`DELETE FROM entries WHERE seq = 6`:                                  "entry 6 is missing",
		`DELETE FROM entries WHERE seq > 3`:                                  "entries 4 to 6 are missing",
		`DELETE FROM entries`:                                                "entries 1 to 6 are missing",
		`INSERT INTO entries SELECT 7, time, run, kind, phase, task, node, data, hash FROM entries WHERE seq = 6`: "entry 7 was " +
			"not written by deploy",
		`DELETE FROM meta`:                               "(table meta) is damaged",
		`UPDATE meta SET journal = 'x'`:                  "(table meta) is damaged",
		`UPDATE meta SET site = 'b'`:                     "(table meta) is damaged",
		`UPDATE meta SET sealed = 1`:                     "(table meta) is damaged",
		`UPDATE meta SET seq = 5`:                        "(table meta) is damaged",
		`UPDATE meta SET hash = x'00'`:                   "(table meta) is damaged",
		`UPDATE meta SET sum = x'00'`:                    "(table meta) is damaged",
		`DROP TABLE meta`:                                "no such table",
		`DROP TABLE entries`:                             "no such table",
		`ALTER TABLE entries RENAME COLUMN data TO date`: "no such column",
	} {
		dir := t.TempDir()
		copyFile(t, whole, filepath.Join(dir, dbFile))
		raw(t, dir, q)
		t.Log(q)
		refused(t, dir, "a", want, fromBackup)
	}
}

// TestRowsHaveOneEncoding: text that moves from one field to the next is another row.
func TestRowsHaveOneEncoding(t *testing.T) {
	seen := map[string]row{}
	for _, r := range []row{
		{phase: "a", task: "b"}, {phase: "ab"}, {task: "ab"}, {phase: "a", place: "b"}, {kind: "a", phase: "b"},
		{seq: 1, phase: "ab"}, {data: sql.NullString{Valid: true}}, {}, {data: sql.NullString{Valid: true, String: "ab"}},
		{phase: "\x00\x00\x00\x00\x00\x00\x00\x01b"},
	} {
		h := string(chained([]byte("before"), r))
		if other, ok := seen[h]; ok {
			t.Errorf("%+v and %+v have one hash", r, other)
		}
		seen[h] = r
	}
}

// TestBitFlips flips single bits all over the file, each in a fresh copy. The journal is refused or
// reads as it was written: never as something else.
func TestBitFlips(t *testing.T) {
	dir := written(t, "a", 12)
	s, err := OpenReadOnly(dir, "a")
	if err != nil {
		t.Fatal(err)
	}
	want, err := s.Entries(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_ = s.Close()
	whole, err := os.ReadFile(filepath.Join(dir, dbFile))
	if err != nil {
		t.Fatal(err)
	}
	// half of them where a row's content stands, so that not all of them fall into free space
	var inRows []int
	for i := range whole {
		if strings.HasPrefix(string(whole[i:]), `{"kind":"registry"`) {
			for j := i - 60; j < i+90; j++ {
				inRows = append(inRows, j)
			}
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	hit, hinted := 0, 0
	for i := range 600 {
		at := random.IntN(len(whole))
		if i%2 == 0 {
			at = inRows[random.IntN(len(inRows))]
		}
		bit := byte(1) << random.IntN(8)
		b := append([]byte(nil), whole...)
		b[at] ^= bit
		if err := os.WriteFile(filepath.Join(dir, dbFile), b, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := OpenReadOnly(dir, "a")
		var got []Entry
		if err == nil {
			got, err = s.Entries(t.Context())
			_ = s.Close()
		}
		switch {
		case err == nil && !reflect.DeepEqual(got, want):
			t.Fatalf("byte %d, bit %02x: another story was read:\n%v", at, bit, got)
		case err == nil:
		case errors.Is(err, fs.ErrNotExist):
			t.Errorf("byte %d, bit %02x: told as never applied: %v", at, bit, err)
		default:
			hit++
			if hint.Of(err) != "" && strings.Contains(err.Error(), dir) {
				hinted++
			} else {
				t.Errorf("byte %d, bit %02x: %v has no hint", at, bit, err)
			}
		}
	}
	if hit < 250 {
		t.Errorf("only %d of 600 were refused: this does not prove much", hit)
	}
	t.Logf("%d of 600 refused, %d with a hint; the others changed nothing", hit, hinted)
}

// TestTruncated cuts the file at every page and in between.
func TestTruncated(t *testing.T) {
	dir := written(t, "a", 80)
	path := filepath.Join(dir, dbFile)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for size := 1; size < len(whole); size += 1023 {
		write(t, path, string(whole[:size]))
		for _, way := range []string{"read", "open"} {
			if err := try(way, dir, "a"); err == nil || errors.Is(err, fs.ErrNotExist) || hint.Of(err) == "" {
				t.Errorf("%s: %d of %d bytes: %v", way, size, len(whole), err)
			}
		}
	}
}

// TestGone: a journal that was taken away is told, not mistaken for one that never was.
func TestGone(t *testing.T) {
	dir := written(t, "a", 3)
	path := filepath.Join(dir, dbFile)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, "")
	refused(t, dir, "a", "the journal of site a is missing: journal.db is empty, and entry 3 was written here",
		"restore journal.db from a backup")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	refused(t, dir, "a", "the journal of site a is missing: journal.db is not there, and entry 3 was written here",
		"restore journal.db from a backup")
	// restored, it goes on
	write(t, path, string(whole))
	opens(t, dir, "a", 3)
	// with what tells of it gone as well, the lock still does
	for _, name := range []string{dbFile, headFile} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	refused(t, dir, "a", "the journal of site a is missing: journal.db is not there, and a lock says", "remove "+
		filepath.Join(dir, lockFile))
	// a person who says so begins anew
	if err := os.Remove(filepath.Join(dir, lockFile)); err != nil {
		t.Fatal(err)
	}
	if err := try("read", dir, "a"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	s := open(t, dir)
	_ = s.Close()
	opens(t, dir, "", 0)
}

// TestOlderCopy: a copy of before is whole in itself, and is told by the file beside it.
func TestOlderCopy(t *testing.T) {
	dir := written(t, "a", 3)
	path, old := filepath.Join(dir, dbFile), filepath.Join(t.TempDir(), "old")
	copyFile(t, path, old)
	s, err := Open(dir, OpenOptions{Site: "a"})
	if err != nil {
		t.Fatal(err)
	}
	id := s.ID()
	more(t, s, 4)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	copyFile(t, old, path)
	head := filepath.Join(dir, headFile)
	refused(t, dir, "a", "journal.db is an older copy: it ends with entry 3, and entry 7 was written here", "remove "+head)
	// accepted by a person, it goes on from there, and is then the one that counts
	if err := os.Remove(head); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(dir, OpenOptions{Site: "a"}); err != nil {
		t.Fatal(err)
	}
	if s.ID() != id {
		t.Error("the copy has another id")
	}
	more(t, s, 6)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	opens(t, dir, "a", 9)
	// a copy that grew elsewhere is longer, and not the same
	copyFile(t, old, path)
	elsewhere := t.TempDir()
	copyFile(t, old, filepath.Join(elsewhere, dbFile))
	if s, err = Open(elsewhere, OpenOptions{Site: "a"}); err != nil {
		t.Fatal(err)
	}
	more(t, s, 8)
	_ = s.Close()
	copyFile(t, filepath.Join(elsewhere, dbFile), path)
	refused(t, dir, "a", "journal.db is a copy that went its own way: its entry 9 is not the one that was written here",
		"remove "+head)
	copyFile(t, filepath.Join(written(t, "a", 20), dbFile), path)
	refused(t, dir, "a", "journal.db is another journal (", "remove "+head)
}

// TestHeadBehind: the process died between the commit and the note of it, once or a hundred times:
// that is no alarm.
func TestHeadBehind(t *testing.T) {
	dir := written(t, "a", 3)
	path, old := filepath.Join(dir, headFile), filepath.Join(t.TempDir(), "old")
	copyFile(t, path, old)
	s, err := Open(dir, OpenOptions{Site: "a"})
	if err != nil {
		t.Fatal(err)
	}
	more(t, s, 5)
	_ = s.Close()
	copyFile(t, old, path)
	opens(t, dir, "a", 8)
	// cut off before there was a database, or before it held anything
	fresh := t.TempDir()
	if err := announce(fresh); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(fresh, lockFile), "")
	for _, empty := range []bool{false, true} {
		if empty {
			write(t, filepath.Join(fresh, dbFile), "")
		}
		if err := try("read", fresh, "a"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("empty %v: %v", empty, err)
		}
	}
	if err := try("open", fresh, "a"); err != nil {
		t.Fatal(err)
	}
	opens(t, fresh, "a", 0)
}

// TestHeadDamaged: nothing is claimed on a file that is not whole.
func TestHeadDamaged(t *testing.T) {
	dir := written(t, "a", 3)
	path := filepath.Join(dir, headFile)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	end := strings.LastIndexByte(string(b), '}')
	for at := range end + 1 {
		c := append([]byte(nil), b...)
		c[at] ^= 2
		write(t, path, string(c))
		err := try("read", dir, "a")
		if err == nil || !strings.Contains(err.Error(), "journal.head is damaged") || hint.Of(err) == "" {
			t.Fatalf("byte %d: %v", at, err)
		}
	}
	refused(t, dir, "a", "journal.head is damaged", "remove "+path)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	opens(t, dir, "a", 3)
}

// TestOtherSite: the journal of another site in this place is refused, and by its name.
func TestOtherSite(t *testing.T) {
	a, b := written(t, "a", 3), written(t, "b", 2)
	copyFile(t, filepath.Join(a, dbFile), filepath.Join(b, dbFile))
	refused(t, b, "b", "this journal is of site a, not b", "--state-dir")
	refused(t, a, "b", "this journal is of site a, not b", "--state-dir")
	opens(t, a, "a", 3)
}

func TestIdentity(t *testing.T) {
	seen := map[string]bool{}
	for range 3 {
		dir := written(t, "a", 1)
		for range 2 {
			s, err := OpenReadOnly(dir, "")
			if err != nil {
				t.Fatal(err)
			}
			if s.Site() != "a" || len(s.ID()) != 32 {
				t.Errorf("%+v", s.Identity())
			}
			seen[s.ID()] = true
			_ = s.Close()
		}
	}
	if len(seen) != 3 {
		t.Errorf("three journals have %d ids", len(seen))
	}
}
