package shell

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"deploy/internal/node"
	"deploy/internal/secret"
	"deploy/internal/session"
	"deploy/internal/testkit/linuxnodes"
	"deploy/transport"
	"deploy/transport/ssh"
)

// logon opens a session on a real node. A machine that has just booted may need some tries.
func logon(t *testing.T, l *linuxnodes.Lab, n *linuxnodes.Node, user string, opts Options) *Session {
	t.Helper()
	d := ssh.New(ssh.Options{Home: t.TempDir(), Net: l.DialContext})
	t.Cleanup(func() { _ = d.Close() })
	opts.Node, opts.Credentials = n.Name, credentials()
	target := transport.Target{Node: n.Name, Transport: "ssh", Address: n.Addr, Port: 22, User: user, Timeout: time.Minute,
		SSH: transport.SSH{KeyFiles: []string{l.Key()}, Fingerprints: []string{n.Fingerprint()}, KeepAlive: 5 * time.Second}}
	var err error
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		var c transport.Conn
		if c, err = d.Dial(t.Context(), target); err != nil {
			continue
		}
		s, err := Open(t.Context(), c, opts)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	t.Fatal(err)
	return nil
}

// until waits for the phase of a job.
func until(t *testing.T, s *Session, id string, want node.JobPhase) node.JobState {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		st, err := s.Job(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if st.Phase == want {
			return st
		}
		if time.Now().After(end) {
			t.Fatalf("job %s: %+v, want %s", id, st, want)
		}
	}
}

// TestTierNodesJobs: below a real systemd a job is a unit outside the logon's scope. It outlives
// the link, its exit code outlives a restart of the machine, and one that the restart cut off is
// lost.
func TestTierNodesJobs(t *testing.T) {
	linuxnodes.Tier(t, "nodes")
	l := linuxnodes.New(t, linuxnodes.Options{Systemd: 1})
	must(t, l.Wait(t.Context()))
	n := l.Node(0)
	s := logon(t, l, n, "root", Options{})
	before := s.Facts()
	if before.Init != "systemd" || before.Distro != "debian" || !before.Privileged || before.Computer != n.Name {
		t.Errorf("%+v", before)
	}
	long := node.Cmd{Argv: []string{"sh", "-c", "while [ ! -e go ]; do sleep 0.1; done; echo went $0; exit 7", "$HOME %n"},
		Dir: "/root"}
	must(t, s.StartJob(t.Context(), "long", long))
	must(t, s.StartJob(t.Context(), "cut", node.Cmd{Argv: []string{"sleep", "600"}}))
	must(t, s.StartJob(t.Context(), "as", node.Cmd{Argv: []string{"sh", "-c", "id -un; id -Gn; echo $HOME; touch " +
		"/root/x || echo no"}, As: "daemon"}))
	if st := until(t, s, "as", node.JobDone); st.Code != 0 ||
		!strings.HasPrefix(st.Output, "daemon\ndaemon\n/usr/sbin\n") || !strings.HasSuffix(st.Output, "no\n") {
		t.Errorf("%+v", st)
	}
	res, err := s.Run(t.Context(), node.Cmd{Argv: []string{"systemctl", "is-active", "deploy-job-long.service",
		"deploy-job-cut.service"}})
	if err != nil || string(res.Stdout) != "active\nactive\n" {
		t.Errorf("%s%s %v", res.Stdout, res.Stderr, err)
	}
	must(t, s.Close())

	s = logon(t, l, n, "root", Options{})
	if st, err := s.Job(t.Context(), "long"); err != nil || st.Phase != node.JobRunning {
		t.Errorf("%+v %v", st, err)
	}
	must(t, s.StartJob(t.Context(), "long", long)) // is the same job
	must(t, s.Write(t.Context(), "/root/go", strings.NewReader(""), node.WriteOptions{}))
	if st := until(t, s, "long", node.JobDone); st.Code != 7 || st.Output != "went $HOME %n\n" {
		t.Errorf("%+v", st)
	}

	boots := n.Boots()
	_, err = s.Do(t.Context(), node.Restart{Reason: "test"})
	must(t, err)
	wait(t, "the restart", func() bool { return n.Boots() > boots })
	must(t, n.WaitSSH(t.Context()))
	s = logon(t, l, n, "root", Options{})
	if after := s.Facts(); after.BootID == before.BootID {
		t.Errorf("another boot has the same id, %s", after.BootID)
	}
	if st, err := s.Job(t.Context(), "long"); err != nil || st.Phase != node.JobDone || st.Code != 7 {
		t.Errorf("after the restart: %+v %v", st, err)
	}
	if st, err := s.Job(t.Context(), "cut"); err != nil || st.Phase != node.JobLost {
		t.Errorf("after the restart: %+v %v", st, err)
	}
	for _, id := range []string{"long", "cut", "as"} {
		if _, err := s.Do(t.Context(), node.JobRemove{ID: id}); err != nil {
			t.Error(err)
		}
	}
	if rows, err := s.Query(t.Context(), node.Dir{Path: "/var/lib/deploy/jobs"}); err != nil || len(rows) > 0 {
		t.Errorf("left behind: %v %v", rows, err)
	}
}

