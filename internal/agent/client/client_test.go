package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"deploy/internal/agent"
	"deploy/internal/agent/wire"
	"deploy/internal/engine"
	"deploy/internal/hint"
	"deploy/internal/journal"
	"deploy/internal/node"
	"deploy/internal/session"
	"deploy/internal/session/local"
	"deploy/steps"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// note is a kind for these tests: a file that holds a text.
type note struct {
	Path  string `json:"path"`
	Text  string `json:"text"`
	Flags string `json:"flags,omitempty"` // fail: its act fails; half: it fails after the act
}

func (n *note) Kind() string { return "note" }

type noteBefore struct {
	Found bool   `json:"found"`
	Text  string `json:"text"`
}

func (n *note) read(ctx context.Context, r node.Reader) (noteBefore, error) {
	f, err := r.Open(ctx, n.Path)
	if errors.Is(err, node.ErrNotFound) {
		return noteBefore{}, nil
	}
	if err != nil {
		return noteBefore{}, err
	}
	b, err := io.ReadAll(f)
	return noteBefore{true, string(b)}, errors.Join(err, f.Close())
}

func (n *note) Check(ctx context.Context, r node.Reader) (steps.Diff, error) {
	b, err := n.read(ctx, r)
	if err != nil {
		return steps.Diff{}, err
	}
	if b.Found && b.Text == n.Text {
		return steps.NoChange(), nil
	}
	return steps.Diff{Action: steps.Update, Changes: []steps.Change{{Attr: "text", From: b.Text, To: n.Text}},
		Before: steps.MustJSON(b)}, nil
}

func (n *note) Apply(ctx context.Context, m node.Node, _ steps.Diff) (steps.Outcome, error) {
	if n.Flags == "fail" {
		return steps.Outcome{}, errors.New("the disk is made of cheese")
	}
	err := m.Write(ctx, n.Path, strings.NewReader(n.Text), node.WriteOptions{})
	if n.Flags == "half" {
		err = errors.New("half done")
	}
	return steps.Outcome{Note: "written"}, err
}

func (n *note) Undo(ctx context.Context, m node.Node, before json.RawMessage) error {
	var b noteBefore
	if err := json.Unmarshal(before, &b); err != nil {
		return err
	}
	if !b.Found {
		_, err := m.Do(ctx, node.Remove{Path: n.Path})
		return err
	}
	return m.Write(ctx, n.Path, strings.NewReader(b.Text), node.WriteOptions{})
}

func registry() *steps.Registry {
	return steps.NewRegistry([]steps.Kind{{Name: "note", New: func() steps.Step { return &note{} }}})
}

// rig is an agent's worker on this machine and a site that writes notes through it.
type rig struct {
	t     *testing.T
	dir   string // where the notes are
	root  string // the agent's
	w     *agent.Worker
	tap   func(sent bool, t wire.Type) error
	group sync.WaitGroup
	state string // where store is
	store *journal.Store
	o     engine.Options
}

func newRig(t *testing.T, notes ...string) *rig {
	t.Helper()
	g := &rig{t: t, dir: t.TempDir(), root: t.TempDir()}
	g.w = g.worker(g.root)
	t.Cleanup(func() {
		g.group.Wait()
		if err := g.w.Close(); err != nil {
			t.Error(err)
		}
	})
	g.state = t.TempDir()
	g.store = openStore(t, g.state)
	g.o = engine.Options{
		Program: g.program(notes...), Journal: g.store, Run: "", Who: "tester", Version: "test",
		Dial: func(ctx context.Context, name string, b engine.Position) (engine.Executor, error) {
			return g.dialWith(ctx, "tester", b)
		},
		Decode: func(_ string, data json.RawMessage) (steps.Step, error) {
			n := &note{}
			return n, json.Unmarshal(data, n)
		},
		Sleep:       func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
		LinkTimeout: 20 * time.Second,
	}
	return g
}

