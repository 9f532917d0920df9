package local

import (
	"context"
	"os"
	"runtime"

	"deploy/internal/node"
)

// platform is what a session keeps for Windows.
type platform struct{}

func (s *Session) open(context.Context) error {
	name, err := os.Hostname()
	s.facts = node.Facts{OS: "windows", Arch: runtime.GOARCH, Computer: name}
	return err
}

func (s *Session) close() error { return nil }

func (s *Session) system(_ context.Context, r node.Request) ([]node.Row, error) {
	return nil, s.unsupported(opOf(r), "no verb "+r.Verb)
}
