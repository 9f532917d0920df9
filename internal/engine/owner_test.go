package engine

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"deploy/internal/journal"
	"deploy/internal/node"
	"deploy/internal/owner"
)

// ways are the two ways of working on a node.
func ways(g *rig) map[string]func(context.Context, string, Position) (Executor, error) {
	return map[string]func(context.Context, string, Position) (Executor, error){
		"direct": g.w.dial, "agent": g.w.dialAgent}
}

// eachWay plays f with a rig of each way.
func eachWay(t *testing.T, setup string, f func(t *testing.T, g *rig)) {
	t.Helper()
	for _, way := range []string{"direct", "agent"} {
		t.Run(way, func(t *testing.T) {
			g := newRig(t, setup)
			g.o.Dial = ways(g)[way]
			f(t, g)
		})
	}
}

func (g *rig) apply(t *testing.T) {
	t.Helper()
	g.o.Run = ""
	if _, err := Apply(context.Background(), g.o, nil); err != nil {
		t.Fatal(err)
	}
}

// beside is a second controller of the same machines: another state directory, or a copy of this
// one.
func (g *rig) beside(id string, entries []journal.Entry) *rig {
	b := *g
	b.m = &memory{w: g.w, id: id, entries: slices.Clone(entries)}
	b.o.Journal, b.o.Who, b.o.Run = b.m, "bob@laptop", ""
	return &b
}

func (g *rig) record(t *testing.T, name string) node.Owner {
	t.Helper()
	o, err := node.ParseOwner(g.w.owners[name]["s"])
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// forget lets the machine's values differ again.
func (g *rig) forget(keys ...string) {
	g.w.mu.Lock()
	defer g.w.mu.Unlock()
	for _, k := range keys {
		delete(g.w.values, k)
	}
}

func TestRecordOfARun(t *testing.T) {
	eachWay(t, "p: a b c@n2", func(t *testing.T, g *rig) {
		g.apply(t)
		st, err := journal.Fold(g.m.entries)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"n1", "n2"} {
			o := g.record(t, name)
			if o.Journal != "j1" || o.Epoch != 1 || o.Holder.Who != "ann" || o.Holder.Host != "desk" ||
				!o.Holder.Until.IsZero() || o.Seq != st.LastAnnounced(name) || st.Recorded(name) != o.Seq {
				t.Errorf("%s: %+v, announced %d, noted %d", name, o, st.LastAnnounced(name), st.Recorded(name))
			}
			if g.w.asked[name] != 1 {
				t.Errorf("%s was asked %d times in one run", name, g.w.asked[name])
			}
		}
		before := g.w.owners["n1"]["s"]
		g.apply(t)
		if g.w.owners["n1"]["s"] != before {
			t.Error("a run that did nothing wrote to the node")
		}
		g.o.Run = ""
		if _, err := Rollback(context.Background(), g.o, RollbackOptions{}); err != nil {
			t.Fatal(err)
		}
		if o := g.record(t, "n1"); o.Seq <= st.LastAnnounced("n1") {
			t.Errorf("the record stays after a rollback, and knows of it: %+v", o)
		}
		g.apply(t)
	})
}

