package lab

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh"

	"deploy/internal/hint"
	"deploy/internal/lab/machine"
	"deploy/internal/secret"
	"deploy/internal/session/powershell/protocol"
	"deploy/inventory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testPassword = "Sommer-2026!"

func testSite(t testing.TB) *inventory.Site {
	t.Helper()
	return &inventory.Site{Name: "test", Path: filepath.Join(t.TempDir(), "site.yaml"),
		Nodes: []inventory.Node{
			{Name: "n1", Address: "192.0.2.11", Roles: []string{"cluster"}},
			{Name: "n2", Address: "192.0.2.12", Roles: []string{"cluster"}},
		},
		Lab: inventory.Lab{OS: "2008", Domain: "contoso.com", Disks: []inventory.LabDisk{{Serial: "S1", SizeMB: 1024}}}}
}

func testConfig(t testing.TB) Config {
	t.Helper()
	return Config{Site: testSite(t), Dir: filepath.Join(t.TempDir(), "lab"), Module: machine.Base(),
		Accounts: []Account{{User: `CONTOSO\deploy`, Password: secret.New(testPassword)}}}
}

func startLab(t *testing.T, cfg Config) *Lab {
	t.Helper()
	l, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// dial logs on by SSH.
func dial(t *testing.T, e Endpoint, auth ...ssh.AuthMethod) (*ssh.Client, error) {
	t.Helper()
	if auth == nil {
		auth = []ssh.AuthMethod{ssh.Password(testPassword)}
	}
	c, err := ssh.Dial("tcp", e.SSH, &ssh.ClientConfig{User: "deploy", Auth: auth, Timeout: 5 * time.Second,
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			if ssh.FingerprintSHA256(key) != e.HostKey {
				return errors.New("another host key")
			}
			return nil
		}})
	if err == nil {
		t.Cleanup(func() { c.Close() })
	}
	return c, err
}

// talk is a resident process over SSH.
type talk struct {
	t      *testing.T
	in     io.Writer
	frames *protocol.Reader
	id     int64
}

const nonce = "n0nce"

func (l *Lab) talk(t *testing.T, machine string) *talk {
	t.Helper()
	c, err := dial(t, l.Endpoints()[machine])
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	in, _ := s.StdinPipe()
	out, _ := s.StdoutPipe()
	if err := s.Start(protocol.CommandLine()); err != nil {
		t.Fatal(err)
	}
	if _, err := in.Write(protocol.Preamble(nonce)); err != nil {
		t.Fatal(err)
	}
	k := &talk{t: t, in: in, frames: protocol.NewReader(bufio.NewReader(out), nonce)}
	if f, err := k.frames.Next(); err != nil || f.Kind != protocol.KindHello {
		t.Fatalf("no hello: %+v %v", f, err)
	}
	return k
}

func (k *talk) send(verb string, args map[string]any) error {
	k.id++
	b, err := protocol.AppendFrame(nil, nonce,
		protocol.Frame{ID: k.id, Kind: protocol.KindRequest, Value: map[string]any{"verb": verb, "args": args}})
	if err != nil {
		k.t.Fatal(err)
	}
	_, err = k.in.Write(b)
	return err
}

// try asks one thing; a broken link is an error.
func (k *talk) try(verb string, args map[string]any) (rows []map[string]any, failure map[string]any, err error) {
	if err := k.send(verb, args); err != nil {
		return nil, nil, err
	}
	for {
		f, err := k.frames.Next()
		if err != nil {
			return nil, nil, err
		}
		switch f.Kind {
		case protocol.KindRows:
			for _, r := range f.Value.([]any) {
				rows = append(rows, r.(map[string]any))
			}
		case protocol.KindDone:
			return rows, nil, nil
		case protocol.KindError:
			return rows, f.Value.(map[string]any), nil
		}
	}
}

func (k *talk) ask(verb string, args map[string]any) []map[string]any {
	k.t.Helper()
	rows, failure, err := k.try(verb, args)
	if err != nil || failure != nil {
		k.t.Fatalf("%s: %v %v", verb, failure, err)
	}
	return rows
}

func set(name string) map[string]any {
	return map[string]any{"key": `HKLM\SOFTWARE\Test`, "name": name, "type": "string", "data": "x"}
}

