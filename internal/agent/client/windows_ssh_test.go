package client

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pkg/sftp"
	gossh "golang.org/x/crypto/ssh"

	"deploy/internal/agent"
	"deploy/internal/agent/wire"
	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/internal/secret"
	"deploy/internal/session"
	"deploy/internal/session/local"
	"deploy/transport"
	"deploy/transport/ssh"
)

// windowsBox is an SSH server that answers as OpenSSH for Windows does to what
// StartOnWindowsOverSSH sends. A program that lies in its files under the agent's name runs the
// agent's worker.
type windowsBox struct {
	traits
	t      *testing.T
	files  sftp.Handlers
	worker *agent.Worker
	config *gossh.ServerConfig
	port   int
	key    string
	group  sync.WaitGroup

	mu    sync.Mutex
	lines []string
}

// traits are what one machine has and another has not.
type traits struct {
	shell   string // cmd, powershell, bash
	version string // what ver prints
	arch    string
	noSFTP  bool
	locked  bool // nobody may write to its files
	refuses int  // exit code of every agent's program, for one that the machine does not run; 0 runs it
	fails   bool // the agent's program runs and cannot do its work
	plain   bool // the user is no administrator
	drops   bool // the link ends when a program is started
	digest  string
}

const (
	boxHome     = "/C:/Users/Jörg Müller"
	boxPassword = "Some-password-1"
)