// Who is not in charge is refused before the first act, by every command that acts, and is told all
// the same by a plan.
func TestRefusals(t *testing.T) {
	type test struct {
		name  string
		other func(t *testing.T, g *rig) *rig // who comes after g's apply
		want  owner.Verdict
		takes bool // --take-over helps
	}
	for _, c := range []test{
		{"another journal", func(t *testing.T, g *rig) *rig { return g.beside("j2", nil) }, owner.ForeignJournal, true},
		{"an older copy", func(t *testing.T, g *rig) *rig {
			b := g.beside("j1", g.m.entries)
			g.forget("n1/b")
			g.apply(t)
			return b
		}, owner.UnknownAct, true},
		{"a copy after another took over", func(t *testing.T, g *rig) *rig {
			b := g.beside("j1", g.m.entries)
			a := g.beside("j2", nil)
			a.o.TakeOver = true
			g.forget("n1/a", "n1/b")
			a.apply(t)
			a = g.beside("j1", g.m.entries)
			a.o.TakeOver = true
			g.forget("n1/a", "n1/b")
			a.apply(t)
			return b
		}, owner.NewerEpoch, true},
		{"another site", func(t *testing.T, g *rig) *rig {
			b := g.beside("j2", nil)
			p := *b.o.Program
			p.Site = "other"
			b.o.Program = &p
			return b
		}, owner.ForeignSite, true},
		{"an older machine", func(t *testing.T, g *rig) *rig {
			old := g.w.owners["n1"]["s"]
			g.forget("n1/b")
			g.apply(t)
			g.w.setOwner("n1", "s", old)
			return g
		}, owner.WentBack, false},
		{"a machine that is new", func(t *testing.T, g *rig) *rig {
			g.w.setOwner("n1", "s", "")
			return g
		}, owner.WentBack, false},
		{"a later program", func(t *testing.T, g *rig) *rig {
			g.w.setOwner("n1", "s", `{"format": 2}`)
			return g
		}, owner.NewerFormat, false},
		{"nonsense", func(t *testing.T, g *rig) *rig {
			g.w.setOwner("n1", "s", "?")
			return g
		}, owner.Unreadable, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachWay(t, "p: a b", func(t *testing.T, g *rig) {
				g.apply(t)
				b := c.other(t, g)
				g.forget("n1/b")
				record, entries := g.w.owners["n1"]["s"], len(b.m.entries)
				g.story()
				for command, f := range map[string]func() error{
					"apply":  func() error { _, err := Apply(context.Background(), b.o, nil); return err },
					"resume": func() error { _, err := Resume(context.Background(), b.o); return err },
					"rollback": func() error {
						if entries == 0 {
							return ErrNotInCharge // it has nothing to take back
						}
						_, err := Rollback(context.Background(), b.o, RollbackOptions{})
						return err
					},
				} {
					b.o.Run = ""
					err := f()
					var refused *OwnerError
					if !errors.Is(err, ErrNotInCharge) || errors.As(err, &refused) && refused.Verdict != c.want {
						t.Errorf("%s: %v, want %s", command, err, c.want)
					}
					if got := g.story(); got != "" || len(b.m.entries) != entries || g.w.owners["n1"]["s"] != record {
						t.Errorf("%s was refused, and did %q", command, got)
					}
				}
				p, err := MakePlan(context.Background(), b.o)
				if err != nil {
					t.Fatalf("a plan is never refused: %v", err)
				}
				if o := p.Nodes[0].Owner; o == nil || o.Verdict != c.want || !o.Refused || !errors.Is(p.Refused(), ErrNotInCharge) {
					t.Errorf("the plan says %+v", o)
				}
				b.o.Run, b.o.TakeOver = "", true
				b.o.ForgetAgents = []string{"n1"} // what its record has beyond this journal
				if _, err := Apply(context.Background(), b.o, nil); (err == nil) != c.takes {
					t.Errorf("with take-over: %v", err)
				}
				if got := g.story(); strings.HasPrefix(got, "take-over ") != c.takes {
					t.Errorf("with take-over: %s", got)
				}
				if c.takes && c.want != owner.ForeignSite && c.want != owner.Unreadable && g.record(t, "n1").Epoch < 2 {
					t.Errorf("the epoch was not raised: %+v", g.record(t, "n1"))
				}
				if c.want == owner.ForeignSite && c.takes && g.w.owners["n1"]["s"] != "" {
					t.Error("the other site's record still stands")
				}
			})
		})
	}
}

// A controller that was frozen in the middle of its run does nothing more when it wakes: neither
// the next act, nor taking back the phase, nor anything on other nodes.
func TestFrozenController(t *testing.T) {
	eachWay(t, "p rollback: a b / q: c@n2", func(t *testing.T, g *rig) {
		b := g.beside("j2", nil)
		b.o.TakeOver = true
		g.w.onAct = func(verb, id string) {
			if verb != "apply" || id != "a@n1" || b.o.Run == "taken" {
				return
			}
			b.o.Run = "taken"
			if _, err := Apply(context.Background(), b.o, nil); err != nil {
				t.Error(err)
			}
			g.w.mu.Lock()
			g.w.values["n1/b"] = "" // there would be something to do for the one that wakes
			g.w.mu.Unlock()
		}
		g.o.Run = "frozen"
		_, err := Apply(context.Background(), g.o, nil)
		if !errors.Is(err, node.ErrSuperseded) {
			t.Fatalf("got %v", err)
		}
		if o := g.record(t, "n1"); o.Journal != "j2" || o.Run != "taken" {
			t.Errorf("in charge is %+v", o)
		}
		story := g.story()
		for _, never := range []string{"undo:", "apply:b@n1"} {
			if strings.Count(story, never) > strings.Count("apply:b@n1", never) {
				t.Errorf("it went on: %s", story)
			}
		}
	})
}