func wait(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if done() {
			return
		}
	}
	t.Fatalf("waited in vain: %s", what)
}

// TestTierNodesSudo: by real sudo, with a password and without, and refused once where the password
// is wrong.
func TestTierNodesSudo(t *testing.T) {
	linuxnodes.Tier(t, "nodes")
	l := linuxnodes.New(t, linuxnodes.Options{Plain: 1})
	must(t, l.Wait(t.Context()))
	n := l.Node(0)
	for _, tc := range []struct{ name, user, password string }{
		{"no password needed", "admin", ""}, {"no password needed, one given", "admin", "nonsense"},
		{"password", "operator", linuxnodes.OperatorPassword},
	} {
		t.Run(tc.name, func(t *testing.T) {
			opts := Options{Sudo: true}
			if tc.password != "" {
				opts.SudoPassword = secret.New(tc.password)
			}
			s := logon(t, l, n, tc.user, opts)
			if !s.Facts().Privileged {
				t.Error("not root")
			}
			res, err := s.Run(t.Context(), node.Cmd{Argv: []string{"sh", "-c", "id -un; cat"}, Stdin: []byte("in")})
			if err != nil || string(res.Stdout) != "root\nin" || len(res.Stderr) > 0 {
				t.Errorf("%q %q %v", res.Stdout, res.Stderr, err)
			}
			must(t, s.Write(t.Context(), "/etc/of-root", strings.NewReader("text"), node.WriteOptions{Mode: 0o600}))
			if fi, err := s.Stat(t.Context(), "/etc/of-root"); err != nil || fi.Owner != "root" || fi.Mode != 0o600 {
				t.Errorf("%+v %v", fi, err)
			}
			must(t, s.Prefetch(t.Context(), []node.Query{node.FileHash{Path: "/etc/of-root"}}))
			if rows, err := s.Query(t.Context(), node.FileHash{Path: "/etc/of-root"}); err != nil || rows[0].Int("size") != 4 {
				t.Errorf("%v %v", rows, err)
			}
			if _, err := s.Run(t.Context(), node.Cmd{Argv: []string{"sleep", "600"}, Timeout: time.Second}); !isTimeout(err) {
				t.Error(err)
			}
			wait(t, "the end of what had no time left", func() bool {
				out, err := n.Exec(t.Context(), "pgrep", "-cx", "sleep")
				return err != nil || strings.TrimSpace(out) == "0"
			})
			must(t, s.StartJob(t.Context(), tc.user, node.Cmd{Argv: []string{"id", "-un"}}))
			if st := until(t, s, tc.user, node.JobDone); st.Output != "root\n" {
				t.Errorf("%+v", st)
			}
			if _, err := s.Do(t.Context(), node.JobRemove{ID: tc.user}); err != nil {
				t.Error(err)
			}
		})
	}
	for _, tc := range []struct{ name, password string }{{"wrong", "nonsense"}, {"none", ""}} {
		t.Run(tc.name+" password", func(t *testing.T) {
			d := ssh.New(ssh.Options{Home: t.TempDir(), Net: l.DialContext})
			defer d.Close()
			c, err := d.Dial(t.Context(), transport.Target{Node: n.Name, Transport: "ssh", Address: n.Addr, Port: 22,
				User: "operator", Timeout: time.Minute,
				SSH: transport.SSH{KeyFiles: []string{l.Key()}, Fingerprints: []string{n.Fingerprint()}}})
			must(t, err)
			opts := Options{Options: session.Options{Node: n.Name}, Sudo: true}
			if tc.password != "" {
				opts.SudoPassword = secret.New(tc.password)
			}
			if _, err := Open(t.Context(), c, opts); !errors.Is(err, node.ErrAuth) {
				t.Errorf("%v", err)
			}
		})
	}
	t.Run("an ordinary user", func(t *testing.T) {
		s := logon(t, l, n, "operator", Options{})
		if s.Facts().Privileged {
			t.Error("root")
		}
		err := s.Write(t.Context(), "/etc/mine", strings.NewReader("x"), node.WriteOptions{})
		if code, _ := node.Code(err); code != 13 || errors.Is(err, node.ErrNotFound) {
			t.Errorf("%v", err)
		}
		err = s.StartJob(t.Context(), "as", node.Cmd{Argv: []string{"true"}, As: "daemon"})
		if code, _ := node.Code(err); code != 1 {
			t.Errorf("%v", err)
		}
		if _, err := s.Do(t.Context(), node.Restart{}); err == nil {
			t.Error("an ordinary user restarts the machine")
		}
		must(t, s.StartJob(t.Context(), "own", node.Cmd{Argv: []string{"id", "-un"}}))
		if st := until(t, s, "own", node.JobDone); st.Output != "operator\n" {
			t.Errorf("%+v", st)
		}
	})
}

