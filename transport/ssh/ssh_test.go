package ssh

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh"

	"deploy/internal/node"
	"deploy/internal/secret"
	"deploy/internal/testkit/linuxnodes"
	"deploy/transport"
)

func TestMain(m *testing.M) {
	linuxnodes.Child()
	goleak.VerifyTestMain(m)
}

// goesAway is a password at which the server goes down.
const goesAway = "the machine restarts"

// passwordServer accepts one password and counts the tries.
func passwordServer(t *testing.T, password string) (transport.Target, *atomic.Int64) {
	t.Helper()
	_, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(priv)
	if err != nil {
		t.Fatal(err)
	}
	var tries atomic.Int64
	var current atomic.Pointer[net.Conn]
	config := &ssh.ServerConfig{MaxAuthTries: 6, PasswordCallback: func(_ ssh.ConnMetadata, p []byte) (*ssh.Permissions,
		error) {
		tries.Add(1)
		if string(p) == goesAway {
			_ = (*current.Load()).Close()
		}
		if string(p) == password {
			return nil, nil
		}
		return nil, errors.New("no")
	}}
	config.AddHostKey(signer)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			current.Store(&c)
			conn, chans, reqs, err := ssh.NewServerConn(c, config)
			if err != nil {
				_ = c.Close()
				continue
			}
			go ssh.DiscardRequests(reqs)
			go func() {
				for ch := range chans {
					_ = ch.Reject(ssh.Prohibited, "none here")
				}
			}()
			t.Cleanup(func() { _ = conn.Close() })
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return transport.Target{Node: "n1", Address: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port, User: "u",
		Password: secret.New(password),
		SSH:      transport.SSH{Fingerprints: []string{ssh.FingerprintSHA256(signer.PublicKey())}}}, &tries
}

// A refused password is tried once, and it stands in no error.
func TestRefusedPasswordIsTriedOnce(t *testing.T) {
	target, tries := passwordServer(t, "right-one")
	d := New(Options{Home: t.TempDir()})
	defer d.Close()
	c, err := d.Dial(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	tries.Store(0)
	target.Password = secret.New("wrong-one")
	_, err = d.Dial(t.Context(), target)
	if !errors.Is(err, node.ErrAuth) {
		t.Fatalf("got %v", err)
	}
	if n := tries.Load(); n != 1 {
		t.Errorf("the password was tried %d times", n)
	}
	if strings.Contains(err.Error(), "wrong-one") {
		t.Errorf("the password is in the error: %v", err)
	}
}

// A machine that goes down while we log on has refused nobody: the link is broken, and trying again
// may help.
func TestServerGoesDownWhileWeLogOn(t *testing.T) {
	target, _ := passwordServer(t, "right-one")
	d := New(Options{Home: t.TempDir()})
	defer d.Close()
	target.Password = secret.New(goesAway)
	_, err := d.Dial(t.Context(), target)
	var link *node.LinkError
	if !errors.As(err, &link) || link.Sent || errors.Is(err, node.ErrAuth) {
		t.Errorf("got %v", err)
	}
}

// A server that accepts TCP and then says nothing must not hold us: the library's own time-out ends
// with TCP.
func TestSilentServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	d := New(Options{Home: t.TempDir()})
	defer d.Close()
	target := transport.Target{Node: "n1", Address: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port, User: "u",
		Password: secret.New("secret-word")}
	ctx, cancel := context.WithCancel(t.Context())
	var asked time.Time
	time.AfterFunc(50*time.Millisecond, func() { asked = time.Now(); cancel() })
	_, err = d.Dial(ctx, target)
	var link *node.LinkError
	if !errors.As(err, &link) || link.Sent {
		t.Fatalf("got %v", err)
	}
	if late := time.Since(asked); late > time.Second {
		t.Errorf("returned %v after it was told to stop", late)
	}
}

func TestNobodyThere(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	_ = l.Close()
	d := New(Options{Home: t.TempDir()})
	defer d.Close()
	_, err = d.Dial(t.Context(), transport.Target{Node: "n1", Address: "127.0.0.1", Port: port, User: "u",
		Password: secret.New("secret-word")})
	var link *node.LinkError
	if !errors.As(err, &link) || link.Sent {
		t.Fatalf("got %v", err)
	}
}

func TestKeyWithPassphrase(t *testing.T) {
	file := sealed(t, "open sesame")
	if _, err := loadKey(file, transport.Target{}); !errors.Is(err, errKey) {
		t.Errorf("without the passphrase: %v", err)
	}
	if _, err := loadKey(file, transport.Target{
		SSH: transport.SSH{KeyPassphrase: secret.New("open sesame")}}); err != nil {
		t.Error(err)
	}
	if _, err := loadKey(file, transport.Target{SSH: transport.SSH{KeyPassphrase: secret.New("wrong")}}); err == nil {
		t.Error("a wrong passphrase opened the key")
	}
}

func TestNoCredential(t *testing.T) {
	d := New(Options{Home: t.TempDir()})
	if _, _, err := d.authMethods(transport.Target{}); !errors.Is(err, errKey) {
		t.Errorf("got %v", err)
	}
}

func TestSplitHop(t *testing.T) {
	for in, want := range map[string]struct {
		user, host string
		port       int
	}{"b": {"", "b", 0}, "u@b": {"u", "b", 0}, "u@b:2222": {"u", "b", 2222}, "[::1]:22": {"", "::1", 22}} {
		u, h, p, err := splitHop(in)
		if err != nil || u != want.user || h != want.host || p != want.port {
			t.Errorf("%q: %q %q %d %v", in, u, h, p, err)
		}
	}
	for _, bad := range []string{"", "u@", "b:0", "b:x"} {
		if _, _, _, err := splitHop(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}
