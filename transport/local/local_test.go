package local

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"deploy/internal/node"
	"deploy/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func connect(t *testing.T) transport.Conn {
	t.Helper()
	c, err := Dialer{}.Dial(t.Context(), transport.Target{Node: "n1", Transport: "local"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// line picks what the machine's own command interpreter understands.
func line(linux, windows string) string {
	if runtime.GOOS == "windows" {
		return windows
	}
	return linux
}

// run starts a line, sends text and reads everything.
func run(t *testing.T, c transport.Conn, commandLine, text string) (stdout, stderr string, code int) {
	t.Helper()
	p, err := c.Start(t.Context(), commandLine)
	if err != nil {
		t.Fatal(err)
	}
	errs := make(chan string)
	go func() {
		b, _ := io.ReadAll(p.Stderr())
		errs <- string(b)
	}()
	if _, err := io.WriteString(p.Stdin(), text); err != nil {
		t.Error(err)
	}
	if err := p.Stdin().Close(); err != nil {
		t.Error(err)
	}
	out, err := io.ReadAll(p.Stdout())
	if err != nil {
		t.Error(err)
	}
	stderr = <-errs
	code, err = p.Wait()
	if err != nil {
		t.Error(err)
	}
	return string(out), stderr, code
}

func TestProgram(t *testing.T) {
	c := connect(t)
	out, errs, code := run(t, c, line(`echo "a  b"; echo wrong >&2; exit 5`, `echo "a  b"& echo wrong>&2& exit 5`), "")
	if want := line("a  b\n", "\"a  b\"\r\n"); out != want || strings.TrimSpace(errs) != "wrong" || code != 5 {
		t.Errorf("%q, %q, %d", out, errs, code)
	}
	text := "one\ntwo\n"
	out, _, code = run(t, c, line("sort", "sort"), text)
	if strings.ReplaceAll(out, "\r", "") != text || code != 0 {
		t.Errorf("%q, %d", out, code)
	}
	if s := c.Stats(); s.Sent != int64(len(text)) || s.Received == 0 || s.Requests == 0 {
		t.Errorf("%+v", s)
	}
}

// TestKill: a program ends with what it has started, and Wait tells.
func TestKill(t *testing.T) {
	c := connect(t)
	p, err := c.Start(t.Context(), line("echo up; sleep 600 & wait", "echo up& ping -n 600 127.0.0.1 >nul"))
	if err != nil {
		t.Fatal(err)
	}
	out := bufio.NewReader(p.Stdout())
	if s, err := out.ReadString('\n'); err != nil || !strings.HasPrefix(s, "up") {
		t.Fatalf("%q, %v", s, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for range 2 { // it may be done twice
		if err := p.Kill(ctx); err != nil {
			t.Error(err)
		}
	}
	if code, err := p.Wait(); err != nil || code == 0 {
		t.Errorf("%d, %v", code, err)
	}
}

// TestCloseEndsPrograms: nothing runs on for a connection that is closed, and nothing is started on
// it.
func TestCloseEndsPrograms(t *testing.T) {
	c := connect(t)
	p, err := c.Start(t.Context(), line("sleep 600", "ping -n 600 127.0.0.1 >nul"))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if code, err := p.Wait(); err != nil || code == 0 {
		t.Errorf("%d, %v", code, err)
	}
	var link *node.LinkError
	if _, err := c.Start(t.Context(), "echo"); !errors.As(err, &link) || link.Sent {
		t.Error(err)
	}
}

func TestFiles(t *testing.T) {
	f, err := connect(t).Files(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	if _, err := f.Get(t.Context(), path); !errors.Is(err, node.ErrNotFound) {
		t.Error(err)
	}
	for _, text := range []string{"first", "second, over it"} {
		if err := f.Put(t.Context(), path, strings.NewReader(text), 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := f.Get(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil || string(b) != text {
			t.Errorf("%q, %v", b, err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	if fi, err := os.Stat(path); err != nil || (runtime.GOOS == "linux" && fi.Mode().Perm() != 0o600) {
		t.Errorf("%v, %v", fi, err)
	}
	// a source that breaks leaves the old file, and nothing beside it
	broken := io.MultiReader(strings.NewReader("half"), iotestErr{})
	if err := f.Put(t.Context(), path, broken, 0o600); err == nil {
		t.Error("a broken source was taken")
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("%v, %v", entries, err)
	}
	deep := filepath.Join(dir, "a", "b")
	for range 2 {
		if err := f.MakeDir(t.Context(), deep); err != nil {
			t.Error(err)
		}
		if err := f.Remove(t.Context(), path); err != nil {
			t.Error(err)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 || entries[0].Name() != "a" {
		t.Errorf("%v, %v", entries, err)
	}
	if home, err := f.Home(t.Context()); err != nil || !filepath.IsAbs(home) {
		t.Errorf("%q, %v", home, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.Put(ended, path, strings.NewReader("x"), 0); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

type iotestErr struct{}

func (iotestErr) Read([]byte) (int, error) { return 0, errors.New("the source broke") }
