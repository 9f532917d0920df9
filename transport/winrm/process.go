package winrm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/masterzen/winrm"

	"deploy/internal/node"
	"deploy/transport"
)

// maxHeld is how much unread output a process may have before no more is asked for.
const maxHeld = 8 << 20

// maxMissed is how often in a row a Receive may go unanswered while the service says that it is
// there.
const maxMissed = 3

type process struct {
	c              *conn
	shell, id      string
	recv           *lane
	ctx            context.Context // ends when the process is killed
	cancel         context.CancelFunc
	msg            messages // for Sends; guarded by stdin, as chunk is
	chunk          int      // bytes of stdin that one Send carries
	stdout, stderr *held
	stdin          sync.Mutex
	ended          chan struct{} // closed when code and err stand
	code           int
	err            error
}

var (
	_ transport.Process = (*process)(nil)
	_ transport.Widener = (*process)(nil)
)

// Start runs a command line in the shell. A shell that has gone since is made anew: nothing ran in
// it that anybody waits for.
func (c *conn) Start(ctx context.Context, commandLine string) (transport.Process, error) {
	p, err := c.start(ctx, commandLine)
	if err != nil {
		return nil, fmt.Errorf("cannot start a process on %s: %w", c.t.Node, advise(err))
	}
	return p, nil
}

func (c *conn) start(ctx context.Context, commandLine string) (*process, error) {
	var id, shell string
	for attempt := 0; ; attempt++ {
		c.mu.Lock()
		shell = c.shell
		closed := c.closed
		idle := len(c.procs) == 0
		c.mu.Unlock()
		if closed {
			return nil, errors.New("the connection is closed")
		}
		body, err := c.ask(ctx, c.msg.command(shell, commandLine))
		if err == nil {
			if id, err = winrm.ParseExecuteCommandResponse(string(body)); err == nil && id == "" {
				err = errors.New("the answer names no command")
			}
			if err != nil {
				return nil, &node.LinkError{Node: c.t.Node, Sent: true, Err: err}
			}
			break
		}
		code := FaultCode(err)
		if attempt > 0 || !idle || (code != FaultNoShell && code != FaultKeyDeleted && code != FaultMaxOperations) {
			return nil, err
		}
		if code != FaultNoShell {
			_, _ = c.ask(ctx, c.msg.delete(shell)) // it is of no use any more; its quota is
		}
		if err := c.open(ctx); err != nil {
			return nil, err
		}
	}
	p := &process{c: c, shell: shell, id: id, recv: c.newLane(), stdout: newHeld(), stderr: newHeld(),
		ended: make(chan struct{})}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.msg, p.chunk = c.msg, c.msg.chunk(shell, id)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		p.cancel()
		return nil, &node.LinkError{Node: c.t.Node, Sent: true, Err: errors.New("the connection was closed meanwhile")}
	}
	c.procs[p] = struct{}{}
	c.group.Add(1)
	go p.run()
	return p, nil
}

func (p *process) Stdin() io.WriteCloser { return stdin{p} }
func (p *process) Stdout() io.Reader     { return p.stdout }
func (p *process) Stderr() io.Reader     { return p.stderr }

// Wait returns the exit code. It may be called often.
func (p *process) Wait() (int, error) {
	<-p.ended
	return p.code, p.err
}

// run receives until the command is done, then frees what it held.
func (p *process) run() {
	defer p.c.group.Done()
	code, err := p.receive()
	p.code, p.err = code, err
	end := io.EOF
	if err != nil {
		end = err
	}
	p.stdout.end(end)
	p.stderr.end(end)
	killed := p.ctx.Err() != nil
	close(p.ended)
	if err == nil {
		// a Send under way is let go: to cut it off would cost the control lane its connection
		p.stdin.Lock()
		p.cancel()
		p.stdin.Unlock()
	}
	p.cancel()
	if !killed && !p.c.dead.Load() && FaultCode(err) != FaultNoShell && p.c.mayLogOn() == nil {
		// also a command that is done counts against the user's operations until it is terminated
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		_, _ = p.c.control.post(ctx, p.c.msg.terminate(p.shell, p.id))
		cancel()
	}
	p.recv.close()
	p.c.mu.Lock()
	delete(p.c.procs, p)
	p.c.mu.Unlock()
}

