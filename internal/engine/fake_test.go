package engine

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"deploy/internal/journal"
	"deploy/internal/node"
	"deploy/steps"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// data is a fake step: it wishes that a named value of its node is "new". Flags say how it
// misbehaves.
type data struct {
	Name  string   `json:"name"`
	Flags []string `json:"flags,omitempty"`
}

func (d data) has(flag string) bool { return slices.Contains(d.Flags, flag) }

func (d data) arg(flag string) string {
	for _, f := range d.Flags {
		if v, ok := strings.CutPrefix(f, flag+"="); ok {
			return v
		}
	}
	return ""
}

func (d data) self() data { return d }

// Provides makes every fake a Provider; most provide nothing.
func (d data) Provides() []string {
	if tag := d.arg("gives"); tag != "" {
		return []string{tag}
	}
	return nil
}

func (d data) Check(context.Context, node.Reader) (steps.Diff, error) {
	return steps.Diff{}, errors.New("the fake executor looks itself")
}

func (d data) Apply(context.Context, node.Node, steps.Diff) (steps.Outcome, error) {
	return steps.Outcome{}, errors.New("the fake executor acts itself")
}

// The kinds: one that can be undone, one that cannot, and one that a person does.
type (
	twoWay struct{ data }
	oneWay struct{ data }
	gated  struct{ data }
)

func (twoWay) Kind() string                                           { return "fake" }
func (oneWay) Kind() string                                           { return "final" }
func (gated) Kind() string                                            { return "gate" }
func (twoWay) Undo(context.Context, node.Node, json.RawMessage) error { return nil }
func (g gated) Gate() steps.Gate {
	return steps.Gate{Title: "do " + g.Name, Text: "please"}
}
func decodeFake(kind string, raw json.RawMessage) (steps.Step, error) {
	var d data
	if err := json.Unmarshal(raw, &d); err != nil {
		return nil, err
	}
	switch kind {
	case "fake":
		return twoWay{d}, nil
	case "final":
		return oneWay{d}, nil
	case "gate":
		return gated{d}, nil
	}
	return nil, fmt.Errorf("no kind %s", kind)
}

// world is the fake machines: values by "node/name", and a boot number each.
type world struct {
	mu     sync.Mutex
	values map[string]string
	boots  map[string]int
	once   map[string]bool // flags that show only once
	down   map[string]int  // dials that fail, still to come
	trace  []string        // acts and journal entries in one order
	dials  int
	checks int // round trips
	looked int // checks in them
	onAct  func(verb, id string)

	records map[string]*record // of agents, by node
	ids     map[string]string  // of machines, by node
	marks   string             // whether machines tell that a restart is due: "" they do, "none" no mark, "cannot"

	owners map[string]map[string]string // owner records, by node and site
	asked  map[string]int               // how often they were read
}

func newWorld() *world {
	return &world{values: map[string]string{}, boots: map[string]int{}, once: map[string]bool{}, down: map[string]int{},
		records: map[string]*record{}, owners: map[string]map[string]string{}, asked: map[string]int{}}
}

func (w *world) log(s string) { w.trace = append(w.trace, s) }

// first is true the first time that a flag of a step is met.
func (w *world) first(node string, d data, flag string) bool {
	if !d.has(flag) || w.once[node+d.Name+flag] {
		return false
	}
	w.once[node+d.Name+flag] = true
	return true
}

func (w *world) snapshot() map[string]string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.values)
}

func (w *world) dial(_ context.Context, name string, _ Position) (Executor, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dials++
	if w.down[name] > 0 {
		w.down[name]--
		return nil, &node.LinkError{Node: name, Err: errors.New("refused")}
	}
	return &fakeExec{w: w, node: name, boot: w.boots[name]}, nil
}

// restart makes what was pending true, as a restart does.
func (w *world) restart(name string) {
	w.boots[name]++
	for k, v := range w.values {
		if strings.HasPrefix(k, name+"/") && v == "pending" {
			w.values[k] = "new"
		}
		if strings.HasPrefix(k, name+"/") && v == "leaving" {
			delete(w.values, k)
		}
	}
}

