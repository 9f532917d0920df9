package file

import (
	"bytes"
	"encoding/binary"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// segment is one part of an element path: a name and conditions on attributes.
type segment struct {
	name  string
	where [][2]string
}

var (
	segmentForm   = regexp.MustCompile(`^([A-Za-z_][\w.:-]*)((?:\[@[A-Za-z_][\w.:-]*=(?:'[^']*'|"[^"]*")\])*)$`)
	conditionForm = regexp.MustCompile(`\[@([^=]+)=(?:'([^']*)'|"([^"]*)")\]`)
)

// parsePath reads configuration/appSettings/add[@key='X'].
func parsePath(path string) ([]segment, error) {
	var out []segment
	for _, part := range splitPath(strings.TrimPrefix(path, "/")) {
		m := segmentForm.FindStringSubmatch(part)
		if m == nil {
			return nil, fmt.Errorf("%q is not a name with conditions like add[@key='Name']", part)
		}
		s := segment{name: m[1]}
		for _, c := range conditionForm.FindAllStringSubmatch(m[2], -1) {
			s.where = append(s.where, [2]string{c[1], c[2] + c[3]})
		}
		out = append(out, s)
	}
	return out, nil
}

// splitPath cuts at slashes outside of conditions: a value may hold some.
func splitPath(path string) []string {
	var out []string
	depth, from := 0, 0
	var quote rune
	for i, c := range path {
		switch {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '\'' || c == '"':
			quote = c
		case c == '[':
			depth++
		case c == ']':
			depth--
		case c == '/' && depth == 0:
			out = append(out, path[from:i])
			from = i + 1
		}
	}
	return append(out, path[from:])
}

// xmlText is an XML file as UTF-8 text, with what is needed to write it back as it was.
type xmlText struct {
	bom   []byte
	utf16 order // nil for files of single bytes
	latin bool  // ISO-8859-1 and its like
	text  string
}

type order interface {
	binary.ByteOrder
	binary.AppendByteOrder
}

// decodeXML finds the encoding by the byte order mark, then by the declaration.
func decodeXML(raw []byte) (*xmlText, error) {
	x := &xmlText{}
	switch {
	case bytes.HasPrefix(raw, []byte{0xEF, 0xBB, 0xBF}):
		x.bom, raw = raw[:3], raw[3:]
	case bytes.HasPrefix(raw, []byte{0xFF, 0xFE}):
		x.bom, raw, x.utf16 = raw[:2], raw[2:], binary.LittleEndian
	case bytes.HasPrefix(raw, []byte{0xFE, 0xFF}):
		x.bom, raw, x.utf16 = raw[:2], raw[2:], binary.BigEndian
	}
	if x.utf16 != nil {
		if len(raw)%2 != 0 {
			return nil, errors.New("it is UTF-16 with an odd number of bytes")
		}
		units := make([]uint16, len(raw)/2)
		for i := range units {
			units[i] = x.utf16.Uint16(raw[2*i:])
		}
		x.text = string(utf16.Decode(units))
		if back, err := x.encode(); err != nil || !bytes.Equal(back[len(x.bom):], raw) {
			return nil, errors.New("it is not well-formed UTF-16")
		}
		return x, nil
	}
	if utf8.Valid(raw) {
		x.text = string(raw)
		return x, nil
	}
	if len(x.bom) > 0 || !latinDeclared.Match(raw) {
		return nil, errors.New("it is neither UTF-8 nor UTF-16 and does not declare ISO-8859-1 or windows-1252")
	}
	// every byte becomes one rune and goes back as one byte: what the bytes mean does not matter,
	// since only ASCII is written
	x.latin = true
	runes := make([]rune, len(raw))
	for i, b := range raw {
		runes[i] = rune(b)
	}
	x.text = string(runes)
	return x, nil
}

var latinDeclared = regexp.MustCompile(`(?i)^\s*<\?xml[^>]*encoding=["'](iso-8859-1|windows-1252|us-ascii)["']`)

// encode writes the text back in the file's own encoding.
func (x *xmlText) encode() ([]byte, error) {
	out := append([]byte{}, x.bom...)
	switch {
	case x.utf16 != nil:
		for _, u := range utf16.Encode([]rune(x.text)) {
			out = x.utf16.AppendUint16(out, u)
		}
		return out, nil
	case x.latin:
		for _, r := range x.text {
			if r > 0xFF {
				return nil, fmt.Errorf("cannot write %q in the file's encoding", r)
			}
			out = append(out, byte(r))
		}
		return out, nil
	}
	return append(out, x.text...), nil
}

// place is where an element's start tag stands, [from,to), or where a missing one would be put.
type place struct {
	found      bool
	from, to   int
	parentFrom int  // start tag of the parent of a missing element
	parentTo   int  // its end
	closing    int  // where the parent's end tag starts; equal to parentTo for an empty-element tag
	selfClosed bool // the parent is written <parent/>
	sibling    int  // where the last child element of the parent starts, or -1
}

// find walks the file once. The last segment may be missing when it has conditions and its parent
// is there once.
func (x *xmlText) find(path []segment) (place, error) {
	dec := xml.NewDecoder(strings.NewReader(x.text))
	dec.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil } // it is UTF-8 already
	var hits, parents []place
	depth, matched := 0, 0
	var names []string // of the open elements: RawToken does not compare them
	parentDepth := len(path) - 1
	open := false // inside the last parent found
	for {
		from := int(dec.InputOffset())
		tok, err := dec.RawToken()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return place{}, fmt.Errorf("it is not well-formed XML: %w", err)
		}
		switch t := tok.(type) {
		case xml.StartElement:
			to := int(dec.InputOffset())
			if open && depth == parentDepth {
				parents[len(parents)-1].sibling = from
			}
			if matched == depth && depth < len(path) && path[depth].fits(t) {
				matched++
				if matched == len(path) {
					hits = append(hits, place{found: true, from: from, to: to})
				} else if matched == parentDepth {
					parents = append(parents, place{parentFrom: from, parentTo: to, closing: to,
						selfClosed: strings.HasSuffix(x.text[from:to], "/>"), sibling: -1})
					open = true
				}
			}
			depth++
			names = append(names, rawName(t.Name))
		case xml.EndElement:
			depth--
			if depth < 0 || names[depth] != rawName(t.Name) {
				return place{}, fmt.Errorf("it is not well-formed XML: </%s> closes nothing", rawName(t.Name))
			}
			names = names[:depth]
			if matched > depth {
				if open && depth == parentDepth-1 {
					parents[len(parents)-1].closing = from
					open = false
				}
				matched = depth
			}
		}
	}
	if depth != 0 {
		return place{}, errors.New("it is not well-formed XML: an element is not closed")
	}
	switch {
	case len(hits) == 1:
		return hits[0], nil
	case len(hits) > 1:
		return place{}, fmt.Errorf("it is there %d times", len(hits))
	case len(parents) == 1 && len(path[len(path)-1].where) > 0:
		return parents[0], nil
	}
	return place{}, errors.New("it is not there, and it cannot be made: that needs its parent once, and a condition in " +
		"the last part of the path")
}

