package session

import (
	"context"
	"fmt"

	"deploy/internal/node"
)

// Answer waits for what a batch brings. ok is false where it brings nothing: the request must be
// asked on its own then.
type Answer func(ctx context.Context) (rows []node.Row, err error, ok bool)

// waiting is an answer that waits for as many askers as wanted it.
type waiting struct {
	answer Answer
	uses   int
}

// Fetch sends all queries ahead by send, which does not wait: it gives an answer for each
// request, or nil for one that must be asked on its own. A query that a Reader may not ask is
// left out: the error comes when it is asked for.
func (c *Core) Fetch(ctx context.Context, qs []node.Query, send func([]node.Request) ([]Answer, error)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var keys []string
	var reqs []node.Request
	uses := map[string]int{}
	for _, q := range qs {
		r, err := c.readable(q)
		if err != nil {
			continue
		}
		key := keyOf(r)
		if uses[key]++; uses[key] == 1 {
			keys, reqs = append(keys, key), append(reqs, r)
		}
	}
	if len(reqs) == 0 {
		return nil
	}
	answers, err := send(reqs)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, key := range keys {
		if answers[i] != nil {
			c.cache[key] = &waiting{answer: answers[i], uses: uses[key]}
		}
	}
	c.o.Log.DebugContext(ctx, "prefetch", "node", c.o.Node, "queries", len(reqs))
	return nil
}

// taken takes one use of a waiting answer. Each answer serves as often as it was wanted, so that a
// step that polls sees news.
func (c *Core) taken(key string) Answer {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := c.cache[key]
	if w == nil {
		return nil
	}
	if w.uses--; w.uses == 0 {
		delete(c.cache, key)
	}
	return w.answer
}

// Forget drops the answers that wait.
func (c *Core) Forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.cache)
}

func keyOf(r node.Request) string { return fmt.Sprintf("%s %#v", r.Verb, r.Args) }
