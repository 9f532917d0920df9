package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"deploy/internal/engine"
	"deploy/internal/journal"
	"deploy/internal/lab"
	"deploy/internal/lab/session"
	"deploy/internal/node"
	"deploy/steps"
)

// bothWays lets the engine play the case: plan, apply, apply again, roll back, plan. Once it acts
// directly, once through an agent, each time on a machine in the same state. What the journals say
// must be equal, and the machines after every stage.
//
// A machine of the lab is doubled for each way, and stays as it is. Any other machine is the same
// one for both ways, one after the other, so there the rollback must have brought it back; ok is
// false when the case leaves no way back and only the first way was played.
func bothWays(t *testing.T, c Case, s node.Session) (ok bool) {
	t.Helper()
	step, err := c.Kind.Decode(c.With)
	if err != nil {
		t.Fatalf("%s: cannot decode: %v", c.Kind.Name, err)
	}
	var told [2]story
	for i, way := range []way{directly, byAgent} {
		m := &played{c: c, base: s}
		if real, isLab := s.(*session.Session); isLab {
			if m.lab, err = real.Copy(); err != nil {
				t.Fatalf("cannot double the machine: %v", err)
			}
		} else if i > 0 && !told[0].back() {
			return false
		}
		told[i] = tell(t, m, way, step)
	}
	if d := cmp.Diff(told[0], told[1]); d != "" {
		t.Errorf("%s is not the same through an agent (-direct +agent):\n%s", c.Kind.Name, d)
	}
	return true
}

// story is what one way of playing a case left.
type story struct {
	Plans    []any // before and after
	Journals []any // after each stage
	Errors   []string
	Machines []string // after each stage, as JSON
}

// back says that the machine is as it was.
func (s story) back() bool { return cmp.Equal(s.Plans[0], s.Plans[len(s.Plans)-1]) }

// The stages of a story.
const (
	taskID = "case/step@machine"
	onNode = "machine"
)

