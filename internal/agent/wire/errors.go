package wire

import (
	"context"
	"errors"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/internal/task"
	"deploy/steps"
)

// Error is an error on its way: its text, and those of its parts on which somebody decides.
type Error struct {
	Text     string   `json:"text"`
	Hint     string   `json:"hint,omitempty"`
	Is       []string `json:"is,omitempty"` // names of sentinels
	Code     *Code    `json:"code,omitempty"`
	Until    *Until   `json:"until,omitempty"`
	Settling bool     `json:"settling,omitempty"`
	Left     string   `json:"left,omitempty"` // why an undo rightly left something
	Link     bool     `json:"link,omitempty"` // the agent's own link to a machine, outcome unknown when Sent
	Sent     bool     `json:"sent,omitempty"`
}

// Code is a node.CodeError.
type Code struct {
	Op       string `json:"op"`
	Code     int64  `json:"code"`
	ID       string `json:"id,omitempty"`
	Category string `json:"category,omitempty"`
	Text     string `json:"text,omitempty"`
}

// Until is a steps.UntilError.
type Until struct {
	Tag string `json:"tag"`
	Why string `json:"why"`
}

// sentinels are the errors that keep their identity, by name.
func sentinels() map[string]error {
	return map[string]error{
		"not-found": node.ErrNotFound, "auth": node.ErrAuth, "host-key": node.ErrHostKey, "unsupported": node.ErrUnsupported,
		"superseded": node.ErrSuperseded,
		"reboot-due": steps.ErrRebootDue, "no-return": task.ErrNoReturn,
		"record-damaged": task.ErrRecordDamaged,
		"deadline":       context.DeadlineExceeded, "cancelled": context.Canceled,
	}
}

// NewError encodes err; nil stays nil. redact masks secrets in text that comes from machines and
// tools; it may be nil.
func NewError(err error, redact func(string) string) *Error {
	if err == nil {
		return nil
	}
	if redact == nil {
		redact = func(s string) string { return s }
	}
	e := &Error{Text: redact(err.Error()), Hint: redact(hint.Of(err))}
	for name, s := range sentinels() {
		if errors.Is(err, s) {
			e.Is = append(e.Is, name)
		}
	}
	var code *node.CodeError
	if errors.As(err, &code) {
		e.Code = &Code{redact(code.Op), code.Code, code.ID, code.Category, redact(code.Text)}
	}
	var until *steps.UntilError
	if errors.As(err, &until) {
		e.Until = &Until{until.Tag, redact(until.Why)}
	}
	var settling *steps.SettlingError
	e.Settling = errors.As(err, &settling)
	var left *steps.LeftError
	if errors.As(err, &left) {
		e.Left = redact(left.Why)
	}
	var link *node.LinkError
	if errors.As(err, &link) {
		e.Link, e.Sent = true, link.Sent
	}
	return e
}

// Err decodes: errors.Is and errors.As find in the result what they found in the original. A nil
// Error is nil.
func (e *Error) Err() error {
	if e == nil {
		return nil
	}
	r := &remote{text: e.Text}
	known := sentinels()
	for _, name := range e.Is {
		if s := known[name]; s != nil {
			r.parts = append(r.parts, s)
		}
	}
	if c := e.Code; c != nil {
		r.parts = append(r.parts, &node.CodeError{Op: c.Op, Code: c.Code, ID: c.ID, Category: c.Category, Text: c.Text})
	}
	if c := e.Code; c != nil && c.ID == node.SupersededID {
		r.parts = append(r.parts, &node.SupersededError{Record: c.Text})
	}
	if u := e.Until; u != nil {
		r.parts = append(r.parts, &steps.UntilError{Tag: u.Tag, Why: u.Why})
	}
	if e.Left != "" {
		r.parts = append(r.parts, &steps.LeftError{Why: e.Left})
	}
	if e.Link {
		r.parts = append(r.parts, &node.LinkError{Sent: e.Sent, Err: errors.New(e.Text)})
	}
	var err error = r
	if e.Settling {
		err = steps.Settling(err)
	}
	if e.Hint != "" {
		err = hint.Wrap(err, e.Hint)
	}
	return err
}

// remote is an error that happened beside the machine.
type remote struct {
	text  string
	parts []error
}

func (r *remote) Error() string { return r.text }

func (r *remote) Unwrap() []error { return r.parts }
