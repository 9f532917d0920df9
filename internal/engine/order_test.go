package engine

import (
	"context"
	"errors"
	"strings"
	"testing"

	"deploy/internal/journal"
)

// TestOrder holds one-line setups against the exact order of journal entries and acts, with one
// node at a time.
func TestOrder(t *testing.T) {
	for _, c := range []struct{ name, setup, want, err string }{
		{"one", "p: a", "begin:a@n1 apply:a@n1 done:a@n1 checkpoint:p", ""},
		{"nothing to do", "p: a:noop b:noop", "no-op:a@n1 no-op:b@n1 checkpoint:p", ""},
		{"in order", "p: a b:noop c", "begin:a@n1 apply:a@n1 done:a@n1 no-op:b@n1 begin:c@n1 apply:c@n1 done:c@n1 " +
			"checkpoint:p", ""},
		{"failure stops", "p: a b:fail c / q: d", "begin:a@n1 apply:a@n1 done:a@n1 begin:b@n1 apply:b@n1 failed:b@n1",
			"cannot apply p/b@n1 on n1: no"},
		{"did not hold", "p: a:nohold b", "begin:a@n1 apply:a@n1 failed:a@n1",
			"cannot apply p/a@n1 on n1: it did not hold: create (value: \"\" -> new)"},
		{"phases are barriers", "p: a@n1+n2 / q: b@n1+n2",
			"begin:a@n1 apply:a@n1 done:a@n1 begin:a@n2 apply:a@n2 done:a@n2 checkpoint:p begin:b@n1 apply:b@n1 done:b@n1 " +
				"begin:b@n2 apply:b@n2 done:b@n2 checkpoint:q", ""},
		{"a block goes node by node", "p: a@n1+n2 b@n1+n2",
			"begin:a@n1 apply:a@n1 done:a@n1 begin:b@n1 apply:b@n1 done:b@n1 begin:a@n2 apply:a@n2 done:a@n2 begin:b@n2 " +
				"apply:b@n2 done:b@n2 checkpoint:p", ""},
		{"a block ends where a node waits for another", "p: a@n1+n2:gives=x b@n1+n2:until=x",
			"begin:a@n1 apply:a@n1 done:a@n1 begin:a@n2 apply:a@n2 done:a@n2 begin:b@n1 apply:b@n1 done:b@n1 begin:b@n2 " +
				"apply:b@n2 done:b@n2 checkpoint:p", ""},
		{"other nodes, other block", "p: a@n1+n2 b@n1 c@n1+n2",
			"begin:a@n1 apply:a@n1 done:a@n1 begin:a@n2 apply:a@n2 done:a@n2 begin:b@n1 apply:b@n1 done:b@n1 " +
				"begin:c@n1 apply:c@n1 done:c@n1 begin:c@n2 apply:c@n2 done:c@n2 checkpoint:p", ""},
		{"one by one stands alone", "p: a@n1+n2 b@n2+n1!one-by-one c@n1+n2",
			"begin:a@n1 apply:a@n1 done:a@n1 begin:a@n2 apply:a@n2 done:a@n2 begin:b@n2 apply:b@n2 done:b@n2 begin:b@n1 " +
				"apply:b@n1 done:b@n1 " +
				"begin:c@n1 apply:c@n1 done:c@n1 begin:c@n2 apply:c@n2 done:c@n2 checkpoint:p", ""},
		{"one by one stops at the first", "p: a@n1+n2+n3!one-by-one:fail", "begin:a@n1 apply:a@n1 failed:a@n1",
			"cannot apply p/a@n1 on n1: no"},
		{"first then rest", "p: a@n2+n1+n3!first-then-rest b@n1+n2+n3",
			"begin:a@n2 apply:a@n2 done:a@n2 begin:a@n1 apply:a@n1 done:a@n1 begin:a@n3 apply:a@n3 done:a@n3 " +
				"begin:b@n1 apply:b@n1 done:b@n1 begin:b@n2 apply:b@n2 done:b@n2 begin:b@n3 apply:b@n3 done:b@n3 checkpoint:p", ""},
		{"restart", "p: a:reboot b", "begin:a@n1 apply:a@n1 reboot:a@n1 restart:n1 rebooted:a@n1 done:a@n1 begin:b@n1 " +
			"apply:b@n1 done:b@n1 checkpoint:p", ""},
		{"lost, but done", "p: a:lost b", "begin:a@n1 apply:a@n1 lost:a@n1 done:a@n1 begin:b@n1 apply:b@n1 done:b@n1 " +
			"checkpoint:p", ""},
		{"lost, and not done", "p: a:lostbefore", "begin:a@n1 apply:a@n1 lost:a@n1 begin:a@n1 apply:a@n1 done:a@n1 " +
			"checkpoint:p", ""},
		{"lost with a restart owed", "p: a:reboot,quiet,lost",
			"begin:a@n1 apply:a@n1 lost:a@n1 reboot:a@n1 restart:n1 rebooted:a@n1 done:a@n1 checkpoint:p", ""},
		{"always lost", "p: a:alwayslost b", "begin:a@n1 apply:a@n1 lost:a@n1 begin:a@n1 apply:a@n1 lost:a@n1 begin:a@n1 " +
			"apply:a@n1 lost:a@n1 failed:a@n1",
			"cannot apply p/a@n1 on n1: connection lost 3 times, and a check shows that it is not done: lost the " +
				"connection to n1, " +
				"outcome unknown: reset"},
		{"never left, tried again", "p: a:unsent", "begin:a@n1 apply:a@n1 done:a@n1 checkpoint:p", ""},
		{"cannot tell", "p: a b:cannot", "", "cannot check p/b@n1 on n1: access denied"},
		{"unknown until", "p: a:gives=x b:until=x", "begin:a@n1 apply:a@n1 done:a@n1 begin:b@n1 apply:b@n1 done:b@n1 " +
			"checkpoint:p", ""},
		{"unknown for ever", "p: a b:until=x", "", "cannot check p/b@n1 on n1: cannot tell before x exists: it is not " +
			"there, and no earlier step of this run makes it"},
		{"maker comes later", "p: b:until=x a:gives=x", "", "cannot check p/b@n1 on n1: cannot tell before x exists: it " +
			"is not there, and no earlier step of this run makes it"},
		{"a proof is given once", "p: a b:probe c", "begin:a@n1 apply:a@n1 done:a@n1 begin:b@n1 apply:b@n1 done:b@n1 " +
			"begin:c@n1 apply:c@n1 done:c@n1 checkpoint:p", ""},
		{"policy", "p: a / q rollback: b c:half d", "begin:a@n1 apply:a@n1 done:a@n1 checkpoint:p begin:b@n1 apply:b@n1 " +
			"done:b@n1 begin:c@n1 apply:c@n1 failed:c@n1 " +
			"undo-begin:c@n1 undo:c@n1 undone:c@n1 undo-begin:b@n1 undo:b@n1 undone:b@n1", "cannot apply q/c@n1 on n1: no more"},
		{"policy at a point of no return", "q rollback: a b:final c:fail", "begin:a@n1 apply:a@n1 done:a@n1 begin:b@n1 " +
			"apply:b@n1 done:b@n1 begin:c@n1 apply:c@n1 failed:c@n1 undone:c@n1 left:b@n1 left:a@n1",
			"cannot apply q/c@n1 on n1: no"},
	} {
		t.Run(c.name, func(t *testing.T) { ordered(t, newRig(t, c.setup), c.want, c.err) })
		t.Run(c.name+", by an agent", func(t *testing.T) {
			g := newRig(t, c.setup)
			g.o.Dial = g.w.dialAgent
			want, ok := byAgent[c.name]
			if !ok {
				want = c.want
			}
			ordered(t, g, want, c.err)
		})
	}
}

