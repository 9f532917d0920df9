package winrmd

import (
	"encoding/hex"
	"errors"
	"testing"
	"time"

	"github.com/bodgit/ntlmssp"
)

// TestNTLMVectors holds the arithmetic against the worked example of MS-NLMP 4.2.4 (NTLMv2
// authentication).
func TestNTLMVectors(t *testing.T) {
	key := ntowfv2("User", "Domain", "Password")
	if got := hex.EncodeToString(key); got != "0c868a403bfd7a93a3001ef22ef02e3f" {
		t.Errorf("NTOWFv2 is %s", got)
	}
	// 4.2.4.4: sealing "Plaintext" with the example's session key and a 128-bit key exchange
	session := []byte{0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55}
	s := newSealer(session, flag128|flagKeyExchange, true)
	sig, sealed := s.Seal(utf16le("Plaintext"))
	if got := hex.EncodeToString(sealed); got != "54e50165bf1936dc996020c1811b0f06fb5f" {
		t.Errorf("sealed text is %s", got)
	}
	if got := hex.EncodeToString(sig); got != "010000007fb38ec5c55d497600000000" {
		t.Errorf("signature is %s", got)
	}
}

// TestHandshake changes one thing at a time in a handshake with a client that is not ours.
func TestHandshake(t *testing.T) {
	right := channelBinding([]byte("hash of the certificate"))
	for name, x := range map[string]struct {
		bound  string // what the client binds its channel to; "" nothing
		server []byte
		change func(negotiate, authenticate []byte)
		ok     bool
	}{
		"plain":                   {ok: true},
		"bound to this channel":   {bound: "tls-server-end-point:hash of the certificate", server: right, ok: true},
		"bound to another":        {bound: "tls-server-end-point:hash of a man in the middle", server: right},
		"not bound":               {server: right, ok: true},
		"bound, but no TLS":       {bound: "tls-server-end-point:x", ok: true},
		"first message changed":   {change: func(n, _ []byte) { n[len(n)-1] ^= 1 }},
		"wrong integrity code":    {change: func(_, a []byte) { a[80] ^= 1 }},
		"session key changed":     {change: func(_, a []byte) { a[len(a)-1] ^= 1 }},
		"NTLMv1":                  {change: func(_, a []byte) { a[20] = 24; a[21] = 0 }},
		"no name":                 {change: func(_, a []byte) { a[36], a[37] = 0, 0 }},
		"not in Unicode":          {change: func(_, a []byte) { a[60] &^= 1 }},
		"a field out of bounds":   {change: func(_, a []byte) { a[27] = 0x7f }},
		"no third message at all": {change: func(_, a []byte) { a[8] = 1 }},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := ntlmssp.NewClient(ntlmssp.SetUserInfo("User", "Password"), ntlmssp.SetDomain("Domain"),
				ntlmssp.SetVersion(ntlmssp.DefaultVersion()))
			if err != nil {
				t.Fatal(err)
			}
			var bindings *ntlmssp.ChannelBindings
			if x.bound != "" {
				bindings = &ntlmssp.ChannelBindings{ApplicationData: []byte(x.bound)}
			}
			first, err := c.Authenticate(nil, bindings)
			if err != nil {
				t.Fatal(err)
			}
			s := &ntlmServer{target: ntlmTarget{Computer: "N1", Domain: "DOMAIN", DNSComputer: "n1.domain.example",
				DNSDomain: "domain.example"}}
			sent := append([]byte{}, first...)
			if x.change != nil {
				x.change(sent, make([]byte, 200))
			}
			challenge, err := s.Challenge(sent, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			last, err := c.Authenticate(challenge, bindings)
			if err != nil {
				t.Fatal(err)
			}
			if x.change != nil {
				x.change(make([]byte, 200), last)
			}
			user, domain, err := s.Authenticate(last, x.server, func(string, string) (string, bool) { return "Password", true })
			if (err == nil) != x.ok {
				t.Errorf("%s\\%s: %v", domain, user, err)
			}
			if err != nil && !errors.Is(err, errLogon) {
				t.Errorf("%v does not say that the logon was refused", err)
			}
		})
	}
}

func TestDurations(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"PT60S": time.Minute, "PT0.5S": 500 * time.Millisecond, "PT1H2M3S": time.Hour + 2*time.Minute + 3*time.Second,
		"P1D":         24 * time.Hour,
		"P0DT0H0M20S": 20 * time.Second, "PT60.000S": time.Minute,
	} {
		if got, err := parseDuration(text); err != nil || got != want {
			t.Errorf("%s is %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "P", "PT", "60", "PT60", "PT-1S", "P1Y", "P1M", "PT1D", "P1S", "PTS",
		"PT99999999999S", "PT1.2.3S"} {
		if got, err := parseDuration(text); err == nil {
			t.Errorf("%q was read as %v", text, got)
		}
	}
	if got := formatDuration(7200 * time.Second); got != "PT7200.000S" {
		t.Error(got)
	}
}