func TestTwoAtOnce(t *testing.T) {
	eachWay(t, "p: a b", func(t *testing.T, g *rig) {
		b := g.beside("j2", nil)
		asked := false
		g.w.onAct = func(verb, id string) {
			if asked {
				return
			}
			asked = true
			_, err := Apply(context.Background(), b.o, nil)
			var refused *OwnerError
			if !errors.As(err, &refused) || refused.Verdict != owner.AtWork ||
				!strings.Contains(err.Error(), "ann on desk since 2026-01-02T03:04:05Z (run ") {
				t.Errorf("got %v", err)
			}
		}
		g.apply(t)
	})
}

func TestWentBack(t *testing.T) {
	eachWay(t, "p: a b / q: c:old", func(t *testing.T, g *rig) {
		g.o.Selection.Only = []string{"p"}
		g.apply(t)
		snapshot, record := g.w.snapshot(), g.w.owners["n1"]["s"]
		var agent []Report
		if rec := g.w.records["n1"]; rec != nil {
			agent = slices.Clone(rec.reports)
		}
		g.o.Selection.Only = nil
		g.apply(t)
		g.w.values = snapshot
		g.w.setOwner("n1", "s", record)
		if rec := g.w.records["n1"]; rec != nil {
			rec.reports = agent
		}
		g.story()

		last := g.record(t, "n1")
		_, err := Apply(context.Background(), g.o, nil)
		var refused *OwnerError
		if !errors.As(err, &refused) || refused.Verdict != owner.WentBack {
			t.Fatalf("got %v", err)
		}
		entries := slices.Clone(g.m.entries)
		g.o.WentBack, g.o.Run = []string{"n1"}, ""
		s, err := Rollback(context.Background(), g.o, RollbackOptions{All: true})
		if err != nil || s.Counts.Undone != 2 {
			t.Errorf("a rollback passes over what is gone: %+v, %v", s, err)
		}
		if got := g.story(); !strings.HasPrefix(got, "went-back undo-begin:b@n1 undo:b@n1") || strings.Contains(got, "c@n1") {
			t.Errorf("got %s (record %d)", got, last.Seq)
		}

		g.m.entries, g.w.values = entries, map[string]string{"n1/a": "new", "n1/b": "new", "n1/c": "old"}
		g.w.setOwner("n1", "s", record)
		if rec := g.w.records["n1"]; rec != nil {
			rec.reports = agent
		}
		g.apply(t)
		if got := g.story(); !strings.HasPrefix(got, "went-back ") ||
			!strings.HasSuffix(got, " begin:c@n1 apply:c@n1 done:c@n1 checkpoint:q") {
			t.Errorf("an apply heals: %s", got)
		}
		g.o.Run = ""
		_, err = Apply(context.Background(), g.o, nil)
		if err == nil || !strings.Contains(err.Error(), "n1 did not go back") {
			t.Errorf("got %v", err)
		}
		g.o.WentBack = nil
		g.apply(t)
	})
}

// A machine that went back within a batch shows it in its agent's record alone.
func TestWentBackWithinABatch(t *testing.T) {
	g := newRig(t, "p: a b c")
	g.o.Dial = g.w.dialAgent
	g.apply(t)
	rec := g.w.records["n1"]
	rec.reports = rec.reports[:4]
	g.forget("n1/c")
	_, err := Apply(context.Background(), g.o, nil)
	var refused *OwnerError
	if !errors.As(err, &refused) || refused.Verdict != owner.WentBack {
		t.Fatalf("got %v", err)
	}
	g.story()
	g.o.WentBack = []string{"n1"}
	g.apply(t)
	if got := g.story(); got != "went-back begin:c@n1 apply:c@n1 done:c@n1 checkpoint:p" {
		t.Errorf("got %s", got)
	}
}

// An act that was begun and not heard of is no sign that the machine went back.
func TestUnheardIsNoSign(t *testing.T) {
	g := newRig(t, "p: a b")
	g.apply(t)
	old := g.w.owners["n1"]["s"]
	g.forget("n1/b")
	g.m.killAt = len(g.m.entries) + 4 // before the end of b is written
	g.o.Run = ""
	if _, err := Apply(context.Background(), g.o, nil); err == nil {
		t.Fatal("it was not killed")
	}
	g.w.setOwner("n1", "s", old)
	g.m.killAt, g.m.dead = 0, false
	g.apply(t)
}

