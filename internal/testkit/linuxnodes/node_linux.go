package linuxnodes

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Node is one machine. Its methods are safe for concurrent use, and bounded in time.
type Node struct {
	Name         string
	Addr         string // in the public network
	Interconnect string // address in the other network
	Systemd      bool   // process 1 is systemd

	lab   *Lab
	index int

	mu     sync.Mutex
	run    *life
	boots  int
	delay  *delayLink
	broken error // why it did not come back after a reboot
}

// life is one boot.
type life struct {
	cmd    *exec.Cmd
	pid    int
	off    bool          // the lab ended it
	exited chan struct{} // closed when process 1 has ended and been looked at
}

func (n *Node) disk() string    { return filepath.Join(n.lab.outside, n.Name) }
func (n *Node) console() string { return filepath.Join(n.lab.outside, n.Name+".console") }
func (n *Node) group() string   { return filepath.Join(n.lab.outside, "cgroup", n.lab.id, n.Name) }
func (n *Node) card(net int) string {
	return fmt.Sprintf("%s%d", []string{"pub", "ic"}[net], n.index)
}

// PowerOn starts the node from its disk. A node that is on stays as it is.
func (n *Node) PowerOn() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.run != nil {
		return nil
	}
	return n.boot()
}

func (n *Node) boot() error {
	fail := func(err error) error { return fmt.Errorf("cannot start node %s: %w", n.Name, err) }
	if err := os.Mkdir(n.group(), 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return fail(err)
	}
	group, err := os.Open(n.group())
	if err != nil {
		return fail(err)
	}
	defer func() { _ = group.Close() }()
	console, err := os.OpenFile(n.console(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fail(err)
	}
	defer func() { _ = console.Close() }()
	wait, goOn, err := os.Pipe()
	if err != nil {
		return fail(err)
	}
	defer func() { _ = goOn.Close() }()
	b, err := json.Marshal(birth{Name: n.Name, Lower: n.lab.base, Disk: filepath.Join(n.lab.dir, n.Name),
		Systemd:   n.Systemd,
		Addresses: []string{n.Addr + "/16", n.Interconnect + "/16"}, Gateway: n.lab.Controller()})
	if err != nil {
		return fail(err)
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = []string{childName, string(b)}
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	cmd.Stdout, cmd.Stderr = console, console
	cmd.ExtraFiles = []*os.File{wait}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: unix.SIGKILL, UseCgroupFD: true,
		CgroupFD:   int(group.Fd()),
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWPID | unix.CLONE_NEWNET}
	err = n.lab.do(cmd.Start)
	_ = wait.Close()
	if err != nil {
		return fail(err)
	}
	run := &life{cmd: cmd, pid: cmd.Process.Pid, exited: make(chan struct{})}
	var lines []string
	for net, bridge := range []string{publicBridge, privateNet} {
		// the card's number stays over a reboot: a new one would leave the neighbours with a stale entry
		lines = append(lines, fmt.Sprintf("link add %s type veth peer name eth%d address 02:%02d:00:00:%02x:%02x netns %d",
			n.card(net), net, 77+net, n.index/256, n.index%256, run.pid),
			fmt.Sprintf("link set %s master %s up", n.card(net), n.master(net, bridge)))
	}
	err = n.lab.do(func() error { return ip(lines...) })
	if err == nil {
		_, err = goOn.Write([]byte{1})
	}
	if err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return fail(err)
	}
	n.run = run
	n.boots++
	go n.watch(run)
	return nil
}

// watch waits for the end of process 1. One that ended itself with a reboot is started again; one
// that switched itself off stays off.
func (n *Node) watch(run *life) {
	_ = run.cmd.Wait()
	status, _ := run.cmd.ProcessState.Sys().(syscall.WaitStatus)
	n.mu.Lock()
	defer n.mu.Unlock()
	defer close(run.exited)
	if run.off {
		return // PowerOff cleans up
	}
	n.run = nil
	n.unplug()
	if err := clearGroup(n.group()); err != nil {
		n.broken = err
		return
	}
	// reboot(2) in a process namespace ends its first process with SIGHUP for a restart and SIGINT for
	// the end
	switch {
	case status.Signaled() && status.Signal() == unix.SIGHUP:
		n.broken = n.boot()
	case status.Signaled() && status.Signal() == unix.SIGINT:
	default:
		n.broken = fmt.Errorf("process 1 of %s ended by itself: %s\n%s", n.Name, run.cmd.ProcessState, n.Console())
	}
}

// unplug takes the cards away; those of the node go with them. A card may be gone already with the
// node's namespace.
func (n *Node) unplug() {
	for net := range 2 {
		_ = n.lab.do(func() error { return ip("link delete " + n.card(net)) })
	}
}

// PowerOff is a power cut: the cards go first, so that nobody hears a farewell, then every process
// at once. The disk stays.
func (n *Node) PowerOff() error {
	n.mu.Lock()
	run := n.run
	if run == nil {
		n.mu.Unlock()
		return nil
	}
	run.off = true
	n.run = nil
	n.unplug()
	err := unix.Kill(run.pid, unix.SIGKILL) // works on a frozen node too
	n.mu.Unlock()
	if err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("cannot switch off node %s: %w", n.Name, err)
	}
	select {
	case <-run.exited:
	case <-time.After(30 * time.Second):
		return fmt.Errorf("cannot switch off node %s: its processes do not end", n.Name)
	}
	return clearGroup(n.group())
}