func TestResidentOverSSH(t *testing.T) {
	l := startLab(t, testConfig(t))
	k := l.talk(t, "n1")
	facts := k.ask("facts", nil)
	if len(facts) != 1 || !strings.EqualFold(facts[0]["computer"].(string), "n1") || facts[0]["version"] != "6.0.6002" {
		t.Fatalf("facts: %v", facts)
	}
	k.ask("reg.set", set("a"))
	if rows := k.ask("reg.get", map[string]any{"key": `HKLM\SOFTWARE\Test`}); len(rows) != 1 || rows[0]["name"] != "a" ||
		rows[0]["data"] != "x" {
		t.Errorf("reg.get: %v", rows)
	}
	_, failure, err := k.try("reg.get", map[string]any{"key": `HKLM\SOFTWARE\Nothing`})
	if err != nil || failure["id"] != protocol.IDNotFound {
		t.Errorf("a missing key: %v %v", failure, err)
	}
	// a repeat after a lost answer is dropped
	k.id--
	if err := k.send("reg.set", set("b")); err != nil {
		t.Fatal(err)
	}
	if rows := k.ask("reg.get", map[string]any{"key": `HKLM\SOFTWARE\Test`}); len(rows) != 1 {
		t.Errorf("after a repeat: %v", rows)
	}
}

// run runs one command line by SSH.
func run(t *testing.T, c *ssh.Client, line string) (string, string, int) {
	t.Helper()
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var out, errOut bytes.Buffer
	s.Stdout, s.Stderr = &out, &errOut
	err = s.Run(line)
	var exit *ssh.ExitError
	switch {
	case errors.As(err, &exit):
		return out.String(), errOut.String(), exit.ExitStatus()
	case err != nil:
		t.Fatal(err)
	}
	return out.String(), errOut.String(), 0
}

// TestStateStays: what a request changed is on disk before its answer, and a lab that starts again
// goes on from there.
func TestStateStays(t *testing.T) {
	cfg := testConfig(t)
	first := startLab(t, cfg)
	before := first.Endpoints()["n1"]
	first.talk(t, "n1").ask("reg.set", set("a"))
	raw, err := os.ReadFile(filepath.Join(cfg.Dir, worldFile))
	if err != nil || !bytes.Contains(raw, []byte(`SOFTWARE\\Test`)) {
		t.Errorf("the change is not in the file: %v", err)
	}
	if _, err := Start(t.Context(), cfg); err == nil || hint.Of(err) == "" {
		t.Errorf("a second lab in the same place: %v", err)
	}
	if err := Reset(cfg.Dir); err == nil {
		t.Error("a running lab was reset")
	}
	if e, ok := Attach(cfg.Dir); !ok || e["n1"].SSH != before.SSH {
		t.Errorf("attach: %v %v", ok, e)
	}
	shown, err := first.Show()
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if _, ok := Attach(cfg.Dir); ok {
		t.Error("attached to a lab that is gone")
	}
	second := startLab(t, cfg)
	after := second.Endpoints()["n1"]
	if after.HostKey != before.HostKey || !bytes.Equal(after.CA, before.CA) {
		t.Error("the lab has other keys now")
	}
	again, err := second.Show()
	if err != nil || !bytes.Equal(stateOf(t, shown), stateOf(t, again)) {
		t.Errorf("the state is another one: %v", err)
	}
	if rows := second.talk(t, "n1").ask("reg.get", map[string]any{"key": `HKLM\SOFTWARE\Test`}); len(rows) != 1 {
		t.Errorf("the value is gone: %v", rows)
	}
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	if err := Reset(cfg.Dir); err != nil {
		t.Fatal(err)
	}
	third := startLab(t, cfg)
	if _, failure, _ := third.talk(t, "n1").try("reg.get",
		map[string]any{"key": `HKLM\SOFTWARE\Test`}); failure["id"] != protocol.IDNotFound {
		t.Errorf("after a reset: %v", failure)
	}
}

func stateOf(t *testing.T, shown []byte) []byte {
	t.Helper()
	var s struct{ State json.RawMessage }
	if err := json.Unmarshal(shown, &s); err != nil {
		t.Fatal(err)
	}
	return s.State
}

