package winrmd

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func FuzzParseRequest(f *testing.F) {
	f.Add([]byte(message(actionCreate, "", `<sh:Shell><sh:InputStreams>stdin</sh:InputStreams></sh:Shell>`)))
	f.Add([]byte(message(nsShell+"/Receive",
		selector("A")+`<man:OperationTimeout>P1DT2H3M4.5S</man:OperationTimeout><man:MaxEnvelopeSize>153600</man:MaxEnvelopeSize>`, "")))
	f.Add([]byte(`<a xmlns="` + nsSOAP + `"/>`))
	f.Add([]byte(`<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>`))
	f.Add([]byte(strings.Repeat("<a>", 100)))
	f.Fuzz(func(t *testing.T, data []byte) {
		q, err := parseRequest(data)
		if err != nil {
			return
		}
		if q.Body == nil || q.Timeout < 0 || q.MaxEnvelope < 0 {
			t.Fatalf("accepted %+v", q)
		}
		// what was read can be answered: no text of a request may break an answer's XML
		body := faultNoShell(q.Selectors["shellid"]).body("n1")
		root, err := parseXML(envelope(actionFault, "uuid:1", q.MessageID, body))
		if err != nil {
			t.Fatalf("the answer cannot be read: %v", err)
		}
		if got := root.child(nsSOAP, "Header").text(nsAddr,
			"RelatesTo"); got != strings.TrimSpace(strings.ToValidUTF8(q.MessageID, "\uFFFD")) {
			t.Fatalf("RelatesTo %q for %q", got, q.MessageID)
		}
	})
}

func FuzzParseSealed(f *testing.F) {
	f.Add(formatSealed([]byte("0123456789abcdef"), []byte("sealed"), 6), boundaryName)
	f.Add(formatSealed(nil, []byte("--Encrypted Boundary--\r\n"), 24), boundaryName)
	f.Add([]byte("--b\r\nContent-Type: x\r\n--b\r\n\tContent-Type: application/octet-stream\r\n\xff\xff\xff\xff--b--"),
		"b")
	f.Fuzz(func(t *testing.T, data []byte, boundary string) {
		b, err := parseSealed(data, boundary)
		if err != nil {
			return
		}
		if len(b.Sealed) != b.Length || len(b.Sig) > maxSignature || !bytes.Contains(data, b.Sealed) ||
			!bytes.Contains(data, b.Sig) {
			t.Fatalf("read what is not there: %+v", b)
		}
	})
}

// FuzzSealedRound: whatever is sealed, boundaries and all, comes out as it went in.
func FuzzSealedRound(f *testing.F) {
	f.Add([]byte("sig"), []byte("text"))
	f.Add([]byte{}, []byte("--Encrypted Boundary--\r\n--Encrypted Boundary\r\n"))
	f.Fuzz(func(t *testing.T, sig, sealed []byte) {
		if len(sig) > maxSignature {
			return
		}
		b, err := parseSealed(formatSealed(sig, sealed, len(sealed)), boundaryName)
		if err != nil || !bytes.Equal(b.Sig, sig) || !bytes.Equal(b.Sealed, sealed) || b.Protocol != protocolSPNEGO {
			t.Fatalf("%v: %+v", err, b)
		}
	})
}

func FuzzNTLM(f *testing.F) {
	negotiate := append([]byte(ntlmMagic), 1, 0, 0, 0, 0x37, 0x82, 0x08, 0xe2, 0, 0, 0, 0)
	auth := append([]byte(ntlmMagic), 3, 0, 0, 0)
	auth = append(auth, make([]byte, 52)...)
	putField(auth[20:], 44, 64)
	putField(auth[36:], 2, 64)
	copy(auth[60:], []byte{flagUnicode, 0, flagExtended >> 16, 0})
	auth = append(auth, make([]byte, 60)...)
	f.Add(negotiate, auth)
	f.Add([]byte(ntlmMagic), []byte(ntlmMagic))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		s := &ntlmServer{target: ntlmTarget{Computer: "N1", Domain: "D"}}
		challenge, err := s.Challenge(first, time.Unix(0, 0))
		if err != nil {
			return
		}
		if kind, err := ntlmType(challenge); err != nil || kind != 2 {
			t.Fatal("the challenge is none")
		}
		_, _, err = s.Authenticate(second, []byte("0123456789abcdef"),
			func(string, string) (string, bool) { return "a password that no fuzzer finds", true })
		if err == nil {
			t.Fatal("let in without the password")
		}
		if _, _, err := s.Authenticate(second, nil, func(string, string) (string, bool) { return "", true }); err == nil {
			t.Fatal("one challenge was good for two tries")
		}
	})
}
