package linuxnodes

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Options describe a lab.
type Options struct {
	Systemd int // nodes whose process 1 is systemd; about 18 fit into the usual fs.inotify.max_user_instances of 128
	Plain   int // nodes after those whose process 1 is an sshd and that have nothing else
	DiskMB  int // size of each node's own disk in MiB; 0 means 384. It lives in memory
	// where the shared Debian tree is kept; "" means DEPLOY_NODES_CACHE, or deploy-nodes in the user's
	// cache directory
	Cache string
}

// Lab is a set of nodes and the two networks between them.
type Lab struct {
	t       testing.TB
	o       Options
	id      string
	dir     string // in the lab's own mounts
	outside string // the same directory as the rest of this process can reach it
	base    string
	netns   *os.File
	work    chan func()
	done    chan struct{}
	keys    keys
	nodes   []*Node
}

// The two networks. The controller has an address in the public one only: what has none but an
// inner address is reached through a node.
const (
	publicBridge = "public"
	privateNet   = "interconnect"
)

// Tier says whether this is the run of the named tier, and skips the test when it is not.
func Tier(t testing.TB, name string) {
	t.Helper()
	if os.Getenv("DEPLOY_TIER") != name {
		t.Skipf("belongs to the tier %s: make test-%[1]s", name)
	}
}

// New builds a lab and starts its nodes. The test is skipped, or fails when CI is set, where the
// machine does not permit it. New does not wait for the nodes: see Node.WaitSSH and Lab.Wait.
// Everything goes away with the test.
func New(t testing.TB, o Options) *Lab {
	t.Helper()
	if why := missing(); why != "" {
		if os.Getenv("CI") != "" {
			t.Fatalf("cannot make real nodes: %s", why)
		}
		t.Skipf("real nodes: %s", why)
	}
	if o.DiskMB == 0 {
		o.DiskMB = 384
	}
	if o.Cache == "" {
		o.Cache = os.Getenv("DEPLOY_NODES_CACHE")
	}
	if o.Cache == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			t.Fatal(err)
		}
		o.Cache = filepath.Join(cache, "deploy-nodes")
	}
	base, err := baseTree(t.Context(), o.Cache)
	if err != nil {
		t.Fatal(err)
	}
	sweep()
	start, err := startOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	l := &Lab{t: t, o: o, base: base, work: make(chan func()), done: make(chan struct{})}
	l.dir, err = os.MkdirTemp("", fmt.Sprintf("%s%d-%s-", prefix, os.Getpid(), start))
	if err != nil {
		t.Fatal(err)
	}
	l.id = filepath.Base(l.dir)
	ready := make(chan error)
	go l.thread(ready)
	if err := <-ready; err != nil {
		_ = os.Remove(l.dir)
		t.Fatalf("cannot make the lab: %v", err)
	}
	t.Cleanup(l.close)
	if err := l.keys.make(filepath.Join(l.outside, "keys")); err != nil {
		t.Fatal(err)
	}
	for i := range o.Systemd + o.Plain {
		n := &Node{lab: l, index: i, Name: fmt.Sprintf("n%d", i+1), Systemd: i < o.Systemd,
			Addr: fmt.Sprintf("10.77.%d.%d", i/250, i%250+1), Interconnect: fmt.Sprintf("10.78.%d.%d", i/250, i%250+1)}
		l.nodes = append(l.nodes, n)
		if err := errors.Join(n.newDisk(), n.PowerOn()); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

// missing names what this machine does not permit.
func missing() string {
	if os.Geteuid() != 0 {
		return "they need root"
	}
	for _, p := range []string{"ip", "mmdebstrap", "nsenter", "mount", "apt-get"} {
		if _, err := exec.LookPath(p); err != nil {
			return "there is no " + p + ": run scripts/test-deps"
		}
	}
	dir, err := os.MkdirTemp("", "deploy-trial-")
	if err != nil {
		return err.Error()
	}
	defer func() { _ = os.Remove(dir) }() // here it is no mount point
	try := func() error {
		if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS | unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("namespaces: %w", err)
		}
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return fmt.Errorf("private mounts: %w", err)
		}
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, ""); err != nil {
			return fmt.Errorf("a file system in memory: %w", err)
		}
		for _, d := range []string{"lower", "upper", "work", "root", "cgroup"} {
			if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
				return err
			}
		}
		if err := unix.Mount("cgroup2", filepath.Join(dir, "cgroup"), "cgroup2", 0, ""); err != nil {
			return fmt.Errorf("control groups, version 2: %w", err)
		}
		data := fmt.Sprintf("lowerdir=%s/lower,upperdir=%[1]s/upper,workdir=%[1]s/work", dir)
		if err := unix.Mount("overlay", filepath.Join(dir, "root"), "overlay", 0, data); err != nil {
			return fmt.Errorf("an overlay: %w", err)
		}
		if out, err := exec.Command("ip", "link", "add", "trial", "type", "bridge").CombinedOutput(); err != nil {
			return fmt.Errorf("a bridge: %w: %s", err, out)
		}
		return nil
	}
	if err := onThrowAwayThread(try); err != nil {
		return "this machine does not permit " + err.Error()
	}
	return ""
}

