package winrm

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"deploy/internal/secret"
	"deploy/transport"
)

// fake is a WS-Management server that does what a test tells it to. It is small and lenient on
// purpose: the lab's server is the strict one. With toy it wants a logon that is bound to the
// connection and sealed messages.
type fake struct {
	*httptest.Server
	toy  bool
	hook func(q *asked, w http.ResponseWriter, r *http.Request) bool // true: it has answered
	prog func(line string, in io.Reader, out, errs io.Writer) int

	mu     sync.Mutex
	log    []*asked
	count  map[string]int
	cmds   map[string]*fakeCmd
	logons int                 // handshakes that were completed
	conns  map[net.Conn]bool   // open ones
	auth   map[string]*toySeal // by remote address
	wg     sync.WaitGroup
}

// asked is one request that arrived.
type asked struct {
	Op    string // last word of the action
	N     int    // how many of that kind have come
	Clear bool   // it came unsealed
	Raw   string
	Env   struct {
		Header struct {
			Action           string
			OperationTimeout string
			MessageID        string
			MaxEnvelopeSize  int
			OptionSet        struct {
				Option []struct {
					Name  string `xml:"Name,attr"`
					Value string `xml:",chardata"`
				}
			}
			SelectorSet struct{ Selector string }
		}
		Body struct {
			Shell       *struct{ IdleTimeOut string }
			CommandLine *struct{ Command string }
			Send        *struct {
				Stream struct {
					CommandId, End string `xml:",attr"`
					Text           string `xml:",chardata"`
				}
			}
			Receive *struct {
				DesiredStream struct {
					CommandId string `xml:",attr"`
				}
			}
			Signal *struct {
				CommandId string `xml:",attr"`
			}
		}
	}
}

type fakeCmd struct {
	mu   sync.Mutex
	in   *io.PipeWriter
	out  [2]bytes.Buffer
	done bool
	code int
	news chan struct{}
}

func newFake(t *testing.T, toy bool) *fake {
	t.Helper()
	f := &fake{toy: toy, count: map[string]int{}, cmds: map[string]*fakeCmd{}, conns: map[net.Conn]bool{},
		auth: map[string]*toySeal{}}
	f.prog = func(line string, in io.Reader, out, _ io.Writer) int {
		if strings.HasPrefix(line, "cat") {
			_, _ = io.Copy(out, in)
		} else {
			_, _ = io.Copy(io.Discard, in)
		}
		return 0
	}
	f.Server = httptest.NewUnstartedServer(http.HandlerFunc(f.serve))
	f.Config.ConnState = func(c net.Conn, s http.ConnState) {
		f.mu.Lock()
		defer f.mu.Unlock()
		switch s {
		case http.StateNew:
			f.conns[c] = true
		case http.StateClosed, http.StateHijacked:
			delete(f.conns, c)
		}
	}
	if toy {
		f.Start()
	} else {
		f.StartTLS()
	}
	t.Cleanup(func() {
		f.mu.Lock()
		for _, c := range f.cmds {
			_ = c.in.Close()
		}
		f.mu.Unlock()
		f.CloseClientConnections()
		f.Close()
		f.wg.Wait()
	})
	return f
}

func (f *fake) target() transport.Target {
	addr := f.Listener.Addr().(*net.TCPAddr)
	t := transport.Target{Node: "n1", Address: "127.0.0.1", Port: addr.Port, User: "admin",
		Password: secret.New("pw-1234")}
	if f.toy {
		t.WinRM.Auth = "kerberos"
	} else {
		sum := sha256.Sum256(f.Certificate().Raw)
		t.WinRM = transport.WinRM{Auth: "basic", HTTPS: true, Pin: hex.EncodeToString(sum[:])}
	}
	return t
}

// dial connects with times that suit a test.
func (f *fake) dial(t *testing.T, o Options) *conn {
	t.Helper()
	if o.Operation == 0 {
		o.Operation = 2 * time.Second
	}
	if o.Slack == 0 {
		o.Slack = 500 * time.Millisecond
	}
	if f.toy && o.Kerberos == nil {
		o.Kerberos = func(transport.Target) (Authenticator, error) { return &toyAuth{}, nil }
	}
	c, err := New(o).Dial(t.Context(), f.target())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c.(*conn)
}

// ops lists what arrived, by operation.
func (f *fake) ops(op string) []*asked {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []*asked
	for _, q := range f.log {
		if q.Op == op {
			out = append(out, q)
		}
	}
	return out
}

func (f *fake) open() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.conns)
}

