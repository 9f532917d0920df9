package winrm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/transport"
)

// The tests are named for the defects of other clients that this one must not have.

func start(t *testing.T, c *conn, line string) *process {
	t.Helper()
	p, err := c.Start(t.Context(), line)
	if err != nil {
		t.Fatal(err)
	}
	return p.(*process)
}

func isLink(err error, sent bool) bool {
	var l *node.LinkError
	return errors.As(err, &l) && l.Sent == sent
}

func TestTrap01StdinNotTruncated(t *testing.T) {
	for _, size := range []int{0, 1, 120_000, 400_000} {
		f := newFake(t, true)
		c := f.dial(t, Options{})
		p := start(t, c, "cat")
		in := bytes.Repeat([]byte("0123456789"), size/10+1)[:size]
		if n, err := p.Stdin().Write(in); n != size || err != nil {
			t.Fatalf("wrote %d of %d: %v", n, size, err)
		}
		if err := p.Stdin().Close(); err != nil {
			t.Fatal(err)
		}
		out, err := io.ReadAll(p.Stdout())
		if err != nil || !bytes.Equal(in, out) {
			t.Errorf("%d bytes: %d came back, %v", size, len(out), err)
		}
		for _, q := range f.ops("Send") {
			if len(q.Raw) > 153600 {
				t.Errorf("a Send of %d bytes", len(q.Raw))
			}
		}
	}
}

func TestTrap01EverySendIsChecked(t *testing.T) {
	f := newFake(t, true)
	f.hook = func(q *asked, w http.ResponseWriter, r *http.Request) bool {
		if q.Op == "Send" && q.N == 2 {
			f.fault(w, r, q, 87)
			return true
		}
		return false
	}
	c := f.dial(t, Options{})
	p := start(t, c, "cat")
	n, err := p.Stdin().Write(make([]byte, 400_000))
	if FaultCode(err) != 87 || n == 0 || n >= 400_000 {
		t.Errorf("wrote %d: %v", n, err)
	}
}

func TestTrap02CancelWithin100ms(t *testing.T) {
	for _, op := range []string{"Create", "Command", "Logon"} {
		f := newFake(t, true)
		f.hook = func(q *asked, _ http.ResponseWriter, r *http.Request) bool {
			if q.Op == op {
				<-r.Context().Done()
			}
			return q.Op == op
		}
		ctx, cancel := context.WithCancel(t.Context())
		var at time.Time
		time.AfterFunc(50*time.Millisecond, func() { at = time.Now(); cancel() })
		c, err := New(Options{Kerberos: toyKerberos}).Dial(ctx, f.target())
		if op == "Command" {
			_, err = c.Start(ctx, "cat")
		}
		if took := time.Since(at); took > 100*time.Millisecond {
			t.Errorf("%s: %s after the cancellation", op, took)
		}
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", op, err)
		}
		if c != nil {
			_ = c.Close()
		}
	}
	// a waiting Receive, while the Signal is not answered either
	f := newFake(t, true)
	f.hook = func(q *asked, _ http.ResponseWriter, r *http.Request) bool {
		if q.Op == "Signal" && q.N == 1 {
			select {
			case <-r.Context().Done():
			case <-time.After(time.Second):
			}
			return true
		}
		return false
	}
	c := f.dial(t, Options{})
	p := start(t, c, "cat")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	begun := time.Now()
	_ = p.Kill(ctx)
	if took := time.Since(begun); took > 120*time.Millisecond {
		t.Errorf("Kill took %s", took)
	}
	if _, err := p.Wait(); !isLink(err, true) {
		t.Errorf("a killed process: %v", err)
	}
	if took := time.Since(begun); took > 150*time.Millisecond {
		t.Errorf("Wait took %s", took)
	}
}

func toyKerberos(transport.Target) (Authenticator, error) { return &toyAuth{}, nil }

