package shell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"deploy/internal/node"
	"deploy/internal/session"
	"deploy/internal/session/local"
	"deploy/internal/testkit/sshdtest"
	"deploy/transport"
	"deploy/transport/ssh"
)

// journal is what a scenario saw, in words that do not hold its directory.
type journal struct {
	t     *testing.T
	s     node.Session
	dir   string
	lines []string
}

func (j *journal) note(format string, args ...any) {
	j.lines = append(j.lines, strings.ReplaceAll(fmt.Sprintf(format, args...), j.dir, "DIR"))
}

// say describes an error by what callers decide on.
func say(err error) string {
	if err == nil {
		return "ok"
	}
	var words []string
	for kind, word := range map[error]string{node.ErrNotFound: "absent", node.ErrUnsupported: "unsupported",
		node.ErrAuth: "auth", context.Canceled: "canceled"} {
		if errors.Is(err, kind) {
			words = append(words, word)
		}
	}
	var c *node.CodeError
	if errors.As(err, &c) {
		words = append(words, fmt.Sprintf("op=%q code=%d id=%s", c.Op, c.Code, c.ID))
	}
	if len(words) == 0 {
		words = append(words, err.Error())
	}
	return strings.Join(words, " ")
}

func (j *journal) stat(path string) {
	fi, err := j.s.Stat(j.t.Context(), path)
	if fi.Modified.IsZero() != (err != nil) {
		j.t.Errorf("%s: modified %v with %v", path, fi.Modified, err)
	}
	j.note("stat %s: size=%d dir=%v mode=%04o %s:%s %s", path, fi.Size, fi.Dir, fi.Mode, fi.Owner, fi.Group, say(err))
}

func (j *journal) query(q node.Query) []node.Row {
	rows, err := j.s.Query(j.t.Context(), q)
	j.note("query %v: %s %s", q.Request(), show(rows), say(err))
	return rows
}

func show(rows []node.Row) string {
	var b strings.Builder
	for _, r := range rows {
		fmt.Fprintf(&b, "%q", r)
	}
	return b.String()
}

func (j *journal) do(a node.Action) {
	rows, err := j.s.Do(j.t.Context(), a)
	j.note("do %v: %s %s", a.Request(), show(rows), say(err))
}

func (j *journal) write(path, text string, o node.WriteOptions) {
	j.note("write %s: %s", path, say(j.s.Write(j.t.Context(), path, strings.NewReader(text), o)))
}

func (j *journal) read(path string) {
	f, err := j.s.Open(j.t.Context(), path)
	var data []byte
	if err == nil {
		data, err = io.ReadAll(f)
		err = errors.Join(err, f.Close())
	}
	j.note("read %s: %d %.200q %s", path, len(data), data, say(err))
}

func (j *journal) run(c node.Cmd) {
	res, err := j.s.Run(j.t.Context(), c)
	j.note("run %q: code=%d out=%q err=%q %s", c.Argv, res.Code, res.Stdout, res.Stderr, say(err))
}

func ptr(m uint32) *uint32 { return &m }

