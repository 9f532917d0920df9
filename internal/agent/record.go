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
	"deploy/internal/hint"
	"deploy/internal/task"
	"deploy/steps"
)

// recordLimit is how large a record file grows before what its controller has acknowledged is left
// out, in bytes.
const recordLimit = 8 << 20

// recordFormat is the format of a record file. Format 1 had a checksum in each line and no chain.
const recordFormat = 2

// record is the agent's own record of the acts that it did for one journal: an append-only file of
// lines, chained by hash. An intent is on the disk before the act; what a controller has not heard
// is told when one comes again.
type record struct {
	path   string
	mu     sync.Mutex // guards what follows
	file   *os.File
	head   recordHead
	hash   []byte   // of the last line
	events [][]byte // the first has the number head.First+1; decoded only where somebody asks, which mostly nobody does
	size   int64
	acked  int64
}

// recordHead is the first line of the file.
type recordHead struct {
	Epoch   string
	Site    string
	Journal string
	First   int64 // number of the last event before those in the file
	format  int   // of the file that it was read from
}

// headLine is how recordHead stands in the file. From format 2 on the epoch is an object: a program
// that knows only format 1 cannot decode that, and refuses the file instead of cutting it off.
type headLine struct {
	Epoch   json.RawMessage `json:"epoch"`
	Site    string          `json:"site"`
	Journal string          `json:"journal"`
	First   int64           `json:"first"`
}

type headEpoch struct {
	Format int    `json:"format"`
	ID     string `json:"id"`
}

func (h recordHead) body() []byte {
	return steps.MustJSON(headLine{Epoch: steps.MustJSON(headEpoch{recordFormat, h.Epoch}), Site: h.Site,
		Journal: h.Journal, First: h.First})
}

func decodeHead(body []byte) (recordHead, error) {
	var l headLine
	if err := json.Unmarshal(body, &l); err != nil {
		return recordHead{}, err
	}
	h := recordHead{Site: l.Site, Journal: l.Journal, First: l.First, format: 1}
	if json.Unmarshal(l.Epoch, &h.Epoch) == nil {
		return h, nil
	}
	var e headEpoch
	if err := json.Unmarshal(l.Epoch, &e); err != nil {
		return h, err
	}
	if e.Format != recordFormat {
		return h, hint.Wrap(fmt.Errorf("format %d is not supported (this program: %d)", e.Format, recordFormat),
			"a newer deploy wrote it: use that one for this node")
	}
	h.Epoch, h.format = e.ID, e.Format
	return h, nil
}

// damagedRecord says that a record is not what was written. It is task.ErrRecordDamaged.
type damagedRecord struct{ line, behind int }

func (e *damagedRecord) Error() string {
	return fmt.Sprintf("line %d is damaged, %d lines follow it", e.line, e.behind)
}

func (e *damagedRecord) Is(target error) bool { return target == task.ErrRecordDamaged }

// openRecord opens the record of one journal, or begins one. A torn line at its end (the machine
// went down while it was written) is cut off; any other line that is not what was written is
// task.ErrRecordDamaged, and the file stays. With forget such a file is put aside, and a new record
// begins. A record of format 1 is rewritten, with all that it holds.
func openRecord(dir, site, journal string, forget bool) (*record, error) {
	s, err := loadRecord(dir, site, journal)
	if !forget || !errors.Is(err, task.ErrRecordDamaged) {
		return s, err
	}
	path := recordPath(dir, site, journal)
	if err := os.Rename(path, path+".damaged-"+newEpoch()); err != nil {
		return nil, fmt.Errorf("cannot put the agent's record aside: %w", err)
	}
	return loadRecord(dir, site, journal)
}

func newEpoch() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails: see crypto/rand
	return hex.EncodeToString(b[:])
}

func loadRecord(dir, site, journal string) (*record, error) {
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
	switch {
	case s.head.Epoch == "":
		s.head = recordHead{Epoch: newEpoch(), Site: site, Journal: journal, format: recordFormat}
		if err := s.begin(); err != nil {
			return fail(err)
		}
		if err := errors.Join(s.file.Sync(), syncDir(dir)); err != nil {
			return fail(err)
		}
	case s.head.format < recordFormat:
		if err := s.replace(s.head, s.events); err != nil {
			return fail(err)
		}
	}
	return s, nil
}