func (f *fake) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	q := &asked{Raw: string(body), Clear: true}
	if r.Header.Get("WSMANIDENTIFY") != "" {
		q.Op = "Identify"
	}
	if f.toy && q.Op == "" {
		f.mu.Lock()
		seal := f.auth[r.RemoteAddr]
		f.mu.Unlock()
		if a := r.Header.Get("Authorization"); a != "" || seal == nil {
			q.Op = "Logon"
		} else if isSealed(r.Header.Get("Content-Type")) {
			_, signature, sealed, err := decodeSealed(seal.Protocol(), body)
			if err == nil {
				body, err = seal.in.open(signature, sealed)
			}
			if err != nil {
				w.WriteHeader(http.StatusBadRequest)
				return
			}
			q.Clear = false
		}
	}
	if q.Op == "" {
		if err := xml.Unmarshal(body, &q.Env); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		q.Op = q.Env.Header.Action[strings.LastIndexByte(q.Env.Header.Action, '/')+1:]
	}
	f.mu.Lock()
	f.count[q.Op]++
	q.N = f.count[q.Op]
	f.log = append(f.log, q)
	f.mu.Unlock()
	if f.hook != nil && f.hook(q, w, r) {
		return
	}
	switch q.Op {
	case "Identify":
		f.answer(w, r, q, 200, "<i/>")
	case "Logon":
		f.logon(w, r)
	default:
		f.carryOut(w, r, q)
	}
}

func (f *fake) logon(w http.ResponseWriter, r *http.Request) {
	token, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(r.Header.Get("Authorization"), "Kerberos "))
	switch string(token) {
	case "one":
		w.Header().Set("WWW-Authenticate", "Kerberos "+base64.StdEncoding.EncodeToString([]byte("two")))
	case "three":
		f.mu.Lock()
		f.auth[r.RemoteAddr] = &toySeal{}
		f.logons++
		f.mu.Unlock()
		w.WriteHeader(http.StatusOK)
		return
	default:
		w.Header().Set("WWW-Authenticate", "Kerberos")
	}
	w.WriteHeader(http.StatusUnauthorized)
}

// answer writes an envelope, sealed when the connection is.
func (f *fake) answer(w http.ResponseWriter, r *http.Request, q *asked, status int, inner string) {
	action := q.Env.Header.Action + "Response"
	if status == http.StatusInternalServerError {
		action = "http://schemas.dmtf.org/wbem/wsman/1/wsman/fault"
	}
	env := []byte(`<s:Envelope xmlns:s="` + nsSOAP +
		`" xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing" xmlns:r="` + nsShell + `"><s:Header><a:Action>` +
		action +
		`</a:Action><a:RelatesTo>` + q.Env.Header.MessageID + `</a:RelatesTo></s:Header><s:Body>` + inner +
		`</s:Body></s:Envelope>`)
	kind := plainType
	f.mu.Lock()
	seal := f.auth[r.RemoteAddr]
	f.mu.Unlock()
	if seal != nil {
		signature, sealed := seal.out.seal(env)
		env, kind = encodeSealed(seal.Protocol(), len(env), signature, sealed), sealedType(seal.Protocol())
	}
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(status)
	_, _ = w.Write(env)
}

func (f *fake) fault(w http.ResponseWriter, r *http.Request, q *asked, code uint32) {
	f.answer(w, r, q, 500, fmt.Sprintf(
		`<s:Fault><s:Code><s:Value>s:Receiver</s:Value><s:Subcode><s:Value>w:X</s:Value></s:Subcode></s:Code><s:Reason><s:Text>r</s:Text></s:Reason>`+
			`<s:Detail><f:WSManFault xmlns:f="http://schemas.microsoft.com/wbem/wsman/1/wsmanfault" Code="%d"><f:Message>why</f:Message></f:WSManFault></s:Detail></s:Fault>`, code))
}

func (f *fake) carryOut(w http.ResponseWriter, r *http.Request, q *asked) {
	b := q.Env.Body
	find := func(id string) *fakeCmd {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.cmds[id]
	}
	switch {
	case b.Shell != nil:
		f.answer(w, r, q, 200, fmt.Sprintf(`<r:Shell><r:ShellId>SHELL%d</r:ShellId></r:Shell>`, q.N))
	case b.CommandLine != nil:
		id := fmt.Sprintf("CMD%d", q.N)
		f.start(id, b.CommandLine.Command)
		f.answer(w, r, q, 200, `<r:CommandResponse><r:CommandId>`+id+`</r:CommandId></r:CommandResponse>`)
	case b.Send != nil:
		data, err := base64.StdEncoding.DecodeString(b.Send.Stream.Text)
		if err == nil {
			c := find(b.Send.Stream.CommandId)
			_, _ = c.in.Write(data)
			if b.Send.Stream.End == "true" {
				_ = c.in.Close()
			}
		}
		f.answer(w, r, q, 200, `<r:SendResponse/>`)
	case b.Receive != nil:
		f.receive(w, r, q, find(b.Receive.DesiredStream.CommandId))
	case b.Signal != nil:
		_ = find(b.Signal.CommandId).in.Close()
		f.answer(w, r, q, 200, `<r:SignalResponse/>`)
	default:
		f.answer(w, r, q, 200, "")
	}
}

