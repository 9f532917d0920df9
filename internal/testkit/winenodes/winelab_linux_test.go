package winenodes

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"deploy/transport"
	"deploy/transport/ssh"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fleet starts nodes for a test.
func fleet(t *testing.T, count int) (*Lab, []*Node, string) {
	t.Helper()
	l, err := Open(t.Context(), t.TempDir())
	must(t, err)
	begun := time.Now()
	nodes, key, err := l.Fleet(t.Context(), "WINNODE", count)
	t.Cleanup(func() {
		for _, n := range nodes {
			if err := n.Stop(); err != nil {
				t.Error(err)
			}
		}
	})
	must(t, err)
	t.Logf("%d nodes were up after %s", count, time.Since(begun).Round(10*time.Millisecond))
	return l, nodes, key
}

func dial(t *testing.T, n *Node, key string) transport.Conn {
	t.Helper()
	d := ssh.New(ssh.Options{})
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	c, err := d.Dial(t.Context(), transport.Target{Node: n.Name, Transport: "ssh", Address: "127.0.0.1", Port: n.Port,
		User: "root",
		SSH:  transport.SSH{Fingerprints: []string{n.HostKey}, KeyFiles: []string{key}}, Timeout: time.Minute})
	must(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// run runs a command line by way of SSH.
func run(t *testing.T, c transport.Conn, line, stdin string) (out string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	p, err := c.Start(ctx, line)
	must(t, err)
	errs := make(chan []byte, 1)
	go func() {
		b, _ := io.ReadAll(p.Stderr())
		errs <- b
	}()
	_, _ = io.WriteString(p.Stdin(), stdin)
	_ = p.Stdin().Close()
	b, err := io.ReadAll(p.Stdout())
	must(t, err)
	b = append(b, <-errs...)
	code, err = p.Wait()
	must(t, err)
	return string(b), code
}

// TestTierWineLoud: every program that Wine only pretends to have fails, by its bare name as well
// as by its path, and says so.
func TestTierWineLoud(t *testing.T) {
	Tier(t)
	_, nodes, _ := fleet(t, 1)
	n := nodes[0]
	for _, name := range loud() {
		bare := name[strings.LastIndexByte(name, '\\')+1:]
		for _, program := range []string{bare + ".exe", `C:\windows\system32\` + name + ".exe"} {
			out, err := n.Run(t.Context(), program, "/whatever")
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != LoudCode || !strings.Contains(out, "is not available on Wine") {
				t.Errorf("%s: %v, %q", program, err, out)
			}
		}
	}
	// and one that Wine does have still works
	if out, err := n.Run(t.Context(), "cmd.exe", "/c", "echo", "works"); err != nil || strings.TrimSpace(out) != "works" {
		t.Errorf("%q, %v", out, err)
	}
}

// TestTierWineNode: what the SSH transport relies on holds for the nodes of this tier.
func TestTierWineNode(t *testing.T) {
	Tier(t)
	_, nodes, key := fleet(t, 2)
	for _, n := range nodes {
		c := dial(t, n, key)
		if out, code := run(t, c, `echo "a  b" & hostname & exit 5`, ""); code != 5 ||
			!strings.EqualFold(out, "\"a  b\" \r\n"+n.Name+"\r\n") {
			t.Errorf("%q, %d", out, code)
		}
		if out, code := run(t, c, `sort`, "b\r\na\r\n"); code != 0 || out != "a\r\nb\r\n" {
			t.Errorf("%q, %d", out, code)
		}
		if out, _ := run(t, c, `if exist Z:\ (echo sees more) else (echo sees C: only)`, ""); !strings.HasPrefix(out,
			"sees C: only") {
			t.Errorf("%q", out)
		}
		f, err := c.Files(t.Context())
		must(t, err)
		data := bytes.Repeat([]byte{0, 13, 10, 26, 255}, 100_000)
		must(t, f.Put(t.Context(), "/C:/media/data.bin", bytes.NewReader(data), 0))
		must(t, f.Put(t.Context(), "/C:/media/data.bin", bytes.NewReader(data), 0)) // over itself
		r, err := f.Get(t.Context(), "/C:/media/data.bin")
		must(t, err)
		back, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(back, data) {
			t.Errorf("%d bytes came back of %d, %v", len(back), len(data), err)
		}
		must(t, r.Close())
		must(t, f.Close())
		if out, code := run(t, c, fmt.Sprintf(`dir /b C:\media & if exist %s exit 3`, ProductPath), ""); code != 3 ||
			!strings.Contains(out, "data.bin") {
			t.Errorf("%q, %d", out, code)
		}
	}
	// a node writes over its own copy only
	if _, err := os.Stat(nodes[0].lab.prefix + "/drive_c/media/data.bin"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the shared prefix was written to: %v", err)
	}
}
