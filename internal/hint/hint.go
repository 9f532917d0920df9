// Package hint attaches to an error the one thing a person can do about it.
// The message says what is wrong; the hint, printed on a line of its own, says what to try.
package hint

import "errors"

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

// Of returns the outermost hint in err's chain, or "".
func Of(err error) string {
	var h hinted
	if errors.As(err, &h) {
		return h.text
	}
	return ""
}
