package agent

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"deploy/internal/agent/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func mustRecord(t *testing.T, dir string) *record {
	t.Helper()
	s, err := openRecord(dir, "site", "journal-1", false)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func add(t *testing.T, s *record, what, task string) wire.Event {
	t.Helper()
	e, err := s.add(wire.Event{What: what, Task: task}, true)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func after(t *testing.T, s *record, epoch string, seq int64) []wire.Event {
	t.Helper()
	list, err := s.after(epoch, seq)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if e.Epoch != s.head.Epoch {
			t.Errorf("event %d is of the record %q", e.Seq, e.Epoch)
		}
	}
	return list
}

func names(events []wire.Event) string {
	out := ""
	for _, e := range events {
		out += fmt.Sprintf("%d:%s:%s ", e.Seq, e.What, e.Task)
	}
	return out
}

// The machine may go down at any byte: what stands whole before it is kept, in its order, and the
// count goes on.
func TestSpoolTornAtEveryByte(t *testing.T) {
	dir := t.TempDir()
	s := mustRecord(t, dir)
	add(t, s, wire.EvBegin, "a")
	add(t, s, wire.EvDone, "a")
	epoch, path := s.head.Epoch, s.path
	whole := s.size
	add(t, s, wire.EvBegin, "b")
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for n := int(whole); n < len(data); n++ {
		if err := os.WriteFile(path, data[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		s := mustRecord(t, dir)
		if got := names(after(t, s, "", 0)); got != "1:begin:a 2:done:a " || s.head.Epoch != epoch {
			t.Fatalf("cut at %d: %s", n, got)
		}
		if e := add(t, s, wire.EvBegin, "c"); e.Seq != 3 {
			t.Fatalf("cut at %d: the next has number %d", n, e.Seq)
		}
		if err := s.close(); err != nil {
			t.Fatal(err)
		}
		s = mustRecord(t, dir)
		if got := names(after(t, s, "", 0)); got != "1:begin:a 2:done:a 3:begin:c " {
			t.Fatalf("cut at %d, and written on: %s", n, got)
		}
		if err := s.close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSpoolTellsWhatIsNotKnown(t *testing.T) {
	s := mustRecord(t, t.TempDir())
	for _, task := range []string{"a", "b"} {
		add(t, s, wire.EvBegin, task)
		add(t, s, wire.EvDone, task)
	}
	epoch := s.head.Epoch
	for _, c := range []struct {
		epoch string
		seq   int64
		want  string
	}{
		{epoch, 0, "1:begin:a 2:done:a 3:begin:b 4:done:b "},
		{epoch, 3, "4:done:b "},
		{epoch, 4, ""},
		{"another", 4, "1:begin:a 2:done:a 3:begin:b 4:done:b "}, // the journal's record was another one
	} {
		if got := names(after(t, s, c.epoch, c.seq)); got != c.want {
			t.Errorf("after %s/%d: %s", c.epoch, c.seq, got)
		}
	}
	// an older copy of the journal may come: what was acknowledged is still told
	if err := s.ack(4); err != nil {
		t.Fatal(err)
	}
	if got := names(after(t, s, epoch, 1)); got != "2:done:a 3:begin:b 4:done:b " {
		t.Errorf("acknowledged, and asked again: %s", got)
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
}

func TestSpoolMakesRoom(t *testing.T) {
	dir := t.TempDir()
	s := mustRecord(t, dir)
	big := make([]byte, 1<<20)
	var last wire.Event
	for i := 0; s.size < recordLimit; i++ {
		var err error
		if last, err = s.add(wire.Event{What: wire.EvDone, Task: fmt.Sprint(i), Note: string(big)}, false); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.ack(last.Seq - 1); err != nil || s.size < recordLimit {
		t.Errorf("room was made of what nobody has heard: %v", err)
	}
	if err := s.ack(last.Seq); err != nil || s.size > 1000 {
		t.Errorf("%d bytes are left: %v", s.size, err)
	}
	if e := add(t, s, wire.EvBegin, "next"); e.Seq != last.Seq+1 {
		t.Errorf("the count began anew: %d", e.Seq)
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	s = mustRecord(t, dir)
	if got := names(after(t, s, s.head.Epoch, last.Seq)); got != fmt.Sprintf("%d:begin:next ", last.Seq+1) {
		t.Errorf("opened again: %s", got)
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*.log.*")); len(left) > 0 {
		t.Errorf("temporary files are left: %v", left)
	}
}

// Two journals of two sites, or of one whose state was thrown away, do not hear of each other.
func TestSpoolsAreApart(t *testing.T) {
	dir := t.TempDir()
	one := mustRecord(t, dir)
	add(t, one, wire.EvBegin, "a")
	two, err := openRecord(dir, "site", "journal-2", false)
	if err != nil {
		t.Fatal(err)
	}
	if got := after(t, two, "", 0); len(got) != 0 {
		t.Errorf("the second journal hears of %s", names(got))
	}
	for _, s := range []*record{one, two} {
		if err := s.close(); err != nil {
			t.Fatal(err)
		}
	}
}
