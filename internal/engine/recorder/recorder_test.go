package recorder

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"deploy/internal/hint"
	"deploy/internal/journal"
)

// disk is a journal in memory whose every write takes a moment, so that others come meanwhile.
type disk struct {
	journal.Journal
	mu      sync.Mutex
	entries []journal.Entry
	writes  int
	err     error // of the next write
	skew    int64 // what a second writer has added
}

func (d *disk) Entries(context.Context) ([]journal.Entry, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]journal.Entry{}, d.entries...), nil
}

func (d *disk) Append(_ context.Context, entries ...journal.Entry) (int64, error) {
	time.Sleep(time.Millisecond)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.writes++
	if d.err != nil {
		return 0, d.err
	}
	d.entries = append(d.entries, entries...)
	return int64(len(d.entries)) + d.skew, nil
}

func open(t *testing.T, d *disk, failed func()) *Recorder {
	t.Helper()
	c, err := Open(t.Context(), d, "run", func() time.Time { return time.Unix(1, 0) }, failed)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func noOp(task string) journal.Entry {
	return journal.Entry{Kind: journal.NoOp, Phase: "p", Task: task, Node: "n1"}
}

// Whoever writes at the same time shares the disk, and every entry is there, once and in its order,
// when its writer goes on.
func TestOneWriteForMany(t *testing.T) {
	d := &disk{}
	c := open(t, d, func() { t.Error("the journal failed") })
	const writers, each = 20, 30
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				task := fmt.Sprintf("p/%d-%d@n1", w, i)
				seq, err := c.Write(t.Context(), noOp(task), nil)
				if err != nil {
					t.Error(err)
					return
				}
				list, _ := d.Entries(t.Context())
				if int64(len(list)) < seq || list[seq-1].Task != task || list[seq-1].Seq != seq {
					t.Errorf("%s went on before its entry %d was on disk", task, seq)
				}
			}
		})
	}
	wg.Wait()
	if n := len(d.entries); n != writers*each {
		t.Errorf("%d entries of %d are on disk", n, writers*each)
	}
	if d.writes > writers*each/2 {
		t.Errorf("%d writes for %d entries", d.writes, writers*each)
	}
}

// After a write that failed nothing is written any more, and the owner hears of it once.
func TestBrokenJournal(t *testing.T) {
	for name, d := range map[string]*disk{"full": {err: errors.New("no space left on device")},
		"second writer": {skew: 1}} {
		failures := 0
		c := open(t, d, func() { failures++ })
		_, err := c.Write(t.Context(), noOp("p/a@n1"), nil)
		if !errors.Is(err, ErrJournal) || hint.Of(err) == "" {
			t.Errorf("%s: %v", name, err)
		}
		if name == "second writer" && !strings.Contains(err.Error(),
			"another process writes to it: got entry 2, expected 1") {
			t.Errorf("%s: %v", name, err)
		}
		d.err, d.skew = nil, 0
		if _, err := c.Write(t.Context(), noOp("p/b@n1"), nil); !errors.Is(err, ErrJournal) {
			t.Errorf("%s: after it: %v", name, err)
		}
		if failures != 1 || d.writes != 1 {
			t.Errorf("%s: heard %d times, %d writes", name, failures, d.writes)
		}
	}
}

// What was done is written down although the run was interrupted meanwhile.
func TestInterruptedRunIsWritten(t *testing.T) {
	d := &disk{}
	c := open(t, d, func() {})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Write(ctx, noOp("p/a@n1"), map[string]string{"note": "x"}); err != nil || len(d.entries) != 1 ||
		string(d.entries[0].Data) != `{"note":"x"}` || d.entries[0].Run != "run" ||
		!d.entries[0].Time.Equal(time.Unix(1, 0)) {
		t.Errorf("%v, %+v", err, d.entries)
	}
	if c.Task("p/a@n1").Status != journal.StatusUnchanged {
		t.Errorf("the state says %+v", c.Task("p/a@n1"))
	}
}
