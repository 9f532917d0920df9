package agent

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"deploy/internal/agent/wire"
	"deploy/internal/hint"
	"deploy/internal/task"
)

// fourActs writes a record of eight events and returns its file and content.
func fourActs(t *testing.T, dir string) (path string, data []byte) {
	t.Helper()
	s := mustRecord(t, dir)
	for _, name := range []string{"a", "b", "c", "d"} {
		add(t, s, wire.EvBegin, name)
		add(t, s, wire.EvDone, name)
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(s.path)
	if err != nil {
		t.Fatal(err)
	}
	return s.path, data
}

// One wrong bit anywhere is an error that names the line and says how many stand behind it, and the
// file stays as it is.
func TestRecordDamagedAtEveryByte(t *testing.T) {
	dir := t.TempDir()
	path, data := fourActs(t, dir)
	lines := bytes.Count(data, []byte("\n"))
	for at := range data {
		bad := bytes.Clone(data)
		bad[at] ^= 1
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := openRecord(dir, "site", "journal-1", false)
		if err == nil {
			t.Fatalf("byte %d of %d: opened with %s", at, len(data), names(after(t, s, "", 0)))
		}
		n := 1 + bytes.Count(data[:at], []byte("\n"))
		behind := lines - n
		if data[at] == '\n' && behind > 0 {
			behind-- // two lines are one
		}
		want := fmt.Sprintf("line %d is damaged, %d lines follow it", n, behind)
		if !errors.Is(err, task.ErrRecordDamaged) || !strings.Contains(err.Error(), want) ||
			!strings.Contains(err.Error(), path) {
			t.Fatalf("byte %d: %v, want %s", at, err, want)
		}
		if kept, err := os.ReadFile(path); err != nil || !bytes.Equal(kept, bad) {
			t.Fatalf("byte %d: the file was changed (%v)", at, err)
		}
	}
}

// A line that was taken out, changed for another one or put twice breaks the chain.
func TestRecordLinesKeepTheirOrder(t *testing.T) {
	dir := t.TempDir()
	path, data := fourActs(t, dir)
	lines := bytes.SplitAfter(bytes.TrimSuffix(data, []byte("\n")), []byte("\n"))
	lines[len(lines)-1] = append(bytes.Clone(lines[len(lines)-1]), '\n')
	for name, order := range map[string][]int{
		"taken out": {0, 1, 2, 4, 5}, "twice": {0, 1, 2, 2, 3}, "swapped": {0, 2, 1, 3}, "without the first": {1, 2, 3},
	} {
		var b []byte
		for _, i := range order {
			b = append(b, lines[i]...)
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if s, err := openRecord(dir, "site", "journal-1", false); !errors.Is(err, task.ErrRecordDamaged) {
			_ = s.close()
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The machine lost its power while the last line was written: its size was noted, and not all of
// its blocks.
func TestRecordTornByPower(t *testing.T) {
	dir := t.TempDir()
	path, data := fourActs(t, dir)
	last := bytes.LastIndexByte(data[:len(data)-1], '\n') + 1
	for _, torn := range [][]byte{
		make([]byte, len(data)-last),
		append(make([]byte, 20), data[last+20:]...),
	} {
		if err := os.WriteFile(path, append(bytes.Clone(data[:last]), torn...), 0o600); err != nil {
			t.Fatal(err)
		}
		s := mustRecord(t, dir)
		if got := names(after(t, s, "", 0)); !strings.HasSuffix(got, "6:done:c 7:begin:d ") {
			t.Error(got)
		}
		_ = s.close()
	}
}

// A person gives a damaged record up: it is put aside, whole, and another one begins. One that is
// not damaged stays.
func TestRecordForgotten(t *testing.T) {
	dir := t.TempDir()
	path, data := fourActs(t, dir)
	s, err := openRecord(dir, "site", "journal-1", true)
	if err != nil {
		t.Fatal(err)
	}
	epoch := s.head.Epoch
	if got := after(t, s, "", 0); len(got) != 8 {
		t.Errorf("a whole record was forgotten: %s", names(got))
	}
	_ = s.close()
	bad := bytes.Clone(data)
	bad[len(bad)/2] ^= 1
	if err := os.WriteFile(path, bad, 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err = openRecord(dir, "site", "journal-1", true); err != nil {
		t.Fatal(err)
	}
	if got := after(t, s, "", 0); len(got) != 0 || s.head.Epoch == epoch {
		t.Errorf("%s, epoch %s", names(got), s.head.Epoch)
	}
	_ = s.close()
	aside, err := filepath.Glob(path + ".damaged-*")
	if err != nil || len(aside) != 1 {
		t.Fatal(aside, err)
	}
	if kept, err := os.ReadFile(aside[0]); err != nil || !bytes.Equal(kept, bad) {
		t.Errorf("what was put aside is not what stood there (%v)", err)
	}
}

// formatOne is a record as programs before the chain wrote it.
func formatOne(t *testing.T, dir string) string {
	t.Helper()
	var b bytes.Buffer
	for i, body := range []string{`{"epoch":"0123456789abcdef","site":"site","journal":"journal-1","first":4}`,
		`{"seq":5,"what":"begin","task":"a"}`, `{"seq":6,"what":"done","task":"a"}`, `{"seq":7,"what":"begin","task":"b"}`} {
		if i == 3 {
			b.WriteString(checksum([]byte(body)) + " " + body[:10]) // torn
			break
		}
		fmt.Fprintf(&b, "%s %s\n", checksum([]byte(body)), body)
	}
	path := recordPath(dir, "site", "journal-1")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A record of an older agent is read once, with its numbers and its epoch, and is chained from then
// on.
func TestRecordOfFormatOne(t *testing.T) {
	dir := t.TempDir()
	path := formatOne(t, dir)
	for range 2 {
		s := mustRecord(t, dir)
		if got := names(after(t, s, "", 0)); got != "5:begin:a 6:done:a " || s.head.Epoch != "0123456789abcdef" {
			t.Errorf("%s, epoch %s", got, s.head.Epoch)
		}
		_ = s.close()
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(data, []byte(`"format":2`)) {
		t.Errorf("it is still of the older format: %s", data)
	}
	s := mustRecord(t, dir)
	if e := add(t, s, wire.EvBegin, "b"); e.Seq != 7 {
		t.Errorf("the next has number %d", e.Seq)
	}
	_ = s.close()
	// its middle is not cut off either
	path = formatOne(t, dir)
	if data, err = os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	data[bytes.IndexByte(data, '\n')+20] ^= 1
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := openRecord(dir, "site", "journal-1", false); !errors.Is(err, task.ErrRecordDamaged) ||
		!strings.Contains(err.Error(), "line 2 is damaged, 2 lines follow it") {
		_ = s.close()
		t.Error(err)
	}
}

// A program that knows only format 1 decodes the first line like this; it must fail there, since it
// cuts off what it takes for torn.
func TestRecordIsRefusedByOlderPrograms(t *testing.T) {
	_, data := fourActs(t, t.TempDir())
	line, _, _ := bytes.Cut(data, []byte("\n"))
	if len(line) < 10 || line[8] != ' ' || checksum(line[9:]) != string(line[:8]) {
		t.Fatalf("an older program takes the first line for torn: %s", line)
	}
	var head struct {
		Epoch string `json:"epoch"`
		Site  string `json:"site"`
	}
	if err := json.Unmarshal(line[9:], &head); err == nil {
		t.Errorf("an older program reads %+v", head)
	}
}

func TestRecordOfANewerFormat(t *testing.T) {
	dir := t.TempDir()
	path, data := fourActs(t, dir)
	body := bytes.Replace(data[9:bytes.IndexByte(data, '\n')], []byte(`"format":2`), []byte(`"format":3`), 1)
	newer := []byte(checksum(body) + " " + string(body) + "\nsomething else\n")
	if err := os.WriteFile(path, newer, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, forget := range []bool{false, true} {
		_, err := openRecord(dir, "site", "journal-1", forget)
		if err == nil || !strings.Contains(err.Error(), "format 3 is not supported (this program: 2)") ||
			!strings.Contains(hint.Of(err), "a newer deploy wrote it") {
			t.Error(err)
		}
	}
	if kept, err := os.ReadFile(path); err != nil || !bytes.Equal(kept, newer) {
		t.Errorf("the file was changed (%v)", err)
	}
}
