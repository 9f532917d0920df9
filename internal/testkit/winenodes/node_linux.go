package winenodes

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Node is a machine: a prefix of its own under a host name of its own, with its Wine server
// running, behind a real OpenSSH server on loopback.
type Node struct {
	Name    string // computer name
	Port    int    // of its SSH server, on 127.0.0.1
	HostKey string // "SHA256:..."

	lab   *Lab
	dir   string
	view  view
	guard *exec.Cmd // holds the namespaces
	init  int       // process 1 of the node, as this machine numbers it
	sshd  *exec.Cmd
	log   bytes.Buffer
}

// startTime bounds the start of a node on a loaded machine.
const startTime = 3 * time.Minute

// Fleet starts nodes NAME1, NAME2 ... at the same time, all of which accept one key. The caller
// stops each, also after an error.
func (l *Lab) Fleet(ctx context.Context, prefix string, count int) (nodes []*Node, keyFile string, err error) {
	keyFile = filepath.Join(l.dir, "id")
	if err := runQuietly(exec.CommandContext(ctx, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f",
		keyFile)); err != nil {
		return nil, "", err
	}
	var group sync.WaitGroup
	errs := make([]error, count)
	nodes = make([]*Node, count)
	for i := range nodes {
		n := &Node{Name: prefix + strconv.Itoa(i+1), lab: l, dir: filepath.Join(l.dir, prefix+strconv.Itoa(i+1))}
		nodes[i] = n
		group.Go(func() { errs[i] = n.start(ctx, keyFile) })
	}
	group.Wait()
	return nodes, keyFile, errors.Join(errs...)
}

func (n *Node) start(ctx context.Context, keyFile string) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	if err := os.MkdirAll(n.dir, 0o755); err != nil {
		return err
	}
	if err := makeUpper(n.dir); err != nil {
		return err
	}
	n.view = view{base: n.lab.base, prefix: n.lab.prefix, upper: n.dir, layers: []string{n.lab.over}, noZ: true}
	if err := n.boot(); err != nil {
		return fmt.Errorf("cannot start node %s: %w", n.Name, err)
	}
	if err := n.serve(ctx, keyFile); err != nil {
		return fmt.Errorf("cannot start the SSH server of node %s: %w", n.Name, err)
	}
	return nil
}

// ready is what a node prints when Wine is up in it.
const ready = "the node is up"

// boot starts the node's processes. The shell that is process 1 in it takes in whatever loses its
// parent.
func (n *Node) boot() error {
	script := "/usr/lib/wine/wineserver64 -p && " + wineLoader + " wineboot && echo '" + ready + "'"
	inner := append([]string{"chroot", "--userspec=" + user + ":" + group, n.lab.tree, "/usr/bin/env", "-i"},
		environment()...)
	inner = append(inner, "/bin/sh", "-c", script)
	outer := append([]string{"--mount", "--uts", "--pid", "--fork", "--kill-child", "--", "/bin/sh", "-c",
		n.view.mounts() + "hostname '" + n.Name + "'\n" + "\"$@\"\nwhile sleep 5; do :; done", "sh"}, inner...)
	n.guard = exec.Command("unshare", outer...)
	guarded(n.guard)
	out, err := n.guard.StdoutPipe()
	if err != nil {
		return err
	}
	n.guard.Stderr = &n.log
	if err := n.guard.Start(); err != nil {
		return err
	}
	up := make(chan bool, 1)
	go func() {
		sc := bufio.NewScanner(out)
		up <- sc.Scan() && sc.Text() == ready
		_, _ = io.Copy(io.Discard, out)
	}()
	select {
	case ok := <-up:
		if !ok {
			return errors.New("there is no Wine server in it")
		}
	case <-time.After(startTime):
		return errors.New("its Wine did not come up in time")
	}
	return n.findInit()
}

// findInit finds the node's process 1: the only child of the process that holds the namespaces.
func (n *Node) findInit() error {
	pid := n.guard.Process.Pid
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return err
	}
	n.init, err = strconv.Atoi(strings.TrimSpace(string(b)))
	return err
}

