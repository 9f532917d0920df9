package client

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
)

// Platform is what a program was built for.
type Platform struct {
	OS   string // GOOS: linux, windows
	Arch string // GOARCH: amd64, arm64
}

// linuxPlatforms are those that a program can be placed on over SSH.
func linuxPlatforms() []Platform {
	return slices.DeleteFunc(platforms(), func(p Platform) bool { return p.OS != "linux" })
}

func (p Platform) String() string { return p.OS + "/" + p.Arch }

// platforms are those that a release has an agent for.
func platforms() []Platform {
	return []Platform{{"linux", "amd64"}, {"linux", "arm64"}, {"windows", "amd64"}, {"windows", "arm64"}}
}

// FileName is the name of the agent's program in a directory of programs.
func (p Platform) FileName() string {
	name := "deploy-agent-" + p.OS + "-" + p.Arch
	if p.OS == "windows" {
		name += ".exe"
	}
	return name
}

// Program is an agent's program, ready to be placed.
type Program struct {
	Platform Platform
	Path     string // on the controller
	Digest   string // SHA-256, hex
	Size     int64

	packed func() ([]byte, error) // once for all nodes
}

// Name is the name under which it is placed: it tells versions apart, and a name once placed never
// gets another content.
func (p Program) Name() string {
	name := "deploy-" + p.Digest[:16]
	if p.Platform.OS == "windows" {
		name += ".exe"
	}
	return name
}

// Open reads the program.
func (p Program) Open() (io.ReadCloser, error) { return os.Open(p.Path) }

// Packed writes the program to w, compressed by gzip.
func (p Program) Packed(w io.Writer) error {
	b, err := p.packed()
	if err != nil {
		return err
	}
	_, err = w.Write(b)
	return err
}

// pack compresses a file. The quickest way is good enough: the slower ones save a tenth of the
// bytes and take longer than those need on a usual link.
func pack(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	if _, err := io.Copy(z, f); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// Programs finds the agents' programs: in Dirs, in that order; and the program that runs, for
// machines like this one. It is safe for concurrent use.
type Programs struct {
	Dirs []string
	Own  string // path of the program that runs; "" for none

	mu    sync.Mutex
	found map[Platform]*Program
}

// Find returns the program for a platform; none is fs.ErrNotExist.
func (ps *Programs) Find(p Platform) (*Program, error) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if got, ok := ps.found[p]; ok {
		if got == nil {
			return nil, fmt.Errorf("there is no agent for %s: %w", p, fs.ErrNotExist)
		}
		return got, nil
	}
	if ps.found == nil {
		ps.found = map[Platform]*Program{}
	}
	candidates := make([]string, 0, len(ps.Dirs)+1)
	for _, d := range ps.Dirs {
		candidates = append(candidates, filepath.Join(d, p.FileName()))
	}
	if ps.Own != "" && p == (Platform{runtime.GOOS, runtime.GOARCH}) {
		candidates = append(candidates, ps.Own)
	}
	for _, path := range candidates {
		prog, err := measure(p, path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("cannot read the agent's program: %w", err)
		}
		ps.found[p] = prog
		return prog, nil
	}
	ps.found[p] = nil
	return nil, fmt.Errorf("there is no agent for %s: %w", p, fs.ErrNotExist)
}

// Ready measures what Start will want to know, so that it is done while a connection comes up. What
// cannot be read is told by Find.
func (ps *Programs) Ready() {
	for _, p := range linuxPlatforms() {
		_, _ = ps.Find(p)
	}
}

func measure(p Platform, path string) (*Program, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	h := sha256.New()
	n, err := io.Copy(h, f)
	if err != nil {
		return nil, err
	}
	return &Program{Platform: p, Path: path, Digest: hex.EncodeToString(h.Sum(nil)), Size: n,
		packed: sync.OnceValues(func() ([]byte, error) { return pack(path) })}, nil
}
