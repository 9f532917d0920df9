package yamlx

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

var (
	plainInt = regexp.MustCompile(`^[-+]?(0|[1-9][0-9]*)$`)
	// what stands before a control character when a path was meant: a drive, a share, or folders
	pathBefore = regexp.MustCompile(`(?i)^([a-z]:|.*\\|(/[^/\s]+)+)[^\s]*$`)
	plainFloat = regexp.MustCompile(`^[-+]?(0|[1-9][0-9]*)\.[0-9]+$`)
)

// scalar fills n with the value of a scalar. Only decimal numbers, true and false are more than
// text; the other forms that YAML reads as numbers keep the library's meaning where a person could
// mean it, with a warning.
func (p *parser) scalar(y *yaml.Node, n *Node) {
	n.Kind, n.Raw = Scalar, y.Value
	switch {
	case y.Style&yaml.DoubleQuotedStyle != 0:
		n.Style = DoubleQuoted
	case y.Style&yaml.SingleQuotedStyle != 0:
		n.Style = SingleQuoted
	case y.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		n.Style = Block
	}
	if y.Style&yaml.TaggedStyle != 0 {
		p.tag(y, "!!str")
		n.Value = y.Value
		return
	}
	if n.Style != Plain {
		n.Value = y.Value
		if n.Style == DoubleQuoted {
			p.escapes(y)
		}
		return
	}
	switch y.ShortTag() {
	case "!!null":
		n.Kind = Null
	case "!!bool":
		n.Value = strings.EqualFold(y.Value, "true")
	case "!!int":
		p.integer(y, n)
	case "!!float":
		p.float(y, n)
	default: // text, and dates, which stay as they are written
		n.Value = y.Value
		switch strings.ToLower(y.Value) {
		case "yes", "no", "on", "off":
			p.warn(y, "write true or false, or put it in quotes", "%s is the text %q here, not a truth value", y.Value, y.Value)
		}
	}
}

// escapes warns of a Windows path between double quotes: YAML takes \t there for a tab.
func (p *parser) escapes(y *yaml.Node) {
	names := map[rune]string{'\t': `\t as a tab`, '\r': `\r as a carriage return`, '\n': `\n as a line end`,
		'\b': `\b as a backspace`, '\f': `\f as a form feed`, '\v': `\v as a vertical tab`, '\a': `\a as a bell`,
		0x1b: `\e as an escape character`, 0: `\0 as a zero byte`}
	for at, c := range y.Value {
		if name, ok := names[c]; ok && pathBefore.MatchString(y.Value[:at]) {
			p.warn(y, `put paths in single quotes: 'C:\temp'`, "between double quotes YAML reads %s", name)
			return
		}
	}
}

func (p *parser) integer(y *yaml.Node, n *Node) {
	if plainInt.MatchString(y.Value) {
		i, err := strconv.ParseInt(y.Value, 10, 64)
		if err != nil {
			p.fail(y, "put it in quotes if it is text", "the number is too large")
			return
		}
		n.Value = int(i)
		return
	}
	var i int64
	if err := y.Decode(&i); err != nil {
		p.fail(y, "put it in quotes if it is text", "cannot read this number")
		return
	}
	n.Value = int(i)
	p.warn(y, fmt.Sprintf("write %d, or %q if it is text", i, y.Value), "YAML reads %s as the number %d", y.Value, i)
}

func (p *parser) float(y *yaml.Node, n *Node) {
	if plainInt.MatchString(y.Value) {
		p.fail(y, "put it in quotes if it is text", "the number is too large")
		return
	}
	var f float64
	if err := y.Decode(&f); err != nil || f != f || f > 1e300 || f < -1e300 {
		p.fail(y, "put it in quotes if it is text", "cannot use this number")
		return
	}
	n.Value = f
	short := strconv.FormatFloat(f, 'f', -1, 64)
	if !plainFloat.MatchString(y.Value) || (short != strings.TrimPrefix(y.Value, "+") && short+".0" != y.Value) {
		p.warn(y, fmt.Sprintf("write %q in quotes if it is a version or other text", y.Value),
			"YAML reads %s as the number %s", y.Value, short)
	}
}

func (p *parser) warn(y *yaml.Node, hintText, format string, args ...any) {
	p.warnings.Add(&Error{File: p.file, Line: y.Line, Col: y.Column, Msg: fmt.Sprintf(format, args...), Hint: hintText})
}
