// Package sshdtest starts a real OpenSSH server for tests.
package sshdtest

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"deploy/transport"
)

// Server is a real OpenSSH server on loopback, for one test.
type Server struct {
	Dir     string                   // where its keys and settings are
	Key     string                   // file of a private key that it accepts
	Port    int                      // on 127.0.0.1
	HostKey map[string]ssh.PublicKey // by type: ed25519, ecdsa, rsa
	User    string                   // who may log on: the one who runs the test
}

// Start starts a server that goes away with the test. extra are lines of its sshd_config.
func Start(t *testing.T, extra ...string) *Server {
	t.Helper()
	bin, err := exec.LookPath("sshd")
	if err != nil {
		bin = "/usr/sbin/sshd"
		if _, err := os.Stat(bin); err != nil {
			t.Fatal("no sshd: run scripts/test-deps")
		}
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Dir: t.TempDir(), HostKey: map[string]ssh.PublicKey{}, User: me.Username}
	if os.Getuid() == 0 {
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, kind := range []string{"ed25519", "ecdsa", "rsa"} {
		file := filepath.Join(s.Dir, "host_"+kind)
		Run(t, "ssh-keygen", "-q", "-t", kind, "-N", "", "-f", file)
		pub, err := os.ReadFile(file + ".pub")
		if err != nil {
			t.Fatal(err)
		}
		k, _, _, _, err := ssh.ParseAuthorizedKey(pub)
		if err != nil {
			t.Fatal(err)
		}
		s.HostKey[kind] = k
	}
	s.Key = filepath.Join(s.Dir, "id")
	Run(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", s.Key)
	Copy(t, s.Key+".pub", filepath.Join(s.Dir, "authorized"))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Port = l.Addr().(*net.TCPAddr).Port
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
`, s.Port, s.Dir, strings.Join(extra, "\n"))
	file := filepath.Join(s.Dir, "sshd_config")
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
		c, err := net.Dial("tcp", s.Address())
		if err == nil {
			_ = c.Close()
			return s
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("sshd does not listen: %s", log.String())
	return nil
}

// Address is where the server listens.
func (s *Server) Address() string { return fmt.Sprintf("127.0.0.1:%d", s.Port) }

// Target trusts the server by the lines of a known_hosts file.
func (s *Server) Target(t *testing.T, knownHosts ...string) transport.Target {
	t.Helper()
	file := filepath.Join(t.TempDir(), "known_hosts")
	if err := os.WriteFile(file, []byte(strings.Join(knownHosts, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return transport.Target{Node: "n1", Transport: "ssh", Address: "127.0.0.1", Port: s.Port, User: s.User,
		SSH: transport.SSH{KnownHosts: []string{file}, KeyFiles: []string{s.Key}}}
}

// Known is the line of known_hosts for a host key: ed25519, ecdsa or rsa.
func (s *Server) Known(kind string) string {
	return fmt.Sprintf("[127.0.0.1]:%d %s", s.Port, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(s.HostKey[kind]))))
}

// Run runs a program that must not fail.
func Run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}

// Copy copies a file, for its owner alone.
func Copy(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Tier skips a test that is not in the tier of a real OpenSSH server.
func Tier(t *testing.T) {
	t.Helper()
	if os.Getenv("DEPLOY_TIER") != "openssh" {
		t.Skip("belongs to the tier openssh: make test-openssh")
	}
}
