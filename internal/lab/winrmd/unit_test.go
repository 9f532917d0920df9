package winrmd

import (
	"encoding/hex"
	"testing"
	"time"
)

// TestNTLMVectors holds the arithmetic against the worked example of MS-NLMP 4.2.4 (NTLMv2 authentication).
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

func TestDurations(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"PT60S": time.Minute, "PT0.5S": 500 * time.Millisecond, "PT1H2M3S": time.Hour + 2*time.Minute + 3*time.Second, "P1D": 24 * time.Hour,
		"P0DT0H0M20S": 20 * time.Second, "PT60.000S": time.Minute,
	} {
		if got, err := parseDuration(text); err != nil || got != want {
			t.Errorf("%s is %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "P", "PT", "60", "PT60", "PT-1S", "P1Y", "P1M", "PT1D", "P1S", "PTS", "PT99999999999S", "PT1.2.3S"} {
		if got, err := parseDuration(text); err == nil {
			t.Errorf("%q was read as %v", text, got)
		}
	}
	if got := formatDuration(7200 * time.Second); got != "PT7200.000S" {
		t.Error(got)
	}
}