func TestRestart(t *testing.T) {
	l := startLab(t, testConfig(t))
	k := l.talk(t, "n1")
	first := k.ask("facts", nil)[0]["boot_id"]
	k.ask("restart", map[string]any{"reason": "test"})
	if _, err := k.frames.Next(); err == nil {
		t.Error("the session outlived the machine")
	}
	var c *ssh.Client
	deadline := time.Now().Add(10 * time.Second)
	for {
		var err error
		if c, err = dial(t, l.Endpoints()["n1"]); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	c.Close()
	if again := l.talk(t, "n1").ask("facts", nil)[0]["boot_id"]; again == first {
		t.Errorf("the boot id is still %v", again)
	}
}

func TestAccounts(t *testing.T) {
	cfg := testConfig(t)
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Accounts[0].Key = signer.PublicKey()
	l := startLab(t, cfg)
	for _, user := range []string{"deploy", "DEPLOY", `contoso\Deploy`, "deploy@contoso.com", `contoso.com\deploy`} {
		if _, full, ok := l.accounts.find(user, ""); !ok || full != `CONTOSO\deploy` {
			t.Errorf("%s: %v %s", user, ok, full)
		}
	}
	for _, user := range []string{"", "deploy2", `OTHER\deploy`, "deploy@other.com"} {
		if _, _, ok := l.accounts.find(user, ""); ok {
			t.Errorf("%q was let in", user)
		}
	}
	e := l.Endpoints()["n1"]
	if _, err := dial(t, e, ssh.Password("wrong")); err == nil {
		t.Error("a wrong password was let in")
	}
	c, err := dial(t, e, ssh.PublicKeys(signer))
	if err != nil {
		t.Fatal(err)
	}
	if out, _, code := run(t, c, "echo %USERNAME%"); code != 0 || out != "deploy\r\n" {
		t.Errorf("%q %d", out, code)
	}
}

// TestLostLink: every way to lose a link at a request, and what is known after it.
func TestLostLink(t *testing.T) {
	for spec, done := range map[string]bool{
		"link-drop:machine=n1,at=3":             true,
		"link-drop:machine=N1,at=3,when=before": true, // the machine carries it out, nobody hears of it
		"node-lost:machine=n1,at=3,back=50ms":   false,
	} {
		t.Run(spec, func(t *testing.T) {
			cfg := testConfig(t)
			cfg.Faults = []string{spec}
			l := startLab(t, cfg)
			k := l.talk(t, "n1")
			k.ask("facts", nil)
			k.ask("facts", nil)
			if _, _, err := k.try("reg.set", set("a")); err == nil {
				t.Fatal("the link held")
			}
			var c *ssh.Client
			for deadline := time.Now().Add(5 * time.Second); c == nil; time.Sleep(10 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatal("the machine stays away")
				}
				c, _ = dial(t, l.Endpoints()["n1"])
			}
			rows, failure, err := l.talk(t, "n1").try("reg.get", map[string]any{"key": `HKLM\SOFTWARE\Test`})
			if err != nil || (len(rows) == 1) != done {
				t.Errorf("%v %v %v", rows, failure, err)
			}
			// the lab remembers that it has struck
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			again := startLab(t, cfg)
			k = again.talk(t, "n1")
			for range 5 {
				k.ask("facts", nil)
			}
		})
	}
}

