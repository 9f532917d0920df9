package client

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"deploy/transport/local"
)

// site is a directory that stands for a node: a home, and a PATH with the tools that the script
// needs and the fetchers of the test.
type fetchSite struct {
	t         *testing.T
	home, bin string
	packed    string // what a mirror should have
	prog      *Program
	launch    Launch
	notes     bytes.Buffer
}

func newFetchSite(t *testing.T) *fetchSite {
	t.Helper()
	f := &fetchSite{t: t, home: filepath.Join(t.TempDir(), "a home"), bin: t.TempDir(),
		packed: filepath.Join(t.TempDir(), "packed")}
	for _, tool := range []string{"mkdir", "rm", "gzip", "sha256sum", "chmod", "sync", "mv", "find", "cat", "sleep",
		"timeout", "uname"} {
		path, err := exec.LookPath(tool)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(path, filepath.Join(f.bin, tool)); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	p := Platform{"linux", runtime.GOARCH}
	if err := os.WriteFile(filepath.Join(dir, p.FileName()), bytes.Repeat([]byte("the agent's program; "), 5000),
		0o600); err != nil {
		t.Fatal(err)
	}
	programs := &Programs{Dirs: []string{dir}}
	var err error
	if f.prog, err = programs.Find(p); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := errors.Join(f.prog.Packed(&b), os.WriteFile(f.packed, b.Bytes(), 0o600),
		os.Mkdir(f.home, 0o700)); err != nil {
		t.Fatal(err)
	}
	f.launch = Launch{Options: Options{Node: "n1", Who: "tester"}, Programs: programs,
		Fetch: Fetch{From: "https://mirror.example/deploy/"},
		tell:  func(s string) { f.notes.WriteString(s + "\n") }}
	f.launch.defaults()
	t.Setenv("HOME", f.home)
	t.Setenv("XDG_CACHE_HOME", "")
	t.Setenv("PATH", f.bin)
	t.Setenv("PACKED", f.packed)
	return f
}

// tool puts a script where the node finds it. It writes its arguments down before it does its work,
// with $out as the file that is asked for.
func (f *fetchSite) tool(name, work string) {
	f.t.Helper()
	text := "#!/bin/sh\necho " + name + " \"$@\" >> \"$HOME/argv\"\nfor a in \"$@\"; do case $last in -o|-O) out=$a;; " +
		"esac; last=$a; done\n" + work + "\n"
	if err := os.WriteFile(filepath.Join(f.bin, name), []byte(text), 0o755); err != nil {
		f.t.Fatal(err)
	}
}

// place places the program and tells what was said; whatever happened on the way, the program must
// be there at the end, and nothing else.
func (f *fetchSite) place() (notes, argv string) {
	f.t.Helper()
	conn := local.New("n1")
	defer func() { _ = conn.Close() }()
	machine := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH]
	if err := f.launch.place(f.t.Context(), conn, "Linux "+machine); err != nil {
		f.t.Fatal(err)
	}
	var names []string
	err := filepath.WalkDir(filepath.Join(f.home, ".cache"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, d.Name())
		}
		return err
	})
	if err != nil || strings.Join(names, " ") != f.prog.Name() {
		f.t.Errorf("in the directory are %q, %v", names, err)
	}
	placed := filepath.Join(f.home, ".cache", "deploy", f.prog.Name())
	got, err := measure(f.prog.Platform, placed)
	if err != nil || got.Digest != f.prog.Digest {
		f.t.Errorf("what was placed is %+v, %v", got, err)
	}
	if fi, err := os.Stat(placed); err != nil || fi.Mode() != 0o700 {
		f.t.Errorf("it has mode %v, %v", fi, err)
	}
	b, err := os.ReadFile(filepath.Join(f.home, "argv"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		f.t.Fatal(err)
	}
	return f.notes.String(), string(b)
}

