package winrm

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"time"

	"deploy/internal/hint"
	"deploy/internal/node"
)

// maxAnswer bounds what one answer may hold; the envelope that we declare is far below it.
const maxAnswer = 16 << 20

// errRedial stands in place of a new TCP connection that nobody allowed: the security context
// belongs to the old one.
var errRedial = errors.New("the connection was closed")

// lane is one pinned TCP connection with its security context. Requests on it go one after the
// other. When the connection is lost the next request makes a new one and authenticates again.
type lane struct {
	c      *conn
	http   *http.Client
	tr     *http.Transport
	turn   chan struct{} // one token: whoever holds it may post
	sealer Sealer        // of the connection; nil over TLS
	ready  bool          // the connection is authenticated
	permit atomic.Bool   // a new connection may be dialled
}

func (c *conn) newLane() *lane {
	l := &lane{c: c, turn: make(chan struct{}, 1)}
	l.turn <- struct{}{}
	l.tr = &http.Transport{
		MaxConnsPerHost: 1, MaxIdleConnsPerHost: 1, DisableCompression: true,
		// no HTTP/2: contexts are bound to HTTP/1.1 connections
		TLSNextProto:    map[string]func(string, *tls.Conn) http.RoundTripper{},
		TLSClientConfig: c.tls,
		DialContext:     l.dial,
		// shorter than the two minutes of Windows' HTTP service: when it closes first, a request may just
		// have left
		IdleConnTimeout: 90 * time.Second,
	}
	l.http = &http.Client{Transport: l.tr,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return l
}

func (l *lane) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if l.c.bound && !l.permit.Swap(false) {
		return nil, errRedial
	}
	n, err := l.c.d.o.Net(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &counted{Conn: n, l: l}, nil
}

type counted struct {
	net.Conn
	l *lane
}

func (n *counted) Read(p []byte) (int, error) {
	k, err := n.Conn.Read(p)
	n.l.c.received.Add(int64(k))
	return k, err
}

func (n *counted) Write(p []byte) (int, error) {
	k, err := n.Conn.Write(p)
	n.l.c.sent.Add(int64(k))
	return k, err
}

// close drops the connection and its context.
func (l *lane) close() {
	l.ready, l.sealer = false, nil
	l.tr.CloseIdleConnections()
}

// outcome is what is known of a request that failed.
type outcome int

const (
	unsent  outcome = iota // no byte of it left, or it was refused unread: it may be sent again
	unknown                // it left: whether it was carried out is not known
	refused                // the machine answered that it will not
)

type failure struct {
	outcome
	err error
}

// post sends one message and returns the answer's body. An answered fault is a *Fault. What broke
// is a *node.LinkError whose Sent says whether the message left. A message that surely did not
// leave is tried again, twice at most.
func (l *lane) post(ctx context.Context, message string) ([]byte, error) {
	select {
	case <-l.turn:
	case <-ctx.Done():
		return nil, &node.LinkError{Node: l.c.t.Node, Err: ctx.Err()}
	}
	defer func() { l.turn <- struct{}{} }()
	for attempt := 0; ; attempt++ {
		body, fail := l.try(ctx, message)
		if fail == nil {
			return body, nil
		}
		if fail.outcome != refused {
			l.close()
		}
		var auth bool
		if fail.outcome == unsent {
			auth = errors.Is(fail.err, node.ErrAuth) || errors.Is(fail.err, node.ErrHostKey)
		}
		if fail.outcome == unsent && !auth && attempt < 2 && l.c.opened.Load() && ctx.Err() == nil {
			wait(ctx, time.Duration(attempt)*100*time.Millisecond)
			continue
		}
		if auth || fail.outcome == refused {
			return nil, fail.err
		}
		if err := ctx.Err(); err != nil {
			fail.err = err
		}
		return nil, &node.LinkError{Node: l.c.t.Node, Sent: fail.outcome == unknown, Err: fail.err}
	}
}

func wait(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

func (l *lane) try(ctx context.Context, message string) ([]byte, *failure) {
	if l.c.bound && !l.ready {
		if err := l.authenticate(ctx); err != nil {
			return nil, &failure{unsent, err}
		}
	}
	body, contentType := []byte(message), plainType
	if l.sealer != nil {
		signature, sealed, err := l.sealer.Seal(body)
		if err != nil {
			return nil, &failure{unsent, fmt.Errorf("cannot seal the message: %w", err)}
		}
		body, contentType = encodeSealed(l.sealer.Protocol(), len(message), signature, sealed),
			sealedType(l.sealer.Protocol())
	}
	header := http.Header{"Content-Type": {contentType}}
	switch l.c.t.WinRM.Auth {
	case "basic":
		header.Set("Authorization", "Basic "+
			base64.StdEncoding.EncodeToString([]byte(l.c.t.User+":"+l.c.t.Password.Reveal())))
	case "certificate":
		header.Set("Authorization", "http://schemas.dmtf.org/wbem/wsman/1/wsman/secprofile/https/mutual")
	}
	if err := l.c.mayLogOn(); err != nil {
		return nil, &failure{unsent, err}
	}
	resp, answer, sent, err := l.exchange(ctx, body, header)
	if err != nil {
		if sent {
			return nil, &failure{unknown, err}
		}
		return nil, &failure{unsent, classify(err)}
	}
	return l.read(resp, answer)
}

// read turns an HTTP answer into a body, a fault or a failure.
func (l *lane) read(resp *http.Response, answer []byte) ([]byte, *failure) {
	status := resp.StatusCode
	contentType := resp.Header.Get("Content-Type")
	switch {
	case status == http.StatusUnauthorized && !l.c.bound:
		return nil, &failure{unsent, l.c.refuse(resp.Header)}
	case status == http.StatusUnauthorized, status == http.StatusBadRequest && l.sealer != nil && len(answer) == 0:
		// the service has forgotten the context, or the message came on another connection than it
		// thinks: it was not read
		return nil, &failure{unsent, fmt.Errorf("the service no longer knows the logon (HTTP %d)", status)}
	case status != http.StatusOK && status != http.StatusInternalServerError:
		return nil, &failure{refused, &HTTPError{Status: status}}
	}
	if l.sealer != nil {
		plain, err := l.open(contentType, answer)
		if err != nil {
			if status == http.StatusInternalServerError && len(answer) == 0 {
				return nil, &failure{refused, &HTTPError{Status: status}}
			}
			return nil, &failure{unknown, err}
		}
		answer = plain
	} else if !strings.HasPrefix(strings.ToLower(contentType), "application/soap+xml") {
		return nil, &failure{refused, &HTTPError{Status: status, Type: contentType}}
	}
	if status == http.StatusOK && !bytes.Contains(answer, []byte("Fault")) {
		return answer, nil
	}
	fault, ok, err := parseFault(answer)
	switch {
	case err != nil:
		return nil, &failure{unknown, err}
	case ok:
		return nil, &failure{refused, fault}
	case status == http.StatusOK:
		return answer, nil
	}
	return nil, &failure{refused, &HTTPError{Status: status, Type: contentType}}
}

// open unseals an answer. An answer that is not sealed is never read: whoever sent it may not be
// who we logged on to.
func (l *lane) open(contentType string, answer []byte) ([]byte, error) {
	if !isSealed(contentType) {
		return nil, errors.New("the answer was not sealed: refused")
	}
	n, signature, sealed, err := decodeSealed(l.sealer.Protocol(), answer)
	if err != nil {
		return nil, err
	}
	plain, err := l.sealer.Open(signature, sealed)
	if err != nil {
		return nil, fmt.Errorf("the answer's seal is broken: %w", err)
	}
	if len(plain) != n {
		return nil, fmt.Errorf("the answer holds %d bytes and declares %d", len(plain), n)
	}
	return plain, nil
}

// exchange makes one HTTP request. sent says whether a byte of it may have left.
func (l *lane) exchange(ctx context.Context, body []byte, header http.Header) (resp *http.Response, answer []byte,
	sent bool, err error) {
	var got atomic.Bool
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { got.Store(true) }}
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, trace), http.MethodPost, l.c.url,
		bytes.NewReader(body))
	if err != nil {
		return nil, nil, false, err
	}
	req.Header = header
	req.Header.Set("User-Agent", "deploy")
	l.c.requests.Add(1)
	resp, err = l.http.Do(req)
	if err != nil {
		return nil, nil, got.Load() && !neverLeft(err), err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err == nil && len(answer) > maxAnswer {
		err = fmt.Errorf("an answer of more than %d bytes", maxAnswer)
	}
	return resp, answer, true, err
}