func openStore(t *testing.T, dir string) *journal.Store {
	t.Helper()
	s, err := journal.Open(dir, journal.OpenOptions{Who: "tester"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// copyJournal copies the journal as it stands and returns the copy's directory.
func (g *rig) copyJournal() string {
	dir := g.t.TempDir()
	b, err := os.ReadFile(filepath.Join(g.state, "journal.db"))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "journal.db"), b, 0o600)
	}
	if err != nil {
		g.t.Fatal(err)
	}
	return dir
}

func (g *rig) worker(root string) *agent.Worker {
	return agent.NewWorker(context.Background(), agent.Options{Kinds: registry(), Root: root, Version: "test",
		Session: func(ctx context.Context, creds map[string]node.Credential) (node.Session, error) {
			return onThisMachine(ctx, root, creds)
		}})
}

func onThisMachine(ctx context.Context, root string, creds map[string]node.Credential) (node.Session, error) {
	key := `SOFTWARE\deploy-test-` + filepath.Base(filepath.Dir(root)) + "-" + filepath.Base(root)
	return local.Open(ctx, local.Options{Options: session.Options{Node: "n1", Credentials: creds}, Agent: true,
		State: filepath.Join(root, "jobs"), OwnerKey: key})
}

// program writes notes: "name" or "name:flag".
func (g *rig) program(notes ...string) *steps.Program {
	p := &steps.Program{Site: "s", Playbook: "p", Nodes: []string{"n1"}}
	ph := steps.Phase{ID: "one", Title: "One"}
	for _, text := range notes {
		name, flag, _ := strings.Cut(text, ":")
		ph.Groups = append(ph.Groups, steps.Group{StepID: name, Tasks: []steps.Task{{
			ID: "one/" + name + "@n1", Phase: "one", StepID: name, Node: "n1",
			Step: &note{Path: filepath.Join(g.dir, name), Text: "text of " + name, Flags: flag},
		}}})
	}
	p.Phases = []steps.Phase{ph}
	return p
}

func (g *rig) dial(ctx context.Context, whom string) (*Agent, error) {
	return g.dialWith(ctx, whom, engine.Position{})
}

func (g *rig) dialWith(ctx context.Context, whom string, b engine.Position) (*Agent, error) {
	here, there, err := pipe()
	if err != nil {
		return nil, err
	}
	g.group.Go(func() { _ = g.w.Serve(there) })
	return Attach(ctx, here, "test", Options{Node: "n1", Who: whom, Site: "s", Position: b, Tap: g.tap,
		Beat: 100 * time.Millisecond})
}

// pipe joins two ends by loopback: both sides of the talk write before they read, so a pipe without
// room would not do.
func pipe() (net.Conn, net.Conn, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = l.Close() }()
	here, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		return nil, nil, err
	}
	there, err := l.Accept()
	return here, there, err
}

func (g *rig) apply() (*engine.Summary, error) { return engine.Apply(g.t.Context(), g.o, nil) }

// notes reads what is on the disk.
func (g *rig) notes() string {
	g.t.Helper()
	list, err := os.ReadDir(g.dir)
	if err != nil {
		g.t.Fatal(err)
	}
	var out []string
	for _, e := range list {
		b, err := os.ReadFile(filepath.Join(g.dir, e.Name()))
		if err != nil {
			g.t.Fatal(err)
		}
		out = append(out, e.Name()+"="+string(b))
	}
	return strings.Join(out, ", ")
}

// story is the journal without what tells no act.
func (g *rig) story() string {
	g.t.Helper()
	list, err := g.store.Entries(g.t.Context())
	if err != nil {
		g.t.Fatal(err)
	}
	var out []string
	for _, e := range list {
		switch e.Kind {
		case journal.RunStart, journal.RunEnd, journal.PhaseStart, journal.Handed, journal.Answered:
			continue
		}
		name := strings.TrimSuffix(strings.TrimPrefix(e.Task, "one/"), "@n1")
		if name == "" {
			name = e.Phase
		}
		out = append(out, string(e.Kind)+":"+name)
	}
	return strings.Join(out, " ")
}