type fakeExec struct {
	w      *world
	node   string
	boot   int
	broken bool
	fence  node.Fence
	wrote  bool
	// which journal dialled
	journal string
}

func (e *fakeExec) Facts() node.Facts {
	return node.Facts{OS: "windows", Release: node.WS2008, Computer: e.node, Machine: e.w.ids[e.node],
		BootID: fmt.Sprint("boot", e.boot)}
}
func (e *fakeExec) Mode() (string, string) { return "direct", "" }
func (e *fakeExec) Close() error           { return nil }

func (e *fakeExec) link(sent bool) error {
	e.broken = true
	return &node.LinkError{Node: e.node, Sent: sent, Err: errors.New("reset")}
}

// dead says that the session does not outlive its machine's boot.
func (e *fakeExec) dead() bool { return e.broken || e.boot != e.w.boots[e.node] }

func (e *fakeExec) Check(_ context.Context, list []steps.Step) []Checked {
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	e.w.checks++
	out := make([]Checked, len(list))
	for i, s := range list {
		e.w.looked++
		if e.dead() {
			out[i].Err = e.link(false)
			continue
		}
		out[i].Diff, out[i].Err = e.check(s)
	}
	return out
}

func (e *fakeExec) check(s steps.Step) (steps.Diff, error) {
	d := s.(interface{ self() data }).self()
	at := e.node + "/" + d.Name
	v := e.w.values[at]
	if d.has("due?") {
		return e.due()
	}
	if v == "leaving" && d.has("quiet") {
		v = ""
	}
	if d.has("cannot") {
		return steps.Diff{}, errors.New("access denied")
	}
	if tag := d.arg("until"); tag != "" && e.w.values[e.node+"/"+tag] == "" && e.w.values["n1/"+tag] == "" {
		return steps.Diff{}, steps.Until(tag, "it is not there")
	}
	if v == "new" || v == "pending" && d.has("quiet") {
		diff := steps.NoChange()
		if d.has("proof") {
			diff.Proof = "report of " + e.w.values[at+" made"]
		}
		return diff, nil
	}
	diff := steps.Diff{Action: steps.Update, Changes: []steps.Change{{Attr: "value", From: v, To: "new"}},
		Before: steps.MustJSON(map[string]string{"value": v})}
	if v == "" {
		diff.Action = steps.Create
	}
	switch {
	case d.has("probe"):
		diff = steps.Diff{Action: steps.Run, Effects: steps.Effects{NothingToUndo: true}}
	case d.has("word"):
		diff = steps.Diff{Action: steps.Run}
	case d.has("noreturn"):
		diff.Effects.PointOfNoReturn = "it is forever"
	}
	diff.Effects.Reboot, diff.Effects.MayReboot = d.has("reboot"), d.has("may")
	diff.Effects.RebootMarked = d.has("marked")
	return diff, nil
}

// due is the check of the question whether a restart is due.
func (e *fakeExec) due() (steps.Diff, error) {
	if e.w.marks == "cannot" {
		return steps.Diff{}, errors.New("it keeps no mark")
	}
	for k, v := range e.w.values {
		if strings.HasPrefix(k, e.node+"/") && (v == "pending" || v == "leaving") && e.w.marks == "" {
			return steps.Diff{Action: steps.Run, Changes: []steps.Change{{Attr: "pending restart", From: k, To: "none"}}}, nil
		}
	}
	return steps.NoChange(), nil
}

func (e *fakeExec) act(verb string, d data) string {
	id := d.Name + "@" + e.node
	if f := e.w.onAct; f != nil {
		e.w.mu.Unlock()
		f(verb, id)
		e.w.mu.Lock()
	}
	e.w.log(verb + ":" + id)
	return e.node + "/" + d.Name
}

