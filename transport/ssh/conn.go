package ssh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/transport"
)

type counter struct{ writes, sent, received atomic.Int64 }

// countingConn counts what goes over the wire.
type countingConn struct {
	net.Conn
	n *counter
}

func (c *countingConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.n.received.Add(int64(n))
	return n, err
}

func (c *countingConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.n.writes.Add(1)
	c.n.sent.Add(int64(n))
	return n, err
}

type conn struct {
	client   *ssh.Client
	end      func() error // closes the client, and the jump hosts that serve it alone
	target   transport.Target
	count    *counter
	sessions *slots
	stop     chan struct{}
	once     sync.Once
	alive    sync.WaitGroup
}

func newConn(client *ssh.Client, t transport.Target, count *counter, end func() error) *conn {
	c := &conn{end: end, client: client, target: t, count: count, sessions: newSlots(),
		stop: make(chan struct{})}
	c.alive.Add(1)
	go c.keepAlive()
	return c
}

var _ transport.Conn = (*conn)(nil)

// ServerVersion is how the server called itself, "SSH-2.0-OpenSSH_for_Windows_8.1". It tells a
// Windows machine before anything is asked.
func (c *conn) ServerVersion() string { return string(c.client.ServerVersion()) }

// keepAlive asks the server for a sign of life and closes the connection after three without one. A
// request can itself block on a dead link, so each has a time of its own.
func (c *conn) keepAlive() {
	defer c.alive.Done()
	tick := time.NewTicker(c.target.SSH.KeepAlive)
	defer tick.Stop()
	missed := 0
	for {
		select {
		case <-c.stop:
			return
		case <-tick.C:
		}
		answered := make(chan error, 1)
		c.alive.Add(1)
		go func() {
			defer c.alive.Done()
			_, _, err := c.client.SendRequest("keepalive@openssh.com", true, nil)
			answered <- err
		}()
		select {
		case err := <-answered:
			if err != nil {
				return // the connection has ended by itself
			}
			missed = 0
		case <-time.After(c.target.SSH.KeepAlive):
			if missed++; missed >= 3 {
				_ = c.end()
				return
			}
		case <-c.stop:
			return
		}
	}
}

// Close ends the connection and everything on it.
func (c *conn) Close() error {
	var err error
	c.once.Do(func() {
		close(c.stop)
		err = c.end()
		c.alive.Wait()
		if errors.Is(err, net.ErrClosed) {
			err = nil
		}
	})
	return err
}

// Stats counts the writes to the channel as requests.
func (c *conn) Stats() transport.Stats {
	return transport.Stats{Requests: c.count.writes.Load(), Sent: c.count.sent.Load(), Received: c.count.received.Load()}
}

// patience is how long the server may take to notice that an earlier session has ended.
const patience = 3 * time.Second

// session opens a session. A server that refuses one while others are open allows fewer than were
// asked for: then this one waits for the end of another. One that refuses the only one may not have
// noticed yet that the last has ended.
func (c *conn) session(ctx context.Context) (*ssh.Session, func(), error) {
	var alone time.Time // since when it refuses the only one
	pause := 20 * time.Millisecond
	for {
		if err := c.sessions.take(ctx); err != nil {
			return nil, nil, err
		}
		s, err := c.open(ctx)
		var refused *ssh.OpenChannelError
		switch {
		case err == nil:
			return s, c.sessions.free, nil
		case !errors.As(err, &refused):
			return nil, nil, err // open gave it back, or does so later
		case c.sessions.refused():
			alone = time.Time{}
			continue
		case alone.IsZero():
			alone = time.Now()
		case time.Since(alone) > patience:
			err = fmt.Errorf("its SSH server opens no session: %w", err)
			return nil, nil, hint.Wrap(&node.LinkError{Node: c.target.Node, Err: err},
				"set MaxSessions in the node's sshd_config to at least 1")
		}
		select {
		case <-time.After(pause):
			pause = min(2*pause, 500*time.Millisecond)
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		}
	}
}

// open asks the server for a session. Where it returns an error other than the server's refusal,
// the slot is given back here, as soon as the server has answered.
func (c *conn) open(ctx context.Context) (*ssh.Session, error) {
	type opened struct {
		s   *ssh.Session
		err error
	}
	ch := make(chan opened, 1)
	go func() {
		s, err := c.client.NewSession()
		ch <- opened{s, err}
	}()
	select {
	case o := <-ch:
		var refused *ssh.OpenChannelError
		if o.err != nil && !errors.As(o.err, &refused) {
			c.sessions.free()
			return nil, &node.LinkError{Node: c.target.Node, Err: o.err}
		}
		return o.s, o.err
	case <-ctx.Done():
		go func() {
			if o := <-ch; o.s != nil {
				_ = o.s.Close()
			}
			c.sessions.free()
		}()
		return nil, ctx.Err()
	}
}

// Start runs a command line without a terminal: a terminal would turn output into escape sequences.
func (c *conn) Start(ctx context.Context, commandLine string) (transport.Process, error) {
	s, free, err := c.session(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot start a process on %s: %w", c.target.Node, err)
	}
	fail := func(err error) (transport.Process, error) {
		_ = s.Close()
		free()
		return nil, fmt.Errorf("cannot start a process on %s: %w", c.target.Node, err)
	}
	p := &process{node: c.target.Node, session: s, done: make(chan struct{})}
	if p.stdin, err = s.StdinPipe(); err != nil {
		return fail(err)
	}
	if p.stdout, err = s.StdoutPipe(); err != nil {
		return fail(err)
	}
	if p.stderr, err = s.StderrPipe(); err != nil {
		return fail(err)
	}
	if err := s.Start(commandLine); err != nil {
		return fail(&node.LinkError{Node: c.target.Node, Sent: true, Err: err})
	}
	go func() {
		p.err = s.Wait()
		_ = s.Close()
		free()
		close(p.done)
	}()
	return p, nil
}

type process struct {
	node           string
	session        *ssh.Session
	stdin          io.WriteCloser
	stdout, stderr io.Reader
	done           chan struct{}
	err            error
}

func (p *process) Stdin() io.WriteCloser { return p.stdin }
func (p *process) Stdout() io.Reader     { return p.stdout }
func (p *process) Stderr() io.Reader     { return p.stderr }

// Wait tells an exit code apart from a session that ended without one: that one's outcome is
// unknown.
func (p *process) Wait() (int, error) {
	<-p.done
	var exit *ssh.ExitError
	switch {
	case p.err == nil:
		return 0, nil
	case errors.As(p.err, &exit):
		if exit.Signal() != "" {
			return 0, fmt.Errorf("the process on %s was ended by signal %s", p.node, exit.Signal())
		}
		return exit.ExitStatus(), nil
	}
	return 0, &node.LinkError{Node: p.node, Sent: true, Err: p.err}
}

// Kill asks for the end and lets go of the channel. sshd leaves a process without a terminal
// running when only the channel goes, so the resident process also ends by itself when its stdin
// does.
func (p *process) Kill(ctx context.Context) error {
	_ = p.stdin.Close()
	sent := make(chan error, 1)
	go func() { sent <- p.session.Signal(ssh.SIGTERM) }()
	select {
	case <-sent:
	case <-p.done:
	case <-ctx.Done():
	}
	err := p.session.Close()
	if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
