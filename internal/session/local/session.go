package local

import (
	"context"
	"fmt"

	"deploy/internal/node"
	"deploy/internal/session"
)

// Session is the machine that the program runs on. It is safe for concurrent use.
type Session struct {
	session.Core
	opts     Options
	platform platform
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
	s.Init(opts.Options, s, false)
	facts, err := s.open(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot take the facts of %s: %w", opts.Node, err)
	}
	s.SetFacts(facts)
	return s, nil
}

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
