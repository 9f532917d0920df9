package winrmd

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"time"
)

// connKey finds a connection's session in a request's context.
type connKey struct{}

// session is what a TCP connection knows of its client: HTTP/1.1 requests of one connection never
// overlap, so it needs no lock.
type session struct {
	ntlm *ntlmServer // handshake under way, or the context
	user string      // who is logged on by NTLM; "" nobody
}

func (c *session) forget() { *c = session{} }

// open decrypts a sealed body with the connection's context.
func (c *session) open(body []byte, boundary string) ([]byte, error) {
	if c.user == "" || c.ntlm == nil || c.ntlm.in == nil {
		return nil, errors.New("no security context on this connection")
	}
	b, err := parseSealed(body, boundary)
	if err != nil {
		return nil, err
	}
	if !strings.EqualFold(b.Protocol, protocolSPNEGO) {
		return nil, errors.New("sealed for another protocol: " + b.Protocol)
	}
	return c.ntlm.in.Unseal(b.Sig, b.Sealed)
}

// authenticate says who asks. When ok is false the answer has been written.
func (s *Server) authenticate(w http.ResponseWriter, r *http.Request, sess *session, length int,
	secure bool) (user string, ok bool) {

	scheme, value, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	token, decodeErr := base64.StdEncoding.DecodeString(strings.TrimSpace(value))
	switch {
	case scheme == "":
		// a sealed message on a connection without a context is answered with 400 further on
		if _, sealed := isSealed(r.Header.Get("Content-Type")); sealed && length > 0 {
			return sess.user, true
		}
		// an empty request without Authorization asks for a challenge, even on a connection that has a
		// context
		if sess.user == "" || length == 0 {
			s.refuse(w, secure, "")
			return "", false
		}
		return sess.user, true
	case decodeErr != nil:
	case strings.EqualFold(scheme, "Negotiate"):
		return s.negotiate(w, sess, token, secure)
	case strings.EqualFold(scheme, "Basic") && (secure || s.cfg.AllowUnencrypted):
		name, pw, _ := strings.Cut(string(token), ":")
		account, want, known := s.lookup(name, "")
		if known && subtle.ConstantTimeCompare([]byte(pw), []byte(want)) == 1 {
			return account, true
		}
	}
	s.refuse(w, secure, "")
	return "", false
}

func (s *Server) negotiate(w http.ResponseWriter, sess *session, token []byte, secure bool) (string, bool) {
	kind, err := ntlmType(token)
	switch {
	case err == nil && kind == 1:
		sess.forget()
		t := ntlmTarget{Computer: strings.ToUpper(s.cfg.Machine), Domain: s.cfg.Domain, DNSDomain: s.cfg.DNSDomain,
			DNSComputer: s.cfg.Machine}
		if t.Domain == "" {
			t.Domain = t.Computer
		}
		if t.DNSDomain != "" {
			t.DNSComputer += "." + t.DNSDomain
		}
		n := &ntlmServer{target: t}
		_, _ = rand.Read(n.nonce[:]) // never fails
		challenge, err := n.Challenge(token, time.Now())
		if err == nil {
			sess.ntlm = n
			s.refuse(w, secure, base64.StdEncoding.EncodeToString(challenge))
			return "", false
		}
	case err == nil && kind == 3 && sess.ntlm != nil && sess.user == "":
		var account string
		binding := s.binding
		if !secure {
			binding = nil
		}
		_, _, err := sess.ntlm.Authenticate(token, binding, func(user, domain string) (string, bool) {
			full, pw, ok := s.lookup(user, domain)
			account = full
			return pw, ok
		})
		if err == nil {
			sess.user = account
			return account, true
		}
		s.cfg.Log.Debug("logon refused", "machine", s.cfg.Machine, "error", err)
	}
	sess.forget()
	s.refuse(w, secure, "")
	return "", false
}

// lookup takes DOMAIN\user apart where a client sent it whole.
func (s *Server) lookup(user, domain string) (account, password string, ok bool) {
	if d, u, cut := strings.Cut(user, `\`); cut && domain == "" {
		user, domain = u, d
	}
	return s.cfg.Password(user, domain)
}

// refuse answers 401 with what the listener offers, or with the next token of a handshake.
func (s *Server) refuse(w http.ResponseWriter, secure bool, token string) {
	h := w.Header()
	if token != "" {
		h.Add("WWW-Authenticate", "Negotiate "+token)
	} else {
		h.Add("WWW-Authenticate", "Negotiate")
		if secure || s.cfg.AllowUnencrypted {
			h.Add("WWW-Authenticate", `Basic realm="WSMAN"`)
		}
	}
	h.Set("Content-Length", "0")
	w.WriteHeader(http.StatusUnauthorized)
}

func sha256sum(b []byte) []byte {
	sum := sha256.Sum256(b)
	return sum[:]
}
