package powershell

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/internal/session"
	"deploy/internal/session/powershell/protocol"
	"deploy/transport"
)

// Session is a machine's resident process. It is safe for concurrent use.
type Session struct {
	session.Core
	conn  transport.Conn
	proc  transport.Process
	opts  Options
	nonce string

	mu     sync.Mutex
	nextID int64
	open   map[int64]*call // requests without an answer yet
	out    []byte          // what the next write takes along
	broken error           // why no request can be sent any more
	code   int             // how the process ended, once ended is closed
	exit   error           // what was wrong with its end; nil for code 0
	kick   chan struct{}   // one token: there is something to write

	hello   chan struct{} // closed when the process has said hello
	helloOK sync.Once
	ended   chan struct{} // closed when nothing more can be read from the process
	stop    chan struct{} // closed by Close
	once    sync.Once
	group   sync.WaitGroup
	errTail tail
}

var (
	_ node.Session = (*Session)(nil)
	_ node.Fenced  = (*Session)(nil)
)

// call is one request on its way.
type call struct {
	op   string
	rows []node.Row
	err  error
	done chan struct{}
}

// Open starts the resident process and takes the machine's facts. It owns conn from then on, also
// when it fails. A machine without PowerShell is node.ErrUnsupported.
func Open(ctx context.Context, conn transport.Conn, opts Options) (*Session, error) {
	opts.defaults()
	ctx, cancel := context.WithTimeout(ctx, opts.Start)
	defer cancel()
	proc, err := conn.Start(ctx, protocol.CommandLine())
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("cannot start PowerShell on %s: %w", opts.Node, err)
	}
	s := &Session{
		conn: conn, proc: proc, opts: opts, nonce: nonce(),
		open: map[int64]*call{},
		kick: make(chan struct{}, 1), hello: make(chan struct{}), ended: make(chan struct{}), stop: make(chan struct{}),
	}
	s.Init(opts.Options, s, true)
	s.group.Add(3)
	go s.write()
	go s.read()
	go s.drain()
	if err := s.begin(ctx); err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

// wideEnvelope is MaxEnvelopeSizekb of WinRM 3.0, which is part of Windows Server 2012, in bytes;
// before it was 150. Source: the documentation of Windows Remote Management's configuration.
const wideEnvelope = 500 << 10

// begin sends the script and the first request in one write, and waits for both answers.
func (s *Session) begin(ctx context.Context) error {
	s.mu.Lock()
	s.out = append(s.out, protocol.Preamble(s.nonce)...)
	s.mu.Unlock()
	rows, err := s.ask(ctx, node.Request{Verb: "facts", Args: map[string]any{}})
	if err != nil {
		return s.startError(err)
	}
	if len(rows) != 1 {
		return fmt.Errorf("cannot take the facts of %s: %d answers", s.opts.Node, len(rows))
	}
	s.SetFacts(session.WindowsFacts(rows[0]))
	if w, ok := s.proc.(transport.Widener); ok && s.Facts().Release.AtLeast(node.WS2012) {
		w.Widen(wideEnvelope)
	}
	return nil
}

// startError tells a machine without PowerShell from a link that broke.
func (s *Session) startError(err error) error {
	select {
	case <-s.hello:
		return fmt.Errorf("cannot take the facts of %s: %w", s.opts.Node, err)
	default:
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return hint.Wrap(fmt.Errorf("cannot start PowerShell on %s: no answer in %s: %w", s.opts.Node, s.opts.Start, err),
			"log on to the machine and run powershell.exe once: a first start can take half a minute")
	}
	// a write into a process that has gone fails a little before its end is seen
	grace := time.NewTimer(2 * time.Second)
	defer grace.Stop()
	select {
	case <-s.ended:
	case <-grace.C:
		return fmt.Errorf("cannot start PowerShell on %s: %w", s.opts.Node, err)
	}
	s.mu.Lock()
	code, exit := s.code, s.exit
	s.mu.Unlock()
	if exit != nil && code == 0 {
		return fmt.Errorf("cannot start PowerShell on %s: %w", s.opts.Node, exit)
	}
	text := s.errTail.String()
	return hint.Wrap(fmt.Errorf("cannot start PowerShell on %s: it ended with code %d before it answered: %s: %w",
		s.opts.Node, code, text, node.ErrUnsupported),
		"deploy needs Windows PowerShell 2.0 or later on the machine; Windows Server 2003 and 2008 get it with the "+
			"Windows Management Framework")
}

