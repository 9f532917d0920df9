package winrmd

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"deploy/internal/lab/front"

	"github.com/bodgit/ntlmssp"
	"github.com/masterzen/winrm"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	testUser     = "deploy"
	testPassword = "Pässwort-1"
)

func certificate(t *testing.T) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "n1"},
		NotBefore: time.Now().Add(-time.Hour),
		NotAfter:  time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		SignatureAlgorithm: x509.ECDSAWithSHA256}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// fakeMachine is enough of a machine to talk to: a few words that show what the server does with
// streams and exit codes.
func fakeMachine(ctx context.Context, p front.Process) int {
	word, rest, _ := strings.Cut(p.Line, " ")
	switch word {
	case "echo":
		fmt.Fprintf(p.Stdout, "%s\r\n", rest)
	case "user":
		fmt.Fprintf(p.Stdout, "%s %v %d %s", p.User, p.Network, p.CodePage, p.Dir)
	case "fail":
		fmt.Fprint(p.Stderr, "bad\r\n")
		n, _ := strconv.Atoi(rest)
		return n
	case "cat":
		n, _ := io.Copy(p.Stdout, p.Stdin)
		return int(n)
	case "big":
		n, _ := strconv.Atoi(rest)
		_, _ = p.Stdout.Write(bytes.Repeat([]byte("0123456789abcdef"), n/16))
	case "wait":
		<-ctx.Done()
		return 99
	}
	return 0
}

type served struct {
	*Server
	plain, secure string // host:port
	cert          *tls.Certificate
}

func serve(t *testing.T, change func(*Config)) served {
	t.Helper()
	cert := certificate(t)
	cfg := Config{Machine: "n1", Domain: "CONTOSO", DNSDomain: "contoso.com", Version: "6.0.6002", ServicePack: 2,
		Quotas: QuotasOld(), Certificate: cert, Run: fakeMachine,
		Password: func(user, domain string) (string, string, bool) {
			if strings.EqualFold(user, testUser) && (domain == "" || strings.EqualFold(domain, "CONTOSO")) {
				return `CONTOSO\deploy`, testPassword, true
			}
			return "", "", false
		}}
	if change != nil {
		change(&cfg)
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	out := served{Server: s, cert: cert}
	for i, at := range []*string{&out.plain, &out.secure} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		*at = l.Addr().String()
		s.Serve(l, i == 1)
	}
	return out
}

// client is an HTTP client with a connection of its own.
func (s served) client(t *testing.T) *http.Client {
	tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, MaxConnsPerHost: 1}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 20 * time.Second}
}

// soapClient posts messages and reads answers, by any way to log on.
type soapClient struct {
	t    *testing.T
	url  string
	post func(body string) (int, string)
}

// basic logs on by Basic over HTTPS.
func (s served) basic(t *testing.T) *soapClient {
	c := s.client(t)
	url := "https://" + s.secure + "/wsman"
	return &soapClient{t: t, url: url, post: func(body string) (int, string) {
		r, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", contentTypeSOAP)
		r.SetBasicAuth(testUser, testPassword)
		return do(t, c, r)
	}}
}

