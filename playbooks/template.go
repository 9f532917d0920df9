package playbooks

import (
	"strings"

	"deploy/internal/yamlx"
)

// A text holds expressions between ${{ and }}. $${{ stands for ${{ itself.

// part is a piece of a text: plain text, or an expression.
type part struct {
	text  string
	expr  bool
	start int // of the piece within the text, in characters
}

// split cuts a text into its parts. A text without expressions is one plain part.
func split(s string) ([]part, error) {
	var out []part
	plain := strings.Builder{}
	flush := func() {
		if plain.Len() > 0 {
			out = append(out, part{text: plain.String()})
			plain.Reset()
		}
	}
	r := []rune(s)
	for i := 0; i < len(r); {
		switch {
		case has(r, i, "$${{"):
			plain.WriteString("${{")
			i += 4
		case has(r, i, "${{"):
			end := closing(r, i+3)
			if end < 0 {
				return nil, &exprError{offset: i, msg: "an expression without its end", hint: "close it with }}, and quote the " +
					"whole text: # after a blank begins a comment. $${{ stands for a plain ${{"}
			}
			flush()
			out = append(out, part{text: string(r[i+3 : end]), expr: true, start: i + 3})
			i = end + 2
		default:
			plain.WriteRune(r[i])
			i++
		}
	}
	flush()
	return out, nil
}

func has(r []rune, i int, want string) bool {
	return i+len(want) <= len(r) && string(r[i:i+len(want)]) == want
}

// closing finds the }} that ends an expression, past quoted text and braces within it.
func closing(r []rune, i int) int {
	depth := 0
	for ; i < len(r); i++ {
		switch r[i] {
		case '\'', '"', '`':
			quote := r[i]
			for i++; i < len(r) && r[i] != quote; i++ {
				if r[i] == '\\' && quote != '`' {
					i++
				}
			}
		case '{':
			depth++
		case '}':
			if depth == 0 && has(r, i, "}}") {
				return i
			}
			depth--
		}
	}
	return -1
}

// place is where a text stands in a file: a scalar, and how far within it.
type place struct {
	file  string
	lines []string // of the file
	node  *yamlx.Node
	start int // characters from the beginning of the scalar's value
}

// at finds the line and column of a character of the text. Where escapes, folding or line ends
// stand in between, it answers the beginning of the scalar, which is never wrong by more than the
// scalar.
func (p place) at(offset int) (line, col int) {
	line, col = p.node.Pos()
	value := []rune(p.node.Text())
	offset += p.start
	if offset < 0 || offset > len(value) {
		return line, col
	}
	before := string(value[:offset])
	switch p.node.Style {
	case yamlx.Plain:
		if strings.Contains(before, "\n") || !p.matches(line, col, before) {
			return line, col
		}
		return line, col + offset
	case yamlx.SingleQuoted:
		written := strings.ReplaceAll(before, "'", "''")
		if !p.matches(line, col+1, written) {
			return line, col
		}
		return line, col + 1 + len([]rune(written))
	case yamlx.DoubleQuoted:
		if !p.matches(line, col+1, before) {
			return line, col
		}
		return line, col + 1 + offset
	}
	return p.inBlock(line, col, before)
}

// matches says that the source has exactly text at a place.
func (p place) matches(line, col int, text string) bool {
	if line < 1 || line > len(p.lines) {
		return false
	}
	r := []rune(p.lines[line-1])
	return col >= 1 && col-1 <= len(r) && strings.HasPrefix(string(r[col-1:]), text)
}

func (p place) inBlock(line, col int, before string) (int, int) {
	rows := strings.Split(before, "\n")
	at := line + len(rows)
	if at < 1 || at > len(p.lines) {
		return line, col
	}
	source := p.lines[at-1]
	indent := len(source) - len(strings.TrimLeft(source, " "))
	last := rows[len(rows)-1]
	if !strings.HasPrefix(source[indent:], last) {
		return line, col
	}
	return at, indent + len([]rune(last)) + 1
}

// err makes the error of a file of an error within the text.
func (p place) err(e error) *yamlx.Error {
	x, ok := e.(*exprError)
	if !ok {
		line, col := p.node.Pos()
		return &yamlx.Error{File: p.file, Line: line, Col: col, Msg: e.Error()}
	}
	line, col := p.at(x.offset)
	return &yamlx.Error{File: p.file, Line: line, Col: col, Msg: x.msg, Hint: x.hint}
}
