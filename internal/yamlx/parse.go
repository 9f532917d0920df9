// Package yamlx reads YAML strictly, with the place of every value. It is the only package that
// knows a YAML library.
//
// What it refuses: files over a size, deep nesting, many values, aliases that expand to much (an
// "alias bomb") or to themselves, text that is not UTF-8, control characters, several documents,
// duplicate keys, merge keys, tags, keys that are not text. What YAML reads differently from what a
// person may have meant (0777, 1_000, 1.10, yes) becomes a warning.
package yamlx

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// Limits bound what a file may cost. A zero field means the default.
type Limits struct {
	Size  int // bytes, default 1 MB
	Depth int // maps and lists within each other, default 64
	Nodes int // values after the expansion of aliases, default 100000
}

func (l Limits) orDefault() Limits {
	if l.Size == 0 {
		l.Size = 1 << 20
	}
	if l.Depth == 0 {
		l.Depth = 64
	}
	if l.Nodes == 0 {
		l.Nodes = 100_000
	}
	return l
}

// Doc is a parsed file.
type Doc struct {
	File     string
	Root     *Node
	Warnings []*Error // values that YAML reads in a surprising way
}

// Parse reads one document. The error holds every mistake that could be found; see All.
func Parse(file string, data []byte, limits Limits) (*Doc, error) {
	limits = limits.orDefault()
	if err := screen(file, data, limits); err != nil {
		return nil, err
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	p := &parser{file: file, limits: limits}
	root, err := p.read(data)
	if err != nil {
		return nil, err
	}
	doc := &Doc{File: file}
	doc.Root = p.convert(root, 1, nil)
	doc.Warnings = p.warnings.errs
	if err := p.list.Err(); err != nil {
		return nil, err
	}
	return doc, nil
}

// screen refuses what no YAML library needs to see.
func screen(file string, data []byte, limits Limits) error {
	if len(data) > limits.Size {
		return &Error{File: file, Line: 1, Col: 1, Msg: fmt.Sprintf("the file has %d bytes, more than the %d allowed",
			len(data), limits.Size),
			Hint: "check that this is the right file; a site or playbook has some hundred lines"}
	}
	if bytes.HasPrefix(data, []byte{0xff, 0xfe}) || bytes.HasPrefix(data, []byte{0xfe, 0xff}) {
		return &Error{File: file, Line: 1, Col: 1, Msg: "the file is written in UTF-16", Hint: "save it as UTF-8"}
	}
	line, col := 1, 0
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		col++
		switch {
		case r == utf8.RuneError && size <= 1:
			return &Error{File: file, Line: line, Col: col, Msg: fmt.Sprintf("byte %#02x is not UTF-8 text", data[i]),
				Hint: "save the file as UTF-8"}
		case r == '\n':
			line, col = line+1, 0
		case r == '\r' && !bytes.HasPrefix(data[i+1:], []byte("\n")), r == 0x85, r == 0x2028, r == 0x2029:
			// YAML ends a line here and editors do not: every place after it would be wrong
			return &Error{File: file, Line: line, Col: col, Msg: fmt.Sprintf("the line end U+%04X", r),
				Hint: "save the file with the line ends of Unix or Windows"}
		case r < ' ' && r != '\t' && r != '\r', r == 0x7f:
			return &Error{File: file, Line: line, Col: col, Msg: fmt.Sprintf("control character %#02x; this is not a text file",
				r),
				Hint: "give the path of a YAML file"}
		}
		i += size
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return &Error{File: file, Line: 1, Col: 1, Msg: "the file is empty",
			Hint: "`deploy schema` and the examples show what belongs in it"}
	}
	return nil
}

type parser struct {
	file     string
	limits   Limits
	list     List
	warnings List
	nodes    int
	full     bool // a limit was hit: stop without more messages
}

