package psproof

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"deploy/internal/session/powershell/protocol"
)

// patience is how long one answer may take.
const patience = 90 * time.Second

// pwsh is the program that the tier needs; "" when there is none. PWSH names another than the one
// on the path.
func pwsh() string {
	if p := os.Getenv("PWSH"); p != "" {
		return p
	}
	p, err := exec.LookPath("pwsh")
	if err != nil {
		return ""
	}
	return p
}

// need skips by name where there is no PowerShell.
func need(t *testing.T) string {
	t.Helper()
	p := pwsh()
	if p == "" {
		t.Skip("there is no pwsh on the path; set PWSH, or carry dist/powershell-proof to a machine that has one")
	}
	return p
}

// folder is data/, beside the test or beside the binary.
func folder() (string, error) {
	for _, dir := range []string{os.Getenv("PSPROOF_DATA"), "data"} {
		if dir == "" {
			continue
		}
		if _, err := os.Stat(filepath.Join(dir, "stubs.cs")); err == nil {
			return filepath.Abs(dir)
		}
	}
	return "", errors.New("there is no folder data beside the test")
}

// place is one test's own directory with all that a process is given.
type place struct {
	dir    string
	env    []string
	record string
}

func newPlace(t *testing.T) *place {
	t.Helper()
	data, err := folder()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	p := &place{dir: dir, record: filepath.Join(dir, "record")}
	modules := filepath.Join(dir, "modules")
	if err := os.MkdirAll(filepath.Join(modules, "DeployProof"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"record": "", "world": worldText(), "modules/DeployProof/DeployProof.psm1": moduleText(),
	} {
		if err := os.WriteFile(filepath.Join(dir, filepath.FromSlash(name)), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	root := filepath.Join(dir, "root")
	if err := os.MkdirAll(root, 0o755); err != nil {
		t.Fatal(err)
	}
	p.env = append(os.Environ(), "PSPROOF_DATA="+data, "PSPROOF_RECORD="+p.record,
		"PSPROOF_WORLD="+filepath.Join(dir, "world"),
		"PSPROOF_ROOT="+root, "PSPROOF_DIR="+dir, "PROCESSOR_ARCHITECTURE=AMD64",
		"PSModulePath="+modules+string(os.PathListSeparator)+os.Getenv("PSModulePath"),
		"POWERSHELL_TELEMETRY_OPTOUT=1", "POWERSHELL_UPDATECHECK=Off", "LC_ALL=C.UTF-8")
	return p
}

// proc is one PowerShell that runs the resident script.
type proc struct {
	place  *place
	nonce  string
	cmd    *exec.Cmd
	in     io.WriteCloser
	frames chan protocol.Frame
	ended  chan struct{}
	code   int
	readAt int64 // how much of the record has been looked at
	id     int64
	mu     sync.Mutex
	alien  []string
	stderr bytes.Buffer
}

// start runs the bootstrap exactly as the program does, but for the path of the shell.
func start(t *testing.T, program string, p *place, env ...string) *proc {
	t.Helper()
	argv := strings.Fields(protocol.CommandLine())[1:]
	s := &proc{place: p, nonce: "proof0nonce", frames: make(chan protocol.Frame, 1000), ended: make(chan struct{})}
	s.cmd = exec.Command(program, argv...)
	s.cmd.Env = append(append([]string{}, p.env...), env...)
	s.cmd.Dir = p.dir
	s.cmd.Stderr = &s.stderr
	var err error
	if s.in, err = s.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go s.read(out)
	t.Cleanup(func() {
		_ = s.in.Close()
		select {
		case <-s.ended:
		case <-time.After(10 * time.Second):
			_ = s.cmd.Process.Kill()
			<-s.ended
		}
	})
	first, err := preamble(s.nonce)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.in.Write(first); err != nil {
		t.Fatalf("cannot write the script: %v\n%s", err, s.errors())
	}
	hello, err := s.next()
	if err != nil || hello.Kind != protocol.KindHello || hello.ID != 0 {
		t.Fatalf("instead of a hello: %+v, %v\n%s", hello, err, s.errors())
	}
	if m, _ := hello.Value.(map[string]any); m["protocol"] != int64(protocol.Protocol) {
		t.Fatalf("the hello says %v", hello.Value)
	}
	return s
}

func (s *proc) read(out io.Reader) {
	r := protocol.NewReader(out, s.nonce)
	r.Stray = func(line string) {
		s.mu.Lock()
		s.alien = append(s.alien, line)
		s.mu.Unlock()
	}
	for {
		f, err := r.Next()
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, os.ErrClosed) {
				s.mu.Lock()
				s.alien = append(s.alien, "READ ERROR "+err.Error())
				s.mu.Unlock()
			}
			break
		}
		s.frames <- f
	}
	close(s.frames)
	err := s.cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		s.code = exit.ExitCode()
	}
	close(s.ended)
}

// errors is what may explain a failure. It is safe once the process has ended; before, stderr is
// still being written.
func (s *proc) errors() string {
	select {
	case <-s.ended:
		return "stderr: " + s.stderr.String() + "\nother lines: " + strings.Join(s.foreign(), "\n")
	case <-time.After(5 * time.Second):
		return "other lines: " + strings.Join(s.foreign(), "\n")
	}
}

func (s *proc) foreign() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string{}, s.alien...)
}

// errEnded says that stdout came to its end.
var errEnded = errors.New("the process said no more")

func (s *proc) next() (protocol.Frame, error) {
	wait := patience
	if ms := os.Getenv("PSPROOF_PATIENCE"); ms != "" {
		if d, err := time.ParseDuration(ms); err == nil {
			wait = d
		}
	}
	select {
	case f, ok := <-s.frames:
		if !ok {
			return f, errEnded
		}
		return f, nil
	case <-time.After(wait):
		return protocol.Frame{}, fmt.Errorf("no answer in %s", wait)
	}
}

// answer collects the frames of one request, frame by frame: rows, then one that closes it, all
// with its id.
func (s *proc) answer(id int64) (rows []any, failed map[string]any, err error) {
	for {
		f, err := s.next()
		if err != nil {
			return rows, nil, err
		}
		if f.ID != id {
			return rows, nil, fmt.Errorf("a frame %q of request %d while %d was open", f.Kind, f.ID, id)
		}
		switch f.Kind {
		case protocol.KindRows:
			list, ok := f.Value.([]any)
			if !ok {
				return rows, nil, fmt.Errorf("rows are a %T", f.Value)
			}
			rows = append(rows, list...)
		case protocol.KindDone:
			return rows, nil, nil
		case protocol.KindError:
			failed, ok := f.Value.(map[string]any)
			if !ok {
				return rows, nil, fmt.Errorf("a failure is a %T", f.Value)
			}
			return rows, failed, nil
		default:
			return rows, nil, fmt.Errorf("a frame of kind %q", f.Kind)
		}
	}
}

// recorded returns what the stand-ins have kept since the last look.
func (s *proc) recorded() ([][]string, error) {
	b, err := os.ReadFile(s.place.record)
	if err != nil {
		return nil, err
	}
	fresh := string(b[s.readAt:])
	s.readAt = int64(len(b))
	var out [][]string
	for _, line := range strings.Split(strings.TrimSuffix(fresh, "\n"), "\n") {
		if line = strings.TrimSuffix(line, "\r"); line == "" {
			continue
		}
		var words []string
		for _, w := range strings.Split(line, " ") {
			raw, err := base64.StdEncoding.DecodeString(w)
			if err != nil {
				return nil, err
			}
			words = append(words, string(raw))
		}
		out = append(out, words)
	}
	return out, nil
}
