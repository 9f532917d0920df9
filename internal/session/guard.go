package session

import (
	"fmt"
	"strings"

	"deploy/internal/node"
)

// readable makes a query's request, with its credential in place, and refuses one that could change
// something: nothing of it has left then.
func (c *Core) readable(q node.Query) (node.Request, error) {
	r := q.Request()
	tool, _ := q.(node.Tool)
	if err := c.guard(r, tool.TrustedReadOnly); err != nil {
		return r, err
	}
	return c.withUser(r)
}

// guard is the one rule of what a Reader may ask.
func (c *Core) guard(r node.Request, trusted bool) error {
	args := node.Row(r.Args)
	switch node.Verbs()[r.Verb] {
	case node.Reads:
		return nil
	case node.Depends:
		if r.Verb == "cmdlet" {
			return c.guardCmdlet(args.String("name"))
		}
		argv := args.Strings("argv")
		if r.Verb == "run" && (trusted || c.o.ReadOnly != nil && c.o.ReadOnly(argv)) {
			return nil
		}
		return fmt.Errorf("cannot query %s with %s: it is not a known read-only command", c.o.Node, strings.Join(argv, " "))
	}
	return fmt.Errorf("cannot query %s with %s: it is not a known read-only command", c.o.Node, r.Verb)
}

func (c *Core) guardCmdlet(name string) error {
	verb, _, _ := strings.Cut(strings.ToLower(name), "-")
	if verb != "get" && verb != "test" {
		return fmt.Errorf("cannot query %s with %s: only Get and Test cmdlets read", c.o.Node, name)
	}
	return nil
}
