package agent

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"

	"deploy/internal/agent/wire"
	"deploy/internal/hint"
)

func TestOnDisk(t *testing.T) {
	for _, tc := range []struct {
		err    error
		noDisk bool
		todo   string
	}{
		{syscall.ENOSPC, true, "free space on the disk of /var/x"},
		{syscall.EDQUOT, true, "free space on the disk of /var/x"},
		{syscall.EROFS, true, "the disk of /var/x on the node is read-only"},
		{syscall.EACCES, false, "the user who runs the agent must be able to write in /var/x"},
		{syscall.ENOTDIR, false, ""},
	} {
		err := onDisk("/var/x", &fs.PathError{Op: "open", Path: "/var/x/y", Err: tc.err})
		if errors.Is(err, ErrNoDisk) != tc.noDisk || !errors.Is(err, tc.err) || !strings.HasPrefix(hint.Of(err), tc.todo) ||
			(tc.todo == "") != (hint.Of(err) == "") {
			t.Errorf("%v: no disk %v, hint %q", err, errors.Is(err, ErrNoDisk), hint.Of(err))
		}
		if want := "open /var/x/y: " + tc.err.Error(); err.Error() != want {
			t.Errorf("it says %q", err)
		}
	}
	if err := onDisk("/var/x", nil); err != nil {
		t.Error(err)
	}
}

func TestRoomFor(t *testing.T) {
	dir := t.TempDir()
	if err := roomFor(dir); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	if err := roomFor(dir + "/none"); err == nil || errors.Is(err, ErrNoDisk) {
		t.Errorf("no directory: %v", err)
	}
}

// What a full disk under the record means to a person is told over the wire.
func TestFullRecordIsExplained(t *testing.T) {
	m, w, group := newWorkerRig(t, nil)
	k := talk(t, w, group)
	k.hello("anna")
	k.sync("", 0)
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	w.mu.Lock()
	s := w.records["j"]
	w.mu.Unlock()
	sound := s.file
	s.file = full
	k.say(wire.TWork, work("a"))
	_, end := k.events()
	if err := end.Err.Err(); m.has("a") || err == nil || !strings.HasPrefix(hint.Of(err), "free space on the disk of ") {
		t.Errorf("%v, hint %q, done: %v", err, hint.Of(err), m.has("a"))
	}
	s.file = sound
	_ = full.Close()
}