func (s segment) fits(t xml.StartElement) bool {
	if rawName(t.Name) != s.name {
		return false
	}
	for _, w := range s.where {
		ok := false
		for _, a := range t.Attr {
			ok = ok || (rawName(a.Name) == w[0] && a.Value == w[1])
		}
		if !ok {
			return false
		}
	}
	return true
}

// rawName is a name as written: RawToken leaves the prefix in Space.
func rawName(n xml.Name) string {
	if n.Space != "" {
		return n.Space + ":" + n.Local
	}
	return n.Local
}

var attrForm = regexp.MustCompile(`\s([A-Za-z_][\w.:-]*)\s*=\s*("[^"]*"|'[^']*')`)

// locate returns where an attribute stands in the text: the whole with the blank before it, and the
// value without quotes.
func (x *xmlText) locate(p place, name string) (whole, value [2]int, ok bool) {
	tag := x.text[p.from:p.to]
	for _, m := range attrForm.FindAllStringSubmatchIndex(tag, -1) {
		if tag[m[2]:m[3]] == name {
			return [2]int{p.from + m[0], p.from + m[1]}, [2]int{p.from + m[4] + 1, p.from + m[5] - 1}, true
		}
	}
	return whole, value, false
}

func (x *xmlText) attr(p place, name string) (string, bool) {
	_, v, ok := x.locate(p, name)
	if !ok {
		return "", false
	}
	var t struct {
		V string `xml:"v,attr"`
	}
	raw := strings.ReplaceAll(x.text[v[0]:v[1]], `"`, "&quot;")
	if err := xml.Unmarshal([]byte(`<t v="`+raw+`"/>`), &t); err != nil {
		return x.text[v[0]:v[1]], true
	}
	return t.V, true
}

