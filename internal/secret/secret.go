// Package secret holds values that must not be seen: passwords, keys, tokens.
// A Value prints as [secret] in every way Go can print it; only Reveal gives it away,
// and Reveal is called by transports and by the job starter, nowhere else.
package secret

import (
	"fmt"
	"io"
	"sort"
	"strings"
	"sync"
)

// Mask is what stands where a secret would.
const Mask = "[secret]"

// Value is a secret string. Its zero value is "no secret".
type Value struct{ s string }

// New makes a Value of s.
func New(s string) Value { return Value{s} }

// Reveal returns the secret itself.
func (v Value) Reveal() string { return v.s }

// IsZero says that there is no secret.
func (v Value) IsZero() bool { return v.s == "" }

// String, GoString, Format and the marshalers all answer the mask.
func (v Value) String() string { return Mask }

// GoString answers the mask for %#v.
func (v Value) GoString() string { return Mask }

// Format answers the mask for every verb.
func (v Value) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, Mask) }

// MarshalText answers the mask for JSON, YAML and slog.
func (v Value) MarshalText() ([]byte, error) { return []byte(Mask), nil }

// Redactor masks known secrets in text that came from somewhere else (a tool's output, a library's
// error). It is the second line of defence: the first is not to put secrets there. Safe for
// concurrent use.
type Redactor struct {
	mu    sync.RWMutex
	known []string
}

// Add makes the redactor know v. Secrets under four characters are not searched for: they would
// mask half the text.
func (r *Redactor) Add(v Value) {
	if len(v.s) < 4 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, k := range r.known {
		if k == v.s {
			return
		}
	}
	r.known = append(r.known, v.s)
	// longest first, so that a secret that contains another is masked whole
	sort.Slice(r.known, func(i, j int) bool { return len(r.known[i]) > len(r.known[j]) })
}

// Redact returns text with every known secret masked. A nil Redactor returns text.
func (r *Redactor) Redact(text string) string {
	if r == nil {
		return text
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, k := range r.known {
		text = strings.ReplaceAll(text, k, Mask)
	}
	return text
}

// Ref is where a secret is to be found. At most one field is set; the zero Ref is "none given".
type Ref struct {
	Env     string   `json:"env,omitempty"`     // environment variable
	File    string   `json:"file,omitempty"`    // file; one trailing line end is cut
	Command []string `json:"command,omitempty"` // program and arguments; its output, one trailing line end cut
	Prompt  string   `json:"prompt,omitempty"`  // the question to ask on the terminal
}

// IsZero says that no place is named.
func (r Ref) IsZero() bool {
	return r.Env == "" && r.File == "" && len(r.Command) == 0 && r.Prompt == ""
}
