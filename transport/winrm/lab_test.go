package winrm_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"deploy/internal/lab/front"
	"deploy/internal/lab/winrmd"
	"deploy/internal/node"
	"deploy/internal/secret"
	"deploy/transport"
	"deploy/transport/winrm"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// lab is the lab's own server with programs that serve these tests.
type lab struct {
	*winrmd.Server
	http, https int
	ca          []byte
	pin         string
	logons      atomic.Int64 // lookups of an account
}

func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{}
	cert, ca := certificate(t)
	l.ca = ca
	sum := sha256.Sum256(cert.Certificate[0])
	l.pin = hex.EncodeToString(sum[:])
	var err error
	l.Server, err = winrmd.New(winrmd.Config{
		Machine: "N1", Version: "6.0.6002", Quotas: winrmd.QuotasOld(), Certificate: &cert, Run: programs,
		Password: func(user, _ string) (string, string, bool) {
			l.logons.Add(1)
			return `N1\` + user, "Secret-1", strings.EqualFold(user, "admin")
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	plain, secure := listen(t), listen(t)
	l.http, l.https = plain.Addr().(*net.TCPAddr).Port, secure.Addr().(*net.TCPAddr).Port
	l.Serve(plain, false)
	l.Serve(secure, true)
	t.Cleanup(l.Close)
	return l
}

// programs are command lines that the tests run.
func programs(ctx context.Context, p front.Process) int {
	switch strings.Fields(p.Line)[0] {
	case "cat":
		_, _ = io.Copy(p.Stdout, p.Stdin)
		return 0
	case "fail":
		_, _ = io.WriteString(p.Stderr, "no")
		return -1
	case "wait":
		<-ctx.Done()
		return 1
	case "args":
		_, _ = io.WriteString(p.Stdout, p.Line)
		return 0
	}
	return 9009
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func certificate(t *testing.T) (tls.Certificate, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "n1"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		SignatureAlgorithm: x509.ECDSAWithSHA256}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key},
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func (l *lab) target(auth string, https bool) transport.Target {
	t := transport.Target{Node: "n1", Address: "127.0.0.1", Port: l.http, User: `N1\admin`,
		Password: secret.New("Secret-1")}
	t.WinRM = transport.WinRM{Auth: auth, HTTPS: https}
	if https {
		t.Port, t.WinRM.CACert = l.https, l.ca
	}
	return t
}

// run runs a command line to its end.
func run(t *testing.T, c transport.Conn, line string, in []byte) (code int, stdout, stderr []byte) {
	t.Helper()
	p, err := c.Start(t.Context(), line)
	if err != nil {
		t.Fatal(err)
	}
	errs := make(chan error, 1)
	go func() {
		_, err := p.Stdin().Write(in)
		if err == nil {
			err = p.Stdin().Close()
		}
		errs <- err
	}()
	stdout, err = io.ReadAll(p.Stdout())
	if err != nil {
		t.Fatal(err)
	}
	if stderr, err = io.ReadAll(p.Stderr()); err != nil {
		t.Fatal(err)
	}
	if code, err = p.Wait(); err != nil {
		t.Fatal(err)
	}
	if err := <-errs; err != nil && len(in) > 0 {
		t.Fatal(err)
	}
	return code, stdout, stderr
}

func TestAgainstTheLab(t *testing.T) {
	for _, tt := range []struct {
		name, auth string
		https      bool
	}{{"NTLM sealed", "ntlm", false}, {"NTLM with channel binding", "", true}, {"Basic", "basic", true}} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLab(t)
			d := winrm.New(winrm.Options{})
			c, err := d.Dial(t.Context(), l.target(tt.auth, tt.https))
			if err != nil {
				t.Fatal(err)
			}
			in := make([]byte, 1<<20)
			_, _ = rand.Read(in)
			code, out, _ := run(t, c, "cat", in)
			if code != 0 || !bytes.Equal(in, out) {
				t.Errorf("cat: code %d, %d of %d bytes", code, len(out), len(in))
			}
			if code, _, errText := run(t, c, "fail", nil); code != -1 || string(errText) != "no" {
				t.Errorf("fail: code %d, stderr %q", code, errText)
			}
			line := `args "a b" & <c> ]]> 'd' é日本`
			if _, out, _ := run(t, c, line, nil); string(out) != line {
				t.Errorf("the command line arrived as %q", out)
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			if n := l.Shells(); n != 0 {
				t.Errorf("%d shells left", n)
			}
			if c.Stats().Requests == 0 || c.Stats().Sent < 1<<20 || c.Stats().Received < 1<<20 {
				t.Errorf("stats: %+v", c.Stats())
			}
		})
	}
}

func TestRefusedPasswordIsTriedOnce(t *testing.T) {
	for _, auth := range []string{"ntlm", "basic"} {
		for _, https := range []bool{false, true} {
			if auth == "basic" && !https {
				continue
			}
			l := newLab(t)
			target := l.target(auth, https)
			target.Password = secret.New("wrong")
			_, err := winrm.New(winrm.Options{}).Dial(t.Context(), target)
			if !errors.Is(err, node.ErrAuth) {
				t.Errorf("%s: %v", auth, err)
			}
			if strings.Contains(err.Error(), "wrong") {
				t.Errorf("the password is in the error: %v", err)
			}
			if n := l.logons.Load(); n != 1 {
				t.Errorf("%s https %v: %d attempts", auth, https, n)
			}
		}
	}
}

func TestPinAndAuthority(t *testing.T) {
	l := newLab(t)
	target := l.target("ntlm", true)
	target.WinRM.CACert, target.WinRM.Pin = nil, strings.ToUpper(l.pin[:2])+":"+l.pin[2:]
	c, err := winrm.New(winrm.Options{}).Dial(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	target.WinRM.Pin = strings.Repeat("00", 32)
	if _, err = winrm.New(winrm.Options{}).Dial(t.Context(), target); !errors.Is(err, node.ErrHostKey) {
		t.Errorf("another pin: %v", err)
	}
	target.WinRM.Pin = ""
	if _, err = winrm.New(winrm.Options{}).Dial(t.Context(), target); !errors.Is(err, node.ErrHostKey) {
		t.Errorf("unknown authority: %v", err)
	}
	if l.logons.Load() != 1 {
		t.Errorf("a password went to a machine that we do not know")
	}
}

func TestRestartedServerIsUnknownOutcome(t *testing.T) {
	l := newLab(t)
	c, err := winrm.New(winrm.Options{}).Dial(t.Context(), l.target("ntlm", false))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	p, err := c.Start(t.Context(), "wait")
	if err != nil {
		t.Fatal(err)
	}
	l.Restart()
	_, err = p.Wait()
	var link *node.LinkError
	if !errors.As(err, &link) || !link.Sent {
		t.Errorf("Wait: %v", err)
	}
}
