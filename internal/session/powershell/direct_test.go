package powershell

import (
	"bytes"
	"compress/flate"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"deploy/internal/node"
	"deploy/internal/secret"
	"deploy/internal/session"
	"deploy/internal/session/powershell/protocol"
	"deploy/internal/testkit/nodetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, m *machine, opts Options) *Session {
	t.Helper()
	opts.Node = "n1"
	s, err := Open(t.Context(), m, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func row(kv ...any) map[string]any {
	m := map[string]any{}
	for i := 0; i < len(kv); i += 2 {
		m[kv[i].(string)] = kv[i+1]
	}
	return m
}

func TestFactsAndQuery(t *testing.T) {
	m := newMachine(func(verb string, args map[string]any) ([]any, map[string]any) {
		return []any{row("name", args["key"])}, nil
	})
	s := open(t, m, Options{})
	f := s.Facts()
	if f.Release != node.WS2008 || f.OS != "windows" || f.Computer != "N1" || !f.Privileged ||
		f.BootID != "20260328233000.500000+000" {
		t.Errorf("facts: %+v", f)
	}
	rows, err := s.Query(t.Context(), node.RegistryKeys{Key: `HKLM\X`})
	if err != nil || len(rows) != 1 || rows[0].String("name") != `HKLM\X` {
		t.Errorf("%v, %v", rows, err)
	}
	if n := m.writes.Load(); n != 2 {
		t.Errorf("%d writes: the script and the first request belong in one", n)
	}
}

func TestPrefetchIsOneWriteAndServesOnce(t *testing.T) {
	n := 0
	m := newMachine(func(string, map[string]any) ([]any, map[string]any) { n++; return []any{row("n", int64(n))}, nil })
	s := open(t, m, Options{})
	before := m.writes.Load()
	var qs []node.Query
	for i := range 40 {
		qs = append(qs, node.Registry{Key: fmt.Sprintf(`HKLM\K%d`, i)})
	}
	qs = append(qs, node.Registry{Key: `HKLM\K0`}, node.Tool{Argv: []string{"diskpart"}})
	if err := s.Prefetch(t.Context(), qs); err != nil {
		t.Fatal(err)
	}
	ask := func(i int) int64 {
		rows, err := s.Query(t.Context(), node.Registry{Key: fmt.Sprintf(`HKLM\K%d`, i)})
		if err != nil {
			t.Fatal(err)
		}
		return rows[0].Int("n")
	}
	for i := range 40 {
		if got := ask(i); got != int64(i+1) {
			t.Errorf("query %d was answered by request %d", i, got)
		}
	}
	if got := ask(0); got != 1 {
		t.Errorf("a query wanted twice was asked again: %d", got)
	}
	if w := m.writes.Load() - before; w != 1 {
		t.Errorf("%d writes for a batch", w)
	}
	if got := ask(0); got != 41 {
		t.Errorf("an answer served more often than it was wanted: %d", got)
	}
}

func TestChangeDropsWhatWasFetched(t *testing.T) {
	changes := map[string]func(s *Session) error{
		"action": func(s *Session) error { _, err := s.Do(t.Context(), node.MakeDir{Path: `C:\x`}); return err },
		"run": func(s *Session) error {
			_, err := s.Run(t.Context(), node.Cmd{Argv: []string{"x.exe"}})
			return err
		},
		"job": func(s *Session) error { return s.StartJob(t.Context(), "j", node.Cmd{Argv: []string{"x.exe"}}) },
		"write": func(s *Session) error {
			return s.Write(t.Context(), `C:\f`, strings.NewReader("x"), node.WriteOptions{})
		},
	}
	for name, change := range changes {
		n := 0
		m := newMachine(func(verb string, _ map[string]any) ([]any, map[string]any) {
			n++
			return []any{row("n", int64(n), "code", int64(0))}, nil
		})
		s := open(t, m, Options{})
		q := node.Registry{Key: `HKLM\K`}
		if err := s.Prefetch(t.Context(), []node.Query{q}); err != nil {
			t.Fatal(err)
		}
		if err := change(s); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		rows, err := s.Query(t.Context(), q)
		if err != nil || rows[0].Int("n") == 1 {
			t.Errorf("%s: an answer from before the change was served: %v %v", name, rows, err)
		}
	}
}

func TestErrorsAreTyped(t *testing.T) {
	tests := []struct {
		q      node.Query
		failed map[string]any
		is     error
		code   int64
	}{
		{node.Registry{Key: `HKLM\X`}, row("code", int64(2), "id", protocol.IDNotFound, "text", "weg"), node.ErrNotFound, 2},
		{node.WMI{Namespace: `root\x`, Class: "Y"}, row("code", int64(0x8004100E)), node.ErrUnsupported, 0x8004100E},
		{node.WMI{Namespace: `root\x`, Class: "Y"}, row("code", int64(0x80041002)), node.ErrNotFound, 0x80041002},
		{node.Cmdlet{Name: "Get-X"}, row("code", int64(0x80131501), "id", "Whatever,X", "category", "ObjectNotFound"),
			node.ErrNotFound, 0x80131501},
		{node.Cmdlet{Name: "Get-X"}, row("code", int64(0x80131501), "id", "CommandNotFoundException", "category",
			"ObjectNotFound"), node.ErrUnsupported, 0x80131501},
		{node.Cmdlet{Name: "Get-X"}, row("code", int64(0x80131501), "id", "NamedParameterNotFound,Y"), node.ErrUnsupported,
			0x80131501},
		{node.Cmdlet{Name: "Get-X"}, row("code", int64(5), "id", "AccessDenied", "category", "PermissionDenied"), nil, 5},
		{node.Registry{Key: `HKLM\X`}, row("code", int64(5), "category", "ObjectNotFound"), nil, 5},
	}
	for _, tt := range tests {
		m := newMachine(func(string, map[string]any) ([]any, map[string]any) { return nil, tt.failed })
		s := open(t, m, Options{})
		_, err := s.Query(t.Context(), tt.q)
		var c *node.CodeError
		if !errors.As(err, &c) || c.Code != tt.code {
			t.Errorf("%v: %v", tt.failed, err)
		}
		for _, kind := range []error{node.ErrNotFound, node.ErrUnsupported} {
			if errors.Is(err, kind) != (kind == tt.is) {
				t.Errorf("%v: errors.Is(%v) is %v", tt.failed, kind, errors.Is(err, kind))
			}
		}
	}
}

func TestCancelledRequestLeavesTheSessionUsable(t *testing.T) {
	hold := make(chan struct{})
	m := newMachine(func(_ string, args map[string]any) ([]any, map[string]any) {
		return []any{row("name", args["key"])}, nil
	})
	s := open(t, m, Options{})
	m.mu.Lock()
	m.hold = hold
	m.mu.Unlock()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := s.Query(ctx, node.Registry{Key: "HKLM\\late"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("cancelled query: %v", err)
	}
	ctx2, cancel2 := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel2()
	_, err := s.Do(ctx2, node.MakeDir{Path: "x"})
	var link *node.LinkError
	if !errors.As(err, &link) || !link.Sent || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a cancelled action has an unknown outcome, got %v", err)
	}
	m.mu.Lock()
	m.hold = nil
	m.mu.Unlock()
	close(hold)
	rows, err := s.Query(t.Context(), node.Registry{Key: "HKLM\\next"})
	if err != nil || rows[0].String("name") != "HKLM\\next" {
		t.Errorf("after it: %v, %v", rows, err)
	}
}

func TestStreamEndIsUnknownOutcome(t *testing.T) {
	m := newMachine(func(string, map[string]any) ([]any, map[string]any) { return nil, row("drop", true) })
	s := open(t, m, Options{})
	_, err := s.Do(t.Context(), node.MakeDir{Path: "x"})
	var link *node.LinkError
	if !errors.As(err, &link) || !link.Sent || !strings.Contains(err.Error(), "connection reset") {
		t.Errorf("open request: %v", err)
	}
	_, err = s.Query(t.Context(), node.Registry{Key: "HKLM\\x"})
	if !errors.As(err, &link) || link.Sent {
		t.Errorf("next request: %v", err)
	}
}

func TestNoPowerShell(t *testing.T) {
	m := newMachine(nil)
	m.hello = "'powershell.exe' is not recognized"
	_, err := Open(t.Context(), m, Options{Options: session.Options{Node: "n1"}})
	if !errors.Is(err, node.ErrUnsupported) || !strings.Contains(err.Error(), "not recognized") {
		t.Errorf("%v", err)
	}
	if m.closed.Load() != 1 {
		t.Error("the connection was left open")
	}
}

func TestReadOnly(t *testing.T) {
	m := newMachine(func(string, map[string]any) ([]any, map[string]any) { return []any{row("code", int64(0))}, nil })
	s := open(t, m, Options{Options: session.Options{ReadOnly: func(argv []string) bool {
		return strings.Join(argv, " ") == "cluster group"
	}}})
	for _, q := range []node.Query{
		node.Tool{Argv: []string{"cluster", "group", "G", "/offline"}}, node.Cmdlet{Name: "Remove-Cluster"}, node.Tool{},
		node.Tool{Argv: []string{"cluster", "group", "G", "/offline"}, TrustedReadOnly: false},
	} {
		if _, err := s.Query(t.Context(), q); err == nil {
			t.Errorf("%#v passed for a query", q)
		}
	}
	for _, q := range []node.Query{node.Tool{Argv: []string{"cluster", "group"}}, node.Cmdlet{Name: "Test-Cluster"},
		node.Tool{Argv: []string{"mine.exe"}, TrustedReadOnly: true}} {
		if _, err := s.Query(t.Context(), q); err != nil {
			t.Errorf("%#v: %v", q, err)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.verbs) != 4 {
		t.Errorf("a refused query reached the machine: %v", m.verbs)
	}
}

func TestSecretsTravelButDoNotShow(t *testing.T) {
	const password = "Tr0ub4dor&3"
	var got map[string]any
	m := newMachine(func(_ string, args map[string]any) ([]any, map[string]any) {
		got = args
		return nil, row("code", int64(1326), "text", "logon failure")
	})
	var log bytes.Buffer
	s := open(t, m, Options{Options: session.Options{Credentials: map[string]node.Credential{"svc": {User: `DOM\svc`, Password: secret.New(password)}}, Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))}})
	err := s.StartJob(t.Context(), "setup", node.Cmd{Argv: []string{"setup.com", "/mode:Install"}, As: "svc"})
	if got["password"] != password || got["user"] != `DOM\svc` || got["line"] != "/mode:Install" {
		t.Errorf("the machine got %v", got)
	}
	_, err2 := s.Do(t.Context(), node.CmdletCall{Name: "Set-X", As: "svc"})
	if got["password"] != password || got["as"] != nil {
		t.Errorf("the machine got %v", got)
	}
	for _, text := range []string{err.Error(), err2.Error(), log.String(), fmt.Sprintf("%+v", s.opts)} {
		if strings.Contains(text, password) {
			t.Errorf("the password shows: %s", text)
		}
	}
	if !strings.Contains(log.String(), "job.start setup") {
		t.Errorf("the log says nothing: %s", log.String())
	}
	for _, err := range []error{
		s.StartJob(t.Context(), "x", node.Cmd{Argv: []string{"x"}, As: "nobody"}),
		s.StartJob(t.Context(), "x", node.Cmd{Argv: []string{"x"}, Stdin: []byte("y")}),
	} {
		if err == nil {
			t.Error("a job that cannot be was started")
		}
	}
	if _, err := s.Run(t.Context(), node.Cmd{Argv: []string{"x"}, As: "svc"}); err == nil {
		t.Error("a program that is no job ran under a credential")
	}
}

func TestRunResult(t *testing.T) {
	m := newMachine(func(string, map[string]any) ([]any, map[string]any) {
		return []any{row("code", int64(4294967295), "stdout", []byte{0xff, 0}, "stderr", []byte("e"))}, nil
	})
	s := open(t, m, Options{})
	res, err := s.Run(t.Context(), node.Cmd{Argv: []string{"x.exe"}})
	if diff := cmp.Diff(node.Result{Code: -1, Stdout: []byte{0xff, 0}, Stderr: []byte("e")}, res); diff != "" ||
		err != nil {
		t.Error(diff, err)
	}
}

func TestWriteAndOpen(t *testing.T) {
	files := map[string][]byte{}
	m := newMachine(func(verb string, a map[string]any) ([]any, map[string]any) {
		switch verb {
		case "file.put":
			p := a["path"].(string)
			if a["offset"].(int64) == 0 {
				files[p] = nil
			}
			if int64(len(files[p])) != a["offset"].(int64) {
				return nil, row("code", int64(38))
			}
			data := a["data"].([]byte)
			if a["packed"].(bool) {
				var err error
				if data, err = io.ReadAll(flate.NewReader(bytes.NewReader(data))); err != nil {
					return nil, row("code", int64(13))
				}
			}
			files[p] = append(files[p], data...)
		case "file.commit":
			files[a["path"].(string)] = files[a["temp"].(string)]
			delete(files, a["temp"].(string))
		case "file.read":
			data := files[a["path"].(string)]
			off := a["offset"].(int64)
			return []any{row("data", data[off:min(int64(len(data)), off+a["count"].(int64))], "size", int64(len(data)))}, nil
		}
		return nil, nil
	})
	s := open(t, m, Options{})
	for _, size := range []int{0, 1, piece, piece + 1, 5*piece + 17, 3 << 20} {
		want := bytes.Repeat([]byte{byte(size), 2, 3}, size/3+1)[:size]
		if err := s.Write(t.Context(), `C:\f`, bytes.NewReader(want), node.WriteOptions{}); err != nil {
			t.Fatal(err)
		}
		if len(files) != 1 || !bytes.Equal(files[`C:\f`], want) {
			t.Errorf("%d bytes: %d files, %d bytes arrived", size, len(files), len(files[`C:\f`]))
		}
		r, err := s.Open(t.Context(), `C:\f`)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes: read %d, %v", size, len(got), err)
		}
		_ = r.Close()
	}
	broken := io.MultiReader(strings.NewReader("half"), errReader{})
	if err := s.Write(t.Context(), `C:\g`, broken, node.WriteOptions{}); err == nil || files[`C:\g`] != nil {
		t.Errorf("half a file was put in place: %v", err)
	}
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, errors.New("disk gone") }

