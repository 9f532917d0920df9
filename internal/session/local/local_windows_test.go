package local

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

	"golang.org/x/sys/windows"

	"deploy/internal/node"
	"deploy/internal/session/local/winapi"
)

// onWine: what Wine has not got is asked for by name, never guessed.
func onWine() bool {
	return windows.NewLazySystemDLL("ntdll.dll").NewProc("wine_get_version").Find() == nil
}

func code(t *testing.T, err error) int64 {
	t.Helper()
	c, ok := node.Code(err)
	if !ok {
		t.Errorf("no code in %v", err)
	}
	return c
}

func TestExitCodes(t *testing.T) {
	s := open(t, Options{})
	for _, want := range []int{0, 1, 255, 300, 3010, 9009, -1} {
		res, err := s.Run(t.Context(), node.Cmd{Argv: []string{"cmd.exe", "/c", fmt.Sprintf("exit %d", want)}})
		if err != nil || res.Code != want {
			t.Errorf("%d: %+v, %v", want, res, err)
		}
	}
}

func TestProgramStreams(t *testing.T) {
	s := open(t, Options{})
	res, err := s.Run(t.Context(), node.Cmd{Argv: []string{"sort"}, Stdin: []byte("b\r\na\r\n")})
	if err != nil || string(res.Stdout) != "a\r\nb\r\n" {
		t.Errorf("%+v, %v", res, err)
	}
	res, err = s.Run(t.Context(), node.Cmd{Argv: []string{"cmd", "/c", "echo out& echo err>&2& cd"}})
	if err != nil || !strings.HasPrefix(string(res.Stdout), "out\r\n") || !strings.HasPrefix(string(res.Stderr), "err") ||
		!strings.EqualFold(strings.TrimSpace(string(res.Stdout[5:])), os.Getenv("SystemRoot")) {
		t.Errorf("%+v, %v", res, err)
	}
	dir := t.TempDir()
	res, err = s.Run(t.Context(), node.Cmd{Argv: []string{"cmd", "/c", "cd"}, Dir: dir})
	if err != nil || !strings.EqualFold(strings.TrimSpace(string(res.Stdout)), dir) {
		t.Errorf("%+v, %v, not in %s", res, err, dir)
	}
}

