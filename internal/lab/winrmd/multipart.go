package winrmd

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"mime"
	"strconv"
	"strings"
)

// protocolSPNEGO is the protocol word of a body sealed by a Negotiate context (MS-WSMV
// 2.2.9.1.1.2).
const protocolSPNEGO = "application/HTTP-SPNEGO-session-encrypted"

// maxSignature bounds the signature's length field; NTLM's has 16 bytes.
const maxSignature = 1 << 10

// sealedBody is a multipart/encrypted body taken apart.
type sealedBody struct {
	Protocol string
	Length   int // of the text before sealing, as the sender says
	Sig      []byte
	Sealed   []byte
}

// isSealed says that a Content-Type announces a sealed body and gives its boundary.
func isSealed(contentType string) (boundary string, ok bool) {
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil || kind != "multipart/encrypted" || params["boundary"] == "" {
		return "", false
	}
	return params["boundary"], true
}

// parseSealed takes a sealed body apart. It is written by hand because the parts' headers begin
// with a tab, which makes them continuation lines of nothing for package mime/multipart, and
// because the second part has no empty line before its bytes. The closing boundary is searched for
// from the end: sealed bytes may hold anything.
func parseSealed(body []byte, boundary string) (sealedBody, error) {
	var out sealedBody
	open := []byte("--" + boundary + "\r\n")
	end := bytes.LastIndex(body, []byte("--"+boundary+"--"))
	if end < 0 || len(bytes.TrimRight(body[end+len(boundary)+4:], "\r\n")) != 0 {
		return out, errors.New("no closing boundary at the end")
	}
	rest, ok := bytes.CutPrefix(body[:end], open)
	if !ok {
		return out, errors.New("no boundary at the start")
	}
	head, rest, ok := bytes.Cut(rest, open)
	if !ok {
		return out, errors.New("no second part")
	}
	for _, line := range strings.Split(string(head), "\r\n") {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		value = strings.TrimSpace(value)
		switch strings.ToLower(name) {
		case "content-type":
			out.Protocol = value
		case "originalcontent":
			_, n, found := cutFold(value, "length=")
			length, err := strconv.Atoi(strings.TrimSpace(n))
			if !found || err != nil || length < 0 {
				return out, fmt.Errorf("no length in %q", value)
			}
			out.Length = length
		}
	}
	if out.Protocol == "" {
		return out, errors.New("no protocol in the first part")
	}
	line, rest, ok := bytes.Cut(rest, []byte("\r\n"))
	if !ok || !strings.EqualFold(strings.TrimSpace(string(line)), "Content-Type: application/octet-stream") {
		return out, errors.New("the second part is not application/octet-stream")
	}
	if len(rest) < 4 {
		return out, errors.New("no signature length")
	}
	n := binary.LittleEndian.Uint32(rest)
	if n > maxSignature || int(n) > len(rest)-4 {
		return out, fmt.Errorf("a signature of %d bytes does not fit", n)
	}
	out.Sig, out.Sealed = rest[4:4+n], rest[4+n:]
	if len(out.Sealed) != out.Length {
		return out, fmt.Errorf("%d sealed bytes for a text of %d", len(out.Sealed), out.Length)
	}
	return out, nil
}

// cutFold is strings.Cut without case; sep is lower case.
func cutFold(s, sep string) (before, after string, found bool) {
	i := strings.Index(strings.ToLower(s), sep)
	if i < 0 || i+len(sep) > len(s) {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// boundaryName is the boundary that Windows and every known client use; some clients know no other.
const boundaryName = "Encrypted Boundary"

// contentTypeSealed announces a sealed body.
const contentTypeSealed = `multipart/encrypted;protocol="` + protocolSPNEGO + `";boundary="` + boundaryName + `"`

// formatSealed writes a sealed body. length is that of the text before sealing.
func formatSealed(sig, sealed []byte, length int) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "--%s\r\n\tContent-Type: %s\r\n\tOriginalContent: type=%s;Length=%d\r\n", boundaryName, protocolSPNEGO,
		contentTypeSOAP, length)
	fmt.Fprintf(&b, "--%s\r\n\tContent-Type: application/octet-stream\r\n", boundaryName)
	b.Write(binary.LittleEndian.AppendUint32(nil, uint32(len(sig))))
	b.Write(sig)
	b.Write(sealed)
	fmt.Fprintf(&b, "--%s--\r\n", boundaryName)
	return b.Bytes()
}