// neverLeft says that no connection was had. That is also what becomes of a request for which
// net/http found its connection closed before it wrote to it: it then asks for a new one, which a
// lane with a context refuses.
func neverLeft(err error) bool {
	var op *net.OpError
	var verify *tls.CertificateVerificationError
	return errors.Is(err, errRedial) || errors.As(err, &verify) || errors.As(err, &op) && op.Op == "dial"
}

// authenticate makes a new connection and logs on. A refusal is node.ErrAuth, and no further
// attempt is made in this conn's life: a second one may lock the account.
func (l *lane) authenticate(ctx context.Context) error {
	if err := l.c.mayLogOn(); err != nil {
		return err
	}
	auth, err := l.c.d.authenticator(l.c.t)
	if err != nil {
		return err
	}
	l.close()
	l.permit.Store(true)
	defer l.permit.Store(false)
	var in, bindings []byte
	for round := 0; round < 5; round++ {
		token, err := auth.Token(in, bindings)
		if err != nil {
			return fmt.Errorf("cannot log on: %w", err)
		}
		header := http.Header{"Authorization": {auth.Scheme() + " " + base64.StdEncoding.EncodeToString(token)},
			"Content-Type": {plainType}}
		resp, _, _, err := l.exchange(ctx, nil, header)
		if err != nil {
			return classify(err)
		}
		if resp.TLS != nil && len(resp.TLS.PeerCertificates) > 0 {
			bindings = endPoint(resp.TLS.PeerCertificates[0])
		}
		switch {
		case resp.StatusCode == http.StatusUnauthorized && auth.Complete():
			return l.c.refuse(resp.Header)
		case resp.StatusCode == http.StatusUnauthorized:
			if in, err = challenge(resp.Header, auth.Scheme()); err != nil {
				return err
			}
		case resp.StatusCode/100 != 2:
			return &HTTPError{Status: resp.StatusCode}
		case !auth.Complete():
			return errors.New("the server accepted the connection without a logon: refused")
		default:
			if !l.c.t.WinRM.HTTPS {
				if l.sealer, err = auth.Sealer(); err != nil {
					return err
				}
			}
			l.ready = true
			return nil
		}
	}
	return errors.New("cannot log on: the exchange of tokens did not complete")
}