func TestProgramsThatAreNotThere(t *testing.T) {
	s := open(t, Options{})
	dir := t.TempDir()
	for _, name := range []string{"no-such-program", `C:\no such\program.exe`, dir} {
		if _, err := s.Run(t.Context(), node.Cmd{Argv: []string{name}}); !errors.Is(err, node.ErrUnsupported) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// one that is there and is no program gives the system's own number
	file := filepath.Join(dir, "text.exe")
	if err := os.WriteFile(file, []byte("not a program"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Run(t.Context(), node.Cmd{Argv: []string{file}}); err == nil || errors.Is(err, node.ErrUnsupported) ||
		code(t, err) != 193 {
		t.Error(err)
	}
}

// TestBatchFile: its arguments arrive, and those that cmd.exe would act on are refused before
// anything runs.
func TestBatchFile(t *testing.T) {
	s := open(t, Options{})
	file := filepath.Join(t.TempDir(), "with space.cmd")
	if err := os.WriteFile(file, []byte("@echo off\r\necho [%~1][%~2]\r\nexit /b 42\r\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	res, err := s.Run(t.Context(), node.Cmd{Argv: []string{file, "a b", `c:\x y\`}})
	if err != nil || res.Code != 42 || string(res.Stdout) != "[a b][c:\\x y\\]\r\n" {
		t.Errorf("%+v, %v", res, err)
	}
	owned := filepath.Join(t.TempDir(), "owned")
	if res, err := s.Run(t.Context(), node.Cmd{Argv: []string{file, "x & echo y >" + owned}}); err == nil {
		t.Errorf("%+v", res)
	}
	if _, err := os.Stat(owned); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// TestLimit: a program that takes too long is stopped, and what it has started too; that is not an
// exit code.
func TestLimit(t *testing.T) {
	s := open(t, Options{})
	mark := filepath.Join(t.TempDir(), "mark")
	begun := time.Now()
	_, err := s.Run(t.Context(), node.Cmd{Argv: []string{"cmd", "/c", "ping -n 4 127.0.0.1 >nul & echo x >" + mark},
		Timeout: 500 * time.Millisecond})
	if err == nil || code(t, err) != int64(windows.ERROR_TIMEOUT) {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if _, err = s.Run(ctx, node.Cmd{Argv: []string{"cmd", "/c",
		"ping -n 4 127.0.0.1 >nul & echo x >" + mark}}); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	time.Sleep(max(0, time.Until(begun.Add(6*time.Second))))
	if _, err := os.Stat(mark); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what the program started lives on: %v", err)
	}
}

func TestRegistryAndServices(t *testing.T) {
	s := open(t, Options{})
	key := fmt.Sprintf(`HKLM\SOFTWARE\deploy-test-%d`, os.Getpid())
	t.Cleanup(func() {
		if err := winapi.RegistryDeleteKey(key); err != nil {
			t.Error(err)
		}
	})
	if _, err := s.Query(t.Context(), node.Registry{Key: key}); !errors.Is(err, node.ErrNotFound) ||
		!strings.HasPrefix(err.Error(), "n1: reg.get ") {
		t.Error(err)
	}
	if _, err := s.Do(t.Context(), node.RegistrySet{Key: key, Name: "n", Type: "dword", Data: int64(5)}); err != nil {
		t.Fatal(err)
	}
	rows, err := s.Query(t.Context(), node.Registry{Key: key})
	if err != nil || len(rows) != 1 || rows[0].Int("data") != 5 || rows[0].String("type") != "dword" {
		t.Errorf("%v, %v", rows, err)
	}
	rows, err = s.Query(t.Context(),
		node.WMI{Namespace: `root\cimv2`, Class: "Win32_Service", Props: []string{"Name", "State"},
			Where: map[string]any{"Name": "rpcss"}})
	if err != nil || len(rows) != 1 || rows[0].String("State") != "Running" {
		t.Errorf("%v, %v", rows, err)
	}
	rows, err = s.Query(t.Context(), node.WMI{Namespace: `root\cimv2`, Class: "Win32_OperatingSystem",
		Props: []string{"Version"}})
	if err != nil || len(rows) != 1 || rows[0].String("Version") != s.Facts().Version {
		t.Errorf("%v, %v", rows, err)
	}
	if _, err := s.Query(t.Context(),
		node.WMI{Namespace: `root\cimv2`, Class: "NoSuch", Props: []string{"Name"}}); !errors.Is(err, node.ErrUnsupported) {
		t.Error(err)
	}
	if _, err := s.Do(t.Context(), node.SetMode{Path: `C:\`}); !errors.Is(err, node.ErrUnsupported) {
		t.Error(err)
	}
}

// TestFileCodes: codes are those that .NET gives the resident script.
func TestFileCodes(t *testing.T) {
	s := open(t, Options{})
	if _, err := s.Stat(t.Context(), `C:\no such file`); !errors.Is(err, node.ErrNotFound) {
		t.Error(err)
	}
	if _, err := s.Stat(t.Context(), `Q:\file`); !errors.Is(err, node.ErrNotFound) {
		t.Error(err)
	}
	path := filepath.Join(t.TempDir(), "file")
	if err := s.Write(t.Context(), path, strings.NewReader("x"), node.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	p, err := windows.UTF16PtrFromString(path)
	if err != nil {
		t.Fatal(err)
	}
	h, err := windows.CreateFile(p, windows.GENERIC_READ, 0, nil, windows.OPEN_EXISTING, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Open(t.Context(), path)
	if err == nil || code(t, err) != 0x80070020 {
		t.Errorf("a file that somebody holds: %v", err)
	}
	if err := windows.CloseHandle(h); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Do(t.Context(), node.Remove{Path: `C:\`, Tree: true}); err == nil {
		t.Error("the root of a drive was to be removed")
	}
	// a file that may only be read is removed, as the script does
	if err := os.Chmod(path, 0o400); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Do(t.Context(), node.Remove{Path: path}); err != nil {
		t.Error(err)
	}
}

func TestWriteKeepsNothingBehind(t *testing.T) {
	s := open(t, Options{})
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	if err := s.Write(t.Context(), path, io.MultiReader(strings.NewReader("half"), broken{}),
		node.WriteOptions{}); err == nil {
		t.Error("a broken source was taken")
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("%v, %v", entries, err)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("the source broke") }

// TestJobsWithoutScheduler: where there is no task scheduler a job is refused, and not known
// afterwards. Wine has none.
func TestJobsWithoutScheduler(t *testing.T) {
	if !onWine() {
		t.Skip("this machine has a task scheduler")
	}
	state := filepath.Join(t.TempDir(), "jobs")
	s := open(t, Options{State: state})
	if err := s.StartJob(t.Context(), "j1", node.Cmd{Argv: []string{"cmd", "/c", "exit 0"}}); !errors.Is(err,
		node.ErrUnsupported) {
		t.Error(err)
	}
	if _, err := s.Job(t.Context(), "j1"); !errors.Is(err, node.ErrNotFound) {
		t.Error(err)
	}
	if entries, err := os.ReadDir(state); err != nil || len(entries) != 0 {
		t.Errorf("%v, %v", entries, err)
	}
	if _, err := s.Do(t.Context(), node.JobRemove{ID: "j1"}); err != nil {
		t.Error(err)
	}
	if err := s.StartJob(t.Context(), `..\x`, node.Cmd{Argv: []string{"cmd"}}); err == nil || code(t, err) != 87 {
		t.Error(err)
	}
}

// TestJobFiles: a job's files tell how it stands, whoever has written them.
func TestJobFiles(t *testing.T) {
	state := t.TempDir()
	s := open(t, Options{State: state})
	write := func(end, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(state, "j"+end), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want := func(phase node.JobPhase, code int, output string) {
		t.Helper()
		st, err := s.Job(t.Context(), "j")
		if err != nil || st.Phase != phase || st.Code != code || st.Output != output {
			t.Errorf("%+v, %v; want %s, %d, %q", st, err, phase, code, output)
		}
	}
	write(".job", "")
	want(node.JobRunning, 0, "") // the task has not begun
	long := time.Now().Add(-time.Hour)
	if err := os.Chtimes(filepath.Join(state, "j.job"), long, long); err != nil {
		t.Fatal(err)
	}
	want(node.JobLost, 0, "")
	write(".out", strings.Repeat("x", jobTail)+"the end")
	write(".lock", "")
	p, err := windows.UTF16PtrFromString(filepath.Join(state, "j.lock"))
	if err != nil {
		t.Fatal(err)
	}
	h, err := windows.CreateFile(p, windows.GENERIC_READ|windows.GENERIC_WRITE, 0, nil, windows.OPEN_EXISTING, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	tail := strings.Repeat("x", jobTail-len("the end")) + "the end"
	want(node.JobRunning, 0, tail)
	if _, err := s.Do(t.Context(), node.JobRemove{ID: "j"}); err == nil || code(t, err) != int64(windows.ERROR_BUSY) {
		t.Error(err)
	}
	if err := windows.CloseHandle(h); err != nil {
		t.Fatal(err)
	}
	want(node.JobLost, 0, tail)
	write(".exit", "3010")
	want(node.JobDone, 3010, tail)
	write(".exit", "4294967295")
	want(node.JobDone, -1, tail)
}

// TestCmdletsWithoutPowerShell: Wine's powershell.exe is an empty program that says nothing and
// ends well. That must not pass for an answer.
func TestCmdletsWithoutPowerShell(t *testing.T) {
	if !onWine() {
		t.Skip("this machine has PowerShell")
	}
	s := open(t, Options{})
	for range 2 { // the second one starts anew
		if _, err := s.Query(t.Context(), node.Cmdlet{Name: "Get-Service", Select: []string{"Name"}}); !errors.Is(err,
			node.ErrUnsupported) {
			t.Error(err)
		}
	}
}
