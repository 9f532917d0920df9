package linuxnodes

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// childName is argv[0] of the test program when it is a node's first process.
const childName = "deploy-nodelab-init"

// birth is what a node's first process is told on its command line.
type birth struct {
	Name      string
	Lower     string // the shared tree
	Disk      string // the directory with the node's own upper and work directories
	Addresses []string
	Gateway   string
	Systemd   bool
}

// Child turns this process into a node, if it was started to be one, and then never returns. Call
// it first in TestMain.
func Child() {
	if os.Args[0] != childName {
		return
	}
	runtime.LockOSThread() // the cgroup namespace is the thread's
	err := beNode()
	fmt.Fprintln(os.Stderr, "nodelab:", err)
	os.Exit(1)
}

func beNode() error {
	var b birth
	if err := json.Unmarshal([]byte(os.Args[1]), &b); err != nil {
		return err
	}
	// we were born inside our cgroup: the new namespace takes it as its root
	if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
		return fmt.Errorf("cannot have a cgroup namespace: %w", err)
	}
	if n, err := os.NewFile(3, "go").Read(make([]byte, 1)); n != 1 {
		return fmt.Errorf("the lab has gone: %w", err)
	}
	if err := cards(b); err != nil {
		return err
	}
	if err := root(b); err != nil {
		return err
	}
	if err := unix.Sethostname([]byte(b.Name)); err != nil {
		return err
	}
	// a node must not set the machine's clock or load its modules; rebooting is its own affair
	for _, c := range []uintptr{unix.CAP_SYS_TIME, unix.CAP_SYS_MODULE, unix.CAP_SYS_RAWIO, unix.CAP_WAKE_ALARM} {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil {
			return fmt.Errorf("cannot drop capability %d: %w", c, err)
		}
	}
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return err
	}
	env := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "container=deploy-lab",
		"LANG=C.UTF-8"}
	if b.Systemd {
		return unix.Exec("/sbin/init", []string{"/sbin/init", "--log-target=journal"}, env)
	}
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
		return err
	}
	return unix.Exec("/usr/sbin/sshd", []string{"/usr/sbin/sshd", "-D", "-e"}, env)
}

// cards gives the node's cards their addresses, with the machine's own ip while it can still be
// seen.
func cards(b birth) error {
	lines := []string{"link set lo up"}
	for i, a := range b.Addresses {
		lines = append(lines, fmt.Sprintf("address add %s dev eth%d", a, i), fmt.Sprintf("link set eth%d up", i))
	}
	lines = append(lines, "route add default via "+b.Gateway)
	cmd := exec.Command("ip", "-batch", "-")
	cmd.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot set up the cards: %w: %s", err, out)
	}
	return nil
}

type mount struct {
	source, target, kind string
	flags                uintptr
	data                 string
}

func root(b birth) error {
	top := filepath.Join(b.Disk, "root")
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	const quiet = unix.MS_NOSUID | unix.MS_NOEXEC | unix.MS_NODEV
	mounts := []mount{
		{"overlay", ".", "overlay", 0, fmt.Sprintf("lowerdir=%s,upperdir=%s/upper,workdir=%[2]s/work", b.Lower, b.Disk)},
		{"proc", "proc", "proc", quiet, ""},
		{"sysfs", "sys", "sysfs", quiet | unix.MS_RDONLY, ""},
		{"tmpfs", "dev", "tmpfs", unix.MS_NOSUID, "mode=755,size=64k"},
		{"devpts", "dev/pts", "devpts", unix.MS_NOSUID | unix.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=620,gid=5"},
		{"tmpfs", "dev/shm", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=1777,size=64m"},
		{"mqueue", "dev/mqueue", "mqueue", quiet, ""},
		{"tmpfs", "run", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=755,size=64m"},
		{"tmpfs", "tmp", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=1777,size=64m"},
		// a node's sysctl would change the kernel that all share, but for its own network's; the same
		// holds for the magic key
		{"proc/sys", "proc/sys", "", unix.MS_BIND, ""},
		{"", "proc/sys", "", unix.MS_REMOUNT | unix.MS_BIND | unix.MS_RDONLY | quiet, ""},
		{"proc/sys/net", "proc/sys/net", "", unix.MS_BIND, ""},
		{"", "proc/sys/net", "", unix.MS_REMOUNT | unix.MS_BIND | quiet, ""},
		{"dev/null", "proc/sysrq-trigger", "", unix.MS_BIND, ""},
	}
	if b.Systemd {
		mounts = append(mounts, mount{"cgroup2", "sys/fs/cgroup", "cgroup2", quiet, ""})
	}
	for _, m := range mounts {
		if m.target == "dev/pts" {
			if err := devices(filepath.Join(top, "dev")); err != nil {
				return err
			}
		}
		if m.flags&unix.MS_BIND != 0 && m.source != "" {
			m.source = filepath.Join(top, m.source)
		}
		err := unix.Mount(m.source, filepath.Join(top, m.target), m.kind, m.flags, m.data)
		if m.target == "proc/sysrq-trigger" && errors.Is(err, unix.ENOENT) {
			continue // a kernel without the key
		}
		if err != nil {
			return fmt.Errorf("cannot mount %s: %w", m.target, err)
		}
	}
	if err := os.Chdir(top); err != nil {
		return err
	}
	// the old root goes below the new one, and is let go of from there
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("cannot change the root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return err
	}
	return os.Chdir("/")
}

func devices(dev string) error {
	for _, d := range []struct {
		name         string
		major, minor uint32
	}{{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0},
		{"fuse", 10, 229}} {
		p := filepath.Join(dev, d.name)
		if err := unix.Mknod(p, unix.S_IFCHR|0o666, int(unix.Mkdev(d.major, d.minor))); err != nil {
			return fmt.Errorf("cannot make %s: %w", p, err)
		}
		if err := os.Chmod(p, 0o666); err != nil {
			return err
		}
	}
	for _, d := range []string{"pts", "shm", "mqueue"} {
		if err := os.Mkdir(filepath.Join(dev, d), 0o755); err != nil {
			return err
		}
	}
	for name, to := range map[string]string{"ptmx": "pts/ptmx", "fd": "/proc/self/fd", "stdin": "/proc/self/fd/0",
		"stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2"} {
		if err := os.Symlink(to, filepath.Join(dev, name)); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(dev, "console"), nil, 0o600)
}