func TestTrap03FaultsIn500AreSeen(t *testing.T) {
	f := newFake(t, true)
	f.hook = func(q *asked, w http.ResponseWriter, r *http.Request) bool {
		if q.Op == "Receive" {
			f.fault(w, r, q, FaultNoShell)
		}
		return q.Op == "Receive"
	}
	c := f.dial(t, Options{})
	p := start(t, c, "cat")
	_, err := p.Wait()
	if !isLink(err, true) || FaultCode(err) != FaultNoShell {
		t.Errorf("%v", err)
	}
	if n := len(f.ops("Receive")); n != 1 {
		t.Errorf("%d Receives at a shell that is gone", n)
	}
}

func TestTrap04TimedOutMeansAgain(t *testing.T) {
	f := newFake(t, true)
	f.hook = func(q *asked, w http.ResponseWriter, r *http.Request) bool {
		if q.Op == "Receive" && q.N <= 5 {
			f.fault(w, r, q, FaultTimedOut)
			return true
		}
		return false
	}
	c := f.dial(t, Options{})
	p := start(t, c, "cat")
	_ = p.Stdin().Close()
	if code, err := p.Wait(); code != 0 || err != nil {
		t.Errorf("code %d, %v", code, err)
	}
}

func TestTrap04FrozenMachineIsNoticed(t *testing.T) {
	for _, alive := range []bool{false, true} {
		f := newFake(t, true)
		f.hook = func(q *asked, _ http.ResponseWriter, r *http.Request) bool {
			if q.Op == "Receive" || q.Op == "Identify" && !alive {
				<-r.Context().Done()
				return true
			}
			return false
		}
		c := f.dial(t, Options{Operation: 50 * time.Millisecond, Slack: 50 * time.Millisecond})
		begun := time.Now()
		p := start(t, c, "cat")
		_, err := p.Wait()
		if !isLink(err, true) {
			t.Errorf("alive %v: %v", alive, err)
		}
		probes := len(f.ops("Identify"))
		if alive && probes != maxMissed || !alive && probes != 1 {
			t.Errorf("alive %v: %d probes", alive, probes)
		}
		if n := len(f.ops("Receive")); n != 1 {
			t.Errorf("alive %v: %d Receives: an abandoned one may have taken output along", alive, n)
		}
		if took := time.Since(begun); took > 3*time.Second {
			t.Errorf("alive %v: noticed after %s", alive, took)
		}
	}
}

func TestTrap05ParallelCommands(t *testing.T) {
	f := newFake(t, true)
	c := f.dial(t, Options{})
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			p, err := c.Start(t.Context(), "cat")
			if err != nil {
				t.Error(err)
				return
			}
			want := fmt.Sprintf("number %d", i)
			_, err1 := io.WriteString(p.Stdin(), want)
			err2 := p.Stdin().Close()
			out, err3 := io.ReadAll(p.Stdout())
			if err := errors.Join(err1, err2, err3); err != nil || string(out) != want {
				t.Errorf("%q: %v", out, err)
			}
		})
	}
	wg.Wait()
}

