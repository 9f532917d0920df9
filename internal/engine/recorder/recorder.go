// Package recorder writes the journal of one run and keeps the state that follows from it. What the
// state says is on disk, or is about to be: an entry is taken in first and is written by the next
// commit, so that nodes that work at the same time share one write.
package recorder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"deploy/internal/hint"
	"deploy/internal/journal"
)

// ErrJournal says that the journal could not be written, so nothing more may be done.
var ErrJournal = errors.New("cannot write the journal")

// Recorder is safe for concurrent use. Its lock also guards what its owner keeps in step with the
// state.
type Recorder struct {
	sync.Mutex
	State *journal.State // the holder of the lock may read it, and change what no entry changes

	journal journal.Journal
	run     string
	now     func() time.Time
	failed  func()

	writing sync.Mutex      // one write at a time; taken before the lock
	pending []journal.Entry // taken into the state, and not yet on disk
	written int64           // number of the last entry on disk
	broken  error           // nothing is written after it
}

// Open folds what the journal holds. Entries of the recorder bear the id of the run and the time of
// now. failed is called once the journal could not be written. A nil journal is an empty one that
// only a look may use.
func Open(ctx context.Context, j journal.Journal, run string, now func() time.Time, failed func()) (*Recorder, error) {
	c := &Recorder{journal: j, run: run, now: now, failed: failed}
	var entries []journal.Entry
	var err error
	if j != nil {
		if entries, err = j.Entries(ctx); err != nil {
			return nil, err
		}
	}
	if c.State, err = journal.Fold(entries); err != nil {
		return nil, err
	}
	c.written = c.State.Seq
	return c, nil
}

// Write appends an entry and takes it into the state. It returns once the entry is on disk.
func (c *Recorder) Write(ctx context.Context, e journal.Entry, data any) (int64, error) {
	c.Lock()
	seq, err := c.Append(e, data)
	c.Unlock()
	if err != nil {
		return 0, err
	}
	return seq, c.Commit(ctx, seq)
}

// Append takes an entry in and queues it; it is not on disk before Commit. The caller holds the
// lock.
func (c *Recorder) Append(e journal.Entry, data any) (int64, error) {
	if data != nil {
		b, err := json.Marshal(data)
		if err != nil {
			return 0, fmt.Errorf("cannot encode a %s entry: %w", e.Kind, err)
		}
		e.Data = b
	}
	if c.broken != nil {
		return 0, c.broken
	}
	// the site's lock is ours, so nobody else takes the next number
	e.Run, e.Time, e.Seq = c.run, c.now(), c.State.Seq+1
	c.pending = append(c.pending, e)
	return e.Seq, c.State.Add(e)
}

// Commit returns once every entry up to seq is on disk. What was done must be written down even
// when ctx has ended meanwhile.
func (c *Recorder) Commit(ctx context.Context, seq int64) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	c.Lock()
	if c.written >= seq || c.broken != nil {
		defer c.Unlock()
		if c.written >= seq {
			return nil
		}
		return c.broken
	}
	list := c.pending
	c.pending = nil
	c.Unlock()
	last, err := c.journal.Append(context.WithoutCancel(ctx), list...)
	if err == nil && last != list[len(list)-1].Seq {
		err = fmt.Errorf("another process writes to it: got entry %d, expected %d", last, list[len(list)-1].Seq)
	}
	c.Lock()
	defer c.Unlock()
	if err == nil {
		c.written = last
		return nil
	}
	err = fmt.Errorf("%w: %w", ErrJournal, err)
	if hint.Of(err) == "" {
		err = hint.Wrap(err, "deploy stops when it cannot write its journal: fix this and run again")
	}
	c.broken = err
	c.failed()
	return err
}

// Task returns the state of a task.
func (c *Recorder) Task(id string) journal.TaskState {
	c.Lock()
	defer c.Unlock()
	return c.State.Task(id)
}
