package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
)

// version tells builds apart: a saved plan holds for the program that made it. Two builds of one
// commit may differ in what was not committed, and a build need not know its commit at all, so a
// sign of the program's content is part of it: the build ID that Go's linker puts in, which is made
// of a digest of the whole program and stands at its beginning. Every run needs the version, and a
// digest of our own over a program of thirty megabytes would be most of the work of a run that
// changes nothing.
func version() string {
	v := "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		v = strings.Trim(info.Main.Version, "()")
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				v = s.Value[:min(12, len(s.Value))]
			}
		}
	}
	sum, err := executableSign()
	if err != nil {
		return v
	}
	return v + "+" + sum[:12]
}

// executableSign is a hexadecimal word that two programs share only when they are the same.
func executableSign() (string, error) {
	f, err := executable()
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	head := make([]byte, 64<<10)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return "", err
	}
	id := buildID(head[:n])
	if id == "" {
		return executableDigest() // a linker was told to leave it out
	}
	fi, err := f.Stat()
	if err != nil {
		return "", err
	}
	// the size too: it tells a program that something was put behind or taken from
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", id, fi.Size()))
	return hex.EncodeToString(sum[:]), nil
}

// buildID finds the ID in a program's first bytes; "" when there is none. ELF programs have it in a
// note (owner "Go", type 4), all others as text at the beginning of their code. Source:
// cmd/internal/buildid of Go.
func buildID(head []byte) string {
	const most = 1024 // bytes of an ID; it has some ninety
	if bytes.HasPrefix(head, []byte("\x7fELF")) {
		note := []byte("\x04\x00\x00\x00Go\x00\x00")
		i := bytes.Index(head, note)
		if i < 4 {
			return ""
		}
		size, rest := binary.LittleEndian.Uint32(head[i-4:]), head[i+len(note):]
		if size > most || int(size) > len(rest) {
			return ""
		}
		return string(rest[:size])
	}
	_, rest, ok := bytes.Cut(head, []byte("\xff Go build ID: \""))
	end := bytes.Index(rest, []byte("\"\n \xff"))
	if !ok || end < 0 || end > most {
		return ""
	}
	return string(rest[:end])
}

// executableDigest is the SHA-256 of the program that runs, in hex.
func executableDigest() (string, error) {
	f, err := executable()
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// executable opens the program that runs.
func executable() (*os.File, error) {
	f, err := os.Open("/proc/self/exe") // on Linux the program itself, also when its file was replaced meanwhile
	if err == nil {
		return f, nil
	}
	path, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return os.Open(path)
}
