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
	Site string           // the site's name; a journal of another site is refused, "" takes any
	Now  func() time.Time // the clock; nil is time.Now
	Busy time.Duration    // how long to wait for a reader to let go of the file; 0 is 5 s
}

// Store is a journal in a SQLite file. It is safe for concurrent use.
type Store struct {
	dir    string
	db     *sql.DB
	lock   *lock       // nil when read only
	head   *headWriter // nil when read only
	now    func() time.Time
	ident  Identity
	layout int        // the version of the file
	mu     sync.Mutex // guards what follows
	first  []Entry    // what was read and verified at the opening, for the first Entries; nil after a change
	closed bool
}

var _ Journal = (*Store)(nil)

// Exists says that dir holds a journal.
func Exists(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, dbFile))
	return err == nil
}

// Open opens the journal in dir for writing, makes both when they are missing, takes the site's
// lock, and verifies what it holds. A *LockedError in the error's chain says that another deploy
// has it. A journal of an older version is brought to the newest.
func Open(dir string, o OpenOptions) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, hint.Wrap(fmt.Errorf("cannot make the state directory %s: %w", dir, err),
			"make its parent writable, or choose another state directory")
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
	if err := announce(dir); err != nil {
		return nil, notWritable(dir, err)
	}
	l, err := takeLock(dir, Holder{Who: o.Who, PID: os.Getpid(), Host: host, Run: o.Run, Since: o.Now()})
	if err != nil {
		return nil, err
	}
	s := &Store{dir: dir, lock: l, now: o.Now}
	if err := s.open(context.Background(), o); err != nil {
		return nil, errors.Join(explain(dir, "open", err), s.Close())
	}
	return s, nil
}

func notWritable(dir string, err error) error {
	return hint.Wrap(fmt.Errorf("cannot open the journal in %s: %w", dir, err),
		"make the directory writable, or choose another state directory")
}

// open does what Open does under the lock.
func (s *Store) open(ctx context.Context, o OpenOptions) error {
	if how := absent(s.dir); how != "" {
		if err := missing(s.dir, o.Site, how); err != nil {
			return err
		}
	}
	if err := private(filepath.Join(s.dir, dbFile)); err != nil {
		return notWritable(s.dir, err)
	}
	var err error
	if s.db, err = connect(s.dir, o.Busy, false); err != nil {
		return err
	}
	v, err := version(ctx, s.db)
	if err != nil {
		return err
	}
	h, _, err := readHead(s.dir)
	switch {
	case err != nil:
		return err
	case v == 0 && h.Seq > 0:
		return missing(s.dir, o.Site, dbFile+" holds nothing")
	}
	if err := h.knows(s.dir, v); err != nil {
		return err
	}
	if err := migrate(ctx, s.db, migrations(o.Site)); err != nil {
		return err
	}
	m, err := s.load(ctx, o.Site, len(migrations("")))
	if err != nil {
		return err
	}
	if s.head, err = openHead(s.dir); err != nil {
		return notWritable(s.dir, err)
	}
	_ = s.head.write(headOf(m)) // close tells
	return nil
}

// load reads the file of a version and verifies it: the chain, whose it is, and what the file
// beside it says of its end.
func (s *Store) load(ctx context.Context, site string, version int) (meta, error) {
	// the file beside it first: it is written last, so whatever a writer adds meanwhile only makes the
	// database newer
	h, _, err := readHead(s.dir)
	if err != nil {
		return meta{}, err
	}
	if err := h.knows(s.dir, version); err != nil {
		return meta{}, err
	}
	c, err := s.read(ctx, version)
	if err == nil {
		err = c.meta.of(site)
	}
	if err == nil && version > 1 {
		err = h.agree(s.dir, c)
	}
	if err != nil {
		return meta{}, err
	}
	s.layout, s.ident, s.first = version, c.meta.Identity, c.entries
	return c.meta, nil
}

// read reads and verifies the database as one transaction sees it.
func (s *Store) read(ctx context.Context, version int) (*content, error) {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = tx.Rollback() }()
	return load(ctx, tx, version)
}

// Identity says whose journal it is.
func (s *Store) Identity() Identity { return s.ident }

// ID is the journal's own id, see Identity.
func (s *Store) ID() string { return s.ident.ID }

// Site is the name of the site that the journal is of, see Identity.
func (s *Store) Site() string { return s.ident.Site }

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
	if _, found, err := readHead(dir); err == nil && !found && !Exists(dir) {
		return nil
	}
	l, err := takeLock(dir, Holder{Who: "somebody", PID: os.Getpid(), Since: time.Now()})
	if err != nil {
		return err
	}
	// what tells that it was taken away comes first, then the database: it must not be read without
	// what completes it
	errs := []error{forget(dir)}
	for _, name := range []string{dbFile, dbFile + "-journal"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("cannot delete the journal in %s: %w", dir, err))
		}
	}
	return errors.Join(errors.Join(errs...), l.release())
}

// OpenReadOnly opens the journal in dir for Entries alone, without the lock, also while a run
// writes it. It verifies as Open does, and reads a journal of version 1 as it is. A journal that
// never was is fs.ErrNotExist; one that was taken away is another error.
func OpenReadOnly(dir, site string) (*Store, error) {
	s := &Store{dir: dir, now: time.Now}
	if err := s.openReadOnly(context.Background(), site); err != nil {
		return nil, errors.Join(explain(dir, "open", err), s.Close())
	}
	return s, nil
}