// tell plays the stages on m, one way.
func tell(t *testing.T, m *played, w way, step steps.Step) story {
	t.Helper()
	var out story
	j := &book{}
	m.disown(t)
	a, err := newActor(t, m, w, step)
	if err != nil {
		t.Fatalf("cannot play %s: %v", m.c.Kind.Name, err)
	}
	defer a.end(t)
	o := engine.Options{
		Program: &steps.Program{Site: "conformance", Playbook: "case", Nodes: []string{onNode},
			Phases: []steps.Phase{{ID: "case", Title: "Case",
				Groups: []steps.Group{{StepID: "step",
					Tasks: []steps.Task{{ID: taskID, Phase: "case", StepID: "step", Node: onNode, Step: step}}}}}}},
		Journal: j, Dial: a.dial, Who: "conformance", Version: "test",
		Decode: func(_ string, data json.RawMessage) (steps.Step, error) {
			s := m.c.Kind.New()
			return s, json.Unmarshal(data, s)
		},
		Approve: func(context.Context, engine.Approval) (bool, error) { return true, nil },
		Gate: func(context.Context, engine.GateRequest) (engine.Signature, bool, error) {
			if m.c.Person != nil {
				m.c.Person(t)
			}
			return engine.Signature{By: "somebody"}, true, nil
		},
		// a machine of the lab waits no longer than a moment, so whoever waits for it need not
		// either
		Sleep: func(ctx context.Context, _ time.Duration) error {
			select {
			case <-time.After(time.Millisecond):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		},
	}
	ctx := t.Context()
	final := false // the step cannot be undone
	plan := func() {
		t.Helper()
		p, err := engine.MakePlan(ctx, o)
		if err == nil {
			err = p.LookError()
		}
		if err != nil {
			t.Fatalf("%s, %s: plan: %v", m.c.Kind.Name, w, err)
		}
		// the journal's last word is no part of what a look finds
		diff := p.Tasks()[0].Diff
		final = final || len(p.NoReturn) > 0
		out.Plans = append(out.Plans, generic(t, diff))
	}
	stage := func(err error) {
		t.Helper()
		text := ""
		if err != nil {
			text = err.Error()
		}
		out.Errors = append(out.Errors, text)
		out.Journals = append(out.Journals, j.story(t))
		out.Machines = append(out.Machines, m.state(t))
	}
	plan()
	_, err = engine.Apply(ctx, o, nil)
	if err != nil {
		t.Errorf("%s, %s: apply: %v", m.c.Kind.Name, w, err)
	}
	stage(err)
	sum, err := engine.Apply(ctx, o, nil)
	if err != nil || sum.Counts.NoOp != 1 {
		t.Errorf("%s, %s: the second apply: %+v, %v", m.c.Kind.Name, w, sum, err)
	}
	stage(err)
	_, err = engine.Rollback(ctx, o, engine.RollbackOptions{All: true})
	if err != nil && !(final && errors.Is(err, engine.ErrLeft)) {
		t.Errorf("%s, %s: rollback: %v", m.c.Kind.Name, w, err)
	}
	stage(err)
	plan()
	return out
}

// played is the machine of a case.
type played struct {
	c    Case
	base node.Session
	lab  *session.Session // the double, for a machine of the lab
}

// disown takes what an earlier story left of its journal off a machine that both are played on.
func (m *played) disown(t *testing.T) {
	t.Helper()
	if m.lab != nil {
		return // each way has a double
	}
	rows, err := m.base.Query(t.Context(), node.Owners{})
	for _, row := range rows {
		if err == nil {
			_, err = m.base.Do(t.Context(), node.OwnerSet{Site: row.String("site"), Was: row.String("record")})
		}
	}
	if err != nil && !errors.Is(err, node.ErrUnsupported) {
		t.Fatalf("cannot remove the owner record of an earlier story: %v", err)
	}
}

// state is what the lab would show of its machines; nil for others, which a look must do for.
func (m *played) state(t *testing.T) string {
	t.Helper()
	if m.lab == nil {
		return ""
	}
	w := m.lab.World()
	w.Lock()
	defer w.Unlock()
	raw, err := lab.ShowWorld(w)
	if err != nil {
		t.Fatal(err)
	}
	var v struct{ State json.RawMessage }
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	return string(v.State)
}

// generic is v as JSON has it, for comparing.
func generic(t *testing.T, v any) any {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var out any
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// book is a journal in memory.
type book struct{ entries []journal.Entry }

func (b *book) Append(_ context.Context, list ...journal.Entry) (int64, error) {
	for _, e := range list {
		e.Seq = int64(len(b.entries)) + 1
		b.entries = append(b.entries, e)
	}
	return int64(len(b.entries)), nil
}

func (b *book) Entries(context.Context) ([]journal.Entry, error) {
	return append([]journal.Entry(nil), b.entries...), nil
}

func (b *book) Identity() journal.Identity { return journal.Identity{ID: "conformance"} }

func (b *book) Close() error { return nil }

// story is what the journal says, without what two equal runs need not have in common: times, the
// runs' names, and what only an agent has. Entries that point at another one point at its place in
// the story, and boots are numbered in the order in which they are met.
func (b *book) story(t *testing.T) any {
	t.Helper()
	place, boots := map[int64]int{}, map[string]string{}
	var out []map[string]any
	for _, e := range b.entries {
		if e.Kind == journal.Handed {
			continue
		}
		place[e.Seq] = len(place) + 1
		var data map[string]any
		if len(e.Data) > 0 {
			if err := json.Unmarshal(e.Data, &data); err != nil {
				t.Fatalf("journal entry %d: %v", e.Seq, err)
			}
		}
		delete(data, "agent")
		delete(data, "at")
		delete(data, "at_rest")
		delete(data, "recorded") // how far the owner record is known to be: an agent reports it later
		if id, ok := data["boot_id"].(string); ok {
			if boots[id] == "" {
				boots[id] = fmt.Sprint("boot ", len(boots)+1)
			}
			data["boot_id"] = boots[id]
		}
		if act, ok := data["act"].(float64); ok {
			data["act"] = place[int64(act)]
		}
		out = append(out, map[string]any{"kind": string(e.Kind), "phase": e.Phase, "task": e.Task, "node": e.Node,
			"data": data})
	}
	return generic(t, out)
}
