package posix

import (
	"strings"

	"deploy/internal/hint"
	"deploy/internal/linux"
	"deploy/internal/node"
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

func (s *Session) refuse(op, id string, code int64, text string) error {
	return s.refusalOf(&node.CodeError{Op: op, Code: code, ID: id, Text: text})
}

func (s *Session) refusalOf(c *node.CodeError) error {
	r := &refusal{node: s.opts.Node, code: c}
	switch {
	case c.ID == linux.IDUnsupported:
		r.kind = node.ErrUnsupported
	case c.ID == linux.IDNotFound, c.ID == "" && (c.Code == linux.ENOENT || c.Code == linux.ENOTDIR):
		r.kind, c.ID = node.ErrNotFound, linux.IDNotFound // a path below something that is no directory is not there either
	case c.Code == linux.ENOSPC, c.Code == linux.EDQUOT:
		return hint.Wrap(r, "make room on that disk of "+s.opts.Node+", then run again")
	}
	return r
}

// opOf says what a request does, for people: the verb and what it is about, never a value that it carries.
func opOf(r node.Request) string {
	row := node.Row(r.Args)
	subject := ""
	switch r.Verb {
	case "run":
		subject = first(row.Strings("argv"))
	case "wmi.get":
		subject = row.String("ns") + ":" + row.String("class")
	case "wmi.call":
		subject = row.String("ns") + ":" + row.String("class") + "." + row.String("method")
	case "ad.find":
		subject = row.String("base")
	default:
		for _, name := range []string{"key", "name", "path", "dn", "id"} {
			if row.Has(name) {
				subject = row.String(name)
				break
			}
		}
	}
	return strings.TrimSpace(r.Verb + " " + subject)
}

func first(argv []string) string {
	if len(argv) == 0 {
		return ""
	}
	return argv[0]
}