func nonce() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: see crypto/rand
	return hex.EncodeToString(b[:])
}

// Mode is "direct".
func (s *Session) Mode() string { return "direct" }

// Stats counts what the session's connection sent and received.
func (s *Session) Stats() transport.Stats { return s.conn.Stats() }

// send queues requests as one batch and returns their calls. Nothing has left when it fails.
func (s *Session) send(reqs []node.Request) ([]*call, []int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil {
		return nil, nil, &node.LinkError{Node: s.opts.Node, Err: s.broken}
	}
	mark, first := len(s.out), s.nextID
	calls := make([]*call, 0, len(reqs))
	ids := make([]int64, 0, len(reqs))
	for _, r := range reqs {
		s.nextID++
		var err error
		s.out, err = protocol.AppendFrame(s.out, s.nonce, protocol.Frame{
			ID: s.nextID, Kind: protocol.KindRequest, Value: map[string]any{"verb": r.Verb, "args": r.Args},
		})
		if err != nil {
			s.out, s.nextID = s.out[:mark], first
			return nil, nil, fmt.Errorf("cannot %s on %s: %w", r.Op(), s.opts.Node, err)
		}
		ids = append(ids, s.nextID)
		calls = append(calls, &call{op: r.Op(), done: make(chan struct{})})
	}
	for i, id := range ids {
		s.open[id] = calls[i]
	}
	select {
	case s.kick <- struct{}{}:
	default:
	}
	return calls, ids, nil
}

// ask sends one request and waits. A cancelled request leaves the session as it was: its late
// answer finds no taker.
func (s *Session) ask(ctx context.Context, r node.Request) ([]node.Row, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	begun := time.Now()
	calls, ids, err := s.send([]node.Request{r})
	if err != nil {
		return nil, err
	}
	rows, err := s.await(ctx, calls[0])
	if err != nil && ctx.Err() != nil {
		s.mu.Lock()
		delete(s.open, ids[0])
		s.mu.Unlock()
	}
	s.opts.Log.DebugContext(ctx, "request", "node", s.opts.Node, "op", calls[0].op, "took", time.Since(begun), "rows",
		len(rows), "err", err)
	return rows, err
}

