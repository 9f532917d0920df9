package engine

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"deploy/internal/journal"
)

// slowDisk is a journal whose every write takes a moment, so that others come meanwhile.
type slowDisk struct {
	memory
	writes int
}

func (d *slowDisk) Append(ctx context.Context, entries ...journal.Entry) (int64, error) {
	time.Sleep(time.Millisecond)
	d.writes++ // the engine writes one after the other
	return d.memory.Append(ctx, entries...)
}

// TestOneWriteForMany: whoever writes at the same time shares the disk, and every entry is there,
// once and in its order, when its writer goes on.
func TestOneWriteForMany(t *testing.T) {
	disk := &slowDisk{}
	g := newRig(t, "p: a")
	g.o.Journal, g.o.Now = disk, nil
	r, err := newRun(t.Context(), g.o)
	if err != nil {
		t.Fatal(err)
	}
	const writers, each = 20, 30
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				task := fmt.Sprintf("p/%d-%d@n1", w, i)
				seq, err := r.write(t.Context(), journal.Entry{Kind: journal.NoOp, Phase: "p", Task: task, Node: "n1"}, nil)
				if err != nil {
					t.Error(err)
					return
				}
				list, _ := disk.Entries(t.Context())
				if int64(len(list)) < seq || list[seq-1].Task != task || list[seq-1].Seq != seq {
					t.Errorf("%s went on before its entry %d was on disk", task, seq)
				}
			}
		})
	}
	wg.Wait()
	if n := len(disk.entries); n != writers*each {
		t.Errorf("%d entries of %d are on disk", n, writers*each)
	}
	if disk.writes > writers*each/2 {
		t.Errorf("%d writes for %d entries", disk.writes, writers*each)
	}
}

// TestNoChangeIsOneWrite: a run that does nothing costs the disk one transaction, and still stands
// in the journal.
func TestNoChangeIsOneWrite(t *testing.T) {
	disk := &slowDisk{}
	g := newRig(t, "p: a b")
	g.o.Journal, g.o.Now = disk, nil
	if _, err := Apply(t.Context(), g.o, nil); err != nil {
		t.Fatal(err)
	}
	before, had := disk.writes, len(disk.entries)
	g.o.Run = "again"
	if sum, err := Apply(t.Context(), g.o, nil); err != nil || sum.Counts.NoOp != 2 {
		t.Fatalf("%+v, %v", sum, err)
	}
	var kinds []journal.Kind
	for _, e := range disk.entries[had:] {
		kinds = append(kinds, e.Kind)
	}
	if got := fmt.Sprint(kinds); disk.writes != before+1 ||
		got != fmt.Sprint([]journal.Kind{journal.RunStart, journal.RunEnd}) {
		t.Errorf("%d writes: %s", disk.writes-before, got)
	}
}
