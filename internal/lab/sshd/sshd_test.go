package sshd

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"deploy/internal/lab/front"
	"deploy/internal/lab/machine"
	"deploy/internal/session/powershell/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// disk answers the file verbs over a map, with the codes of Windows.
type disk struct {
	mu    sync.Mutex
	files map[string][]byte // by path; nil is a directory
}

func (d *disk) serve(_ context.Context, _ front.Process, verb string, args map[string]any) ([]machine.Object, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p, _ := args["path"].(string)
	data, there := d.files[p]
	absent := &machine.Fail{Code: 0x80070002, ID: protocol.IDNotFound}
	switch verb {
	case "file.stat":
		if !there {
			return nil, absent
		}
		return []machine.Object{{"size": int64(len(data)), "dir": data == nil, "modified": int64(1e9)}}, nil
	case "file.read":
		off, n := args["offset"].(int64), args["count"].(int64)
		off = min(off, int64(len(data)))
		return []machine.Object{{"data": data[off:min(off+n, int64(len(data)))], "size": int64(len(data))}}, nil
	case "file.put":
		if _, ok := d.files[p[:strings.LastIndexByte(p, '\\')]]; !ok {
			return nil, &machine.Fail{Code: 0x80070003}
		}
		off := args["offset"].(int64)
		d.files[p] = append(append([]byte{}, data[:off]...), args["data"].([]byte)...)
	case "file.hash":
		return []machine.Object{{"sha256": fmt.Sprint(len(data))}}, nil
	case "file.commit":
		t := args["temp"].(string)
		if args["sha256"] != fmt.Sprint(len(d.files[t])) {
			return nil, &machine.Fail{Code: 23}
		}
		d.files[p] = d.files[t]
		delete(d.files, t)
	case "file.remove":
		delete(d.files, p)
	case "dir.make":
		d.files[p] = nil
	case "dir.list":
		var out []machine.Object
		for k, v := range d.files {
			if rest, ok := strings.CutPrefix(k, p+`\`); ok && !strings.Contains(rest, `\`) {
				out = append(out, machine.Object{"name": rest, "dir": v == nil, "size": int64(len(v))})
			}
		}
		sort.Slice(out, func(i, j int) bool { return out[i]["name"].(string) < out[j]["name"].(string) })
		return out, nil
	}
	return nil, nil
}

func program(ctx context.Context, p front.Process) int {
	switch word, rest, _ := strings.Cut(p.Line, " "); word {
	case "exit":
		var n int
		fmt.Sscan(rest, &n)
		return n
	case "cat":
		_, _ = io.Copy(p.Stdout, p.Stdin)
	case "who":
		fmt.Fprintf(p.Stdout, "%s %v", p.User, p.Network)
		fmt.Fprint(p.Stderr, "note")
	case "wait":
		<-ctx.Done()
		return 1
	}
	return 0
}

func signer(t *testing.T) ssh.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

type served struct {
	*Server
	at   string
	host ssh.Signer
	key  ssh.Signer
	disk *disk
}

func serve(t *testing.T, change func(*Config)) served {
	t.Helper()
	s := served{host: signer(t), key: signer(t),
		disk: &disk{files: map[string][]byte{`C:\`: nil, `C:`: nil, `C:\dir`: nil}}}
	cfg := Config{Machine: "n1", HostKey: s.host, Run: program, Serve: s.disk.serve,
		Lookup: func(user string) (Account, bool) {
			return Account{Name: `CONTOSO\deploy`, Password: "secret", Key: s.key.PublicKey()}, strings.EqualFold(user, "deploy")
		}}
	if change != nil {
		change(&cfg)
	}
	s.Server = New(cfg)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.at = l.Addr().String()
	s.Serve(l)
	t.Cleanup(s.Close)
	return s
}

func (s served) dial(t *testing.T, auth ...ssh.AuthMethod) (*ssh.Client, error) {
	t.Helper()
	known, err := os.CreateTemp(t.TempDir(), "known")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(known, HostKeyLine(s.at, s.host.PublicKey()))
	known.Close()
	check, err := knownhosts.New(known.Name())
	if err != nil {
		t.Fatal(err)
	}
	c, err := ssh.Dial("tcp", s.at, &ssh.ClientConfig{User: "Deploy", Auth: auth, HostKeyCallback: check,
		Timeout: 5 * time.Second})
	if err == nil {
		t.Cleanup(func() { c.Close() })
	}
	return c, err
}

func TestExec(t *testing.T) {
	s := serve(t, nil)
	if _, err := s.dial(t, ssh.Password("wrong")); err == nil {
		t.Error("a wrong password was let in")
	}
	if _, err := s.dial(t, ssh.PublicKeys(signer(t))); err == nil {
		t.Error("a foreign key was let in")
	}
	for want, auth := range map[string]ssh.AuthMethod{`CONTOSO\deploy false`: ssh.Password("secret"),
		`CONTOSO\deploy true`: ssh.PublicKeys(s.key)} {
		c, err := s.dial(t, auth)
		if err != nil {
			t.Fatal(err)
		}
		session, err := c.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		var out, errOut bytes.Buffer
		session.Stdout, session.Stderr = &out, &errOut
		if err := session.Run("who"); err != nil || out.String() != want || errOut.String() != "note" {
			t.Errorf("%v %q %q", err, out.String(), errOut.String())
		}
	}
	c, err := s.dial(t, ssh.Password("secret"))
	if err != nil {
		t.Fatal(err)
	}
	session, _ := c.NewSession()
	var exit *ssh.ExitError
	if err := session.Run("exit 3010"); !errors.As(err, &exit) || exit.ExitStatus() != 3010 {
		t.Errorf("exit code: %v", err)
	}
	session, _ = c.NewSession()
	session.Stdin = strings.NewReader(strings.Repeat("x", 300000))
	if out, err := session.Output("cat"); err != nil || len(out) != 300000 {
		t.Errorf("cat: %v, %d bytes", err, len(out))
	}
	if ok, _, err := c.SendRequest("keepalive@openssh.com", true, nil); ok || err != nil {
		t.Errorf("keepalive: %v %v", ok, err)
	}
	session, _ = c.NewSession()
	if err := session.Start("wait"); err != nil {
		t.Fatal(err)
	}
	if err := session.Signal(ssh.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := session.Wait(); !errors.As(err, &exit) || exit.Signal() != "TERM" {
		t.Errorf("after a signal: %v", err)
	}
	session, _ = c.NewSession()
	if err := session.RequestPty("xterm", 80, 25, nil); err == nil {
		t.Error("a pty was given")
	}
	if err := session.Shell(); err == nil {
		t.Error("an interactive shell was given")
	}
	if _, err := c.Dial("tcp", "192.0.2.1:22"); err == nil || !strings.Contains(err.Error(), "prohibited") {
		t.Errorf("a forward: %v", err)
	}
}

func TestSessions(t *testing.T) {
	s := serve(t, nil)
	c, err := s.dial(t, ssh.Password("secret"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range maxSessions {
		session, err := c.NewSession()
		if err != nil {
			t.Fatalf("session %d: %v", i, err)
		}
		if err := session.Start("wait"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.NewSession(); err == nil {
		t.Error("an eleventh session was opened")
	}
}

// TestBastion: a machine that is one forwards, and the whole chain works through it.
func TestBastion(t *testing.T) {
	target := serve(t, nil)
	bastion := serve(t, func(c *Config) {
		c.Forward = func(ctx context.Context, host string, port int) (net.Conn, error) {
			if host != "192.0.2.11" || port != 22 {
				return nil, errors.New("no such machine")
			}
			return (&net.Dialer{}).DialContext(ctx, "tcp", target.at)
		}
	})
	c, err := bastion.dial(t, ssh.Password("secret"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Dial("tcp", "192.0.2.99:22"); err == nil {
		t.Error("connected to nowhere")
	}
	raw, err := c.Dial("tcp", "192.0.2.11:22")
	if err != nil {
		t.Fatal(err)
	}
	conn, chans, reqs, err := ssh.NewClientConn(raw, target.at,
		&ssh.ClientConfig{User: "deploy", Auth: []ssh.AuthMethod{ssh.Password("secret")},
			HostKeyCallback: ssh.FixedHostKey(target.host.PublicKey())})
	if err != nil {
		t.Fatal(err)
	}
	inner := ssh.NewClient(conn, chans, reqs)
	defer inner.Close()
	session, err := inner.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if out, err := session.Output("who"); err != nil || string(out) != `CONTOSO\deploy false` {
		t.Errorf("%v %q", err, out)
	}
}

func TestSFTP(t *testing.T) {
	s := serve(t, nil)
	c, err := s.dial(t, ssh.Password("secret"))
	if err != nil {
		t.Fatal(err)
	}
	f, err := sftp.NewClient(c, sftp.UseConcurrentWrites(true))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	data := bytes.Repeat([]byte("0123456789"), 150000)
	w, err := f.Create("/C:/dir/a.tmp")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.ReadFrom(bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Rename("/C:/dir/a.tmp", "/C:/dir/a.bin"); err != nil {
		t.Fatal(err)
	}
	if got := s.disk.files[`C:\dir\a.bin`]; !bytes.Equal(got, data) {
		t.Errorf("%d bytes arrived", len(got))
	}
	r, err := f.Open("/C:/dir/a.bin")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, data) {
		t.Errorf("read back %d bytes, %v", len(got), err)
	}
	r.Close()
	if _, err := f.Stat("/C:/nothing"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("stat of nothing: %v", err)
	}
	if _, err := f.Create("/C:/nodir/x"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("create in no directory: %v", err)
	}
	if _, err := f.Open("/etc/passwd"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a path without a letter: %v", err)
	}
	if err := f.Mkdir("/C:/dir/sub"); err != nil {
		t.Fatal(err)
	}
	list, err := f.ReadDir("/C:/dir")
	if err != nil || len(list) != 2 || list[0].Name() != "a.bin" || list[0].Size() != int64(len(data)) ||
		!list[1].IsDir() {
		t.Errorf("%v %v", list, err)
	}
	if list, err = f.ReadDir("/"); err != nil || len(list) != 1 || list[0].Name() != "C:" {
		t.Errorf("%v %v", list, err)
	}
	if err := f.Remove("/C:/dir/a.bin"); err != nil {
		t.Fatal(err)
	}
	w, err = f.OpenFile("/C:/dir/b", os.O_CREATE|os.O_EXCL|os.O_WRONLY)
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	if err := f.Rename("/C:/dir/sub", "/C:/dir/b"); err == nil {
		t.Error("a rename replaced a file")
	}
	if err := f.RemoveDirectory("/C:/dir/b"); err == nil {
		t.Error("a file was removed as a directory")
	}
}

func TestPaths(t *testing.T) {
	for in, want := range map[string]string{"/C:/a/b": `C:\a\b`, "C:/a": `C:\a`, "/c:": `c:\`, "/C:/a/../b/": `C:\b`,
		"/C:/../..": "", "/etc": "", "/": "", "/C:x": ""} {
		got, ok := windowsPath(in)
		if got != want || ok != (want != "") {
			t.Errorf("%s is %q %v", in, got, ok)
		}
	}
}
