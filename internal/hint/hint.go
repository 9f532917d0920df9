// Package hint attaches to an error the one thing a person can do about it.
// The message says what is wrong; the hint, printed on a line of its own, says what to try.
package hint

import (
	"errors"
	"slices"
	"strings"
)

type hinted struct {
	error
	text string
}

func (h hinted) Unwrap() error { return h.error }

// Wrap returns err with a hint. A nil err stays nil.
func Wrap(err error, text string) error {
	if err == nil {
		return nil
	}
	return hinted{err, text}
}

// All returns every distinct hint in err: of each error that errors.Join put together the outermost
// one, in order.
func All(err error) []string {
	var out []string
	var walk func(err error)
	walk = func(err error) {
		if parts := Split(err); len(parts) > 1 {
			if h, ok := outer(err); ok {
				out = append(out, h)
			}
			for _, p := range parts {
				walk(p)
			}
			return
		}
		if h := Of(err); h != "" {
			out = append(out, h)
		}
	}
	walk(err)
	seen := map[string]bool{}
	return slices.DeleteFunc(out, func(h string) bool {
		was := seen[h]
		seen[h] = true
		return was
	})
}

// outer returns the hint that stands around joined errors as a whole.
func outer(err error) (string, bool) {
	for err != nil {
		if h, ok := err.(hinted); ok {
			return h.text, true
		}
		err = errors.Unwrap(err)
	}
	return "", false
}

// Split returns the errors that errors.Join put together, also those within what was joined; any
// other error is returned alone. A wrapper that adds nothing to the text, as Wrap does, is seen
// through.
func Split(err error) []error {
	at := err
	for at != nil {
		if j, ok := at.(interface{ Unwrap() []error }); ok {
			parts := j.Unwrap()
			texts := make([]string, len(parts))
			for i, p := range parts {
				texts[i] = p.Error()
			}
			if strings.Join(texts, "\n") != at.Error() {
				return []error{err} // a sentence about several errors, not a list of them
			}
			var out []error
			for _, p := range parts {
				out = append(out, Split(p)...)
			}
			return out
		}
		next := errors.Unwrap(at)
		if next == nil || next.Error() != at.Error() {
			return []error{err}
		}
		at = next
	}
	return nil
}

// Of returns the outermost hint in err's chain, or "".
func Of(err error) string {
	var h hinted
	if errors.As(err, &h) {
		return h.text
	}
	return ""
}
