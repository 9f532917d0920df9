package journal

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"deploy/internal/hint"
)

// dbFile is the journal's file in its directory.
const dbFile = "journal.db"

// OpenOptions say who opens a journal.
type OpenOptions struct {
	Who  string           // user@host, for the lock's record; "" is told as "somebody"
	Run  string           // the run's id, for the lock's record
	Now  func() time.Time // the clock; nil is time.Now
	Busy time.Duration    // how long to wait for a reader to let go of the file; 0 is 5 s
}

// Store is a journal in a SQLite file. It is safe for concurrent use.
type Store struct {
	dir    string
	db     *sql.DB
	lock   *lock // nil when read only
	now    func() time.Time
	mu     sync.Mutex
	closed bool
}

var _ Journal = (*Store)(nil)

// Exists says that dir holds a journal.
func Exists(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, dbFile))
	return err == nil
}

// Open opens the journal in dir for writing, makes both when they are missing, and takes the site's
// lock. A *LockedError in the error's chain says that another deploy has it.
func Open(dir string, o OpenOptions) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, hint.Wrap(fmt.Errorf("cannot make the state directory %s: %w", dir, err),
			"deploy changes nothing that it cannot write down first, or choose another state directory")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Who == "" {
		o.Who = "somebody"
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown host"
	}
	l, err := takeLock(dir, Holder{Who: o.Who, PID: os.Getpid(), Host: host, Run: o.Run, Since: o.Now()})
	if err != nil {
		return nil, err
	}
	if err := private(filepath.Join(dir, dbFile)); err != nil {
		return nil, errors.Join(hint.Wrap(fmt.Errorf("cannot open the journal in %s: %w", dir, err),
			"the directory must be writable: deploy changes nothing that it cannot write down first, or choose another state "+
				"directory"), l.release())
	}
	db, err := connect(dir, o.Busy, false)
	if err == nil {
		if err = migrate(context.Background(), db, migrations()); err != nil {
			err = errors.Join(err, db.Close())
		}
	}
	if err != nil {
		return nil, errors.Join(explain(dir, "open", err), l.release())
	}
	return &Store{dir: dir, db: db, lock: l, now: o.Now}, nil
}

// private makes the file for its owner alone when it is not there: SQLite would make it readable
// for everybody, and gives the files beside it the rights of this one. An empty file is an empty
// database to it. Rights that somebody chose stay.
func private(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// Remove forgets the journal in dir, for the lab, whose machines can be forgotten too. It takes the
// lock first, so a run under way keeps its journal: that is a *LockedError. Where there is no
// journal, nothing is done.
func Remove(dir string) error {
	if !Exists(dir) {
		return nil
	}
	l, err := takeLock(dir, Holder{Who: "somebody", PID: os.Getpid(), Since: time.Now()})
	if err != nil {
		return err
	}
	var errs []error
	// the database first: it must not be read without what completes it
	for _, name := range []string{dbFile, dbFile + "-journal"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("cannot forget the journal in %s: %w", dir, err))
		}
	}
	return errors.Join(errors.Join(errs...), l.release())
}

// OpenReadOnly opens the journal in dir for Entries alone, without the lock, also while a run
// writes it. A journal that is not there is fs.ErrNotExist.
func OpenReadOnly(dir string) (*Store, error) {
	if _, err := os.Stat(filepath.Join(dir, dbFile)); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, hint.Wrap(fmt.Errorf("cannot open the journal in %s: %w", dir, fs.ErrNotExist),
				"nothing was ever applied from here")
		}
		return nil, fmt.Errorf("cannot open the journal in %s: %w", dir, err)
	}
	db, err := connect(dir, 0, true)
	if err != nil {
		return nil, explain(dir, "open", err)
	}
	v, err := version(context.Background(), db)
	switch {
	case err != nil:
	case v > len(migrations()):
		err = newerError(v, len(migrations()))
	case v == 0:
		// made, but cut off before its first layout: it holds nothing
		err = hint.Wrap(fmt.Errorf("the journal is empty: %w", fs.ErrNotExist), "nothing was ever applied from here")
	}
	if err != nil {
		return nil, errors.Join(explain(dir, "open", err), db.Close())
	}
	return &Store{dir: dir, db: db, now: time.Now}, nil
}

// connect opens the file. Not write-ahead logging: its shared memory does not work on network
// shares, where teams keep state. TRUNCATE with synchronous FULL syncs the emptied rollback
// journal, so a commit that was reported survives a power cut; DELETE would need EXTRA for that
// (SQLite documentation, PRAGMA synchronous).
func connect(dir string, busy time.Duration, readOnly bool) (*sql.DB, error) {
	if busy <= 0 {
		busy = 5 * time.Second
	}
	q := url.Values{"_pragma": {fmt.Sprintf("busy_timeout(%d)", busy.Milliseconds()), "synchronous(FULL)"},
		"_txlock": {"immediate"}}
	if readOnly {
		// rw rather than ro: a reader must be able to roll back what a killed writer left half written
		q.Set("mode", "rw")
		q.Add("_pragma", "query_only(1)")
	} else {
		q.Add("_pragma", "journal_mode(TRUNCATE)")
	}
	path, err := filepath.Abs(filepath.Join(dir, dbFile))
	if err != nil {
		return nil, err
	}
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // file:///C:/...
	}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", OmitHost: true, Path: path}).String()+"?"+q.Encode())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1) // one writer; and the pragmas are per connection
	if err := db.PingContext(context.Background()); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// Append writes entries in one transaction and returns the number of the last once they are on
