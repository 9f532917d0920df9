package winrm

import (
	"crypto"
	_ "crypto/sha512" // SHA-384 and SHA-512 of channel bindings
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/bodgit/ntlmssp"

	"deploy/internal/hint"
	"deploy/transport"
)

// Authenticator authenticates one TCP connection by exchanging tokens. A new one is made for every
// connection.
type Authenticator interface {
	// Scheme is the word in the Authorization header: "Negotiate" or "Kerberos".
	Scheme() string
	// Token makes the next token to send from the server's last one, which is nil at first. bindings
	// is the TLS server's channel binding (RFC 5929 tls-server-end-point), nil on plain HTTP. Complete
	// then says whether an answer is expected.
	Token(in, bindings []byte) ([]byte, error)
	// Complete says that all tokens have been made.
	Complete() bool
	// Sealer protects messages on plain HTTP. It is asked for once Complete.
	Sealer() (Sealer, error)
}

// Sealer protects the messages of one connection, in order.
type Sealer interface {
	Protocol() string
	Seal(plain []byte) (signature, sealed []byte, err error)
	Open(signature, sealed []byte) ([]byte, error)
}

// challenge flags that sealing cannot do without. Source: MS-NLMP 2.2.2.5.
const (
	flagUnicode  = 0x00000001
	flagSign     = 0x00000010
	flagSeal     = 0x00000020
	flagExtended = 0x00080000
	flag128      = 0x20000000
	flagKeyExch  = 0x40000000
)

type ntlm struct {
	client *ntlmssp.Client
	sealed bool // messages will have to be sealed
}

// newNTLM takes the user as DOMAIN\name, name@domain or name.
func newNTLM(user, password string, sealed bool) (*ntlm, error) {
	domain, name, ok := strings.Cut(user, `\`)
	if !ok {
		domain, name = "", user
	}
	c, err := ntlmssp.NewClient(ntlmssp.SetUserInfo(name, password), ntlmssp.SetDomain(domain))
	if err != nil {
		return nil, fmt.Errorf("cannot prepare NTLM: %w", err)
	}
	return &ntlm{client: c, sealed: sealed}, nil
}

func (n *ntlm) Scheme() string { return "Negotiate" }

func (n *ntlm) Complete() bool { return n.client.Complete() }

func (n *ntlm) Token(in, bindings []byte) (out []byte, err error) {
	// the library trusts the lengths in a challenge that comes from somebody we have not authenticated
	// yet
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("not an NTLM challenge: %v", r)
		}
	}()
	if in != nil {
		if err := n.checkChallenge(in); err != nil {
			return nil, err
		}
	}
	var b *ntlmssp.ChannelBindings
	if bindings != nil {
		b = &ntlmssp.ChannelBindings{ApplicationData: bindings}
	}
	return n.client.Authenticate(in, b)
}

// checkChallenge refuses a challenge that would leave messages unprotected: the flags come from
// whoever answers, and the library would follow them.
func (n *ntlm) checkChallenge(in []byte) error {
	if len(in) < 32 || string(in[:8]) != "NTLMSSP\x00" || binary.LittleEndian.Uint32(in[8:]) != 2 {
		return errors.New("not an NTLM challenge")
	}
	if !n.sealed {
		return nil
	}
	flags := binary.LittleEndian.Uint32(in[20:])
	const need = flagUnicode | flagSign | flagSeal | flagExtended | flag128 | flagKeyExch
	if flags&need != need {
		return fmt.Errorf("the server would not seal messages (NTLM flags 0x%08X): refused", flags)
	}
	return nil
}

func (n *ntlm) Sealer() (Sealer, error) {
	s := n.client.SecuritySession()
	if s == nil {
		return nil, errors.New("NTLM gave no key to seal messages with")
	}
	return ntlmSealer{s}, nil
}

type ntlmSealer struct{ s *ntlmssp.SecuritySession }

func (n ntlmSealer) Protocol() string { return spnegoSealed }

func (n ntlmSealer) Seal(plain []byte) (signature, sealed []byte, err error) {
	sealed, signature, err = n.s.Wrap(plain)
	return signature, sealed, err
}

func (n ntlmSealer) Open(signature, sealed []byte) ([]byte, error) {
	if len(signature) != 16 {
		return nil, fmt.Errorf("a signature of %d bytes", len(signature))
	}
	return n.s.Unwrap(sealed, signature)
}

// endPoint is the channel binding of a TLS server: the hash of its certificate by the algorithm
// that signed it, SHA-256 at least. Source: RFC 5929 section 4.1.
func endPoint(cert *x509.Certificate) []byte {
	h := crypto.SHA256
	switch cert.SignatureAlgorithm {
	case x509.SHA384WithRSA, x509.ECDSAWithSHA384, x509.SHA384WithRSAPSS:
		h = crypto.SHA384
	case x509.SHA512WithRSA, x509.ECDSAWithSHA512, x509.SHA512WithRSAPSS:
		h = crypto.SHA512
	}
	sum := h.New()
	sum.Write(cert.Raw)
	return append([]byte(ntlmssp.TLSServerEndPoint+":"), sum.Sum(nil)...)
}

// checkAuth refuses settings that would send a password or a message in clear, and a way to log on
// that this program lacks: nothing of that is about the link, so nothing is gained by trying again.
func (d *Dialer) checkAuth(t transport.Target) error {
	w := t.WinRM
	switch w.Auth {
	case "", "ntlm":
		return nil
	case "basic":
		if !w.HTTPS {
			return hint.Wrap(errors.New("over HTTP, Basic would send the password in clear"),
				"set scheme: https, or auth: ntlm, which seals messages over HTTP")
		}
		return nil
	case "certificate":
		if !w.HTTPS {
			return hint.Wrap(errors.New("a client certificate needs HTTPS"), "set scheme: https")
		}
		if len(w.CertPEM) == 0 || w.KeyPEM.IsZero() {
			return hint.Wrap(errors.New("no client certificate is given"), "give certificate and key for auth: certificate")
		}
		return nil
	case "kerberos":
		if d.o.Kerberos == nil {
			return hint.Wrap(errors.New("authentication by Kerberos is not built in"),
				"use auth: ntlm, or auth: certificate over HTTPS")
		}
		return nil
	}
	return fmt.Errorf("there is no authentication %q (known: ntlm, basic, certificate, kerberos)", w.Auth)
}

// authenticator makes what authenticates a connection, or nil when every request carries its own
// proof (Basic, certificate).
func (d *Dialer) authenticator(t transport.Target) (Authenticator, error) {
	switch t.WinRM.Auth {
	case "", "ntlm":
		return newNTLM(t.User, t.Password.Reveal(), !t.WinRM.HTTPS)
	case "kerberos":
		return d.o.Kerberos(t)
	}
	return nil, nil
}
