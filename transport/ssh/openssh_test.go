package ssh

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"deploy/internal/node"
	"deploy/transport"
)

// sshd is a real OpenSSH server on loopback, for one test.
type sshd struct {
	dir, key string
	port     int
	hostKey  map[string]ssh.PublicKey // by file suffix
	user     string
}

func startSSHD(t *testing.T, extra ...string) *sshd {
	t.Helper()
	bin, err := exec.LookPath("sshd")
	if err != nil {
		if bin = "/usr/sbin/sshd"; !exists(bin) {
			t.Fatal("no sshd: run scripts/test-deps")
		}
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	s := &sshd{dir: t.TempDir(), hostKey: map[string]ssh.PublicKey{}, user: me.Username}
	if os.Getuid() == 0 {
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, kind := range []string{"ed25519", "ecdsa", "rsa"} {
		file := filepath.Join(s.dir, "host_"+kind)
		run(t, "ssh-keygen", "-q", "-t", kind, "-N", "", "-f", file)
		pub, err := os.ReadFile(file + ".pub")
		if err != nil {
			t.Fatal(err)
		}
		k, _, _, _, err := ssh.ParseAuthorizedKey(pub)
		if err != nil {
			t.Fatal(err)
		}
		s.hostKey[kind] = k
	}
	s.key = filepath.Join(s.dir, "id")
	run(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", s.key)
	copyFile(t, s.key+".pub", filepath.Join(s.dir, "authorized"))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.port = l.Addr().(*net.TCPAddr).Port
	_ = l.Close()
	config := fmt.Sprintf(`Port %d
ListenAddress 127.0.0.1
HostKey %[2]s/host_ed25519
HostKey %[2]s/host_ecdsa
HostKey %[2]s/host_rsa
AuthorizedKeysFile %[2]s/authorized
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin yes
Subsystem sftp internal-sftp
%[3]s
`, s.port, s.dir, strings.Join(extra, "\n"))
	file := filepath.Join(s.dir, "sshd_config")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin, "-D", "-e", "-f", file)
	var log bytes.Buffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("sshd said:\n%s", log.String())
		}
	})
	for range 200 {
		c, err := net.Dial("tcp", s.address())
		if err == nil {
			_ = c.Close()
			return s
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("sshd does not listen: %s", log.String())
	return nil
}

func (s *sshd) address() string { return fmt.Sprintf("127.0.0.1:%d", s.port) }

// target trusts the server by what is written in known_hosts.
func (s *sshd) target(t *testing.T, knownHosts ...string) transport.Target {
	t.Helper()
	file := filepath.Join(t.TempDir(), "known_hosts")
	if err := os.WriteFile(file, []byte(strings.Join(knownHosts, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return transport.Target{Node: "n1", Transport: "ssh", Address: "127.0.0.1", Port: s.port, User: s.user,
		SSH: transport.SSH{KnownHosts: []string{file}, KeyFiles: []string{s.key}}}
}

func (s *sshd) known(kind string) string {
	return fmt.Sprintf("[127.0.0.1]:%d %s", s.port, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(s.hostKey[kind]))))
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}

func exists(p string) bool { _, err := os.Stat(p); return err == nil }

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func tierOpenssh(t *testing.T) {
	t.Helper()
	if os.Getenv("DEPLOY_TIER") != "openssh" {
		t.Skip("belongs to the tier openssh: make test-openssh")
	}
}

func TestTierOpensshRun(t *testing.T) {
	tierOpenssh(t)
	s := startSSHD(t)
	d := New(Options{Home: t.TempDir()})
	defer d.Close()
	c, err := d.Dial(t.Context(), s.target(t, s.known("ed25519")))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, tc := range []struct {
		line, in, out string
		code          int
	}{
		{"echo hello", "", "hello\n", 0},
		{"cat; exit 7", "data in", "data in", 7},
		{"printf '\\303\\251'", "", "é", 0},
	} {
		p, err := c.Start(t.Context(), tc.line)
		if err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = io.WriteString(p.Stdin(), tc.in); _ = p.Stdin().Close() }()
		go func() { _, _ = io.Copy(io.Discard, p.Stderr()) }()
		out, _ := io.ReadAll(p.Stdout())
		code, err := p.Wait()
		if err != nil || code != tc.code || string(out) != tc.out {
			t.Errorf("%q: code %d, err %v, output %q", tc.line, code, err, out)
		}
	}
	if st := c.Stats(); st.Sent == 0 || st.Received == 0 {
		t.Errorf("nothing was counted: %+v", st)
	}
}

// A process that is killed leaves no exit code: that is "unknown", not "failed" and not "done".
func TestTierOpensshNoExitCode(t *testing.T) {
	tierOpenssh(t)
	s := startSSHD(t)
	d := New(Options{Home: t.TempDir()})
	defer d.Close()
	c, err := d.Dial(t.Context(), s.target(t, s.known("ed25519")))
	if err != nil {
		t.Fatal(err)
	}
	p, err := c.Start(t.Context(), "sleep 60")
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(100*time.Millisecond, func() { _ = c.Close() })
	_, err = p.Wait()
	var link *node.LinkError
	if !errors.As(err, &link) || !link.Sent {
		t.Fatalf("got %v, want a link error with the outcome unknown", err)
	}
}

func TestTierOpensshKillIsQuick(t *testing.T) {
	tierOpenssh(t)
	s := startSSHD(t)
	d := New(Options{Home: t.TempDir()})
	defer d.Close()
	c, err := d.Dial(t.Context(), s.target(t, s.known("ed25519")))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	p, err := c.Start(t.Context(), "cat")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Kill(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := p.Wait(); err != nil && !errors.As(err, new(*node.LinkError)) {
		t.Error(err)
	}
}

func TestTierOpensshHostKeys(t *testing.T) {
	tierOpenssh(t)
	s := startSSHD(t)
	other, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	wrong, err := ssh.NewPublicKey(other)
	if err != nil {
		t.Fatal(err)
	}
	wrongLine := fmt.Sprintf("[127.0.0.1]:%d %s", s.port, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(wrong))))
	hashed := filepath.Join(t.TempDir(), "hashed")
	if err := os.WriteFile(hashed, []byte(s.known("ecdsa")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, "ssh-keygen", "-q", "-H", "-f", hashed)
	hashedLines, err := os.ReadFile(hashed)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name  string
		lines []string
		edit  func(*transport.Target)
		ok    bool
	}{
		{"ed25519", []string{s.known("ed25519")}, nil, true},
		{"only the ECDSA key is known", []string{s.known("ecdsa")}, nil, true},
		{"only the RSA key is known", []string{s.known("rsa")}, nil, true},
		{"hashed", []string{string(hashedLines)}, nil, true},
		{"wildcard", []string{fmt.Sprintf("[127.0.0.*]:%d ", s.port) + strings.SplitN(s.known("rsa"), " ", 2)[1]}, nil, true},
		{"unknown", nil, nil, false},
		{"changed", []string{wrongLine}, nil, false},
		{"revoked", []string{s.known("ed25519"), "@revoked " + s.known("ed25519")}, nil, false},
		{"fingerprint", nil, func(t *transport.Target) {
			t.SSH.Fingerprints = []string{ssh.FingerprintSHA256(s.hostKey["ed25519"])}
		}, true},
		{"wrong fingerprint", nil, func(t *transport.Target) { t.SSH.Fingerprints = []string{ssh.FingerprintSHA256(wrong)} }, false},
		{"alias", []string{"mbx01 " + strings.SplitN(s.known("ed25519"), " ", 2)[1]}, func(t *transport.Target) { t.SSH.HostKeyAlias = "mbx01" }, true},
		{"accept new", nil, func(t *transport.Target) { t.SSH.AcceptNew = true }, true},
		{"accept new does not accept a changed key", []string{wrongLine}, func(t *transport.Target) { t.SSH.AcceptNew = true }, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := New(Options{Home: t.TempDir()})
			defer d.Close()
			target := s.target(t, tc.lines...)
			if tc.edit != nil {
				tc.edit(&target)
			}
			for round := range 2 { // the second time an accepted key must be known
				if round == 1 && target.SSH.AcceptNew {
					target.SSH.AcceptNew = false
				}
				c, err := d.Dial(t.Context(), target)
				if tc.ok != (err == nil) {
					t.Fatalf("round %d: %v", round, err)
				}
				if err != nil && !errors.Is(err, node.ErrHostKey) {
					t.Fatalf("round %d: not a host key error: %v", round, err)
				}
				if c != nil {
					_ = c.Close()
				}
			}
		})
	}
}

