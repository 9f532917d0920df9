package psproof

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"deploy/internal/session/powershell/protocol"
)

// step is one thing that a case does and what must come of it.
type step struct {
	verb string
	args map[string]any
	raw  string // instead of a request, written as it is: {nonce} and {id} are filled in; the answer, if any, is to {id}
	eof  bool   // instead of a request, stdin is closed

	rows    []any          // what is answered, exactly
	failed  map[string]any // that it fails, with these entries
	silent  bool           // that it is not answered: the next step's answer is the next frame
	exit    int            // that the process ends with this code and no further answer; noExit otherwise
	records [][]string     // what the stand-ins were asked, exactly
	alien   []string       // texts that came as foreign lines
}

const noExit = -1

// ask is a request that is answered with rows.
func ask(verb string, args map[string]any, rows ...any) step {
	return step{verb: verb, args: args, rows: rows, exit: noExit}
}

// fails is a request that is refused.
func fails(verb string, args map[string]any, id string, code int64) step {
	return step{verb: verb, args: args, failed: map[string]any{"id": id, "code": code}, exit: noExit}
}

func (s step) records_(r ...[]string) step { s.records = r; return s }

func (s step) says(lines ...string) step { s.alien = lines; return s }

// proofCase is a sequence of steps in one process.
type proofCase struct {
	name  string
	steps []step
}

func words(w ...string) []string { return w }

func obj(kv ...any) map[string]any {
	m := map[string]any{}
	for i := 0; i < len(kv); i += 2 {
		m[kv[i].(string)] = kv[i+1]
	}
	return m
}

// play runs a case in a process. The first difference ends it.
func play(s *proc, c proofCase) error {
	for i, st := range c.steps {
		if err := st.run(s); err != nil {
			return fmt.Errorf("step %d (%s %s): %w", i, st.verb, short(st.raw), err)
		}
	}
	return nil
}

func short(s string) string { return s[:min(len(s), 40)] }

func (st step) run(s *proc) error {
	s.id++
	switch {
	case st.eof:
		if err := s.in.Close(); err != nil {
			return err
		}
	case st.raw != "":
		text := strings.NewReplacer("{nonce}", s.nonce, "{id}", fmt.Sprint(s.id)).Replace(st.raw)
		if _, err := s.in.Write([]byte(text)); err != nil {
			return err
		}
	default:
		b, err := protocol.AppendFrame(nil, s.nonce,
			protocol.Frame{ID: s.id, Kind: protocol.KindRequest, Value: map[string]any{"verb": st.verb, "args": st.args}})
		if err != nil {
			return err
		}
		if _, err := s.in.Write(b); err != nil {
			return err
		}
	}
	if st.exit != noExit {
		return st.ends(s)
	}
	if st.silent {
		return nil
	}
	rows, failed, err := s.answer(s.id)
	if err != nil {
		return err
	}
	return st.compare(s, rows, failed)
}

// ends holds the end of a process to what is expected: no answer, then the exit code.
func (st step) ends(s *proc) error {
	for {
		f, err := s.next()
		if err == errEnded {
			break
		}
		if err != nil {
			return err
		}
		if st.failed != nil && f.Kind == protocol.KindError {
			continue // a request that was cut may be refused before the end
		}
		return fmt.Errorf("a frame %q instead of the end", f.Kind)
	}
	select {
	case <-s.ended:
	case <-time.After(patience):
		return fmt.Errorf("stdout is closed, but the process goes on")
	}
	if s.code != st.exit {
		return fmt.Errorf("the process ended with %d, not %d", s.code, st.exit)
	}
	return nil
}

func (st step) compare(s *proc, rows []any, failed map[string]any) error {
	if (failed != nil) != (st.failed != nil) {
		return fmt.Errorf("failure %v, expected %v", failed, st.failed)
	}
	for k, want := range st.failed {
		if !cmp.Equal(want, failed[k]) {
			return fmt.Errorf("the failure's %s is %v, expected %v (%v)", k, failed[k], want, failed)
		}
	}
	if failed != nil {
		for _, k := range []string{"id", "code", "category", "type", "text"} {
			if _, ok := failed[k]; !ok {
				return fmt.Errorf("the failure has no %s: %v", k, failed)
			}
		}
		rows = nil // what came before a failure is of no use to anybody
	}
	want, err := plain(st.rows)
	if err != nil {
		return err
	}
	blank(want, rows)
	if diff := cmp.Diff(want, rows); diff != "" && len(want)+len(rows) > 0 {
		return fmt.Errorf("rows (- expected, + came): %s", diff)
	}
	got, err := s.recorded()
	if err != nil {
		return err
	}
	if diff := cmp.Diff(st.records, got); diff != "" && len(st.records)+len(got) > 0 {
		return fmt.Errorf("calls (- expected, + came): %s", diff)
	}
	all := strings.Join(s.foreign(), "\n")
	for _, text := range st.alien {
		if !strings.Contains(all, text) {
			return fmt.Errorf("no foreign line with %q in %q", text, all)
		}
	}
	return nil
}

// blank takes the values out of rows that an expectation leaves open with "{any}"; they must be
// there.
func blank(want, rows []any) {
	for i, w := range want {
		wanted, _ := w.(map[string]any)
		if i >= len(rows) {
			return
		}
		got, _ := rows[i].(map[string]any)
		for k, v := range wanted {
			if v == "{any}" && got[k] != nil {
				got[k] = v
			}
		}
	}
}

// plain makes the values of expectations what the codec makes of them.
func plain(rows []any) ([]any, error) {
	s, err := protocol.Encode(rows)
	if err != nil {
		return nil, err
	}
	v, err := protocol.Decode(s)
	if err != nil {
		return nil, err
	}
	list, _ := v.([]any)
	return list, nil
}

// TestTierPowershell runs every case in a process of its own.
func TestTierPowershell(t *testing.T) {
	program := need(t)
	for _, c := range cases() {
		t.Run(c.name, func(t *testing.T) {
			s := start(t, program, newPlace(t))
			if err := play(s, s.place.here(c)); err != nil {
				t.Errorf("%v\n%s", err, s.errors())
			}
		})
	}
}

// TestTierPowershellCalls makes every call that the kinds declare, all in one process.
func TestTierPowershellCalls(t *testing.T) {
	program := need(t)
	s := start(t, program, newPlace(t))
	for _, c := range callCases() {
		t.Run(c.name, func(t *testing.T) {
			if err := play(s, s.place.here(c)); err != nil {
				t.Error(err)
			}
		})
	}
}

func merge(ms ...map[string]any) map[string]any {
	out := map[string]any{}
	for _, m := range ms {
		maps.Copy(out, m)
	}
	return out
}
