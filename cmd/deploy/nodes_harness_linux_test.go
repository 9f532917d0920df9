package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"deploy/internal/testkit/linuxnodes"
)

// buildAgent builds the program that is placed on nodes into a directory of the lab.
func buildAgent(t *testing.T, l *linuxnodes.Lab) string {
	t.Helper()
	dir := filepath.Join(l.Dir(), "agents")
	cmd := exec.Command("go", "build", "-tags", "agentonly", "-trimpath", "-ldflags", "-s -w", "-o",
		filepath.Join(dir, "deploy-agent-linux-"+runtime.GOARCH), ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("cannot build the agent: %v\n%s", err, out)
	}
	return dir
}

// fleet is a site of real nodes in a directory of its own.
type fleet struct {
	rig
	lab      *linuxnodes.Lab
	playbook string
	user     string         // "" is root
	extra    map[int]string // what a node's entry has beside the usual, by its place in nodes
	timeout  string         // to be connected
	settings string         // of inventory.defaults
	nodes    []*linuxnodes.Node
}

// newFleet writes a site of these nodes with a playbook of ours.
func newFleet(t *testing.T, l *linuxnodes.Lab, playbook string, nodes ...*linuxnodes.Node) *fleet {
	t.Helper()
	dir := t.TempDir()
	f := &fleet{lab: l, playbook: playbook, nodes: nodes, timeout: "20s", extra: map[int]string{}}
	f.rig = rig{dir: dir, site: filepath.Join(dir, "site.yaml"), launch: l.Start,
		env: append(os.Environ(), asProgram+"=1", "NO_COLOR=1", "DEPLOY_AGENTS="+filepath.Join(l.Dir(), "agents"),
			"DEPLOY_PASSWORD="+linuxnodes.OperatorPassword, "HOME="+dir)}
	f.write(t)
	for _, n := range nodes {
		// this journal is a new one: to the nodes that an earlier test worked on it would be a stranger's
		if n.On() {
			if _, err := n.Exec(t.Context(), "rm", "-rf", "/var/lib/deploy/owner"); err != nil {
				t.Fatal(err)
			}
		}
	}
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
	fmt.Fprintf(&b, "site: nodes\nplaybook: ./playbook.yaml\ncredentials:\n  them: {username: %s, %s}\ninventory:\n", user,
		credential)
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
	if err := errors.Join(os.WriteFile(f.site, []byte(b.String()), 0o644),
		os.WriteFile(filepath.Join(f.dir, "playbook.yaml"), []byte(f.playbook), 0o644)); err != nil {
		t.Fatal(err)
	}
}

// state is what the nodes are like, without what the agent keeps for itself.
func (f *fleet) state(t *testing.T) map[string]linuxnodes.State {
	t.Helper()
	return f.stateOf(t, nil)
}

// stateOf is state with the files below dirs alone; nil means the usual ones.
func (f *fleet) stateOf(t *testing.T, dirs []string) map[string]linuxnodes.State {
	t.Helper()
	out := map[string]linuxnodes.State{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, n := range f.nodes {
		wg.Go(func() {
			o := stateOptions()
			o.Dirs = dirs
			s, err := n.State(t.Context(), o)
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
func stateOptions() linuxnodes.StateOptions {
	return linuxnodes.StateOptions{Ignore: []string{"/var/lib/deploy", "/var/lib/deploy/*", "/root/.cache",
		"/root/.cache/*", "/home/*/.cache", "/home/*/.cache/*", "/var/lib/apt", "/var/lib/dpkg", "/root/.local",
		"/root/.local/*", "/home/*/.local", "/home/*/.local/*", "/home/*/.sudo_as_admin_successful"}}
}
