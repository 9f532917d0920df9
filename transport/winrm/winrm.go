// Package winrm is the WinRM transport: command shells over WS-Management, with a session of our
// own.
//
// Messages are those of github.com/masterzen/winrm. Its client is not used: it re-authenticates
// every message, retries what it must not, loses faults and stdin, and falls back to unsealed
// messages. Here a connection to a machine is one shell and two or more lanes. A lane is one pinned
// TCP connection with its security context. The control lane carries Create, Command, Send, Signal
// and Delete; each running command has a lane for its Receive, which waits at the server for
// output.
package winrm

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/masterzen/winrm"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/transport"
)

// Options say how a Dialer works. The zero value is right for production.
type Options struct {
	// Operation is the OperationTimeout of every message: how long a Receive waits at the server. 0 is
	// 30 s. Windows caps it at 60 s.
	Operation time.Duration
	// Slack is how much longer than Operation an answer may take before the machine is asked whether
	// it is there. 0 is 10 s.
	Slack time.Duration
	// Idle is when an unused shell ends by itself: a controller that was killed leaves one behind. A
	// Receive is always pending, so a session that works is never idle. 0 is 3 minutes, what WinRM 2.0
	// does by itself; Windows takes one minute at least.
	Idle time.Duration
	// Net opens TCP connections; nil is a net.Dialer.
	Net func(ctx context.Context, network, address string) (net.Conn, error)
	// Kerberos makes an Authenticator for a target; nil means that Kerberos is not built in.
	Kerberos func(t transport.Target) (Authenticator, error)
}

// Dialer opens WinRM connections. Nothing is shared between them.
type Dialer struct{ o Options }

var _ transport.Dialer = (*Dialer)(nil)

// New makes a Dialer.
func New(o Options) *Dialer {
	if o.Operation == 0 {
		o.Operation = 30 * time.Second
	}
	if o.Slack == 0 {
		o.Slack = 10 * time.Second
	}
	if o.Idle == 0 {
		o.Idle = 3 * time.Minute
	}
	if o.Net == nil {
		d := &net.Dialer{Timeout: 20 * time.Second, KeepAlive: 15 * time.Second}
		o.Net = d.DialContext
	}
	return &Dialer{o: o}
}

// Close does nothing: every connection is closed by its owner.
func (d *Dialer) Close() error { return nil }

// conn is a shell on a machine.
type conn struct {
	d     *Dialer
	t     transport.Target
	url   string
	tls   *tls.Config
	bound bool // the logon belongs to the TCP connection
	msg   messages
	// the Dialer's, or the target's Timeout where that is shorter
	operation, slack time.Duration

	control  *lane
	opened   atomic.Bool           // a logon has succeeded once, so a lost connection is worth another try
	denied   atomic.Pointer[error] // the refusal of the logon: never tried again
	dead     atomic.Bool           // the machine has stopped to answer: no use in cleaning up
	requests atomic.Int64
	sent     atomic.Int64
	received atomic.Int64

	mu     sync.Mutex
	shell  string // "" when it has to be made
	closed bool
	procs  map[*process]struct{}
	group  sync.WaitGroup
}

var _ transport.Conn = (*conn)(nil)

// Dial logs on and opens a shell.
func (d *Dialer) Dial(ctx context.Context, t transport.Target) (transport.Conn, error) {
	c, err := d.dial(ctx, t)
	if err != nil {
		return nil, fmt.Errorf("cannot connect to %s over WinRM: %w", t.Node, err)
	}
	return c, nil
}