func (e *fakeExec) Apply(ctx context.Context, s steps.Step, _ steps.Diff) (steps.Outcome, error) {
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	d := s.(interface{ self() data }).self()
	if e.dead() || e.w.first(e.node, d, "unsent") {
		return steps.Outcome{}, e.link(false)
	}
	if err := e.pass(); err != nil {
		return steps.Outcome{}, err
	}
	at := e.act("apply", d)
	switch {
	case d.has("hang"):
		e.w.mu.Unlock()
		<-ctx.Done()
		e.w.mu.Lock()
		return steps.Outcome{}, ctx.Err()
	case d.has("fail"):
		return steps.Outcome{}, errors.New("no")
	case d.has("half") || e.w.first(e.node, d, "half1"):
		e.w.values[at] = "half"
		return steps.Outcome{}, errors.New("no more")
	case d.has("nohold"):
		return steps.Outcome{}, nil
	case e.w.first(e.node, d, "lostbefore"):
		return steps.Outcome{}, e.link(true)
	case d.has("alwayslost"):
		return steps.Outcome{}, e.link(true)
	case d.has("reboot"), d.has("may"):
		e.w.values[at] = "pending"
		if e.w.first(e.node, d, "lost") {
			return steps.Outcome{}, e.link(true)
		}
		return steps.Outcome{Reboot: true}, nil
	}
	if d.has("probe") {
		return steps.Outcome{}, nil
	}
	e.w.values[at] = "new"
	if tag := d.arg("gives"); tag != "" {
		e.w.values[e.node+"/"+tag] = "here"
	}
	if e.w.first(e.node, d, "lost") {
		return steps.Outcome{}, e.link(true)
	}
	return steps.Outcome{}, nil
}

func (e *fakeExec) Undo(_ context.Context, s steps.Step, before json.RawMessage) error {
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	d := s.(interface{ self() data }).self()
	if e.dead() {
		return e.link(false)
	}
	if err := e.pass(); err != nil {
		return err
	}
	at := e.act("undo", d)
	var b struct{ Value string }
	if err := json.Unmarshal(before, &b); err != nil {
		return err
	}
	switch {
	case d.has("undofail"):
		return errors.New("no way")
	case d.has("undonot"):
		return nil
	case d.has("undoleft"):
		return fmt.Errorf("cannot remove it: %w", steps.Left("holds 1 entry"))
	case d.has("undoreboot"):
		if now := e.w.values[at]; now == "leaving" && d.has("quiet") || now == b.Value {
			return nil // called again, it finds nothing to do, as an installer of a product that is gone
		}
		e.w.values[at] = "leaving"
		if e.w.first(e.node, d, "undolost") {
			return e.link(true)
		}
		return fmt.Errorf("exit code 3010: %w", steps.ErrRebootDue)
	case d.has("undoodd"):
		b.Value = "odd"
	}
	if b.Value == "" {
		delete(e.w.values, at)
	} else {
		e.w.values[at] = b.Value
	}
	if tag := d.arg("gives"); tag != "" {
		delete(e.w.values, e.node+"/"+tag)
	}
	if e.w.first(e.node, d, "undolost") {
		return e.link(true)
	}
	return nil
}

func (e *fakeExec) Restart(context.Context, string) error {
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	if err := e.pass(); err != nil {
		return err
	}
	e.w.log("restart:" + e.node)
	e.w.restart(e.node)
	return e.link(true)
}

// memory is a journal in memory that can break: before or after the n-th entry, and for good.
type memory struct {
	mu      sync.Mutex
	w       *world
	id      string // "" is j1
	entries []journal.Entry
	killAt  int  // 0: never
	late    bool // the entry at killAt is on disk, and the process dies right after it
	dead    bool
}

var errKilled = errors.New("killed")

func (m *memory) Append(_ context.Context, entries ...journal.Entry) (seq int64, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range entries {
		if seq, err = m.append(e); err != nil {
			return 0, err
		}
	}
	return seq, nil
}

func (m *memory) append(e journal.Entry) (int64, error) {
	if m.dead {
		return 0, errKilled
	}
	n := len(m.entries) + 1
	if n == m.killAt && !m.late {
		m.dead = true
		return 0, errKilled
	}
	e.Seq = int64(n)
	m.entries = append(m.entries, e)
	if m.w != nil {
		what := e.Phase
		if e.Task != "" {
			what = strings.TrimPrefix(e.Task, e.Phase+"/")
		}
		m.w.mu.Lock()
		m.w.log(strings.TrimSuffix(string(e.Kind)+":"+what, ":"))
		m.w.mu.Unlock()
	}
	if n == m.killAt {
		m.dead = true
		return 0, errKilled
	}
	return e.Seq, nil
}

