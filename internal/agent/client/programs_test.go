package client

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// What is packed is the program, whole, however often it is asked for.
func TestPacked(t *testing.T) {
	p := Platform{"linux", "arm64"}
	content := bytes.Repeat([]byte("a program, of some size; "), 100_000)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, p.FileName()), content, 0o600); err != nil {
		t.Fatal(err)
	}
	ps := &Programs{Dirs: []string{filepath.Join(dir, "none"), dir}}
	ps.Ready()
	prog, err := ps.Find(p)
	if err != nil {
		t.Fatal(err)
	}
	if sum := sha256.Sum256(content); prog.Digest != hex.EncodeToString(sum[:]) || prog.Size != int64(len(content)) {
		t.Errorf("it is measured as %s, %d bytes", prog.Digest, prog.Size)
	}
	for range 2 {
		var b bytes.Buffer
		if err := prog.Packed(&b); err != nil {
			t.Fatal(err)
		}
		z, err := gzip.NewReader(&b)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(z)
		if err != nil || !bytes.Equal(got, content) {
			t.Errorf("%d bytes came out of %d, %v", len(got), len(content), err)
		}
	}
	if _, err := ps.Find(Platform{"linux", "amd64"}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a program that is not there: %v", err)
	}
}
