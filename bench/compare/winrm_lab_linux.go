package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// The lab's account. It opens nothing but emulated machines on loopback.
const (
	winrmUser     = `CONTOSO\bench`
	winrmPassword = "Bench-2026!"
)

// winrmLab is `deploy lab up` in a process of its own: its machines are the nodes.
type winrmLab struct {
	cmd      *exec.Cmd
	errOut   bytes.Buffer
	machines []winrmMachine
	ca       string // file
	agents   string // directory of the agent's program for these machines
}

type winrmMachine struct {
	name  string
	HTTPS string
	CA    []byte
}

func startWinRMLab(ctx context.Context, deploy, dir string, nodes int) (*winrmLab, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "site: compare\nplaybook: ./compare.yaml\ncredentials:\n  bench: {username: '%s', password: {env: "+
		"BENCH_PASSWORD}}\ninventory:\n  defaults: {transport: winrm, credential: bench}\n  nodes:\n", winrmUser)
	for i := range nodes {
		fmt.Fprintf(&b, "    - {name: w%d, address: 192.0.2.%d, roles: [server]}\n", i+1, i+1)
	}
	b.WriteString("lab: {os: '2019', domain: contoso.com}\n")
	const book = "playbook: compare\nroles: {server: {min: 1}}\nphases:\n  - id: one\n    steps:\n      - {id: runs, " +
		"uses: service, on: role.server, with: {name: W32Time, start: auto}}\n"
	site := filepath.Join(dir, "site.yaml")
	if err := errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(site, []byte(b.String()), 0o600),
		os.WriteFile(filepath.Join(dir, "compare.yaml"), []byte(book), 0o600)); err != nil {
		return nil, err
	}
	l := &winrmLab{cmd: exec.Command(deploy, "lab", "up", "--json", "--state-dir", filepath.Join(dir, "state"), site),
		ca: filepath.Join(dir, "ca.pem")}
	l.cmd.Env = []string{"PATH=/usr/bin:/bin", "HOME=" + dir, "BENCH_PASSWORD=" + winrmPassword}
	l.cmd.Stderr = &l.errOut
	l.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	out, err := l.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := l.cmd.Start(); err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = l.cmd.Process.Kill() })
	defer stop()
	late := time.AfterFunc(time.Minute, func() { _ = l.cmd.Process.Kill() })
	defer late.Stop()
	var at struct {
		Machines map[string]winrmMachine `json:"machines"`
	}
	if err := json.NewDecoder(out).Decode(&at); err != nil {
		_ = l.cmd.Process.Kill()
		return nil, fmt.Errorf("cannot start the lab: %w", errors.Join(err, l.cmd.Wait(), errors.New(l.errOut.String())))
	}
	for i := range nodes {
		m := at.Machines[fmt.Sprintf("w%d", i+1)]
		m.name = fmt.Sprintf("w%d", i+1)
		l.machines = append(l.machines, m)
	}
	found, _ := filepath.Glob(filepath.Join(dir, "state", "lab", "*", "programs"))
	more, _ := filepath.Glob(filepath.Join(dir, "state", "lab", "programs"))
	if found = append(found, more...); len(found) != 1 {
		return nil, errors.Join(fmt.Errorf("the lab keeps its agent in %q", found), l.close())
	}
	l.agents = found[0]
	return l, os.WriteFile(l.ca, l.machines[0].CA, 0o600)
}

// cpu is the processor time of the lab so far.
func (l *winrmLab) cpu() (time.Duration, error) {
	// utime and stime of all its threads, in hundredths of a second. Source: proc(5)
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", l.cmd.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("the lab has ended: %w", err)
	}
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if len(f) < 13 {
		return 0, errors.New("cannot read the lab's processor time")
	}
	var user, system int64
	if _, err := fmt.Sscan(f[11], &user); err != nil {
		return 0, err
	}
	_, err = fmt.Sscan(f[12], &system)
	return time.Duration(user+system) * 10 * time.Millisecond, err
}

func (l *winrmLab) close() error {
	if err := l.cmd.Process.Signal(os.Interrupt); err != nil {
		return err
	}
	late := time.AfterFunc(30*time.Second, func() { _ = l.cmd.Process.Kill() })
	defer late.Stop()
	if err := l.cmd.Wait(); err != nil {
		return fmt.Errorf("the lab did not end well: %w: %s", err, l.errOut.String())
	}
	return nil
}

// relay stands in front of a machine, counts, and holds everything back by half of the delay, each
// way. Opening a connection costs the whole delay, as it does on a network.
type relay struct {
	to       string
	listener net.Listener
	delay    atomic.Int64 // nanoseconds
	group    sync.WaitGroup
	ctx      context.Context
	cancel   context.CancelFunc

	bytes, connections, turns atomic.Int64
}

func newRelay(to string) (*relay, error) {
	r := &relay{to: to}
	var err error
	if r.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.group.Go(func() {
		for {
			c, err := r.listener.Accept()
			if err != nil {
				return
			}
			r.connections.Add(1)
			r.group.Go(func() { r.carry(c) })
		}
	})
	return r, nil
}

func (r *relay) port() int                { return r.listener.Addr().(*net.TCPAddr).Port }
func (r *relay) setDelay(d time.Duration) { r.delay.Store(int64(d)) }

func (r *relay) reset() {
	for _, n := range []*atomic.Int64{&r.bytes, &r.connections, &r.turns} {
		n.Store(0)
	}
}

func (r *relay) close() {
	r.cancel()
	_ = r.listener.Close()
	r.group.Wait()
}

func (r *relay) carry(c net.Conn) {
	defer func() { _ = c.Close() }()
	time.Sleep(time.Duration(r.delay.Load()))
	m, err := net.DialTimeout("tcp", r.to, 30*time.Second)
	if err != nil {
		return
	}
	defer func() { _ = m.Close() }()
	stop := context.AfterFunc(r.ctx, func() { _ = errors.Join(c.Close(), m.Close()) })
	defer stop()
	var answered atomic.Bool // the machine was the last to speak
	answered.Store(true)
	var both sync.WaitGroup
	both.Go(func() {
		r.pass(m, c, func() {
			if answered.Swap(false) {
				r.turns.Add(1)
			}
		})
	})
	both.Go(func() { r.pass(c, m, func() { answered.Store(true) }) })
	both.Wait()
}

// pass carries one direction to its end.
func (r *relay) pass(to, from net.Conn, heard func()) {
	type piece struct {
		at   time.Time
		data []byte
	}
	way := make(chan piece, 1024)
	var group sync.WaitGroup
	group.Go(func() {
		for p := range way {
			time.Sleep(time.Until(p.at))
			if _, err := to.Write(p.data); err != nil {
				_ = from.Close() // nobody listens any more
			}
		}
		if t, ok := to.(*net.TCPConn); ok {
			_ = t.CloseWrite()
		}
	})
	for {
		b := make([]byte, 64<<10)
		n, err := from.Read(b)
		if n > 0 {
			heard()
			r.bytes.Add(int64(n))
			way <- piece{time.Now().Add(time.Duration(r.delay.Load() / 2)), b[:n]}
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				_ = to.Close()
			}
			break
		}
	}
	close(way)
	group.Wait()
}
