package winrmd

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"crypto/rc4"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf16"

	//lint:ignore SA1019 the NT hash is MD4
	"golang.org/x/crypto/md4"
)

// Negotiate flags of MS-NLMP 2.2.2.5 that the server sets or looks at.
const (
	flagUnicode     = 0x00000001
	flagTarget      = 0x00000004
	flagSign        = 0x00000010
	flagSeal        = 0x00000020
	flagNTLM        = 0x00000200
	flagAlwaysSign  = 0x00008000
	flagTypeDomain  = 0x00010000
	flagExtended    = 0x00080000
	flagTargetInfo  = 0x00800000
	flagVersion     = 0x02000000
	flag128         = 0x20000000
	flagKeyExchange = 0x40000000
	flag56          = 0x80000000
)

// Ids of MS-NLMP 2.2.2.1 (AV_PAIR).
const (
	avEOL             = 0
	avComputer        = 1
	avDomain          = 2
	avDNSComputer     = 3
	avDNSDomain       = 4
	avFlags           = 6
	avTimestamp       = 7
	avChannelBindings = 10
)

const ntlmMagic = "NTLMSSP\x00"

// errLogon is every reason for which a logon fails; the client learns none of them.
var errLogon = errors.New("logon refused")

// ntlmTarget is what the challenge says of the server.
type ntlmTarget struct {
	Computer, Domain, DNSComputer, DNSDomain string
}

// ntlmServer is one NTLM handshake and then one security context. It belongs to one connection and
// is not safe for concurrent use.
type ntlmServer struct {
	target    ntlmTarget
	nonce     [8]byte
	negotiate []byte
	challenge []byte
	in, out   *sealer
}

// Challenge answers a NEGOTIATE_MESSAGE.
func (s *ntlmServer) Challenge(negotiate []byte, now time.Time) ([]byte, error) {
	if t, err := ntlmType(negotiate); err != nil || t != 1 {
		return nil, fmt.Errorf("cannot read the negotiate message: %w", errLogon)
	}
	// UNICODE whatever the client asked: ntlm-auth 1.4.0 would otherwise send names in OEM bytes. What
	// seals messages is granted to who asks for it: go-ntlmssp gives up when a key exchange is offered
	// that it did not ask for.
	flags := uint32(flagUnicode | flagTarget | flagNTLM | flagAlwaysSign | flagTypeDomain |
		flagExtended | flagTargetInfo | flagVersion)
	if len(negotiate) >= 16 {
		flags |= binary.LittleEndian.Uint32(negotiate[12:]) & (flagSign | flagSeal | flag128 | flagKeyExchange | flag56)
	}
	name := utf16le(s.target.Domain)
	info := avPairs(s.target, now)
	const header = 56
	b := make([]byte, header, header+len(name)+len(info))
	copy(b, ntlmMagic)
	binary.LittleEndian.PutUint32(b[8:], 2)
	putField(b[12:], len(name), header)
	binary.LittleEndian.PutUint32(b[20:], flags)
	copy(b[24:], s.nonce[:])
	putField(b[40:], len(info), header+len(name))
	copy(b[48:], []byte{6, 1, 0xb1, 0x1d, 0, 0, 0, 15}) // 6.1 build 7601, NTLM revision 15
	b = append(append(b, name...), info...)
	s.negotiate, s.challenge = bytes.Clone(negotiate), b
	return b, nil
}

func avPairs(t ntlmTarget, now time.Time) []byte {
	var b []byte
	add := func(id uint16, v []byte) {
		b = binary.LittleEndian.AppendUint16(b, id)
		b = binary.LittleEndian.AppendUint16(b, uint16(len(v)))
		b = append(b, v...)
	}
	add(avDomain, utf16le(t.Domain))
	add(avComputer, utf16le(t.Computer))
	add(avDNSDomain, utf16le(t.DNSDomain))
	add(avDNSComputer, utf16le(t.DNSComputer))
	add(avTimestamp, binary.LittleEndian.AppendUint64(nil, fileTime(now)))
	add(avEOL, nil)
	return b
}

// fileTime counts 100 ns since 1601.
func fileTime(t time.Time) uint64 { return uint64(t.UnixNano()/100) + 116444736000000000 }

