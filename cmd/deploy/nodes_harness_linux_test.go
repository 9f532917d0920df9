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
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"deploy/internal/agent/wire"
	"deploy/internal/nodelab"
)

// buildAgent builds the program that is placed on nodes into a directory of the lab.
func buildAgent(t *testing.T, l *nodelab.Lab) string {
	t.Helper()
	dir := filepath.Join(l.Dir(), "agents")
	cmd := exec.Command("go", "build", "-tags", "agentonly", "-trimpath", "-ldflags", "-s -w", "-o", filepath.Join(dir, "deploy-agent-linux-"+runtime.GOARCH), ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("cannot build the agent: %v\n%s", err, out)
	}
	return dir
}

// fleet is a site of real nodes in a directory of its own.
type fleet struct {
	lab      *nodelab.Lab
	dir      string
	site     string
	playbook string
	user     string         // "" is root
	extra    map[int]string // what a node's entry has beside the usual, by its place in nodes
	timeout  string         // to be connected
	settings string         // of inventory.defaults
	env      []string
	nodes    []*nodelab.Node
}

// newFleet writes a site of these nodes with a playbook of ours.
func newFleet(t *testing.T, l *nodelab.Lab, playbook string, nodes ...*nodelab.Node) *fleet {
	t.Helper()
	dir := t.TempDir()
	f := &fleet{lab: l, dir: dir, site: filepath.Join(dir, "site.yaml"), playbook: playbook, nodes: nodes, timeout: "20s", extra: map[int]string{},
		env: append(os.Environ(), asProgram+"=1", "NO_COLOR=1", "DEPLOY_AGENTS="+filepath.Join(l.Dir(), "agents"), "DEPLOY_PASSWORD="+nodelab.OperatorPassword, "HOME="+dir)}
	f.write(t)
	return f
}

// write writes the site's files anew after a change of f.
func (f *fleet) write(t *testing.T) {
	t.Helper()
	user, credential := f.user, fmt.Sprintf("key_file: %s", f.lab.Key())
	if user == "" {
		user = "root"
	}
	if user == "operator" {
		credential += ", password: {env: DEPLOY_PASSWORD}"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "site: nodes\nplaybook: ./playbook.yaml\ncredentials:\n  them: {username: %s, %s}\ninventory:\n", user, credential)
	fmt.Fprintf(&b, "  defaults: {transport: ssh, credential: them, timeout: %s%s}\n  nodes:\n", f.timeout, f.settings)
	for i, n := range f.nodes {
		role := "plain"
		if n.Systemd {
			role = "systemd"
		}
		extra := f.extra[i]
		if !strings.Contains(extra, "ssh:") {
			extra += fmt.Sprintf(", ssh: {fingerprints: ['%s'], keepalive: 500ms, sudo: %t}", n.Fingerprint(), user != "root")
		}
		address := n.Addr
		if strings.Contains(extra, "proxy_jump") {
			address = n.Interconnect
		}
		fmt.Fprintf(&b, "    - {name: %s, address: %s, roles: [%s]%s}\n", n.Name, address, role, extra)
	}
	if err := errors.Join(os.WriteFile(f.site, []byte(b.String()), 0o644), os.WriteFile(filepath.Join(f.dir, "playbook.yaml"), []byte(f.playbook), 0o644)); err != nil {
		t.Fatal(err)
	}
}

// program is a run of the program in the lab's networks.
type program struct {
	cmd         *exec.Cmd
	out, errOut bytes.Buffer
}

func (f *fleet) start(t *testing.T, env []string, args ...string) *program {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &program{cmd: exec.CommandContext(t.Context(), exe, args...)}
	p.cmd.Env = append(f.env, env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.errOut
	p.cmd.WaitDelay = 5 * time.Second
	if err := f.lab.Start(p.cmd); err != nil {
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
	if strings.Contains(r.out+r.errOut, nodelab.OperatorPassword) {
		t.Error("a password was printed")
	}
	return r
}

func (f *fleet) run(t *testing.T, env []string, args ...string) result {
	t.Helper()
	return f.start(t, env, args...).wait(t)
}

// must runs the program on the site and wants an exit code.
func (f *fleet) must(t *testing.T, code int, args ...string) result {
	t.Helper()
	r := f.run(t, nil, append(args, f.site)...)
	if r.code != code {
		t.Fatalf("deploy %s: exit %d, want %d\n%s\n%s", strings.Join(args, " "), r.code, code, tail(r.out), tail(r.errOut))
	}
	return r
}

// apply applies and wants success; it returns what the events count at the end.
func (f *fleet) apply(t *testing.T, args ...string) ending {
	t.Helper()
	return endOf(t, f.must(t, 0, append([]string{"apply", "--auto-approve", "--json"}, args...)...))
}

func (f *fleet) rollback(t *testing.T) {
	t.Helper()
	f.must(t, 0, "rollback", "--auto-approve")
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

// state is what the nodes are like, without what the agent keeps for itself.
func (f *fleet) state(t *testing.T) map[string]nodelab.State {
	t.Helper()
	out := map[string]nodelab.State{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, n := range f.nodes {
		wg.Go(func() {
			s, err := n.State(t.Context(), stateOptions())
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			out[n.Name] = s
		})
	}
	wg.Wait()
	return out
}

// stateOptions leaves out where the agent lives and what packages and shells note for themselves.
func stateOptions() nodelab.StateOptions {
	return nodelab.StateOptions{Ignore: []string{"/var/lib/deploy", "/var/lib/deploy/*", "/root/.cache", "/root/.cache/*", "/home/*/.cache", "/home/*/.cache/*", "/var/lib/apt", "/var/lib/dpkg", "/root/.local", "/root/.local/*", "/home/*/.local", "/home/*/.local/*", "/home/*/.sudo_as_admin_successful"}}
}

// cutAt makes the program stop at that message of the talk with agents, counted from 1, and ask the test for what is to happen.
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
