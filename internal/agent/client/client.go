// Package client is the controller's side of the agent protocol: it finds or places the agent on a
// node, starts it over a transport, and is an executor that hands over batches of tasks.
package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"deploy/internal/agent/wire"
	"deploy/internal/engine"
	"deploy/internal/hint"
	"deploy/internal/node"
)

// Stream is a connection to an agent's front.
type Stream interface {
	io.Reader
	io.Writer
	Close() error
}

// Options say who talks to the agent. Node and Who must be set.
type Options struct {
	Node        string // the name in the inventory, for errors
	Who         string // user@host and process: what a second controller is told while this one holds the agent
	Site        string
	Credentials map[string]node.Credential // for jobs; they travel inside the transport's encryption
	Position    engine.Position            // with them the agent says at once when it has nothing that the journal lacks
	// SHA-256 that the agent's program must have on a platform, hex; nil, and "", take any
	Digest  func(Platform) string
	Beat    time.Duration // 0 is wire.Beat
	Silence time.Duration // 0 is wire.Silence
	Log     *slog.Logger  // debug lines without values; nil is silent
	// Tap is called before a message is sent and after one has come, for tests that break links: an
	// error of it breaks this one. nil does nothing.
	Tap func(sent bool, t wire.Type) error
}

func (o *Options) defaults() {
	if o.Beat <= 0 {
		o.Beat = wire.Beat
	}
	if o.Silence <= 0 {
		o.Silence = wire.Silence
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Digest == nil {
		o.Digest = func(Platform) string { return "" }
	}
	if o.Tap == nil {
		o.Tap = func(bool, wire.Type) error { return nil }
	}
}

// BusyError says that another controller holds the agent of a node.
type BusyError struct {
	Node  string
	Who   string
	Since time.Time
	Doing string // task under way, or ""
}

var _ engine.Busy = (*BusyError)(nil)

func (e *BusyError) Error() string { return fmt.Sprintf("cannot connect to %s: %s", e.Node, e.Busy()) }

// Busy says who works there, since when, and at what.
func (e *BusyError) Busy() string {
	s := fmt.Sprintf("in use by %s since %s", e.Who, e.Since.Local().Format("2006-01-02 15:04:05"))
	if e.Doing != "" {
		s += ", at " + e.Doing
	}
	return s
}

// client is a link to an agent.
type client struct {
	o       Options
	stream  Stream
	conn    *wire.Conn
	welcome wire.Welcome

	mu     sync.Mutex
	next   uint64
	calls  map[uint64]*call
	broken error // why nothing can be sent any more

	more  atomic.Bool   // a further frame of the request under way is here already
	gone  chan struct{} // closed when the link is over
	group sync.WaitGroup
	close sync.Once
}

// call is one request on its way. frames has room for all that can come before somebody looks.
type call struct {
	frames chan wire.Frame
}

// attach greets the agent and waits for its welcome. It owns s from then on, unless it fails with a
// greetError.
func attach(ctx context.Context, s Stream, o Options) (*client, error) {
	o.defaults()
	c := &client{o: o, stream: s, conn: wire.NewConn(s, s), calls: map[uint64]*call{}, gone: make(chan struct{})}
	stop := context.AfterFunc(ctx, func() { _ = s.Close() })
	defer stop()
	early := time.AfterFunc(o.Silence, func() { _ = s.Close() })
	defer early.Stop()
	fail := func(err error) (*client, error) {
		_ = s.Close()
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, err
	}
	creds := map[string]wire.Credential{}
	for name, cr := range o.Credentials {
		creds[name] = wire.Credential{User: cr.User, Password: cr.Password.Reveal()}
	}
	// both may be on their way before the other side has spoken: it costs no round trip
	said := c.conn.Greet()
	if said == nil {
		said = c.write(wire.THello, wire.Hello{Who: o.Who, Site: o.Site, Credentials: creds,
			Position: positionOf(o.Position)})
	}
	alien, err := c.conn.Meet()
	if err != nil {
		// what was started was no agent, and may have gone before it was spoken to; how it ended is the
		// caller's to ask
		if ctx.Err() != nil {
			return fail(err)
		}
		var other *wire.VersionError
		if errors.As(err, &other) {
			// an agent that has nothing to do leaves by itself when a program of another version comes
			return fail(hint.Wrap(fmt.Errorf("cannot work on %s: an agent of another version is at work there: %w", o.Node, err),
				"wait until its work is at its end: the next run replaces it"))
		}
		return nil, &greetError{node: o.Node, alien: alien, err: err}
	}
	if said != nil {
		return fail(&node.LinkError{Node: o.Node, Err: said})
	}
	f, err := c.read()
	if err != nil {
		return fail(&node.LinkError{Node: o.Node, Err: err})
	}
	switch f.Type {
	case wire.TBusy:
		var b wire.Busy
		if err := f.Decode(&b); err != nil {
			return fail(err)
		}
		return fail(hint.Wrap(&BusyError{o.Node, b.Who, b.Since, b.Doing},
			"wait for that run to end; a run that was killed is detected within 30 seconds"))
	case wire.TWelcome:
		if err := f.Decode(&c.welcome); err != nil {
			return fail(err)
		}
	default:
		return fail(fmt.Errorf("cannot talk to the agent on %s: unexpected first message %s", o.Node, f.Type))
	}
	if err := c.welcome.Err.Err(); err != nil {
		return fail(fmt.Errorf("cannot work on %s: %w", o.Node, err))
	}
	if want := o.Digest(Platform{c.welcome.Facts.OS, c.welcome.Facts.Arch}); want != "" && c.welcome.Digest != want {
		return fail(hint.Wrap(fmt.Errorf("cannot work on %s: another version of the agent (%s) is running there", o.Node,
			c.welcome.Version),
			"wait for its work to finish; it then exits"))
	}
	c.group.Add(2)
	go c.take()
	go c.beat()
	return c, nil
}

// greetError says that whatever was started is no agent.
type greetError struct {
	node, alien string
	err         error
}

func (e *greetError) Error() string {
	s := fmt.Sprintf("cannot start the agent on %s: %v", e.node, e.err)
	if e.alien != "" {
		s += ": " + e.alien
	}
	return s
}

func (e *greetError) Unwrap() error { return e.err }

func (c *client) write(t wire.Type, body any) error {
	if err := c.o.Tap(true, t); err != nil {
		return err
	}
	return c.conn.Write(t, body)
}

func (c *client) read() (wire.Frame, error) {
	f, err := c.conn.Read()
	if err == nil {
		err = c.o.Tap(false, f.Type)
	}
	return f, err
}

// take hands what comes to the calls that wait for it, until the link is over.
func (c *client) take() {
	defer c.group.Done()
	silence := time.AfterFunc(c.o.Silence,
		func() { c.fail(fmt.Errorf("no message from the agent for %s", c.o.Silence)) })
	defer silence.Stop()
	for {
		f, err := c.read()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = errors.New("the agent's connection ended")
			}
			c.fail(err)
			return
		}
		silence.Reset(c.o.Silence)
		if f.Type == wire.TPong {
			continue
		}
		if f.Type == wire.TUnsupported {
			c.fail(errors.New("the agent does not support a message of this version"))
			return
		}
		if err := c.hand(f); err != nil {
			c.fail(err)
			return
		}
	}
}

