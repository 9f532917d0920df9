package shell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/internal/secret"
	"deploy/internal/session"
)

// TestRoundTrips: facts are one channel, and so are a batch of questions, a file and a program.
func TestRoundTrips(t *testing.T) {
	m := newMachine()
	s := open(t, m, Options{})
	if n := m.starts.Swap(0); n != 1 {
		t.Errorf("%d channels for the facts", n)
	}
	dir := t.TempDir()
	must(t, s.Write(t.Context(), dir+"/f", strings.NewReader("x"), node.WriteOptions{Mode: 0o600}))
	if n := m.starts.Swap(0); n != 1 {
		t.Errorf("%d channels for a file", n)
	}
	if _, err := s.Run(t.Context(), node.Cmd{Argv: []string{"true"}}); err != nil || m.starts.Swap(0) != 1 {
		t.Error("a program took more than one channel", err)
	}
	var qs []node.Query
	for i := range 40 {
		qs = append(qs, node.Tool{Argv: []string{"printf", "%s", fmt.Sprint(i)}, TrustedReadOnly: true})
	}
	for _, q := range hostile {
		qs = append(qs, node.Tool{Argv: []string{"printf", "%s", q + "\n\n"}, TrustedReadOnly: true})
	}
	qs = append(qs, node.FileHash{Path: dir + "/f"}, node.FileHash{Path: dir + "/none"}, node.Dir{Path: dir},
		node.Tool{Argv: []string{"no-such-program"}, TrustedReadOnly: true},
		node.Tool{Argv: []string{"sh", "-c", "cat; printf out; printf err >&2; kill -KILL $$"}, TrustedReadOnly: true}, qs[0],
		node.Tool{Argv: []string{"readlink", "/proc/self/fd/1"}, TrustedReadOnly: true},
		node.Registry{Key: "x"}, node.Tool{Argv: []string{"reboot"}})
	must(t, s.Prefetch(t.Context(), qs))
	for i := range 40 {
		rows, err := s.Query(t.Context(), qs[i])
		if err != nil || rows[0].String("stdout") != fmt.Sprint(i) {
			t.Errorf("query %d: %v %v", i, rows, err)
		}
	}
	for i, text := range hostile {
		rows, err := s.Query(t.Context(), qs[40+i])
		if err != nil || rows[0].String("stdout") != text+"\n\n" {
			t.Errorf("%q: %q %v", text, rows, err)
		}
	}
	rest := qs[40+len(hostile):]
	if rows, err := s.Query(t.Context(), rest[0]); err != nil || rows[0].Int("size") != 1 {
		t.Error(rows, err)
	}
	if _, err := s.Query(t.Context(), rest[1]); !errors.Is(err, node.ErrNotFound) {
		t.Error(err)
	}
	if rows, err := s.Query(t.Context(), rest[2]); err != nil || len(rows) != 1 {
		t.Error(rows, err)
	}
	if _, err := s.Query(t.Context(), rest[3]); !errors.Is(err, node.ErrUnsupported) {
		t.Error(err)
	}
	if rows, err := s.Query(t.Context(), rest[4]); err != nil || rows[0].Int("code") != 137 ||
		rows[0].String("stdout") != "out" || rows[0].String("stderr") != "err" {
		t.Error(rows, err)
	}
	if _, err := s.Query(t.Context(), rest[5]); err != nil {
		t.Error(err)
	}
	rows, err := s.Query(t.Context(), rest[6])
	if err != nil || !strings.HasSuffix(rows[0].String("stdout"), "/out\n") {
		t.Fatal(rows, err)
	}
	room := filepath.Dir(rows[0].String("stdout"))
	if n := m.starts.Swap(0); n != 1 {
		t.Errorf("%d channels for a batch", n)
	}
	// each answer serves as often as it was wanted
	if _, err := s.Query(t.Context(), qs[0]); err != nil || m.starts.Swap(0) != 1 {
		t.Error("an answer served more often than it was wanted", err)
	}
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(room); err != nil {
			return
		}
	}
	t.Errorf("left behind: %s", room)
}

// TestLongBatch: what is too long for one line goes in several, and all is answered.
func TestLongBatch(t *testing.T) {
	s := open(t, newMachine(), Options{})
	var qs []node.Query
	for i := range 100 {
		qs = append(qs, node.Tool{Argv: []string{"printf", "%s", fmt.Sprint(i) + strings.Repeat("x", 2000)},
			TrustedReadOnly: true})
	}
	must(t, s.Prefetch(t.Context(), qs))
	for i, q := range qs {
		rows, err := s.Query(t.Context(), q)
		if err != nil || rows[0].String("stdout") != fmt.Sprint(i)+strings.Repeat("x", 2000) {
			t.Fatalf("query %d: %v", i, err)
		}
	}
}

