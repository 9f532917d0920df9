package shell

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"deploy/internal/node"
	"deploy/internal/session"
	"deploy/internal/session/local"
	"deploy/internal/testkit/nodetest"
)

// TestOwnerAndFence in every shell that may be /bin/sh somewhere is left to TestTierOpenssh and the
// parse test; this is the machine's own.
func TestOwnerAndFence(t *testing.T) {
	root, dir := t.TempDir(), t.TempDir()
	m := newMachine()
	s, err := Open(t.Context(), m, Options{Options: session.Options{Node: "n1"}, State: filepath.Join(root, "deploy",
		"jobs")})
	must(t, err)
	defer s.Close()
	nodetest.OwnerContract(t, s, func(name string) string { return filepath.Join(dir, name) }, []string{"true"})
	if _, err := os.Stat(filepath.Join(root, "deploy", "owner")); !os.IsNotExist(err) {
		t.Errorf("the directory of owner records stays: %v", err)
	}
}

// TestOwnerCosts: all records are one channel, or none where others are fetched as well; a fence
// adds none.
func TestOwnerCosts(t *testing.T) {
	root, dir := t.TempDir(), t.TempDir()
	m := newMachine()
	s, err := Open(t.Context(), m, Options{Options: session.Options{Node: "n1"}, State: filepath.Join(root, "jobs")})
	must(t, err)
	defer s.Close()
	text, err := node.Owner{Format: 1, Site: "blue", Journal: "j", Epoch: 1, Run: "r"}.Text()
	must(t, err)
	before := m.starts.Load()
	if _, err := s.Do(t.Context(), node.OwnerSet{Site: "blue", Record: text}); err != nil {
		t.Fatal(err)
	}
	if n := m.starts.Load() - before; n != 1 {
		t.Errorf("writing a record took %d channels", n)
	}
	before = m.starts.Load()
	qs := []node.Query{node.Dir{Path: dir}, node.Owners{}}
	must(t, s.Prefetch(t.Context(), qs))
	for _, q := range qs {
		if _, err := s.Query(t.Context(), q); err != nil {
			t.Error(err)
		}
	}
	if n := m.starts.Load() - before; n != 1 {
		t.Errorf("reading took %d channels", n)
	}
	before = m.starts.Load()
	s.SetFence(node.Fence{Site: "blue", Journal: "j", Epoch: 1, Run: "r"})
	if _, err := s.Do(t.Context(), node.MakeDir{Path: filepath.Join(dir, "x")}); err != nil {
		t.Error(err)
	}
	if n := m.starts.Load() - before; n != 1 {
		t.Errorf("an act with a fence took %d channels", n)
	}
}

// TestOwnerIsShared: what a session over SSH keeps, an agent finds, and the other way; the
// directory is its owner's alone.
func TestOwnerIsShared(t *testing.T) {
	state := filepath.Join(t.TempDir(), "deploy", "jobs")
	far, err := Open(t.Context(), newMachine(), Options{Options: session.Options{Node: "n1"}, State: state})
	must(t, err)
	defer far.Close()
	own, err := local.Open(t.Context(), local.Options{Options: session.Options{Node: "n1"}, State: state})
	must(t, err)
	defer own.Close()
	was := ""
	for i, s := range []node.Session{far, own, far} {
		text, err := node.Owner{Format: 1, Site: "blue", Journal: "j", Epoch: int64(i + 1), Run: "r"}.Text()
		must(t, err)
		if _, err := s.Do(t.Context(), node.OwnerSet{Site: "blue", Was: was, Record: text}); err != nil {
			t.Fatal(err)
		}
		was = text
		dir := filepath.Join(filepath.Dir(state), "owner")
		for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, "blue.json"): 0o600} {
			if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != want {
				t.Errorf("%s: %v %v", path, fi.Mode(), err)
			}
		}
		frozen := node.Fence{Site: "blue", Journal: "j", Epoch: int64(i)}
		for _, s := range []node.Session{far, own} {
			s.(node.Fenced).SetFence(frozen)
			if _, err := s.Do(t.Context(), node.MakeDir{Path: dir}); !errors.Is(err, node.ErrSuperseded) {
				t.Errorf("%T: %v", s, err)
			}
		}
	}
}

// TestScriptsParse: every shell that may be /bin/sh somewhere takes the scripts, and keeps the
// contract of owner records.
func TestFenceInEveryShell(t *testing.T) {
	for _, shell := range [][]string{{"dash"}, {"bash", "--posix"}, {"busybox", "sh"}} {
		path, err := exec.LookPath(shell[0])
		if errors.Is(err, exec.ErrNotFound) {
			continue
		}
		dir := t.TempDir()
		text, err := node.Owner{Format: 1, Site: "blue", Journal: "j", Epoch: 12, Run: "r"}.Text()
		must(t, err)
		must(t, os.WriteFile(filepath.Join(dir, "blue.json"), []byte(text), 0o600))
		for _, c := range []struct {
			args []string
			code int
		}{
			{[]string{"blue", "j", "12", "r", ""}, 0}, {[]string{"blue", "j", "13", "x", ""}, 0},
			{[]string{"blue", "j", "12", "x", ""}, 46}, {[]string{"blue", "j", "9", "", ""}, 46},
			{[]string{"blue", "J", "12", "r", ""}, 46}, {[]string{"red", "j", "12", "r", ""}, 46},
			{[]string{"blue", "j", "12", "r", text + " "}, 0},
		} {
			argv := append(append(shell[1:], "-c", ownerScript+"fence \"$@\"\nprintf on", "deploy", dir), c.args...)
			out, err := exec.Command(path, argv...).Output()
			code := 0
			var exit *exec.ExitError
			if errors.As(err, &exit) {
				code = exit.ExitCode()
			}
			if code != c.code || (code == 0) != (string(out) == "on") {
				t.Errorf("%s %q: code %d, %q, %v", shell, c.args, code, out, err)
			}
		}
		if b, err := os.ReadFile(filepath.Join(dir, "blue.json")); err != nil || string(b) != text+" " {
			t.Errorf("%s: %q %v", shell, b, err)
		}
	}
}
