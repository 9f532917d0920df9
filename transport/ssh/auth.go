package ssh

import (
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"deploy/internal/hint"
	"deploy/transport"
)

// errKey marks trouble with our own key material: nothing was sent to the server.
var errKey = errors.New("cannot use the key")

// authMethods lists the ways to log on, in the order in which they are tried: keys of the site
// file, keys of the agent, password. The returned function lets go of the agent.
func (d *Dialer) authMethods(t transport.Target) ([]ssh.AuthMethod, func(), error) {
	var methods []ssh.AuthMethod
	done := func() {}
	var signers []ssh.Signer
	for _, file := range t.SSH.KeyFiles {
		s, err := loadKey(d.expand(file), t)
		if err != nil {
			return nil, done, err
		}
		signers = append(signers, s...)
	}
	if t.SSH.Agent && d.o.AgentSock != "" {
		conn, err := net.Dial("unix", d.o.AgentSock)
		if err != nil {
			return nil, done, hint.Wrap(fmt.Errorf("%w: the SSH agent does not answer: %v", errKey, err),
				"start ssh-agent or name a key_file in the credential")
		}
		done = func() { _ = conn.Close() }
		ag := agent.NewClient(conn)
		methods = append(methods, ssh.PublicKeysCallback(func() ([]ssh.Signer, error) {
			more, err := ag.Signers() // asked only when the server wants a key
			if err != nil && len(signers) == 0 {
				return nil, err
			}
			return append(signers, more...), nil
		}))
	} else if len(signers) > 0 {
		methods = append(methods, ssh.PublicKeys(signers...))
	}
	if !t.Password.IsZero() {
		password := t.Password.Reveal()
		methods = append(methods, ssh.Password(password))
		asked := false
		methods = append(methods, ssh.KeyboardInteractive(func(_, _ string, questions []string, echos []bool) ([]string,
			error) {
			answers := make([]string, len(questions))
			for i, echo := range echos {
				if echo {
					continue // not a password
				}
				if asked {
					return nil, errors.New("the password was refused") // asked again: never send it twice
				}
				asked, answers[i] = true, password
			}
			return answers, nil
		}))
	}
	if len(methods) == 0 {
		return nil, done, hint.Wrap(fmt.Errorf("%w: the credential has neither a key, nor an agent, nor a password", errKey),
			"give the node a credential")
	}
	return methods, done, nil
}

// loadKey reads a private key and, if one lies beside it, its certificate (file-cert.pub).
func loadKey(file string, t transport.Target) ([]ssh.Signer, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errKey, err)
	}
	signer, err := ssh.ParsePrivateKey(data)
	var missing *ssh.PassphraseMissingError
	if errors.As(err, &missing) {
		if t.SSH.KeyPassphrase.IsZero() {
			return nil, hint.Wrap(fmt.Errorf("%w %s: it has a passphrase", errKey, file),
				"give `passphrase` in the credential, or use the agent")
		}
		signer, err = ssh.ParsePrivateKeyWithPassphrase(data, []byte(t.SSH.KeyPassphrase.Reveal()))
	}
	if err != nil {
		return nil, fmt.Errorf("%w %s: %w", errKey, file, err)
	}
	out := []ssh.Signer{signer}
	if pub, err := os.ReadFile(file + "-cert.pub"); err == nil {
		key, _, _, _, err := ssh.ParseAuthorizedKey(pub)
		if err != nil {
			return nil, fmt.Errorf("%w %s-cert.pub: %w", errKey, file, err)
		}
		if cert, ok := key.(*ssh.Certificate); ok {
			cs, err := ssh.NewCertSigner(cert, signer)
			if err != nil {
				return nil, fmt.Errorf("%w %s-cert.pub: %w", errKey, file, err)
			}
			out = append([]ssh.Signer{cs}, out...)
		}
	}
	return out, nil
}