func (s *Store) openReadOnly(ctx context.Context, site string) error {
	never := hint.Wrap(fs.ErrNotExist, "nothing was applied from this state directory")
	if how := absent(s.dir); how != "" {
		if err := missing(s.dir, site, how); err != nil {
			return err
		}
		return never
	}
	var err error
	if s.db, err = connect(s.dir, 0, true); err != nil {
		return err
	}
	v, err := version(ctx, s.db)
	switch last := len(migrations("")); {
	case err != nil:
		return err
	case v > last:
		return newerError(v, last)
	case v == 0:
		// made, but cut off before its first layout: it holds nothing, unless it once did
		if h, _, err := readHead(s.dir); err != nil || h.Seq > 0 {
			return errors.Join(err, missing(s.dir, site, dbFile+" holds nothing"))
		}
		return fmt.Errorf("the journal is empty: %w", never)
	}
	_, err = s.load(ctx, site, v)
	return err
}

// connect opens the file. Not write-ahead logging: its shared memory does not work on network
// shares, where teams keep state. TRUNCATE with synchronous FULL syncs the emptied rollback
// journal, so a commit that was reported survives a power cut; DELETE would need EXTRA for that
// (SQLite documentation, PRAGMA synchronous).
func connect(dir string, busy time.Duration, readOnly bool) (*sql.DB, error) {
	if busy <= 0 {
		busy = 5 * time.Second
	}
	q := url.Values{"_pragma": {fmt.Sprintf("busy_timeout(%d)", busy.Milliseconds()), "synchronous(FULL)"}}
	if readOnly {
		// rw rather than ro: a reader must be able to roll back what a killed writer left half written
		q.Set("mode", "rw")
		q.Add("_pragma", "query_only(1)")
	} else {
		q.Add("_pragma", "journal_mode(TRUNCATE)")
		q.Set("_txlock", "immediate")
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
	s.first = nil
	// one transaction for all: the numbers are taken and used together, so there are no gaps, and none
	// twice
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return 0, explain(s.dir, "write to", err)
	}
	m, err := s.insert(ctx, tx, entries)
	if err == nil {
		err = tx.Commit()
	}
	if err != nil {
		_ = tx.Rollback() // nothing of it is kept, whatever this says
		return 0, explain(s.dir, "write to", err)
	}
	_ = s.head.write(headOf(m)) // the commit stands; close tells
	return m.Seq, nil
}

// insert adds entries to the end of the chain, as the file itself has it.
func (s *Store) insert(ctx context.Context, tx *sql.Tx, entries []Entry) (meta, error) {
	m, err := readMeta(ctx, tx)
	if err != nil {
		return m, err
	}
	for _, e := range entries {
		if e.Time.IsZero() {
			e.Time = s.now()
		}
		m.Seq++
		r := row{seq: m.Seq, time: e.Time.UTC().Format(time.RFC3339Nano), run: e.Run, kind: string(e.Kind), phase: e.Phase,
			task: e.Task, place: e.Node, data: sql.NullString{String: string(e.Data), Valid: len(e.Data) > 0}}
		m.Hash = chained(m.Hash, r)
		if _, err := tx.ExecContext(ctx, `INSERT INTO entries (seq, time, run, kind, phase, task, node, data, hash)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			r.seq, r.time, r.run, r.kind, r.phase, r.task, r.place, r.data, m.Hash); err != nil {
			return m, err
		}
	}
	_, err = tx.ExecContext(ctx, `UPDATE meta SET seq = ?, hash = ?, sum = ?`, m.Seq, m.Hash, m.sum())
	return m, err
}

// Entries returns all entries in order, verified.
func (s *Store) Entries(ctx context.Context) ([]Entry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if out := s.first; out != nil {
		s.first = nil
		return out, nil
	}
	c, err := s.read(ctx, s.layout)
	if err != nil {
		return nil, explain(s.dir, "read", err)
	}
	return c.entries, nil
}

// Close closes the file and gives the lock back. A second Close does nothing.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	var err error
	if s.db != nil {
		err = s.db.Close()
	}
	if s.head != nil {
		err = errors.Join(err, s.head.close())
	}
	if s.lock != nil {
		err = errors.Join(err, s.lock.release())
	}
	return err
}

// explain wraps what went wrong with what a person can do. Codes are of sqlite.org/rescode.html;
// the low byte is the kind.
func explain(dir, verb string, err error) error {
	var d *damagedError
	if errors.As(err, &d) && verb != "write to" {
		return fmt.Errorf("cannot trust the journal in %s: %w", dir, err)
	}
	out := fmt.Errorf("cannot %s the journal in %s: %w", verb, dir, err)
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return out
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_FULL:
		return hint.Wrap(out, "free disk space, then run again to continue")
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM:
		return hint.Wrap(out, "make the directory writable, or choose another state directory")
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return hint.Wrap(out, "close the other program that writes to the file, then run again")
	case sqlite3.SQLITE_IOERR:
		return hint.Wrap(out, "check the disk or network share, then run again")
	case sqlite3.SQLITE_INTERRUPT:
		return out
	}
	// SQLITE_CORRUPT and SQLITE_NOTADB, and SQLITE_ERROR where the description of the tables is hit
	return hint.Wrap(out, damagedHint)
}
