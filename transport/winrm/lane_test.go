package winrm

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"deploy/internal/node"
	"deploy/transport"
)

// hangUp closes the connection under a request without an answer.
func hangUp(w http.ResponseWriter) bool {
	c, _, err := w.(http.Hijacker).Hijack()
	if err == nil {
		_ = c.Close()
	}
	return true
}

func TestLostAnswerIsUnknownAndNotReplayed(t *testing.T) {
	for _, op := range []string{"Send", "Command", "Receive"} {
		f := newFake(t, true)
		f.hook = func(q *asked, w http.ResponseWriter, _ *http.Request) bool {
			return q.Op == op && hangUp(w)
		}
		c := f.dial(t, Options{})
		p, err := c.Start(t.Context(), "cat")
		if err == nil {
			if op == "Send" {
				_, err = p.Stdin().Write([]byte("x"))
			} else {
				_, err = p.Wait()
			}
		}
		if !isLink(err, true) {
			t.Errorf("%s: %v", op, err)
		}
		if n := len(f.ops(op)); n != 1 {
			t.Errorf("%s was sent %d times", op, n)
		}
	}
}

func TestClosedIdleConnectionIsOpenedAgain(t *testing.T) {
	for _, toy := range []bool{true, false} {
		f := newFake(t, toy)
		c := f.dial(t, Options{})
		for i := range 3 {
			p := start(t, c, "cat")
			_ = p.Stdin().Close()
			if code, err := p.Wait(); code != 0 || err != nil {
				t.Errorf("toy %v, command %d: code %d, %v", toy, i, code, err)
			}
			// the Signal goes out after Wait has returned
			for len(f.ops("Signal")) <= i {
				time.Sleep(time.Millisecond)
			}
			time.Sleep(20 * time.Millisecond)
			f.CloseClientConnections()
			time.Sleep(20 * time.Millisecond) // a request that meets the close on its way is of unknown outcome, rightly
		}
		if n := len(f.ops("Command")); n != 3 {
			t.Errorf("toy %v: %d Commands", toy, n)
		}
	}
}

func TestForgottenContextIsMadeAnew(t *testing.T) {
	for _, status := range []int{400, 401} {
		f := newFake(t, true)
		f.hook = func(q *asked, w http.ResponseWriter, r *http.Request) bool {
			if q.Op != "Command" || q.N != 1 {
				return false
			}
			f.mu.Lock()
			delete(f.auth, r.RemoteAddr)
			f.mu.Unlock()
			w.WriteHeader(status)
			return true
		}
		c := f.dial(t, Options{})
		p := start(t, c, "cat")
		_ = p.Stdin().Close()
		if code, err := p.Wait(); code != 0 || err != nil {
			t.Errorf("HTTP %d: code %d, %v", status, code, err)
		}
	}
}

func TestRefusedLogonLaterIsNotRepeated(t *testing.T) {
	f := newFake(t, true)
	c := f.dial(t, Options{})
	f.hook = func(q *asked, w http.ResponseWriter, _ *http.Request) bool {
		if q.Op == "Logon" && q.N%2 == 0 {
			w.Header().Set("WWW-Authenticate", "Kerberos")
			w.WriteHeader(http.StatusUnauthorized)
			return true
		}
		return false
	}
	before := len(f.ops("Logon"))
	p := start(t, c, "cat")
	_, err := p.Wait()
	if !errors.Is(err, node.ErrAuth) {
		t.Errorf("%v", err)
	}
	for range 3 {
		if _, err := c.Start(t.Context(), "cat"); !errors.Is(err, node.ErrAuth) {
			t.Errorf("after a refusal: %v", err)
		}
	}
	_ = c.Close()
	if n := len(f.ops("Logon")) - before; n != 2 {
		t.Errorf("%d requests to log on", n)
	}
}

func TestBusyAndTimedOutSend(t *testing.T) {
	f := newFake(t, true)
	f.hook = func(q *asked, w http.ResponseWriter, r *http.Request) bool {
		switch {
		case q.Op == "Send" && q.N == 1:
			f.fault(w, r, q, FaultBusy)
			return true
		case q.Op == "Send" && q.N == 3:
			f.fault(w, r, q, FaultTimedOut)
			return true
		}
		return false
	}
	c := f.dial(t, Options{})
	p := start(t, c, "cat")
	if _, err := p.Stdin().Write([]byte("a")); err != nil {
		t.Error(err)
	}
	if _, err := p.Stdin().Write([]byte("b")); err != nil {
		t.Errorf("the service has the input: %v", err)
	}
	if n := len(f.ops("Send")); n != 3 {
		t.Errorf("%d Sends", n)
	}
}