func (f *fake) start(id, line string) {
	in, inW := io.Pipe()
	c := &fakeCmd{in: inW, news: make(chan struct{}, 1)}
	f.mu.Lock()
	f.cmds[id] = c
	f.mu.Unlock()
	f.wg.Go(func() {
		code := f.prog(line, in, fakeOut{c, 0}, fakeOut{c, 1})
		_ = in.Close()
		c.mu.Lock()
		c.done, c.code = true, code
		c.mu.Unlock()
		signal(c.news)
	})
}

type fakeOut struct {
	c *fakeCmd
	i int
}

func (o fakeOut) Write(p []byte) (int, error) {
	o.c.mu.Lock()
	defer o.c.mu.Unlock()
	defer signal(o.c.news)
	return o.c.out[o.i].Write(p)
}

func (f *fake) receive(w http.ResponseWriter, r *http.Request, q *asked, c *fakeCmd) {
	wait, err := time.ParseDuration(strings.ToLower(strings.TrimPrefix(q.Env.Header.OperationTimeout, "PT")))
	if err != nil {
		wait = time.Minute
	}
	deadline := time.After(wait)
	for {
		c.mu.Lock()
		if c.done || c.out[0].Len()+c.out[1].Len() > 0 {
			var b strings.Builder
			for i, name := range []string{"stdout", "stderr"} {
				part := c.out[i].Next(80_000)
				fmt.Fprintf(&b, `<r:Stream Name="%s" CommandId="x%s">bm90IG91cnM=</r:Stream>`, name,
					q.Env.Body.Receive.DesiredStream.CommandId)
				fmt.Fprintf(&b, `<r:Stream Name="%s" CommandId="%s">%s</r:Stream>`, name,
					q.Env.Body.Receive.DesiredStream.CommandId, base64.StdEncoding.EncodeToString(part))
			}
			state := "Running"
			exit := ""
			if c.done && c.out[0].Len()+c.out[1].Len() == 0 {
				state, exit = "Done", fmt.Sprintf(`<r:ExitCode>%d</r:ExitCode>`, c.code)
			}
			c.mu.Unlock()
			f.answer(w, r, q, 200, `<r:ReceiveResponse>`+b.String()+`<r:CommandState State="`+nsShell+`/CommandState/`+state+
				`">`+exit+`</r:CommandState></r:ReceiveResponse>`)
			return
		}
		c.mu.Unlock()
		select {
		case <-c.news:
		case <-deadline:
			f.fault(w, r, q, FaultTimedOut)
			return
		case <-r.Context().Done():
			return
		}
	}
}

// toySeal has nothing of real protection in it but what these tests look at: an order, and a
// signature over the content.
type toySeal struct{ in, out toyStream }

type toyStream struct{ n byte }

func (s *toyStream) signature(plain []byte) []byte {
	sum := sha256.Sum256(append([]byte{s.n}, plain...))
	s.n++
	return sum[:16]
}

func toyMix(b []byte) []byte {
	out := make([]byte, len(b))
	for i := range b {
		out[i] = b[i] ^ 0x5a
	}
	return out
}

func (s *toyStream) seal(plain []byte) (signature, sealed []byte) {
	return s.signature(plain), toyMix(plain)
}

func (s *toyStream) open(signature, sealed []byte) ([]byte, error) {
	plain := toyMix(sealed)
	if !bytes.Equal(s.signature(plain), signature) {
		return nil, errors.New("signature")
	}
	return plain, nil
}

func (s *toySeal) Protocol() string { return "application/HTTP-Kerberos-session-encrypted" }
func (s *toySeal) Seal(plain []byte) (signature, sealed []byte, err error) {
	signature, sealed = s.out.seal(plain)
	return signature, sealed, nil
}
func (s *toySeal) Open(signature, sealed []byte) ([]byte, error) { return s.in.open(signature, sealed) }

type toyAuth struct{ done bool }

func (a *toyAuth) Scheme() string          { return "Kerberos" }
func (a *toyAuth) Complete() bool          { return a.done }
func (a *toyAuth) Sealer() (Sealer, error) { return &toySeal{}, nil }
func (a *toyAuth) Token(in, _ []byte) ([]byte, error) {
	if in == nil {
		return []byte("one"), nil
	}
	if string(in) != "two" {
		return nil, errors.New("not a token")
	}
	a.done = true
	return []byte("three"), nil
}
