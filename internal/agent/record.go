package agent

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"deploy/internal/agent/wire"
	"deploy/steps"
)

// recordLimit is how large a record file grows before what its controller has acknowledged is left
// out, in bytes.
const recordLimit = 8 << 20

// record is the agent's own record of the acts that it did for one journal: an append-only file of
// lines, each with a checksum. An intent is on the disk before the act; what a controller has not
// heard is told when one comes again.
type record struct {
	path   string
	mu     sync.Mutex // guards what follows
	file   *os.File
	head   spoolHead
	events [][]byte // the first has the number head.First+1; decoded only where somebody asks, which mostly nobody does
	size   int64
	acked  int64
}

// spoolHead is the first line of the file.
type spoolHead struct {
	Epoch   string `json:"epoch"`
	Site    string `json:"site"`
	Journal string `json:"journal"`
	First   int64  `json:"first"` // number of the last event before those in the file
}

// openRecord opens the record of one journal, or begins one. A torn line at its end (the machine
// went down while it was written) is cut off; an intent that has no end is closed by an event that
// says so.
func openRecord(dir, site, journal string) (*record, error) {
	s := &record{path: recordPath(dir, site, journal)}
	fail := func(err error) (*record, error) {
		if s.file != nil {
			_ = s.file.Close()
		}
		return nil, onDisk(dir, fmt.Errorf("cannot open the agent's record %s: %w", s.path, err))
	}
	var err error
	if s.file, err = os.OpenFile(s.path, os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return fail(err)
	}
	if err := s.load(); err != nil {
		return fail(err)
	}
	if s.head.Epoch == "" {
		var b [8]byte
		_, _ = rand.Read(b[:]) // never fails: see crypto/rand
		s.head = spoolHead{Epoch: hex.EncodeToString(b[:]), Site: site, Journal: journal}
		if err := s.line(steps.MustJSON(s.head)); err != nil {
			return fail(err)
		}
		if err := errors.Join(s.file.Sync(), syncDir(dir)); err != nil {
			return fail(err)
		}
	}
	return s, nil
}

// recordPath is where the record of a journal is kept.
func recordPath(dir, site, journal string) string {
	return filepath.Join(dir, "spool-"+safeName(site)+"-"+hex.EncodeToString(hashOf(journal))[:12]+".log")
}

// load reads the file up to its first line that is not whole.
func (s *record) load() error {
	r := bufio.NewReader(s.file)
	for first := true; ; first = false {
		raw, err := r.ReadBytes('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		body, ok := checked(raw)
		if !ok {
			break
		}
		if first {
			if err := json.Unmarshal(body, &s.head); err != nil {
				return err
			}
		} else {
			s.events = append(s.events, body)
		}
		s.size += int64(len(raw))
	}
	if err := s.file.Truncate(s.size); err != nil {
		return err
	}
	_, err := s.file.Seek(s.size, io.SeekStart)
	return err
}

// checked returns the body of a line whose checksum holds.
func checked(raw []byte) ([]byte, bool) {
	if len(raw) < 10 || raw[len(raw)-1] != '\n' || raw[8] != ' ' {
		return nil, false
	}
	body := raw[9 : len(raw)-1]
	return body, fmt.Sprintf("%08x", crc32.ChecksumIEEE(body)) == string(raw[:8])
}

func (s *record) line(body []byte) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%08x %s\n", crc32.ChecksumIEEE(body), body)
	n, err := s.file.Write(b.Bytes())
	if err != nil {
		// half a line must not stand before the next one
		_ = s.file.Truncate(s.size)
		_, _ = s.file.Seek(s.size, io.SeekStart)
		return err
	}
	s.size += int64(n)
	return nil
}

// last is the number of the last event. The caller holds mu.
func (s *record) last() int64 {
	return s.head.First + int64(len(s.events))
}

// add gives an event its number and writes it down. When sync is set it is on the disk when add
// returns.
func (s *record) add(e wire.Event, sync bool) (wire.Event, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e.Seq = s.last() + 1
	body, err := json.Marshal(e)
	if err == nil {
		err = s.line(body)
	}
	if err == nil && sync {
		err = s.file.Sync()
	}
	if err != nil {
		return e, onDisk(filepath.Dir(s.path), fmt.Errorf("cannot write to the agent's record %s: %w", s.path, err))
	}
	s.events = append(s.events, body)
	return e, nil
}

// open returns the intent that has no end, if there is one. Only the last act can be open: acts
// follow each other.
func (s *record) open() (wire.Event, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.events)
	if n == 0 {
		return wire.Event{}, false, nil
	}
	e, err := s.event(n - 1)
	return e, e.What == wire.EvBegin, err
}

// event decodes one of events. The caller holds mu.
func (s *record) event(i int) (wire.Event, error) {
	e := wire.Event{Epoch: s.head.Epoch}
	err := json.Unmarshal(s.events[i], &e)
	if want := s.head.First + int64(i) + 1; err == nil && e.Seq != want {
		err = fmt.Errorf("event %d stands where %d is due", e.Seq, want)
	}
	if err != nil {
		err = fmt.Errorf("cannot read the agent's record %s: %w", s.path, err)
	}
	return e, err
}

// after returns the events that a controller does not have. One that knows another record has none
// of this one's.
func (s *record) after(epoch string, seq int64) ([]wire.Event, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if epoch != s.head.Epoch {
		seq = 0
	}
	var out []wire.Event
	for i := max(0, seq-s.head.First); i < int64(len(s.events)); i++ {
		e, err := s.event(int(i))
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

// unheard is how many events the controller has not acknowledged.
func (s *record) unheard() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last() - s.acked
}

// ack notes that a controller has everything up to seq, and makes room when the file is large. What
// is acknowledged is kept until then: the controller may come back with an older copy of its
// journal.
func (s *record) ack(seq int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.acked = max(s.acked, min(seq, s.last()))
	if s.size < recordLimit || s.acked < s.last() {
		return nil
	}
	head := s.head
	head.First = s.last()
	temp, err := os.CreateTemp(filepath.Dir(s.path), filepath.Base(s.path)+".*")
	if err != nil {
		return err
	}
	n := &record{file: temp, head: head}
	if err := errors.Join(n.line(steps.MustJSON(head)), temp.Sync(), temp.Close()); err != nil {
		return errors.Join(err, os.Remove(temp.Name()))
	}
	// Windows renames no file that is open
	err = errors.Join(s.file.Close(), os.Rename(temp.Name(), s.path))
	if s.file, err = reopen(s.path, err); err != nil {
		return err
	}
	s.head, s.events, s.size = head, nil, n.size
	return syncDir(filepath.Dir(s.path))
}

func reopen(path string, earlier error) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND, 0o600)
	return f, errors.Join(earlier, err)
}

func (s *record) close() error { return s.file.Close() }

func hashOf(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return sum[:]
}

// safeName makes a part of a file name of any text.
func safeName(text string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' {
			return r
		}
		return '_'
	}, text[:min(len(text), 40)])
}
