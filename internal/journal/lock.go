package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"

	"deploy/internal/hint"
)

// Names of the files beside the journal.
const (
	lockFile   = "lock"
	holderFile = "lock.json"
)

// Holder says who works on a site. It is a record for people beside the lock: the lock itself is
// the operating system's, bound to an open file, so it ends with its process however that process
// ends.
type Holder struct {
	Who   string    `json:"who"` // user@host, as the engine's RunInfo has it
	PID   int       `json:"pid"`
	Host  string    `json:"host"`
	Run   string    `json:"run,omitempty"`
	Since time.Time `json:"since"`
}

// LockedError says that another deploy works on the site. Holder is zero when its record could not
// be read.
type LockedError struct {
	Dir    string
	Holder Holder
}

func (e *LockedError) Error() string {
	if e.Holder.PID == 0 {
		return fmt.Sprintf("cannot lock the journal in %s: another process holds it",
			e.Dir)
	}
	s := fmt.Sprintf("cannot lock the journal in %s: %s holds it (process %d on %s", e.Dir, e.Holder.Who, e.Holder.PID,
		e.Holder.Host)
	if e.Holder.Run != "" {
		s += ", run " + e.Holder.Run
	}
	return s + ", since " + e.Holder.Since.UTC().Format(time.RFC3339) + ")"
}

// lock is the held lock of a directory.
type lock struct {
	dir  string
	file *flock.Flock
}

// takeLock takes the lock of dir or says who has it. The record of a dead holder is written over.
func takeLock(dir string, h Holder) (*lock, error) {
	f := flock.New(filepath.Join(dir, lockFile))
	ok, err := f.TryLock()
	if err != nil {
		return nil, hint.Wrap(fmt.Errorf("cannot lock the journal in %s: %w", dir, err),
			"the directory must be writable and its file system must support locks, or choose another state directory")
	}
	if !ok {
		held := &LockedError{Dir: dir, Holder: readHolder(dir)}
		return nil, hint.Wrap(held, "wait until that run has ended, or stop it; the lock ends with its process")
	}
	l := &lock{dir: dir, file: f}
	if err := writeHolder(dir, h); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot note who holds the journal in %s: %w", dir, err), l.release())
	}
	return l, nil
}

// release removes the record, then gives the lock back. The lock file stays: removing it would let
// two processes lock two files.
func (l *lock) release() error {
	err := os.Remove(filepath.Join(l.dir, holderFile))
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, l.file.Unlock())
}

func writeHolder(dir string, h Holder) error {
	b, err := json.MarshalIndent(h, "", "  ")
	if err != nil {
		return err
	}
	// through a temporary name: whoever is refused the lock reads this file at any moment
	tmp := filepath.Join(dir, holderFile+".new")
	if err := os.WriteFile(tmp, append(b, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, filepath.Join(dir, holderFile))
}

func readHolder(dir string) Holder {
	b, err := os.ReadFile(filepath.Join(dir, holderFile))
	if err != nil {
		return Holder{}
	}
	var h Holder
	if json.Unmarshal(b, &h) != nil {
		return Holder{}
	}
	return h
}