func TestTrap06OneLogonPerConnection(t *testing.T) {
	f := newFake(t, true)
	c := f.dial(t, Options{})
	for range 10 {
		p := start(t, c, "cat")
		_ = p.Stdin().Close()
		if _, err := p.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	// the control lane, and a lane for each command's output
	if f.logons != 11 || f.count["Logon"] != 22 {
		t.Errorf("%d logons in %d requests", f.logons, f.count["Logon"])
	}
}

func TestTrap09EndOfStdinIsSent(t *testing.T) {
	f := newFake(t, true)
	c := f.dial(t, Options{})
	p := start(t, c, "cat")
	if err := p.Stdin().Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Wait(); err != nil {
		t.Fatal(err)
	}
	sends := f.ops("Send")
	if len(sends) != 1 || sends[0].Env.Body.Send.Stream.End != "true" {
		t.Errorf("%d Sends", len(sends))
	}
}

func TestTrap10UndrainedOutputDoesNotBlock(t *testing.T) {
	f := newFake(t, true)
	f.prog = func(_ string, in io.Reader, out, errs io.Writer) int {
		_, _ = io.CopyN(out, zeros{}, 1<<20)
		_, _ = io.CopyN(errs, zeros{}, 1<<20)
		return 7
	}
	c := f.dial(t, Options{})
	p := start(t, c, "flood")
	if code, err := p.Wait(); code != 7 || err != nil {
		t.Errorf("code %d, %v", code, err)
	}
	if out, err := io.ReadAll(p.Stdout()); len(out) != 1<<20 || err != nil {
		t.Errorf("late reader: %d bytes, %v", len(out), err)
	}
	// more than is held: nobody reads it, and it is killed
	f.prog = func(_ string, in io.Reader, out, errs io.Writer) int {
		_, _ = io.CopyN(out, zeros{}, 20<<20)
		return 0
	}
	p = start(t, c, "flood")
	for len(f.ops("Receive")) < 100 {
		time.Sleep(10 * time.Millisecond)
	}
	if err := p.Kill(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := p.Wait(); !isLink(err, true) {
		t.Errorf("%v", err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestTrap11NothingStaysOpen(t *testing.T) {
	f := newFake(t, true)
	for range 5 {
		c := f.dial(t, Options{})
		p := start(t, c, "cat")
		_ = p // still running: Close ends it
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if err := c.Close(); err != nil {
			t.Errorf("second Close: %v", err)
		}
		if _, err := c.Start(t.Context(), "cat"); err == nil {
			t.Error("a closed connection starts processes")
		}
	}
	if n := len(f.ops("Delete")); n != 5 {
		t.Errorf("%d of 5 shells deleted", n)
	}
	deadline := time.Now().Add(2 * time.Second)
	for f.open() > 0 && time.Now().Before(deadline) {
		time.Sleep(5 * time.Millisecond)
	}
	if n := f.open(); n != 0 {
		t.Errorf("%d connections left", n)
	}
}

func TestTrap12AnyCommandLineArrives(t *testing.T) {
	f := newFake(t, true)
	c := f.dial(t, Options{})
	for _, line := range []string{`x ]]> & <b> "q" 'a'`, "x é日本", `x <![CDATA[`} {
		_ = start(t, c, line)
		q := f.ops("Command")
		if got := q[len(q)-1].Env.Body.CommandLine.Command; got != line {
			t.Errorf("%q arrived as %q", line, got)
		}
	}
}

func TestTrap13ShellAndCommandOptions(t *testing.T) {
	f := newFake(t, true)
	c := f.dial(t, Options{})
	_ = start(t, c, "cat")
	option := func(q *asked, name string) string {
		for _, o := range q.Env.Header.OptionSet.Option {
			if o.Name == name {
				return o.Value
			}
		}
		return "none"
	}
	create, command := f.ops("Create")[0], f.ops("Command")[0]
	if got := create.Env.Body.Shell.IdleTimeOut; got != "PT180S" {
		t.Errorf("IdleTimeOut %s", got)
	}
	if got := option(create, "WINRS_CODEPAGE"); got != "65001" {
		t.Errorf("code page %s", got)
	}
	if got := option(command, "WINRS_CONSOLEMODE_STDIN"); got != "FALSE" {
		t.Errorf("console mode %s", got)
	}
	if create.Env.Header.MaxEnvelopeSize != 153600 || create.Env.Header.OperationTimeout != "PT2S" {
		t.Errorf("header %+v", create.Env.Header)
	}
}

func TestTrap14LateAnswerIsNotLost(t *testing.T) {
	f := newFake(t, true)
	f.prog = func(_ string, in io.Reader, out, _ io.Writer) int { _, _ = io.WriteString(out, "precious"); return 0 }
	f.hook = func(q *asked, _ http.ResponseWriter, _ *http.Request) bool {
		if q.Op == "Receive" && q.N == 1 {
			time.Sleep(150 * time.Millisecond) // later than Operation and Slack together
		}
		return false
	}
	c := f.dial(t, Options{Operation: 50 * time.Millisecond, Slack: 50 * time.Millisecond})
	p := start(t, c, "x")
	if out, err := io.ReadAll(p.Stdout()); string(out) != "precious" || err != nil {
		t.Errorf("%q, %v", out, err)
	}
}

func TestTrap15ContextIsMadeOnceForAConnection(t *testing.T) {
	f := newFake(t, true)
	var made atomic.Int64
	c := f.dial(t, Options{Kerberos: func(transport.Target) (Authenticator, error) {
		made.Add(1)
		return &toyAuth{},
			nil
	}})
	p := start(t, c, "cat")
	for range 20 {
		if _, err := p.Stdin().Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	_ = p.Stdin().Close()
	_, _ = p.Wait()
	if made.Load() != 2 {
		t.Errorf("%d contexts for two connections", made.Load())
	}
}

func TestTrap16ErrorsAreTyped(t *testing.T) {
	for name, tt := range map[string]struct {
		status int
		kind   string
		body   string
		is     func(error) bool
	}{
		"401":          {401, "", "", func(err error) bool { return errors.Is(err, node.ErrAuth) }},
		"404":          {404, "text/html", "x", httpStatus(404)},
		"500 empty":    {500, "", "", httpStatus(500)},
		"200 html":     {200, "text/html", "<html/>", httpStatus(200)},
		"200 junk XML": {200, plainType, "<a", func(err error) bool { return err != nil }},
		"500 junk XML": {500, plainType, "<a", func(err error) bool { return isLink(err, true) }},
		"500 no fault": {500, plainType, "<a/>", httpStatus(500)},
		"200 no shell": {200, plainType, "<a/>", func(err error) bool { return err != nil }},
		"access denied": {500, plainType, faultBody("5"),
			func(err error) bool { return FaultCode(err) == FaultAccessDenied && hint.Of(err) != "" }},
		"too many shell": {500, plainType, faultBody("2150859173"),
			func(err error) bool { return FaultCode(err) == FaultMaxShells && hint.Of(err) != "" }},
		"signed code": {500, plainType, faultBody("-2144108453"),
			func(err error) bool { return FaultCode(err) == FaultNoShell }},
	} {
		f := newFake(t, false)
		f.hook = func(_ *asked, w http.ResponseWriter, _ *http.Request) bool {
			if tt.kind != "" {
				w.Header().Set("Content-Type", tt.kind)
			}
			w.WriteHeader(tt.status)
			_, _ = io.WriteString(w, tt.body)
			return true
		}
		target, want := f.target(), 1
		if name == "too many shell" { // asked again while there is time: old shells end by themselves
			target.Timeout, want = 1500*time.Millisecond, 2
		}
		_, err := New(Options{}).Dial(t.Context(), target)
		if err == nil || !tt.is(err) {
			t.Errorf("%s: %v", name, err)
		}
		if n := len(f.ops("Create")); n != want {
			t.Errorf("%s: asked %d times", name, n)
		}
	}
}

func httpStatus(n int) func(error) bool {
	return func(err error) bool {
		var h *HTTPError
		return errors.As(err, &h) && h.Status == n
	}
}

func faultBody(code string) string {
	return `<s:Envelope xmlns:s="` + nsSOAP + `"><s:Body><s:Fault><s:Detail><WSManFault Code="` + code +
		`"/></s:Detail></s:Fault></s:Body></s:Envelope>`
}

func TestTrap17ExitCodes(t *testing.T) {
	for text, want := range map[string]int{"0": 0, "-1": -1, "4294967295": -1, "3010": 3010, "2147483648": -2147483648} {
		out, err := parseOutput([]byte(`<r:ReceiveResponse xmlns:r="`+nsShell+`"><r:CommandState State="`+stateDone+
			`"><r:ExitCode>`+text+`</r:ExitCode></r:CommandState></r:ReceiveResponse>`), "C")
		if err != nil || !out.done || out.code != want {
			t.Errorf("%s: %+v, %v", text, out, err)
		}
	}
	for _, bad := range []string{"", "<a/>", "<r:ReceiveResponse",
		`<r:ReceiveResponse><r:Stream Name="stdout" CommandId="C">***</r:Stream></r:ReceiveResponse>`,
		`<r:ReceiveResponse><r:ExitCode>x</r:ExitCode></r:ReceiveResponse>`} {
		if out, err := parseOutput([]byte(bad), "C"); err == nil {
			t.Errorf("%q gave %+v", bad, out)
		}
	}
}
