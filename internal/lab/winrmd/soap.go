package winrmd

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

const contentTypeSOAP = "application/soap+xml;charset=UTF-8"

// Namespaces. Clients choose their own prefixes, so everything is matched by namespace and local
// name.
const (
	nsSOAP     = "http://www.w3.org/2003/05/soap-envelope"
	nsAddr     = "http://schemas.xmlsoap.org/ws/2004/08/addressing"
	nsTransfer = "http://schemas.xmlsoap.org/ws/2004/09/transfer"
	nsWSMan    = "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd"
	nsShell    = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell"
	nsFault    = "http://schemas.microsoft.com/wbem/wsman/1/wsmanfault"
	nsIdentify = "http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd"
	nsXML      = "http://www.w3.org/XML/1998/namespace"

	uriCmd       = nsShell + "/cmd"
	addrAnon     = "http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous"
	actionCreate = nsTransfer + "/Create"
	actionDelete = nsTransfer + "/Delete"
	actionFault  = "http://schemas.dmtf.org/wbem/wsman/1/wsman/fault"
)

// Bounds on what is parsed before anything is known of the sender.
const (
	maxXMLDepth    = 32
	maxXMLElements = 4096
)

// element is one XML element.
type element struct {
	Name     xml.Name
	Attrs    []xml.Attr
	Text     string
	Children []*element
}

// child returns the first child of that name, or nil. A nil element has no children.
func (e *element) child(space, local string) *element {
	if e == nil {
		return nil
	}
	for _, c := range e.Children {
		if c.Name.Space == space && c.Name.Local == local {
			return c
		}
	}
	return nil
}

// text is the trimmed text of a child, "" without one.
func (e *element) text(space, local string) string {
	if c := e.child(space, local); c != nil {
		return strings.TrimSpace(c.Text)
	}
	return ""
}

// attr reads an attribute by its local name.
func (e *element) attr(local string) string {
	if e == nil {
		return ""
	}
	for _, a := range e.Attrs {
		if a.Name.Local == local {
			return a.Value
		}
	}
	return ""
}

// longText is from where on a text of base64 is kept from the decoder, which takes 40 ns for each
// byte.
const longText = 4096

// cutLong takes long texts of nothing but base64 out of a document and leaves their numbers in
// their places, between two marks of the private use area; a document that holds the first mark is
// left as it is.
func cutLong(data []byte) (rest []byte, cut []string) {
	if bytes.Contains(data, []byte("\ue000")) {
		return data, nil
	}
	from := 0
	for i := 0; i < len(data); {
		begin := bytes.IndexByte(data[i:], '>')
		if begin < 0 {
			break
		}
		begin += i + 1
		length := bytes.IndexByte(data[begin:], '<')
		if length < 0 {
			break
		}
		i = begin + length
		if text := data[begin:i]; length >= longText && base64Only(text) {
			rest = append(rest, data[from:begin]...)
			rest = fmt.Appendf(rest, "\ue000%d\ue001", len(cut))
			cut, from = append(cut, string(text)), i
		}
	}
	if cut == nil {
		return data, nil
	}
	return append(rest, data[from:]...), cut
}

func base64Only(text []byte) bool {
	var known [256]bool
	for _, b := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=") {
		known[b] = true
	}
	for _, b := range text {
		if !known[b] {
			return false
		}
	}
	return true
}

// uncut puts a text back.
func uncut(text string, cut []string) string {
	number, ok := strings.CutPrefix(text, "\ue000")
	if !ok {
		return text
	}
	if n, err := strconv.Atoi(strings.TrimSuffix(number, "\ue001")); err == nil && n < len(cut) {
		return cut[n]
	}
	return text
}

// parseXML reads one document. A document type is refused, as Windows refuses it.
func parseXML(data []byte) (*element, error) {
	data, cut := cutLong(data)
	dec := xml.NewDecoder(bytes.NewReader(data))
	var stack []*element
	var texts []*strings.Builder
	var root *element
	count := 0
	for {
		tok, err := dec.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		switch t := tok.(type) {
		case xml.Directive:
			return nil, errors.New("a document type is not allowed")
		case xml.StartElement:
			if count++; count > maxXMLElements || len(stack) >= maxXMLDepth {
				return nil, errors.New("too many elements")
			}
			e := &element{Name: t.Name, Attrs: append([]xml.Attr(nil), t.Attr...)}
			if len(stack) > 0 {
				p := stack[len(stack)-1]
				p.Children = append(p.Children, e)
			} else if root != nil {
				return nil, errors.New("more than one root")
			} else {
				root = e
			}
			stack, texts = append(stack, e), append(texts, &strings.Builder{})
		case xml.EndElement:
			stack[len(stack)-1].Text = uncut(texts[len(texts)-1].String(), cut)
			stack, texts = stack[:len(stack)-1], texts[:len(texts)-1]
		case xml.CharData:
			if len(stack) > 0 {
				texts[len(texts)-1].Write(t)
			}
		}
	}
	if root == nil {
		return nil, errors.New("no element")
	}
	return root, nil
}