func (p *process) receive() (int, error) {
	busy := 0
	for {
		body, err := p.await(p.c.msg.receive(p.shell, p.id))
		switch code := FaultCode(err); {
		case err == nil:
		case code == FaultTimedOut:
			continue // nothing to say so far
		case code == FaultBusy && busy < 3:
			busy++
			wait(p.ctx, time.Duration(busy)*200*time.Millisecond)
			continue
		default:
			return 0, p.lost(err)
		}
		busy = 0
		out, err := parseOutput(body, p.id)
		if err != nil {
			return 0, p.lost(err)
		}
		if err := p.stdout.add(p.ctx, out.stdout); err != nil {
			return 0, p.lost(err)
		}
		if err := p.stderr.add(p.ctx, out.stderr); err != nil {
			return 0, p.lost(err)
		}
		if out.done {
			return out.code, nil
		}
	}
}

// lost says that the process's end will not be known.
func (p *process) lost(err error) error {
	if p.ctx.Err() != nil {
		err = errors.New("the process was stopped by deploy")
	}
	var link *node.LinkError
	if errors.As(err, &link) {
		err = link.Err
	}
	return &node.LinkError{Node: p.c.t.Node, Sent: true, Err: err}
}

// await posts a Receive. When its answer is late the service is asked whether it is there, while
// the same request goes on: giving it up would lose the output that it was about to bring. A
// service that does not answer, or that answers while the Receive never does, ends the wait.
func (p *process) await(message string) ([]byte, error) {
	type answer struct {
		body []byte
		err  error
	}
	ctx, cancel := context.WithCancel(p.ctx)
	defer cancel()
	got := make(chan answer, 1)
	go func() {
		body, err := p.recv.post(ctx, message)
		got <- answer{body, err}
	}()
	late := time.NewTimer(p.c.operation + p.c.slack)
	defer late.Stop()
	for missed := 1; ; missed++ {
		select {
		case a := <-got:
			return a.body, a.err
		case <-late.C:
		}
		probe, end := context.WithTimeout(p.ctx, p.c.slack)
		alive := p.c.answers(probe)
		end()
		if alive && missed < maxMissed {
			late.Reset(p.c.operation + p.c.slack)
			continue
		}
		cancel()
		select {
		case a := <-got:
			if a.err == nil {
				return a.body, nil // it came at the last moment
			}
		case <-time.After(p.c.slack):
		}
		p.c.dead.Store(!alive)
		if alive {
			return nil, fmt.Errorf("the service answers, but no answer to the request for output in %s",
				time.Duration(missed)*(p.c.operation+p.c.slack))
		}
		return nil, fmt.Errorf("the machine does not answer any more: waited %s",
			time.Duration(missed)*(p.c.operation+p.c.slack))
	}
}

