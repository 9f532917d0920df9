//go:build linux

package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// screen is the program on a terminal of its own, with all that it wrote there.
type screen struct {
	t      *testing.T
	cmd    *exec.Cmd
	master *os.File
	ended  chan struct{}

	mu   sync.Mutex
	text bytes.Buffer
}

// terminal starts the program on a pseudo terminal. What is written to the master is what a person
// types: \x03 is Ctrl-C.
func terminal(t *testing.T, dir string, cols uint16, args ...string) *screen {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skip("there are no pseudo terminals here: ", err)
	}
	t.Cleanup(func() { _ = master.Close() })
	fd := int(master.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 40, Col: cols}); err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := &screen{t: t, master: master, ended: make(chan struct{}), cmd: exec.CommandContext(t.Context(), exe, args...)}
	s.cmd.Dir = dir
	s.cmd.Env = append(os.Environ(), asProgram+"=1", "NO_COLOR=1", "TERM=xterm", "DEPLOY_PASSWORD="+password)
	s.cmd.Stdin, s.cmd.Stdout, s.cmd.Stderr = slave, slave, slave
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = slave.Close()
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := master.Read(buf)
			s.mu.Lock()
			s.text.Write(buf[:n])
			s.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	go func() { _ = s.cmd.Wait(); close(s.ended) }()
	return s
}

func (s *screen) said() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// await waits until the program has written text.
func (s *screen) await(text string) {
	s.t.Helper()
	for end := time.Now().Add(30 * time.Second); !strings.Contains(s.said(), text); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("it did not say %q:\n%s", text, s.said())
		}
	}
}

func (s *screen) types(text string) {
	s.t.Helper()
	if _, err := s.master.WriteString(text); err != nil {
		s.t.Fatal(err)
	}
}

// leaves waits for the program's end and returns its exit code.
func (s *screen) leaves() int {
	s.t.Helper()
	select {
	case <-s.ended:
	case <-time.After(30 * time.Second):
		s.t.Fatalf("it did not leave:\n%s", s.said())
	}
	return s.cmd.ProcessState.ExitCode()
}

const smallSite = `site: first
playbook: ./book.yaml
credentials:
  admin: {username: 'CONTOSO\deploy', password: {%s}}
inventory:
  defaults: {transport: winrm, credential: admin}
  nodes: [{name: srv1, address: 127.0.0.1, port: 10000, roles: [server]}]
lab: {os: '2008', domain: contoso.com}
`

const smallBook = `playbook: small
roles: {server: {min: 1}}
phases:
  - id: time
    title: Set up the time service
    steps:
      - id: source
        uses: registry
        on: role.server
        with: {key: 'HKLM\SYSTEM\CurrentControlSet\Services\W32Time\Parameters', name: NtpServer, type: string, data: 'dc01,0x9'}
      - id: hand
        uses: gate
        on: role.server
        with: {title: Look at the clock, text: It must be right., report: 'C:\report.txt'}
`

func smallDir(t *testing.T, secret string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"site.yaml": fmt.Sprintf(smallSite, secret), "book.yaml": smallBook} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// The first Ctrl-C is answered wherever the program is, and nothing was done then.
func TestCtrlCBeforeARun(t *testing.T) {
	// somebody who takes every call and never says a word
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	for _, c := range []struct {
		name, secret string
		args         []string
		upTo         string
	}{
		{"plan that waits for a machine", "env: DEPLOY_PASSWORD", []string{"plan", "site.yaml"}, ""},
		{"first look of apply", "env: DEPLOY_PASSWORD", []string{"apply", "--auto-approve", "site.yaml"}, "run 2"},
		{"question of apply", "env: DEPLOY_PASSWORD", []string{"apply", "--lab", "site.yaml"}, "Only yes is accepted:"},
		{"question for a secret", "prompt: Which password", []string{"plan", "--lab", "site.yaml"}, "Which password:"},
		{"secret that takes long", "command: [sleep, '60']", []string{"plan", "--lab", "site.yaml"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := smallDir(t, c.secret)
			b := &bench{t: t, site: filepath.Join(dir, "site.yaml"), env: append(os.Environ(), asProgram+"=1")}
			b.edit(replace(t, "port: 10000", fmt.Sprintf("port: %d", silent.Addr().(*net.TCPAddr).Port)))
			s := terminal(t, dir, 100, c.args...)
			if c.upTo == "" {
				time.Sleep(700 * time.Millisecond) // it waits for something that is not written anywhere
			}
			s.await(c.upTo)
			s.types("\x03")
			if code := s.leaves(); code != 1 {
				t.Errorf("exit %d\n%s", code, s.said())
			}
			if strings.Contains(c.secret, "command") {
				return // the terminal tells that program, too, and who of both is heard first is open
			}
			s.await("interrupted before any change")
			if strings.Contains(s.said(), "error:") {
				t.Errorf("it calls that an error:\n%s", s.said())
			}
			for _, where := range [][]string{{"history", b.site}, {"history", "--lab", b.site}} {
				if r := b.must(0, where...); strings.Contains(r.out, "begin") {
					t.Errorf("something was done:\n%s", r.out)
				}
			}
		})
	}
}