// challenge reads the server's token.
func challenge(h http.Header, scheme string) ([]byte, error) {
	var offers []string
	for _, v := range h.Values("WWW-Authenticate") {
		name, token, _ := strings.Cut(strings.TrimSpace(v), " ")
		offers = append(offers, name)
		if strings.EqualFold(name, scheme) && token != "" {
			return base64.StdEncoding.DecodeString(strings.TrimSpace(token))
		}
	}
	return nil, hint.Wrap(fmt.Errorf("the server does not take %s (it offers: %s)", scheme, strings.Join(offers, ", ")),
		"check `winrm get winrm/config/service/auth` on the machine, or choose another auth")
}

// classify names what kept a connection from being made.
func classify(err error) error {
	var verify *tls.CertificateVerificationError
	if errors.As(err, &verify) {
		return hint.Wrap(fmt.Errorf("%w: %w", node.ErrHostKey, verify), "give the issuer's certificate (ca) or the "+
			"SHA-256 of this one (fingerprint) in the inventory, after checking it on the machine")
	}
	return err
}

// HTTPError is an HTTP answer that is no WS-Management answer.
type HTTPError struct {
	Status int
	Type   string // its Content-Type
}

func (e *HTTPError) Error() string {
	s := fmt.Sprintf("HTTP %d", e.Status)
	if e.Type != "" {
		s += " with " + e.Type
	}
	switch e.Status {
	case http.StatusNotFound:
		s += ": no WS-Management service at this address"
	case http.StatusInternalServerError:
		s += " without a fault: the service may not take messages in this form"
	case http.StatusOK:
		s += ": not a WS-Management answer"
	}
	return s
}
