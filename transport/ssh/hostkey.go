package ssh

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"

	"github.com/gofrs/flock"
	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/transport"
)

// hostKeys is what is known of one server's identity.
type hostKeys struct {
	name       string   // host:port under which it is known
	algorithms []string // to ask the server for, so that it shows a key that we can judge
	check      func(host string, remote net.Addr, key ssh.PublicKey) error
}

// plainAlgorithms are asked for when nothing is known, safest first.
func plainAlgorithms() []string {
	return []string{ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521,
		ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
}

func certAlgorithms() []string {
	return []string{ssh.CertAlgoED25519v01, ssh.CertAlgoECDSA256v01, ssh.CertAlgoECDSA384v01, ssh.CertAlgoECDSA521v01,
		ssh.CertAlgoRSASHA512v01, ssh.CertAlgoRSASHA256v01}
}

func (d *Dialer) hostKeys(t transport.Target, address string) (*hostKeys, error) {
	name := address
	if t.SSH.HostKeyAlias != "" {
		name = net.JoinHostPort(t.SSH.HostKeyAlias, "22")
	}
	if len(t.SSH.Fingerprints) > 0 {
		return &hostKeys{name: name, algorithms: plainAlgorithms(),
			check: func(_ string, _ net.Addr, key ssh.PublicKey) error {
				got := ssh.FingerprintSHA256(key)
				if slices.Contains(t.SSH.Fingerprints, got) {
					return nil
				}
				return hint.Wrap(fmt.Errorf("%w: %s shows %s, which is none of the fingerprints in the inventory", node.ErrHostKey,
					address, got),
					"if the machine was rebuilt, write its new fingerprint into the inventory")
			}}, nil
	}
	files := t.SSH.KnownHosts
	if len(files) == 0 {
		files = []string{filepath.Join(d.o.Home, ".ssh", "known_hosts"), "/etc/ssh/ssh_known_hosts"}
	}
	var there []string
	for _, f := range files {
		if _, err := os.Stat(d.expand(f)); err == nil {
			there = append(there, d.expand(f))
		}
	}
	db, err := readKnownHosts(there)
	if err != nil {
		return nil, fmt.Errorf("cannot read known_hosts: %w", err)
	}
	k := &hostKeys{name: name, algorithms: algorithmsFor(db.HostKeys(name))}
	callback := db.HostKeyCallback()
	k.check = func(host string, remote net.Addr, key ssh.PublicKey) error {
		err := callback(host, remote, key)
		switch {
		case err == nil:
			return nil
		case knownhosts.IsHostUnknown(err) && t.SSH.AcceptNew:
			return addKnownHost(d.expand(files[0]), name, remote, key)
		case knownhosts.IsHostUnknown(err):
			return hint.Wrap(fmt.Errorf("%w: the host key of %s is not known; it shows %s", node.ErrHostKey, name,
				ssh.FingerprintSHA256(key)),
				"compare it with the machine's own (ssh-keygen -lf), then add it to known_hosts or to `fingerprints` in the "+
					"inventory")
		case knownhosts.IsHostKeyChanged(err):
			return hint.Wrap(fmt.Errorf("%w: the host key of %s has changed; it now shows %s", node.ErrHostKey, name,
				ssh.FingerprintSHA256(key)),
				"remove the old key only after verifying on the machine that it was rebuilt")
		}
		return fmt.Errorf("%w: %s: %w", node.ErrHostKey, name, err)
	}
	return k, nil
}

// readKnownHosts reads what ssh reads of the files: a line that is none (a remark with ;, an entry
// of SSH 1, a key that was cut off or is of a later type) concerns no host. A line that revokes a
// key is never passed over: then the key could be accepted.
func readKnownHosts(files []string) (*knownhosts.HostKeyDB, error) {
	dir, err := os.MkdirTemp("", "known-hosts-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	var clean []string
	for i, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		var out bytes.Buffer
		for n, line := range bytes.Split(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")), []byte("\n")) {
			_, _, _, _, _, err := ssh.ParseKnownHosts(append(bytes.Clone(line), '\n'))
			if err != nil && !errors.Is(err, io.EOF) && bytes.HasPrefix(bytes.TrimSpace(line), []byte("@revoked")) {
				return nil, fmt.Errorf("%s:%d: cannot read the key that this line revokes: %w", f, n+1, err)
			}
			if err == nil {
				out.Write(line)
			}
			out.WriteByte('\n')
		}
		path := filepath.Join(dir, fmt.Sprint(i))
		if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
			return nil, err
		}
		clean = append(clean, path)
	}
	return knownhosts.NewDB(clean...)
}

// algorithmsFor works out what to ask the server for. The libraries' own lists fail either for
// plain entries (certificates come first in the library's default) or for authorities whose key is
// of another type than the host's.
func algorithmsFor(known []knownhosts.PublicKey) []string {
	var out []string
	authority := false
	for _, k := range known {
		if k.Cert {
			authority = true
			continue
		}
		types := []string{k.Type()}
		if k.Type() == ssh.KeyAlgoRSA {
			types = []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
		}
		for _, a := range types {
			if !slices.Contains(out, a) {
				out = append(out, a)
			}
		}
	}
	if authority {
		out = append(certAlgorithms(), out...)
	}
	if len(out) == 0 {
		return plainAlgorithms()
	}
	return out
}

// addKnownHost appends under a lock of its own, since many nodes are met at once.
func addKnownHost(file, name string, remote net.Addr, key ssh.PublicKey) (err error) {
	if _, isCert := key.(*ssh.Certificate); isCert {
		return fmt.Errorf("%w: %s shows a certificate of an authority that is not known", node.ErrHostKey, name)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("cannot record the host key of %s: %w", name, err)
	}
	lock := flock.New(file + ".lock")
	if err := lock.Lock(); err != nil {
		return fmt.Errorf("cannot record the host key of %s: %w", name, err)
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("cannot record the host key of %s: %w", name, err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return knownhosts.WriteKnownHost(f, name, remote, key)
}
