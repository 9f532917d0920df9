package lab

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"

	"deploy/internal/hint"
	"deploy/internal/lab/model"
)

// The files of a lab's directory.
const (
	worldFile     = "world.json"
	historyFile   = "history.jsonl"
	endpointsFile = "endpoints.json"
	lockFile      = "lab.lock"
)

// Endpoint is where one machine is served. Addresses are host:port.
type Endpoint struct {
	HTTP        string `json:"http"`
	HTTPS       string `json:"https"`
	SSH         string `json:"ssh"`
	CA          []byte `json:"ca"`            // PEM of the authority that signed the HTTPS certificate
	HostKey     string `json:"host_key"`      // "SHA256:..." of the SSH host key
	HostKeyLine string `json:"host_key_line"` // a known_hosts line for SSH
}

// endpoints is the file that tells other processes of a running lab.
type endpoints struct {
	PID      int                 `json:"pid"`
	Machines map[string]Endpoint `json:"machines"`
}

// Attach finds the lab that another process serves from dir. ok is false when none runs.
func Attach(dir string) (map[string]Endpoint, bool) {
	held, e := holder(dir)
	return e.Machines, held && len(e.Machines) > 0
}

// holder says whether a process serves the lab, and what it says of itself.
func holder(dir string) (bool, endpoints) {
	var e endpoints
	path := filepath.Join(dir, lockFile)
	if _, err := os.Stat(path); err != nil {
		return false, e
	}
	l := flock.New(path)
	free, err := l.TryLock()
	if err == nil && free {
		_ = l.Unlock()
		return false, e
	}
	raw, err := os.ReadFile(filepath.Join(dir, endpointsFile))
	if err == nil {
		_ = json.Unmarshal(raw, &e) // half-written is as good as not there: it is renamed into place
	}
	return true, e
}

// lock makes this process the lab's only holder.
func lock(dir string) (*flock.Flock, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("cannot make the lab's directory: %w", err)
	}
	l := flock.New(filepath.Join(dir, lockFile))
	ok, err := l.TryLock()
	if err != nil {
		return nil, fmt.Errorf("cannot lock the lab in %s: %w", dir, err)
	}
	if !ok {
		_, e := holder(dir)
		return nil, hint.Wrap(fmt.Errorf("cannot start the lab in %s: process %d serves it", dir, e.PID),
			"use the running lab, or stop it first")
	}
	return l, nil
}

// store keeps a world in a directory.
type store struct {
	dir     string
	saved   []byte // what world.json holds
	history *os.File
	written int // entries of World.History that are in the file
	strikes int // what struck() said at the last save
}

// loadWorld reads a world; nil when there is none yet.
func loadWorld(dir string) (*model.World, error) {
	raw, err := os.ReadFile(filepath.Join(dir, worldFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the lab's machines: %w", err)
	}
	w := &model.World{}
	if err := json.Unmarshal(raw, w); err != nil {
		return nil, hint.Wrap(fmt.Errorf("cannot read the lab's machines in %s: %w", dir, err),
			"reset the lab to have its machines delivered anew")
	}
	return w, nil
}

func openStore(dir string) (*store, error) {
	h, err := os.OpenFile(filepath.Join(dir, historyFile), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot open the lab's history: %w", err)
	}
	return &store{dir: dir, history: h}, nil
}

// save writes what has changed. With reads set, the request that was carried out only looks, so the
// world is taken to be as it was unless a fault struck. The caller holds the world's lock.
func (s *store) save(w *model.World, reads bool) error {
	if err := s.writeHistory(w); err != nil {
		return err
	}
	n := struck(w)
	if reads && n == s.strikes {
		return nil
	}
	raw, err := json.Marshal(w)
	if err != nil {
		return fmt.Errorf("cannot write the lab's machines: %w", err)
	}
	s.strikes = n
	if bytes.Equal(raw, s.saved) {
		return nil
	}
	if err := writeFile(filepath.Join(s.dir, worldFile), raw, 0o600); err != nil {
		return fmt.Errorf("cannot write the lab's machines: %w", err)
	}
	s.saved = raw
	return nil
}

// struck sums up how often faults still strike: it changes whenever one has.
func struck(w *model.World) int {
	n := 0
	for _, f := range w.Faults {
		n += f.Times
	}
	return n
}

func (s *store) writeHistory(w *model.World) error {
	if s.written > len(w.History) {
		s.written = 0
	}
	if s.written == len(w.History) {
		return nil
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	for _, h := range w.History[s.written:] {
		if err := enc.Encode(h); err != nil {
			return fmt.Errorf("cannot write the lab's history: %w", err)
		}
	}
	if _, err := s.history.Write(b.Bytes()); err != nil {
		return fmt.Errorf("cannot write the lab's history: %w", err)
	}
	s.written = len(w.History)
	return nil
}

// writeFile puts a file in place whole.
func writeFile(path string, data []byte, mode os.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.tmp")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone already when the rename went well
	if err := f.Chmod(mode); err != nil {
		f.Close()
		return err
	}
	if _, err := f.Write(data); err != nil {
		f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// Reset forgets the machines of a lab, so that they are delivered anew at the next start. Its keys
// stay. A lab that is being served is not reset.
func Reset(dir string) error {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	l, err := lock(dir)
	if err != nil {
		return err
	}
	defer l.Unlock()
	for _, name := range []string{worldFile, historyFile, endpointsFile} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("cannot reset the lab: %w", err)
		}
	}
	if err := os.RemoveAll(filepath.Join(dir, agentDir)); err != nil {
		return fmt.Errorf("cannot reset the lab: %w", err)
	}
	return nil
}
