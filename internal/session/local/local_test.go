package local

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"deploy/internal/node"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, opts Options) *Session {
	t.Helper()
	opts.Node = "n1"
	if opts.State == "" {
		opts.State = filepath.Join(t.TempDir(), "jobs")
	}
	s, err := Open(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// TestMode: steps see where they run.
func TestMode(t *testing.T) {
	if m := open(t, Options{}).Mode(); m != "local" {
		t.Error(m)
	}
	if m := open(t, Options{Agent: true}).Mode(); m != "agent" {
		t.Error(m)
	}
}

// TestFileRoundTrip: what was written is found, hashed, listed and removed.
func TestFileRoundTrip(t *testing.T) {
	s := open(t, Options{})
	dir := filepath.Join(t.TempDir(), "a", "b")
	path := filepath.Join(dir, "file.txt")
	if err := s.Write(t.Context(), path, strings.NewReader("one"), node.WriteOptions{}); !errors.Is(err,
		node.ErrNotFound) {
		t.Errorf("write below a directory that is not there: %v", err)
	}
	if _, err := s.Do(t.Context(), node.MakeDir{Path: dir}); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"one", "two, over it"} {
		if err := s.Write(t.Context(), path, strings.NewReader(text), node.WriteOptions{}); err != nil {
			t.Fatal(err)
		}
		fi, err := s.Stat(t.Context(), path)
		if err != nil || fi.Dir || fi.Size != int64(len(text)) {
			t.Errorf("%+v, %v", fi, err)
		}
	}
	rows, err := s.Query(t.Context(), node.Dir{Path: dir})
	if err != nil || len(rows) != 1 || rows[0].String("name") != "file.txt" || rows[0].Int("size") != 12 {
		t.Errorf("%v, %v", rows, err)
	}
	if _, err := s.Do(t.Context(), node.Remove{Path: dir}); err == nil || errors.Is(err, node.ErrNotFound) {
		t.Errorf("a directory that is not empty: %v", err)
	}
	if _, err := s.Do(t.Context(), node.Remove{Path: dir, Tree: true}); err != nil {
		t.Error(err)
	}
	for range 2 { // what is not there is no error
		if _, err := s.Do(t.Context(), node.Remove{Path: path}); err != nil {
			t.Error(err)
		}
	}
	if _, err := s.Stat(t.Context(), path); !errors.Is(err, node.ErrNotFound) {
		t.Error(err)
	}
	if _, err := s.Query(t.Context(), node.Dir{Path: dir}); !errors.Is(err, node.ErrNotFound) {
		t.Error(err)
	}
}
