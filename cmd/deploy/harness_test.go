package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"deploy/internal/cli"
	"deploy/internal/lab"
	"deploy/internal/secret"
	"deploy/inventory"
	"deploy/steps/all"
)

// tierLab keeps the long runs out of the unit tier.
func tierLab(t *testing.T) {
	t.Helper()
	if os.Getenv("DEPLOY_TIER") != "lab" {
		t.Skip("belongs to the tier lab: make test-lab")
	}
}

// repository is the top of the source tree.
func repository() (string, error) { return filepath.Abs(filepath.Join("..", "..")) }

// password is what every credential of the tests' sites resolves to. It must never be seen
// anywhere.
const password = "Correct-Horse-7-Battery"

// bench is a copy of one example site in a directory of its own.
type bench struct {
	t    *testing.T
	site string
	env  []string
}

// newBench copies an example and edits its site file.
func newBench(t *testing.T, example string, edits ...func(string) string) *bench {
	t.Helper()
	root, err := repository()
	if err != nil {
		t.Fatal(err)
	}
	return benchOf(t, filepath.Join(root, "examples", example), edits...)
}

// benchOf copies a directory with a site and edits its site file.
func benchOf(t *testing.T, from string, edits ...func(string) string) *bench {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "site")
	if err := os.CopyFS(dir, withoutState{os.DirFS(from)}); err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, site: filepath.Join(dir, "site.yaml"),
		env: append(os.Environ(), asProgram+"=1", "DEPLOY_PASSWORD="+password, "NO_COLOR=1")}
	b.edit(edits...)
	return b
}

// withoutState hides the state directory that a run in the examples' own folder may have left.
type withoutState struct{ fs.FS }

func (w withoutState) ReadDir(name string) ([]fs.DirEntry, error) {
	list, err := fs.ReadDir(w.FS, name)
	kept := list[:0]
	for _, e := range list {
		if e.Name() != ".deploy" {
			kept = append(kept, e)
		}
	}
	return kept, err
}

func (b *bench) edit(edits ...func(string) string) {
	b.t.Helper()
	data, err := os.ReadFile(b.site)
	if err != nil {
		b.t.Fatal(err)
	}
	text := string(data)
	for _, e := range edits {
		text = e(text)
	}
	if err := os.WriteFile(b.site, []byte(text), 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// replace edits a site file; the old text must be there.
func replace(t *testing.T, old, with string) func(string) string {
	return func(s string) string {
		t.Helper()
		if !strings.Contains(s, old) {
			t.Fatalf("the example does not hold %q", old)
		}
		return strings.ReplaceAll(s, old, with)
	}
}

// result is what one run of the program left.
type result struct {
	code        int
	killed      bool
	out, errOut string
}

// run runs the program in a process of its own.
func (b *bench) run(env []string, args ...string) result {
	b.t.Helper()
	exe, err := os.Executable()
	if err != nil {
		b.t.Fatal(err)
	}
	cmd := exec.CommandContext(b.t.Context(), exe, args...)
	cmd.Env = append(b.env, env...)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err = cmd.Run()
	r := result{out: out.String(), errOut: errOut.String(), code: cmd.ProcessState.ExitCode()}
	if st, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && st.Signaled() {
		r.killed = st.Signal() == syscall.SIGKILL
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		b.t.Fatal(err)
	}
	return r
}

// must runs the program and wants an exit code.
func (b *bench) must(code int, args ...string) result {
	b.t.Helper()
	r := b.run(nil, args...)
	if r.code != code {
		b.t.Fatalf("deploy %s: exit %d, want %d\n%s\n%s", strings.Join(args, " "), r.code, code, tail(r.out), tail(r.errOut))
	}
	return r
}

func tail(s string) string {
	const most = 4000
	if len(s) > most {
		return "..." + s[len(s)-most:]
	}
	return s
}

// startLab serves the site's machines from this process until the test ends. Emulated waits take
// next to no time.
func (b *bench) startLab(faults ...string) *lab.Lab {
	b.t.Helper()
	site, err := inventory.Load(b.site)
	if err != nil {
		b.t.Fatal(err)
	}
	config := lab.Config{Site: site, Dir: filepath.Join(b.state(), "machines"),
		Faults:  append(append([]string{}, site.Lab.Faults...), faults...),
		Longest: 3 * time.Millisecond, Log: slog.New(slog.DiscardHandler)}
	for _, c := range site.Credentials {
		config.Accounts = append(config.Accounts, lab.Account{User: c.Username, Password: secret.New(password)})
	}
	if config.Agent, err = (&cli.App{Registry: all.Kinds(), Version: version}).LabAgent(config.Dir); err != nil {
		b.t.Fatal(err)
	}
	l, err := lab.Start(b.t.Context(), config)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		if err := l.Close(); err != nil {
			b.t.Error(err)
		}
	})
	return l
}

// state is the state directory of the site's runs in the lab.
func (b *bench) state() string {
	site, err := inventory.Load(b.site)
	if err != nil {
		b.t.Fatal(err)
	}
	return filepath.Join(filepath.Dir(b.site), ".deploy", site.Name, "lab")
}

// machines is the lab's state without what differs between any two runs.
func machines(t *testing.T, l *lab.Lab) any {
	t.Helper()
	data, err := l.Show()
	if err != nil {
		t.Fatal(err)
	}
	var v struct{ State any }
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	return v.State
}

func same(t *testing.T, what string, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Fatalf("%s (-want +got):\n%s", what, tail(d))
	}
}