func (s *Session) await(ctx context.Context, c *call) ([]node.Row, error) {
	select {
	case <-c.done:
		return c.rows, c.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// write is the only goroutine that writes: all that was queued while it was busy leaves in one
// write.
func (s *Session) write() {
	defer s.group.Done()
	for {
		select {
		case <-s.kick:
		case <-s.ended:
			return
		case <-s.stop:
			return
		}
		s.mu.Lock()
		buf := s.out
		s.out = nil
		s.mu.Unlock()
		if len(buf) == 0 {
			continue
		}
		if _, err := s.proc.Stdin().Write(buf); err != nil {
			s.fail(fmt.Errorf("cannot write to the process: %w", err))
			return
		}
	}
}

// read hands answers to their calls until the stream ends.
func (s *Session) read() {
	defer s.group.Done()
	r := protocol.NewReader(s.proc.Stdout(), s.nonce)
	r.Stray = func(line string) {
		select {
		case <-s.hello:
		default:
			s.errTail.add(line) // before the hello such a line is what explains the failure
		}
		s.opts.Stray(line)
	}
	var err error
	for {
		var f protocol.Frame
		if f, err = r.Next(); err != nil {
			break
		}
		if err = s.take(f); err != nil {
			break
		}
	}
	code := 0
	if errors.Is(err, io.EOF) {
		if code, err = s.proc.Wait(); err == nil && code != 0 {
			err = fmt.Errorf("the process ended with code %d", code)
		}
	}
	s.mu.Lock()
	s.code, s.exit = code, err
	s.mu.Unlock()
	close(s.ended)
	if err == nil {
		err = errors.New("the process ended")
	}
	s.fail(err)
}

func (s *Session) take(f protocol.Frame) error {
	switch f.Kind {
	case protocol.KindHello:
		hello, _ := f.Value.(map[string]any)
		if v, _ := hello["protocol"].(int64); v != protocol.Protocol {
			return fmt.Errorf("the process speaks protocol %d and not %d", v, protocol.Protocol)
		}
		s.helloOK.Do(func() { close(s.hello) })
		return nil
	case protocol.KindLog:
		if text, ok := f.Value.(string); ok {
			s.opts.Stray(text)
		}
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.open[f.ID]
	if c == nil {
		return nil // nobody waits for it any more
	}
	switch f.Kind {
	case protocol.KindRows:
		rows, err := rowsOf(f.Value)
		if err != nil {
			return err
		}
		c.rows = append(c.rows, rows...)
	case protocol.KindDone:
		delete(s.open, f.ID)
		close(c.done)
	case protocol.KindError:
		c.rows, c.err = nil, refusalOf(s.opts.Node, c.op, f.Value)
		delete(s.open, f.ID)
		close(c.done)
	default:
		return fmt.Errorf("the process sent a frame of unknown kind %q", f.Kind)
	}
	return nil
}

func rowsOf(v any) ([]node.Row, error) {
	list, ok := v.([]any)
	if !ok {
		return nil, fmt.Errorf("the process sent a %T for rows", v)
	}
	rows := make([]node.Row, 0, len(list))
	for _, x := range list {
		m, ok := x.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("the process sent a %T for a row", x)
		}
		rows = append(rows, m)
	}
	return rows, nil
}

// fail ends the session: what is open has an unknown outcome, and nothing more is sent. The first
// reason stays.
func (s *Session) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken == nil {
		var link *node.LinkError
		if errors.As(err, &link) {
			err = link.Err // said once, by the error that each call gets
		}
		s.broken = err
	}
	for id, c := range s.open {
		c.rows, c.err = nil, &node.LinkError{Node: s.opts.Node, Sent: true, Err: s.broken}
		close(c.done)
		delete(s.open, id)
	}
}

// drain reads stderr, which is for people only: PowerShell writes its own XML there.
func (s *Session) drain() {
	defer s.group.Done()
	sc := bufio.NewReader(s.proc.Stderr())
	for {
		line, err := sc.ReadString('\n')
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			s.errTail.add(line)
			s.opts.Stray(line)
		}
		if err != nil {
			return
		}
	}
}

// Close asks the process to leave, ends it when it does not within five seconds (one when it is
// busy), and closes the connection.
func (s *Session) Close() error { return s.end(s.conn.Close) }

// Leave is Close for a connection that somebody else goes on with: it stays open.
func (s *Session) Leave() error { return s.end(func() error { return nil }) }

func (s *Session) end(closeConn func() error) error {
	var err error
	s.once.Do(func() {
		s.mu.Lock()
		patience := 5 * time.Second
		if len(s.open) > 0 {
			patience = time.Second
		}
		s.mu.Unlock()
		s.fail(errors.New("the session is closed"))
		close(s.stop)
		select {
		case <-s.ended:
		default:
			s.leave(patience)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		err = s.proc.Kill(ctx)
		select {
		case <-s.ended:
			err = nil // it is gone, which is what was wanted
		default:
		}
		if e := closeConn(); err == nil {
			err = e
		}
		s.group.Wait()
	})
	return err
}

// leave lets the process go by itself, so that what it does at its end is done.
func (s *Session) leave(patience time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	frame, err := protocol.AppendFrame(nil, s.nonce, protocol.Frame{Kind: protocol.KindLeave})
	if err != nil {
		return
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_, _ = s.proc.Stdin().Write(frame)
	}()
	select {
	case <-gone:
	case <-ctx.Done():
		return
	}
	select {
	case <-s.ended:
	case <-ctx.Done():
	}
}

// tail keeps the first lines of what a process said beside its answers.
type tail struct {
	mu    sync.Mutex
	lines []string
}

func (t *tail) add(line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.lines) < 5 {
		t.lines = append(t.lines, line[:min(len(line), 300)])
	}
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.lines) == 0 {
		return "no output"
	}
	return strings.Join(t.lines, " / ")
}