func (m *memory) Entries(context.Context) ([]journal.Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.entries), nil
}

func (m *memory) Identity() journal.Identity { return journal.Identity{ID: cmp.Or(m.id, "j1")} }

func (m *memory) Close() error { return nil }

// program reads a setup: "p1: a b@n1+n2 c@n1!one-by-one:fail,gives=x / p2 rollback: d". Flags
// "final" and "gate" choose the kind, and "noop" makes the value right beforehand; "old" gives it
// another one.
func program(t testing.TB, w *world, setup string) *steps.Program {
	t.Helper()
	p := &steps.Program{Site: "s", SiteDigest: "sd", Playbook: "pb", PlaybookDigest: "pd"}
	var before []string
	for part := range strings.SplitSeq(setup, " / ") {
		head, body, ok := strings.Cut(part, ":")
		if !ok {
			t.Fatalf("bad setup %q", part)
		}
		words := strings.Fields(head)
		ph := steps.Phase{ID: words[0], Title: "phase " + words[0], Needs: slices.Clone(before)}
		if len(words) > 1 {
			ph.OnFailure = steps.Policy(words[1])
		}
		before = append(before, ph.ID)
		for _, f := range strings.Fields(body) {
			f, flags, _ := strings.Cut(f, ":")
			f, order, _ := strings.Cut(f, "!")
			name, nodes, ok := strings.Cut(f, "@")
			if !ok {
				nodes = "n1"
			}
			d := data{Name: name}
			if flags != "" {
				d.Flags = strings.Split(flags, ",")
			}
			g := steps.Group{StepID: name, Order: steps.Order(order)}
			for n := range strings.SplitSeq(nodes, "+") {
				if !slices.Contains(p.Nodes, n) {
					p.Nodes = append(p.Nodes, n)
				}
				if d.has("noop") {
					w.values[n+"/"+name] = "new"
				}
				if d.has("old") {
					w.values[n+"/"+name] = "old"
				}
				var s steps.Step = twoWay{d}
				if d.has("final") {
					s = oneWay{d}
				} else if d.has("gate") {
					s = gated{d}
				}
				g.Tasks = append(g.Tasks, steps.Task{ID: ph.ID + "/" + name + "@" + n, Phase: ph.ID, StepID: name, Node: n,
					Step: s})
			}
			ph.Groups = append(ph.Groups, g)
		}
		p.Phases = append(p.Phases, ph)
	}
	return p
}

// rig is a world, a journal and the options that join them.
type rig struct {
	w *world
	m *memory
	o Options
	// slept is the sum of the waits
	slept time.Duration
}

func newRig(t testing.TB, setup string) *rig {
	w := newWorld()
	g := &rig{w: w, m: &memory{w: w}}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var mu sync.Mutex
	g.o = Options{
		Program: program(t, w, setup), Journal: g.m, Dial: w.dial, Decode: decodeFake, Parallel: 1, Version: "v1",
		Who: "ann@desk",
		Now: func() time.Time { mu.Lock(); defer mu.Unlock(); now = now.Add(time.Millisecond); return now },
		Sleep: func(ctx context.Context, d time.Duration) error {
			mu.Lock()
			defer mu.Unlock()
			g.slept += d
			return ctx.Err()
		},
		Approve:    func(context.Context, Approval) (bool, error) { return true, nil },
		RestartDue: twoWay{data{Name: "due", Flags: []string{"due?"}}},
	}
	return g
}

// story is the trace since the last call, without the lines that every run has.
func (g *rig) story() string {
	g.w.mu.Lock()
	defer g.w.mu.Unlock()
	var out []string
	for _, s := range g.w.trace {
		if s != "run-start" && s != "run-end" && !strings.HasPrefix(s, "phase:") && !strings.HasPrefix(s, "handed:") {
			out = append(out, s)
		}
	}
	g.w.trace = nil
	return strings.Join(out, " ")
}
