package lab

import (
	"net"
	"sync"
	"time"
)

// gate is a listener that can play a machine's power switch and its network cable. It keeps its
// port while the machine is down: whoever connects then is cut at once.
type gate struct {
	net.Listener
	delay time.Duration // added to everything that arrives; for SSH, where no request is seen from outside

	mu     sync.Mutex
	up     bool
	frozen chan struct{} // closed when the cable is in again; nil when it is
	conns  map[*gateConn]struct{}
}

func newGate(l net.Listener, delay time.Duration) *gate {
	return &gate{Listener: l, delay: delay, conns: map[*gateConn]struct{}{}}
}

// Accept gives the next connection of a machine that is up.
func (g *gate) Accept() (net.Conn, error) {
	for {
		raw, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		g.mu.Lock()
		if !g.up {
			g.mu.Unlock()
			reset(raw)
			continue
		}
		c := &gateConn{Conn: raw, g: g, closed: make(chan struct{})}
		g.conns[c] = struct{}{}
		g.mu.Unlock()
		if g.delay > 0 {
			return newDelayConn(c, g.delay), nil
		}
		return c, nil
	}
}

// reset closes a connection so that the other side sees it cut, not ended.
func reset(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	_ = c.Close()
}

// set opens or shuts the gate; shutting it cuts every connection.
func (g *gate) set(up bool) {
	g.mu.Lock()
	g.up = up
	g.mu.Unlock()
	if !up {
		g.cut()
	}
}

// cut cuts every connection.
func (g *gate) cut() {
	g.mu.Lock()
	list := make([]*gateConn, 0, len(g.conns))
	for c := range g.conns {
		list = append(list, c)
	}
	g.mu.Unlock()
	for _, c := range list {
		c.cut()
	}
}

// freeze pulls the cable: connections stay, nothing moves.
func (g *gate) freeze() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.frozen == nil {
		g.frozen = make(chan struct{})
	}
}

// thaw puts it in again.
func (g *gate) thaw() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.frozen != nil {
		close(g.frozen)
		g.frozen = nil
	}
}

// gateConn is one connection through a gate.
type gateConn struct {
	net.Conn
	g      *gate
	once   sync.Once
	closed chan struct{}
}

// wait blocks while the cable is out.
func (c *gateConn) wait() {
	c.g.mu.Lock()
	frozen := c.g.frozen
	c.g.mu.Unlock()
	if frozen == nil {
		return
	}
	select {
	case <-frozen:
	case <-c.closed:
	}
}

func (c *gateConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.wait()
	return n, err
}

func (c *gateConn) Write(p []byte) (int, error) {
	c.wait()
	return c.Conn.Write(p)
}

func (c *gateConn) forget() {
	c.once.Do(func() {
		close(c.closed)
		c.g.mu.Lock()
		delete(c.g.conns, c)
		c.g.mu.Unlock()
	})
}

func (c *gateConn) Close() error {
	c.forget()
	return c.Conn.Close()
}

func (c *gateConn) cut() {
	c.forget()
	reset(c.Conn)
}

// delayConn gives what it reads a fixed time after it arrived, however much is under way: latency,
// not a slow line.
type delayConn struct {
	net.Conn
	arrived chan piece
	rest    []byte
	err     error
	gone    chan struct{}
	once    sync.Once
}

type piece struct {
	due  time.Time
	data []byte
	err  error
}

func newDelayConn(c net.Conn, d time.Duration) *delayConn {
	const inFlight = 1024
	dc := &delayConn{Conn: c, arrived: make(chan piece, inFlight), gone: make(chan struct{})}
	go func() {
		for {
			buf := make([]byte, 32<<10)
			n, err := c.Read(buf)
			select {
			case dc.arrived <- piece{time.Now().Add(d), buf[:n], err}:
			case <-dc.gone:
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return dc
}

func (c *delayConn) Read(p []byte) (int, error) {
	for len(c.rest) == 0 {
		if c.err != nil {
			return 0, c.err
		}
		select {
		case x := <-c.arrived:
			if x.err == nil {
				time.Sleep(time.Until(x.due))
			}
			c.rest, c.err = x.data, x.err
		case <-c.gone:
			return 0, net.ErrClosed
		}
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

func (c *delayConn) Close() error {
	c.once.Do(func() { close(c.gone) })
	return c.Conn.Close()
}
