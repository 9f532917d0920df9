package winrm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// The body of a sealed message (MS-WSMV 2.2.9.1). It looks like MIME but is not: the headers begin
// with a tab, no empty line parts them from the content, and the closing boundary follows the
// content at once.
const (
	boundary     = "Encrypted Boundary"
	plainType    = "application/soap+xml;charset=UTF-8"
	octetHeader  = "\tContent-Type: application/octet-stream\r\n"
	spnegoSealed = "application/HTTP-SPNEGO-session-encrypted"
)

func sealedType(protocol string) string {
	return `multipart/encrypted;protocol="` + protocol + `";boundary="` + boundary + `"`
}

// encodeSealed writes the body for a message of length plain bytes.
func encodeSealed(protocol string, plain int, signature, sealed []byte) []byte {
	var b bytes.Buffer
	b.Grow(len(sealed) + 512)
	b.WriteString("--" + boundary + "\r\n\tContent-Type: " + protocol + "\r\n\tOriginalContent: type=" + plainType +
		";Length=" + strconv.Itoa(plain) + "\r\n--" + boundary + "\r\n" + octetHeader)
	var n [4]byte
	binary.LittleEndian.PutUint32(n[:], uint32(len(signature)))
	b.Write(n[:])
	b.Write(signature)
	b.Write(sealed)
	b.WriteString("--" + boundary + "--\r\n")
	return b.Bytes()
}

// isSealed says that a Content-Type announces a sealed body.
func isSealed(contentType string) bool {
	return strings.HasPrefix(strings.ToLower(strings.TrimSpace(contentType)), "multipart/encrypted")
}

// decodeSealed takes a sealed body apart. plain is the length that the message declares for its
// content.
func decodeSealed(protocol string, body []byte) (plain int, signature, sealed []byte, err error) {
	fail := func(why string) (int, []byte, []byte, error) {
		return 0, nil, nil, errors.New("not a sealed message: " + why)
	}
	// content may hold anything, a boundary too, so the closing one is taken off the end
	body, ok := bytes.CutSuffix(bytes.TrimRight(body, "\r\n"), []byte("--"+boundary+"--"))
	if !ok {
		return fail("no closing boundary")
	}
	rest, ok := bytes.CutPrefix(bytes.TrimLeft(body, "\r\n"), []byte("--"+boundary+"\r\n"))
	if !ok {
		return fail("no opening boundary")
	}
	head, rest, ok := bytes.Cut(rest, []byte("--"+boundary+"\r\n"))
	if !ok {
		return fail("no second part")
	}
	plain = -1
	named := false
	for _, line := range strings.Split(string(head), "\r\n") {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		value = strings.TrimSpace(value)
		switch {
		case strings.EqualFold(name, "Content-Type"):
			named = strings.EqualFold(value, protocol)
		case strings.EqualFold(name, "OriginalContent"):
			for _, p := range strings.Split(value, ";") {
				if n, ok := strings.CutPrefix(strings.ToLower(strings.TrimSpace(p)), "length="); ok {
					if plain, err = strconv.Atoi(n); err != nil || plain < 0 {
						return fail("bad length")
					}
				}
			}
		}
	}
	if !named {
		return fail("another protocol")
	}
	if plain < 0 {
		return fail("no length")
	}
	i := bytes.Index(rest, []byte("\r\n"))
	if i < 0 || !strings.EqualFold(strings.TrimSpace(string(rest[:i])), strings.TrimSpace(octetHeader)) {
		return fail("no content type of the second part")
	}
	rest = rest[i+2:]
	if len(rest) < 4 {
		return fail("no signature")
	}
	n := binary.LittleEndian.Uint32(rest)
	rest = rest[4:]
	if uint64(n) > uint64(len(rest)) {
		return fail(fmt.Sprintf("a signature of %d bytes in %d", n, len(rest)))
	}
	return plain, rest[:n], rest[n:], nil
}