// hand gives a frame to its call. Events and progress belong to the one call that is under way.
func (c *client) hand(f wire.Frame) error {
	var head struct {
		ID uint64 `json:"id"`
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.Type == wire.TEvent || f.Type == wire.TProgress {
		for _, cl := range c.calls {
			return cl.put(f, c.gone)
		}
		return nil
	}
	if err := f.Decode(&head); err != nil {
		return err
	}
	if cl := c.calls[head.ID]; cl != nil {
		return cl.put(f, c.gone)
	}
	return nil // nobody waits for it any more
}

func (cl *call) put(f wire.Frame, gone <-chan struct{}) error {
	select {
	case cl.frames <- f:
		return nil
	default:
	}
	if f.Type == wire.TProgress {
		return nil // the next one will do
	}
	return errors.New("agent event queue overflow")
}

// beat says that this side is still there.
func (c *client) beat() {
	defer c.group.Done()
	tick := time.NewTicker(c.o.Beat)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := c.conn.WriteFrame(wire.Frame{Type: wire.TPing}); err != nil {
				c.fail(err)
				return
			}
		case <-c.gone:
			return
		}
	}
}

// fail ends the link; the first reason stays.
func (c *client) fail(err error) {
	c.mu.Lock()
	if c.broken == nil {
		c.broken = err
		close(c.gone)
	}
	c.mu.Unlock()
	_ = c.stream.Close()
}

// reason is the error of a call that the link's end has met. sent says that the request had left.
func (c *client) reason(sent bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return &node.LinkError{Node: c.o.Node, Sent: sent, Err: c.broken}
}

// maxAhead is how many messages of an agent may wait here: it stops by itself when too few are
// acknowledged.
const maxAhead = 4096

// ask sends a request and calls each for every frame that belongs to it, until each says that it
// was the last.
func (c *client) ask(ctx context.Context, t wire.Type, body func(id uint64) any,
	each func(f wire.Frame) (last bool, err error)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	cl := &call{frames: make(chan wire.Frame, maxAhead)}
	c.mu.Lock()
	if c.broken != nil {
		c.mu.Unlock()
		return c.reason(false)
	}
	c.next++
	id := c.next
	c.calls[id] = cl
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.calls, id)
		c.mu.Unlock()
	}()
	if err := c.write(t, body(id)); err != nil {
		if errors.Is(err, wire.ErrTooLarge) {
			return fmt.Errorf("cannot send to the agent on %s: %w", c.o.Node, err)
		}
		// part of it may have arrived
		c.fail(err)
		return c.reason(true)
	}
	for {
		var f wire.Frame
		select {
		case f = <-cl.frames:
		case <-ctx.Done():
			return ctx.Err()
		case <-c.gone:
			// what came before the end counts
			select {
			case f = <-cl.frames:
			default:
				return c.reason(true)
			}
		}
		c.more.Store(len(cl.frames) > 0)
		if last, err := each(f); last || err != nil {
			return err
		}
	}
}

// leave ends the link in order. stop asks the agent to end as well, once it is at rest.
func (c *client) leave(stop bool) error {
	c.close.Do(func() {
		c.mu.Lock()
		alive := c.broken == nil
		c.mu.Unlock()
		if alive {
			said := make(chan struct{})
			go func() {
				defer close(said)
				_ = c.write(wire.TBye, wire.Bye{Leave: stop})
			}()
			select {
			case <-said:
				// the other side closes: until then the message may be lost with the connection
				select {
				case <-c.gone:
				case <-time.After(2 * time.Second):
				}
			case <-time.After(2 * time.Second):
			}
		}
		c.fail(errors.New("the connection was closed"))
		c.group.Wait()
	})
	return nil
}