// onThrowAwayThread runs f on a thread that may change its namespaces, and ends the thread.
func onThrowAwayThread(f func() error) error {
	result := make(chan error, 1)
	notMain(func() { result <- f() })
	return <-result
}

// notMain starts f on a thread of its own that ends with f. It is never the process's first thread:
// that one cannot end, and /proc/self shows its namespaces.
func notMain(f func()) {
	go func() {
		runtime.LockOSThread() // for ever: the thread ends with the goroutine
		if unix.Gettid() != os.Getpid() {
			f()
			return
		}
		passed := make(chan struct{})
		go func() { // while the first thread is held, this is another one
			runtime.LockOSThread()
			close(passed)
			f()
		}()
		<-passed
		runtime.UnlockOSThread()
	}()
}

// thread owns the lab's namespaces. Processes started by it are in them, and are killed by the
// kernel when it ends.
func (l *Lab) thread(ready chan<- error) {
	notMain(func() {
		defer close(l.done)
		err := l.world()
		ready <- err
		if err != nil {
			return
		}
		for f := range l.work {
			f()
		}
	})
}

// do runs f on the lab's thread.
func (l *Lab) do(f func() error) error {
	result := make(chan error, 1)
	l.work <- func() { result <- f() }
	return <-result
}

func (l *Lab) world() error {
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS | unix.CLONE_NEWNET); err != nil {
		return err
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", l.dir, "tmpfs", 0, "mode=755,size=64m"); err != nil {
		return err
	}
	group := filepath.Join(l.dir, "cgroup")
	if err := os.Mkdir(group, 0o755); err != nil {
		return err
	}
	if err := unix.Mount("cgroup2", group, "cgroup2", 0, ""); err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(group, l.id), 0o755); err != nil {
		return err
	}
	self := fmt.Sprintf("/proc/%d/task/%d", os.Getpid(), unix.Gettid())
	var err error
	if l.netns, err = os.Open(self + "/ns/net"); err != nil {
		return err
	}
	l.outside = self + "/root" + l.dir
	return ip("link set lo up",
		"link add "+publicBridge+" type bridge", "address add 10.77.255.254/16 dev "+publicBridge,
		"link set "+publicBridge+" up",
		"link add "+privateNet+" type bridge", "link set "+privateNet+" up")
}

// ip changes the networks of the calling thread's namespace.
func ip(lines ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "ip", "-batch", "-")
	cmd.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("ip %q: %w: %s", lines, err, out)
	}
	return nil
}

// Dir is a directory that goes away with the lab. It lives in memory and is small.
func (l *Lab) Dir() string { return l.outside }

// Node returns a node, counted from 0.
func (l *Lab) Node(i int) *Node { return l.nodes[i] }

// Nodes returns all nodes.
func (l *Lab) Nodes() []*Node { return l.nodes }

// Controller is the address of the machine that the tests run on, as the nodes see it.
func (l *Lab) Controller() string { return "10.77.255.254" }

// Start starts a program in the lab's networks; it sees the machine's files. It is killed when the
// test process ends.
func (l *Lab) Start(cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &unix.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = unix.SIGKILL
	return l.do(cmd.Start)
}