// disk.
func (s *Store) Append(ctx context.Context, entries ...Entry) (int64, error) {
	for _, e := range entries {
		if e.Kind == "" {
			return 0, errors.New("cannot write to the journal: the entry has no kind")
		}
		if len(e.Data) > 0 && !json.Valid(e.Data) {
			return 0, fmt.Errorf("cannot write to the journal: the data of a %s entry is not JSON", e.Kind)
		}
	}
	if s.lock == nil {
		return 0, errors.New("cannot write to the journal: it was opened to read")
	}
	if len(entries) == 0 {
		return 0, errors.New("cannot write to the journal: there is no entry")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, errors.New("cannot write to the journal: it is closed")
	}
	// one statement for one entry, and one transaction for all: the numbers are taken and used
	// together, so there are no gaps, and none twice
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return 0, explain(s.dir, "write to", err)
	}
	var seq int64
	for _, e := range entries {
		if seq, err = s.insert(ctx, tx, e); err != nil {
			_ = tx.Rollback() // nothing of it is kept, whatever this says
			return 0, explain(s.dir, "write to", err)
		}
	}
	if err := tx.Commit(); err != nil {
		_ = tx.Rollback()
		return 0, explain(s.dir, "write to", err)
	}
	return seq, nil
}

func (s *Store) insert(ctx context.Context, tx *sql.Tx, e Entry) (seq int64, err error) {
	var data any
	if len(e.Data) > 0 {
		data = string(e.Data)
	}
	if e.Time.IsZero() {
		e.Time = s.now()
	}
	err = tx.QueryRowContext(ctx, `INSERT INTO entries (seq, time, run, kind, phase, task, node, data)
		SELECT coalesce(max(seq), 0) + 1, ?, ?, ?, ?, ?, ?, ? FROM entries RETURNING seq`,
		e.Time.UTC().Format(time.RFC3339Nano), e.Run, string(e.Kind), e.Phase, e.Task, e.Node, data).Scan(&seq)
	return seq, err
}

// Entries returns all entries in order.
func (s *Store) Entries(ctx context.Context) ([]Entry, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT seq, time, run, kind, phase, task, node, data FROM entries ORDER BY seq`)
	if err != nil {
		return nil, explain(s.dir, "read", err)
	}
	defer func() { _ = rows.Close() }()
	var out []Entry
	for rows.Next() {
		var e Entry
		var at string
		var data sql.NullString
		if err := rows.Scan(&e.Seq, &at, &e.Run, &e.Kind, &e.Phase, &e.Task, &e.Node, &data); err != nil {
			return nil, explain(s.dir, "read", err)
		}
		if e.Time, err = time.Parse(time.RFC3339Nano, at); err != nil {
			return nil, fmt.Errorf("cannot read the journal in %s: entry %d: %w", s.dir, e.Seq, err)
		}
		if data.Valid {
			e.Data = json.RawMessage(data.String)
		}
		if e.Seq != int64(len(out))+1 {
			return nil, fmt.Errorf("cannot trust the journal in %s: entry %d is missing", s.dir, len(out)+1)
		}
		out = append(out, e)
	}
	if err := rows.Err(); err != nil {
		return nil, explain(s.dir, "read", err)
	}
	return out, nil
}

// Close closes the file and gives the lock back. A second Close does nothing.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	err := s.db.Close()
	if s.lock != nil {
		err = errors.Join(err, s.lock.release())
	}
	return err
}

// explain wraps what SQLite said with what a person can do. Codes are of sqlite.org/rescode.html;
// the low byte is the kind.
func explain(dir, verb string, err error) error {
	out := fmt.Errorf("cannot %s the journal in %s: %w", verb, dir, err)
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return out
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_FULL:
		return hint.Wrap(out, "the disk is full: make room there and run again, it goes on where it stopped")
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM:
		return hint.Wrap(out, "the directory must be writable: deploy changes nothing that it cannot write down first, or "+
			"choose another state directory")
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return hint.Wrap(out, "another program keeps the file open for writing; close it and run again")
	case sqlite3.SQLITE_IOERR:
		return hint.Wrap(out, "the disk or the share answered with an error; look there first, then run again")
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return hint.Wrap(out, "the file is damaged: restore it from a backup; without it deploy cannot know what it did here")
	}
	return out
}
