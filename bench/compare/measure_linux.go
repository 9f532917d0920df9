package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"deploy/internal/testkit/linuxnodes"
)

// cost is what one run of a tool took.
type cost struct {
	wall    time.Duration // from the start of its process to its end
	cpu     time.Duration // of all its processes on the controller, those that it left behind included
	nodeCPU time.Duration // of all processes of all nodes together
	// bytes: the largest of what its main process ever held and the sampled sum of all its processes'
	// shares
	memory int64
	// bytes: what the front and the worker of deploy's agent held on one node, each at its highest,
	// summed
	agent    int64
	shared   int64 // bytes: the most that a sample found of both, pages that they share counted once
	sent     int64 // bytes by the controller, with the heads of Ethernet, IP and TCP
	received int64
	segments int64 // of TCP, both ways
}

// limit bounds one run of one tool.
const limit = 20 * time.Minute

// measured runs a program in the controller's place and counts what it costs. What it prints goes
// to log.
func measured(ctx context.Context, l *linuxnodes.Lab, nodes []*linuxnodes.Node, argv, env []string, dir,
	log string) (cost, error) {
	var c cost
	// one that was killed once kills whatever is born into it (Linux 6.18), so each run has its own
	group, err := l.Group(fmt.Sprintf("controller-%d", time.Now().UnixNano()))
	if err != nil {
		return c, err
	}
	defer func() { _ = os.Remove(group) }()
	g, err := os.Open(group)
	if err != nil {
		return c, err
	}
	defer func() { _ = g.Close() }()
	out, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return c, err
	}
	defer func() { _ = out.Close() }()
	groups := []string{group}
	for _, n := range nodes {
		groups = append(groups, n.Group())
	}
	if err := atRest(ctx, nodes); err != nil {
		return c, err
	}
	before, err := readings(ctx, l, groups)
	if err != nil {
		return c, err
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = env, dir, out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(g.Fd())}
	began := time.Now()
	if err := l.Start(cmd); err != nil {
		return c, fmt.Errorf("cannot start %s: %w", argv[0], err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	end := time.NewTimer(limit)
	defer end.Stop()
	own, all := time.NewTicker(4*time.Millisecond), time.NewTicker(50*time.Millisecond)
	defer own.Stop()
	defer all.Stop()
	agents := map[string]int64{}
	for running := true; running; {
		select {
		case err = <-ended:
			running = false
		case <-own.C:
			c.memory = max(c.memory, status(cmd.Process.Pid, "VmHWM:"))
			agentsOf(nodes[0].Group(), agents)
		case <-all.C:
			c.memory = max(c.memory, shares(members(group)))
			c.shared = max(c.shared, shares(agentPids(nodes[0].Group())))
		case <-ctx.Done():
			_ = kill(group)
			<-ended
			return c, ctx.Err()
		case <-end.C:
			_ = kill(group)
			<-ended
			return c, fmt.Errorf("%s did not end within %s", argv[0], limit)
		}
	}
	c.wall = time.Since(began)
	for _, m := range agents {
		c.agent += m
	}
	// masters of ssh and the like stay by intent: the next run begins without them
	kerr := kill(group)
	after, rerr := readings(ctx, l, groups)
	c.cpu = after.cpu[0] - before.cpu[0]
	for i := range nodes {
		c.nodeCPU += after.cpu[i+1] - before.cpu[i+1]
	}
	c.sent, c.received, c.segments = after.sent-before.sent, after.received-before.received, after.segments-before.segments
	if err != nil {
		err = fmt.Errorf("%s: %w: %s", argv[0], err, tail(log))
	}
	return c, errors.Join(err, kerr, rerr)
}

// atRest waits until no agent of an earlier run is left on the nodes: every run begins alike.
func atRest(ctx context.Context, nodes []*linuxnodes.Node) error {
	for _, n := range nodes {
		for began := time.Now(); ; time.Sleep(5 * time.Millisecond) {
			left := map[string]int64{}
			agentsOf(n.Group(), left)
			if len(left) == 0 {
				break
			}
			if time.Since(began) > 20*time.Second || ctx.Err() != nil {
				return fmt.Errorf("the agent of the run before has not left %s", n.Name)
			}
		}
	}
	return nil
}

// kill ends every process of a control group.
func kill(group string) error {
	if err := os.WriteFile(filepath.Join(group, "cgroup.kill"), []byte("1"), 0); err != nil {
		return err
	}
	for range 1000 {
		b, err := os.ReadFile(filepath.Join(group, "cgroup.events"))
		if err != nil || strings.Contains(string(b), "populated 0") {
			return err
		}
		time.Sleep(5 * time.Millisecond)
	}
	return fmt.Errorf("the processes of %s do not end", group)
}

// reading is the counters' state.
type reading struct {
	cpu                      []time.Duration // by control group
	sent, received, segments int64
}

// readings asks the kernel: processor time of the groups, bytes of the controller's card, segments
// of its TCP.
func readings(ctx context.Context, l *linuxnodes.Lab, groups []string) (reading, error) {
	var r reading
	for _, g := range groups {
		b, err := os.ReadFile(filepath.Join(g, "cpu.stat"))
		if err != nil {
			return r, fmt.Errorf("this kernel does not count the processor time of control groups: %w", err)
		}
		us, err := numberAfter(string(b), "usage_usec ")
		if err != nil {
			return r, err
		}
		r.cpu = append(r.cpu, time.Duration(us)*time.Microsecond)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "cat", "/proc/net/snmp", "/proc/net/dev")
	var b strings.Builder
	cmd.Stdout = &b
	if err := l.Start(cmd); err != nil {
		return r, err
	}
	if err := cmd.Wait(); err != nil {
		return r, err
	}
	var names []string
	for line := range strings.Lines(b.String()) {
		f := strings.Fields(line)
		switch {
		case len(f) > 0 && f[0] == "Tcp:" && names == nil:
			names = f
		case len(f) > 0 && f[0] == "Tcp:":
			for _, name := range []string{"InSegs", "OutSegs"} {
				n, err := strconv.ParseInt(f[slices.Index(names, name)], 10, 64)
				if err != nil {
					return r, err
				}
				r.segments += n
			}
		case len(f) > 9 && f[0] == "public:":
			var err1, err2 error
			r.received, err1 = strconv.ParseInt(f[1], 10, 64)
			r.sent, err2 = strconv.ParseInt(f[9], 10, 64)
			if err := errors.Join(err1, err2); err != nil {
				return r, err
			}
		}
	}
	return r, nil
}

// numberAfter reads the number behind a word.
func numberAfter(text, word string) (int64, error) {
	_, rest, ok := strings.Cut(text, word)
	f := strings.Fields(rest)
	if !ok || len(f) == 0 {
		return 0, fmt.Errorf("there is no %q", strings.TrimSpace(word))
	}
	return strconv.ParseInt(f[0], 10, 64)
}

// status reads a size of /proc/PID/status in bytes; 0 when the process has gone.
func status(pid int, word string) int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	kib, _ := numberAfter(string(b), word)
	return kib << 10
}