// DialContext opens a connection from the controller's place in the lab. The address must be
// numeric.
func (l *Lab) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	var conn net.Conn
	err := onThrowAwayThread(func() (err error) {
		if err := unix.Setns(int(l.netns.Fd()), unix.CLONE_NEWNET); err != nil {
			return err
		}
		conn, err = (&net.Dialer{}).DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// Listen opens a TCP port at the controller's place in the lab, at its address in the public
// network. The system picks the port.
func (l *Lab) Listen() (net.Listener, error) {
	var out net.Listener
	err := onThrowAwayThread(func() (err error) {
		if err := unix.Setns(int(l.netns.Fd()), unix.CLONE_NEWNET); err != nil {
			return err
		}
		out, err = net.Listen("tcp", l.Controller()+":0")
		return err
	})
	return out, err
}

// Wait waits until every node that is on answers SSH, and systemd has started everything.
func (l *Lab) Wait(ctx context.Context) error {
	errs := make([]error, len(l.nodes))
	var wg sync.WaitGroup
	for i, n := range l.nodes {
		if n.On() {
			wg.Go(func() { errs[i] = n.Wait(ctx) })
		}
	}
	wg.Wait()
	return errors.Join(errs...)
}

// close takes everything away.
func (l *Lab) close() {
	var wg sync.WaitGroup
	for _, n := range l.nodes {
		wg.Go(func() {
			n.Undelay()
			if err := n.PowerOff(); err != nil {
				l.t.Error(err)
			}
		})
	}
	wg.Wait()
	if err := clearGroup(filepath.Join(l.outside, "cgroup", l.id)); err != nil {
		l.t.Error(err)
	}
	close(l.work)
	<-l.done
	_ = l.netns.Close()
	// the lab's mounts go with its thread, a moment after its goroutine
	for range 500 {
		if err := os.Remove(l.dir); err == nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	l.t.Errorf("cannot remove %s", l.dir)
}

// clearGroup removes a control group and those below it. A group whose processes just died stays
// busy for a moment.
func clearGroup(dir string) error {
	var err error
	for range 500 {
		var below []string
		_ = filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				below = append(below, p)
			}
			return nil
		})
		for i := len(below) - 1; i >= 0; i-- {
			_ = unix.Rmdir(below[i])
		}
		if _, err = os.Stat(dir); errors.Is(err, os.ErrNotExist) {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return fmt.Errorf("cannot remove the control group %s: it has processes", dir)
}

// prefix begins the names of what a lab leaves when its process is killed; the owner's process id
// and start time follow.
const prefix = "deploy-nodes-"

// sweep removes what labs of processes that are no more have left: empty directories and control
// groups.
func sweep() {
	left, _ := filepath.Glob(filepath.Join(os.TempDir(), prefix+"*"))
	for _, dir := range left {
		if dead(filepath.Base(dir)) {
			_ = os.Remove(dir)
		}
	}
	_ = onThrowAwayThread(func() error {
		if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
			return err
		}
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return err
		}
		dir, err := os.MkdirTemp("", "deploy-sweep-")
		if err != nil {
			return err
		}
		defer func() { _ = os.Remove(dir) }()
		if err := unix.Mount("cgroup2", dir, "cgroup2", 0, ""); err != nil {
			return err
		}
		groups, _ := filepath.Glob(filepath.Join(dir, prefix+"*"))
		for _, g := range groups {
			if dead(filepath.Base(g)) {
				_ = clearGroup(g)
			}
		}
		return unix.Unmount(dir, 0)
	})
}

// dead tells whether the process that a name stands for has ended. A process id may have been given
// to another since.
func dead(name string) bool {
	f := strings.Split(strings.TrimPrefix(name, prefix), "-")
	if len(f) < 2 {
		return false
	}
	pid, err := strconv.Atoi(f[0])
	if err != nil {
		return false
	}
	start, err := startOf(pid)
	return errors.Is(err, os.ErrNotExist) || (err == nil && start != f[1])
}

// startOf is the start time of a process in clock ticks since the machine's boot (proc(5), field 22
// of stat).
func startOf(pid int) (string, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", err
	}
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if len(f) < 20 {
		return "", fmt.Errorf("cannot read the state of process %d", pid)
	}
	return f[19], nil
}
