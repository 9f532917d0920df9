package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"deploy/internal/agent/wire"
	"deploy/internal/testkit/linuxnodes"
)

// rig is a site in a directory of its own, and runs of the program on it.
type rig struct {
	dir    string
	site   string // file
	env    []string
	launch func(*exec.Cmd) error // starts a run
}

// program is a run of the program.
type program struct {
	cmd         *exec.Cmd
	out, errOut bytes.Buffer
}

func (f *rig) start(t *testing.T, env []string, args ...string) *program {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &program{cmd: exec.CommandContext(t.Context(), exe, args...)}
	p.cmd.Env = append(f.env, env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.errOut
	p.cmd.WaitDelay = 5 * time.Second
	if err := f.launch(p.cmd); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *program) wait(t *testing.T) result {
	t.Helper()
	err := p.cmd.Wait()
	r := result{out: p.out.String(), errOut: p.errOut.String(), code: p.cmd.ProcessState.ExitCode()}
	if st, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && st.Signaled() {
		r.killed = st.Signal() == syscall.SIGKILL
	}
	if err != nil && !errors.As(err, new(*exec.ExitError)) {
		t.Fatal(err)
	}
	if strings.Contains(r.out+r.errOut, linuxnodes.OperatorPassword) {
		t.Error("a password was printed")
	}
	return r
}

func (f *rig) run(t *testing.T, env []string, args ...string) result {
	t.Helper()
	return f.start(t, env, args...).wait(t)
}

// must runs the program on the site and wants an exit code.
func (f *rig) must(t *testing.T, code int, args ...string) result {
	t.Helper()
	r := f.run(t, nil, append(args, f.site)...)
	if r.code != code {
		t.Fatalf("deploy %s: exit %d, want %d\n%s\n%s", strings.Join(args, " "), r.code, code, tail(r.out), tail(r.errOut))
	}
	return r
}

// apply applies and wants success; it returns what the events count at the end.
func (f *rig) apply(t *testing.T, args ...string) ending {
	t.Helper()
	return endOf(t, f.must(t, 0, append([]string{"apply", "--auto-approve", "--json"}, args...)...))
}

func (f *rig) rollback(t *testing.T) {
	t.Helper()
	f.must(t, 0, "rollback", "--all", "--auto-approve")
}

// ending is the last event of a run.
type ending struct {
	Kind, Text, Error, Hint string
	Counts                  struct {
		Tasks, Change, Failed int
		NoOp                  int `json:"no_op"`
	}
}

func endOf(t *testing.T, r result) ending {
	t.Helper()
	var last ending
	lines := strings.Split(strings.TrimSpace(r.out), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || last.Kind != "run-end" {
		t.Fatalf("the run has no end: %v\n%s\n%s", err, tail(r.out), tail(r.errOut))
	}
	return last
}

// modes is how the steps reached each node, from a run's events.
func modes(t *testing.T, r result) map[string]string {
	t.Helper()
	out := map[string]string{}
	for line := range strings.Lines(r.out) {
		var e struct{ Kind, Node, Text string }
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		if e.Kind == "connected" {
			out[e.Node] = e.Text
		}
	}
	return out
}

// story is the journal without what differs between two runs: times, runs, boots, and what says
// only who did the work.
func (f *rig) story(t *testing.T) []string {
	t.Helper()
	var out []string
	for line := range strings.Lines(f.must(t, 0, "history", "--json").out) {
		var e struct {
			Kind, Phase, Task, Node string
			Data                    map[string]any
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		if e.Kind == "handed" || e.Kind == "run-start" {
			continue
		}
		for _, k := range []string{"boot_id", "agent", "act", "at", "run", "at_rest", "recorded"} {
			delete(e.Data, k)
		}
		data, err := json.Marshal(e.Data)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, strings.Join([]string{e.Kind, e.Phase, e.Task, e.Node, string(data)}, " "))
	}
	return out
}

// moved carries the site with its journal to another directory, as to another controller.
func (f *rig) moved(t *testing.T) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "elsewhere")
	if err := os.CopyFS(dir, os.DirFS(f.dir)); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(f.dir, ".deploy")); err != nil {
		t.Fatal(err)
	}
	f.dir, f.site = dir, filepath.Join(dir, "site.yaml")
}

// everyOne counts from 1 on and plays each number on some node, until do says for one that there is
// no such thing any more. A node on which it failed is made anew; where that cannot be done,
// nothing more is played on it.
func everyOne[N any](t *testing.T, nodes []N, anew func(t *testing.T, n N) error,
	do func(t *testing.T, n N, k int) (there bool)) int {
	t.Helper()
	var next, last atomic.Int64
	last.Store(most)
	var wg sync.WaitGroup
	for _, n := range nodes {
		wg.Go(func() {
			for {
				k := next.Add(1)
				if k >= last.Load() {
					return
				}
				ok := t.Run(fmt.Sprint(k), func(t *testing.T) {
					if !do(t, n, int(k)) {
						for old := last.Load(); k < old && !last.CompareAndSwap(old, k); old = last.Load() {
						}
					}
				})
				if ok {
					continue
				}
				if err := anew(t, n); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return int(last.Load()) - 1
}

// cutAt makes the program stop at that message of the talk with agents, counted from 1, and ask the
// test for what is to happen.
const cutAt = "DEPLOY_TEST_CUT_AT"

// cutSocket is where it asks.
const cutSocket = "DEPLOY_TEST_CUT_SOCKET"

// cutter is the test's end: it plays what happens at the message, and counts.
type cutter struct {
	listener net.Listener
	path     string
	what     string // the message at which it happened
	done     chan struct{}
}

// onMessage calls do once, when the program has reached the message.
func onMessage(t *testing.T, do func()) *cutter {
	t.Helper()
	c := &cutter{path: filepath.Join(t.TempDir(), "cut"), done: make(chan struct{})}
	var err error
	if c.listener, err = net.Listen("unix", c.path); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(c.done)
		conn, err := c.listener.Accept()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		c.what, _ = bufio.NewReader(conn).ReadString('\n')
		do()
	}()
	return c
}

func (c *cutter) env(at int) []string {
	return []string{fmt.Sprintf("%s=%d", cutAt, at), cutSocket + "=" + c.path}
}

// reached ends the waiting and tells at which message the program stopped, "" when it never did.
func (c *cutter) reached() string {
	_ = c.listener.Close()
	<-c.done
	return strings.TrimSpace(c.what)
}

// tapForTest lets the environment stop the program at a message.
func tapForTest(at int, path string) func(string) func(bool, wire.Type) error {
	var mu sync.Mutex
	left := at
	return func(string) func(bool, wire.Type) error {
		return func(sent bool, m wire.Type) error {
			mu.Lock()
			defer mu.Unlock()
			if left--; left != 0 {
				return nil
			}
			conn, err := net.Dial("unix", path)
			if err != nil {
				return err
			}
			defer func() { _ = conn.Close() }()
			if _, err := fmt.Fprintf(conn, "%s sent=%t\n", m, sent); err != nil {
				return err
			}
			_, _ = conn.Read(make([]byte, 1)) // until the test has done it
			return nil
		}
	}
}