// The second Ctrl-C leaves at once, whatever holds the first one up.
func TestSecondCtrlC(t *testing.T) {
	s := terminal(t, smallDir(t, "env: DEPLOY_PASSWORD"), 100, "apply", "--lab", "--auto-approve", "--lab-delay", "200ms",
		"site.yaml")
	s.await("== time")
	s.types("\x03")
	s.await("Ctrl-C again to exit immediately")
	s.types("\x03")
	if code := s.leaves(); code != 130 {
		t.Errorf("exit %d\n%s", code, s.said())
	}
	s.await("the outcome of the current steps is unknown")
}

// At a gate, Ctrl-C stops the run in order: the journal has its end, and the step that was done
// stays done.
func TestCtrlCAtAGate(t *testing.T) {
	dir := smallDir(t, "env: DEPLOY_PASSWORD")
	s := terminal(t, dir, 100, "apply", "--lab", "--auto-approve", "site.yaml")
	s.await("press Enter to skip:")
	s.types("\x03")
	if code := s.leaves(); code != 1 {
		t.Errorf("exit %d\n%s", code, s.said())
	}
	s.await("stopped by user: 1 of 2 tasks")
	b := &bench{t: t, site: filepath.Join(dir, "site.yaml"), env: append(os.Environ(), asProgram+"=1")}
	if r := b.must(0, "status", "--lab", b.site); !strings.Contains(r.out, "stopped") {
		t.Errorf("status:\n%s", r.out)
	}
}

// SIGTERM is a Ctrl-C, and the lab's machines are put away by it.
func TestLabUpEnds(t *testing.T) {
	s := terminal(t, smallDir(t, "env: DEPLOY_PASSWORD"), 100, "lab", "up", "site.yaml")
	s.await("is running. Other commands use it")
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := s.leaves(); code != 0 {
		t.Errorf("exit %d\n%s", code, s.said())
	}
}

// On a terminal the plan is shown and asked about, the live lines stay within its width (a terminal
// that has none counts as 80 columns wide), and a question stands on a line that nothing else is
// drawn over.
func TestTerminal(t *testing.T) {
	for _, cols := range []uint16{0, 60, 100} {
		t.Run(fmt.Sprint(cols), func(t *testing.T) {
			s := terminal(t, smallDir(t, "env: DEPLOY_PASSWORD"), cols, "apply", "--lab", "--lab-delay", "30ms", "site.yaml")
			s.await("Only yes is accepted: ")
			s.types("yes\n")
			s.await("press Enter to skip: ")
			before := s.said()
			time.Sleep(600 * time.Millisecond) // two rounds of the clock that redraws
			if after := s.said(); after != before {
				t.Errorf("something was drawn over the question: %q", strings.TrimPrefix(after, before))
			}
			s.types("\n")
			if code := s.leaves(); code != 3 {
				t.Errorf("exit %d\n%s", code, s.said())
			}
			limit := int(cols)
			if cols == 0 {
				limit = 80
			}
			// the block is erased by the number of its lines, so none of them may wrap
			blocks := regexp.MustCompile(`(?m)^(?: {9}> srv1| +[0-9.]+s  time).*$`).FindAllString(strings.ReplaceAll(s.said(),
				"\r", ""), -1)
			if len(blocks) == 0 {
				t.Errorf("no live line was drawn:\n%q", s.said())
			}
			for _, l := range blocks {
				if n := len([]rune(l)); n >= limit {
					t.Errorf("a line of %d columns: %q", n, l)
				}
			}
		})
	}
}

// A build is known by what it is, also where the version control's stamp is missing.
func TestVersion(t *testing.T) {
	b := &bench{t: t, env: append(os.Environ(), asProgram+"=1")}
	one, two := b.must(0, "--version").out, b.must(0, "--version").out
	if one != two || !regexp.MustCompile(`\+[0-9a-f]{12}\n$`).MatchString(one) {
		t.Errorf("the version is %q, then %q", one, two)
	}
	dir := t.TempDir()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(dir, "other")
	if err := os.WriteFile(other, append(data, 0), 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(other, "--version")
	cmd.Env = b.env
	out, err := cmd.Output()
	if err != nil || string(out) == one {
		t.Errorf("another build calls itself %q (%v)", out, err)
	}
}