func do(t *testing.T, c *http.Client, r *http.Request) (int, string) {
	t.Helper()
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// ask sends one operation and parses the answer.
func (c *soapClient) ask(action, header, body string) (*element, *fault) {
	c.t.Helper()
	status, text := c.post(message(action, header, body))
	root, err := parseXML([]byte(text))
	if err != nil {
		c.t.Fatalf("status %d, body %q: %v", status, text, err)
	}
	b := root.child(nsSOAP, "Body")
	if f := b.child(nsSOAP, "Fault"); f != nil {
		w := f.child(nsSOAP, "Detail").child(nsFault, "WSManFault")
		code, _ := strconv.ParseUint(w.attr("Code"), 10, 32)
		if status != http.StatusInternalServerError || w.attr("Machine") != "n1" {
			c.t.Errorf("fault with status %d from %q", status, w.attr("Machine"))
		}
		return nil, &fault{Code: uint32(code), Subcode: f.child(nsSOAP, "Code").child(nsSOAP, "Subcode").text(nsSOAP,
			"Value")}
	}
	head := root.child(nsSOAP, "Header")
	if got := head.text(nsAddr, "RelatesTo"); got != "uuid:7" {
		c.t.Errorf("RelatesTo is %q", got)
	}
	if got := head.text(nsAddr, "Action"); got != action+"Response" {
		c.t.Errorf("Action is %q", got)
	}
	return b, nil
}

// must is ask where a fault is a failure of the test.
func (c *soapClient) must(action, header, body string) *element {
	c.t.Helper()
	b, f := c.ask(action, header, body)
	if f != nil {
		c.t.Fatalf("%s: %v", action, f)
	}
	return b
}

func message(action, header, body string) string {
	return `<env:Envelope xmlns:env="` + nsSOAP + `" xmlns:add="` + nsAddr + `" xmlns:man="` + nsWSMan + `" xmlns:sh="` +
		nsShell + `"><env:Header><add:Action>` +
		action + `</add:Action><add:MessageID>uuid:7</add:MessageID><man:ResourceURI>` + uriCmd + `</man:ResourceURI>` +
		header + `</env:Header><env:Body>` + body + `</env:Body></env:Envelope>`
}

func (c *soapClient) create(options string) string {
	c.t.Helper()
	b := c.must(actionCreate, options, `<sh:Shell><sh:InputStreams>stdin</sh:InputStreams></sh:Shell>`)
	id := b.child(nsShell, "Shell").text(nsShell, "ShellId")
	sel := b.child(nsTransfer, "ResourceCreated").child(nsAddr, "ReferenceParameters").child(nsWSMan,
		"SelectorSet").child(nsWSMan, "Selector")
	if id == "" || sel == nil || sel.attr("Name") != "ShellId" || sel.Text != id {
		c.t.Fatalf("shell id %q, selector %+v", id, sel)
	}
	return id
}

func selector(id string) string {
	return `<man:SelectorSet><man:Selector Name="ShellId">` + id + `</man:Selector></man:SelectorSet>`
}

func (c *soapClient) command(shell, line string) string {
	c.t.Helper()
	b := c.must(nsShell+"/Command", selector(shell), `<sh:CommandLine><sh:Command>`+line+`</sh:Command></sh:CommandLine>`)
	return b.child(nsShell, "CommandResponse").text(nsShell, "CommandId")
}

func (c *soapClient) receive(shell, cmd, timeout string) (*element, *fault) {
	c.t.Helper()
	b, f := c.ask(nsShell+"/Receive", selector(shell)+`<man:OperationTimeout>`+timeout+`</man:OperationTimeout>`,
		`<sh:Receive><sh:DesiredStream CommandId="`+cmd+`">stdout stderr</sh:DesiredStream></sh:Receive>`)
	return b.child(nsShell, "ReceiveResponse"), f
}

func (c *soapClient) signal(shell, cmd, code string) *fault {
	c.t.Helper()
	_, f := c.ask(nsShell+"/Signal", selector(shell),
		`<sh:Signal CommandId="`+cmd+`"><sh:Code>`+code+`</sh:Code></sh:Signal>`)
	return f
}

// drain receives until the command is done.
func (c *soapClient) drain(shell, cmd string) (stdout, stderr string, code string) {
	c.t.Helper()
	for {
		r, f := c.receive(shell, cmd, "PT5S")
		if f != nil {
			c.t.Fatal(f)
		}
		done := 0
		for _, e := range r.Children {
			data, err := base64.StdEncoding.DecodeString(e.Text)
			switch {
			case e.Name.Local == "Stream" && err != nil:
				c.t.Fatal(err)
			case e.Name.Local == "Stream" && e.attr("Name") == "stdout":
				stdout += string(data)
			case e.Name.Local == "Stream":
				stderr += string(data)
			case strings.HasSuffix(e.attr("State"), "/CommandState/Done"):
				done++
				code = e.text(nsShell, "ExitCode")
			}
		}
		if done == 1 {
			return stdout, stderr, code
		}
		if done > 1 {
			c.t.Fatalf("%d ends in one answer", done)
		}
	}
}

func TestOperations(t *testing.T) {
	s := serve(t, nil)
	c := s.basic(t)
	sh := c.create(`<man:OptionSet><man:Option Name="WINRS_CODEPAGE">65001</man:Option></man:OptionSet>`)

	cmd := c.command(sh, "echo hello")
	if out, _, code := c.drain(sh, cmd); out != "hello\r\n" || code != "0" {
		t.Errorf("echo gave %q, %s", out, code)
	}
	if _, f := c.receive(sh, cmd, "PT1S"); f == nil || f.Code != codeShellNotFound {
		t.Errorf("a Receive after the end gave %v", f)
	}
	if f := c.signal(sh, cmd, nsShell+"/signal/Terminate"); f != nil {
		t.Errorf("Terminate as pypsrp writes it: %v", f)
	}

	if out, errText, code := c.drain(sh, c.command(sh, "fail -1")); out != "" || errText != "bad\r\n" ||
		code != "4294967295" {
		t.Errorf("fail gave %q %q %s", out, errText, code)
	}
	if out, _, _ := c.drain(sh, c.command(sh, "user")); out != `CONTOSO\deploy true 65001 ` {
		t.Errorf("the process sees %q", out)
	}

	cat := c.command(sh, "cat")
	c.must(nsShell+"/Send", selector(strings.ToLower(sh)),
		`<sh:Send><sh:Stream Name="stdin" CommandId="`+cat+`">`+base64.StdEncoding.EncodeToString([]byte("one "))+
			`</sh:Stream><sh:Stream Name="stdin" CommandId="`+cat+`" End="True">`+
			base64.StdEncoding.EncodeToString([]byte("two"))+`</sh:Stream></sh:Send>`)
	if out, _, code := c.drain(sh, cat); out != "one two" || code != "7" {
		t.Errorf("cat gave %q, %s", out, code)
	}

	c.must(actionDelete, selector("uuid:"+sh), "")
	if _, f := c.receive(sh, cat, "PT1S"); f == nil || f.Code != 2150858843 || f.Subcode != "w:InvalidSelectors" {
		t.Errorf("a deleted shell gave %+v", f)
	}
}

// TestReceiveWaits: Receive blocks for output, and ends with the time-out fault when there is none,
// which loses nothing.
func TestReceiveWaits(t *testing.T) {
	s := serve(t, nil)
	c := s.basic(t)
	sh := c.create("")
	cmd := c.command(sh, "wait")
	began := time.Now()
	_, f := c.receive(sh, cmd, "PT0.3S")
	if took := time.Since(began); f == nil || f.Code != 2150858793 || f.Subcode != "w:TimedOut" ||
		took < 300*time.Millisecond || took > 3*time.Second {
		t.Errorf("after %v: %+v", took, f)
	}
	// Ctrl-C ends the process, and the command says so
	if f := c.signal(sh, cmd, nsShell+"/signal/ctrl_c"); f != nil {
		t.Fatal(f)
	}
	if _, _, code := c.drain(sh, cmd); code != fmt.Sprint(uint32(0xC000013A)) {
		t.Errorf("exit code %s", code)
	}
	// terminate wakes a Receive that waits
	cmd = c.command(sh, "wait")
	got := make(chan *fault)
	other := s.basic(t)
	go func() {
		_, f := other.receive(sh, cmd, "PT20S")
		got <- f
	}()
	time.Sleep(500 * time.Millisecond) // until it waits, also on a busy machine
	if f := c.signal(sh, cmd, nsShell+"/signal/terminate"); f != nil {
		t.Fatal(f)
	}
	if f := <-got; f == nil || f.Code != 995 {
		t.Errorf("a Receive under a terminate gave %v", f)
	}
}

// TestBigOutput: more than fits into the envelope comes in several answers, none larger than the
// request allows.
func TestBigOutput(t *testing.T) {
	s := serve(t, nil)
	c := s.basic(t)
	post := c.post
	largest := 0
	c.post = func(body string) (int, string) {
		status, text := post(strings.Replace(body, "<man:OperationTimeout>",
			"<man:MaxEnvelopeSize>51200</man:MaxEnvelopeSize><man:OperationTimeout>", 1))
		largest = max(largest, len(text))
		return status, text
	}
	sh := c.create("")
	out, _, _ := c.drain(sh, c.command(sh, "big 3000000"))
	if len(out) != 3000000 || largest > 51200 {
		t.Errorf("%d bytes, largest answer %d", len(out), largest)
	}
}

func TestQuotas(t *testing.T) {
	refuse := false
	s := serve(t, func(c *Config) {
		c.Quotas.MaxProcesses, c.Quotas.MaxOperations = 2, 4
		c.RefuseShell = func() bool { return refuse }
	})
	c := s.basic(t)
	sh := c.create("")
	line := func(l string) *fault {
		_, f := c.ask(nsShell+"/Command", selector(sh), `<sh:CommandLine><sh:Command>`+l+`</sh:Command></sh:CommandLine>`)
		return f
	}
	for range 2 {
		if f := line("wait"); f != nil {
			t.Fatal(f)
		}
	}
	if f := line("wait"); f == nil || f.Code != codeMaxCommands {
		t.Errorf("a third process gave %v", f)
	}
	refuse = true
	if _, f := c.ask(actionCreate, "", `<sh:Shell/>`); f == nil || f.Code != 2150859173 {
		t.Errorf("a refused shell gave %v", f)
	}
	refuse = false
	for range 4 {
		c.create("")
	}
	if _, f := c.ask(actionCreate, "", `<sh:Shell/>`); f == nil || f.Code != 2150859173 {
		t.Errorf("a sixth shell gave %v", f)
	}
	// commands count until they are terminated, running or not
	sh2 := c.create2(t, s)
	_ = sh2
	if status, text := c.post(message(nsShell+"/Send", selector(sh),
		`<sh:Send>`+strings.Repeat(" ", 150<<10)+`</sh:Send>`)); status != 500 ||
		!strings.Contains(text, fmt.Sprint(uint32(codeEncodingLimit))) {
		t.Errorf("an envelope over the limit gave %d %.200s", status, text)
	}
}

// create2 frees the shells and counts unterminated commands against the operations quota.
func (c *soapClient) create2(t *testing.T, s served) string {
	t.Helper()
	s.Restart()
	sh := c.create("")
	for range 4 {
		c.drain(sh, c.command(sh, "echo x"))
	}
	if _, f := c.ask(nsShell+"/Command", selector(sh),
		`<sh:CommandLine><sh:Command>echo x</sh:Command></sh:CommandLine>`); f == nil || f.Code != 2150859174 {
		t.Errorf("a fifth unterminated command gave %v", f)
	}
	return sh
}

func TestIdleShell(t *testing.T) {
	s := serve(t, func(c *Config) { c.Quotas.MinIdle, c.Quotas.IdleTimeout = 0, 150*time.Millisecond })
	c := s.basic(t)
	sh := c.create("")
	cmd := c.command(sh, "wait")
	// a pending Receive keeps it alive beyond its idle time
	if _, f := c.receive(sh, cmd, "PT0.4S"); f == nil || f.Code != codeTimedOut {
		t.Fatalf("pending Receive: %v", f)
	}
	deadline := time.Now().Add(5 * time.Second)
	for s.Shells() > 0 {
		if time.Now().After(deadline) {
			t.Fatal("the idle shell stays")
		}
		time.Sleep(10 * time.Millisecond)
	}
	if _, f := c.receive(sh, cmd, "PT1S"); f == nil || f.Code != codeShellNotFound {
		t.Errorf("an idle shell gave %v", f)
	}
}

func TestRefusals(t *testing.T) {
	s := serve(t, nil)
	c := s.basic(t)
	for name, x := range map[string]struct {
		body string
		code uint32
	}{
		"no action":      {strings.Replace(message("X", "", ""), "<add:Action>X</add:Action>", "", 1), codeHeaderRequired},
		"unknown action": {message("urn:x", selector(c.create("")), ""), codeActionUnsupported},
		"other resource": {strings.Replace(message(actionCreate, "", ""), uriCmd, "urn:powershell", 1),
			codeResourceNotFound},
		"no message id":    {strings.Replace(message(actionCreate, "", ""), "uuid:7", "", 1), codeHeaderRequired},
		"bad time-out":     {message(actionCreate, "<man:OperationTimeout>60</man:OperationTimeout>", ""), codeInvalidHeader},
		"small envelope":   {message(actionCreate, "<man:MaxEnvelopeSize>8191</man:MaxEnvelopeSize>", ""), codeEncodingLimit},
		"no shell in body": {message(actionCreate, "", ""), codeInvalidBody},
		"no body":          {strings.Replace(message(actionCreate, "", ""), "<env:Body></env:Body>", "", 1), codeInvalidBody},
	} {
		status, text := c.post(x.body)
		if status != 500 || !strings.Contains(text, fmt.Sprintf(`Code="%d"`, x.code)) {
			t.Errorf("%s: %d %s", name, status, text)
		}
	}
	if status, _ := c.post(`<!DOCTYPE a [<!ENTITY b "c">]>` + message(actionCreate, "",
		"")); status != http.StatusBadRequest {
		t.Errorf("a document type gave %d", status)
	}
}

// TestUnauthenticated: what who has not logged on may and may not do.
func TestUnauthenticated(t *testing.T) {
	s := serve(t, nil)
	c := s.client(t)
	post := func(url, body string, header ...string) (*http.Response, string) {
		r, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		resp, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		return resp, string(b)
	}
	plain, secure := "http://"+s.plain+"/wsman", "https://"+s.secure+"/wsman"
	resp, body := post(plain, message(actionCreate, "", "<sh:Shell/>"))
	if resp.StatusCode != 401 || body != "" || strings.Join(resp.Header.Values("WWW-Authenticate"), ",") != "Negotiate" {
		t.Errorf("HTTP: %d %q %q", resp.StatusCode, body, resp.Header.Values("WWW-Authenticate"))
	}
	resp, _ = post(secure, "")
	if got := strings.Join(resp.Header.Values("WWW-Authenticate"), ","); resp.StatusCode != 401 ||
		got != `Negotiate,Basic realm="WSMAN"` {
		t.Errorf("HTTPS: %d %q", resp.StatusCode, got)
	}
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte(testUser+":"+testPassword))
	if resp, _ = post(plain, message(actionCreate, "", "<sh:Shell/>"), "Authorization", basic); resp.StatusCode != 401 {
		t.Errorf("Basic over HTTP: %d", resp.StatusCode)
	}
	wrong := "Basic " + base64.StdEncoding.EncodeToString([]byte(testUser+":wrong"))
	if resp, _ = post(secure, message(actionCreate, "", "<sh:Shell/>"), "Authorization", wrong); resp.StatusCode != 401 {
		t.Errorf("a wrong password: %d", resp.StatusCode)
	}
	identify := `<s:Envelope xmlns:s="` + nsSOAP + `"><s:Header/><s:Body><i:Identify xmlns:i="` + nsIdentify +
		`"/></s:Body></s:Envelope>`
	if resp, body = post(plain, identify, "WSMANIDENTIFY", "unauthenticated"); resp.StatusCode != 200 ||
		!strings.Contains(body, "OS: 0.0.0 SP: 0.0 Stack: 2.0") {
		t.Errorf("Identify: %d %s", resp.StatusCode, body)
	}
	if resp, body = post(secure, identify, "Authorization", basic); resp.StatusCode != 200 ||
		!strings.Contains(body, "OS: 6.0.6002 SP: 2.0 Stack: 2.0") {
		t.Errorf("Identify, logged on: %d %s", resp.StatusCode, body)
	}
	if resp, _ = post(plain, "x", "Content-Type", contentTypeSealed); resp.StatusCode != 400 {
		t.Errorf("a sealed message on a connection without a context: %d", resp.StatusCode)
	}
	if resp, _ = post("http://"+s.plain+"/other", "x"); resp.StatusCode != 404 {
		t.Errorf("another path: %d", resp.StatusCode)
	}
}

