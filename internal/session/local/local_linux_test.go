package local

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/internal/session"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// needsRoot skips a test that root alone can play; in CI that is a failure.
func needsRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("CI") != "" {
		t.Fatal("needs root")
	}
	t.Skip("needs root")
}

// until waits for something that another process does.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(60 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if done() {
			return
		}
	}
	t.Fatalf("waited in vain: %s", what)
}

func gone(pid string) bool {
	_, err := os.Stat("/proc/" + strings.TrimSpace(pid))
	if err == nil {
		stat, _ := os.ReadFile("/proc/" + strings.TrimSpace(pid) + "/stat")
		return strings.Contains(string(stat), ") Z ") // nobody has asked for its exit code
	}
	return true
}

// TestFacts: a machine is described by its files; one that cannot be understood is no machine we
// know.
func TestFacts(t *testing.T) {
	root := t.TempDir()
	put := func(name, text string) {
		must(t, os.MkdirAll(filepath.Dir(root+name), 0o755))
		must(t, os.WriteFile(root+name, []byte(text), 0o644))
	}
	put("/usr/lib/os-release", "ID=debian\nVERSION_ID=\"12\"\n")
	put("/proc/sys/kernel/random/boot_id", "1-2-3\n")
	put("/proc/1/stat", "1 (systemd) S 0 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 99 9 9\n")
	s := &Session{platform: platform{root: root}}
	f, err := s.open(t.Context())
	must(t, err)
	host, err := os.Hostname()
	must(t, err)
	if f.OS != "linux" || f.Release != node.Linux || f.Distro != "debian" || f.Version != "12" || f.BootID != "1-2-3-99" ||
		f.Init != "" || f.Computer != host || f.Privileged != (os.Geteuid() == 0) {
		t.Errorf("%+v", f)
	}
	must(t, os.MkdirAll(root+"/run/systemd/system", 0o755))
	put("/etc/os-release", "ID=rocky\nVERSION_ID=9.4\n") // stands before the other
	if f, err := s.open(t.Context()); err != nil || f.Init != "systemd" || f.Distro != "rocky" {
		t.Errorf("%+v", f)
	}
	put("/etc/os-release", "ID=$(reboot)\n")
	if _, err := s.open(t.Context()); err == nil {
		t.Error("nonsense was understood")
	}
}

// TestLimitEndsTheFamily: at its limit a program goes with all that it started, and so it does when
// nobody waits any more.
func TestLimitEndsTheFamily(t *testing.T) {
	s := open(t, Options{})
	for name, ask := range map[string]func(dir string) error{
		"limit": func(dir string) error {
			_, err := s.Run(t.Context(), node.Cmd{Argv: []string{"sh", "-c", "sleep 90 & echo $! >child; wait"}, Dir: dir,
				Timeout: time.Second})
			var c *node.CodeError
			if !errors.As(err, &c) || c.ID != idTimeout || c.Code != int64(syscall.ETIMEDOUT) {
				t.Errorf("%v", err)
			}
			return nil
		},
		"cancel": func(dir string) error {
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				defer cancel()
				until(t, "the child", func() bool { b, _ := os.ReadFile(dir + "/child"); return len(b) > 0 })
			}()
			_, err := s.Run(ctx, node.Cmd{Argv: []string{"sh", "-c", "sleep 90 & echo $! >child; wait"}, Dir: dir})
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%v", err)
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			must(t, ask(dir))
			pid, err := os.ReadFile(dir + "/child")
			must(t, err)
			until(t, "the child's end", func() bool { return gone(string(pid)) })
		})
	}
}

