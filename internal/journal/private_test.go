package journal

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// The journal holds names, addresses and settings of machines: it is for its owner, whatever the
// umask says.
func TestPrivate(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if _, err := s.Append(context.Background(), Entry{Run: "r1", Kind: RunStart}); err != nil {
		t.Fatal(err)
	}
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range list {
		if info, err := f.Info(); err != nil || f.Name() != lockFile && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v (%v)", f.Name(), info.Mode(), err)
		}
	}
}

// A team that shares a directory may widen the rights; a later run leaves them.
func TestRightsStay(t *testing.T) {
	dir := t.TempDir()
	if err := open(t, dir).Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, dbFile)
	if err := os.Chmod(path, 0o660); err != nil {
		t.Fatal(err)
	}
	open(t, dir)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("%v %v", info.Mode(), err)
	}
}

func TestRemove(t *testing.T) {
	dir := t.TempDir()
	if err := Remove(filepath.Join(dir, "nowhere")); err != nil {
		t.Errorf("nothing to forget: %v", err)
	}
	s := open(t, dir)
	var held *LockedError
	if err := Remove(dir); !errors.As(err, &held) || !Exists(dir) {
		t.Errorf("a journal in use was forgotten: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := Remove(dir); err != nil || Exists(dir) {
		t.Errorf("it was not forgotten: %v", err)
	}
}
