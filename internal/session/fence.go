package session

import (
	"maps"

	"deploy/internal/node"
)

// SetFence has all that may change the machine compare its owner record first, in the same request.
func (c *Core) SetFence(f node.Fence) { c.fence.Store(&f) }

// Fence is what a writing request is to carry; ok is false where none is set.
func (c *Core) Fence() (f node.Fence, ok bool) {
	p := c.fence.Load()
	if p == nil || p.Journal == "" {
		return node.Fence{}, false
	}
	return *p, true
}

// Fenced adds the fence to a request that may change the machine; owner.set compares by itself.
func (c *Core) Fenced(r node.Request) node.Request {
	f, ok := c.Fence()
	if !ok || r.Verb == "owner.set" {
		return r
	}
	args := maps.Clone(r.Args)
	args[node.FenceArg] = f.Arg()
	return node.Request{Verb: r.Verb, Args: args}
}