// Reset gives the node a new disk and starts it.
func (n *Node) Reset() error {
	return errors.Join(n.PowerOff(), n.newDisk(), n.PowerOn())
}

// On tells whether the node has power.
func (n *Node) On() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.run != nil
}

// Boots counts how often the node was started.
func (n *Node) Boots() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.boots
}

// Console is the end of what process 1 has printed.
func (n *Node) Console() string {
	b, _ := os.ReadFile(n.console())
	return lastOf(string(b))
}

// pid is process 1 as seen from outside.
func (n *Node) pid() (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.run == nil {
		return 0, errors.Join(fmt.Errorf("node %s is off", n.Name), n.broken)
	}
	return n.run.pid, nil
}

// Exec runs a program in the node, not over its network, and returns what it printed. An exit code
// other than 0 is an error.
func (n *Node) Exec(ctx context.Context, argv ...string) (string, error) {
	pid, err := n.pid()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "nsenter",
		append([]string{"-t", strconv.Itoa(pid), "-m", "-u", "-i", "-n", "-p", "-C", "--root", "--wd=/", "--"}, argv...)...)
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "HOME=/root"}
	cmd.WaitDelay = time.Second
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s on %s: %w: %s", strings.Join(argv, " "), n.Name, err, lastOf(errOut.String()))
	}
	return out.String(), nil
}

// WaitSSH waits until the node's sshd greets.
func (n *Node) WaitSSH(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	for {
		err := n.greeting(ctx)
		if err == nil {
			return nil
		}
		if _, off := n.pid(); off != nil {
			return off
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("node %s does not answer SSH: %w\n%s", n.Name, err, n.Console())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (n *Node) greeting(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	// a node that just came up has missed the first SYN, and TCP waits longer each time
	reach, stop := context.WithTimeout(ctx, time.Second)
	defer stop()
	c, err := n.lab.DialContext(reach, "tcp", n.Addr+":22")
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	end, _ := ctx.Deadline()
	_ = c.SetDeadline(end)
	b := make([]byte, 4)
	if k, err := c.Read(b); err != nil || string(b[:k]) != "SSH-" {
		return fmt.Errorf("%q: %w", b[:k], err)
	}
	return nil
}

// Wait waits until the node answers SSH and, if it has systemd, everything has started and nothing
// has failed.
func (n *Node) Wait(ctx context.Context) error {
	if err := n.WaitSSH(ctx); err != nil || !n.Systemd {
		return err
	}
	out, err := n.Exec(ctx, "systemctl", "is-system-running", "--wait")
	if err != nil {
		failed, _ := n.Exec(ctx, "systemctl", "--failed", "--no-legend")
		return fmt.Errorf("%s is %s: %w\n%s", n.Name, strings.TrimSpace(out), err, failed)
	}
	return nil
}

// Freeze stops every process of the node without ending one; its cards stay up but nothing answers.
func (n *Node) Freeze() error { return n.freeze("1") }

// Thaw lets a frozen node go on.
func (n *Node) Thaw() error { return n.freeze("0") }

func (n *Node) freeze(v string) error {
	if err := os.WriteFile(filepath.Join(n.group(), "cgroup.freeze"), []byte(v), 0); err != nil {
		return fmt.Errorf("cannot freeze or thaw node %s: %w", n.Name, err)
	}
	want := "frozen " + v
	for range 1000 {
		b, err := os.ReadFile(filepath.Join(n.group(), "cgroup.events"))
		if err != nil {
			return err
		}
		if strings.Contains(string(b), want) {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return fmt.Errorf("node %s does not become %q", n.Name, want)
}

// LinkDown cuts the node's cable to the public network. Connections stay open at both ends and hear
// nothing.
func (n *Node) LinkDown() error { return n.link("down") }

// LinkUp heals what LinkDown cut, and waits until a node that runs has noticed: its kernel marks
// the routes of a dead card for up to a second longer.
func (n *Node) LinkUp() error {
	if err := n.link("up"); err != nil {
		return err
	}
	const patience, pause = 10 * time.Second, 20 * time.Millisecond
	for began := time.Now(); ; time.Sleep(pause) {
		pid, err := n.pid()
		if err != nil {
			return nil // it is off
		}
		out, err := exec.Command("nsenter", "-t", strconv.Itoa(pid), "-n", "ip", "route").CombinedOutput()
		switch {
		case err == nil && !strings.Contains(string(out), "linkdown"):
			return nil
		case time.Since(began) > patience:
			return errors.Join(fmt.Errorf("node %s has not noticed its cable within %s: %s", n.Name, patience, out), err)
		}
	}
}

func (n *Node) link(state string) error {
	return n.lab.do(func() error { return ip("link set " + n.card(0) + " " + state) })
}