// request is a SOAP request taken apart.
type request struct {
	Action      string
	MessageID   string
	ResourceURI string
	Timeout     time.Duration // w:OperationTimeout; 0 when not given
	MaxEnvelope int           // w:MaxEnvelopeSize, bytes; 0 when not given
	Selectors   map[string]string
	Options     map[string]string // by upper-case name
	Body        *element
}

// parseRequest reads a SOAP request. Its error is a *fault when the document is well formed.
func parseRequest(data []byte) (*request, error) {
	root, err := parseXML(data)
	if err != nil {
		return nil, err
	}
	if root.Name != (xml.Name{Space: nsSOAP, Local: "Envelope"}) {
		return nil, fmt.Errorf("the root is {%s}%s, not a SOAP 1.2 envelope", root.Name.Space, root.Name.Local)
	}
	head := root.child(nsSOAP, "Header")
	q := &request{
		Action:      head.text(nsAddr, "Action"),
		MessageID:   head.text(nsAddr, "MessageID"),
		ResourceURI: head.text(nsWSMan, "ResourceURI"),
		Selectors:   map[string]string{},
		Options:     map[string]string{},
		Body:        root.child(nsSOAP, "Body"),
	}
	if set := head.child(nsWSMan, "SelectorSet"); set != nil {
		for _, s := range set.Children {
			q.Selectors[strings.ToLower(s.attr("Name"))] = strings.TrimSpace(s.Text)
		}
	}
	if set := head.child(nsWSMan, "OptionSet"); set != nil {
		for _, o := range set.Children {
			q.Options[strings.ToUpper(o.attr("Name"))] = strings.TrimSpace(o.Text)
		}
	}
	if q.Body == nil {
		return q, faultInvalidBody("the envelope has no body")
	}
	if t := head.text(nsWSMan, "OperationTimeout"); t != "" {
		if q.Timeout, err = parseDuration(t); err != nil {
			return q, faultInvalidHeader("OperationTimeout: " + err.Error())
		}
	}
	if t := head.text(nsWSMan, "MaxEnvelopeSize"); t != "" {
		n, err := strconv.Atoi(t)
		if err != nil || n < 0 {
			return q, faultInvalidHeader("MaxEnvelopeSize is no number")
		}
		// MS-WSMV 3.1.4.1.7: an answer cannot be put into less
		if n < 8192 {
			return q, faultEncodingLimit("the maximum envelope size is below 8192 bytes")
		}
		q.MaxEnvelope = n
	}
	return q, nil
}

// parseDuration reads the days-to-seconds part of an XML duration (PT60S, PT1M30.5S, P0DT1H). Years
// and months have no length.
func parseDuration(s string) (time.Duration, error) {
	bad := fmt.Errorf("%q is no duration", s)
	rest, ok := strings.CutPrefix(s, "P")
	if !ok || rest == "" {
		return 0, bad
	}
	var total time.Duration
	inTime := false
	for rest != "" {
		if !inTime && rest[0] == 'T' {
			inTime, rest = true, rest[1:]
			if rest == "" {
				return 0, bad
			}
			continue
		}
		i := strings.IndexFunc(rest, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
		if i < 1 {
			return 0, bad
		}
		n, err := strconv.ParseFloat(rest[:i], 64)
		if err != nil || n > 1e9 {
			return 0, bad
		}
		var unit time.Duration
		switch {
		case inTime && rest[i] == 'H':
			unit = time.Hour
		case inTime && rest[i] == 'M':
			unit = time.Minute
		case inTime && rest[i] == 'S':
			unit = time.Second
		case !inTime && rest[i] == 'D' && n <= 10000:
			unit = 24 * time.Hour
		default:
			return 0, bad
		}
		if n > float64(1<<62)/float64(unit) {
			return 0, bad
		}
		total += time.Duration(n * float64(unit))
		rest = rest[i+1:]
	}
	if total < 0 {
		return 0, bad
	}
	return total, nil
}

// formatDuration writes seconds with three digits, as Windows does (PT7200.000S).
func formatDuration(d time.Duration) string {
	return fmt.Sprintf("PT%d.%03dS", d/time.Second, d%time.Second/time.Millisecond)
}

// escape makes text safe inside an element or an attribute.
func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder never fails
	return b.String()
}

// envelope wraps an answer. relatesTo is the request's MessageID; messageID a new one.
func envelope(action, messageID, relatesTo, body string) []byte {
	var b strings.Builder
	b.WriteString(`<s:Envelope xml:lang="en-US" xmlns:s="` + nsSOAP + `" xmlns:a="` + nsAddr + `" xmlns:x="` + nsTransfer +
		`" xmlns:w="` + nsWSMan + `" xmlns:rsp="` + nsShell +
		`" xmlns:p="http://schemas.microsoft.com/wbem/wsman/1/wsman.xsd"><s:Header><a:Action>` +
		action + `</a:Action><a:MessageID>` + messageID + `</a:MessageID><a:To>` + addrAnon + `</a:To>`)
	if relatesTo != "" {
		b.WriteString(`<a:RelatesTo>` + escape(relatesTo) + `</a:RelatesTo>`)
	}
	b.WriteString(`</s:Header><s:Body>` + body + `</s:Body></s:Envelope>`)
	return []byte(b.String())
}
