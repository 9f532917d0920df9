package winrm

import (
	"bytes"
	"context"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"deploy/internal/hint"
	"deploy/transport"
)

func TestTrap07NeverInClear(t *testing.T) {
	soap := func(f *fake) {
		f.mu.Lock()
		defer f.mu.Unlock()
		for _, q := range f.log {
			if q.Clear && strings.Contains(q.Raw, "Envelope") {
				t.Errorf("a message went out in clear: %.80s", q.Raw)
			}
		}
	}
	for name, hook := range map[string]func(q *asked, w http.ResponseWriter) bool{
		"500 to the logon": func(q *asked, w http.ResponseWriter) bool { w.WriteHeader(500); return true },
		"200 to the logon": func(q *asked, w http.ResponseWriter) bool { w.WriteHeader(200); return true },
		"Basic only": func(q *asked, w http.ResponseWriter) bool {
			w.Header().Set("WWW-Authenticate", "Basic")
			w.WriteHeader(401)
			return true
		},
		"junk for a token": func(q *asked, w http.ResponseWriter) bool {
			w.Header().Set("WWW-Authenticate", "Kerberos AAAA")
			w.WriteHeader(401)
			return true
		},
		"redirect": func(q *asked, w http.ResponseWriter) bool {
			w.Header().Set("Location", "/x")
			w.WriteHeader(307)
			return true
		},
		"clear answer":         func(q *asked, w http.ResponseWriter) bool { return clearAnswer(q, w) },
		"forged sealed answer": func(q *asked, w http.ResponseWriter) bool { return forgedAnswer(q, w) },
		"endless token exchange": func(q *asked, w http.ResponseWriter) bool {
			w.Header().Set("WWW-Authenticate", "Kerberos "+base64.StdEncoding.EncodeToString([]byte("two")))
			w.WriteHeader(401)
			return true
		},
	} {
		f := newFake(t, true)
		f.hook = func(q *asked, w http.ResponseWriter, _ *http.Request) bool { return hook(q, w) }
		c, err := New(Options{Kerberos: toyKerberos}).Dial(t.Context(), f.target())
		if err == nil {
			t.Errorf("%s: connected", name)
			_ = c.Close()
		}
		if n := len(f.ops("Create")); n > 1 {
			t.Errorf("%s: %d tries", name, n)
		}
		soap(f)
	}
}

// clearAnswer tells the client in clear that its shell is open.
func clearAnswer(q *asked, w http.ResponseWriter) bool {
	if q.Op != "Create" {
		return false
	}
	w.Header().Set("Content-Type", plainType)
	_, _ = io.WriteString(w, `<s:Envelope xmlns:s="`+nsSOAP+
		`" xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing" xmlns:rsp="`+nsShell+
		`"><s:Header><a:Action>`+actionCreate+
		`Response</a:Action></s:Header><s:Body><rsp:Shell><rsp:ShellId>EVIL</rsp:ShellId></rsp:Shell></s:Body></s:Envelope>`)
	return true
}

func forgedAnswer(q *asked, w http.ResponseWriter) bool {
	if q.Op != "Create" {
		return false
	}
	protocol := (&toySeal{}).Protocol()
	w.Header().Set("Content-Type", sealedType(protocol))
	_, _ = w.Write(encodeSealed(protocol, 4, make([]byte, 16), toyMix([]byte("evil"))))
	return true
}

func TestTrap07NTLMChallengeMustSeal(t *testing.T) {
	good := uint32(flagUnicode | flagSign | flagSeal | flagExtended | flag128 | flagKeyExch)
	make := func(flags uint32) []byte {
		b := append([]byte("NTLMSSP\x00\x02\x00\x00\x00"), bytes.Repeat([]byte{0}, 44)...)
		b[20], b[21], b[22], b[23] = byte(flags), byte(flags>>8), byte(flags>>16), byte(flags>>24)
		return b
	}
	for _, missing := range []uint32{flagUnicode, flagSign, flagSeal, flagExtended, flag128, flagKeyExch} {
		n, err := newNTLM(`D\u`, "pw", true)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := n.Token(nil, nil); err != nil {
			t.Fatal(err)
		}
		if _, err := n.Token(make(good&^missing), nil); err == nil || n.Complete() {
			t.Errorf("a challenge without 0x%08X was taken", missing)
		}
	}
}

func TestTrap07HostileChallengeDoesNotCrash(t *testing.T) {
	base := append([]byte("NTLMSSP\x00\x02\x00\x00\x00"), bytes.Repeat([]byte{0xff}, 60)...)
	for i := range base {
		for _, v := range []byte{0, 1, 0x7f, 0xff} {
			b := bytes.Clone(base[:len(base)-i%20])
			if i < len(b) {
				b[i] = v
			}
			n, _ := newNTLM(`D\u`, "pw", true)
			_, _ = n.Token(nil, nil)
			if out, err := n.Token(b, nil); err == nil && !bytes.HasPrefix(out, []byte("NTLMSSP\x00\x03")) {
				t.Errorf("%x gave %x", b, out)
			}
		}
	}
}

func TestTrap08BasicNeedsHTTPS(t *testing.T) {
	var dials atomic.Int64
	d := New(Options{Net: func(context.Context, string, string) (net.Conn, error) { dials.Add(1); return nil, io.EOF }})
	for _, w := range []transport.WinRM{{Auth: "basic"}, {Auth: "certificate"}, {Auth: "certificate", HTTPS: true},
		{Auth: "credssp"}, {Auth: "ntlm", Envelope: 100},
		{Auth: "ntlm", HTTPS: true, Pin: "zz"}, {Auth: "ntlm", HTTPS: true, CACert: []byte("none")}} {
		if _, err := d.Dial(t.Context(), transport.Target{Node: "n1", WinRM: w}); err == nil || dials.Load() != 0 {
			t.Errorf("%+v: %v, %d dials", w, err, dials.Load())
		}
	}
	_, err := d.Dial(t.Context(), transport.Target{WinRM: transport.WinRM{Auth: "basic"}})
	if hint.Of(err) == "" {
		t.Errorf("no hint: %v", err)
	}
	if _, err = d.Dial(t.Context(), transport.Target{WinRM: transport.WinRM{Auth: "kerberos"}}); err == nil ||
		!strings.Contains(err.Error(), "not built in") {
		t.Errorf("Kerberos: %v", err)
	}
}
