package yamlx

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/go-multierror"
)

// Error is one mistake in a file. Line and Col start at 1 and count characters, not bytes; Line 0
// means the file as a whole. Msg never holds a secret.
type Error struct {
	File      string
	Line, Col int
	Msg       string
	Hint      string // what a person can do about it, or ""
	Missing   string // the key that is not there, where that is the mistake
}

// Error answers "file:line:col: message", and the hint on a line of its own.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", e.Line, max(e.Col, 1))
	}
	b.WriteString(": " + e.Msg)
	if e.Hint != "" {
		b.WriteString("\n  hint: " + e.Hint)
	}
	return b.String()
}

// List collects mistakes, so that a person sees all of them at once. The zero List is ready for
// use.
type List struct {
	errs []*Error
}

// Add adds a mistake. The same message at the same place is kept once.
func (l *List) Add(e *Error) {
	for _, have := range l.errs {
		if *have == *e {
			return
		}
	}
	l.errs = append(l.errs, e)
}

// At adds a mistake at a node of file.
func (l *List) At(file string, n *Node, hint, format string, args ...any) {
	line, col := n.Pos()
	l.Add(&Error{File: file, Line: line, Col: col, Msg: fmt.Sprintf(format, args...), Hint: hint})
}

// AtKey adds a mistake at the key of a node, or at the node when it has none.
func (l *List) AtKey(file string, n *Node, hint, format string, args ...any) {
	line, col := n.KeyPos()
	l.Add(&Error{File: file, Line: line, Col: col, Msg: fmt.Sprintf(format, args...), Hint: hint})
}

// Merge adds every Error within err; any other error becomes one without a place.
func (l *List) Merge(file string, err error) {
	if err == nil {
		return
	}
	if all := All(err); len(all) > 0 {
		for _, e := range all {
			l.Add(e)
		}
		return
	}
	l.Add(&Error{File: file, Msg: err.Error()})
}

// Len is the number of mistakes so far.
func (l *List) Len() int { return len(l.errs) }

// Err returns nil, or all mistakes joined, sorted by file and place. errors.As finds an *Error in
// it; All gives every one.
func (l *List) Err() error {
	if len(l.errs) == 0 {
		return nil
	}
	sorted := slices.Clone(l.errs)
	slices.SortStableFunc(sorted, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col))
	})
	joined := &multierror.Error{ErrorFormat: render}
	for _, e := range sorted {
		joined.Errors = append(joined.Errors, e)
	}
	return joined
}

// shown bounds what is printed: a wrong kind of file can have thousands of mistakes, and the first
// ones tell what is wrong.
const shown = 50

func render(errs []error) string {
	var lines []string
	for i, e := range errs {
		if i == shown {
			lines = append(lines, fmt.Sprintf("and %d more", len(errs)-shown))
			break
		}
		lines = append(lines, e.Error())
	}
	return strings.Join(lines, "\n")
}

// All returns every Error within err, in order.
func All(err error) []*Error {
	var joined *multierror.Error
	if errors.As(err, &joined) {
		var out []*Error
		for _, e := range joined.Errors {
			out = append(out, All(e)...)
		}
		return out
	}
	var one *Error
	if errors.As(err, &one) {
		return []*Error{one}
	}
	return nil
}
