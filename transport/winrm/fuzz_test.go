package winrm

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// challengeOf is a server's second token with the target information that Windows sends: computer
// and domain, and the end of the list.
func challengeOf(flags uint32, pairs []byte) []byte {
	const header = 56
	b := make([]byte, header, header+len(pairs))
	copy(b, "NTLMSSP\x00\x02")
	binary.LittleEndian.PutUint32(b[16:], header)
	binary.LittleEndian.PutUint32(b[20:], flags)
	copy(b[24:], "\x01\x02\x03\x04\x05\x06\x07\x08")
	binary.LittleEndian.PutUint16(b[40:], uint16(len(pairs)))
	binary.LittleEndian.PutUint16(b[42:], uint16(len(pairs)))
	binary.LittleEndian.PutUint32(b[44:], header)
	return append(b, pairs...)
}

// FuzzChallenge: whoever answers is not authenticated yet. Its challenge is refused or answered,
// never followed into a panic, and a connection that needs sealing never completes without the
// flags for it.
func FuzzChallenge(f *testing.F) {
	const need = flagUnicode | flagSign | flagSeal | flagExtended | flag128 | flagKeyExch
	pairs := []byte("\x02\x00\x02\x00D\x00\x01\x00\x04\x00N\x001\x00\x00\x00\x00\x00")
	f.Add(challengeOf(need, pairs))
	f.Add(challengeOf(need|1<<23, pairs))
	f.Add(challengeOf(need&^flagSeal, nil))
	f.Add([]byte("NTLMSSP\x00\x02\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, in []byte) {
		for _, sealed := range []bool{true, false} {
			n, err := newNTLM(`D\u`, "pw", sealed)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := n.Token(nil, nil); err != nil {
				t.Fatal(err)
			}
			out, err := n.Token(bytes.Clone(in), []byte("binding"))
			if err != nil {
				if sealed && n.Complete() && len(in) >= 24 && binary.LittleEndian.Uint32(in[20:])&need != need {
					t.Fatal("refused, and complete")
				}
				continue
			}
			if !bytes.HasPrefix(out, []byte("NTLMSSP\x00\x03")) {
				t.Fatalf("answered with %x", out)
			}
			if sealed && binary.LittleEndian.Uint32(in[20:])&need != need {
				t.Fatal("answered a challenge that would leave messages unprotected")
			}
			s, err := n.Sealer()
			if err != nil {
				continue
			}
			// what a stranger seals is never taken for the server's
			if _, err := s.Open(make([]byte, 16), []byte("sixteen bytes!!!")); err == nil {
				t.Fatal("opened what nobody sealed")
			}
		}
	})
}
