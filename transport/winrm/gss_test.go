package winrm

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"deploy/internal/node"
	"deploy/internal/secret"
	"deploy/transport"
)

// acceptor is testdata/gss_acceptor.py: NTLM and sealing by gss-ntlmssp, which shares no code with
// ours.
type acceptor struct {
	port int
	mu   sync.Mutex
	said []string
}

func newAcceptor(t *testing.T) *acceptor {
	t.Helper()
	if os.Getenv("DEPLOY_TIER") != "clients" {
		t.Skip("needs gss-ntlmssp and python3-gssapi: run `make test-clients`")
	}
	users := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(users, []byte("LAB:admin:Secret-1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, "/usr/bin/python3", "testdata/gss_acceptor.py", users)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	a := &acceptor{}
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		cancel()
		_ = cmd.Wait()
		t.Fatalf("the acceptor does not start: %s", errs.String())
	}
	if a.port, err = strconv.Atoi(strings.TrimPrefix(lines.Text(), "port ")); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for lines.Scan() {
			a.mu.Lock()
			a.said = append(a.said, lines.Text())
			a.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("acceptor: %q %s", a.lines(""), errs.String())
		}
	})
	return a
}

// lines are what the acceptor said that begins with word.
func (a *acceptor) lines(word string) []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var out []string
	for _, l := range a.said {
		if strings.HasPrefix(l, word) {
			out = append(out, l)
		}
	}
	return out
}

// wait gives what the acceptor said the time to arrive here: it speaks before it answers, on
// another stream.
func (a *acceptor) wait(word string, n int) []string {
	for end := time.Now().Add(20 * time.Second); len(a.lines(word)) < n && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond)
	}
	return a.lines(word)
}

func (a *acceptor) target(password string) transport.Target {
	return transport.Target{Node: "n1", Address: "127.0.0.1", Port: a.port, User: `LAB\admin`,
		Password: secret.New(password)}
}

func TestTierClientsGSSSealedBothWays(t *testing.T) {
	a := newAcceptor(t)
	c, err := New(Options{}).Dial(t.Context(), a.target("Secret-1"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := c.Start(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := io.ReadAll(p.Stdout()); string(out) != "sealed é" || err != nil {
		t.Errorf("%q, %v", out, err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	opened := a.wait("opened 16 True", 5)
	if len(opened) < 5 || len(opened) != len(a.lines("opened")) {
		t.Errorf("the acceptor opened %q", a.lines("opened"))
	}
	if n := len(a.wait("logon", 2)); n != 2 {
		t.Errorf("%d logons for two connections", n)
	}
}

func TestTierClientsGSSWrongPassword(t *testing.T) {
	a := newAcceptor(t)
	_, err := New(Options{}).Dial(t.Context(), a.target("Secret-2"))
	if !errors.Is(err, node.ErrAuth) {
		t.Errorf("%v", err)
	}
	if n := len(a.wait("refused", 1)); n != 1 || len(a.lines("opened")) != 0 {
		t.Errorf("%d attempts, %q", n, a.lines("opened"))
	}
}

func TestTierClientsGSSTamperedAnswerIsRefused(t *testing.T) {
	a := newAcceptor(t)
	c, err := New(Options{}).Dial(t.Context(), a.target("Secret-1"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Start(t.Context(), "tamper")
	if !isLink(err, true) || !strings.Contains(err.Error(), "seal is broken") {
		t.Errorf("%v", err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// flipper changes the last bytes of what is sealed on the way to the server.
type flipper struct{ net.Conn }

func (f flipper) Write(p []byte) (int, error) {
	if i := bytes.LastIndex(p, []byte("--"+boundary+"--")); i > 0 {
		p = bytes.Clone(p)
		p[i-1] ^= 1
	}
	return f.Conn.Write(p)
}

func TestTierClientsGSSTamperedRequestIsRefused(t *testing.T) {
	a := newAcceptor(t)
	d := New(Options{Net: func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, network, address)
		return flipper{c}, err
	}})
	if c, err := d.Dial(t.Context(), a.target("Secret-1")); err == nil {
		_ = c.Close()
		t.Error("a changed message passed")
	}
	if len(a.wait("broken", 1)) == 0 || len(a.lines("opened")) != 0 {
		t.Errorf("broken %q, opened %q", a.lines("broken"), a.lines("opened"))
	}
}
