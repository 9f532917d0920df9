// Package session is a node.Session on an emulated machine in the same process, without a wire, for
// tests that run steps in the lab over many releases and languages. It sends what package
// powershell sends over a transport, and passes every value through the codec, so that values which
// the wire cannot carry fail here too.
package session

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"deploy/internal/lab/machine"
	"deploy/internal/lab/model"
	"deploy/internal/node"
	"deploy/internal/session"
	"deploy/internal/session/powershell/protocol"
)

// Options say which machine is meant and who is logged on. World, Machine and Module must be set.
type Options struct {
	session.Options
	World   *model.World
	Machine *model.Machine
	Module  *machine.Module
	User    string // DOMAIN\name; "" is the machine's Administrator
	Network bool   // a network logon, which has no second hop
	// Serve carries a request to the machine. nil does it in this process, with World and Machine
	// alone.
	Serve func(ctx context.Context, verb string, args map[string]any) ([]machine.Object, error)
}

// Session is a session on the machine. It holds the world's lock only while a request runs.
// Background work of the machine (jobs, restarts) runs in goroutines that end with the context
// given to New.
type Session struct {
	session.Core
	o   Options
	ctx context.Context
}

var (
	_ node.Session = (*Session)(nil)
	_ node.Fenced  = (*Session)(nil)
)

// New opens a session and takes the machine's facts. ctx bounds the machine's background work, not
// the opening.
func New(ctx context.Context, o Options) (*Session, error) {
	if o.User == "" {
		o.User = o.Machine.Name + `\Administrator`
	}
	o.Node = o.Machine.Name
	s := &Session{o: o, ctx: ctx}
	if s.o.Serve == nil {
		s.o.Serve = s.here
	}
	s.Init(s.o.Options, s, false)
	rows, err := s.Serve(ctx, node.Request{Verb: "facts", Args: map[string]any{}})
	if err != nil {
		return nil, err
	}
	if len(rows) != 1 {
		return nil, fmt.Errorf("cannot take the facts of %s: %d answers", o.Machine.Name, len(rows))
	}
	s.SetFacts(session.WindowsFacts(rows[0]))
	return s, nil
}

// Restart restarts the machine at once, as the engine would, and opens a new session to it.
func (s *Session) Restart() (*Session, error) {
	s.o.World.Lock()
	machine.Restart(s.newCtx(s.ctx))
	s.o.World.Unlock()
	return s.Again()
}

// Again opens another session to the same machine, as a new connection would. A machine that is
// down is a *node.LinkError.
func (s *Session) Again() (*Session, error) { return s.another(s.o.World) }

// another opens a session like this one in a world that has the same machine.
func (s *Session) another(w *model.World) (*Session, error) {
	o := s.o
	o.World, o.Machine, o.Serve = w, w.Machine(s.o.Machine.Name), nil
	return New(s.ctx, o)
}

// Copy opens a session to the machine's double in a copy of the whole world: what happens there is
// not seen here.
func (s *Session) Copy() (*Session, error) {
	s.o.World.Lock()
	defer s.o.World.Unlock()
	w, err := s.o.World.Copy()
	if err != nil {
		return nil, err
	}
	return s.another(w)
}

// World is what the machine is part of. Take its lock before looking.
func (s *Session) World() *model.World { return s.o.World }

func (s *Session) newCtx(ctx context.Context) *machine.Ctx {
	w := s.o.World
	return &machine.Ctx{Context: ctx, W: w, M: s.o.Machine, B: s.o.Module, User: s.o.User, Network: s.o.Network,
		Now: time.Now, Print: func(string) {},
		// emulated waiting takes a moment only, so that others get their turn
		Sleep: func(time.Duration) {
			w.Unlock()
			time.Sleep(time.Millisecond)
			w.Lock()
		},
		Go: func(work func(*machine.Ctx)) {
			go func() {
				w.Lock()
				defer w.Unlock()
				if s.ctx.Err() == nil {
					work(s.newCtx(s.ctx))
				}
			}()
		}}
}

// Serve carries one request to the machine and its answer back.
func (s *Session) Serve(ctx context.Context, r node.Request) ([]node.Row, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	args, err := overWire(r.Args)
	if err != nil {
		return nil, fmt.Errorf("cannot send %s: %w", r.Verb, err)
	}
	objects, err := s.o.Serve(ctx, r.Verb, args)
	if err != nil {
		return nil, s.refusal(r, err)
	}
	rows := make([]node.Row, 0, len(objects))
	for _, o := range objects {
		row, err := overWire(o)
		if err != nil {
			return nil, fmt.Errorf("cannot read the answer to %s: %w", r.Verb, err)
		}
		rows = append(rows, node.Row(row))
	}
	return rows, nil
}

// here carries out a request in this process.
func (s *Session) here(ctx context.Context, verb string, args map[string]any) ([]machine.Object, error) {
	s.o.World.Lock()
	defer s.o.World.Unlock()
	if !s.o.Machine.Powered {
		return nil, &node.LinkError{Node: s.o.Machine.Name, Err: errors.New("the machine is down")}
	}
	return machine.Serve(s.newCtx(ctx), verb, args)
}

// overWire encodes and decodes, so that the far side sees only what the codec carries.
func overWire(m map[string]any) (map[string]any, error) {
	text, err := protocol.Encode(m)
	if err != nil {
		return nil, err
	}
	v, err := protocol.Decode(text)
	if err != nil {
		return nil, err
	}
	out, _ := v.(map[string]any)
	return out, nil
}

// refusal makes of what the emulated machine answered one of package node's answers.
func (s *Session) refusal(r node.Request, err error) error {
	var f *machine.Fail
	if !errors.As(err, &f) {
		return err
	}
	return session.WindowsRefusal(s.o.Machine.Name, &node.CodeError{Op: r.Op(), Code: int64(uint32(f.Code)), ID: f.ID,
		Category: f.Category, Text: f.Text})
}

// Mode is "direct".
func (s *Session) Mode() string { return "direct" }

// Close does nothing: nothing is open.
func (s *Session) Close() error { return nil }

// Prefetch sends nothing ahead: an answer is as near as it can be.
func (s *Session) Prefetch(ctx context.Context, _ []node.Query) error { return ctx.Err() }

// Reading has a Reader start the programs of readOnly from now on: the kinds differ from test to
// test.
func (s *Session) Reading(readOnly func(argv []string) bool) (before func(argv []string) bool) {
	before, s.o.ReadOnly = s.o.ReadOnly, readOnly
	s.Init(s.o.Options, s, false)
	return before
}

// Open reads a file.
func (s *Session) Open(ctx context.Context, path string) (io.ReadCloser, error) {
	return s.OpenPieces(ctx, path)
}

// Write puts a file in place by way of a temporary one.
func (s *Session) Write(ctx context.Context, path string, r io.Reader, _ node.WriteOptions) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	temp := path + ".labnode.tmp"
	if _, err := s.Change(ctx, node.Request{Verb: "file.put",
		Args: map[string]any{"path": temp, "offset": int64(0), "data": b}}); err != nil {
		return err
	}
	sum := sha256.Sum256(b)
	_, err = s.Change(ctx, node.Request{Verb: "file.commit",
		Args: map[string]any{"temp": temp, "path": path, "sha256": hex.EncodeToString(sum[:])}})
	return err
}