func members(group string) []int {
	b, _ := os.ReadFile(filepath.Join(group, "cgroup.procs"))
	var pids []int
	for _, f := range strings.Fields(string(b)) {
		if pid, err := strconv.Atoi(f); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// shares adds up the memory of processes, each page parted among all that share it.
func shares(pids []int) int64 {
	var sum int64
	for _, pid := range pids {
		if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid)); err == nil {
			kib, _ := numberAfter(string(b), "Pss:")
			sum += kib << 10
		}
	}
	return sum
}

// agentsOf notes the highest mark of the agent's front and of its worker on a node. They are told
// apart by their command lines: one that is about to start another program still is, and has the
// memory of, its parent.
func agentsOf(group string, marks map[string]int64) {
	for _, pid := range agentPids(group) {
		line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		marks[string(line)] = max(marks[string(line)], status(pid, "VmHWM:"))
	}
}

// agentPids are the processes of the agent's program on a node.
func agentPids(group string) []int {
	return slices.DeleteFunc(members(group), func(pid int) bool {
		exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
		return err != nil || !strings.HasPrefix(filepath.Base(exe), "deploy-")
	})
}

// tail is the end of a file.
func tail(file string) string {
	b, _ := os.ReadFile(file)
	if len(b) > 2000 {
		b = b[len(b)-2000:]
	}
	return string(b)
}

// machine describes where this was measured.
func machine() string {
	model := "unknown processor"
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if _, rest, ok := strings.Cut(string(b), "model name"); ok {
			line, _, _ := strings.Cut(rest, "\n")
			model = strings.TrimLeft(line, " \t:")
		}
	}
	var u unix.Utsname
	_ = unix.Uname(&u)
	var set unix.CPUSet
	_ = unix.SchedGetaffinity(0, &set)
	return fmt.Sprintf("%d cores (%s), Linux %s, load %s when it began", set.Count(), model,
		unix.ByteSliceToString(u.Release[:]), load())
}

func load() string {
	b, _ := os.ReadFile("/proc/loadavg")
	first, _, _ := strings.Cut(string(b), " ")
	return first
}
