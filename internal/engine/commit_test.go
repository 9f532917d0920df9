package engine

import (
	"context"
	"fmt"
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
