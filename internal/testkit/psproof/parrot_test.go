package psproof

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"deploy/internal/session/powershell/protocol"
)

// The parrot is no PowerShell and knows nothing of the script: it gives back what a case expects,
// right or wrong in one place. It shows that the harness takes right answers and notices wrong
// ones, on machines that have no PowerShell.

// ways are how the parrot can be wrong, and whether a step can be got wrong so.
var ways = map[string]func(st step) bool{
	"a row more": func(st step) bool { return answers(st) && st.failed == nil },
	"a row less": func(st step) bool { return answers(st) && len(st.rows) > 0 },
	"a row with another word": func(st step) bool {
		return answers(st) && len(st.rows) > 0 && len(entries(st.rows[0])) > 0 && entries(st.rows[0])["version"] == nil
	},
	"failed and not":        func(st step) bool { return answers(st) },
	"another failure":       func(st step) bool { return answers(st) && len(st.failed) > 0 },
	"an incomplete failure": func(st step) bool { return answers(st) && st.failed != nil },
	"a call more":           func(st step) bool { return answers(st) },
	"a call less":           func(st step) bool { return answers(st) && len(st.records) > 0 },
	"a call with another word": func(st step) bool {
		return answers(st) && len(st.records) > 0
	},
	"the id of another":  answers,
	"no answer":          answers,
	"an end":             answers,
	"another exit code":  func(st step) bool { return st.exit != noExit },
	"no end but answers": func(st step) bool { return st.exit != noExit && st.failed == nil },
	"no foreign text":    func(st step) bool { return len(st.alien) > 0 },
}

func answers(st step) bool { return !st.silent && st.exit == noExit }