func isTimeout(err error) bool {
	var c *node.CodeError
	return errors.As(err, &c) && c.ID == "deploy.Timeout"
}

// TestTierNodesFullDisk: a full disk and a read-only root are told as what they are, and old
// content stays.
func TestTierNodesFullDisk(t *testing.T) {
	linuxnodes.Tier(t, "nodes")
	l := linuxnodes.New(t, linuxnodes.Options{Plain: 1})
	must(t, l.Wait(t.Context()))
	n := l.Node(0)
	s := logon(t, l, n, "root", Options{})
	must(t, s.Write(t.Context(), "/etc/f", strings.NewReader("old"), node.WriteOptions{}))
	must(t, n.FillDisk())
	err := s.Write(t.Context(), "/etc/f", strings.NewReader(strings.Repeat("new", 1<<20)), node.WriteOptions{})
	if code, _ := node.Code(err); code != 28 {
		t.Errorf("%v", err)
	}
	must(t, n.FreeDisk())
	must(t, n.ReadOnlyRoot(t.Context(), true))
	err = s.Write(t.Context(), "/etc/f", strings.NewReader("new"), node.WriteOptions{})
	if code, _ := node.Code(err); code != 30 {
		t.Errorf("%v", err)
	}
	must(t, n.ReadOnlyRoot(context.Background(), false))
	if got, err := n.Read("/etc/f"); err != nil || got != "old" {
		t.Errorf("%q %v", got, err)
	}
	must(t, s.Write(t.Context(), "/etc/f", strings.NewReader("new"), node.WriteOptions{}))
}

// busyboxShell is a login shell in a root of its own that has busybox and nothing else, as Alpine
// has it. The mounts go with the shell.
const busyboxShell = `#!/bin/sh
exec unshare -m --propagation private sh -c 'mount --bind /tmp ROOT/tmp && mount -t proc proc ROOT/proc && mount --bind /dev ROOT/dev && exec chroot ROOT /bin/sh "$@"' sh "$@"
`

// TestTierNodesBusybox: a machine without GNU's programs gives the same answers.
func TestTierNodesBusybox(t *testing.T) {
	linuxnodes.Tier(t, "nodes")
	if os.Getuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("a root of its own needs root")
		}
		t.Skip("a root of its own needs root")
	}
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Fatal("no busybox: run scripts/test-deps")
	}
	root := t.TempDir()
	for _, dir := range []string{"bin", "etc", "proc", "dev", "tmp"} {
		must(t, os.Mkdir(root+"/"+dir, 0o755))
	}
	for from, to := range map[string]string{busybox: "/bin/busybox", "/etc/passwd": "/etc/passwd",
		"/etc/group": "/etc/group", "/etc/os-release": "/etc/os-release", "/etc/machine-id": "/etc/machine-id"} {
		data, err := os.ReadFile(from)
		if from == "/etc/machine-id" && errors.Is(err, fs.ErrNotExist) {
			continue // a container may have none; then neither session has one to tell
		}
		must(t, err)
		mode := os.FileMode(0o644)
		if from == busybox {
			mode = 0o755
		}
		must(t, os.WriteFile(root+to, data, mode))
	}
	list, err := exec.Command(busybox, "--list").Output()
	must(t, err)
	for _, name := range strings.Fields(string(list)) {
		if name != "busybox" {
			must(t, os.Symlink("busybox", root+"/bin/"+name))
		}
	}
	shell := filepath.Join(t.TempDir(), "sh")
	must(t, os.WriteFile(shell, []byte(strings.ReplaceAll(busyboxShell, "ROOT", root)), 0o755))
	compare(t, func(*testing.T) transport.Conn {
		m := newMachine()
		m.shell = shell
		return m
	})
}