func (x *xmlText) splice(from, to int, with string) { x.text = x.text[:from] + with + x.text[to:] }

func (x *xmlText) setAttr(p place, name, value string) {
	if _, v, ok := x.locate(p, name); ok {
		x.splice(v[0], v[1], escape(value))
		return
	}
	end := p.to - 1
	if x.text[end-1] == '/' {
		end--
	}
	for x.text[end-1] == ' ' {
		end--
	}
	x.splice(end, end, " "+name+`="`+escape(value)+`"`)
}

func (x *xmlText) cutAttr(p place, name string) {
	if whole, _, ok := x.locate(p, name); ok {
		x.splice(whole[0], whole[1], "")
	}
}

// cutElement takes an empty-element tag away with the blanks before it.
func (x *xmlText) cutElement(p place) {
	if !strings.HasSuffix(x.text[p.from:p.to], "/>") {
		return
	}
	from := p.from
	for from > 0 && strings.ContainsRune(" \t\r\n", rune(x.text[from-1])) {
		from--
	}
	x.splice(from, p.to, "")
}

// insert makes a missing element as the last child of its parent, indented like its siblings.
func (x *xmlText) insert(p place, s segment, name, value string) {
	var tag strings.Builder
	tag.WriteString("<" + s.name)
	for _, w := range s.where {
		tag.WriteString(" " + w[0] + `="` + escape(w[1]) + `"`)
	}
	tag.WriteString(" " + name + `="` + escape(value) + `" />`)
	if p.selfClosed {
		start := x.text[p.parentFrom:p.parentTo]
		word := strings.FieldsFunc(start[1:], func(c rune) bool { return strings.ContainsRune(" \t\r\n/>", c) })[0]
		x.splice(p.parentFrom, p.parentTo,
			strings.TrimRight(strings.TrimSuffix(start, "/>"), " \t")+">"+tag.String()+"</"+word+">")
		return
	}
	// behind the last child's own line, or before the parent's end tag: in front of the blanks that
	// indent the end tag
	at := p.closing
	for at > p.parentTo && strings.ContainsRune(" \t\r\n", rune(x.text[at-1])) {
		at--
	}
	indent := ""
	if p.sibling >= 0 {
		from := p.sibling
		for from > 0 && strings.ContainsRune(" \t\r\n", rune(x.text[from-1])) {
			from--
		}
		indent = x.text[from:p.sibling]
	} else {
		indent = x.text[at:p.closing] + "  "
	}
	x.splice(at, at, indent+tag.String())
}

// writable says that XML can carry a value. Source: XML 1.0, Char.
func writable(value string) bool {
	if !utf8.ValidString(value) {
		return false
	}
	for _, r := range value {
		if (r < ' ' && r != '\t' && r != '\n' && r != '\r') || r == 0xFFFE || r == 0xFFFF {
			return false
		}
	}
	return true
}

func escape(value string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&#39;", "\n", "&#10;", "\r",
		"&#13;", "\t", "&#9;").Replace(value)
}