func entries(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

// write puts what the parrot is to say into a file.
func (c proofCase) write(path, way string, at int) error {
	list := []any{}
	for i, st := range c.steps {
		records := []any{}
		for _, r := range st.records {
			var w []any
			for _, x := range r {
				w = append(w, x)
			}
			records = append(records, w)
		}
		m := obj("lines", int64(strings.Count(st.raw, "\n")), "raw", st.raw != "", "eof", st.eof, "silent", st.silent, "exit",
			int64(st.exit), "records", records,
			"rows", append([]any{}, st.rows...), "alien", st.alien, "way", "")
		if st.failed != nil {
			m["failed"] = merge(obj("id", "", "code", int64(0), "category", "", "type", "", "text", ""), st.failed)
		}
		if i == at {
			m["way"] = way
		}
		list = append(list, m)
	}
	s, err := protocol.Encode(list)
	if err != nil {
		return err
	}
	return os.WriteFile(path, []byte(s), 0o600)
}

// parrotMain is the process.
func parrotMain() int {
	raw, err := os.ReadFile(os.Getenv("PSPROOF_PARROT"))
	if err != nil {
		return 90
	}
	v, err := protocol.Decode(string(raw))
	if err != nil {
		return 91
	}
	in := bufio.NewReader(os.Stdin)
	_, nonce, err := protocol.ReadPreamble(in)
	if err != nil {
		return 92
	}
	p := parrot{nonce: nonce}
	p.say(protocol.Frame{Kind: protocol.KindHello, Value: obj("protocol", protocol.Protocol)})
	steps, _ := v.([]any)
	for i, x := range steps {
		st := entries(x)
		code := p.step(in, st, int64(i+1))
		if code != noExit {
			return code
		}
	}
	_, _ = io.Copy(io.Discard, in)
	return 0
}

type parrot struct{ nonce string }

func (p parrot) say(f protocol.Frame) {
	b, err := protocol.AppendFrame([]byte("\n"), p.nonce, f)
	if err == nil {
		_, _ = os.Stdout.Write(b)
	}
}

// listen takes in what the step's request is on stdin.
func (p parrot) listen(in *bufio.Reader, st map[string]any) {
	switch {
	case st["eof"] == true:
		_, _ = io.Copy(io.Discard, in)
	case st["raw"] == true:
		for range st["lines"].(int64) {
			_, _ = in.ReadString('\n')
		}
	default:
		for {
			line, err := in.ReadString('\n')
			if f := strings.Fields(line); err != nil || len(f) == 4 && f[2] == protocol.KindRequest {
				return
			}
		}
	}
}

func (p parrot) step(in *bufio.Reader, st map[string]any, id int64) int {
	p.listen(in, st)
	way, _ := st["way"].(string)
	if exit := int(st["exit"].(int64)); exit != noExit {
		switch way {
		case "another exit code":
			return exit + 1
		case "no end but answers":
			p.say(protocol.Frame{ID: id, Kind: protocol.KindDone})
		}
		return exit
	}
	if st["silent"] == true {
		return noExit
	}
	rows, _ := st["rows"].([]any)
	failed := entries(st["failed"])
	records, _ := st["records"].([]any)
	switch way {
	case "a row more":
		rows = append(rows, obj("more", true))
	case "a row less":
		rows = rows[:len(rows)-1]
	case "a row with another word":
		for k := range entries(rows[0]) {
			entries(rows[0])[k] = "another"
			break
		}
	case "failed and not":
		if failed != nil {
			failed = nil
		} else {
			failed = obj("id", "x", "code", int64(1), "category", "", "type", "", "text", "")
		}
	case "another failure":
		failed["id"], failed["code"], failed["category"], failed["type"] = "other", int64(99), "other", "other"
	case "an incomplete failure":
		delete(failed, "category")
		delete(failed, "text")
	case "a call more":
		records = append(records, []any{"More"})
	case "a call less":
		records = records[1:]
	case "a call with another word":
		records[0].([]any)[len(records[0].([]any))-1] = "another"
	case "the id of another":
		id++
	case "no answer":
		return noExit
	case "an end":
		return 0
	}
	p.record(records)
	if list, _ := st["alien"].([]any); way != "no foreign text" {
		for _, line := range list {
			fmt.Println(line)
		}
	}
	if failed != nil {
		p.say(protocol.Frame{ID: id, Kind: protocol.KindError, Value: failed})
		return noExit
	}
	for len(rows) > 0 {
		n := min(len(rows), 100)
		p.say(protocol.Frame{ID: id, Kind: protocol.KindRows, Value: rows[:n]})
		rows = rows[n:]
	}
	p.say(protocol.Frame{ID: id, Kind: protocol.KindDone})
	return noExit
}

func (p parrot) record(records []any) {
	f, err := os.OpenFile(os.Getenv("PSPROOF_RECORD"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return
	}
	defer func() { _ = f.Close() }()
	for _, r := range records {
		var w []string
		for _, x := range r.([]any) {
			w = append(w, base64.StdEncoding.EncodeToString([]byte(x.(string))))
		}
		fmt.Fprintln(f, strings.Join(w, " "))
	}
}

// parroted plays a case against the parrot.
func parroted(t *testing.T, c proofCase, way string, at int) error {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := newPlace(t)
	c = p.here(c)
	script := filepath.Join(p.dir, "parrot")
	if err := c.write(script, way, at); err != nil {
		t.Fatal(err)
	}
	s := start(t, self, p, "PSPROOF_PARROT="+script)
	return play(s, c)
}

// TestHarnessTakesWhatIsRight: every case passes when everything is as it expects.
func TestHarnessTakesWhatIsRight(t *testing.T) {
	all := cases()
	var together proofCase // the calls share a process in the tier, too
	for _, c := range callCases() {
		together.steps = append(together.steps, c.steps...)
	}
	if len(all) < 25 || len(together.steps) < 80 {
		t.Errorf("%d cases, %d calls", len(all), len(together.steps))
	}
	for _, c := range append(all, together) {
		if err := parroted(t, c, "", -1); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestHarnessNoticesWhatIsWrong: for every way to be wrong, in the last step of a case that can be
// wrong so, the case fails.
func TestHarnessNoticesWhatIsWrong(t *testing.T) {
	t.Setenv("PSPROOF_PATIENCE", "5s")
	all := cases()
	calls := callCases()
	for i := 0; i < len(calls); i += 15 {
		all = append(all, calls[i])
	}
	for k, way := range slices.Sorted(maps.Keys(ways)) {
		can := ways[way]
		t.Run(way, func(t *testing.T) {
			tried := 0
			for j, c := range all {
				if (j+k)%4 != 0 && tried > 0 {
					continue // each way meets a quarter of the cases, and each case a quarter of the ways
				}
				at := -1
				for i, st := range c.steps {
					if can(st) {
						at = i
					}
				}
				if at < 0 || (way == "no answer" && tried > 0) { // each waits for its patience to end
					continue
				}
				if tried++; testing.Short() && tried > 2 {
					break
				}
				if err := parroted(t, c, way, at); err == nil {
					t.Errorf("%s passes with %s in step %d", c.name, way, at)
				}
			}
			if tried == 0 {
				t.Error("no case has such a step")
			}
		})
	}
}