// hostile are names and texts that a shell could take apart.
var hostile = []string{
	"plain", "with space", "-rf", "--help", "a'b", `a"b`, "$(id)", "`id`", "$HOME", "a\nb", "a\n", "*", "?", "[a]", "a;b",
	"a&b", "a|b", "~", "#a", "!a", `a\b`, `\`, "é ü 漢字", "\x80\xff", "\x81\x88", "a\tb", "n", "$n", "'$n'", `'"$n"'`,
	"%s", "=", "a=b", "(", "{}", "",
}

type scenario struct {
	name string
	play func(j *journal)
}

func scenarios() []scenario {
	return []scenario{
		{"facts", func(j *journal) { j.note("%+v", j.s.Facts()) }},
		{"files", func(j *journal) {
			f := filepath.Join(j.dir, "f")
			j.stat(f)
			j.read(f)
			j.query(node.FileHash{Path: f})
			j.write(f, "hello\n", node.WriteOptions{})
			j.stat(f)
			j.read(f)
			j.query(node.FileHash{Path: f})
			j.write(f, "\x00\xff binary", node.WriteOptions{Mode: 0o640})
			j.stat(f)
			j.read(f)
			j.write(f, "", node.WriteOptions{})
			j.stat(f)
			j.query(node.FileHash{Path: f})
			j.stat(f + "/below")
			j.read(f + "/below")
			j.write(f+"/below", "x", node.WriteOptions{})
			j.write(filepath.Join(j.dir, "no", "f"), "x", node.WriteOptions{})
			j.write(j.dir, "x", node.WriteOptions{})
			j.read(j.dir)
			j.query(node.FileHash{Path: j.dir})
			j.query(node.Dir{Path: j.dir})
			j.write(f, strings.Repeat("0123456789abcdef", 400_000), node.WriteOptions{Mode: 0o600}) // more than is read ahead
			j.stat(f)
			j.query(node.FileHash{Path: f})
			j.do(node.Remove{Path: f})
			j.do(node.Remove{Path: f})
			j.do(node.Remove{Path: f + "/below/it"})
			j.read("/proc/sys/kernel/ostype") // a file that has no size
			j.stat("/dev/null")
			j.read("/dev/null")
			j.query(node.FileHash{Path: "/dev/null"})
			j.query(node.Dir{Path: j.dir})
		}},
		{"directories", func(j *journal) {
			d := filepath.Join(j.dir, "a", "b", "c")
			j.do(node.MakeDir{Path: d})
			j.do(node.MakeDir{Path: d})
			j.stat(d)
			j.write(filepath.Join(d, "f"), "x", node.WriteOptions{})
			j.do(node.MakeDir{Path: filepath.Join(d, "f")})
			j.do(node.MakeDir{Path: filepath.Join(d, "f", "g")})
			j.query(node.Dir{Path: d})
			j.query(node.Dir{Path: filepath.Join(d, "f")})
			j.query(node.Dir{Path: filepath.Join(d, "none")})
			j.do(node.Remove{Path: d})
			j.do(node.Remove{Path: filepath.Join(j.dir, "a"), Tree: true})
			j.stat(filepath.Join(j.dir, "a"))
			j.do(node.Remove{Path: filepath.Join(j.dir, "a"), Tree: true})
			for _, p := range []string{"/", "//", "/..", "/x/.."} {
				j.do(node.Remove{Path: p, Tree: true})
			}
		}},
		{"modes", func(j *journal) {
			f := filepath.Join(j.dir, "f")
			j.write(f, "x", node.WriteOptions{Mode: 0o4755})
			j.stat(f)
			j.write(f, "y", node.WriteOptions{}) // keeps
			j.stat(f)
			j.do(node.SetMode{Path: f, Mode: ptr(0o600)})
			j.stat(f)
			j.do(node.SetMode{Path: f})
			j.do(node.SetMode{Path: f, Owner: "no-such-user"})
			j.do(node.SetMode{Path: f, Group: "no-such-group"})
			j.do(node.SetMode{Path: f, Owner: "-x"})
			j.write(f, "z", node.WriteOptions{Owner: "no-such-user"})
			j.write(f, "z", node.WriteOptions{Group: "no-such-group"})
			j.read(f)
			j.stat(f)
			j.do(node.SetMode{Path: f + "none", Mode: ptr(0o600)})
			j.do(node.MakeDir{Path: f + "d"})
			for _, m := range []uint32{0o3770, 0o755, 0o2755, 0o700} {
				j.do(node.SetMode{Path: f + "d", Mode: ptr(m)})
				j.stat(f + "d")
			}
			j.query(node.Dir{Path: j.dir}) // no temporary file is left
			must(j.t, syscall.Mkfifo(f+"ifo", 0o600))
			j.write(f+"ifo", "x", node.WriteOptions{})
			j.read(f + "ifo")
			j.stat(f + "ifo")
		}},
		{"owners", func(j *journal) {
			if os.Getuid() != 0 {
				return // an ordinary user gives nothing away
			}
			f := filepath.Join(j.dir, "f")
			j.write(f, "x", node.WriteOptions{Mode: 0o6711, Owner: "daemon", Group: "mail"})
			j.stat(f)
			j.write(f, "y", node.WriteOptions{})
			j.stat(f)
			j.write(f, "y", node.WriteOptions{Owner: "4242", Group: "4343"})
			j.stat(f)
			j.do(node.SetMode{Path: f, Owner: "root", Group: "0"})
			j.stat(f)
			j.do(node.SetMode{Path: f, Group: "4343"})
			j.stat(f)
		}},
		{"links", func(j *journal) {
			f := filepath.Join(j.dir, "f")
			must(j.t, os.Symlink("target", f))
			must(j.t, os.Symlink(f, f+"2"))
			must(j.t, os.Symlink("loop", filepath.Join(j.dir, "loop")))
			must(j.t, os.Symlink("/", f+"root"))
			must(j.t, os.Symlink("none/none", f+"deep"))
			j.stat(f)
			j.query(node.Dir{Path: j.dir})
			j.write(f+"2", "through both", node.WriteOptions{})
			j.read(filepath.Join(j.dir, "target"))
			j.stat(f)
			j.write(f+"deep", "x", node.WriteOptions{})
			loop := filepath.Join(j.dir, "loop")
			j.stat(loop)
			j.write(loop, "x", node.WriteOptions{})
			j.write(f+"root", "x", node.WriteOptions{})
			j.do(node.SetMode{Path: f, Mode: ptr(0o600)})
			j.stat(filepath.Join(j.dir, "target"))
			j.do(node.Remove{Path: f + "root", Tree: true})
			j.do(node.Remove{Path: f + "2"})
			j.do(node.Remove{Path: loop})
			j.query(node.Dir{Path: j.dir})
		}},
		{"a link where the temporary file is to be", func(j *journal) {
			victim := filepath.Join(j.dir, "victim")
			must(j.t, os.WriteFile(victim, []byte("kept"), 0o644))
			f := filepath.Join(j.dir, "f")
			must(j.t, os.Symlink(victim, f+".deploy.tmp"))
			j.write(f, "new", node.WriteOptions{})
			j.read(victim)
			j.read(f)
			j.query(node.Dir{Path: j.dir})
		}},
		{"hostile names", func(j *journal) {
			for _, name := range hostile {
				if name == "" {
					continue
				}
				f := filepath.Join(j.dir, strings.ReplaceAll(name, "/", "_"))
				j.write(f, name, node.WriteOptions{})
				j.stat(f)
				j.read(f)
				j.query(node.FileHash{Path: f})
			}
			j.query(node.Dir{Path: j.dir})
			for _, name := range hostile[1:] {
				if name != "" {
					j.do(node.Remove{Path: filepath.Join(j.dir, name)})
				}
			}
			j.query(node.Dir{Path: j.dir})
			j.stat("a\x00b")
		}},
		{"programs", func(j *journal) {
			j.run(node.Cmd{Argv: append([]string{"printf", "[%s]"}, hostile...)})
			j.run(node.Cmd{Argv: []string{"cat"}, Stdin: []byte("in\x00\xff\nno end")})
			j.run(node.Cmd{Argv: []string{"cat"}})
			j.run(node.Cmd{Argv: []string{"cat"}, Stdin: []byte(strings.Repeat("x", 300_000))})
			j.run(node.Cmd{Argv: []string{"true"}, Stdin: []byte(strings.Repeat("x", 300_000))})
			j.run(node.Cmd{Argv: []string{"sh", "-c", "echo out; echo err >&2; exit 7"}})
			for _, code := range []int{1, 40, 41, 42, 43, 44, 45, 99, 127, 255} {
				j.run(node.Cmd{Argv: []string{"sh", "-c", fmt.Sprintf("echo no >&2; exit %d", code)}})
			}
			j.run(node.Cmd{Argv: []string{"sh", "-c", "kill -TERM $$"}})
			j.run(node.Cmd{Argv: []string{"sh", "-c", "kill -KILL $$"}})
			j.run(node.Cmd{Argv: []string{"pwd"}, Dir: j.dir})
			j.run(node.Cmd{Argv: []string{"pwd"}, Dir: j.dir + "/none"})
			j.run(node.Cmd{Argv: []string{"pwd"}, Dir: "/dev/null"})
			j.run(node.Cmd{Argv: []string{"no-such-program"}})
			j.run(node.Cmd{Argv: []string{"/no/such/program"}})
			j.run(node.Cmd{Argv: []string{"/etc/passwd"}})
			j.run(node.Cmd{Argv: []string{"/etc"}})
			j.run(node.Cmd{Argv: []string{"cd"}})       // a builtin is no program
			j.run(node.Cmd{Argv: []string{"dir_list"}}) // nor is a function
			j.run(node.Cmd{Argv: []string{"--"}})
			j.run(node.Cmd{Argv: []string{""}})
			j.run(node.Cmd{})
			j.run(node.Cmd{Argv: []string{"true"}, As: "x"})
			j.run(node.Cmd{Argv: []string{"sh", "-c",
				`printf '%s %s\n' "$LC_ALL" "${LANG-none}"; case $PATH in */usr/sbin*) echo sbin; esac`}})
			j.run(node.Cmd{Argv: []string{"sleep", "30"}, Timeout: 300 * time.Millisecond})
			j.run(node.Cmd{Argv: []string{"sh", "-c", "echo here; sleep 5 & exit 3"}}) // a grandchild holds the pipes
		}},
		{"tools", func(j *journal) {
			j.query(node.Tool{Argv: []string{"sh", "-c", "echo no"}})
			j.query(node.Tool{Argv: []string{"sh", "-c", "cat; echo yes; echo err >&2; exit 3"}, TrustedReadOnly: true})
			j.query(node.Tool{Argv: []string{"no-such-program"}, TrustedReadOnly: true})
			j.query(node.Tool{Argv: []string{"hostname"}})
			j.query(node.Tool{TrustedReadOnly: true})
		}},
		{"what Linux lacks", func(j *journal) {
			j.query(node.Registry{Key: `HKLM\x`})
			j.query(node.WMI{Namespace: `root\cimv2`, Class: "x"})
			j.query(node.Cmdlet{Name: "Get-Thing"})
			j.query(node.Cmdlet{Name: "New-Thing"})
			j.query(node.ACL{Path: "/"})
			j.query(node.Directory{})
			j.do(node.ACLSet{Path: "/"})
			j.do(node.CmdletCall{Name: "New-Thing"})
		}},
		{"jobs", playJobs},
	}
}

func playJobs(j *journal) {
	state := func(id string, want node.JobPhase) {
		var st node.JobState
		var err error
		for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
			if st, err = j.s.Job(j.t.Context(), id); err != nil || st.Phase == want {
				break
			}
		}
		j.note("job %s: %+v %s", id, st, say(err))
	}
	start := func(id string, c node.Cmd) { j.note("start %s: %s", id, say(j.s.StartJob(j.t.Context(), id, c))) }
	state("none", node.JobDone)
	start("one", node.Cmd{Argv: append([]string{"printf", "[%s]"}, hostile...)})
	state("one", node.JobDone)
	start("one", node.Cmd{Argv: []string{"echo", "another"}}) // the same id is the same job
	state("one", node.JobDone)
	j.do(node.JobRemove{ID: "one"})
	j.do(node.JobRemove{ID: "one"})
	state("one", node.JobDone)
	for _, id := range []string{"../up", "a b/c:d", "..", "-x", strings.Repeat("long", 60)} {
		start(id, node.Cmd{Argv: []string{"sh", "-c", "echo out; echo err >&2; pwd; exit 5"}, Dir: j.dir})
		state(id, node.JobDone)
		j.do(node.JobRemove{ID: id})
	}
	start("two", node.Cmd{Argv: []string{"sh", "-c", "while [ ! -e go ]; do sleep 0.1; done; echo went; yes | head -c " +
		"70000 | tr -d '\\n'; exit 3"}, Dir: j.dir})
	state("two", node.JobRunning)
	j.do(node.JobRemove{ID: "two"})
	must(j.t, os.WriteFile(filepath.Join(j.dir, "go"), nil, 0o644))
	state("two", node.JobDone)
	start("limit", node.Cmd{Argv: []string{"sleep", "60"}, Timeout: time.Second})
	state("limit", node.JobDone)
	start("signal", node.Cmd{Argv: []string{"sh", "-c", "kill -KILL $$"}})
	state("signal", node.JobDone)
	start("absent", node.Cmd{Argv: []string{"no-such-program"}})
	state("absent", node.JobDone)
	start("dir", node.Cmd{Argv: []string{"true"}, Dir: j.dir + "/none"})
	start("stdin", node.Cmd{Argv: []string{"true"}, Stdin: []byte("x")})
	start("", node.Cmd{Argv: []string{"true"}})
	start("nothing", node.Cmd{})
	start("who", node.Cmd{Argv: []string{"true"}, As: "nobody-knows"})
	start("gone", node.Cmd{Argv: []string{"true"}, As: "gone"})
	if os.Getuid() == 0 {
		start("as", node.Cmd{Argv: []string{"sh", "-c", "id -un; id -gn; echo $HOME $USER; cat"}, As: "daemon"})
		state("as", node.JobDone)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// credentials name accounts that every Linux machine has, and one that none has.
func credentials() map[string]node.Credential {
	return map[string]node.Credential{"daemon": {User: "daemon"}, "gone": {User: "no-such-user"}}
}

// common are the options of both sessions.
func common() session.Options {
	return session.Options{Node: "n1", Credentials: credentials(),
		ReadOnly: func(argv []string) bool { return len(argv) == 1 && argv[0] == "hostname" }}
}

// compare plays every scenario on the machine itself and over a connection: a step cannot tell
// where it runs.
func compare(t *testing.T, dial func(t *testing.T) transport.Conn) {
	old := syscall.Umask(0o022)
	defer syscall.Umask(old)
	for _, sc := range scenarios() {
		t.Run(sc.name, func(t *testing.T) {
			own, err := local.Open(t.Context(), local.Options{Options: common(), State: filepath.Join(t.TempDir(), "jobs")})
			must(t, err)
			defer own.Close()
			far, err := Open(t.Context(), dial(t), Options{Options: common(), State: filepath.Join(t.TempDir(), "jobs")})
			must(t, err)
			defer far.Close()
			var seen [2][]string
			for i, s := range []node.Session{own, far} {
				dir := t.TempDir()
				must(t, os.Chmod(dir, 0o755))
				j := &journal{t: t, s: s, dir: dir}
				sc.play(j)
				seen[i] = j.lines
			}
			if d := cmp.Diff(seen[0], seen[1]); d != "" {
				t.Errorf("local is -, posix is +:\n%s", d)
			}
			golden(t, sc.name, seen[0])
		})
	}
}

// golden holds some lines of a scenario against what they must be, since two sessions can be wrong
// alike.
func golden(t *testing.T, name string, lines []string) {
	t.Helper()
	all := strings.Join(lines, "\n") + "\n"
	for _, want := range map[string][]string{
		"files": {`stat DIR/f: size=0 dir=false mode=0000 : absent op="file.stat DIR/f" code=2 id=deploy.NotFound`,
			`write DIR/no/f: absent op="file.write DIR/no/f" code=2`,
			`read DIR/f: 9 "\x00\xff binary" ok`, `read /proc/sys/kernel/ostype: 6 "Linux\n" ok`,
			`stat DIR/f: size=6400000 dir=false mode=0600`},
		"directories": {`query {dir.list map[path:DIR/a/b/c/f]}:  op="dir.list DIR/a/b/c/f" code=20 id=deploy.NotDirectory`,
			`do {file.remove map[path:DIR/a/b/c tree:false]}:  op="file.remove DIR/a/b/c" code=39`,
			`do {file.remove map[path:/ tree:true]}:  op="file.remove /" code=1 id=deploy.Refused`},
		"modes": {"stat DIR/f: size=1 dir=false mode=4755", `owner:no-such-user path:DIR/f]}:  absent`,
			"stat DIR/fd: size=0 dir=true mode=3770"},
		"links": {`read DIR/target: 12 "through both" ok`, `write DIR/loop: op="file.write DIR/loop" code=40`},
		"tools": {"sh -c echo no: it is not a known read-only command", `"stderr":"err\n" "stdout":"yes\n"] ok`},
		"jobs": {`start two: ok`, `do {job.remove map[id:two]}:  op="job.remove two" code=16 id=deploy.Busy`,
			"job limit: {Phase:done Code:124 ", "job signal: {Phase:done Code:137 ", `start gone: absent`,
			"job one: {Phase:done Code:0 Output:[plain][with space]"},
		"owners": {"mode=6711 daemon:mail ok", "4242:4343 ok"},
		"programs": {`err="" unsupported op="run no-such-program"`, `code=110 id=deploy.Timeout`,
			`["sh" "-c" "kill -KILL $$"]: code=137 out="" err="" ok`,
			`run ["sh" "-c" "echo here; sleep 5 & exit 3"]: code=3 out="here\n"`, `out="in\x00\xff\nno end"`},
		"what Linux lacks": {`unsupported op="reg.get HKLM\\x"`, "only Get and Test cmdlets read"},
	}[name] {
		if name == "owners" && os.Getuid() != 0 {
			continue
		}
		if !strings.Contains(all, want) {
			t.Errorf("no %q in\n%s", want, all)
		}
	}
}

func TestBothWaysAnswerAlike(t *testing.T) {
	compare(t, func(*testing.T) transport.Conn { return newMachine() })
}

// TestTierOpensshBothWaysAnswerAlike is the same over a real OpenSSH server.
func TestTierOpensshBothWaysAnswerAlike(t *testing.T) {
	sshdtest.Tier(t)
	server := sshdtest.Start(t)
	d := ssh.New(ssh.Options{Home: t.TempDir()})
	defer d.Close()
	compare(t, func(t *testing.T) transport.Conn {
		c, err := d.Dial(t.Context(), server.Target(t, server.Known("ed25519")))
		must(t, err)
		return c
	})
}

// TestTierOpensshManyAtOnce: more requests than a connection may have channels, and a program that
// is ended on the far side.
func TestTierOpensshManyAtOnce(t *testing.T) {
	sshdtest.Tier(t)
	server := sshdtest.Start(t)
	d := ssh.New(ssh.Options{Home: t.TempDir()})
	defer d.Close()
	c, err := d.Dial(t.Context(), server.Target(t, server.Known("ed25519")))
	must(t, err)
	s, err := Open(t.Context(), c, Options{Options: session.Options{Node: "n1"}, State: t.TempDir() + "/jobs"})
	must(t, err)
	defer s.Close()
	dir := t.TempDir()
	var wg sync.WaitGroup
	for i := range 30 {
		wg.Go(func() {
			path := fmt.Sprintf("%s/%d", dir, i)
			if err := s.Write(t.Context(), path, strings.NewReader(path), node.WriteOptions{}); err != nil {
				t.Error(err)
			}
			f, err := s.Open(t.Context(), path)
			if err != nil {
				t.Error(err)
				return
			}
			defer f.Close()
			if b, err := io.ReadAll(f); err != nil || string(b) != path {
				t.Errorf("%q %v", b, err)
			}
		})
	}
	wg.Wait()
	_, err = s.Run(t.Context(), node.Cmd{Argv: []string{"sh", "-c", "echo $$ >pid; sleep 90 & wait"}, Dir: dir,
		Timeout: time.Second})
	if !isTimeout(err) {
		t.Error(err)
	}
	pid, err := os.ReadFile(dir + "/pid")
	must(t, err)
	wait(t, "its end", func() bool { _, err := os.Stat("/proc/" + strings.TrimSpace(string(pid))); return err != nil })
}
