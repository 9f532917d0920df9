package agent

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"deploy/internal/agent/wire"
	"deploy/internal/node"
	"deploy/steps"
)

// value is a kind for these tests: a named value of a fake machine shall be "new".
type value struct {
	Name string `json:"name"`
	Hold bool   `json:"hold,omitempty"` // its act waits until the machine lets it go
}

func (v *value) Kind() string { return "value" }

func (v *value) Check(ctx context.Context, r node.Reader) (steps.Diff, error) {
	if _, err := r.Stat(ctx, v.Name); err == nil {
		return steps.NoChange(), nil
	} else if !errors.Is(err, node.ErrNotFound) {
		return steps.Diff{}, err
	}
	return steps.Diff{Action: steps.Create, Changes: []steps.Change{{Attr: "value", To: "new"}},
		Before: steps.MustJSON(nil)}, nil
}

func (v *value) Apply(ctx context.Context, n node.Node, _ steps.Diff) (steps.Outcome, error) {
	return steps.Outcome{}, n.Write(ctx, v.Name, strings.NewReader("new"), node.WriteOptions{})
}

func (v *value) Undo(context.Context, node.Node, json.RawMessage) error { return nil }

// machine is a session in memory.
type machine struct {
	node.Session // what these tests do not use
	mu           sync.Mutex
	values       map[string]bool
	began        chan string   // names of writes that have begun
	hold         chan struct{} // a write of a name that begins with "slow" waits for it
}

func newMachine() *machine {
	return &machine{values: map[string]bool{}, began: make(chan string, 100), hold: make(chan struct{})}
}

func (m *machine) Facts() node.Facts                            { return node.Facts{Computer: "N1", BootID: "b1"} }
func (m *machine) Close() error                                 { return nil }
func (m *machine) Prefetch(context.Context, []node.Query) error { return nil }

func (m *machine) Stat(_ context.Context, path string) (node.FileInfo, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.values[path] {
		return node.FileInfo{}, node.ErrNotFound
	}
	return node.FileInfo{}, nil
}

func (m *machine) Write(_ context.Context, path string, _ io.Reader, _ node.WriteOptions) error {
	m.began <- path
	if strings.HasPrefix(path, "slow") {
		<-m.hold
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.values[path] = true
	return nil
}

func (m *machine) has(name string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.values[name]
}

func testOptions(m *machine, root string) Options {
	return Options{Root: root, Kinds: steps.NewRegistry([]steps.Kind{{Name: "value",
		New: func() steps.Step { return &value{} }}}),
		Session: func(context.Context, map[string]node.Credential) (node.Session, error) { return m, nil }}
}

// talker is a controller that speaks frames.
type talker struct {
	t *testing.T
	c net.Conn
	*wire.Conn
}

func talk(t *testing.T, w *Worker, group *sync.WaitGroup) *talker {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	there, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	group.Go(func() { _ = w.Serve(there) })
	t.Cleanup(func() { _ = c.Close() })
	return &talker{t, c, wire.NewConn(c, c)}
}

// hello greets and returns the first answer.
func (k *talker) hello(who string) wire.Frame {
	k.t.Helper()
	if err := errors.Join(k.Greet(), k.Write(wire.THello, wire.Hello{Who: who, Site: "s"})); err != nil {
		k.t.Fatal(err)
	}
	if _, err := k.Meet(); err != nil {
		k.t.Fatal(err)
	}
	return k.next()
}

func (k *talker) next() wire.Frame {
	k.t.Helper()
	if err := k.c.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		k.t.Fatal(err)
	}
	f, err := k.Read()
	if err != nil {
		k.t.Fatal(err)
	}
	return f
}

func (k *talker) say(t wire.Type, body any) {
	k.t.Helper()
	if err := k.Write(t, body); err != nil {
		k.t.Fatal(err)
	}
}

// events reads up to the end of a request and returns what was told.
func (k *talker) events() (list []wire.Event, end wire.Ended) {
	k.t.Helper()
	for {
		f := k.next()
		switch f.Type {
		case wire.TEvent:
			var e wire.Event
			if err := f.Decode(&e); err != nil {
				k.t.Fatal(err)
			}
			list = append(list, e)
		case wire.TEnded:
			if err := f.Decode(&end); err != nil {
				k.t.Fatal(err)
			}
			return list, end
		default:
			k.t.Fatalf("a %s came", f.Type)
		}
	}
}

func (k *talker) sync(epoch string, seq int64) []wire.Event {
	k.t.Helper()
	k.say(wire.TSync, wire.Sync{ID: 1, Position: wire.Position{Journal: "j", Epoch: epoch, Seq: seq}})
	list, end := k.events()
	if end.Err != nil {
		k.t.Fatal(end.Err.Err())
	}
	return list
}

