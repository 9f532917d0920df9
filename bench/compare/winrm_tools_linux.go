package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// winrmCost is what one run of a tool took.
type winrmCost struct {
	wall   time.Duration // from the start of its process to its end
	cpu    time.Duration // of its processes
	labCPU time.Duration // of the lab's process, which is all nodes
	// bytes: the most that a sample found of its processes together, pages that they share parted
	memory      int64
	bytes       int64 // of TLS, both ways
	connections int64
	turns       int64 // how often the client spoke again after the node had answered, over all connections
}

// applies makes a site of the cell's nodes as if they were real ones. The journal is that of the
// run which made the values: it knows where agents are.
func (w *winrmComparison) applies(x cell, dir, agent string) (started, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return started{}, err
	}
	var b strings.Builder
	b.WriteString("playbook: compare\ntitle: Compare\nroles: {server: {min: 1}}\nphases:\n  - id: values\n    title: " +
		"Values\n    steps:\n")
	for i := range x.steps {
		fmt.Fprintf(&b, "      - {id: %s, title: A value, uses: registry, on: role.server, with: {key: '%s', name: %[1]s, "+
			"type: string, data: %q}}\n", winrmName(i), winrmKey, winrmValue(i))
	}
	book := b.String()
	b.Reset()
	fmt.Fprintf(&b, "site: compare\nplaybook: ./compare.yaml\ncredentials:\n  bench: {username: '%s', password: {env: "+
		"BENCH_PASSWORD}}\ninventory:\n"+
		"  defaults: {transport: winrm, credential: bench, agent: %s, winrm: {ca: %s}}\n  nodes:\n", winrmUser, agent,
		w.lab.ca)
	for i, e := range w.lab.machines[:x.nodes] {
		fmt.Fprintf(&b, "    - {name: %s, address: 127.0.0.1, port: %d, roles: [server]}\n", e.name, w.relays[i].port())
	}
	site := filepath.Join(dir, "site.yaml")
	err := errors.Join(os.WriteFile(filepath.Join(dir, "compare.yaml"), []byte(book), 0o600),
		os.WriteFile(site, []byte(b.String()), 0o600))
	return started{[]string{w.deploy, "apply", "--auto-approve", "--state-dir", filepath.Join(w.dir, "state"),
		site}, w.environment(dir, "DEPLOY_AGENTS="+w.lab.agents)}, err
}

// ansible makes a playbook of one raw task for each value. raw sends its line as it stands, one
// process on the node, and is less than any module of Ansible's for Windows does: those are
// programs in PowerShell, which the lab does not run.
func (w *winrmComparison) ansible(x cell, dir string) (started, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return started{}, err
	}
	var b strings.Builder
	b.WriteString("all:\n  hosts:\n")
	for i, e := range w.lab.machines[:x.nodes] {
		fmt.Fprintf(&b, "    %s: {ansible_port: %d}\n", e.name, w.relays[i].port())
	}
	fmt.Fprintf(&b, "  vars:\n    ansible_connection: winrm\n    ansible_shell_type: powershell\n    ansible_host: "+
		"127.0.0.1\n    ansible_user: '%s'\n    ansible_password: \"{{ lookup('env', 'BENCH_PASSWORD') }}\"\n"+
		"    ansible_winrm_scheme: https\n    ansible_winrm_transport: ntlm\n    ansible_winrm_ca_trust_path: %s\n",
		winrmUser, w.lab.ca)
	hosts := b.String()
	b.Reset()
	b.WriteString("- hosts: all\n  gather_facts: false\n  tasks:\n")
	for i := range x.steps {
		fmt.Fprintf(&b, "    - name: %s\n      ansible.builtin.raw: 'reg query %s /v %[1]s'\n      changed_when: false\n",
			winrmName(i), winrmKey)
	}
	// the NT hash is MD4, which OpenSSL 3 keeps in its legacy provider
	const legacy = "openssl_conf = init\n[init]\nproviders = list\n[list]\ndefault = on\nlegacy = on\n[on]\nactivate = 1\n"
	at := func(name string) string { return filepath.Join(dir, name) }
	err := errors.Join(os.WriteFile(at("hosts.yaml"), []byte(hosts), 0o600),
		os.WriteFile(at("book.yaml"), []byte(b.String()), 0o600),
		os.WriteFile(at("openssl.cnf"), []byte(legacy), 0o600),
		os.WriteFile(at("ansible.cfg"), fmt.Appendf(nil, "[defaults]\nforks = %d\n", atOnce), 0o600))
	return started{[]string{"ansible-playbook", "-i", at("hosts.yaml"), at("book.yaml")},
		w.environment(dir, "ANSIBLE_CONFIG="+at("ansible.cfg"), "ANSIBLE_NOCOLOR=1", "OPENSSL_CONF="+at("openssl.cnf"))}, err
}

func (w *winrmComparison) environment(dir string, more ...string) []string {
	return append([]string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=" + dir,
		"LC_ALL=C.UTF-8", "BENCH_PASSWORD=" + winrmPassword}, more...)
}

// measured runs a tool and counts what it costs. What it prints goes to the file output of dir.
func (w *winrmComparison) measured(ctx context.Context, s started, dir string) (c winrmCost, err error) {
	log := filepath.Join(dir, "output")
	out, err := os.Create(log)
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	for _, r := range w.relays {
		r.reset()
	}
	lab, err := w.lab.cpu()
	if err != nil {
		return c, err
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.argv[0], s.argv[1:]...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = s.env, dir, out, out
	// a session of its own: it tells which processes are the tool's, and ends them all
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return c, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for running := true; running; {
		select {
		case err = <-ended:
			running = false
		case <-tick.C:
			c.memory = max(c.memory, shares(session(cmd.Process.Pid)))
		}
	}
	c.wall = time.Since(began)
	// wait4(2) counts the processes that it has waited for, too
	c.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	if ru, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		c.memory = max(c.memory, ru.Maxrss<<10) // of the largest; short ones may pass between two samples
	}
	if err != nil {
		return c, fmt.Errorf("%s: %w: %s", s.argv[0], err, tail(log))
	}
	after, err := w.lab.cpu()
	c.labCPU = after - lab
	for _, r := range w.relays {
		c.bytes += r.bytes.Load()
		c.connections += r.connections.Load()
		c.turns += r.turns.Load()
	}
	return c, err
}

// session lists the processes of a session.
func session(leader int) []int {
	entries, _ := os.ReadDir("/proc")
	var pids []int
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join("/proc", e.Name(), "stat"))
		if err != nil || e.Name()[0] < '0' || e.Name()[0] > '9' {
			continue
		}
		var pid, id int
		_, _ = fmt.Sscan(e.Name(), &pid)
		// behind the name, which may hold anything: state, parent, group, session. Source: proc(5)
		f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
		if len(f) > 3 {
			_, _ = fmt.Sscan(f[3], &id)
		}
		if id == leader {
			pids = append(pids, pid)
		}
	}
	return pids
}
