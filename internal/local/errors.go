package local

import (
	"context"
	"errors"
	"io/fs"
	"syscall"

	"deploy/internal/hint"
	"deploy/internal/node"
)

// Ids of refusals that are not an errno's or the system's own.
const (
	idNotFound    = "deploy.NotFound"
	idUnsupported = "deploy.Unsupported"
	idTimeout     = "deploy.Timeout"
	idRefused     = "deploy.Refused"
	idBusy        = "deploy.Busy"
	idBadName     = "deploy.BadName"
)

// refusal is what the machine answered, and which of package node's answers it is. errors.As finds the CodeError in it,
// errors.Is the kind.
type refusal struct {
	node string
	code *node.CodeError
	kind error // nil, or one of node's sentinels
}

func (r *refusal) Error() string { return r.node + ": " + r.code.Error() }

func (r *refusal) Unwrap() []error {
	if r.kind == nil {
		return []error{r.code}
	}
	return []error{r.kind, r.code}
}

// refuse makes a refusal with an id of its own.
func (s *Session) refuse(op, id string, code int64, text string) error {
	r := &refusal{node: s.opts.Node, code: &node.CodeError{Op: op, Code: code, ID: id, Text: text}}
	switch id {
	case idNotFound:
		r.kind = node.ErrNotFound
	case idUnsupported:
		r.kind = node.ErrUnsupported
	}
	return r
}

// kindOf is what an error is for package node.
func kindOf(err error) error {
	for _, kind := range []error{node.ErrNotFound, node.ErrUnsupported} {
		if errors.Is(err, kind) {
			return kind
		}
	}
	return nil
}

func (s *Session) unsupported(op, text string) error {
	return s.refuse(op, idUnsupported, int64(errUnsupported), text)
}

// fail types an error of the operating system. What is typed already, and the end of a context, stays as it is.
func (s *Session) fail(op string, err error) error {
	var known *refusal
	if err == nil || errors.As(err, &known) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	r := &refusal{node: s.opts.Node, code: &node.CodeError{Op: op, Code: -1, Text: err.Error()}}
	var errno syscall.Errno
	var typed *node.CodeError
	switch {
	case errors.As(err, &typed): // by the system's own side
		return &refusal{node: s.opts.Node, code: typed, kind: kindOf(err)}
	case errors.As(err, &errno):
		r.code.Code, r.code.Text = codeOf(errno), errno.Error()
	}
	if errors.Is(err, fs.ErrNotExist) || isAbsent(errno) {
		r.kind, r.code.ID = node.ErrNotFound, idNotFound
	}
	if isDiskFull(errno) {
		return hint.Wrap(r, "make room on that disk of "+s.opts.Node+", then run again")
	}
	return r
}