// An authority whose key is of another type than the host's is what both libraries fail at.
func TestTierOpensshHostCertificate(t *testing.T) {
	tierOpenssh(t)
	ca := filepath.Join(t.TempDir(), "ca")
	run(t, "ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", ca)
	dir := t.TempDir()
	key := filepath.Join(dir, "host")
	run(t, "ssh-keygen", "-q", "-t", "rsa", "-N", "", "-f", key)
	run(t, "ssh-keygen", "-q", "-s", ca, "-I", "host", "-h", "-n", "127.0.0.1", key+".pub")
	certified := startSSHD(t, "HostKey "+key, "HostCertificate "+key+"-cert.pub")
	pub, err := os.ReadFile(ca + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	d := New(Options{Home: t.TempDir()})
	defer d.Close()
	for _, pattern := range []string{"*", "127.0.0.1", fmt.Sprintf("[127.0.0.1]:%d", certified.port)} {
		c, err := d.Dial(t.Context(), certified.target(t, "@cert-authority "+pattern+" "+strings.TrimSpace(string(pub))))
		if pattern == "127.0.0.1" {
			// ssh itself does not match a bare name on another port than 22
			if err == nil {
				_ = c.Close()
			}
			continue
		}
		if err != nil {
			t.Errorf("authority for %q: %v", pattern, err)
			continue
		}
		_ = c.Close()
	}
}

func TestTierOpensshWrongKey(t *testing.T) {
	tierOpenssh(t)
	s := startSSHD(t)
	other := filepath.Join(t.TempDir(), "other")
	run(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", other)
	target := s.target(t, s.known("ed25519"))
	target.SSH.KeyFiles = []string{other}
	d := New(Options{Home: t.TempDir()})
	defer d.Close()
	if _, err := d.Dial(t.Context(), target); !errors.Is(err, node.ErrAuth) {
		t.Fatalf("got %v, want credentials refused", err)
	}
}

func TestTierOpensshFiles(t *testing.T) {
	tierOpenssh(t)
	s := startSSHD(t)
	d := New(Options{Home: t.TempDir()})
	defer d.Close()
	c, err := d.Dial(t.Context(), s.target(t, s.known("ed25519")))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	f, err := c.Files(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	path := filepath.Join(t.TempDir(), "ünï file")
	for _, size := range []int{0, 1, 40_000, 3 << 20} {
		data := bytes.Repeat([]byte{byte(size), 1, 2}, size/3+1)[:size]
		if err := f.Put(t.Context(), path, bytes.NewReader(data), 0o640); err != nil {
			t.Fatal(err)
		}
		r, err := f.Get(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		_ = r.Close()
		if err != nil || !bytes.Equal(got, data) {
			t.Fatalf("%d bytes: %v, equal %v", size, err, bytes.Equal(got, data))
		}
	}
	if _, err := f.Get(t.Context(), path+".no"); !errors.Is(err, node.ErrNotFound) {
		t.Errorf("a missing file: %v", err)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "*.deploy-new")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// Forty nodes behind one bastion: one connection to it, and none of the forty lost to MaxStartups.
func TestTierOpensshBastion(t *testing.T) {
	tierOpenssh(t)
	bastion := startSSHD(t, "MaxStartups 4:50:8", "MaxSessions 60")
	inner := startSSHD(t, "MaxStartups 10:30:100")
	copyFile(t, inner.key+".pub", filepath.Join(bastion.dir, "authorized"))
	d := New(Options{Home: t.TempDir()})
	defer d.Close()
	target := inner.target(t, inner.known("ed25519"), bastion.known("ed25519"))
	target.SSH.ProxyJump = fmt.Sprintf("%s@127.0.0.1:%d", bastion.user, bastion.port)
	var wg sync.WaitGroup
	errs := make(chan error, 40)
	for range 40 {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
			defer cancel()
			tt := target
			tt.Timeout = 60 * time.Second
			c, err := d.Dial(ctx, tt)
			if err == nil {
				err = c.Close()
			}
			errs <- err
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
}

// Twenty commands at once on one connection stay below sshd's MaxSessions.
func TestTierOpensshManySessions(t *testing.T) {
	tierOpenssh(t)
	s := startSSHD(t)
	d := New(Options{Home: t.TempDir()})
	defer d.Close()
	c, err := d.Dial(t.Context(), s.target(t, s.known("ed25519")))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			p, err := c.Start(t.Context(), "sleep 0.1")
			if err != nil {
				t.Error(err)
				return
			}
			go func() { _, _ = io.Copy(io.Discard, p.Stderr()) }()
			_, _ = io.Copy(io.Discard, p.Stdout())
			if code, err := p.Wait(); err != nil || code != 0 {
				t.Errorf("code %d, %v", code, err)
			}
		})
	}
	wg.Wait()
}

func TestTierOpensshConfigFile(t *testing.T) {
	tierOpenssh(t)
	s := startSSHD(t)
	file := filepath.Join(t.TempDir(), "config")
	text := fmt.Sprintf("Host mail\n  HostName 127.0.0.1\n  Port %d\n  User %s\n  IdentityFile %s\n  HostKeyAlias mail\n", s.port, s.user, s.key)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	target := s.target(t, "mail "+strings.SplitN(s.known("ed25519"), " ", 2)[1])
	target.Address, target.Port, target.User, target.SSH.KeyFiles, target.SSH.ConfigFile = "mail", 0, "", nil, file
	d := New(Options{Home: t.TempDir()})
	defer d.Close()
	c, err := d.Dial(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
}

// sealed makes a private key file with a passphrase.
func sealed(t *testing.T, passphrase string) string {
	t.Helper()
	_, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKeyWithPassphrase(priv, "test", []byte(passphrase))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "sealed")
	if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