// recordPath is where the record of a journal is kept.
func recordPath(dir, site, journal string) string {
	return filepath.Join(dir, "spool-"+safeName(site)+"-"+hex.EncodeToString(hashOf(journal))[:12]+".log")
}

// load reads the file, and cuts off a torn line at its end.
func (s *record) load() error {
	r := bufio.NewReader(s.file)
	for n := 1; ; n++ {
		raw, err := r.ReadBytes('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if len(raw) == 0 {
			break
		}
		body, ok := s.checked(raw, n == 1)
		if !ok {
			behind, err := countLines(r)
			if err != nil {
				return err
			}
			if behind > 0 || !s.torn(raw, n == 1) {
				return &damagedRecord{n, behind}
			}
			break
		}
		if n == 1 {
			if s.head, err = decodeHead(body); err != nil {
				return err
			}
			s.hash = hashOf(string(body))
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

// torn says that the last line was not written to its end: it has none, or holds the zeros of
// blocks that did not reach the disk. A line that is whole but for its last byte was damaged later.
func (s *record) torn(raw []byte, first bool) bool {
	if raw[len(raw)-1] == '\n' {
		return bytes.IndexByte(raw, 0) >= 0
	}
	_, whole := s.checked(append(bytes.Clone(raw[:len(raw)-1]), '\n'), first)
	return !whole
}

// countLines counts what is left; a rest without an end is a line.
func countLines(r *bufio.Reader) (int, error) {
	for n := 0; ; n++ {
		raw, err := r.ReadBytes('\n')
		switch {
		case errors.Is(err, io.EOF) && len(raw) == 0:
			return n, nil
		case err != nil && !errors.Is(err, io.EOF):
			return n, err
		}
	}
}

// checked returns the body of a line that is what was written. The first line and those of format 1
// begin with a checksum, the others with the hash that chains them to the line before.
func (s *record) checked(raw []byte, first bool) ([]byte, bool) {
	sum, body, ok := bytes.Cut(raw, []byte(" "))
	if !ok || len(body) == 0 || body[len(body)-1] != '\n' {
		return nil, false
	}
	body = body[:len(body)-1]
	if first || s.head.format < recordFormat {
		return body, checksum(body) == string(sum)
	}
	hash := chainedHash(s.hash, body)
	if hex.EncodeToString(hash) != string(sum) {
		return nil, false
	}
	s.hash = hash
	return body, true
}

func checksum(body []byte) string { return fmt.Sprintf("%08x", crc32.ChecksumIEEE(body)) }

func chainedHash(before, body []byte) []byte {
	h := sha256.New()
	h.Write(before)
	h.Write(body)
	return h.Sum(nil)
}

// begin writes the first line.
func (s *record) begin() error {
	body := s.head.body()
	s.hash = hashOf(string(body))
	return s.write(checksum(body), body)
}

// line writes one of the other lines.
func (s *record) line(body []byte) error {
	hash := chainedHash(s.hash, body)
	if err := s.write(hex.EncodeToString(hash), body); err != nil {
		return err
	}
	s.hash = hash
	return nil
}

func (s *record) write(sum string, body []byte) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s\n", sum, body)
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

// end is the number of the last event.
func (s *record) end() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last()
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
		err = fmt.Errorf("got event %d, expected %d", e.Seq, want)
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
	return s.replace(head, nil)
}

// replace puts a file with this content in the place of the present one. The caller holds mu, or is
// the only one who knows s.
func (s *record) replace(head recordHead, events [][]byte) error {
	head.format = recordFormat
	temp, err := os.CreateTemp(filepath.Dir(s.path), filepath.Base(s.path)+".*")
	if err != nil {
		return err
	}
	n := &record{file: temp, head: head}
	err = n.begin()
	for _, body := range events {
		if err == nil {
			err = n.line(body)
		}
	}
	if err := errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return errors.Join(err, os.Remove(temp.Name()))
	}
	// Windows renames no file that is open
	err = errors.Join(s.file.Close(), os.Rename(temp.Name(), s.path))
	if s.file, err = reopen(s.path, err); err != nil {
		return err
	}
	s.head, s.hash, s.events, s.size = head, n.hash, events, n.size
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
