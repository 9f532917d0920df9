package local

import (
	"context"
	"errors"
	"fmt"
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

// refuse makes a refusal with an id of its own.
func (s *Session) refuse(op, id string, code int64, text string) error {
	return s.refusalOf(&node.CodeError{Op: op, Code: code, ID: id, Text: text})
}

func (s *Session) refusalOf(c *node.CodeError) error {
	r := &node.Refusal{Node: s.opts.Node, Code: c}
	switch c.ID {
	case idUnsupported:
		r.Kind = node.ErrUnsupported
	case idNotFound:
		r.Kind = node.ErrNotFound
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

// isLink: the outcome is unknown, which no code can say.
func isLink(err error) bool {
	var link *node.LinkError
	return errors.As(err, &link)
}

func (s *Session) unsupported(op, text string) error {
	return s.refuse(op, idUnsupported, int64(errUnsupported), text)
}

// fail types an error of the operating system. What is a refusal of this machine by name already,
// and the end of a context, stays as it is.
func (s *Session) fail(op string, err error) error {
	var known *node.Refusal
	if err == nil || errors.Is(err, node.ErrSuperseded) ||
		(errors.As(err, &known) && known.Node != "") || errors.Is(err, context.Canceled) ||
		errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	var typed *node.CodeError
	var errno syscall.Errno
	switch {
	case errors.As(err, &typed): // by the system's own side
		return &node.Refusal{Node: s.opts.Node, Code: typed, Kind: kindOf(err)}
	case kindOf(err) != nil || isLink(err):
		return err
	case errors.As(err, &errno):
		return s.errno(op, errno, errno.Error())
	case errors.Is(err, fs.ErrNotExist):
		return s.refuse(op, idNotFound, codeOf(errAbsent), err.Error())
	}
	return fmt.Errorf("%s: %s failed: %w", s.opts.Node, op, err)
}

// errno makes a refusal of an error number. A full disk gets its hint.
func (s *Session) errno(op string, e syscall.Errno, text string) error {
	id := ""
	if isAbsent(e) {
		id = idNotFound
	}
	err := s.refuse(op, id, codeOf(e), text)
	if isDiskFull(e) {
		return hint.Wrap(err, "free space on that disk of "+s.opts.Node+", then run again")
	}
	return err
}