// TestChangeDropsWhatWasFetched: an answer from before a change is asked for again.
func TestChangeDropsWhatWasFetched(t *testing.T) {
	s := open(t, newMachine(), Options{})
	f := t.TempDir() + "/f"
	q := node.FileHash{Path: f}
	must(t, s.Prefetch(t.Context(), []node.Query{q}))
	must(t, s.Write(t.Context(), f, strings.NewReader("x"), node.WriteOptions{}))
	if _, err := s.Query(t.Context(), q); err != nil {
		t.Error(err)
	}
}

// TestBrokenLink: a link that breaks while something is under way leaves its outcome unknown; after
// that nothing leaves.
func TestBrokenLink(t *testing.T) {
	m := newMachine()
	s := open(t, m, Options{})
	dir := t.TempDir()
	time.AfterFunc(200*time.Millisecond, func() { m.cut(errors.New("cable")) })
	_, err := s.Run(t.Context(), node.Cmd{Argv: []string{"sh", "-c", "echo $$ >pid; sleep 5"}, Dir: dir})
	var link *node.LinkError
	if !errors.As(err, &link) || !link.Sent {
		t.Errorf("cut in the middle: %v", err)
	}
	link = nil
	if _, err = s.Stat(t.Context(), "/"); !errors.As(err, &link) || link.Sent {
		t.Errorf("after the cut: %v", err)
	}
}

// TestCutWrite: half a file never takes the name.
func TestCutWrite(t *testing.T) {
	for _, size := range []int{100, small + 100} {
		m := newMachine()
		s := open(t, m, Options{})
		dir := t.TempDir()
		must(t, os.WriteFile(dir+"/f", []byte("old"), 0o644))
		r, w := io.Pipe()
		go func() {
			_, _ = w.Write(make([]byte, size))
			_ = w.CloseWithError(errors.New("the source broke"))
		}()
		if err := s.Write(t.Context(), dir+"/f", r, node.WriteOptions{}); err == nil ||
			!strings.Contains(err.Error(), "the source broke") {
			t.Errorf("%d bytes: %v", size, err)
		}
		if b, err := os.ReadFile(dir + "/f"); err != nil || string(b) != "old" {
			t.Errorf("%d bytes: %q %v", size, b, err)
		}
		if left, _ := filepath.Glob(dir + "/*.tmp"); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	}
}