// Authenticate checks an AUTHENTICATE_MESSAGE by NTLMv2. password finds the password of an account;
// binding is the MD5 of the TLS channel's binding structure, nil without TLS. A client that sends a
// channel binding must send the right one; one that sends none is let in, as CbtHardeningLevel
// Relaxed, Windows' default, does.
func (s *ntlmServer) Authenticate(msg []byte, binding []byte, password func(user, domain string) (string, bool)) (user,
	domain string, err error) {
	if s.challenge == nil {
		return "", "", fmt.Errorf("no challenge was given: %w", errLogon)
	}
	challenge := s.challenge
	s.challenge = nil // one try per challenge
	t, err := ntlmType(msg)
	if err != nil || t != 3 || len(msg) < 64 {
		return "", "", fmt.Errorf("cannot read the authenticate message: %w", errLogon)
	}
	nt, err1 := field(msg, 20)
	domainRaw, err2 := field(msg, 28)
	userRaw, err3 := field(msg, 36)
	encrypted, err4 := field(msg, 52)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return "", "", fmt.Errorf("%w: %w", err, errLogon)
	}
	flags := binary.LittleEndian.Uint32(msg[60:])
	user, domain = fromUTF16le(userRaw), fromUTF16le(domainRaw)
	if flags&flagUnicode == 0 || flags&flagExtended == 0 {
		return user, domain, fmt.Errorf("the client uses neither Unicode nor extended session security: %w", errLogon)
	}
	// 24 bytes are NTLMv1; the shortest NTLMv2 answer has 16 of proof and 28 of header
	if user == "" || len(nt) < 44 {
		return user, domain, fmt.Errorf("not NTLMv2: %w", errLogon)
	}
	pw, ok := password(user, domain)
	if !ok {
		return user, domain, fmt.Errorf("no such account: %w", errLogon)
	}
	key := ntowfv2(user, domain, pw)
	proof, temp := nt[:16], nt[16:]
	if !hmac.Equal(proof, hmacMD5(key, s.nonce[:], temp)) {
		return user, domain, fmt.Errorf("wrong password: %w", errLogon)
	}
	session := hmacMD5(key, proof)
	if flags&flagKeyExchange != 0 {
		if len(encrypted) != 16 {
			return user, domain, fmt.Errorf("no session key: %w", errLogon)
		}
		exported := make([]byte, 16)
		newRC4(session).XORKeyStream(exported, encrypted)
		session = exported
	}
	av, err := parseAV(temp[28:])
	if err != nil {
		return user, domain, fmt.Errorf("%w: %w", err, errLogon)
	}
	if f := av[avFlags]; len(f) == 4 && binary.LittleEndian.Uint32(f)&2 != 0 {
		if err := s.checkMIC(session, challenge, msg); err != nil {
			return user, domain, err
		}
	}
	if cb := av[avChannelBindings]; binding != nil && len(cb) == 16 && !bytes.Equal(cb, make([]byte, 16)) &&
		!hmac.Equal(cb, binding) {
		return user, domain, fmt.Errorf("the channel binding is that of another TLS channel: %w", errLogon)
	}
	s.in, s.out = newSealer(session, flags, true), newSealer(session, flags, false)
	return user, domain, nil
}

// checkMIC verifies the message integrity code over all three messages (MS-NLMP 3.2.5.1.2).
func (s *ntlmServer) checkMIC(session, challenge, msg []byte) error {
	const at = 72
	if len(msg) < at+16 {
		return fmt.Errorf("no integrity code: %w", errLogon)
	}
	zeroed := bytes.Clone(msg)
	clear(zeroed[at : at+16])
	if !hmac.Equal(msg[at:at+16], hmacMD5(session, s.negotiate, challenge, zeroed)) {
		return fmt.Errorf("wrong integrity code: %w", errLogon)
	}
	return nil
}

// sealer is one direction of a context (MS-NLMP 3.4): an RC4 stream, a signing key and a sequence
// number.
type sealer struct {
	stream      *rc4.Cipher
	sign        []byte
	seq         uint32
	keyExchange bool
}

func newSealer(session []byte, flags uint32, fromClient bool) *sealer {
	dir := "server-to-client"
	if fromClient {
		dir = "client-to-server"
	}
	// a client that did not ask for 128 bits gets a weakened key (MS-NLMP 3.4.5.3)
	base := session[:5]
	switch {
	case flags&flag128 != 0:
		base = session
	case flags&flag56 != 0:
		base = session[:7]
	}
	return &sealer{
		stream:      newRC4(md5sum(base, []byte("session key to "+dir+" sealing key magic constant\x00"))),
		sign:        md5sum(session, []byte("session key to "+dir+" signing key magic constant\x00")),
		keyExchange: flags&flagKeyExchange != 0,
	}
}

