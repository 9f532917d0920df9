package ssh

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"deploy/internal/node"
	"deploy/internal/secret"
	"deploy/internal/testkit/linuxnodes"
	"deploy/transport"
)

// nodeTarget reaches a node as root with its key, its host key known by fingerprint.
func nodeTarget(l *linuxnodes.Lab, n *linuxnodes.Node) transport.Target {
	return transport.Target{Node: n.Name, Transport: "ssh", Address: n.Addr, Port: 22, User: "root", Timeout: time.Minute,
		SSH: transport.SSH{KeyFiles: []string{l.Key()}, Fingerprints: []string{n.Fingerprint()},
			KeepAlive: 500 * time.Millisecond}}
}

// output runs a command line over a connection.
func output(ctx context.Context, c transport.Conn, line string) (string, int, error) {
	p, err := c.Start(ctx, line)
	if err != nil {
		return "", 0, err
	}
	_ = p.Stdin().Close()
	go func() { _, _ = io.Copy(io.Discard, p.Stderr()) }()
	out, _ := io.ReadAll(p.Stdout())
	code, err := p.Wait()
	return strings.TrimSpace(string(out)), code, err
}

func TestTierNodesLogon(t *testing.T) {
	linuxnodes.Tier(t, "nodes")
	l := linuxnodes.New(t, linuxnodes.Options{Plain: 3})
	if err := l.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	n := l.Node(0)
	known := filepath.Join(t.TempDir(), "known_hosts")
	key, err := n.HostKey()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(known, []byte(n.Addr+" "+string(ssh.MarshalAuthorizedKey(key))), 0o600); err != nil {
		t.Fatal(err)
	}
	as := func(user string, edit func(*transport.Target)) transport.Target {
		target := nodeTarget(l, n)
		target.User = user
		if edit != nil {
			edit(&target)
		}
		return target
	}
	password := func(p string) func(*transport.Target) {
		return func(t *transport.Target) { t.SSH.KeyFiles, t.Password = nil, secret.New(p) }
	}
	for _, tc := range []struct {
		name   string
		target transport.Target
		want   error
	}{
		{"root with the key", as("root", nil), nil},
		{"admin with the key", as("admin", nil), nil},
		{"operator with the password", as("operator", password(linuxnodes.OperatorPassword)), nil},
		{"host key in known_hosts", as("root", func(t *transport.Target) {
			t.SSH.Fingerprints, t.SSH.KnownHosts = nil,
				[]string{known}
		}), nil},
		{"wrong key", as("root", func(t *transport.Target) { t.SSH.KeyFiles = []string{l.StrangerKey()} }), node.ErrAuth},
		{"wrong password", as("operator", password("nonsense")), node.ErrAuth},
		{"root with a password", as("root", password(linuxnodes.OperatorPassword)), node.ErrAuth},
		{"no such account", as("nobody-here", nil), node.ErrAuth},
		{"another node's host key", as("root",
			func(t *transport.Target) { t.SSH.Fingerprints = []string{l.Node(1).Fingerprint()} }), node.ErrHostKey},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := New(Options{Home: t.TempDir(), Net: l.DialContext})
			defer d.Close()
			c, err := d.Dial(t.Context(), tc.target)
			if !errors.Is(err, tc.want) {
				t.Fatalf("got %v, want %v", err, tc.want)
			}
			if err != nil {
				return
			}
			defer c.Close()
			if got, _, err := output(t.Context(), c, "id -un"); err != nil || got != tc.target.User {
				t.Errorf("logged on as %q: %v", got, err)
			}
		})
	}
	t.Run("a refused password is sent once", func(t *testing.T) {
		before := strings.Count(n.Console(), "Failed password for operator")
		d := New(Options{Home: t.TempDir(), Net: l.DialContext})
		defer d.Close()
		if _, err := d.Dial(t.Context(), as("operator", password("nonsense"))); !errors.Is(err, node.ErrAuth) {
			t.Fatal(err)
		}
		if got := strings.Count(n.Console(), "Failed password for operator") - before; got != 1 {
			t.Errorf("the server saw %d tries:\n%s", got, n.Console())
		}
	})
	t.Run("host key changed", func(t *testing.T) {
		if err := n.NewHostKey(t.Context()); err != nil {
			t.Fatal(err)
		}
		d := New(Options{Home: t.TempDir(), Net: l.DialContext})
		defer d.Close()
		changed := as("root", func(t *transport.Target) {
			t.SSH.Fingerprints, t.SSH.KnownHosts, t.SSH.AcceptNew = nil, []string{known}, true
		})
		for {
			_, err := d.Dial(t.Context(), changed)
			if errors.Is(err, node.ErrHostKey) {
				break
			}
			if err != nil && !errors.As(err, new(*node.LinkError)) {
				t.Fatal(err) // while sshd starts again nothing listens
			}
		}
	})
	t.Run("bastion", func(t *testing.T) {
		far := l.Node(2)
		d := New(Options{Home: t.TempDir(), Net: l.DialContext})
		defer d.Close()
		target := nodeTarget(l, far)
		target.Address, target.Timeout = far.Interconnect, 5*time.Second
		if _, err := d.Dial(t.Context(), target); !errors.As(err, new(*node.LinkError)) {
			t.Fatalf("the inner network is to be reached through a node only: %v", err)
		}
		target.SSH.ProxyJump, target.Timeout = "admin@"+l.Node(1).Addr, 10*time.Second
		hop := l.Node(1)
		key, err := hop.HostKey()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(known, []byte(hop.Addr+" "+string(ssh.MarshalAuthorizedKey(key))), 0o600); err != nil {
			t.Fatal(err)
		}
		target.SSH.KnownHosts = []string{known}
		// the end of either is noticed, and both come back
		for _, dies := range []*linuxnodes.Node{hop, far} {
			c, err := d.Dial(t.Context(), target)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if got, _, err := output(t.Context(), c, "hostname; echo $SSH_CONNECTION"); err != nil ||
				!strings.HasPrefix(got, far.Name+"\n"+hop.Interconnect) {
				t.Errorf("arrived at %q: %v", got, err)
			}
			p, err := c.Start(t.Context(), "cat")
			if err != nil {
				t.Fatal(err)
			}
			if err := dies.PowerOff(); err != nil {
				t.Fatal(err)
			}
			var link *node.LinkError
			if _, err := p.Wait(); !errors.As(err, &link) || !link.Sent {
				t.Errorf("without %s: got %v, want a link error with the outcome unknown", dies.Name, err)
			}
			if err := errors.Join(dies.PowerOn(), dies.WaitSSH(t.Context())); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestTierNodesBrokenLinks(t *testing.T) {
	linuxnodes.Tier(t, "nodes")
	l := linuxnodes.New(t, linuxnodes.Options{Systemd: 1})
	n := l.Node(0)
	if err := n.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	d := New(Options{Home: t.TempDir(), Net: l.DialContext})
	defer d.Close()
	target := nodeTarget(l, n)
	dial := func(t *testing.T) transport.Conn {
		t.Helper()
		c, err := d.Dial(t.Context(), target)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	do := func(t *testing.T, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		name       string
		fail, heal func() error
	}{
		{"cable cut and healed", n.LinkDown, n.LinkUp},
		{"power cut and back", n.PowerOff, n.PowerOn},
		{"frozen and thawed", n.Freeze, n.Thaw},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := dial(t)
			p, err := c.Start(t.Context(), "echo begun; exec cat")
			do(t, err)
			if _, err := io.ReadFull(p.Stdout(), make([]byte, len("begun\n"))); err != nil {
				t.Fatal(err)
			}
			do(t, tc.fail())
			var link *node.LinkError
			if _, err := p.Wait(); !errors.As(err, &link) || !link.Sent {
				t.Errorf("got %v, want a link error with the outcome unknown", err)
			}
			short := target
			short.Timeout = time.Second
			start := time.Now()
			link = nil
			if _, err := d.Dial(t.Context(), short); !errors.As(err, &link) || link.Sent {
				t.Errorf("got %v, want a link error with nothing sent", err)
			}
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("a dial of at most a second took %s", took)
			}
			do(t, tc.heal())
			do(t, n.WaitSSH(t.Context()))
			if got, code, err := output(t.Context(), dial(t), "echo again"); got != "again" || code != 0 || err != nil {
				t.Errorf("after healing: %q %d %v", got, code, err)
			}
		})
	}
	// a cut that is shorter than the keep-alive's patience costs nothing: TCP sends again
	t.Run("short cut", func(t *testing.T) {
		patient := target
		patient.SSH.KeepAlive = 20 * time.Second
		c, err := d.Dial(t.Context(), patient)
		do(t, err)
		defer c.Close()
		do(t, n.LinkDown())
		heal := time.AfterFunc(700*time.Millisecond, func() { _ = n.LinkUp() })
		defer heal.Stop()
		if got, code, err := output(t.Context(), c, "echo through"); got != "through" || code != 0 || err != nil {
			t.Errorf("after a short cut: %q %d %v", got, code, err)
		}
	})
	t.Run("reboot", func(t *testing.T) {
		c, boots := dial(t), n.Boots()
		if _, _, err := output(t.Context(), c, "systemctl reboot; exec sleep 300"); !errors.As(err, new(*node.LinkError)) &&
			!strings.Contains(err.Error(), "signal") {
			t.Errorf("got %v, want the end of the link or of the process", err)
		}
		for n.Boots() == boots && t.Context().Err() == nil {
			time.Sleep(20 * time.Millisecond)
		}
		do(t, n.Wait(t.Context()))
		if got, _, err := output(t.Context(), dial(t), "systemctl is-system-running"); got != "running" || err != nil {
			t.Errorf("after the reboot: %q %v", got, err)
		}
	})
}

func TestTierNodesFiles(t *testing.T) {
	linuxnodes.Tier(t, "nodes")
	l := linuxnodes.New(t, linuxnodes.Options{Plain: 1, DiskMB: 64})
	n := l.Node(0)
	if err := n.WaitSSH(t.Context()); err != nil {
		t.Fatal(err)
	}
	d := New(Options{Home: t.TempDir(), Net: l.DialContext})
	defer d.Close()
	c, err := d.Dial(t.Context(), nodeTarget(l, n))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	f, err := c.Files(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const name = "/root/data"
	if err := f.Put(t.Context(), name, strings.NewReader("first"), 0o640); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name       string
		fail, heal func() error
	}{
		{"full disk", n.FillDisk, n.FreeDisk},
		{"read-only root", func() error { return n.ReadOnlyRoot(t.Context(), true) },
			func() error { return n.ReadOnlyRoot(t.Context(), false) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			big := bytes.Repeat([]byte("second "), 300000)
			if err := tc.fail(); err != nil {
				t.Fatal(err)
			}
			if err := f.Put(t.Context(), name, bytes.NewReader(big), 0o640); err == nil {
				t.Error("it was written")
			}
			if err := tc.heal(); err != nil {
				t.Fatal(err)
			}
			got, err := n.Exec(t.Context(), "sh", "-c", "cat "+name+"; ls /root; ls -A /root | grep deploy-new || true")
			if err != nil || got != "firstdata\n" {
				t.Errorf("what is left: %q %v", got, err)
			}
			if err := f.Put(t.Context(), name, bytes.NewReader(big), 0o640); err != nil {
				t.Error(err)
			}
			if err := f.Put(t.Context(), name, strings.NewReader("first"), 0o640); err != nil {
				t.Error(err)
			}
		})
	}
}
