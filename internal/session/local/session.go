package local

import (
	"context"
	"fmt"
	"sync/atomic"

	"deploy/internal/hint"
	"deploy/internal/node"
)

// Session is the machine that the program runs on. It is safe for concurrent use.
type Session struct {
	opts     Options
	facts    node.Facts
	platform platform
	fence    atomic.Pointer[node.Fence]
}

var (
	_ node.Session = (*Session)(nil)
	_ node.Fenced  = (*Session)(nil)
)

// Open takes the machine's facts.
func Open(ctx context.Context, opts Options) (*Session, error) {
	opts.defaults()
	ctx, cancel := context.WithTimeout(ctx, opts.Start)
	defer cancel()
	s := &Session{opts: opts}
	if err := s.open(ctx); err != nil {
		return nil, fmt.Errorf("cannot take the facts of %s: %w", opts.Node, err)
	}
	return s, nil
}

// Facts are those of the session's start.
func (s *Session) Facts() node.Facts { return s.facts }

// Mode is "agent" when the session serves an agent, else "local".
func (s *Session) Mode() string {
	if s.opts.Agent {
		return "agent"
	}
	return "local"
}

// Close ends what the session holds of the system. Jobs go on.
func (s *Session) Close() error { return s.close() }

// Prefetch does nothing: an answer is as near as it can be.
func (s *Session) Prefetch(ctx context.Context, _ []node.Query) error { return ctx.Err() }

func (s *Session) credential(name string) (node.Credential, error) {
	cred, ok := s.opts.Credentials[name]
	if !ok {
		return cred, hint.Wrap(fmt.Errorf("there is no credential %q", name), "name it under credentials: in the site file")
	}
	return cred, nil
}
