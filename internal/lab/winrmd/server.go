// Package winrmd is a WinRM server for an emulated machine: WS-Management as MS-WSMV writes it down
// and as Windows is reported to behave, with remote shells whose processes somebody else runs.
// Texts of faults are our own; clients decide on codes.
//
// What it leaves out, on purpose: Kerberos and CredSSP are not offered, NTLM wrapped in SPNEGO is
// refused (every known client of shells sends it raw), and of the resources only the command shell
// is there.
package winrmd

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"deploy/internal/lab/front"
)

// Quotas are the limits of a WinRM service.
type Quotas struct {
	Stack         string // what Identify says: "2.0", "3.0"
	MaxEnvelope   int    // bytes of a request, and of an answer when the request allows more
	MaxTimeout    time.Duration
	MaxShells     int // per user
	MaxProcesses  int // per shell
	MaxOperations int // per user: commands that were not terminated
	IdleTimeout   time.Duration
	MinIdle       time.Duration // what a client may ask for at least
	MaxIdle       time.Duration
	// Speed is how much faster idle time goes by than the clock; 0 is as fast. It never makes less
	// than five seconds of it.
	Speed float64
}

// idle is what an idle time amounts to on the clock.
func (q Quotas) idle(d time.Duration) time.Duration {
	if q.Speed <= 1 {
		return d
	}
	return max(min(d, 5*time.Second), time.Duration(float64(d)/q.Speed))
}

// QuotasOld are the defaults of WinRM 2.0 (Windows Server 2003 to 2008 R2). Source:
// learn.microsoft.com, WinRM quotas and "Installation and configuration for Windows Remote
// Management".
func QuotasOld() Quotas {
	return Quotas{Stack: "2.0", MaxEnvelope: 150 << 10, MaxTimeout: time.Minute, MaxShells: 5, MaxProcesses: 15,
		MaxOperations: 1500,
		IdleTimeout:   3 * time.Minute, MinIdle: time.Minute, MaxIdle: 2147483647 * time.Millisecond}
}

// QuotasNew are the defaults of WinRM 3.0 (Windows Server 2012 and later). Source: as QuotasOld.
func QuotasNew() Quotas {
	return Quotas{Stack: "3.0", MaxEnvelope: 500 << 10, MaxTimeout: time.Minute, MaxShells: 30, MaxProcesses: 25,
		MaxOperations: 1500,
		IdleTimeout:   2 * time.Hour, MinIdle: time.Minute, MaxIdle: 2147483647 * time.Millisecond}
}

// Config is a server's configuration. Run and Password must be set.
type Config struct {
	Machine     string // NetBIOS name
	Domain      string // NetBIOS name of the domain; "" in a workgroup
	DNSDomain   string
	Version     string // "6.0.6002"
	ServicePack int
	Quotas      Quotas
	// Password gives an account's full name and password. ok is false when there is no such account.
	Password func(user, domain string) (account, password string, ok bool)
	// Run runs the command lines.
	Run front.Runner
	// AllowUnencrypted lets plain text and Basic through on HTTP, as the setting of the same name
	// does. Off on Windows.
	AllowUnencrypted bool
	// Certificate serves HTTPS; nil when the server has no HTTPS listener.
	Certificate *tls.Certificate
	// Before is called with every request before it is looked at: latency, counting. nil does nothing.
	Before func(ctx context.Context)
	// RefuseShell may answer a Create with a quota fault. nil never does.
	RefuseShell func() bool
	Log         *slog.Logger
}

// Server serves one machine.
type Server struct {
	cfg     Config
	binding []byte // of the HTTPS certificate
	http    []*http.Server
	wg      sync.WaitGroup

	mu     sync.Mutex
	shells map[string]*shell // by upper-case id
}

// New makes a server. Serve starts it.
func New(cfg Config) (*Server, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{cfg: cfg, shells: map[string]*shell{}}
	if cfg.Certificate != nil {
		hash, err := certificateHash(cfg.Certificate)
		if err != nil {
			return nil, fmt.Errorf("cannot serve WinRM on %s: %w", cfg.Machine, err)
		}
		s.binding = channelBinding(hash)
	}
	return s, nil
}

// certificateHash is the hash that tls-server-end-point wants: that of the signature, SHA-256 at
// least (RFC 5929 4.1). Only certificates signed with SHA-256 are served here.
func certificateHash(c *tls.Certificate) ([]byte, error) {
	leaf, err := x509.ParseCertificate(c.Certificate[0])
	if err != nil {
		return nil, err
	}
	switch leaf.SignatureAlgorithm {
	case x509.SHA256WithRSA, x509.ECDSAWithSHA256:
		return sha256sum(c.Certificate[0]), nil
	}
	return nil, errors.New("the certificate is not signed with SHA-256")
}

// Serve answers on l until Close. With secure it speaks TLS.
func (s *Server) Serve(l net.Listener, secure bool) {
	h := &http.Server{
		Handler:           s.handler(secure),
		ReadHeaderTimeout: time.Minute,
		ConnContext: func(ctx context.Context, _ net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, &session{})
		},
		ErrorLog: slog.NewLogLogger(s.cfg.Log.Handler(), slog.LevelDebug),
	}
	if secure {
		l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{*s.cfg.Certificate}, MinVersion: tls.VersionTLS12,
			NextProtos: []string{"http/1.1"}})
	}
	s.mu.Lock()
	s.http = append(s.http, h)
	s.mu.Unlock()
	s.wg.Add(1)
	go func() {
		defer s.wg.Done()
		if err := h.Serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) {
			s.cfg.Log.Debug("winrm listener ended", "machine", s.cfg.Machine, "error", err)
		}
	}()
}