// byAgent are the stories that are others when an agent does the work: it knows how an act ended
// whose link broke.
var byAgent = map[string]string{
	"lost, but done":           "begin:a@n1 apply:a@n1 done:a@n1 begin:b@n1 apply:b@n1 done:b@n1 checkpoint:p",
	"lost with a restart owed": "begin:a@n1 apply:a@n1 reboot:a@n1 restart:n1 rebooted:a@n1 done:a@n1 checkpoint:p",
	"never left, tried again":  "begin:a@n1 lost:a@n1 begin:a@n1 apply:a@n1 done:a@n1 checkpoint:p",
	"always lost": "begin:a@n1 apply:a@n1 lost:a@n1 begin:a@n1 apply:a@n1 lost:a@n1 begin:a@n1 apply:a@n1 lost:a@n1 " +
		"begin:a@n1 apply:a@n1 lost:a@n1 begin:a@n1 apply:a@n1 lost:a@n1 begin:a@n1 apply:a@n1 lost:a@n1 failed:a@n1",
}

func ordered(t *testing.T, g *rig, want, wantErr string) {
	t.Helper()
	sum, err := Apply(context.Background(), g.o, nil)
	if got := g.story(); got != want {
		t.Errorf("story:\n got %s\nwant %s", got, want)
	}
	if got := text(err); got != wantErr {
		t.Errorf("error:\n got %s\nwant %s", got, wantErr)
	}
	if err != nil {
		return
	}
	if sum.How != HowDone || sum.Counts.NotRun != 0 {
		t.Errorf("summary says %+v", sum)
	}
	// the second run changes nothing, and writes nothing but that it was there
	g.o.Run = ""
	if _, err := Apply(context.Background(), g.o, nil); err != nil {
		t.Fatal(err)
	}
	if got := g.story(); got != "" {
		t.Errorf("the second run did %s", got)
	}
	if p, err := MakePlan(context.Background(), g.o); err != nil || p.HasChanges() {
		t.Errorf("the plan after it has changes, or fails: %v", err)
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// TestJournalBreaks: whatever entry cannot be written, no act follows it, and nothing is done
// without its intent.
func TestJournalBreaks(t *testing.T) {
	const setup = "p: a b:reboot / q rollback: c d:fail"
	whole := newRig(t, setup)
	_, _ = Apply(context.Background(), whole.o, nil)
	for n := 1; n <= len(whole.m.entries); n++ {
		g := newRig(t, setup)
		g.m.killAt = n
		_, err := Apply(context.Background(), g.o, nil)
		if !errors.Is(err, ErrJournal) || !errors.Is(err, errKilled) {
			t.Errorf("entry %d: error %v", n, err)
		}
		begun := map[string]bool{}
		for _, s := range g.w.trace {
			kind, what, _ := strings.Cut(s, ":")
			switch kind {
			case "begin", "undo-begin":
				begun[strings.TrimSuffix(kind, "begin")+what] = true
			case "apply":
				if !begun[what] {
					t.Errorf("entry %d: %s without an intent", n, s)
				}
			case "undo":
				if !begun["undo-"+what] {
					t.Errorf("entry %d: %s without an intent", n, s)
				}
			}
		}
		if len(g.m.entries) != n-1 {
			t.Errorf("entry %d: the journal went on to %d", n, len(g.m.entries))
		}
	}
}

// TestNoSecondAct: after an entry that failed, the very next thing is the end, also on other nodes.
func TestNoSecondAct(t *testing.T) {
	g := newRig(t, "p: a@n1+n2+n3")
	g.m.killAt = 4 // run-start, phase, begin of a@n1, and then its done
	_, err := Apply(context.Background(), g.o, nil)
	if !errors.Is(err, ErrJournal) {
		t.Fatal(err)
	}
	if got, want := g.story(), "begin:a@n1 apply:a@n1"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	st, _ := journal.Fold(g.m.entries)
	if w := st.Task("p/a@n1").Status; w != journal.StatusBegun {
		t.Errorf("the last word on a@n1 is %s", w)
	}
}

// TestRedact: what a tool said is journalled with its secrets masked.
func TestRedact(t *testing.T) {
	g := newRig(t, "p: a:fail")
	g.o.Redact = func(s string) string { return strings.ReplaceAll(s, "no", "[secret]") }
	_, _ = Apply(context.Background(), g.o, nil)
	n := 0
	for _, e := range g.m.entries {
		if strings.Contains(string(e.Data), "n1: no") {
			t.Errorf("entry %d (%s) has it: %s", e.Seq, e.Kind, e.Data)
		}
		n += strings.Count(string(e.Data), "[secret]")
	}
	if n == 0 {
		t.Error("nothing was masked")
	}
}