func TestFetch(t *testing.T) {
	deliver := `cat "$PACKED" > "$out"`
	for name, c := range map[string]struct {
		tools map[string]string
		note  string // "" for none: it was fetched
		asked string // program that was started, "" for none
	}{
		"by curl": {tools: map[string]string{"curl": deliver, "wget": "exit 1"}, asked: "curl"},
		"by wget": {tools: map[string]string{"wget": deliver}, asked: "wget"},
		"no tool": {note: "cannot download the agent from URL, uploaded it instead: it has neither curl nor wget"},
		"not there": {tools: map[string]string{"curl": `echo "curl: (22) error: 404" >&2; exit 22`}, asked: "curl",
			note: "cannot download the agent from URL, uploaded it instead: curl ended with code 22: curl: (22) error: 404"},
		"an old wget": {tools: map[string]string{"wget": `echo usage >&2; exit 2`}, asked: "wget",
			note: "uploaded it instead: wget ended with code 2: usage"},
		"half of it": {tools: map[string]string{"curl": `echo half > "$out"; exit 18`}, asked: "curl",
			note: "curl ended with code 18"},
		"another program": {tools: map[string]string{"curl": `echo evil | gzip > "$out"`}, asked: "curl",
			note: "WARNING: what lies at URL is not the agent (wrong SHA-256)"},
		"a page of HTML": {tools: map[string]string{"curl": `echo "<html>" > "$out"`}, asked: "curl",
			note: "WARNING: what lies at URL is not"},
		"a page of air": {tools: map[string]string{"curl": `: > "$out"`}, asked: "curl",
			note: "WARNING: what lies at URL is not"},
		// SIGXFSZ is 25
		"an endless file": {tools: map[string]string{"curl": `exec cat /dev/zero > "$out"`}, asked: "curl",
			note: "curl ended with code 153"},
		"a bomb": {tools: map[string]string{"curl": `cat "$HOME/bomb" > "$out"`}, asked: "curl",
			note: "WARNING: what lies at URL is not"},
		"a wget asleep": {tools: map[string]string{"wget": `sleep 600`}, asked: "wget", note: "wget ended with code 124"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFetchSite(t)
			for tool, work := range c.tools {
				f.tool(tool, work)
			}
			var bomb bytes.Buffer
			z := gzip.NewWriter(&bomb)
			if _, err := z.Write(make([]byte, 8<<20)); err != nil || z.Close() != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(f.home, "bomb"), bomb.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
			f.launch.Fetch.Most = time.Second // only timeout(1) looks at it here
			notes, argv := f.place()
			url := "https://mirror.example/deploy/deploy-agent-linux-" + runtime.GOARCH + "-" + f.prog.Digest + ".gz"
			if want := strings.ReplaceAll(c.note, "URL", url); !strings.Contains(notes, want) || want == "" && notes != "" ||
				strings.Count(notes, "\n") > 1 {
				t.Errorf("it told %q, want %q", notes, want)
			}
			if c.asked == "" && argv != "" || !strings.HasPrefix(argv, c.asked) || strings.Count(argv, "\n") > 1 ||
				c.asked != "" && !strings.HasSuffix(argv, url+"\n") {
				t.Errorf("programs were started: %q", argv)
			}
		})
	}
}

// Unless the site names an address, no node looks for one.
func TestFetchIsAllowedBySite(t *testing.T) {
	f := newFetchSite(t)
	f.launch.Fetch = Fetch{}
	f.tool("curl", "exit 1")
	f.tool("wget", "exit 1")
	if notes, argv := f.place(); notes+argv != "" {
		t.Errorf("it told %q and started %q", notes, argv)
	}
}

// What scripts/mirror writes for a server is what nodes ask it for.
func TestMirror(t *testing.T) {
	from, to := t.TempDir(), filepath.Join(t.TempDir(), "mirror")
	programs := &Programs{Dirs: []string{from}}
	for _, p := range platforms() {
		if err := os.WriteFile(filepath.Join(from, p.FileName()), []byte("the program for "+p.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("../../../scripts/mirror", from, to).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, p := range platforms() {
		prog, err := programs.Find(p)
		if err != nil {
			t.Fatal(err)
		}
		file, err := os.Open(filepath.Join(to, prog.MirrorName()))
		if err != nil {
			t.Error(err)
			continue
		}
		defer func() { _ = file.Close() }()
		var r io.Reader = file
		if p.OS == "linux" {
			if r, err = gzip.NewReader(file); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := io.ReadAll(r); err != nil || string(got) != "the program for "+p.String() {
			t.Errorf("%s holds %q, %v", prog.MirrorName(), got, err)
		}
	}
	if list, err := os.ReadDir(to); err != nil || len(list) != len(platforms()) {
		t.Errorf("%d files, %v", len(list), err)
	}
}