// Restart forgets every shell, as the machine or the service does when it restarts.
func (s *Server) Restart() {
	s.mu.Lock()
	list := s.shells
	s.shells = map[string]*shell{}
	s.mu.Unlock()
	for _, sh := range list {
		sh.end()
	}
}

// Close stops serving, ends every process and waits for them.
func (s *Server) Close() {
	s.mu.Lock()
	list := s.http
	s.mu.Unlock()
	for _, h := range list {
		_ = h.Close()
	}
	s.Restart()
	s.wg.Wait()
}

// Shells counts the shells there are.
func (s *Server) Shells() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.shells)
}

func (s *Server) shell(id string) *shell {
	s.mu.Lock()
	defer s.mu.Unlock()
	// WinRM 1.x and some clients write the id as uuid:...
	return s.shells[strings.TrimPrefix(strings.ToUpper(id), "UUID:")]
}

func (s *Server) addShell(sh *shell) *fault {
	// asked without our lock: whoever answers may hold one that is held while we are restarted
	refused := s.cfg.RefuseShell != nil && s.cfg.RefuseShell()
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, o := range s.shells {
		if strings.EqualFold(o.Owner, sh.Owner) {
			n++
		}
	}
	if refused || n >= s.cfg.Quotas.MaxShells {
		return faultQuota(codeMaxShells, "concurrent shells", s.cfg.Quotas.MaxShells)
	}
	s.shells[sh.ID] = sh
	sh.clock = s.cfg.Quotas.idle(sh.Idle)
	sh.timer = time.AfterFunc(sh.clock, func() {
		sh.mu.Lock()
		busy := sh.busy > 0
		sh.mu.Unlock()
		if !busy { // else leave starts the clock again
			s.dropShell(sh)
		}
	})
	return nil
}

func (s *Server) dropShell(sh *shell) {
	s.mu.Lock()
	delete(s.shells, sh.ID)
	s.mu.Unlock()
	sh.end()
}

// operations counts a user's commands that were not terminated.
func (s *Server) operations(user string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, sh := range s.shells {
		if strings.EqualFold(sh.Owner, user) {
			sh.mu.Lock()
			n += len(sh.commands)
			sh.mu.Unlock()
		}
	}
	return n
}

// handler serves one listener.
func (s *Server) handler(secure bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.cfg.Before != nil {
			s.cfg.Before(r.Context())
		}
		w.Header().Set("Server", "Microsoft-HTTPAPI/2.0")
		switch {
		case r.URL.Path != "/wsman" && r.URL.Path != "/wsman/":
			w.WriteHeader(http.StatusNotFound)
			return
		case r.Method != http.MethodPost:
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		// a sealed body is larger than its envelope by a frame
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, int64(s.cfg.Quotas.MaxEnvelope)+4096))
		if err != nil {
			var big *http.MaxBytesError
			if errors.As(err, &big) {
				w.WriteHeader(http.StatusRequestEntityTooLarge)
			}
			return
		}
		s.serve(w, r, body, secure)
	})
}

// serve authenticates, opens the body and answers.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, body []byte, secure bool) {
	if r.Header.Get("Authorization") == "" && r.Header.Get("WSMANIDENTIFY") != "" {
		s.reply(w, nil, http.StatusOK, identifyEnvelope(s.identify(false)))
		return
	}
	sess, _ := r.Context().Value(connKey{}).(*session)
	user, ok := s.authenticate(w, r, sess, len(body), secure)
	if !ok {
		return
	}
	if len(body) == 0 {
		w.WriteHeader(http.StatusOK)
		return
	}
	boundary, sealed := isSealed(r.Header.Get("Content-Type"))
	var seal *ntlmServer
	if sealed {
		plain, err := sess.open(body, boundary)
		if err != nil {
			// the streams have run apart: nothing on this connection can be trusted any more
			s.cfg.Log.Debug("sealed message refused", "machine", s.cfg.Machine, "error", err)
			sess.forget()
			w.Header().Set("Connection", "close")
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		body, seal = plain, sess.ntlm
	} else if !secure && !s.cfg.AllowUnencrypted {
		// what AllowUnencrypted=false looks like from outside: no body, no reason
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	q, err := parseRequest(body)
	var f *fault
	if err != nil && !errors.As(err, &f) {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	var a answer
	if f == nil {
		if len(body) > s.cfg.Quotas.MaxEnvelope {
			f = faultEncodingLimit("the envelope is larger than MaxEnvelopeSizekb allows")
		} else {
			a, f = s.handle(r.Context(), user, q)
		}
	}
	id := "uuid:" + newID()
	switch {
	case f != nil:
		s.reply(w, seal, http.StatusInternalServerError, envelope(actionFault, id, q.MessageID, f.body(s.cfg.Machine)))
	case a.action == "":
		s.reply(w, seal, http.StatusOK, identifyEnvelope(a.body))
	default:
		s.reply(w, seal, http.StatusOK, envelope(a.action, id, q.MessageID, a.body))
	}
}

func identifyEnvelope(body string) []byte {
	return []byte(`<s:Envelope xml:lang="en-US" xmlns:s="` + nsSOAP + `"><s:Header/><s:Body>` + body +
		`</s:Body></s:Envelope>`)
}

// reply sends an envelope, sealed when the request was.
func (s *Server) reply(w http.ResponseWriter, seal *ntlmServer, status int, env []byte) {
	kind := contentTypeSOAP
	if seal != nil {
		sig, sealed := seal.out.Seal(env)
		env, kind = formatSealed(sig, sealed, len(env)), contentTypeSealed
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Length", fmt.Sprint(len(env)))
	w.WriteHeader(status)
	_, _ = w.Write(env) // a client that is gone needs no answer
}