// TestJobOutlivesItsSession: another session finds it, and a second start does nothing.
func TestJobOutlivesItsSession(t *testing.T) {
	state, dir := filepath.Join(t.TempDir(), "jobs"), t.TempDir()
	first, err := Open(t.Context(), Options{Options: session.Options{Node: "n1"}, State: state})
	must(t, err)
	cmd := node.Cmd{Argv: []string{"sh", "-c",
		"echo once >>ran; while [ ! -e go ]; do sleep 0.05; done; echo done; exit 9"}, Dir: dir}
	var wg sync.WaitGroup
	for range 4 { // at the same time
		wg.Go(func() {
			if err := first.StartJob(t.Context(), "j", cmd); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	must(t, first.Close())
	s := open(t, Options{State: state})
	must(t, s.StartJob(t.Context(), "j", cmd))
	if st, err := s.Job(t.Context(), "j"); err != nil || st.Phase != node.JobRunning {
		t.Errorf("%+v %v", st, err)
	}
	must(t, os.WriteFile(dir+"/go", nil, 0o644))
	until(t, "the job's end", func() bool {
		st, err := s.Job(t.Context(), "j")
		must(t, err)
		return st == node.JobState{Phase: node.JobDone, Code: 9, Output: "done\n"}
	})
	if b, err := os.ReadFile(dir + "/ran"); err != nil || string(b) != "once\n" {
		t.Errorf("%q %v", b, err)
	}
	if fi, err := os.Stat(state); err != nil || fi.Mode().Perm() != 0o700 {
		t.Errorf("the state is open to others: %v %v", fi, err)
	}
}

// TestJobLost: a runner that was killed, or that ran before the last boot, left no exit code.
func TestJobLost(t *testing.T) {
	state := filepath.Join(t.TempDir(), "jobs")
	s := open(t, Options{State: state})
	phase := func(id string) node.JobPhase {
		st, err := s.Job(t.Context(), id)
		must(t, err)
		return st.Phase
	}
	must(t, s.StartJob(t.Context(), "killed", node.Cmd{Argv: []string{"sh", "-c", "echo $$; exec sleep 90"}}))
	until(t, "output", func() bool { st, err := s.Job(t.Context(), "killed"); must(t, err); return st.Output != "" })
	st, err := s.Job(t.Context(), "killed")
	must(t, err)
	program, err := strconv.Atoi(strings.TrimSpace(st.Output))
	must(t, err)
	pid, err := os.ReadFile(state + "/killed/pid")
	must(t, err)
	runner, err := strconv.Atoi(strings.Fields(string(pid))[0])
	must(t, err)
	must(t, syscall.Kill(runner, syscall.SIGKILL))
	until(t, "the loss", func() bool { return phase("killed") == node.JobLost })
	must(t, syscall.Kill(program, syscall.SIGKILL))

	must(t, s.StartJob(t.Context(), "boot", node.Cmd{Argv: []string{"sleep", "3"}}))
	file := state + "/boot/pid"
	was, err := os.ReadFile(file)
	must(t, err)
	must(t, os.WriteFile(file, []byte(strings.TrimSpace(string(was))+"0\n"), 0o600)) // process 1 of another start
	if p := phase("boot"); p != node.JobLost {
		t.Errorf("after a boot: %s", p)
	}
	must(t, os.WriteFile(file, was, 0o600))
	until(t, "its end", func() bool { return phase("boot") == node.JobDone })
	for _, id := range []string{"killed", "boot"} {
		if _, err := s.Do(t.Context(), node.JobRemove{ID: id}); err != nil {
			t.Error(err)
		}
	}
	if left, err := os.ReadDir(state); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

// bin makes programs that the session finds before the machine's own. Each notes how it was called.
func bin(t *testing.T, programs map[string]string) (log string) {
	t.Helper()
	dir := t.TempDir()
	log = dir + "/log"
	for name, body := range programs {
		must(t, os.WriteFile(dir+"/"+name, []byte("#!/bin/sh\necho \""+name+" $*\" >>"+log+"\n"+body+"\n"), 0o755))
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return log
}

// TestJobBelowSystemd: where systemd is, the job is a unit, and the program's arguments are not on
// systemd's command line, which it would expand.
func TestJobBelowSystemd(t *testing.T) {
	needsRoot(t) // only its jobs are units
	log := bin(t, map[string]string{"systemctl": "exit 0",
		"systemd-run": `while [ "$1" != /bin/sh ]; do shift; done; setsid "$@" & exit 0`})
	state := filepath.Join("/tmp", "deploy-test-"+strconv.Itoa(os.Getpid()))
	t.Cleanup(func() { _ = os.RemoveAll(state) })
	s := open(t, Options{State: state})
	f := s.Facts()
	f.Init = "systemd"
	s.SetFacts(f)
	must(t, s.StartJob(t.Context(), "u", node.Cmd{Argv: []string{"echo", "$HOME %n"}}))
	until(t, "its end", func() bool {
		st, err := s.Job(t.Context(), "u")
		must(t, err)
		return st == node.JobState{Phase: node.JobDone, Output: "$HOME %n\n"}
	})
	calls, err := os.ReadFile(log)
	must(t, err)
	if !strings.Contains(string(calls), "systemd-run --quiet --unit=deploy-job-u ") ||
		strings.Contains(string(calls), "HOME") {
		t.Errorf("%s", calls)
	}
	// a systemd that does not answer is no reason not to run the job
	bin(t, map[string]string{"systemctl": "exit 1", "systemd-run": "exit 1"})
	must(t, s.StartJob(t.Context(), "v", node.Cmd{Argv: []string{"true"}}))
	until(t, "its end", func() bool { st, err := s.Job(t.Context(), "v"); must(t, err); return st.Phase == node.JobDone })
}

// TestRestart: one restart is asked for, after the answer; one that is under way is what was
// wanted.
func TestRestart(t *testing.T) {
	needsRoot(t)
	for _, tc := range []struct {
		name, systemctl, scheduled string
		want                       string
	}{
		{"running", "echo running", "", "systemctl reboot"},
		{"stopping", `if [ "$1" = is-system-running ]; then echo stopping; exit 1; fi`, "", ""},
		{"soon", "echo running", "USEC=SOON000000\nWARN_WALL=1\nMODE=reboot\n", ""},
		{"much later", "echo running", "USEC=9999999999000000\nMODE=reboot\n", "systemctl reboot"},
		{"power off", "echo running", "USEC=SOON000000\nMODE=poweroff\n", "systemctl reboot"},
		{"no systemd", "", "", "shutdown -r now"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			log := bin(t, map[string]string{"systemctl": tc.systemctl, "shutdown": "exit 0", "reboot": "exit 0"})
			root := t.TempDir()
			s := open(t, Options{})
			s.platform.root = root
			if tc.systemctl != "" {
				must(t, os.MkdirAll(root+"/run/systemd/system", 0o755))
			}
			if tc.scheduled != "" {
				must(t, os.MkdirAll(root+"/run/systemd/shutdown", 0o755))
				soon := strconv.FormatInt(time.Now().Unix()+30, 10)
				must(t, os.WriteFile(root+"/run/systemd/shutdown/scheduled", []byte(strings.ReplaceAll(tc.scheduled, "SOON", soon)),
					0o644))
			}
			begun := time.Now()
			_, err := s.Do(t.Context(), node.Restart{Reason: "test"})
			must(t, err)
			if took := time.Since(begun); took > 1500*time.Millisecond && tc.want != "" {
				if b, _ := os.ReadFile(log); strings.Contains(string(b), tc.want) {
					t.Error("it did not answer before the restart")
				}
			}
			asked := func() bool { b, _ := os.ReadFile(log); return strings.Contains(string(b), tc.want) }
			if tc.want != "" {
				until(t, tc.want, asked)
				return
			}
			time.Sleep(2500 * time.Millisecond) // longer than a restart waits
			if b, _ := os.ReadFile(log); strings.Contains(string(b), "reboot") || strings.Contains(string(b), "shutdown -r") {
				t.Errorf("a second restart: %s", b)
			}
		})
	}
}

// TestFullDisk: there is a hint, and the old file stays.
func TestFullDisk(t *testing.T) {
	needsRoot(t)
	dir := t.TempDir()
	must(t, syscall.Mount("none", dir, "tmpfs", 0, "size=64k"))
	t.Cleanup(func() { must(t, syscall.Unmount(dir, 0)) })
	s := open(t, Options{})
	must(t, s.Write(t.Context(), dir+"/f", strings.NewReader("old"), node.WriteOptions{}))
	err := s.Write(t.Context(), dir+"/f", io.LimitReader(zeros{}, 1<<20), node.WriteOptions{})
	if code, ok := node.Code(err); !ok || code != int64(syscall.ENOSPC) || !strings.Contains(hint.Of(err), "free space") {
		t.Errorf("%v", err)
	}
	if b, err := os.ReadFile(dir + "/f"); err != nil || string(b) != "old" {
		t.Errorf("%q %v", b, err)
	}
	if left, _ := filepath.Glob(dir + "/*.tmp"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	must(t, syscall.Mount("none", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, "size=64k"))
	err = s.Write(t.Context(), dir+"/g", strings.NewReader("x"), node.WriteOptions{})
	if code, _ := node.Code(err); code != int64(syscall.EROFS) || errors.Is(err, node.ErrNotFound) {
		t.Errorf("%v", err)
	}
}

// TestAttributesStay: a file that takes another's place is for the same, in the eyes of SELinux,
// and of everybody who was given access to it. What is about the content alone is not taken over.
func TestAttributesStay(t *testing.T) {
	needsRoot(t)
	s := open(t, Options{})
	acl := "\x02\x00\x00\x00" + "\x01\x00\x06\x00\xff\xff\xff\xff" + "\x02\x00\x04\x00\xe8\x03\x00\x00" +
		"\x04\x00\x04\x00\xff\xff\xff\xff" + "\x10\x00\x04\x00\xff\xff\xff\xff" + "\x20\x00\x00\x00\xff\xff\xff\xff"
	want := map[string]string{
		"security.selinux":        "system_u:object_r:net_conf_t:s0\x00",
		"system.posix_acl_access": acl,
		"security.capability":     "\x01\x00\x00\x02\x00\x20\x00\x00" + strings.Repeat("\x00", 12), // cap_net_raw, effective
		"user.deploy":             "kept",
	}
	for _, o := range []node.WriteOptions{{}, {Owner: "root", Group: "root"}, {Owner: "1"}} {
		f := t.TempDir() + "/f"
		must(t, s.Write(t.Context(), f, strings.NewReader("old"), node.WriteOptions{}))
		for name, value := range want {
			if err := syscall.Setxattr(f, name, []byte(value), 0); errors.Is(err, syscall.ENOTSUP) {
				t.Skipf("this file system has no %s", name)
			} else {
				must(t, err)
			}
		}
		must(t, s.Write(t.Context(), f, strings.NewReader("new"), o))
		for name, value := range want {
			got := make([]byte, 100)
			n, err := syscall.Getxattr(f, name, got)
			if err != nil || string(got[:n]) != value {
				t.Errorf("%+v: %s: %q %v", o, name, got[:max(n, 0)], err)
			}
		}
	}
	for name, is := range map[string]bool{"security.ima": false, "security.evm": false, "trusted.overlay.opaque": false,
		"user.x": true, "security.SMACK64EXEC": true} {
		if kept(name) != is {
			t.Errorf("%s: %t", name, !is)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestBrokenSource: what cannot be read is not written.
func TestBrokenSource(t *testing.T) {
	s := open(t, Options{})
	dir := t.TempDir()
	r, w := io.Pipe()
	go func() {
		_, _ = w.Write(make([]byte, 5<<20))
		_ = w.CloseWithError(errors.New("the source broke"))
	}()
	if err := s.Write(t.Context(), dir+"/f", r, node.WriteOptions{}); err == nil ||
		!strings.Contains(err.Error(), "the source broke") {
		t.Errorf("%v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

// What is answered without a program is what the program answers.
func TestBuiltinIsReadlink(t *testing.T) {
	dir := t.TempDir()
	if err := errors.Join(os.Symlink("to a\nb", dir+"/link"), os.WriteFile(dir+"/file", nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir + "/link", dir + "/file", dir, dir + "/none", dir + "/file/below"} {
		argv := []string{"readlink", "-n", "--", path}
		out, err := exec.Command(argv[0], argv[1:]...).Output()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		code := int64(0)
		if exit != nil {
			code = int64(exit.ExitCode())
		}
		if row, ok := builtin(argv); !ok || row.Int("code") != code || string(row.Bytes("stdout")) != string(out) {
			t.Errorf("%s: %v, readlink ended with %d and said %q", path, row, code, out)
		}
	}
	if _, ok := builtin([]string{"readlink", "-f", "--", dir}); ok {
		t.Error("another form is answered without the program")
	}
}