// read runs the library. A panic in it is answered as an error: the file comes from outside, and
// the library is not ours.
func (p *parser) read(data []byte) (root *yaml.Node, err error) {
	defer func() {
		if r := recover(); r != nil {
			root, err = nil, &Error{File: p.file, Line: 1, Col: 1, Msg: "cannot be read as YAML",
				Hint: "check for unusual characters"}
		}
	}()
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, next yaml.Node
	if err := dec.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, &Error{File: p.file, Line: 1, Col: 1, Msg: "the file holds nothing but comments",
				Hint: "`deploy schema` and the examples show what belongs in it"}
		}
		return nil, p.syntax(data, err)
	}
	switch err := dec.Decode(&next); {
	case err == nil:
		line, col := p.separator(data, next)
		return nil, &Error{File: p.file, Line: line, Col: col, Msg: "a second document begins here",
			Hint: "keep one document in a file: remove the line ---"}
	case !errors.Is(err, io.EOF):
		return nil, p.syntax(data, err)
	}
	if len(doc.Content) == 0 {
		return nil, &Error{File: p.file, Line: 1, Col: 1, Msg: "the file holds nothing",
			Hint: "`deploy schema` and the examples show what belongs in it"}
	}
	return doc.Content[0], nil
}

// separator finds the --- above the second document.
func (p *parser) separator(data []byte, next yaml.Node) (line, col int) {
	line, col = max(next.Line, 1), max(next.Column, 1)
	lines := strings.Split(string(data), "\n")
	for i := min(line, len(lines)); i > 0; i-- {
		if strings.HasPrefix(lines[i-1], "---") {
			return i, 1
		}
	}
	return line, col
}

// syntaxLine finds the library's line in its message: it gives no other place.
var syntaxLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

func (p *parser) syntax(data []byte, err error) error {
	msg := err.Error()
	line := 1
	if m := syntaxLine.FindStringSubmatch(msg); m != nil {
		if m[1] != "" {
			line, _ = strconv.Atoi(m[1])
		}
		msg = msg[len(m[0]):]
	}
	if fromParser(msg) {
		line++ // the library counts these lines from 0
	}
	lines := strings.Split(string(data), "\n")
	line = min(max(line, 1), len(lines))
	hintText := "check the indentation, and quote text that holds : # { [ or starts with a sign"
	switch {
	case strings.Contains(msg, "found a tab") || strings.Contains(msg, "cannot start any token"):
		// the library may name the line after the tab
		for i := max(line-2, 0); i < min(line+1, len(lines)); i++ {
			indent := lines[i][:len(lines[i])-len(strings.TrimLeft(lines[i], " \t"))]
			if t := strings.IndexByte(indent, '\t'); t >= 0 {
				return &Error{File: p.file, Line: i + 1, Col: t + 1, Msg: "a tab in the indentation",
					Hint: "indent with spaces: YAML allows no tabs there"}
			}
		}
	case strings.Contains(msg, "unknown anchor"):
		found, col := findAlias(lines, msg)
		// the name is not shown: it may be a password that begins with a star
		msg = "an alias (*name) for an anchor that is not there"
		hintText = "define the anchor (&name) above its use, or quote text that starts with *"
		if found > 0 {
			return &Error{File: p.file, Line: found, Col: col, Msg: msg, Hint: hintText}
		}
	case strings.Contains(msg, "exceeded max depth"):
		msg, hintText = "the file is nested too deeply", "check that this is the right file"
	}
	text := lines[line-1]
	col := len([]rune(text)) - len([]rune(strings.TrimLeft(text, " \t"))) + 1
	return &Error{File: p.file, Line: line, Col: col, Msg: msg, Hint: hintText}
}

// fromParser tells the library's messages whose line is counted from 0 from those whose line is
// counted from 1.
func fromParser(msg string) bool {
	for _, s := range []string{"did not find expected key", "did not find expected node content",
		"did not find expected '-' indicator",
		"did not find expected ',' or", "did not find expected <", "found duplicate %YAML", "found incompatible YAML",
		"found undefined tag handle"} {
		if strings.HasPrefix(msg, s) {
			return true
		}
	}
	return false
}

