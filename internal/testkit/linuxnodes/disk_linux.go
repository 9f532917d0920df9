package linuxnodes

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

// OperatorPassword is the password of the account operator: for its logon, and for its sudo.
const OperatorPassword = "Operator-Of-The-Lab-5"

// keys are the controller's: one that the nodes know, and one that they do not.
type keys struct {
	dir        string
	authorized string
}

func newKey(comment string) (private []byte, public string, signer ssh.Signer, err error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, "", nil, err
	}
	block, err := ssh.MarshalPrivateKey(key, comment)
	if err != nil {
		return nil, "", nil, err
	}
	if signer, err = ssh.NewSignerFromKey(key); err != nil {
		return nil, "", nil, err
	}
	return pem.EncodeToMemory(block), string(ssh.MarshalAuthorizedKey(signer.PublicKey())), signer, nil
}

func (k *keys) make(dir string) error {
	k.dir = dir
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	for _, name := range []string{"id", "stranger"} {
		private, public, _, err := newKey(name)
		if err != nil {
			return err
		}
		if name == "id" {
			k.authorized = public
		}
		if err := errors.Join(os.WriteFile(filepath.Join(dir, name), private, 0o600),
			os.WriteFile(filepath.Join(dir, name+".pub"), []byte(public), 0o644)); err != nil {
			return err
		}
	}
	return nil
}

// Key is the file of a private key that root, admin and operator of every node accept.
func (l *Lab) Key() string { return filepath.Join(l.keys.dir, "id") }

// StrangerKey is the file of a private key that no node accepts.
func (l *Lab) StrangerKey() string { return filepath.Join(l.keys.dir, "stranger") }

// newDisk gives the node an empty disk of its own and puts there what is its own.
func (n *Node) newDisk() error {
	dir := filepath.Join(n.lab.dir, n.Name)
	err := n.lab.do(func() error {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) &&
			!errors.Is(err, unix.ENOENT) {
			return err
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		return unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("mode=755,size=%dm", n.lab.o.DiskMB))
	})
	if err != nil {
		return fmt.Errorf("cannot make the disk of node %s: %w", n.Name, err)
	}
	for _, d := range []string{"upper", "work", "root"} {
		if err := os.Mkdir(filepath.Join(n.disk(), d), 0o755); err != nil {
			return err
		}
	}
	if err := n.seed(filepath.Join(n.disk(), "upper")); err != nil {
		return fmt.Errorf("cannot fill the disk of node %s: %w", n.Name, err)
	}
	return nil
}

type seedFile struct {
	path, text string
	mode       os.FileMode
	uid        int
}

func (n *Node) seed(upper string) error {
	id := make([]byte, 16)
	if _, err := rand.Read(id); err != nil {
		return err
	}
	hosts := "127.0.0.1 localhost\n"
	for i := range n.lab.o.Systemd + n.lab.o.Plain {
		hosts += fmt.Sprintf("10.77.%d.%d n%d.lab.example n%[3]d\n", i/250, i%250+1, i+1)
	}
	files := []seedFile{
		{"etc/hostname", n.Name + "\n", 0o644, 0},
		{"etc/machine-id", hex.EncodeToString(id) + "\n", 0o444, 0},
		{"etc/hosts", hosts, 0o644, 0},
	}
	// useradd gives the first account 1000 and the next 1001
	for home, uid := range map[string]int{"root": 0, "home/admin": 1000, "home/operator": 1001} {
		files = append(files, seedFile{home + "/.ssh/authorized_keys", n.lab.keys.authorized, 0o600, uid})
	}
	// an overlay shows the mode and owner of the upper directory: they must be those of the tree
	for _, d := range []struct {
		path string
		mode os.FileMode
		uid  int
	}{{"etc", 0o755, 0}, {"etc/ssh", 0o755, 0}, {"home", 0o755, 0}, {"root", 0o700, 0}, {"root/.ssh", 0o700, 0},
		{"home/admin", 0o700, 1000},
		{"home/admin/.ssh", 0o700, 1000}, {"home/operator", 0o700, 1001}, {"home/operator/.ssh", 0o700, 1001}} {
		p := filepath.Join(upper, d.path)
		if err := errors.Join(os.Mkdir(p, d.mode), os.Chown(p, d.uid, d.uid)); err != nil {
			return err
		}
	}
	for _, f := range files {
		p := filepath.Join(upper, f.path)
		if err := errors.Join(os.WriteFile(p, []byte(f.text), f.mode), os.Chown(p, f.uid, f.uid)); err != nil {
			return err
		}
	}
	return n.writeHostKey(upper)
}

func (n *Node) writeHostKey(root string) error {
	private, public, _, err := newKey(n.Name)
	if err != nil {
		return err
	}
	p := filepath.Join(root, "etc/ssh/ssh_host_ed25519_key")
	return errors.Join(os.WriteFile(p, private, 0o600), os.WriteFile(p+".pub", []byte(public), 0o644))
}

// HostKey is the node's public host key: the line for known_hosts without the name.
func (n *Node) HostKey() (ssh.PublicKey, error) {
	b, err := os.ReadFile(filepath.Join(n.disk(), "upper/etc/ssh/ssh_host_ed25519_key.pub"))
	if err != nil {
		return nil, err
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey(b)
	return key, err
}

// Fingerprint is the node's host key as "SHA256:...".
func (n *Node) Fingerprint() string {
	key, err := n.HostKey()
	if err != nil {
		n.lab.t.Fatal(err)
	}
	return ssh.FingerprintSHA256(key)
}

// NewHostKey gives the node another host key, as a rebuilt machine has, and lets its sshd use it.
func (n *Node) NewHostKey(ctx context.Context) error {
	pid, err := n.pid()
	if err != nil {
		return err
	}
	if err := n.writeHostKey(fmt.Sprintf("/proc/%d/root", pid)); err != nil {
		return err
	}
	if n.Systemd {
		_, err = n.Exec(ctx, "systemctl", "restart", "ssh")
	} else {
		_, err = n.Exec(ctx, "kill", "-HUP", "1")
	}
	return err
}

// FillDisk leaves no byte free on the node's disk.
func (n *Node) FillDisk() error {
	f, err := os.OpenFile(filepath.Join(n.disk(), "ballast"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	for size := 16 << 20; size >= 4096; {
		if _, err := f.Write(make([]byte, size)); errors.Is(err, unix.ENOSPC) {
			size /= 2
		} else if err != nil {
			return fmt.Errorf("cannot fill the disk of node %s: %w", n.Name, err)
		}
	}
	return nil
}

// FreeDisk gives the space back.
func (n *Node) FreeDisk() error { return os.Remove(filepath.Join(n.disk(), "ballast")) }

// ReadOnlyRoot makes the node's root read-only, as a kernel does that found an error on it, or
// writable again.
func (n *Node) ReadOnlyRoot(ctx context.Context, yes bool) error {
	_, err := n.Exec(ctx, "mount", "-o", "remount,bind,"+map[bool]string{true: "ro", false: "rw"}[yes], "/")
	return err
}

// Write writes a file into the node, not over its network.
func (n *Node) Write(path, text string, mode os.FileMode) error {
	pid, err := n.pid()
	if err != nil {
		return err
	}
	return os.WriteFile(fmt.Sprintf("/proc/%d/root/%s", pid, strings.TrimPrefix(path, "/")), []byte(text), mode)
}

// Read reads a file of the node.
func (n *Node) Read(path string) (string, error) {
	pid, err := n.pid()
	if err != nil {
		return "", err
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/root/%s", pid, strings.TrimPrefix(path, "/")))
	return string(b), err
}
