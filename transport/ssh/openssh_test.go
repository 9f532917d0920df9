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
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/internal/testkit/sshdtest"
	"deploy/transport"
)

func TestTierOpensshRun(t *testing.T) {
	sshdtest.Tier(t)
	s := sshdtest.Start(t)
	d := New(Options{Home: t.TempDir()})
	defer d.Close()
	c, err := d.Dial(t.Context(), s.Target(t, s.Known("ed25519")))
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
	sshdtest.Tier(t)
	s := sshdtest.Start(t)
	d := New(Options{Home: t.TempDir()})
	defer d.Close()
	c, err := d.Dial(t.Context(), s.Target(t, s.Known("ed25519")))
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
	sshdtest.Tier(t)
	s := sshdtest.Start(t)
	d := New(Options{Home: t.TempDir()})
	defer d.Close()
	c, err := d.Dial(t.Context(), s.Target(t, s.Known("ed25519")))
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
	sshdtest.Tier(t)
	s := sshdtest.Start(t)
	other, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	wrong, err := ssh.NewPublicKey(other)
	if err != nil {
		t.Fatal(err)
	}
	wrongLine := fmt.Sprintf("[127.0.0.1]:%d %s", s.Port, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(wrong))))
	hashed := filepath.Join(t.TempDir(), "hashed")
	if err := os.WriteFile(hashed, []byte(s.Known("ecdsa")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	sshdtest.Run(t, "ssh-keygen", "-q", "-H", "-f", hashed)
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
		{"ed25519", []string{s.Known("ed25519")}, nil, true},
		{"only the ECDSA key is known", []string{s.Known("ecdsa")}, nil, true},
		{"only the RSA key is known", []string{s.Known("rsa")}, nil, true},
		{"hashed", []string{string(hashedLines)}, nil, true},
		{"wildcard", []string{fmt.Sprintf("[127.0.0.*]:%d ", s.Port) + strings.SplitN(s.Known("rsa"), " ", 2)[1]}, nil, true},
		{"unknown", nil, nil, false},
		{"changed", []string{wrongLine}, nil, false},
		{"revoked", []string{s.Known("ed25519"), "@revoked " + s.Known("ed25519")}, nil, false},
		{"lines that are none", []string{"; old machines", "old.example.com ssh-rsa AAAAB3NzaC1yc2E",
			"old.example.com 1024 35 1432722500491662697379335", "old.example.com ssh-future AAAA", "\xef\xbb\xbf# remark",
			s.Known("ed25519")}, nil, true},
		{"a revoked key that cannot be read", []string{s.Known("ed25519"), "@revoked * ssh-rsa AAAAB3NzaC1yc2E"}, nil, false},
		{"fingerprint", nil, func(t *transport.Target) {
			t.SSH.Fingerprints = []string{ssh.FingerprintSHA256(s.HostKey["ed25519"])}
		}, true},
		{"wrong fingerprint", nil, func(t *transport.Target) { t.SSH.Fingerprints = []string{ssh.FingerprintSHA256(wrong)} },
			false},
		{"alias", []string{"mbx01 " + strings.SplitN(s.Known("ed25519"), " ", 2)[1]},
			func(t *transport.Target) { t.SSH.HostKeyAlias = "mbx01" }, true},
		{"accept new", nil, func(t *transport.Target) { t.SSH.AcceptNew = true }, true},
		{"accept new does not accept a changed key", []string{wrongLine},
			func(t *transport.Target) { t.SSH.AcceptNew = true }, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := New(Options{Home: t.TempDir()})
			defer d.Close()
			target := s.Target(t, tc.lines...)
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
				if err != nil && !errors.Is(err, node.ErrHostKey) && !strings.Contains(err.Error(), "this line revokes") {
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
	sshdtest.Tier(t)
	ca := filepath.Join(t.TempDir(), "ca")
	sshdtest.Run(t, "ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", ca)
	dir := t.TempDir()
	key := filepath.Join(dir, "host")
	sshdtest.Run(t, "ssh-keygen", "-q", "-t", "rsa", "-N", "", "-f", key)
	sshdtest.Run(t, "ssh-keygen", "-q", "-s", ca, "-I", "host", "-h", "-n", "127.0.0.1", key+".pub")
	certified := sshdtest.Start(t, "HostKey "+key, "HostCertificate "+key+"-cert.pub")
	pub, err := os.ReadFile(ca + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	d := New(Options{Home: t.TempDir()})
	defer d.Close()
	for _, pattern := range []string{"*", "127.0.0.1", fmt.Sprintf("[127.0.0.1]:%d", certified.Port)} {
		c, err := d.Dial(t.Context(), certified.Target(t, "@cert-authority "+pattern+" "+strings.TrimSpace(string(pub))))
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
	sshdtest.Tier(t)
	s := sshdtest.Start(t)
	other := filepath.Join(t.TempDir(), "other")
	sshdtest.Run(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", other)
	target := s.Target(t, s.Known("ed25519"))
	target.SSH.KeyFiles = []string{other}
	d := New(Options{Home: t.TempDir()})
	defer d.Close()
	if _, err := d.Dial(t.Context(), target); !errors.Is(err, node.ErrAuth) {
		t.Fatalf("got %v, want credentials refused", err)
	}
}

func TestTierOpensshFiles(t *testing.T) {
	sshdtest.Tier(t)
	s := sshdtest.Start(t)
	d := New(Options{Home: t.TempDir()})
	defer d.Close()
	c, err := d.Dial(t.Context(), s.Target(t, s.Known("ed25519")))
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
	deep := filepath.Join(filepath.Dir(path), "a", "b")
	for range 2 {
		if err := f.MakeDir(t.Context(), deep); err != nil {
			t.Error(err)
		}
		if err := f.Remove(t.Context(), path); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(deep); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file is still there: %v", err)
	}
	if home, err := f.Home(t.Context()); err != nil || !filepath.IsAbs(home) {
		t.Errorf("%q, %v", home, err)
	}
	if err := f.MakeDir(t.Context(), filepath.Join("/proc", "nowhere")); err == nil ||
		!strings.Contains(err.Error(), "n1") {
		t.Errorf("%v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.MakeDir(ended, deep); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// Forty nodes behind one bastion: one connection to it, and none of the forty lost to MaxStartups.
func TestTierOpensshBastion(t *testing.T) {
	sshdtest.Tier(t)
	bastion := sshdtest.Start(t, "MaxStartups 4:50:8", "MaxSessions 60")
	inner := sshdtest.Start(t, "MaxStartups 10:30:100")
	sshdtest.Copy(t, inner.Key+".pub", filepath.Join(bastion.Dir, "authorized"))
	d := New(Options{Home: t.TempDir()})
	defer d.Close()
	target := inner.Target(t, inner.Known("ed25519"), bastion.Known("ed25519"))
	target.SSH.ProxyJump = fmt.Sprintf("%s@127.0.0.1:%d", bastion.User, bastion.Port)
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

// A node does not go through a bastion with the logon of another one: alone or together, the one
// whose user is refused there is refused, and the other is not.
func TestTierOpensshBastionOfAnother(t *testing.T) {
	sshdtest.Tier(t)
	bastion, inner := sshdtest.Start(t), sshdtest.Start(t)
	sshdtest.Copy(t, inner.Key+".pub", filepath.Join(bastion.Dir, "authorized"))
	good := inner.Target(t, inner.Known("ed25519"), bastion.Known("ed25519"))
	good.SSH.ProxyJump = fmt.Sprintf("127.0.0.1:%d", bastion.Port)
	bad := good
	bad.User = "nobody-here"
	for range 4 {
		d := New(Options{Home: t.TempDir()})
		var wg sync.WaitGroup
		for _, tt := range []transport.Target{bad, good} {
			wg.Go(func() {
				c, err := d.Dial(t.Context(), tt)
				if (err == nil) != (tt.User == good.User) || err != nil && !errors.Is(err, node.ErrAuth) {
					t.Errorf("as %s: %v", tt.User, err)
				}
				if err == nil {
					_ = c.Close()
				}
			})
		}
		wg.Wait()
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
}

// The SSH configuration puts a jump host behind another one, and names keys by tokens and keys that
// are not there, as ssh reads it.
func TestTierOpensshJumpHostBehindAnother(t *testing.T) {
	sshdtest.Tier(t)
	outer, middle, inner := sshdtest.Start(t), sshdtest.Start(t), sshdtest.Start(t)
	for _, s := range []*sshdtest.Server{outer, middle} {
		sshdtest.Copy(t, inner.Key+".pub", filepath.Join(s.Dir, "authorized"))
	}
	dir := t.TempDir()
	sshdtest.Copy(t, inner.Key, filepath.Join(dir, "key-127.0.0.1-"+inner.User))
	text := fmt.Sprintf("Host outer\n  Port %d\nHost middle\n  Port %d\n  ProxyJump outer\nHost inner\n  Port %d\n"+
		"  ProxyJump middle\nHost *\n  HostName 127.0.0.1\n  User %s\n  IdentityFile %s/not-there\n"+
		"  IdentityFile %[5]s/key-%%h-%%r\n", outer.Port, middle.Port, inner.Port, inner.User, dir)
	file := filepath.Join(dir, "config")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	target := inner.Target(t, inner.Known("ed25519"), middle.Known("ed25519"), outer.Known("ed25519"))
	target.Address, target.Port, target.User, target.SSH.KeyFiles, target.SSH.ConfigFile = "inner", 0, "", nil, file
	d := New(Options{Home: t.TempDir()})
	defer d.Close()
	c, err := d.Dial(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	circle := strings.Replace(text, "Host outer\n", "Host outer\n  ProxyJump middle\n", 1)
	if err := os.WriteFile(file, []byte(circle), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Options{Home: t.TempDir()}).Dial(t.Context(), target); err == nil ||
		!strings.Contains(err.Error(), "more than 16 jump hosts") {
		t.Errorf("a circle of jump hosts: %v", err)
	}
}

// Twenty commands at once on one connection stay below sshd's MaxSessions, whatever that is; where
// no session is allowed at all, the error says so.
func TestTierOpensshManySessions(t *testing.T) {
	sshdtest.Tier(t)
	for _, most := range []string{"10", "3", "2", "1"} {
		t.Run(most, func(t *testing.T) {
			s := sshdtest.Start(t, "MaxSessions "+most)
			d := New(Options{Home: t.TempDir()})
			defer d.Close()
			c, err := d.Dial(t.Context(), s.Target(t, s.Known("ed25519")))
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
		})
	}
}

func TestTierOpensshNoSessions(t *testing.T) {
	sshdtest.Tier(t)
	s := sshdtest.Start(t, "MaxSessions 0")
	d := New(Options{Home: t.TempDir()})
	defer d.Close()
	c, err := d.Dial(t.Context(), s.Target(t, s.Known("ed25519")))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, err = c.Start(t.Context(), "true")
	var link *node.LinkError
	if !errors.As(err, &link) || link.Sent || !strings.Contains(hint.Of(err), "MaxSessions") {
		t.Errorf("%v, hint %q", err, hint.Of(err))
	}
}

func TestTierOpensshConfigFile(t *testing.T) {
	sshdtest.Tier(t)
	s := sshdtest.Start(t)
	file := filepath.Join(t.TempDir(), "config")
	text := fmt.Sprintf("Host mail\n  HostName 127.0.0.1\n  Port %d\n  User %s\n  IdentityFile %s\n  HostKeyAlias mail\n",
		s.Port, s.User, s.Key)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	target := s.Target(t, "mail "+strings.SplitN(s.Known("ed25519"), " ", 2)[1])
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