var anchorName = regexp.MustCompile(`unknown anchor '([^']*)'`)

// findAlias finds the alias of an "unknown anchor" message, which has no place.
func findAlias(lines []string, msg string) (line, col int) {
	m := anchorName.FindStringSubmatch(msg)
	if m == nil {
		return 0, 0
	}
	for i, text := range lines {
		if at := strings.Index(text, "*"+m[1]); at >= 0 && !strings.HasPrefix(strings.TrimSpace(text), "#") {
			return i + 1, len([]rune(text[:at])) + 1
		}
	}
	return 0, 0
}

func (p *parser) fail(n *yaml.Node, hintText, format string, args ...any) {
	p.list.Add(&Error{File: p.file, Line: n.Line, Col: n.Column, Msg: fmt.Sprintf(format, args...), Hint: hintText})
}

// convert makes our node. open holds the anchors that are being expanded, so that one which holds
// itself is seen.
func (p *parser) convert(y *yaml.Node, depth int, open []*yaml.Node) *Node {
	n := &Node{Line: y.Line, Col: y.Column}
	if p.full {
		return n
	}
	p.nodes++
	if p.nodes > p.limits.Nodes {
		p.full = true
		p.fail(y, "do not repeat values with anchors (&) and aliases (*)", "the file expands to more than %d values",
			p.limits.Nodes)
		return n
	}
	if depth > p.limits.Depth {
		p.full = true
		p.fail(y, "check that this is the right file", "the file is nested more than %d levels deep", p.limits.Depth)
		return n
	}
	switch y.Kind {
	case yaml.AliasNode:
		if slices.Contains(open, y.Alias) {
			p.fail(y, "remove it", "an alias stands inside what it names")
			return n
		}
		got := p.convert(y.Alias, depth, append(slices.Clone(open), y.Alias))
		got.Line, got.Col = y.Line, y.Column
		return got
	case yaml.SequenceNode:
		p.tag(y, "!!seq")
		n.Kind = Seq
		if y.Anchor != "" {
			open = append(slices.Clone(open), y)
		}
		for _, item := range y.Content {
			n.Items = append(n.Items, p.convert(item, depth+1, open))
		}
	case yaml.MappingNode:
		p.tag(y, "!!map")
		n.Kind = Map
		if y.Anchor != "" {
			open = append(slices.Clone(open), y)
		}
		p.mapping(y, n, depth, open)
	case yaml.ScalarNode:
		p.scalar(y, n)
	}
	return n
}

func (p *parser) mapping(y *yaml.Node, n *Node, depth int, open []*yaml.Node) {
	first := map[string]int{}
	for i := 0; i+1 < len(y.Content); i += 2 {
		key, value := y.Content[i], y.Content[i+1]
		switch {
		case key.Kind != yaml.ScalarNode:
			p.fail(key, "write a plain word before the colon; quote a text that starts with { [ or *", "a key must be text")
			continue
		case key.ShortTag() == "!!merge":
			p.fail(key, "write the keys out here", "merge keys (<<) are not allowed")
			continue
		}
		if line, ok := first[key.Value]; ok {
			p.fail(key, fmt.Sprintf("it is also in line %d; keep one of them", line), "duplicate key %q",
				key.Value)
			continue
		}
		first[key.Value] = key.Line
		v := p.convert(value, depth+1, open)
		v.KeyLine, v.KeyCol = key.Line, key.Column
		n.Keys = append(n.Keys, key.Value)
		n.Items = append(n.Items, v)
	}
}

// tag refuses explicit tags other than the natural one: they would change what the text means.
func (p *parser) tag(y *yaml.Node, natural string) {
	if y.Style&yaml.TaggedStyle != 0 && y.ShortTag() != natural {
		// it may be a password that begins with !
		p.fail(y, "remove it; quote the value if it must be text", "a tag (!name) is not allowed")
	}
}

func sortedKeys(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) }