func newWindowsBox(t *testing.T, tr traits) *windowsBox {
	t.Helper()
	b := &windowsBox{traits: tr, t: t, files: sftp.InMemHandler()}
	_, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := gossh.NewSignerFromKey(priv)
	if err != nil {
		t.Fatal(err)
	}
	b.key = gossh.FingerprintSHA256(signer.PublicKey())
	b.config = &gossh.ServerConfig{ServerVersion: "SSH-2.0-OpenSSH_for_Windows_8.1",
		PasswordCallback: func(gossh.ConnMetadata, []byte) (*gossh.Permissions, error) { return nil, nil }}
	b.config.AddHostKey(signer)
	root := t.TempDir()
	b.worker = agent.NewWorker(context.Background(), agent.Options{Kinds: registry(), Root: root, Version: "test",
		Sign: 5 * time.Second, Digest: func() (string, error) { return b.digest, nil },
		Session: func(ctx context.Context, creds map[string]node.Credential) (node.Session, error) {
			s, err := local.Open(ctx, local.Options{Options: session.Options{Node: "n1", Credentials: creds}, Agent: true,
				State: filepath.Join(root, "jobs")})
			return onWindows{s, node.Facts{OS: "windows", Arch: b.arch, Release: node.WS2019, Privileged: !b.plain}}, err
		}})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b.port = l.Addr().(*net.TCPAddr).Port
	b.group.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			b.group.Go(func() { b.connection(c) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		b.group.Wait()
		if err := b.worker.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// onWindows is a session with the facts of a Windows machine.
type onWindows struct {
	node.Session
	facts node.Facts
}

func (s onWindows) Facts() node.Facts { return s.facts }

func (b *windowsBox) connection(raw net.Conn) {
	conn, channels, requests, err := gossh.NewServerConn(raw, b.config)
	if err != nil {
		_ = raw.Close()
		return
	}
	defer func() { _ = conn.Close() }()
	b.group.Go(func() { gossh.DiscardRequests(requests) })
	for c := range channels {
		ch, reqs, err := c.Accept()
		if err != nil {
			return
		}
		b.group.Go(func() { b.session(conn, ch, reqs) })
	}
}

func (b *windowsBox) session(conn *gossh.ServerConn, ch gossh.Channel, reqs <-chan *gossh.Request) {
	for r := range reqs {
		var arg struct{ Value string }
		ok := gossh.Unmarshal(r.Payload, &arg) == nil && (r.Type == "exec" || r.Type == "subsystem" && !b.noSFTP)
		if r.WantReply {
			_ = r.Reply(ok, nil)
		}
		switch {
		case ok && r.Type == "exec" && b.drops:
			_ = conn.Close()
		case ok && r.Type == "exec":
			b.group.Go(func() {
				code := b.run(ch, arg.Value)
				_, _ = ch.SendRequest("exit-status", false, gossh.Marshal(struct{ Status uint32 }{uint32(code)}))
				_ = ch.Close()
			})
		case ok:
			b.group.Go(func() {
				h := b.files
				if b.locked {
					h.FilePut, h.FileCmd = locked{}, locked{}
				}
				_ = sftp.NewRequestServer(ch, h, sftp.WithStartDirectory(boxHome)).Serve()
				_ = ch.Close()
			})
		}
	}
}

// locked refuses everything that would change a file.
type locked struct{}

func (locked) Filewrite(*sftp.Request) (io.WriterAt, error) { return nil, os.ErrPermission }
func (locked) Filecmd(*sftp.Request) error                  { return os.ErrPermission }

// run is the shell.
func (b *windowsBox) run(ch gossh.Channel, line string) int {
	b.mu.Lock()
	b.lines = append(b.lines, line)
	b.mu.Unlock()
	if line == whatMachine {
		// cmd.exe greets when it is not asked anything
		_, _ = fmt.Fprintf(ch, "\r\nMicrosoft Windows [Versão %s]\r\n", b.version)
		if b.shell != "bash" {
			_, _ = fmt.Fprintf(ch, "%s\r\n", b.arch)
		}
		return 0
	}
	program, isAgent := strings.CutSuffix(line, " agent")
	separator, notFound := `\`, 1
	switch b.shell {
	case "cmd":
		notFound = 9009
	case "bash":
		separator, notFound = "/", shellNotFound
	}
	other := map[string]string{`\`: "/", "/": `\`}[separator]
	if !isAgent || strings.Contains(program, other) || !b.has(strings.ReplaceAll(program, separator, "/")) {
		_, _ = fmt.Fprintf(ch.Stderr(), "%s não é reconhecido\r\n", program)
		return notFound
	}
	switch {
	case b.refuses != 0:
		return b.refuses
	case b.fails:
		_, _ = io.WriteString(ch.Stderr(), "error: the disk is made of cheese\r\n")
		return wire.ExitFailed
	}
	_ = b.worker.Serve(ch)
	return 0
}

func (b *windowsBox) has(path string) bool {
	_, err := b.files.FileList.Filelist(sftp.NewRequest("Stat", boxHome+"/"+path))
	return err == nil
}

// left is what lies in the directory of programs.
func (b *windowsBox) left() string {
	l, err := b.files.FileList.Filelist(sftp.NewRequest("List", boxHome+"/"+homeDir))
	if errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	if err != nil {
		b.t.Fatal(err)
	}
	list := make([]fs.FileInfo, 10)
	n, err := l.ListAt(list, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		b.t.Fatal(err)
	}
	var names []string
	for _, fi := range list[:n] {
		names = append(names, fi.Name())
	}
	return strings.Join(names, " ")
}

// start connects and starts the agent. The connection is closed with the agent, or by itself.
func (b *windowsBox) start(t *testing.T, who string, programs *Programs) (*Agent, error) {
	t.Helper()
	d := ssh.New(ssh.Options{})
	t.Cleanup(func() { _ = d.Close() })
	c, err := d.Dial(t.Context(), transport.Target{Node: "n1", Transport: "ssh", Address: "127.0.0.1", Port: b.port,
		User: "Jörg Müller", Password: secret.New(boxPassword),
		SSH: transport.SSH{Fingerprints: []string{b.key}}, Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	a, err := StartOnWindowsOverSSH(t.Context(), c,
		Launch{Options: Options{Node: "n1", Who: who, Site: "s", Beat: 50 * time.Millisecond}, Programs: programs})
	if err != nil {
		_ = c.Close()
	}
	return a, err
}

// programsFor are programs for these architectures of Windows.
func programsFor(t *testing.T, arches ...string) *Programs {
	t.Helper()
	dir := t.TempDir()
	for _, a := range arches {
		if err := os.WriteFile(filepath.Join(dir, Platform{"windows", a}.FileName()), []byte("the agent for "+a),
			0o600); err != nil {
			t.Fatal(err)
		}
	}
	return &Programs{Dirs: []string{dir}}
}

func nameOf(t *testing.T, programs *Programs, arch string) (name, digest string) {
	t.Helper()
	p, err := programs.Find(Platform{"windows", arch})
	if err != nil {
		t.Fatal(err)
	}
	return p.Name(), p.Digest
}

// An agent comes to a machine that has none over SFTP, and is started straight away the next time,
// whichever shell the machine has.
func TestWindowsOverSSH(t *testing.T) {
	for _, tc := range []struct {
		shell, arch, want string
		first, next       int // command lines
	}{
		{"cmd", "AMD64", "amd64", 3, 1},
		{"powershell", "AMD64", "amd64", 3, 1},
		{"bash", "AMD64", "amd64", 5, 2},
		{"cmd", "ARM64", "arm64", 4, 3},
	} {
		t.Run(tc.shell+" "+tc.arch, func(t *testing.T) {
			programs := programsFor(t, "amd64", "arm64")
			name, digest := nameOf(t, programs, tc.want)
			b := newWindowsBox(t, traits{shell: tc.shell, version: "10.0.17763.1", arch: tc.arch, digest: digest})
			for _, lines := range []int{tc.first, tc.next} {
				a, err := b.start(t, "tester", programs)
				if err != nil {
					t.Fatal(err)
				}
				if mode, why := a.Mode(); mode != "agent" || why != "over ssh" || a.Facts().OS != "windows" {
					t.Errorf("%s %s, %+v", mode, why, a.Facts())
				}
				if err := a.Close(); err != nil {
					t.Error(err)
				}
				if got := b.left(); got != name {
					t.Errorf("in the directory of programs lie %q", got)
				}
				if len(b.lines) != lines {
					t.Errorf("%d command lines: %q", len(b.lines), b.lines)
				}
				if i := slices.IndexFunc(b.lines,
					func(l string) bool { return strings.Contains(strings.ToLower(l), "powershell") }); i >= 0 {
					t.Errorf("PowerShell was started: %s", b.lines[i])
				}
				b.lines = nil
			}
		})
	}
}

// Where there can be no agent is said for certain only when it is; where something else could still
// bring one there, that is asked for.
func TestWindowsOverSSHRefused(t *testing.T) {
	all := []string{"amd64", "arm64"}
	for name, tc := range map[string]struct {
		box      traits
		programs []string
		is       error
		says     string
		lines    int
	}{
		"old": {traits{version: "6.3.9600"}, all, ErrCannotPlace,
			"no agent for Windows Server 2012 R2", 2},
		"older than its name": {traits{version: "10.0.10240.5"}, all, ErrCannotPlace,
			"no agent for Windows 10.0.10240", 2},
		"no version": {traits{version: "of the day"}, all, ErrUndecided, "cannot tell which release n1 has",
			2},
		"no program": {traits{}, nil, ErrCannotPlace, "there is no agent for windows/amd64", 1},
		"no program for ARM": {traits{arch: "ARM64"}, all[:1], ErrCannotPlace, "there is no agent for windows/arm64",
			2},
		"no SFTP":                     {traits{noSFTP: true}, all, ErrUndecided, "over SFTP", 2},
		"home is not writable":        {traits{locked: true}, all, ErrUndecided, "over SFTP", 2},
		"the machine does not run it": {traits{refuses: 216}, all, ErrUndecided, "exit code 216", 3},
		"the agent fails":             {traits{fails: true}, all, nil, "the disk is made of cheese", 3},
		"its disk takes nothing": {traits{refuses: wire.ExitNoDisk}, all, ErrCannotPlace,
			"cannot start the agent on n1: ", 3},
		"no administrator":        {traits{plain: true}, all, ErrCannotPlace, "administrator", 3},
		"another program at work": {traits{digest: "00"}, all, nil, "another version of the agent", 3},
	} {
		t.Run(name, func(t *testing.T) {
			programs := programsFor(t, tc.programs...)
			tr := tc.box
			tr.shell = "cmd"
			if tr.version == "" {
				tr.version = "10.0.17763.1"
			}
			if tr.arch == "" {
				tr.arch = "AMD64"
			}
			if tr.digest == "" && len(tc.programs) > 0 {
				_, tr.digest = nameOf(t, programs, "amd64")
			}
			b := newWindowsBox(t, tr)
			a, err := b.start(t, "tester", programs)
			if a != nil || err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Fatalf("%v", err)
			}
			for _, kind := range []error{ErrCannotPlace, ErrUndecided} {
				if errors.Is(err, kind) != (kind == tc.is) {
					t.Errorf("that it is %q: %v, of %v", kind, errors.Is(err, kind), err)
				}
			}
			if len(b.lines) != tc.lines {
				t.Errorf("%d command lines: %q", len(b.lines), b.lines)
			}
			if tc.is == ErrUndecided && b.left() != "" {
				t.Errorf("there was left %q", b.left())
			}
			if strings.Contains(err.Error(), boxPassword) {
				t.Error("a password was printed")
			}
		})
	}
}

func TestNoRoomOnWindows(t *testing.T) {
	for code, want := range map[int64]string{0x80070070: "free space", 112: "free space", 0x80070027: "free space",
		0x8007050F: "free space", 0x80070013: "that disk is write-protected",
		0x80070005: "", 5: "", 0x80041003: ""} {
		err := noRoom(fmt.Errorf("cannot write: %w", &node.CodeError{Op: "file.put", Code: code}))
		if errors.Is(err, ErrCannotPlace) != (want != "") || !strings.HasPrefix(hint.Of(err), want) {
			t.Errorf("%#x: %v, hint %q", code, err, hint.Of(err))
		}
	}
	if err := errors.New("other"); noRoom(err) != err {
		t.Error("an error without a code was changed")
	}
}

// A newer Windows for ARM runs a program for AMD64 where there is no other.
func TestWindowsEmulates(t *testing.T) {
	programs := programsFor(t, "amd64")
	_, digest := nameOf(t, programs, "amd64")
	b := newWindowsBox(t, traits{shell: "cmd", version: "10.0.26100.1", arch: "ARM64", digest: digest})
	a, err := b.start(t, "tester", programs)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
}

// Trouble that another way would not cure goes up as it is.
func TestWindowsOverSSHTrouble(t *testing.T) {
	programs := programsFor(t, "amd64")
	_, digest := nameOf(t, programs, "amd64")
	tr := traits{shell: "cmd", version: "10.0.17763.1", arch: "AMD64", digest: digest}
	b := newWindowsBox(t, tr)
	a, err := b.start(t, "anna@one", programs)
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.start(t, "bert@two", programs)
	var busy *BusyError
	if !errors.As(err, &busy) || busy.Who != "anna@one" || errors.Is(err, ErrUndecided) {
		t.Errorf("%v", err)
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	tr.drops = true
	_, err = newWindowsBox(t, tr).start(t, "anna@one", programs)
	var link *node.LinkError
	if !errors.As(err, &link) || link.Sent || errors.Is(err, ErrUndecided) {
		t.Errorf("%v", err)
	}
}