func (d *Dialer) dial(ctx context.Context, t transport.Target) (*conn, error) {
	if err := d.checkAuth(t); err != nil {
		return nil, err
	}
	scheme, port := "http", 5985
	if t.WinRM.HTTPS {
		scheme, port = "https", 5986
	}
	if t.Port != 0 {
		port = t.Port
	}
	envelope := t.WinRM.Envelope
	if envelope == 0 {
		envelope = 153600
	}
	if envelope < 8192 {
		return nil, fmt.Errorf("an envelope of %d bytes is too small: WinRM wants 8192 at least", envelope)
	}
	c := &conn{d: d, t: t, procs: map[*process]struct{}{}}
	c.url = scheme + "://" + net.JoinHostPort(t.Address, strconv.Itoa(port)) + "/wsman"
	c.bound = t.WinRM.Auth != "basic" && t.WinRM.Auth != "certificate"
	c.operation, c.slack = d.o.Operation, d.o.Slack
	if t.Timeout > 0 {
		c.operation, c.slack = min(c.operation, t.Timeout), min(c.slack, t.Timeout)
	}
	c.msg = newMessages(c.url, c.operation, envelope)
	if t.WinRM.HTTPS {
		var err error
		if c.tls, err = tlsConfig(t); err != nil {
			return nil, err
		}
	}
	limit := t.Timeout
	if limit == 0 {
		limit = 30 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	c.control = c.newLane()
	if err := c.open(ctx); err != nil {
		c.control.close()
		return nil, advise(err)
	}
	c.opened.Store(true)
	return c, nil
}

// advise adds what a person can do.
func advise(err error) error {
	if hint.Of(err) != "" {
		return err
	}
	var link *node.LinkError
	switch {
	case FaultCode(err) == FaultAccessDenied:
		return hint.Wrap(err, "the account must be a member of the machine's Administrators, and for a local account "+
			"LocalAccountTokenFilterPolicy must be set")
	case FaultCode(err) == FaultMaxShells || FaultCode(err) == FaultMaxOperations:
		return hint.Wrap(err, "wait until the shells of earlier sessions time out, or restart the WinRM service")
	case errors.As(err, &link) && !link.Sent:
		return hint.Wrap(err, "check that WinRM is enabled (winrm quickconfig) and that the firewall allows its port")
	}
	return err
}

// tlsConfig trusts a pinned certificate, the given authorities, or the system's. Windows Server
// 2003 and 2008 know nothing newer than TLS 1.0 and its RSA suites, so these are the floor; a newer
// machine cannot be talked down to them, since both sides then see the attempt.
func tlsConfig(t transport.Target) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS10, ServerName: t.Address}
	for _, s := range tls.CipherSuites() {
		c.CipherSuites = append(c.CipherSuites, s.ID)
	}
	c.CipherSuites = append(c.CipherSuites, tls.TLS_RSA_WITH_AES_256_CBC_SHA, tls.TLS_RSA_WITH_AES_128_CBC_SHA,
		tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA)
	if t.WinRM.Pin != "" {
		want, err := hex.DecodeString(strings.ReplaceAll(t.WinRM.Pin, ":", ""))
		if err != nil || len(want) != sha256.Size {
			return nil, errors.New("the fingerprint is not a SHA-256 in hex")
		}
		c.InsecureSkipVerify = true // the pin takes the place of the chain
		c.VerifyConnection = func(s tls.ConnectionState) error {
			if len(s.PeerCertificates) == 0 {
				return errors.New("the server showed no certificate")
			}
			have := sha256.Sum256(s.PeerCertificates[0].Raw)
			if subtle.ConstantTimeCompare(have[:], want) != 1 {
				return &tls.CertificateVerificationError{Err: fmt.Errorf("the certificate's SHA-256 is %s and not the one in "+
					"the inventory", hex.EncodeToString(have[:]))}
			}
			return nil
		}
	} else if t.WinRM.CACert != nil {
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(t.WinRM.CACert) {
			return nil, errors.New("there is no certificate in the authority's file")
		}
	}
	if t.WinRM.Auth == "certificate" {
		pair, err := tls.X509KeyPair(t.WinRM.CertPEM, []byte(t.WinRM.KeyPEM.Reveal()))
		if err != nil {
			return nil, fmt.Errorf("cannot use the client certificate: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// refuse notes that the logon was refused and returns that as an error.
func (c *conn) refuse(h http.Header) error {
	err := fmt.Errorf("%w for %s", node.ErrAuth, c.user())
	text := "check the name and the password; deploy does not retry, since that may lock the account"
	if len(h.Values("WWW-Authenticate")) > 0 && c.t.WinRM.Auth == "basic" {
		text += "; Basic is off on Windows unless it was switched on (winrm/config/service/auth)"
	}
	err = hint.Wrap(err, text)
	c.denied.CompareAndSwap(nil, &err)
	return err
}

func (c *conn) user() string {
	if c.t.WinRM.Auth == "certificate" {
		return "the client certificate"
	}
	return c.t.User
}

// mayLogOn fails once the logon has been refused.
func (c *conn) mayLogOn() error {
	if p := c.denied.Load(); p != nil {
		return *p
	}
	return nil
}

// ask posts on the control lane within the time that an answer may take.
func (c *conn) ask(ctx context.Context, message string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, c.operation+c.slack)
	defer cancel()
	return c.control.post(ctx, message)
}

// open makes the shell.
func (c *conn) open(ctx context.Context) error {
	body, err := c.create(ctx)
	if err != nil {
		return err
	}
	id, err := winrm.ParseOpenShellResponse(string(body))
	if err == nil && id == "" {
		err = errors.New("the answer names no shell")
	}
	if err != nil {
		return fmt.Errorf("cannot open a shell: %w", err)
	}
	c.mu.Lock()
	c.shell = id
	c.mu.Unlock()
	return nil
}

// create asks for a shell. A user may have only five on an old Windows, and a run that was killed
// leaves one behind until its idle time is over, so a refusal for that reason is asked again as
// long as there is time to connect.
func (c *conn) create(ctx context.Context) ([]byte, error) {
	for {
		body, err := c.ask(ctx, c.msg.create(c.d.o.Idle))
		if FaultCode(err) != FaultMaxShells {
			return body, err
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return nil, err
		}
	}
}

// Files is not there: files travel through the process.
func (c *conn) Files(context.Context) (transport.Files, error) {
	return nil, fmt.Errorf("cannot open a file service on %s over WinRM: %w", c.t.Node, node.ErrUnsupported)
}

// Stats counts HTTP requests and the bytes of all lanes.
func (c *conn) Stats() transport.Stats {
	return transport.Stats{Requests: c.requests.Load(), Sent: c.sent.Load(), Received: c.received.Load()}
}

// Close ends every process, deletes the shell and closes the connections. It takes five seconds at
// most.
func (c *conn) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	c.closed = true
	shell := c.shell
	procs := make([]*process, 0, len(c.procs))
	for p := range c.procs {
		procs = append(procs, p)
	}
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for _, p := range procs {
		_ = p.Kill(ctx)
	}
	var err error
	if shell != "" && c.mayLogOn() == nil && !c.dead.Load() {
		_, err = c.control.post(ctx, c.msg.delete(shell))
		if FaultCode(err) == FaultNoShell {
			err = nil
		}
	}
	c.group.Wait()
	c.control.close()
	if err != nil {
		return fmt.Errorf("cannot delete the shell on %s: %w", c.t.Node, err)
	}
	return nil
}

// answers asks, on a connection of its own and without a logon, whether the service is there at
// all.
func (c *conn) answers(ctx context.Context) bool {
	tr := &http.Transport{TLSClientConfig: c.tls, DialContext: c.d.o.Net, DisableKeepAlives: true,
		TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{}}
	defer tr.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, strings.NewReader(identify))
	if err != nil {
		return false
	}
	req.Header.Set("Content-Type", plainType)
	req.Header.Set("WSMANIDENTIFY", "unauthenticated")
	c.requests.Add(1)
	resp, err := (&http.Client{Transport: tr}).Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return true // any answer shows that it lives
}

func messageID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: see crypto/rand
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	h := strings.ToUpper(hex.EncodeToString(b[:]))
	return "uuid:" + h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
