package client

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"deploy/internal/agent"
	"deploy/internal/lab"
	"deploy/internal/lab/machine"
	"deploy/internal/node"
	"deploy/internal/secret"
	"deploy/internal/session"
	"deploy/internal/session/powershell"
	"deploy/inventory"
	"deploy/transport"
	"deploy/transport/ssh"
	"deploy/transport/winrm"
)

// windowsLab is one emulated machine and a mirror that it may reach under the name mirror.example.
type windowsLab struct {
	t        *testing.T
	lab      *lab.Lab
	programs *Programs
	prog     *Program
	mirror   *httptest.Server
	mu       sync.Mutex
	asked    []string // paths
	answer   http.HandlerFunc
	good     http.HandlerFunc // the answer with the program
	trusted  *x509.CertPool   // by the machine
	fetch    Fetch
	ssh      bool // the way to the machine
}

const labPassword = "Sommer-2026!"

func newWindowsLab(t *testing.T, release string) *windowsLab {
	t.Helper()
	w := &windowsLab{t: t, trusted: x509.NewCertPool()}
	content := []byte(strings.Repeat("this stands for the agent's program. ", 4000))
	sum := sha256.Sum256(content)
	digest := hex.EncodeToString(sum[:])
	p := Platform{"windows", "amd64"}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, p.FileName()), content, 0o600); err != nil {
		t.Fatal(err)
	}
	w.programs = &Programs{Dirs: []string{dir}}
	var err error
	if w.prog, err = w.programs.Find(p); err != nil {
		t.Fatal(err)
	}
	w.good = func(rw http.ResponseWriter, _ *http.Request) { _, _ = rw.Write(content) }
	w.mirror = httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		w.asked = append(w.asked, r.URL.Path)
		answer := w.answer
		w.mu.Unlock()
		answer(rw, r)
	}))
	w.mirror.Config.ErrorLog = log.New(io.Discard, "", 0)
	w.mirror.StartTLS()
	t.Cleanup(w.mirror.Close)
	outside := &http.Transport{DisableKeepAlives: true,
		TLSClientConfig: &tls.Config{RootCAs: w.trusted, ServerName: "example.com"},
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			host, port, _ := net.SplitHostPort(addr)
			if host != "mirror.example" {
				return nil, &net.OpError{Op: "dial", Net: network,
					Err: &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}}
			}
			to := w.mirror.Listener.Addr().String()
			if port != "443" {
				to = "127.0.0.1:1"
			}
			return (&net.Dialer{}).DialContext(ctx, network, to)
		}}
	cfg := lab.Config{Site: &inventory.Site{Name: "test", Path: filepath.Join(t.TempDir(), "site.yaml"),
		Nodes: []inventory.Node{{Name: "n1", Address: "192.0.2.11"}},
		Lab:   inventory.Lab{OS: release, Domain: "contoso.com"}}, Dir: filepath.Join(t.TempDir(), "lab"),
		Module: machine.Base(), Outside: outside,
		Accounts: []lab.Account{{User: `CONTOSO\deploy`, Password: secret.New(labPassword)}},
		Agent: &lab.Agent{Digest: digest,
			Start: func(root string, open func(context.Context, map[string]node.Credential) (node.Session, error)) lab.Worker {
				return agent.NewWorker(context.Background(),
					agent.Options{Kinds: registry(), Session: open, Root: root, Version: "test",
						Digest: func() (string, error) { return digest, nil }})
			}}}
	if w.lab, err = lab.Start(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.lab.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// begin makes mirror and machine as they were at first, and then as a case wants them.
func (w *windowsLab) begin(way string, change func(w *windowsLab)) {
	w.lab.World().Lock()
	for path := range w.lab.World().Machine("n1").Files {
		if strings.HasPrefix(path, `c:\windows\deploy`) || strings.HasPrefix(path, `c:\users\deploy\`) {
			delete(w.lab.World().Machine("n1").Files, path)
		}
	}
	w.lab.World().Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ssh, w.fetch, w.answer = way == "ssh", Fetch{From: "https://mirror.example/deploy/"}, w.good
	*w.trusted = *x509.NewCertPool()
	w.trusted.AddCert(w.mirror.Certificate()) // which is good for example.com
	if change != nil {
		change(w)
	}
}

// requests are the paths that were asked for since it was called last.
func (w *windowsLab) requests() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer func() { w.asked = nil }()
	return strings.Join(w.asked, " ")
}

func (w *windowsLab) dial(d transport.Dialer, address string, to transport.Target) transport.Conn {
	w.t.Helper()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		w.t.Fatal(err)
	}
	to.Port, _ = strconv.Atoi(port)
	to.Node, to.Address, to.User, to.Password, to.Timeout = "n1", host, `CONTOSO\deploy`, secret.New(labPassword),
		30*time.Second
	conn, err := d.Dial(w.t.Context(), to)
	if err != nil {
		w.t.Fatal(err)
	}
	return conn
}

// start connects, starts the agent and leaves again; it returns what was told. The machine must
// have the program and no other file in its place.
func (w *windowsLab) start() []string {
	t := w.t
	t.Helper()
	l := Launch{Options: Options{Node: "n1", Who: "tester"}, Programs: w.programs, Fetch: w.fetch}
	e := w.lab.Endpoints()["n1"]
	var conn transport.Conn
	var a *Agent
	var before int64
	if w.ssh {
		d := ssh.New(ssh.Options{})
		defer func() { _ = d.Close() }()
		conn = w.dial(d, e.SSH, transport.Target{SSH: transport.SSH{Fingerprints: []string{e.HostKey}}})
		before = conn.Stats().Sent
		var err error
		if a, err = StartOnWindowsOverSSH(t.Context(), conn, l); err != nil {
			t.Fatal(err)
		}
	} else {
		conn = w.dial(winrm.New(winrm.Options{}), e.HTTPS,
			transport.Target{WinRM: transport.WinRM{HTTPS: true, Auth: "ntlm", CACert: e.CA}})
		s, err := powershell.Open(t.Context(), conn, powershell.Options{Options: session.Options{Node: "n1"}})
		if err != nil {
			t.Fatal(err)
		}
		before = conn.Stats().Sent
		if a, err = StartOnWindows(t.Context(), conn, s, "winrm", l); err != nil {
			t.Fatal(err)
		}
	}
	notes := a.Notes()
	if sent := conn.Stats().Sent - before; notes == nil && sent > 100_000 {
		t.Errorf("%d bytes were sent", sent)
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	w.lab.World().Lock()
	defer w.lab.World().Unlock()
	place := map[bool]string{true: `c:\users\deploy\appdata\local\deploy\bin\`, false: `c:\windows\deploy\`}[w.ssh]
	var files []string
	for path, f := range w.lab.World().Machine("n1").Files {
		if strings.HasPrefix(path, place) {
			files = append(files, path)
			if !w.ssh && f.SDDL != privateFile {
				t.Errorf("%s has the list %q", path, f.SDDL)
			}
		}
	}
	if want := place + w.prog.Name(); len(files) != 1 || files[0] != want {
		t.Errorf("in the directory are %q, want %s", files, want)
	}
	return notes
}

func TestFetchOnWindows(t *testing.T) {
	const sent = "cannot download the agent from URL, uploaded it instead: "
	cases := map[string]struct {
		release string
		change  func(w *windowsLab)
		note    string // "" for none: it was fetched
		unasked bool   // no request reaches the mirror
	}{
		"2019": {},
		"2025": {release: "2025"},
		"2016": {release: "2016", note: sent + "Windows Server 2016 has no curl.exe", unasked: true},
		"not there": {change: func(w *windowsLab) { w.answer = http.NotFound },
			note: sent + "curl ended with code 22: curl: (22) "},
		"no such host": {change: func(w *windowsLab) { w.fetch.From = "https://other.example/" },
			note: sent + "curl ended with code 6: curl: (6) Could not resolve host: other.example", unasked: true},
		"nobody there": {change: func(w *windowsLab) { w.fetch.From = "https://mirror.example:444/" },
			note: sent + "curl ended with code 7: ", unasked: true},
		"untrusted": {change: func(w *windowsLab) { *w.trusted = *x509.NewCertPool() },
			note: sent + "curl ended with code 35: ", unasked: true},
		"untrusted now": {release: "2022", change: func(w *windowsLab) { *w.trusted = *x509.NewCertPool() },
			note: sent + "curl ended with code 60: ", unasked: true},
		"elsewhere": {change: func(w *windowsLab) {
			w.answer = func(rw http.ResponseWriter, r *http.Request) {
				http.Redirect(rw, r, "https://other.example/", http.StatusFound)
			}
		}, note: sent + "curl ended with code 47: "},
		"another program": {change: func(w *windowsLab) {
			w.answer = func(rw http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(rw, "MZ, but not ours") }
		}, note: "WARNING: what lies at URL is not the agent (wrong SHA-256)"},
		"too much": {change: func(w *windowsLab) {
			w.answer = func(rw http.ResponseWriter, _ *http.Request) {
				rw.Header().Set("Content-Length", fmt.Sprint(w.prog.Size+1))
				_, _ = rw.Write(make([]byte, w.prog.Size+1))
			}
		}, note: sent + "curl ended with code 63: "},
		"nothing": {change: func(w *windowsLab) { w.answer = func(http.ResponseWriter, *http.Request) {} }, note: sent},
		"half of it": {change: func(w *windowsLab) {
			w.answer = func(rw http.ResponseWriter, _ *http.Request) {
				rw.Header().Set("Content-Length", "1000")
				_, _ = io.WriteString(rw, "half of it")
			}
		}, note: sent + "curl ended with code 18: "},
		"silence": {change: func(w *windowsLab) {
			w.fetch.Silence = time.Second
			w.answer = func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
		}, note: sent + "curl ended with code 28: "},
		"too slow": {change: func(w *windowsLab) {
			w.fetch.Most = time.Second
			w.answer = func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
		}, note: sent + "curl ended with code 28: "},
	}
	for _, release := range []string{"2016", "2019", "2022", "2025"} {
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			w := newWindowsLab(t, release)
			for name, c := range cases {
				if release != cmp.Or(c.release, "2019") {
					continue
				}
				for _, way := range []string{"winrm", "ssh"} {
					t.Run(name+" over "+way, func(t *testing.T) {
						w.t = t
						w.begin(way, c.change)
						w.play(c.note, c.unasked)
					})
				}
			}
		})
	}
}

// play starts the agent once and, where it was fetched, again; note is what must be told, "" for
// nothing.
func (w *windowsLab) play(note string, unasked bool) {
	t := w.t
	t.Helper()
	notes := strings.Join(w.start(), "\n")
	want := strings.ReplaceAll(note, "URL", w.fetch.From+w.prog.MirrorName())
	if w.ssh { // whose exit code it is, SSH does not tell
		want = strings.ReplaceAll(want, "curl ended with code", "exit code")
	}
	if !strings.Contains(notes, want) || want == "" && notes != "" || strings.Contains(notes, "\n") {
		t.Errorf("it told %q, want %q", notes, want)
	}
	if asked := w.requests(); (asked == "") != unasked || asked != "" && asked != "/deploy/"+w.prog.MirrorName() {
		t.Errorf("the mirror was asked for %q", asked)
	}
	if note != "" {
		return
	}
	// what is there is not asked for again
	if notes, asked := w.start(), w.requests(); notes != nil || asked != "" {
		t.Errorf("the second time: %q, asked for %q", notes, asked)
	}
}