func TestShellThatIsGoneIsMadeAnewForANewProcess(t *testing.T) {
	for _, code := range []uint32{FaultNoShell, FaultKeyDeleted, FaultMaxOperations} {
		f := newFake(t, true)
		f.hook = func(q *asked, w http.ResponseWriter, r *http.Request) bool {
			if q.Op == "Command" && q.N == 1 {
				f.fault(w, r, q, code)
				return true
			}
			return false
		}
		c := f.dial(t, Options{})
		p := start(t, c, "cat")
		_ = p.Stdin().Close()
		if _, err := p.Wait(); err != nil {
			t.Errorf("%d: %v", code, err)
		}
		if n := len(f.ops("Create")); n != 2 {
			t.Errorf("%d: %d shells", code, n)
		}
		if sel := f.ops("Command")[1].Env.Header.SelectorSet.Selector; sel != "SHELL2" {
			t.Errorf("%d: the process was started in %s", code, sel)
		}
	}
}

func TestDoneCommandIsTerminated(t *testing.T) {
	f := newFake(t, true)
	c := f.dial(t, Options{})
	for range 3 {
		p := start(t, c, "cat")
		_ = p.Stdin().Close()
		_, _ = p.Wait()
	}
	_ = c.Close()
	if n := len(f.ops("Signal")); n != 3 {
		t.Errorf("%d of 3 commands were terminated: the others count against the user's operations", n)
	}
}

func TestWriteAfterTheEnd(t *testing.T) {
	f := newFake(t, true)
	f.prog = func(string, io.Reader, io.Writer, io.Writer) int { return 4 }
	c := f.dial(t, Options{})
	p := start(t, c, "x")
	_, _ = p.Wait()
	if _, err := p.Stdin().Write([]byte("x")); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("%v", err)
	}
	if err := p.Kill(t.Context()); err != nil {
		t.Errorf("killing what has ended: %v", err)
	}
}

func TestUnreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	_ = l.Close()
	_, err = New(Options{}).Dial(t.Context(), transport.Target{Node: "n1", Address: "127.0.0.1", Port: port})
	if !isLink(err, false) || !strings.Contains(err.Error(), "n1") {
		t.Errorf("%v", err)
	}
}

func TestFiles(t *testing.T) {
	f := newFake(t, true)
	if _, err := f.dial(t, Options{}).Files(t.Context()); !errors.Is(err, node.ErrUnsupported) {
		t.Errorf("%v", err)
	}
}

func TestSealedRoundTrip(t *testing.T) {
	for _, content := range []string{"", "x", "--Encrypted Boundary--\r\n",
		"\r\n--Encrypted Boundary\r\n\tContent-Type: application/octet-stream\r\n",
		strings.Repeat("--Encrypted Boundary", 100)} {
		body := encodeSealed(spnegoSealed, len(content), []byte("sixteen bytes ok"), []byte(content))
		n, signature, sealed, err := decodeSealed(spnegoSealed, body)
		if err != nil || n != len(content) || string(signature) != "sixteen bytes ok" || string(sealed) != content {
			t.Errorf("%.40q: %d, %q, %.40q, %v", content, n, signature, sealed, err)
		}
		if _, _, _, err := decodeSealed("application/HTTP-CredSSP-session-encrypted", body); err == nil {
			t.Error("another protocol's message was opened")
		}
		for _, cut := range []int{1, 10, len(body) / 2, len(body) - 30} {
			if _, _, _, err := decodeSealed(spnegoSealed, body[:cut]); err == nil {
				t.Errorf("%d of %d bytes were enough", cut, len(body))
			}
		}
	}
}

func FuzzSealed(f *testing.F) {
	f.Add(encodeSealed(spnegoSealed, 3, []byte("sixteen bytes ok"), []byte("abc")))
	f.Add([]byte("--Encrypted Boundary\r\n"))
	f.Fuzz(func(t *testing.T, body []byte) {
		n, signature, sealed, err := decodeSealed(spnegoSealed, body)
		if err != nil {
			return
		}
		n2, s2, c2, err := decodeSealed(spnegoSealed, encodeSealed(spnegoSealed, n, signature, sealed))
		if err != nil || n2 != n || string(s2) != string(signature) || string(c2) != string(sealed) {
			t.Errorf("not the same after a round trip: %v", err)
		}
	})
}

func FuzzFault(f *testing.F) {
	f.Add([]byte(faultBody("2150858793")))
	f.Add([]byte(faultBody("-1")))
	f.Add([]byte("<a/>"))
	f.Fuzz(func(t *testing.T, body []byte) {
		fault, ok, err := parseFault(body)
		if ok != (fault != nil) || ok && err != nil {
			t.Errorf("fault %v, ok %v, err %v", fault, ok, err)
		}
		if ok && fault.Error() == "" {
			t.Error("a fault without words")
		}
		_, _ = parseOutput(body, "C")
	})
}
