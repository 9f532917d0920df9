package conformance

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"deploy/internal/agent"
	"deploy/internal/agent/client"
	"deploy/internal/engine"
	"deploy/internal/node"
	"deploy/steps"
)

// way is how a case is played.
type way string

const (
	directly way = "direct"
	byAgent  way = "agent"
)

// actor gives the engine its executor for a case's machine.
type actor struct {
	m    *played
	way  way
	root string // the agent's directory
	kind steps.Kind
	ctx  context.Context

	restarts atomic.Int64 // of a scripted machine
	fronts   sync.WaitGroup
	worker   *agent.Worker
	boot     string // the boot in which the worker was started
}

func newActor(t *testing.T, m *played, w way, step steps.Step) (*actor, error) {
	if step.Kind() != m.c.Kind.Name {
		return nil, fmt.Errorf("the step calls itself %q", step.Kind())
	}
	return &actor{m: m, way: w, root: t.TempDir(), kind: m.c.Kind, ctx: t.Context()}, nil
}

// end waits for the agent's end.
func (a *actor) end(t *testing.T) {
	t.Helper()
	if err := a.stop(); err != nil {
		t.Errorf("the agent's end: %v", err)
	}
}

func (a *actor) stop() error {
	if a.worker == nil {
		return nil
	}
	a.fronts.Wait()
	err := a.worker.Close()
	a.worker = nil
	return err
}

// open opens a session to the machine.
func (a *actor) open() (node.Session, error) {
	if a.m.lab == nil {
		return scripted{a.m.base, &a.restarts}, nil
	}
	return a.m.lab.Again()
}

// scripted is a session to a machine that is no more than a session: closing it ends nothing, and a
// restart is only another boot id.
type scripted struct {
	node.Session
	restarts *atomic.Int64
}

func (s scripted) Close() error { return nil }

func (s scripted) Facts() node.Facts {
	f := s.Session.Facts()
	f.BootID += fmt.Sprintf("+%d", s.restarts.Load())
	return f
}

func (s scripted) Do(ctx context.Context, a node.Action) ([]node.Row, error) {
	if _, ok := a.(node.Restart); ok {
		s.restarts.Add(1)
		return nil, nil
	}
	return s.Session.Do(ctx, a)
}

func (a *actor) dial(ctx context.Context, name string, b engine.Position) (engine.Executor, error) {
	s, err := a.open()
	if err != nil {
		return nil, err
	}
	if a.way == directly {
		return engine.Direct(s, "to compare with"), nil
	}
	boot := s.Facts().BootID
	if err := s.Close(); err != nil {
		return nil, err
	}
	if a.worker != nil && a.boot != boot {
		// nothing that ran before a restart runs after it
		if err := a.stop(); err != nil {
			return nil, err
		}
	}
	if a.worker == nil {
		a.boot = boot
		a.worker = agent.NewWorker(a.ctx, agent.Options{Kinds: steps.NewRegistry([]steps.Kind{a.kind}), Root: a.root,
			Version: "test",
			Session: func(context.Context, map[string]node.Credential) (node.Session, error) { return a.open() }})
	}
	here, there, err := loopback()
	if err != nil {
		return nil, err
	}
	w := a.worker
	a.fronts.Go(func() { _ = w.Serve(there) })
	return client.Attach(ctx, here, "to compare with", client.Options{Node: name, Who: "conformance", Site: "conformance",
		Position: b})
}

// loopback joins two ends. Both sides of the talk write before they read, so a pipe without room
// would not do.
func loopback() (here, there net.Conn, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	if here, err = net.Dial("tcp", l.Addr().String()); err != nil {
		return nil, nil, err
	}
	there, err = l.Accept()
	return here, there, err
}
