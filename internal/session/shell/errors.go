package shell

import (
	"fmt"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/internal/session/linux"
)

// ownerSet is the operation that puts the owner record in place, on its own or ahead of an act.
const ownerSet = "owner.set"

func (s *Session) refuse(op, id string, code int64, text string) error {
	return s.refusalOf(&node.CodeError{Op: op, Code: code, ID: id, Text: text})
}

func (s *Session) refusalOf(c *node.CodeError) error {
	if c.ID == node.SupersededID {
		return &node.SupersededError{Node: s.opts.Node, Record: c.Text}
	}
	r := &node.Refusal{Node: s.opts.Node, Code: c}
	switch {
	case c.Op == ownerSet && c.ID == "":
		// what cannot be announced on the node is not done: another controller could not know of it
		return hint.Wrap(fmt.Errorf("cannot write the owner record: %w", r),
			"free space on that disk of "+s.opts.Node+", or make it writable")
	case c.ID == linux.IDUnsupported:
		r.Kind = node.ErrUnsupported
	case c.ID == linux.IDNotFound, c.ID == "" && (c.Code == linux.ENOENT || c.Code == linux.ENOTDIR):
		r.Kind, c.ID = node.ErrNotFound, linux.IDNotFound // a path below something that is no directory is not there either
	case c.Code == linux.ENOSPC, c.Code == linux.EDQUOT:
		return hint.Wrap(r, "free space on that disk of "+s.opts.Node+", then run again")
	}
	return r
}