// Kill ends the process. What it may still have done is unknown.
func (p *process) Kill(ctx context.Context) error {
	p.cancel()
	select {
	case <-p.ended:
		if p.err == nil {
			return nil // it had ended by itself
		}
	default:
	}
	p.c.mu.Lock()
	_, open := p.c.procs[p]
	p.c.mu.Unlock()
	if p.c.dead.Load() || !open && FaultCode(p.err) == FaultNoShell {
		return nil
	}
	sent := make(chan error, 1)
	p.c.group.Add(1)
	go func() {
		defer p.c.group.Done()
		c, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_, err := p.c.control.post(c, p.c.msg.terminate(p.shell, p.id))
		if code := FaultCode(err); code == FaultNoShell || code == FaultAborted {
			err = nil // there is nothing left to end
		}
		sent <- err
	}()
	select {
	case err := <-sent:
		if err != nil {
			return fmt.Errorf("cannot end a process on %s: %w", p.c.t.Node, err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("cannot end a process on %s: %w", p.c.t.Node, ctx.Err())
	}
}

// stdin sends what is written in chunks that fit the envelope, and checks the answer to each.
type stdin struct{ p *process }

func (s stdin) Write(b []byte) (int, error) {
	s.p.stdin.Lock()
	defer s.p.stdin.Unlock()
	done := 0
	for done < len(b) {
		n := min(s.p.chunk, len(b)-done)
		err := s.p.send(b[done:done+n], false)
		if tooLarge(err) && s.p.narrow() {
			continue
		}
		if err != nil {
			return done, err
		}
		done += n
	}
	return done, nil
}

// Widen makes Sends larger from the next one on. An envelope that the inventory names stays as it
// is.
func (p *process) Widen(bytes int) {
	if p.c.t.WinRM.Envelope != 0 || bytes <= p.c.msg.par.EnvelopeSize {
		return
	}
	p.stdin.Lock()
	defer p.stdin.Unlock()
	p.msg = newMessages(p.c.url, p.c.operation, bytes)
	p.chunk = p.msg.chunk(p.shell, p.id)
}

// narrow goes back to the envelope that every service takes. It says whether that is smaller. The
// caller holds stdin.
func (p *process) narrow() bool {
	before := p.chunk
	p.msg, p.chunk = p.c.msg, p.c.msg.chunk(p.shell, p.id)
	return p.chunk < before
}

// Close lets the process see the end of its input.
func (s stdin) Close() error {
	s.p.stdin.Lock()
	defer s.p.stdin.Unlock()
	return s.p.send(nil, true)
}

func (p *process) send(data []byte, end bool) error {
	message := p.msg.send(p.shell, p.id, data, end)
	for attempt := 1; ; attempt++ {
		select {
		case <-p.ended:
			if p.err != nil {
				return p.err
			}
			return p.over()
		default:
		}
		_, err := p.c.ask(p.ctx, message)
		switch FaultCode(err) {
		case FaultTimedOut:
			// the service has the input and waits for the process to take it: sending it again would double
			// it
			return nil
		case FaultBusy:
			if attempt <= 3 {
				wait(p.ctx, time.Duration(attempt)*250*time.Millisecond)
				continue
			}
		}
		if err == nil {
			return nil
		}
		select {
		case <-p.ended:
			if p.err == nil {
				return p.over()
			}
		default:
		}
		var link *node.LinkError
		if FaultCode(err) == FaultNoShell || (errors.As(err, &link) && link.Sent) {
			p.cancel() // what came of it will not be known
		}
		return fmt.Errorf("cannot write to the process on %s: %w", p.c.t.Node, err)
	}
}

func (p *process) over() error {
	return fmt.Errorf("cannot write to the process on %s: it has ended with code %d: %w", p.c.t.Node, p.code,
		io.ErrClosedPipe)
}

// held keeps output until it is read, so that a reader that comes late never stops the process's
// end from being seen.
type held struct {
	mu   sync.Mutex
	data []byte
	err  error
	more chan struct{} // one token: there is more, or the end
	room chan struct{} // one token: something was read
}

func newHeld() *held {
	return &held{more: make(chan struct{}, 1), room: make(chan struct{}, 1)}
}

func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

func (h *held) add(ctx context.Context, b []byte) error {
	if len(b) == 0 {
		return nil
	}
	for {
		h.mu.Lock()
		if len(h.data) < maxHeld {
			h.data = append(h.data, b...)
			h.mu.Unlock()
			signal(h.more)
			return nil
		}
		h.mu.Unlock()
		select {
		case <-h.room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (h *held) end(err error) {
	h.mu.Lock()
	h.err = err
	h.mu.Unlock()
	signal(h.more)
}

// Read gives what is there, and the process's end when all was read.
func (h *held) Read(p []byte) (int, error) {
	for {
		h.mu.Lock()
		if len(h.data) > 0 {
			n := copy(p, h.data)
			h.data = h.data[n:]
			h.mu.Unlock()
			signal(h.room)
			return n, nil
		}
		err := h.err
		h.mu.Unlock()
		if err != nil {
			signal(h.more) // for another reader
			return 0, err
		}
		<-h.more
	}
}