// TestCancel: a program that nobody waits for is ended on the machine, and its outcome is unknown.
func TestCancel(t *testing.T) {
	s := open(t, newMachine(), Options{})
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		for {
			if _, err := os.Stat(dir + "/pid"); err == nil || t.Context().Err() != nil {
				cancel()
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
	_, err := s.Run(ctx, node.Cmd{Argv: []string{"sh", "-c", "echo $$ >p && mv p pid; sleep 60 & wait"}, Dir: dir})
	var link *node.LinkError
	if !errors.As(err, &link) || !link.Sent || !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	pid, err := os.ReadFile(dir + "/pid")
	must(t, err)
	gone := "/proc/" + strings.TrimSpace(string(pid))
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(gone); err != nil {
			return
		}
	}
	t.Error("the program goes on")
}

// TestBanner: what a machine says before the shell is at work is nobody's answer.
func TestBanner(t *testing.T) {
	dir := t.TempDir()
	shell := dir + "/login"
	must(t, os.WriteFile(shell, []byte("#!/bin/sh\nprintf 'Welcome!\\nno end'\nprintf 'warning: 1 run\\nno end' "+
		">&2\nexec /bin/sh \"$@\"\n"), 0o755))
	m := newMachine()
	m.shell = shell
	s := open(t, m, Options{})
	res, err := s.Run(t.Context(), node.Cmd{Argv: []string{"sh", "-c", "echo out; echo err >&2"}})
	if err != nil || string(res.Stdout) != "out\n" || string(res.Stderr) != "err\n" {
		t.Errorf("%+v %v", res, err)
	}
	f, err := s.Open(t.Context(), "/proc/sys/kernel/ostype")
	must(t, err)
	b, err := io.ReadAll(f)
	if err != nil || string(b) != "Linux\n" {
		t.Errorf("%q %v", b, err)
	}
	must(t, f.Close())
}

// TestNoShell: an account that may not log in is not a machine that is away.
func TestNoShell(t *testing.T) {
	m := newMachine()
	m.shell = "/usr/sbin/nologin"
	if _, err := os.Stat(m.shell); err != nil {
		m.shell = "/bin/false"
	}
	_, err := Open(t.Context(), m, Options{Options: session.Options{Node: "n1"}})
	if !errors.Is(err, node.ErrUnsupported) || hint.Of(err) == "" {
		t.Error(err)
	}
}

// fakeSudo behaves as sudo does: -n refuses where a password is needed, -S reads one line byte by
// byte, and asks again after a wrong one.
const fakeSudo = `#!/bin/sh
stdin=
while :; do
	case $1 in
	-n) stdin=no; shift ;;
	-S) stdin=yes; shift ;;
	-k) shift ;;
	-p) shift 2 ;;
	--) shift; break ;;
	*) break ;;
	esac
done
echo "$*" >>"$SUDO_TEST/argv"
if [ -e "$SUDO_TEST/password" ]; then
	if [ "$stdin" = no ]; then echo "sudo: a password is required" >&2; exit 1; fi
	read -r want <"$SUDO_TEST/password"
	turn=0
	while :; do
		turn=$((turn + 1))
		echo try >>"$SUDO_TEST/tries"
		read -r got || { echo "sudo: no password was provided" >&2; exit 1; }
		if [ "$got" = "$want" ]; then break; fi
		if [ $turn = 3 ]; then echo "sudo: 3 incorrect password attempts" >&2; exit 1; fi
		echo "Sorry, try again." >&2
	done
fi
BELOW_SUDO=yes exec "$@"
`

func TestSudo(t *testing.T) {
	for _, tc := range []struct {
		name, need, have string
		ok               bool
	}{
		{"none needed, none given", "", "", true},
		{"none needed, one given", "", "Pa55 'w0rd", true},
		{"right", "Pa55 'w0rd", "Pa55 'w0rd", true},
		{"wrong", "Pa55 'w0rd", "another", false},
		{"none given", "Pa55 'w0rd", "", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			must(t, os.WriteFile(dir+"/sudo", []byte(fakeSudo), 0o755))
			if tc.need != "" {
				must(t, os.WriteFile(dir+"/password", []byte(tc.need+"\n"), 0o600))
			}
			m := newMachine()
			m.env = []string{"PATH=" + dir + ":" + os.Getenv("PATH"), "SUDO_TEST=" + dir}
			opts := Options{Options: session.Options{Node: "n1"}, Sudo: true, State: dir + "/jobs"}
			if tc.have != "" {
				opts.SudoPassword = secret.New(tc.have)
			}
			s, err := Open(t.Context(), m, opts)
			if !tc.ok {
				if !errors.Is(err, node.ErrAuth) || hint.Of(err) == "" {
					t.Errorf("%v", err)
				}
				if tries, _ := os.ReadFile(dir + "/tries"); strings.Count(string(tries), "try") > 2 {
					t.Errorf("a wrong password was tried again: %q", tries)
				}
				return
			}
			must(t, err)
			defer s.Close()
			res, err := s.Run(t.Context(), node.Cmd{Argv: []string{"sh", "-c", "echo $BELOW_SUDO; cat"}, Stdin: []byte("in\n")})
			if err != nil || string(res.Stdout) != "yes\nin\n" || len(res.Stderr) > 0 {
				t.Errorf("%q %q %v", res.Stdout, res.Stderr, err)
			}
			must(t, s.Write(t.Context(), dir+"/f", strings.NewReader("text"), node.WriteOptions{}))
			if b, err := os.ReadFile(dir + "/f"); err != nil || string(b) != "text" {
				t.Errorf("%q %v", b, err)
			}
			if tc.have != "" {
				for _, line := range m.lines {
					if strings.Contains(line, "w0rd") {
						t.Errorf("the password is on a command line: %s", line)
					}
				}
			}
		})
	}
	t.Run("no sudo", func(t *testing.T) {
		m := newMachine()
		m.env = []string{"PATH=" + t.TempDir()}
		_, err := Open(t.Context(), m, Options{Options: session.Options{Node: "n1"}, Sudo: true})
		if !errors.Is(err, node.ErrUnsupported) || hint.Of(err) == "" {
			t.Error(err)
		}
	})
}

// TestOpenEnds: a file that is closed early ends what sends it, and one whose context ends says so.
func TestOpenEnds(t *testing.T) {
	s := open(t, newMachine(), Options{})
	big := t.TempDir() + "/big"
	must(t, os.WriteFile(big, make([]byte, 8<<20), 0o644))
	f, err := s.Open(t.Context(), big)
	must(t, err)
	if _, err := io.ReadFull(f, make([]byte, 10)); err != nil {
		t.Error(err)
	}
	must(t, f.Close())
	if _, err := f.Read(make([]byte, 1)); err == nil {
		t.Error("a closed file was read")
	}
	ctx, cancel := context.WithCancel(t.Context())
	f, err = s.Open(ctx, big)
	must(t, err)
	cancel()
	if _, err := io.Copy(io.Discard, f); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	must(t, f.Close())
}
