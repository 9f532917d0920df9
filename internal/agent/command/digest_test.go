package command

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// The digest is read again exactly when the file may be another one.
func TestDigestOf(t *testing.T) {
	root := t.TempDir()
	path := filepath.Join(t.TempDir(), "agent")
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	write(path, "one")
	reads := 0
	ask := func() string {
		t.Helper()
		d, err := digestOf(root, path, func() (string, error) {
			reads++
			b, err := os.ReadFile(path)
			return string(b), err
		})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	fi, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what   string
		before func()
		want   string
		read   bool
	}{
		{"at first", func() {}, "one", true},
		{"again", func() {}, "one", runtime.GOOS != "linux"},
		{"written to, with its old size and time", func() {
			time.Sleep(20 * time.Millisecond) // the clock of inodes ticks every few milliseconds
			write(path, "two")
			if err := os.Chtimes(path, fi.ModTime(), fi.ModTime()); err != nil {
				t.Fatal(err)
			}
		}, "two", true},
		{"replaced", func() {
			write(path+".new", "six")
			if err := os.Rename(path+".new", path); err != nil {
				t.Fatal(err)
			}
		}, "six", true},
		{"with a torn note", func() { write(filepath.Join(root, digestFile), `{"path":"`) }, "six", true},
		{"and again", func() {}, "six", runtime.GOOS != "linux"},
	} {
		before := reads
		c.before()
		if got := ask(); got != c.want || (reads > before) != c.read {
			t.Errorf("%s: %s, read: %v", c.what, got, reads > before)
		}
	}
	gone := errors.New("gone")
	if _, err := digestOf(root, path+"x", func() (string, error) { return "", gone }); !errors.Is(err, gone) {
		t.Errorf("a program that is not there: %v", err)
	}
}
