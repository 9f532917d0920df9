// Package local is the transport to the machine that the program itself runs on: `transport: local`
// of an inventory, and the way in which a session on Windows reaches its own PowerShell. Nothing
// goes over a wire.
package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"sync/atomic"

	"deploy/internal/node"
	"deploy/internal/proctree"
	"deploy/transport"
)

// Dialer "connects" to this machine. Its zero value is ready.
type Dialer struct{}

var _ transport.Dialer = Dialer{}

// Dial cannot fail, except by an ended context.
func (Dialer) Dial(ctx context.Context, t transport.Target) (transport.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return New(t.Node), nil
}

// Close has nothing to close.
func (Dialer) Close() error { return nil }

// Conn is this machine. Close ends the programs that still run.
type Conn struct {
	node  string
	stats counts

	mu     sync.Mutex
	closed bool
	live   map[*process]struct{}
}

var _ transport.Conn = (*Conn)(nil)

type counts struct{ requests, sent, received atomic.Int64 }

// New makes a connection; name is the node's name in the inventory, for errors.
func New(name string) *Conn { return &Conn{node: name, live: map[*process]struct{}{}} }

// Stats counts the writes to programs, and the bytes of their streams.
func (c *Conn) Stats() transport.Stats {
	return transport.Stats{Requests: c.stats.requests.Load(), Sent: c.stats.sent.Load(), Received: c.stats.received.Load()}
}

// Close ends every program that was started and not waited for.
func (c *Conn) Close() error {
	c.mu.Lock()
	c.closed = true
	var live []*process
	for p := range c.live {
		live = append(live, p)
	}
	c.mu.Unlock()
	var errs []error
	for _, p := range live {
		errs = append(errs, p.Kill(context.Background()))
	}
	return errors.Join(errs...)
}

// Files are the machine's own files.
func (c *Conn) Files(ctx context.Context) (transport.Files, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return files{node: c.node}, nil
}

// Start has the machine's command interpreter run a command line.
func (c *Conn) Start(ctx context.Context, commandLine string) (transport.Process, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, &node.LinkError{Node: c.node, Err: errors.New("the connection is closed")}
	}
	p, err := start(c, shell(commandLine))
	if err != nil {
		return nil, fmt.Errorf("cannot start a program on %s: %w", c.node, err)
	}
	c.live[p] = struct{}{}
	return p, nil
}

// process is a running program.
type process struct {
	conn   *Conn
	cmd    *exec.Cmd
	tree   *proctree.Tree
	stdin  io.WriteCloser
	stdout io.Reader
	stderr io.Reader
	once   sync.Once
	done   chan struct{} // closed when the program has ended
	code   int
	err    error
}

func start(c *Conn, cmd *exec.Cmd) (*process, error) {
	p := &process{conn: c, cmd: cmd, done: make(chan struct{})}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	p.stdin, p.stdout, p.stderr = sink{stdin, &c.stats}, source{stdout, &c.stats}, source{stderr, &c.stats}
	if p.tree, err = proctree.New(cmd); err != nil {
		return nil, err
	}
	if err = cmd.Start(); err == nil {
		if err = p.tree.Adopt(); err == nil {
			return p, nil
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	p.tree.Close()
	return nil, err
}

func (p *process) Stdin() io.WriteCloser { return p.stdin }
func (p *process) Stdout() io.Reader     { return p.stdout }
func (p *process) Stderr() io.Reader     { return p.stderr }

// Wait waits for the program's end. It closes the streams, so it comes after both were read to
// their ends.
func (p *process) Wait() (int, error) {
	p.once.Do(p.reap)
	<-p.done
	return p.code, p.err
}

func (p *process) reap() {
	defer close(p.done)
	err := p.cmd.Wait()
	p.tree.Close()
	p.conn.mu.Lock()
	delete(p.conn.live, p)
	p.conn.mu.Unlock()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		p.code, p.err = -1, &node.LinkError{Node: p.conn.node, Sent: true, Err: err}
		return
	}
	p.code = exitCode(p.cmd.ProcessState)
}

// Kill ends the program and all that it has started. One that has ended already is no error.
func (p *process) Kill(ctx context.Context) error {
	err := p.tree.Kill()
	if err != nil && !gone(err) {
		return fmt.Errorf("cannot end a program on %s: %w", p.conn.node, err)
	}
	go p.once.Do(p.reap)
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// sink and source count what passes.
type sink struct {
	io.WriteCloser
	c *counts
}

func (s sink) Write(b []byte) (int, error) {
	n, err := s.WriteCloser.Write(b)
	s.c.requests.Add(1)
	s.c.sent.Add(int64(n))
	return n, err
}

type source struct {
	r io.Reader
	c *counts
}

func (s source) Read(b []byte) (int, error) {
	n, err := s.r.Read(b)
	s.c.received.Add(int64(n))
	return n, err
}