func TestFreeze(t *testing.T) {
	cfg := testConfig(t)
	cfg.Faults = []string{"link-freeze:machine=n1,for=300ms"}
	l := startLab(t, cfg)
	k := l.talk(t, "n1")
	began := time.Now()
	k.ask("facts", nil)
	if took := time.Since(began); took < 250*time.Millisecond || took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestLogonRefused(t *testing.T) {
	cfg := testConfig(t)
	cfg.Faults = []string{"logon-refused:times=2"}
	l := startLab(t, cfg)
	for i, want := range []bool{false, false, true} {
		if _, err := dial(t, l.Endpoints()["n2"]); (err == nil) != want {
			t.Errorf("logon %d: %v", i, err)
		}
	}
}

func TestRebootHangs(t *testing.T) {
	cfg := testConfig(t)
	cfg.Faults = []string{"reboot-hangs:machine=n1"}
	l := startLab(t, cfg)
	k := l.talk(t, "n1")
	k.ask("restart", nil)
	time.Sleep(2*defaultLongest + 200*time.Millisecond)
	if _, err := dial(t, l.Endpoints()["n1"]); err == nil {
		t.Error("the machine came back")
	}
	if _, err := dial(t, l.Endpoints()["n2"]); err != nil {
		t.Error(err)
	}
	if err := l.Operate(t.Context(), "n1", "power-on", ""); err != nil {
		t.Fatal(err)
	}
	if _, err := dial(t, l.Endpoints()["n1"]); err != nil {
		t.Error(err)
	}
}

func TestFaultText(t *testing.T) {
	for _, k := range FaultKinds() {
		if k.Doc == "" {
			t.Errorf("%s has no doc", k.Name)
		}
	}
	for _, good := range []string{"node-lost", "disk-full:letter=E", "setup-fails:machine=n1,at=mailbox,times=always",
		"slow:ms=5"} {
		if _, err := ParseFault(good); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{"", "nod-lost", "slow", "slow:ms=x", "link-drop:at=0", "link-drop:at",
		"link-drop:serial=1", "node-lost:back=soon", "link-drop:when=now", "disk-missing"} {
		if f, err := ParseFault(bad); err == nil {
			t.Errorf("%q was read as %+v", bad, f)
		}
	}
	cfg := testConfig(t)
	for _, bad := range []string{"node-lost:machine=n9", "disk-missing:serial=S9"} {
		cfg.Faults = []string{bad}
		if _, err := Start(context.Background(), cfg); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestDiskMissing(t *testing.T) {
	cfg := testConfig(t)
	l := startLab(t, cfg)
	missing := func() bool {
		l.World().Lock()
		defer l.World().Unlock()
		for _, d := range l.World().Machine("n2").Visible {
			if d.Serial == "S1" {
				return d.Missing
			}
		}
		t.Fatal("no disk")
		return false
	}
	for _, want := range []bool{true, false} {
		var specs []string
		if want {
			specs = []string{"disk-missing:machine=n2,serial=S1"}
		}
		if err := l.SetFaults(specs); err != nil {
			t.Fatal(err)
		}
		if missing() != want {
			t.Errorf("missing is %v", !want)
		}
	}
}

// TestHistory: what was asked is written down, passwords are not.
func TestHistory(t *testing.T) {
	cfg := testConfig(t)
	l := startLab(t, cfg)
	k := l.talk(t, "n1")
	k.ask("job.start", map[string]any{"id": "j1", "argv": []any{"cmd.exe", "/c", "echo", "hi"}, "user": `CONTOSO\deploy`,
		"password": testPassword, "limit": int64(60)})
	c, err := dial(t, l.Endpoints()["n1"])
	if err != nil {
		t.Fatal(err)
	}
	run(t, c, "echo from the shell")
	if n := len(l.History()); n < 2 {
		t.Errorf("%d entries", n)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(cfg.Dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		if bytes.Contains(raw, []byte(testPassword)) {
			t.Errorf("the password stands in %s", path)
		}
		if d.Name() == historyFile && (!bytes.Contains(raw, []byte("job.start")) ||
			!bytes.Contains(raw, []byte("from the shell"))) {
			t.Errorf("history: %s", raw)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestCommandLines(t *testing.T) {
	l := startLab(t, testConfig(t))
	c, err := dial(t, l.Endpoints()["n1"])
	if err != nil {
		t.Fatal(err)
	}
	if _, errOut, code := run(t, c, "no-such-program"); code == 0 || errOut == "" {
		t.Errorf("%d %q", code, errOut)
	}
	// PowerShell code is refused loudly
	out, errOut, code := run(t, c, `powershell -NoProfile -Command "Get-Service | Stop-Service"`)
	if code != 1 || out != "" || !strings.HasPrefix(errOut, "#< CLIXML") ||
		!strings.Contains(errOut, "deploy.lab.NotEmulated") {
		t.Errorf("%d %q %q", code, out, errOut)
	}
	if out, _, code = run(t, c, `powershell -NoProfile -Command "echo hi"`); out != "hi\r\n" || code != 0 {
		t.Errorf("%d %q", code, out)
	}
}
