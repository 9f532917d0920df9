package winargs

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/windows"
)

// argsFlag makes the test binary print the arguments after it, as a program of its own.
const argsFlag = "print-arguments"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == argsFlag {
		// what the C run time would see, not what Go's own reading makes of it
		args, err := windows.DecomposeCommandLine(windows.UTF16PtrToString(windows.GetCommandLine()))
		if err != nil {
			os.Exit(2)
		}
		_ = json.NewEncoder(os.Stdout).Encode(args[2:])
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// nasty are arguments that quoting has got wrong somewhere.
var nasty = []string{"", " ", "a b", `"`, `\`, `\\`, `\"`, `a\`, `a b\`, `a\\b c\\`, `"a b"`, "tab\there", "a,b;c=d",
	"日本 語", "é", "%PATH%", "a&b|c", "^", "!x!", "(x)", "*?", "-x", "/x", "'", "`", "$x"}

// FuzzCommandLineToArgv: the system's own reader gives back what was quoted.
func FuzzCommandLineToArgv(f *testing.F) {
	for i, a := range nasty {
		f.Add(a, nasty[(i+7)%len(nasty)], nasty[(i*3+1)%len(nasty)])
	}
	f.Fuzz(func(t *testing.T, a, b, c string) {
		argv := []string{"x.exe", a, b, c}
		readBack(t, argv)
	})
}

func readBack(t *testing.T, argv []string) {
	line, err := CommandLine(argv)
	if err != nil || !utf8.ValidString(strings.Join(argv, "")) {
		return
	}
	got, err := windows.DecomposeCommandLine(line)
	if err != nil || !slices.Equal(got, argv) {
		t.Errorf("%q became %q by way of %s: %v", argv, got, line, err)
	}
}

// mixed makes an argument of what has a meaning to somebody on the way.
func mixed(r *rand.Rand) string {
	bits := []string{`\`, `\`, `"`, " ", "\t", "a", "b", "%", "^", "&", ",", ";", "=", "!", "(", ")", "'", "*", "?", "/",
		"-", "日", "é", "\n", "\r", "@", "~", "%~1", "%%"}
	var b strings.Builder
	for range r.IntN(12) {
		b.WriteString(bits[r.IntN(len(bits))])
	}
	return b.String()
}

// TestMixedArguments is the fuzz target for as long as a test may take.
func TestMixedArguments(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	for range 20000 {
		readBack(t, []string{"x.exe", mixed(r), mixed(r), mixed(r)})
	}
}

// TestMixedBatchArguments likewise.
func TestMixedBatchArguments(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 2))
	dir := t.TempDir()
	file := batchFile(t, dir)
	for range 10 {
		var args []string
		for len(args) < 10 {
			a := mixed(r)
			if _, err := CommandLine([]string{file, a}); err == nil {
				args = append(args, a)
			}
		}
		runBatch(t, file, args...)
	}
}

// TestArgumentsArrive: a program that is started with the line sees the arguments.
func TestArgumentsArrive(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	argv := append([]string{exe, argsFlag}, nasty...)
	line, err := CommandLine(argv)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.SysProcAttr = &syscall.SysProcAttr{CmdLine: line}
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	if err := json.Unmarshal(out, &got); err != nil || !slices.Equal(got, nasty) {
		t.Errorf("sent %q\ngot  %q, %v", nasty, got, err)
	}
}

// batch writes each of its arguments up to the last, which is "end", between marks to a file that
// stands beside it.
const batch = "@echo off\r\n:next\r\n>>\"%~dp0out.txt\" echo [%~1]\r\nshift\r\nif not \"%~1\"==\"end\" goto next\r\n"

// FuzzBatchArgument: an argument that is let through to a batch file arrives as it is, and nothing
// else is run. What cmd.exe would act on is refused, so that is the other half of the proof.
func FuzzBatchArgument(f *testing.F) {
	for _, a := range nasty {
		f.Add(a)
	}
	f.Add("a & echo x > C:\\owned.txt")
	f.Add(`" & echo x > C:\owned.txt & "`)
	f.Add("^\" & echo x")
	f.Add("a\x1ab")
	dir := f.TempDir()
	file := batchFile(f, dir)
	f.Fuzz(func(t *testing.T, a string) { runBatch(t, file, a) })
}

func batchFile(t testing.TB, dir string) string {
	file := filepath.Join(dir, "t.cmd")
	if err := os.WriteFile(file, []byte(batch), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func runBatch(t *testing.T, file string, args ...string) {
	line, err := CommandLine(append(append([]string{file}, args...), "end"))
	if err != nil || !utf8.ValidString(strings.Join(args, "")) {
		return
	}
	dir := filepath.Dir(file)
	out := filepath.Join(dir, "out.txt")
	_ = os.Remove(out)
	cmd := exec.Command(file)
	cmd.SysProcAttr = &syscall.SysProcAttr{CmdLine: line}
	said, err := cmd.CombinedOutput()
	if err != nil || len(bytes.TrimSpace(said)) > 0 {
		t.Errorf("%q: %v, it said %q", args, err, said)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Split(strings.TrimSuffix(string(b), "\r\n"), "\r\n")
	if len(got) != len(args) {
		t.Fatalf("%q became %q by way of %s", args, got, line)
	}
	for i, a := range args {
		if want := "[" + a + "]"; plain(a) && got[i] != want {
			t.Errorf("%q arrived as %q by way of %s", a, got[i], line)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("%q made %v, %v", args, entries, err)
	}
}

// plain: echo writes anything else in the console's code page.
func plain(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) < 0
}