// ntlmLane is one connection that logs on by NTLM with a library that is not ours, as Windows' own
// clients do: by an empty POST.
type ntlmLane struct {
	t    *testing.T
	http *http.Client
	ntlm *ntlmssp.Client
	url  string
}

func (s served) lane(t *testing.T, url, password string) (*ntlmLane, int) {
	t.Helper()
	n, err := ntlmssp.NewClient(ntlmssp.SetUserInfo(testUser, password), ntlmssp.SetDomain("CONTOSO"),
		ntlmssp.SetVersion(ntlmssp.DefaultVersion()))
	if err != nil {
		t.Fatal(err)
	}
	l := &ntlmLane{t: t, http: s.client(t), ntlm: n, url: url}
	var token []byte
	for {
		if token, err = n.Authenticate(token, nil); err != nil {
			t.Fatal(err)
		}
		resp, _ := l.post("", "", "Negotiate "+base64.StdEncoding.EncodeToString(token))
		if n.Complete() {
			return l, resp.StatusCode
		}
		if token, err = base64.StdEncoding.DecodeString(strings.TrimPrefix(resp.Header.Get("WWW-Authenticate"),
			"Negotiate ")); err != nil {
			t.Fatal(err)
		}
	}
}

func (l *ntlmLane) post(contentType, body, authorization string) (*http.Response, []byte) {
	l.t.Helper()
	r, err := http.NewRequest(http.MethodPost, l.url, strings.NewReader(body))
	if err != nil {
		l.t.Fatal(err)
	}
	for k, v := range map[string]string{"Content-Type": contentType, "Authorization": authorization} {
		if v != "" {
			r.Header.Set(k, v)
		}
	}
	resp, err := l.http.Do(r)
	if err != nil {
		l.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		l.t.Fatal(err)
	}
	return resp, b
}

