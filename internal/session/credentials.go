package session

import (
	"fmt"
	"maps"

	"deploy/internal/hint"
	"deploy/internal/node"
)

// withUser puts a credential in the place of its name.
func (c *Core) withUser(r node.Request) (node.Request, error) {
	name, ok := r.Args["as"].(string)
	if !ok {
		return r, nil
	}
	cred, err := c.credential(name)
	if err != nil {
		return r, fmt.Errorf("cannot %s on %s: %w", r.Op(), c.o.Node, err)
	}
	args := maps.Clone(r.Args)
	delete(args, "as")
	args["user"], args["password"] = cred.User, cred.Password.Reveal()
	return node.Request{Verb: r.Verb, Args: args}, nil
}

func (c *Core) credential(name string) (node.Credential, error) {
	cred, ok := c.o.Credentials[name]
	if !ok {
		return cred, hint.Wrap(fmt.Errorf("there is no credential %q", name), "name it under credentials: in the site file")
	}
	return cred, nil
}