func TestAdoption(t *testing.T) {
	g := newRig(t, "p: a b")
	g.apply(t)
	var old []journal.Entry
	for _, e := range g.m.entries { // as a program without owner records wrote it
		e.Data = []byte(strings.ReplaceAll(string(e.Data), `"recorded":`, `"was":`))
		old = append(old, e)
	}
	g.m.entries = old
	g.w.setOwner("n1", "s", "")
	p, err := MakePlan(context.Background(), g.o)
	if err != nil || p.Nodes[0].Owner == nil || p.Nodes[0].Owner.Verdict != owner.Adopt || p.Refused() != nil {
		t.Fatalf("the plan says %+v, %v", p.Nodes[0].Owner, err)
	}
	g.forget("n1/b")
	g.story()
	g.apply(t)
	if got := g.story(); got != "begin:b@n1 adopted apply:b@n1 done:b@n1 checkpoint:p" {
		t.Errorf("got %s", got)
	}
	g.forget("n1/b")
	g.apply(t)
	if got := g.story(); strings.Contains(got, "adopted") {
		t.Errorf("it was adopted twice: %s", got)
	}
}

// Two sites on one node: their acts exclude each other, and the one that waits says for whom.
func TestSharedNode(t *testing.T) {
	eachWay(t, "p: a b", func(t *testing.T, g *rig) {
		b := g.beside("j2", nil)
		p := *b.o.Program
		p.Site = "other"
		b.o.Program = &p
		g.o.Shared, b.o.Shared = map[string]bool{"n1": true}, map[string]bool{"n1": true}
		var said []string
		b.o.Events = func(e Event) {
			if e.Kind == EvWarning {
				said = append(said, e.Text)
			}
		}
		done := make(chan error, 1)
		waited := make(chan bool)
		started, inAct := false, false
		b.o.Sleep = func(ctx context.Context, _ time.Duration) error {
			select {
			case waited <- true:
			default:
			}
			time.Sleep(time.Millisecond)
			return ctx.Err()
		}
		g.w.onAct = func(verb, id string) {
			g.w.mu.Lock()
			if inAct {
				t.Error("two sites act at the same time")
			}
			first := !started
			started, inAct = true, true
			g.w.mu.Unlock()
			if first {
				go func() { _, err := Apply(context.Background(), b.o, nil); done <- err }()
				select {
				case <-waited:
				case <-time.After(10 * time.Second):
					t.Error("the other site does not wait")
				}
			}
			g.w.mu.Lock()
			inAct = false
			g.w.mu.Unlock()
		}
		g.apply(t)
		if err := <-done; err != nil {
			t.Error(err)
		}
		if len(said) == 0 || !strings.HasPrefix(said[0], "n1: waiting for site s, which is at p/a@n1 since ") {
			t.Errorf("it said %q", said)
		}
		if len(g.w.owners["n1"]) != 2 {
			t.Errorf("records: %v", g.w.owners["n1"])
		}
		for site, text := range g.w.owners["n1"] {
			if o, err := node.ParseOwner(text); err != nil || o.Busy != nil || !o.Shared {
				t.Errorf("%s: %+v, %v", site, o, err)
			}
		}
	})
}

// busyError is what a dial says while another controller has the agent.
type busyError struct{}

func (busyError) Error() string { return "cannot work on n1: bob works there" }
func (busyError) Busy() string  { return "bob works there" }

// Only on a shared node does a run wait until another controller has left the agent.
func TestAgentOfASharedNodeIsBusy(t *testing.T) {
	for _, shared := range []bool{true, false} {
		g := newRig(t, "p: a")
		tries := 3
		g.o.Dial = func(ctx context.Context, name string, b Position) (Executor, error) {
			if tries--; tries > 0 {
				return nil, busyError{}
			}
			return g.w.dialAgent(ctx, name, b)
		}
		var said []string
		g.o.Events = func(e Event) {
			if e.Kind == EvWarning {
				said = append(said, e.Text)
			}
		}
		g.o.Shared = map[string]bool{"n1": shared}
		_, err := Apply(context.Background(), g.o, nil)
		if (err == nil) != shared || shared && !slices.Equal(said, []string{"n1: waiting: bob works there"}) {
			t.Errorf("shared %v: %v, said %q", shared, err, said)
		}
	}
}