// seal makes a sealed body.
func (l *ntlmLane) seal(text string) []byte {
	l.t.Helper()
	sealed, sig, err := l.ntlm.SecuritySession().Wrap([]byte(text))
	if err != nil {
		l.t.Fatal(err)
	}
	return formatSealed(sig, sealed, len(text))
}

// sealed posts a sealed message and opens the answer.
func (l *ntlmLane) sealed(text string) (int, string) {
	l.t.Helper()
	resp, body := l.post(contentTypeSealed, string(l.seal(text)), "")
	if resp.Header.Get("Content-Type") != contentTypeSealed {
		l.t.Fatalf("status %d, %q", resp.StatusCode, resp.Header.Get("Content-Type"))
	}
	b, err := parseSealed(body, boundaryName)
	if err != nil {
		l.t.Fatal(err)
	}
	plain, err := l.ntlm.SecuritySession().Unwrap(b.Sealed, b.Sig)
	if err != nil {
		l.t.Fatal(err)
	}
	return resp.StatusCode, string(plain)
}

func TestNTLMSealed(t *testing.T) {
	s := serve(t, nil)
	l, status := s.lane(t, "http://"+s.plain+"/wsman", testPassword)
	if status != 200 {
		t.Fatalf("log on: %d", status)
	}
	c := &soapClient{t: t, post: l.sealed}
	sh := c.create("")
	if out, _, _ := c.drain(sh, c.command(sh, "big 200000")); len(out) != 200000 {
		t.Errorf("%d bytes", len(out))
	}
	if f := c.signal("NO-SUCH-SHELL", "x", "y"); f == nil || f.Code != codeShellNotFound {
		t.Errorf("a sealed fault gave %v", f)
	}
	// the context belongs to the connection
	other := &ntlmLane{t: t, http: s.client(t), url: l.url}
	if resp, _ := other.post(contentTypeSealed, string(l.seal("x")), ""); resp.StatusCode != 400 {
		t.Errorf("another connection: %d", resp.StatusCode)
	}
}