func TestApplyTwiceAndBack(t *testing.T) {
	g := newRig(t, "a", "b", "c")
	if err := os.WriteFile(filepath.Join(g.dir, "b"), []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	sum, err := g.apply()
	if err != nil || sum.Counts.Change != 3 {
		t.Fatalf("%+v, %v", sum, err)
	}
	const done = "begin:a done:a begin:b done:b begin:c done:c checkpoint:one"
	if got := g.story(); got != done {
		t.Errorf("the journal says %s", got)
	}
	if sum, err = g.apply(); err != nil || sum.Counts.NoOp != 3 || g.story() != done {
		t.Errorf("again: %+v, %v, %s", sum, err, g.story())
	}
	if _, err := engine.Rollback(t.Context(), g.o, engine.RollbackOptions{All: true}); err != nil {
		t.Fatal(err)
	}
	if got := g.notes(); got != "b=old" {
		t.Errorf("after the rollback: %s", got)
	}
}

func TestFailureStops(t *testing.T) {
	g := newRig(t, "a", "b:fail", "c")
	_, err := g.apply()
	if err == nil || err.Error() != "cannot apply one/b@n1 on n1: the disk is made of cheese" {
		t.Errorf("%v", err)
	}
	if got := g.story(); got != "begin:a done:a begin:b failed:b" {
		t.Errorf("the journal says %s", got)
	}
	if got := g.notes(); got != "a=text of a" {
		t.Errorf("on the disk: %s", got)
	}
}

// A second controller hears who is there.
func TestOneControllerAtATime(t *testing.T) {
	g := newRig(t, "a")
	first, err := g.dial(t.Context(), "anna@one")
	if err != nil {
		t.Fatal(err)
	}
	_, err = g.dial(t.Context(), "bert@two")
	var busy *BusyError
	if !errors.As(err, &busy) || busy.Who != "anna@one" {
		t.Errorf("%v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	for range 100 { // the worker hears of the end a moment later
		second, err := g.dial(t.Context(), "bert@two")
		if errors.As(err, &busy) {
			time.Sleep(10 * time.Millisecond)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := second.Close(); err != nil {
			t.Error(err)
		}
		return
	}
	t.Error("the second controller was never let in")
}

// The link is cut at every single message of a run, before it is sent or after it has come: the run
// goes on over the next link, the journal has every act once with what was there before, and a
// rollback leaves the disk as it was.
func TestLinkCutAtEveryMessage(t *testing.T) {
	count := 0
	calm := newRig(t, "a", "b", "c")
	var counting sync.Mutex
	calm.tap = func(bool, wire.Type) error {
		counting.Lock()
		defer counting.Unlock()
		count++
		return nil
	}
	if _, err := calm.apply(); err != nil {
		t.Fatal(err)
	}
	want, story := calm.notes(), calm.story()
	if count < 8 {
		t.Fatalf("only %d messages in the undisturbed run", count)
	}
	for at := 1; at <= count; at++ {
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			t.Parallel()
			g := newRig(t, "a", "b", "c")
			n, cut := 0, ""
			var mu sync.Mutex
			g.tap = func(sent bool, m wire.Type) error {
				mu.Lock()
				defer mu.Unlock()
				if n++; n == at {
					cut = m.String()
					return errors.New("cut")
				}
				return nil
			}
			sum, err := g.apply()
			if err != nil {
				t.Fatalf("cut at %s: %v", cut, err)
			}
			if got := g.notes(); got != want {
				t.Errorf("cut at %s: on the disk: %s", cut, got)
			}
			if got := g.story(); got != story {
				t.Errorf("cut at %s: the journal says %s, want %s", cut, got, story)
			}
			if sum.Counts.Change != 3 {
				t.Errorf("cut at %s: %+v", cut, sum.Counts)
			}
			if _, err := engine.Rollback(t.Context(), g.o, engine.RollbackOptions{All: true}); err != nil {
				t.Fatal(err)
			}
			if got := g.notes(); got != "" {
				t.Errorf("cut at %s: after the rollback: %s", cut, got)
			}
		})
	}
}

// An agent that speaks another version of the protocol, and is at work, is waited for by a person.
func TestAnotherProtocolIsRefused(t *testing.T) {
	for _, version := range []int{1, wire.Protocol + 1} {
		here, there, err := pipe()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Fprintf(there, "%s%d\n", wire.Magic, version); err != nil {
			t.Fatal(err)
		}
		_, err = Attach(t.Context(), here, "test", Options{Node: "n1", Who: "anna"})
		want := fmt.Sprintf("cannot work on n1: an agent of another version is at work there: the other side has version "+
			"%d of the agent protocol, this side %d", version, wire.Protocol)
		if err == nil || err.Error() != want || !strings.Contains(hint.Of(err), "the next run replaces it") {
			t.Errorf("got %v, hint %q\nwant %s", err, hint.Of(err), want)
		}
		_ = there.Close()
	}
}

// A program on the node that is not the controller's is not worked with, whatever it calls itself.
func TestAnotherProgramIsRefused(t *testing.T) {
	g := newRig(t, "a")
	here, there, err := pipe()
	if err != nil {
		t.Fatal(err)
	}
	g.group.Go(func() { _ = g.w.Serve(there) })
	var asked Platform
	_, err = Attach(t.Context(), here, "test",
		Options{Node: "n1", Who: "tester", Digest: func(p Platform) string { asked = p; return "00" }})
	if err == nil || !strings.Contains(err.Error(), "another version of the agent") || asked.OS == "" || asked.Arch == "" {
		t.Errorf("%v, asked for %v", err, asked)
	}
}

// What an agent tells arrives as what it is: a restart that is due above all, which nothing else
// would ask for.
func TestReports(t *testing.T) {
	for what, want := range map[string]engine.Reported{wire.EvNoOp: engine.RepNoOp, wire.EvBegin: engine.RepBegin,
		wire.EvDone: engine.RepDone, wire.EvFailed: engine.RepFailed,
		wire.EvReboot: engine.RepReboot, wire.EvLost: engine.RepLost, wire.EvHold: engine.RepHold} {
		r, err := reportOf(wire.Event{What: what, Task: "p/a@n1", Run: "r", Epoch: "e", Seq: 7, Err: &wire.Error{Text: "no"}})
		if err != nil || r.What != want || r.Task != "p/a@n1" || r.Run != "r" ||
			r.Agent != (journal.AgentRef{Epoch: "e", Seq: 7}) || r.Err.Error() != "no" {
			t.Errorf("%s: %+v, %v", what, r, err)
		}
		if r.Outcome.Reboot != (what == wire.EvReboot) {
			t.Errorf("%s: a restart is due: %v", what, r.Outcome.Reboot)
		}
	}
	if _, err := reportOf(wire.Event{What: "news"}); err == nil {
		t.Error("news of an unknown kind were taken")
	}
}

// A run that finds nothing to do asks one question. More would cost a round trip each on every
// node.
func TestNoChangeIsOneQuestion(t *testing.T) {
	g := newRig(t, "a", "b", "c")
	if _, err := g.apply(); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	said := ""
	g.tap = func(sent bool, m wire.Type) error {
		mu.Lock()
		defer mu.Unlock()
		if sent {
			said += m.String()
		}
		return nil
	}
	sum, err := g.apply()
	if err != nil || sum.Counts.NoOp != 3 {
		t.Fatalf("%+v, %v", sum, err)
	}
	if want := wire.THello.String() + wire.TCheck.String() + wire.TBye.String(); said != want {
		t.Errorf("said %s, want %s", said, want)
	}
}
