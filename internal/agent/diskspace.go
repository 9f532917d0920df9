package agent

import (
	"errors"
	"fmt"
	"os"

	"deploy/internal/hint"
)

// ErrNoDisk: the disk under the agent's directory is full or read-only, so that no worker can keep
// a record there.
var ErrNoDisk = errors.New("disk full or read-only")

// diskError is an error that is ErrNoDisk and keeps its own text.
type diskError struct{ error }

func (e *diskError) Unwrap() error { return e.error }

func (e *diskError) Is(target error) bool { return target == ErrNoDisk }

// onDisk tells what a person can do about an error of a file below dir. Codes decide, never the
// system's sentences.
func onDisk(dir string, err error) error {
	switch {
	case err == nil:
		return nil
	case diskFull(err):
		return hint.Wrap(&diskError{err}, "free space on the disk of "+dir+" on the node, then run again")
	case diskReadOnly(err):
		return hint.Wrap(&diskError{err}, "the disk of "+dir+" on the node is read-only; make it writable, then run again")
	case errors.Is(err, os.ErrPermission):
		return hint.Wrap(err, "the user who runs the agent must be able to write in "+dir+" on the node")
	}
	return err
}

// roomFor says whether a worker could keep a record in dir: it writes some of what a row of tasks
// leaves there, and takes it away again.
func roomFor(dir string) error {
	const some = 64 << 10
	f, err := os.CreateTemp(dir, "room-*")
	if err != nil {
		return onDisk(dir, fmt.Errorf("cannot write in the agent's directory: %w", err))
	}
	_, err = f.Write(make([]byte, some))
	if err = errors.Join(err, f.Close(), os.Remove(f.Name())); err != nil {
		return onDisk(dir, fmt.Errorf("cannot write in the agent's directory: %w", err))
	}
	return nil
}