// TestNTLMTampered: a message that was changed, repeated or left out is refused, and its connection
// is of no more use.
func TestNTLMTampered(t *testing.T) {
	for name, change := range map[string]func(l *ntlmLane) []byte{
		"changed": func(l *ntlmLane) []byte {
			b := l.seal(message(actionCreate, "", "<sh:Shell/>"))
			b[len(b)-60] ^= 1
			return b
		},
		"left out": func(l *ntlmLane) []byte {
			l.seal("lost on the way")
			return l.seal(message(actionCreate, "", "<sh:Shell/>"))
		},
		"shortened": func(l *ntlmLane) []byte {
			b := l.seal(message(actionCreate, "", "<sh:Shell/>"))
			return append(b[:len(b)-30:len(b)-30], b[len(b)-26:]...)
		},
	} {
		s := serve(t, nil)
		l, _ := s.lane(t, "http://"+s.plain+"/wsman", testPassword)
		resp, body := l.post(contentTypeSealed, string(change(l)), "")
		if resp.StatusCode != 400 || !resp.Close || len(body) != 0 || s.Shells() != 0 {
			t.Errorf("%s: %d close %v %q, %d shells", name, resp.StatusCode, resp.Close, body, s.Shells())
		}
	}
	// and a repeat
	s := serve(t, nil)
	l, _ := s.lane(t, "http://"+s.plain+"/wsman", testPassword)
	again := string(l.seal(message(actionCreate, "", "<sh:Shell/>")))
	l.post(contentTypeSealed, again, "")
	if resp, _ := l.post(contentTypeSealed, again, ""); resp.StatusCode != 400 || s.Shells() != 1 {
		t.Errorf("repeated: %d, %d shells", resp.StatusCode, s.Shells())
	}
}