func TestManyAtOnce(t *testing.T) {
	m := newMachine(func(_ string, a map[string]any) ([]any, map[string]any) { return []any{row("key", a["key"])}, nil })
	s := open(t, m, Options{})
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			key := fmt.Sprintf(`HKLM\%d`, i)
			rows, err := s.Query(t.Context(), node.Registry{Key: key})
			if err != nil || rows[0].String("key") != key {
				t.Errorf("%s: %v %v", key, rows, err)
			}
		})
	}
	wg.Wait()
}

func TestCloseEndsAMachineThatHangs(t *testing.T) {
	hold := make(chan struct{})
	m := newMachine(func(string, map[string]any) ([]any, map[string]any) { return nil, nil })
	s, err := Open(t.Context(), m, Options{Options: session.Options{Node: "n1"}})
	if err != nil {
		t.Fatal(err)
	}
	m.mu.Lock()
	m.hold = hold
	m.mu.Unlock()
	got := make(chan error, 1)
	go func() { _, err := s.Do(context.Background(), node.MakeDir{Path: "x"}); got <- err }()
	for m.writes.Load() < 2 {
		time.Sleep(time.Millisecond)
	}
	done := make(chan struct{})
	go func() { _ = s.Close(); close(done) }()
	var link *node.LinkError
	if err := <-got; !errors.As(err, &link) || !link.Sent {
		t.Errorf("open request: %v", err)
	}
	<-done
	close(hold)
}

// TestNoReaderChangesAnything tries every verb that writes against the Reader.
func TestNoReaderChangesAnything(t *testing.T) {
	m := newMachine(func(string, map[string]any) ([]any, map[string]any) { return nil, nil })
	s := open(t, m, Options{})
	nodetest.ReaderContract(t, s, func() int64 {
		m.mu.Lock()
		defer m.mu.Unlock()
		return int64(len(m.verbs))
	})
}
