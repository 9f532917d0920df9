package agent

import (
	"errors"
	"os"
	"testing"

	"deploy/internal/agent/wire"
)

func undoOf(task string, act int64) wire.Undo {
	return wire.Undo{ID: 3, Step: wire.NewStep(&value{Name: task}), Run: "r2", Task: task, Phase: "p", Act: act}
}

// An undo stands in the record with what names its act; who asked hears its place there, and
// whoever comes with an older copy of the journal hears all of it.
func TestUndoStandsInTheRecord(t *testing.T) {
	_, w, group := newWorkerRig(t, nil)
	k := talk(t, w, group)
	k.hello("anna")
	k.sync("", 0)
	k.say(wire.TWork, work("a"))
	list, _ := k.events()
	epoch := list[0].Epoch
	k.say(wire.TUndo, undoOf("a", 7))
	told, end := k.events()
	if len(told) != 0 || end.Err != nil || end.Epoch != epoch || end.Seq != 4 {
		t.Errorf("told %s, %+v", names(told), end)
	}
	if got := k.sync(epoch, 4); len(got) != 0 {
		t.Errorf("told again: %s", names(got))
	}
	got := k.sync(epoch, 2)
	if names(got) != "3:undo-begin:a 4:undone:a " {
		t.Fatalf("an older copy hears %s", names(got))
	}
	for _, e := range got {
		if e.Act != 7 || e.Run != "r2" || e.Phase != "p" {
			t.Errorf("%+v", e)
		}
	}
}

// A journal without a record here gets none for an undo.
func TestUndoMakesNoRecord(t *testing.T) {
	_, w, group := newWorkerRig(t, nil)
	k := talk(t, w, group)
	k.greet(wire.Position{Journal: "j"})
	k.say(wire.TUndo, undoOf("a", 7))
	if _, end := k.events(); end.Err != nil || end.Seq != 0 {
		t.Errorf("%+v", end)
	}
	if _, err := os.Stat(recordPath(w.o.Root, "s", "j")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a record was made: %v", err)
	}
}

// An undo may be what makes room on a full disk, so it is done though the record takes nothing.
func TestUndoWithoutRoomForTheRecord(t *testing.T) {
	_, w, group := newWorkerRig(t, nil)
	k := talk(t, w, group)
	k.hello("anna")
	k.sync("", 0)
	w.mu.Lock()
	s := w.records["j"]
	w.mu.Unlock()
	_ = s.file.Close()
	k.say(wire.TUndo, undoOf("a", 7))
	if _, end := k.events(); end.Err != nil || end.Seq != 0 {
		t.Errorf("%+v", end)
	}
	w.mu.Lock()
	delete(w.records, "j") // it is closed already
	w.mu.Unlock()
}