// signature is version 1, eight bytes of checksum, sequence number. The text must have gone through
// the stream before it.
func (s *sealer) signature(plain []byte) []byte {
	seq := binary.LittleEndian.AppendUint32(nil, s.seq)
	sum := hmacMD5(s.sign, seq, plain)[:8]
	if s.keyExchange {
		s.stream.XORKeyStream(sum, sum)
	}
	s.seq++
	sig := append([]byte{1, 0, 0, 0}, sum...)
	return append(sig, seq...)
}

// Seal encrypts and signs.
func (s *sealer) Seal(plain []byte) (sig, sealed []byte) {
	sealed = make([]byte, len(plain))
	s.stream.XORKeyStream(sealed, plain)
	return s.signature(plain), sealed
}

// Unseal decrypts and verifies. After an error the context is of no more use: the streams have run
// apart.
func (s *sealer) Unseal(sig, sealed []byte) ([]byte, error) {
	plain := make([]byte, len(sealed))
	s.stream.XORKeyStream(plain, sealed)
	if !hmac.Equal(sig, s.signature(plain)) {
		return nil, errors.New("cannot open the message: wrong signature or sequence number")
	}
	return plain, nil
}

// channelBinding is the MD5 of a gss_channel_bindings structure that holds nothing but application
// data (RFC 4121 4.1.1.2, RFC 5929 tls-server-end-point).
func channelBinding(certHash []byte) []byte {
	data := append([]byte("tls-server-end-point:"), certHash...)
	b := make([]byte, 16)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(data)))
	return md5sum(b, data)
}

func ntowfv2(user, domain, password string) []byte {
	h := md4.New()
	h.Write(utf16le(password))
	return hmacMD5(h.Sum(nil), utf16le(strings.ToUpper(user)+domain))
}

func ntlmType(b []byte) (uint32, error) {
	if len(b) < 12 || string(b[:8]) != ntlmMagic {
		return 0, errors.New("not an NTLM message")
	}
	return binary.LittleEndian.Uint32(b[8:]), nil
}

// field reads a length, maximum and offset triple at position at and returns what it points to.
func field(b []byte, at int) ([]byte, error) {
	n := int(binary.LittleEndian.Uint16(b[at:]))
	off := uint64(binary.LittleEndian.Uint32(b[at+4:]))
	if n == 0 {
		return nil, nil
	}
	if off+uint64(n) > uint64(len(b)) {
		return nil, errors.New("a field points outside the message")
	}
	return b[off : off+uint64(n)], nil
}

func putField(b []byte, n, off int) {
	binary.LittleEndian.PutUint16(b, uint16(n))
	binary.LittleEndian.PutUint16(b[2:], uint16(n))
	binary.LittleEndian.PutUint32(b[4:], uint32(off))
}

func parseAV(b []byte) (map[uint16][]byte, error) {
	out := map[uint16][]byte{}
	for len(b) >= 4 {
		id, n := binary.LittleEndian.Uint16(b), int(binary.LittleEndian.Uint16(b[2:]))
		if id == avEOL {
			return out, nil
		}
		if n > len(b)-4 {
			return nil, errors.New("an attribute points outside the message")
		}
		out[id] = b[4 : 4+n]
		b = b[4+n:]
	}
	return out, nil
}

func utf16le(s string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

func fromUTF16le(b []byte) string {
	u := make([]uint16, 0, len(b)/2)
	for len(b) >= 2 {
		u = append(u, binary.LittleEndian.Uint16(b))
		b = b[2:]
	}
	return string(utf16.Decode(u))
}

func hmacMD5(key []byte, parts ...[]byte) []byte {
	m := hmac.New(md5.New, key)
	for _, p := range parts {
		m.Write(p)
	}
	return m.Sum(nil)
}

func md5sum(parts ...[]byte) []byte {
	m := md5.New()
	for _, p := range parts {
		m.Write(p)
	}
	return m.Sum(nil)
}

// newRC4 never fails: every key here has between 5 and 16 bytes.
func newRC4(key []byte) *rc4.Cipher {
	c, err := rc4.NewCipher(key)
	if err != nil {
		panic(err)
	}
	return c
}
