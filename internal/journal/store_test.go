package journal

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"deploy/internal/hint"
)

func TestMain(m *testing.M) {
	// TestDeadHolder starts this binary again as the holder that dies
	if dir := os.Getenv("JOURNAL_TEST_HOLD"); dir != "" {
		hold(dir)
	}
	goleak.VerifyTestMain(m)
}

func clock() func() time.Time {
	at := time.Date(2026, 1, 2, 3, 4, 5, 678, time.UTC)
	return func() time.Time { at = at.Add(time.Second); return at }
}

func open(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(dir, OpenOptions{Who: "ann@desk", Run: "r1", Now: clock()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestRoundTrip(t *testing.T) {
	// a path that a URL would read otherwise
	dir := filepath.Join(t.TempDir(), "sité 100% ?#&", "state")
	s := open(t, dir)
	ctx := context.Background()
	want := []Entry{
		{Run: "r1", Kind: RunStart, Data: json.RawMessage(`{"command":"apply","who":"ann"}`)},
		{Run: "r1", Kind: Begin, Phase: "p", Task: "p/a@n1", Node: "n1",
			Data: json.RawMessage(`{"kind":"x","step":{"b":"ü\u0000"}}`)},
		{Run: "r1", Kind: Done, Phase: "p", Task: "p/a@n1", Node: "n1",
			Time: time.Date(2030, 1, 1, 0, 0, 0, 123456789, time.UTC)},
	}
	now := clock()
	now() // the lock's record took the first
	for i := range want {
		seq, err := s.Append(ctx, want[i])
		if err != nil || seq != int64(i+1) {
			t.Fatalf("entry %d got number %d, %v", i+1, seq, err)
		}
		want[i].Seq = seq
		if want[i].Time.IsZero() {
			want[i].Time = now()
		}
	}
	check := func(s *Store) {
		t.Helper()
		got, err := s.Entries(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
	}
	check(s)
	// a reader works beside the writer, and cannot write
	ro, err := OpenReadOnly(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	check(ro)
	if _, err := ro.Append(ctx, want[0]); err == nil {
		t.Error("a reader could write")
	}
	if _, err := ro.db.Exec(`INSERT INTO entries VALUES (9, '', '', '', '', '', '', NULL, NULL)`); err == nil {
		t.Error("a reader's connection can write")
	}
	if err := errors.Join(ro.Close(), s.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
	check(open(t, dir))
	if _, err := s.Append(ctx, want[0]); err == nil {
		t.Error("a closed journal took an entry")
	}
}

func TestAppendRefuses(t *testing.T) {
	s := open(t, t.TempDir())
	for _, e := range []Entry{{Run: "r"}, {Run: "r", Kind: Done, Data: json.RawMessage(`{`)}} {
		if _, err := s.Append(context.Background(), e); err == nil {
			t.Errorf("%+v was taken", e)
		}
	}
	if got, err := s.Entries(context.Background()); err != nil || len(got) != 0 {
		t.Error(got, err)
	}
}

// TestConcurrent: many writers, no gap and no number twice.
func TestConcurrent(t *testing.T) {
	s := open(t, t.TempDir())
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 10 {
				if _, err := s.Append(context.Background(), Entry{Run: "r", Kind: NoOp, Task: fmt.Sprint(i)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if got, err := s.Entries(context.Background()); err != nil || len(got) != 80 {
		t.Error(len(got), err)
	}
}

// TestAppendOnly: nobody changes what was written, not even with another client of the file; and a
// hole is noticed.
func TestAppendOnly(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	for range 3 {
		if _, err := s.Append(context.Background(), Entry{Run: "r", Kind: NoOp}); err != nil {
			t.Fatal(err)
		}
	}
	for _, q := range []string{`DELETE FROM entries WHERE seq = 2`, `UPDATE entries SET kind = 'done'`} {
		if _, err := s.db.Exec(q); err == nil || !strings.Contains(err.Error(), "append-only") {
			t.Errorf("%s: %v", q, err)
		}
	}
	if _, err := s.db.Exec(`DROP TRIGGER entries_keep; DELETE FROM entries WHERE seq = 2`); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Entries(context.Background()); err == nil || !strings.Contains(err.Error(), "entry 2 is missing") {
		t.Errorf("the hole was not noticed: %v", err)
	}
}

// TestPragmas: what the durability of an entry rests on.
func TestPragmas(t *testing.T) {
	s := open(t, t.TempDir())
	for pragma, want := range map[string]string{"synchronous": "2", "journal_mode": "truncate", "busy_timeout": "5000"} {
		var got string
		if err := s.db.QueryRow("PRAGMA " + pragma).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %s, want %s (%v)", pragma, got, want, err)
		}
	}
}

// TestDiskFull makes SQLite meet its own "full", by a limit on the file's pages, and then room
// again.
func TestDiskFull(t *testing.T) {
	s := open(t, t.TempDir())
	ctx := context.Background()
	var pages int
	if err := s.db.QueryRow(`PRAGMA max_page_count = 1`).Scan(&pages); err != nil { // answers the lowest that is possible
		t.Fatal(err)
	}
	big := json.RawMessage(`"` + strings.Repeat("x", 20000) + `"`)
	_, err := s.Append(ctx, Entry{Run: "r", Kind: Begin, Data: big})
	if err == nil || !strings.Contains(hint.Of(err), "free disk space") ||
		!strings.HasPrefix(err.Error(), "cannot write to the journal in ") {
		t.Fatalf("%v (%s)", err, hint.Of(err))
	}
	if err := s.db.QueryRow(`PRAGMA max_page_count = 100000`).Scan(&pages); err != nil {
		t.Fatal(err)
	}
	if seq, err := s.Append(ctx, Entry{Run: "r", Kind: Begin, Data: big}); err != nil || seq != 1 {
		t.Errorf("with room again: %d, %v", seq, err)
	}
}

func TestReadOnlyConnection(t *testing.T) {
	s := open(t, t.TempDir())
	if _, err := s.db.Exec(`PRAGMA query_only = 1`); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Append(context.Background(), Entry{Run: "r", Kind: Begin}); err == nil ||
		!strings.Contains(hint.Of(err), "make the directory writable") {
		t.Errorf("%v (%s)", err, hint.Of(err))
	}
}

// TestOpenFails: each way in which a directory can be unfit gives an error that names it, and a
// hint.
func TestOpenFails(t *testing.T) {
	base := t.TempDir()
	file := filepath.Join(base, "file")
	write(t, file, "x")
	junk := filepath.Join(base, "junk")
	if err := os.Mkdir(junk, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(junk, dbFile), strings.Repeat("this is no database\n", 100))
	blocked := filepath.Join(base, "blocked")
	if err := os.MkdirAll(filepath.Join(blocked, dbFile), 0o700); err != nil {
		t.Fatal(err)
	}
	nolock := filepath.Join(base, "nolock")
	if err := os.MkdirAll(filepath.Join(nolock, holderFile, "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	dirs := map[string]string{"a file": file, "below a file": filepath.Join(file, "sub"), "junk": junk,
		"a directory in the way": blocked, "no record": nolock}
	if ro := filepath.Join(base, "ro"); os.Getuid() != 0 {
		if err := os.Mkdir(ro, 0o500); err != nil {
			t.Fatal(err)
		}
		dirs["read only"] = ro
	} else if _, err := os.Stat("/proc/self"); err == nil {
		dirs["read only"] = "/proc/self/state" // root may write everywhere but there
	}
	for name, dir := range dirs {
		for range 2 { // the failure leaves no lock behind
			s, err := Open(dir, OpenOptions{})
			if err == nil {
				_ = s.Close()
				t.Errorf("%s: opened", name)
				continue
			}
			var held *LockedError
			if !strings.Contains(err.Error(), dir) || errors.As(err, &held) || name != "no record" && hint.Of(err) == "" {
				t.Errorf("%s: %v (%s)", name, err, hint.Of(err))
			}
		}
	}
	if _, err := OpenReadOnly(filepath.Join(base, "none"), ""); !errors.Is(err, fs.ErrNotExist) || hint.Of(err) == "" {
		t.Error(err)
	}
	if _, err := OpenReadOnly(junk, ""); err == nil {
		t.Error("junk was opened for reading")
	}
	if Exists(base) || !Exists(junk) {
		t.Error("Exists is wrong")
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestLock(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	_, err := Open(dir, OpenOptions{Who: "bob@lap"})
	var held *LockedError
	if !errors.As(err, &held) || held.Holder.Who != "ann@desk" || held.Holder.PID != os.Getpid() ||
		held.Holder.Run != "r1" || hint.Of(err) == "" {
		t.Fatalf("%v", err)
	}
	if !strings.Contains(err.Error(), "ann@desk holds it (process ") ||
		!strings.Contains(err.Error(), ", run r1, since 2026-01-02T03:04:06Z)") {
		t.Error(err)
	}
	write(t, filepath.Join(dir, holderFile), "{")
	if _, err := Open(dir, OpenOptions{}); !errors.As(err, &held) || !strings.Contains(err.Error(), "another "+
		"process holds it") {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, holderFile)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the record outlives the lock: %v", err)
	}
	if err := open(t, dir).Close(); err != nil {
		t.Fatal(err)
	}
}

// hold is the child of TestDeadHolder: it writes three entries, says so, and waits to be killed in
// the middle of a transaction.
func hold(dir string) {
	s, err := Open(dir, OpenOptions{Who: "dead@host", Run: "gone"})
	if err != nil {
		panic(err)
	}
	for range 3 {
		if _, err := s.Append(context.Background(), Entry{Run: "gone", Kind: Begin}); err != nil {
			panic(err)
		}
	}
	tx, err := s.db.Begin()
	if err != nil {
		panic(err)
	}
	// larger than the page cache, so that it spills into the file and leaves a hot rollback journal
	for i := range 300 {
		if _, err := tx.Exec(`INSERT INTO entries VALUES (?, '', '', 'x', '', '', '', ?, x'00')`, i+4,
			strings.Repeat("y", 100_000)); err != nil {
			panic(err)
		}
	}
	fmt.Println("ready")
	for {
		time.Sleep(time.Hour)
		runtime.KeepAlive(s) // or the collector would close the lock's file
	}
}

// TestDeadHolder kills a real process that holds the lock and has a transaction half written. The
// next one gets the lock and finds what was reported as written, no more and no less; a reader does
// so too, even before the next writer.
func TestDeadHolder(t *testing.T) {
	dir := t.TempDir()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), "JOURNAL_TEST_HOLD="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 16)); err != nil {
		t.Fatal(err)
	}
	_, err = Open(dir, OpenOptions{})
	var held *LockedError
	if !errors.As(err, &held) || held.Holder.PID != cmd.Process.Pid || held.Holder.Who != "dead@host" {
		t.Errorf("while it lives: %v", err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if fi, err := os.Stat(filepath.Join(dir, dbFile+"-journal")); err != nil || fi.Size() == 0 {
		t.Fatalf("the transaction was not half written, so this proves nothing: %v", err)
	}
	ro, err := OpenReadOnly(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := ro.Entries(context.Background()); err != nil || len(got) != 3 {
		t.Errorf("a reader finds %d entries, %v", len(got), err)
	}
	_ = ro.Close()
	s := open(t, dir)
	if h := readHolder(dir); h.Who != "ann@desk" {
		t.Errorf("the record still names %s", h.Who)
	}
	if seq, err := s.Append(context.Background(), Entry{Run: "r", Kind: NoOp}); err != nil || seq != 4 {
		t.Errorf("the next entry is %d, %v", seq, err)
	}
}

// TestMigrate brings a file of version 1 to a later one, keeps what it holds, and is repeatable
// after a cut.
func TestMigrate(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	ctx := context.Background()
	if _, err := s.Append(ctx, Entry{Run: "r", Kind: Begin, Task: "a"}); err != nil {
		t.Fatal(err)
	}
	later := func(q string) migration {
		return func(ctx context.Context, tx *sql.Tx) error { _, err := tx.ExecContext(ctx, q); return err }
	}
	list := append(migrations(""), later(`CREATE INDEX by_task ON entries (task)`))
	// the second new version fails half way: the first stands, nothing of the second does
	cut := append(list, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `CREATE TABLE half (x)`)
		return errors.Join(err, errors.New("cut"))
	})
	if err := migrate(ctx, s.db, cut); err == nil {
		t.Fatal("the cut was not told")
	}
	at := func(want int) {
		t.Helper()
		if v, err := version(ctx, s.db); err != nil || v != want {
			t.Fatalf("version %d, want %d (%v)", v, want, err)
		}
	}
	at(len(list))
	if err := migrate(ctx, s.db, append(list, later(`CREATE TABLE half (x)`))); err != nil {
		t.Fatal(err)
	}
	at(len(list) + 1)
	if got, err := s.Entries(ctx); err != nil || len(got) != 1 || got[0].Task != "a" {
		t.Error(got, err)
	}
	_ = s.Close()
	// now it is of a version that this program does not know
	for name, f := range map[string]func() (*Store, error){
		"open": func() (*Store, error) { return Open(dir, OpenOptions{}) },
		"read": func() (*Store, error) { return OpenReadOnly(dir, "") },
	} {
		if _, err := f(); err == nil || !strings.Contains(hint.Of(err), "newer deploy") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestOldFile opens a file written by the first release. It is never written again: when the layout
// changes it must still open.
func TestOldFile(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("testdata", "v1.db"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, dbFile), string(b))
	got, err := open(t, dir).Entries(context.Background())
	if err != nil || len(got) != 3 {
		t.Fatal(got, err)
	}
	st, err := Fold(got)
	if err != nil {
		t.Fatal(err)
	}
	if a := st.Task("storage/disk@n1"); a.Status != StatusDone || len(a.Acts) != 1 ||
		string(a.Acts[0].Intent.Step) != `{"serial":"S1"}` {
		t.Errorf("%+v", a)
	}
}

func BenchmarkAppend(b *testing.B) {
	s, err := Open(b.TempDir(), OpenOptions{})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	e := Entry{Run: "r", Kind: Begin, Phase: "p", Task: "p/a@n1", Node: "n1",
		Data: json.RawMessage(`{"kind":"x","step":{"a":"b"}}`)}
	for b.Loop() {
		if _, err := s.Append(context.Background(), e); err != nil {
			b.Fatal(err)
		}
	}
}