// enter is a command line that runs a program in the node as its user; what follows it is the
// program.
func (n *Node) enter() []string {
	words := []string{"nsenter", "--target", strconv.Itoa(n.init), "--mount", "--uts", "--pid", "--", "chroot",
		"--userspec=" + user + ":" + group, n.lab.tree,
		"/usr/bin/env", "-i", "--chdir=/wine/drive_c"}
	return append(words, environment()...)
}

// Run runs a Windows program in the node, past the SSH server, and returns what it printed. Its
// exit code is cut to eight bits.
func (n *Node) Run(ctx context.Context, program string, args ...string) (string, error) {
	argv := append(n.enter(), append([]string{wineLoader, program}, args...)...)
	out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput()
	return string(out), err
}

// serve starts the node's SSH server. Each login's command is run by the tier's own program on the
// Windows side, which gets the text untouched: a Unix shell in between would rewrite its quotes.
func (n *Node) serve(ctx context.Context, keyFile string) error {
	sshd, err := exec.LookPath("sshd")
	if err != nil {
		sshd = "/usr/sbin/sshd"
	}
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
		return err
	}
	host := filepath.Join(n.dir, "host")
	if err := runQuietly(exec.CommandContext(ctx, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", host)); err != nil {
		return err
	}
	line, err := exec.CommandContext(ctx, "ssh-keygen", "-l", "-f", host+".pub").Output()
	if err != nil {
		return err
	}
	n.HostKey = strings.Fields(string(line))[1]
	key, err := os.ReadFile(keyFile + ".pub")
	if err != nil {
		return err
	}
	entry := filepath.Join(n.dir, "login")
	words := n.enter()
	for i, w := range words {
		words[i] = "'" + w + "'"
	}
	script := "#!/bin/sh\nwhat=shell\ncase \"$SSH_ORIGINAL_COMMAND\" in internal-sftp|*sftp-server) what=sftp ;; " +
		"esac\nexec " + strings.Join(words, " ") +
		" \"SSH_ORIGINAL_COMMAND=$SSH_ORIGINAL_COMMAND\" " + wineLoader + " 'C:\\side.exe' \"$what\"\n"
	port, err := freePort()
	if err != nil {
		return err
	}
	n.Port = port
	// the banner tells a client that Windows is behind it, as that of Windows' own server does
	config := fmt.Sprintf("Port %d\nListenAddress 127.0.0.1\nHostKey %s\nAuthorizedKeysFile %s\nPermitRootLogin "+
		"prohibit-password\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"+
		"UsePAM no\nUseDNS no\nStrictModes no\nPidFile none\nPrintMotd no\nDebianBanner no\nVersionAddendum "+
		"Windows\nMaxSessions 50\nMaxStartups 50\nSubsystem sftp internal-sftp\nForceCommand %s\n",
		n.Port, host, filepath.Join(n.dir, "authorized"), entry)
	for file, content := range map[string]string{entry: script, filepath.Join(n.dir, "authorized"): string(key),
		filepath.Join(n.dir, "sshd_config"): config} {
		if err := os.WriteFile(file, []byte(content), 0o755); err != nil {
			return err
		}
	}
	n.sshd = exec.Command(sshd, "-D", "-e", "-f", filepath.Join(n.dir, "sshd_config"))
	guarded(n.sshd)
	logFile, err := os.Create(filepath.Join(n.dir, "sshd.log"))
	if err != nil {
		return err
	}
	defer func() { _ = logFile.Close() }()
	n.sshd.Stderr = logFile
	if err := n.sshd.Start(); err != nil {
		return err
	}
	for ctx.Err() == nil {
		c, err := net.DialTimeout("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(n.Port)), time.Second)
		if err == nil {
			return c.Close()
		}
		time.Sleep(20 * time.Millisecond)
	}
	return ctx.Err()
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

// Stop ends the node and everything that runs in it.
func (n *Node) Stop() error {
	var errs []error
	for _, cmd := range []*exec.Cmd{n.sshd, n.guard} {
		if cmd == nil || cmd.Process == nil {
			continue
		}
		if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			errs = append(errs, err)
		}
		_ = cmd.Wait() // its end by our signal is no news
	}
	n.sshd, n.guard = nil, nil
	return errors.Join(errs...)
}