// TestNTLMPlain: NTLM without sealing is refused on HTTP like a Windows that does not allow
// unencrypted traffic does, and is fine on HTTPS.
func TestNTLMPlain(t *testing.T) {
	s := serve(t, nil)
	for url, want := range map[string]int{"http://" + s.plain: 500, "https://" + s.secure: 200} {
		l, status := s.lane(t, url+"/wsman", testPassword)
		resp, body := l.post(contentTypeSOAP, message(actionCreate, "", "<sh:Shell/>"), "")
		if status != 200 || resp.StatusCode != want || (want == 500) != (len(body) == 0) {
			t.Errorf("%s: %d, %d %q", url, status, resp.StatusCode, body)
		}
		// an empty POST without Authorization asks for a challenge even now
		if resp, _ := l.post("", "", ""); resp.StatusCode != 401 {
			t.Errorf("%s: an empty POST gave %d", url, resp.StatusCode)
		}
	}
}

func TestNTLMWrongPassword(t *testing.T) {
	s := serve(t, nil)
	l, status := s.lane(t, "http://"+s.plain+"/wsman", "wrong")
	if status != 401 {
		t.Errorf("status %d", status)
	}
	if resp, _ := l.post(contentTypeSealed, string(l.seal(message(actionCreate, "", "<sh:Shell/>"))),
		""); resp.StatusCode != 400 || s.Shells() != 0 {
		t.Errorf("a sealed message all the same: %d", resp.StatusCode)
	}
}