func work(names ...string) wire.Work {
	q := wire.Work{ID: 2, Run: "r1"}
	for _, n := range names {
		q.Tasks = append(q.Tasks, wire.Task{ID: n, Phase: "p", Step: wire.NewStep(&value{Name: n})})
	}
	return q
}

func newWorkerRig(t *testing.T, o func(*Options)) (*machine, *Worker, *sync.WaitGroup) {
	m := newMachine()
	opts := testOptions(m, t.TempDir())
	if o != nil {
		o(&opts)
	}
	w := NewWorker(context.Background(), opts)
	group := &sync.WaitGroup{}
	t.Cleanup(func() {
		group.Wait()
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return m, w, group
}

// The link goes while a step is under way: the step is brought to its end, nothing further is
// begun, and whoever comes next hears of it once.
func TestStepOutlivesItsLink(t *testing.T) {
	m, w, group := newWorkerRig(t, nil)
	k := talk(t, w, group)
	k.hello("anna")
	k.sync("", 0)
	k.say(wire.TWork, work("a", "slow", "c"))
	if a, s := <-m.began, <-m.began; a != "a" || s != "slow" {
		t.Fatalf("%s, %s", a, s)
	}
	_ = k.c.Close()
	k = talk(t, w, group)
	for f := k.hello("bert"); f.Type == wire.TBusy; f = k.hello("bert") { // until the end of the first link is noticed
		time.Sleep(10 * time.Millisecond)
		_ = k.c.Close()
		k = talk(t, w, group)
	}
	k.say(wire.TSync, wire.Sync{ID: 1, Position: wire.Position{Journal: "j"}})
	close(m.hold)
	list, _ := k.events()
	if got := names(list); got != "1:begin:a 2:done:a 3:begin:slow 4:done:slow " {
		t.Errorf("told: %s", got)
	}
	if !m.has("slow") || m.has("c") {
		t.Error("the step under way did not end, or another was begun")
	}
	if again := k.sync(list[0].Epoch, 4); len(again) != 0 {
		t.Errorf("told twice: %s", names(again))
	}
}

func TestHalt(t *testing.T) {
	m, w, group := newWorkerRig(t, nil)
	k := talk(t, w, group)
	k.hello("anna")
	k.sync("", 0)
	k.say(wire.TWork, work("slow", "b"))
	<-m.began
	k.say(wire.THalt, struct{}{})
	k.say(wire.TPing, struct{}{}) // answered while the step runs, and after the halt was heard
	for f := k.next(); f.Type != wire.TPong; f = k.next() {
		if f.Type == wire.TEnded {
			t.Fatal("the work ended before its step")
		}
	}
	close(m.hold)
	list, end := k.events()
	if got := names(list); !strings.HasSuffix(got, "2:done:slow ") || end.Left != 1 || m.has("b") {
		t.Errorf("%s, %+v", got, end)
	}
}

// An agent whose controller does not write down what it is told does not run away.
func TestNotFarAhead(t *testing.T) {
	m, w, group := newWorkerRig(t, func(o *Options) { o.Ahead = 4 })
	k := talk(t, w, group)
	k.hello("anna")
	k.sync("", 0)
	k.say(wire.TWork, work("a", "b", "c"))
	for range 2 {
		<-m.began
	}
	select {
	case name := <-m.began:
		t.Fatalf("%s was begun with four events unheard", name)
	case <-time.After(200 * time.Millisecond):
	}
	k.say(wire.TAck, wire.Ack{Seq: 2})
	if name := <-m.began; name != "c" {
		t.Errorf("%s was begun", name)
	}
	k.events()
}

func TestUnknownMessages(t *testing.T) {
	_, w, group := newWorkerRig(t, nil)
	k := talk(t, w, group)
	if f := k.hello("anna"); f.Type != wire.TWelcome {
		t.Fatalf("%s came", f.Type)
	}
	k.say('Z', map[string]int{"new": 1})
	var u wire.Unsupported
	if f := k.next(); f.Type != wire.TUnsupported || f.Decode(&u) != nil || u.Type != 'Z' {
		t.Errorf("%s came, %+v", f.Type, u)
	}
	// work before its record was opened is refused, and so is a kind that nobody knows
	k.say(wire.TWork, work("a"))
	if _, end := k.events(); end.Err == nil || end.Left != 1 {
		t.Errorf("%+v", end)
	}
	k.sync("", 0)
	q := work("a")
	q.Tasks[0].Step.Kind = "strange"
	k.say(wire.TWork, q)
	list, end := k.events()
	if len(list) != 1 || list[0].What != wire.EvHold || !errors.Is(list[0].Err.Err(), node.ErrUnsupported) ||
		end.Left != 0 {
		t.Errorf("%+v, %+v", list, end)
	}
}

// A full disk under the record stops the agent before the act.
func TestNothingIsDoneUnwritten(t *testing.T) {
	m, w, group := newWorkerRig(t, nil)
	k := talk(t, w, group)
	k.hello("anna")
	k.sync("", 0)
	w.mu.Lock()
	s := w.records["j"]
	w.mu.Unlock()
	_ = s.file.Close() // every write fails from here on
	k.say(wire.TWork, work("a"))
	_, end := k.events()
	if end.Err == nil || end.Left != 1 || m.has("a") {
		t.Errorf("%+v, done: %v", end, m.has("a"))
	}
	w.mu.Lock()
	delete(w.records, "j") // it is closed already
	w.mu.Unlock()
}

// A silent controller counts as gone.
func TestSilence(t *testing.T) {
	_, w, group := newWorkerRig(t, func(o *Options) { o.Silence = 50 * time.Millisecond })
	k := talk(t, w, group)
	k.hello("anna")
	group.Wait() // Serve has returned
	if !w.idle(0) {
		t.Error("the silent one still holds the machine")
	}
}

// The worker that was killed in the middle of an act: the next one says that its end is not known.
func TestKilledInTheMiddle(t *testing.T) {
	m := newMachine()
	dir := t.TempDir()
	s, err := openRecord(dir, "s", "j", false)
	if err != nil {
		t.Fatal(err)
	}
	add(t, s, wire.EvBegin, "a")
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	w := NewWorker(context.Background(), testOptions(m, dir))
	var group sync.WaitGroup
	k := talk(t, w, &group)
	k.hello("anna")
	if got := names(k.sync("", 0)); got != "1:begin:a 2:lost:a " {
		t.Errorf("told: %s", got)
	}
	_ = k.c.Close()
	group.Wait()
	if err := w.Close(); err != nil {
		t.Error(err)
	}
}

// Front and worker over their socket: a worker is started where there is none, serves one
// controller after the other, and ends when it is told to.
func TestFrontAndWorker(t *testing.T) {
	m := newMachine()
	root := filepath.Join(t.TempDir(), "agent")
	var workers sync.WaitGroup
	var started atomic.Int64 // those that found the machine held, since the one before was slow, do not count
	idle := true             // the first that is started comes to nothing, as one does that meets another on its way out
	host := Host{Root: root, Program: "/p/one"}
	host.Spawn = func(program, root string, _ *os.File) error {
		if idle {
			idle = false
			return nil
		}
		started.Add(1)
		workers.Go(func() {
			err := (Host{Root: root, Program: program}).Work(context.Background(), testOptions(m, ""))
			if errors.Is(err, ErrHeld) {
				started.Add(-1)
			} else if err != nil {
				t.Error(err)
			}
		})
		return nil
	}
	visit := func(h Host, leave bool) {
		t.Helper()
		toFront, in := io.Pipe()
		out, fromFront := io.Pipe()
		done := make(chan error, 1)
		go func() { done <- h.Front(t.Context(), toFront, fromFront) }()
		conn := wire.NewConn(out, in)
		if _, err := conn.Meet(); err != nil { // a pipe has no room: the agent speaks first
			t.Fatal(err)
		}
		if err := errors.Join(conn.Greet(), conn.Write(wire.THello, wire.Hello{Who: "anna", Site: "s"})); err != nil {
			t.Fatal(err)
		}
		if f, err := conn.Read(); err != nil || f.Type != wire.TWelcome {
			t.Fatalf("%s, %v", f.Type, err)
		}
		if err := conn.Write(wire.TBye, wire.Bye{Leave: leave}); err != nil {
			t.Fatal(err)
		}
		_ = in.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	visit(host, false)
	visit(host, false)
	if n := started.Load(); n != 1 {
		t.Errorf("%d workers were started for two visits", n)
	}
	// a front of another program gets a worker of its own, since this one has nothing to do
	other := host
	other.Program = "/p/two"
	visit(other, true)
	workers.Wait()
	if n := started.Load(); n != 2 {
		t.Errorf("%d workers were started", n)
	}
}

func TestSecondWorkerIsRefused(t *testing.T) {
	m := newMachine()
	root := filepath.Join(t.TempDir(), "agent")
	ctx, cancel := context.WithCancel(context.Background())
	h := Host{Root: root, Program: "/p"}
	done := make(chan error, 1)
	go func() { done <- h.Work(ctx, testOptions(m, "")) }()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if c, err := dial(root); err == nil {
			_ = c.Close()
			break
		}
	}
	if err := h.Work(ctx, testOptions(m, "")); !errors.Is(err, ErrHeld) {
		t.Errorf("a second worker: %v", err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if os.PathSeparator != '/' {
		return // on Windows the directory is closed to others, not refused
	}
	// others may not enter its directory, and one that they may enter is not taken
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := h.Work(t.Context(), testOptions(m, "")); err == nil {
		t.Error("a directory that others may enter was taken")
	}
}

func (m *machine) Query(context.Context, node.Query) ([]node.Row, error) { return nil, nil }