// TestMasterzen runs a whole client that is not ours, in its three ways.
func TestMasterzen(t *testing.T) {
	s := serve(t, func(c *Config) { c.Quotas = QuotasNew() })
	for name, x := range map[string]struct {
		secure bool
		params func(*winrm.Parameters)
	}{
		"basic https": {true, func(*winrm.Parameters) {}},
		"ntlm https": {true, func(p *winrm.Parameters) {
			p.TransportDecorator = func() winrm.Transporter { return &winrm.ClientNTLM{} }
		}},
		"sealed http": {false, func(p *winrm.Parameters) {
			p.TransportDecorator = func() winrm.Transporter {
				e, err := winrm.NewEncryption("ntlm")
				if err != nil {
					t.Error(err)
				}
				return e
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			at := s.plain
			if x.secure {
				at = s.secure
			}
			host, port, _ := net.SplitHostPort(at)
			n, _ := strconv.Atoi(port)
			params := winrm.NewParameters("PT5S", "en-US", 153600)
			x.params(params)
			c, err := winrm.NewClientWithParameters(winrm.NewEndpoint(host, n, x.secure, true, nil, nil, nil, 10*time.Second),
				testUser, testPassword, params)
			if err != nil {
				t.Fatal(err)
			}
			var out, errOut bytes.Buffer
			// without stdin: its NTLM ways mix up connections as soon as two requests are under way
			code, err := c.RunWithContext(t.Context(), "echo from masterzen", &out, &errOut)
			if err != nil || code != 0 || out.String() != "from masterzen\r\n" {
				t.Errorf("%d %q %q %v", code, out.String(), errOut.String(), err)
			}
		})
	}
}
