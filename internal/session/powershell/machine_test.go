package powershell

import (
	"bufio"
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"

	"deploy/internal/node"
	"deploy/internal/session/powershell/protocol"
	"deploy/transport"
)

// machine is the far end of a session: a function that answers requests, behind pipes.
type machine struct {
	answer func(verb string, args map[string]any) ([]any, map[string]any) // rows, or a failure
	// what it says first instead of serving; "" serves
	hello string

	mu       sync.Mutex
	verbs    []string
	raw      []byte       // all that was written to stdin
	writes   atomic.Int64 // writes to stdin
	in       *io.PipeWriter
	inR      *io.PipeReader
	out, err *io.PipeWriter
	outR     *io.PipeReader
	errR     *io.PipeReader
	exit     chan struct{}
	code     int
	exitErr  error
	hold     chan struct{} // answers wait for it when set
	closed   atomic.Int64
}

func newMachine(answer func(verb string, args map[string]any) ([]any, map[string]any)) *machine {
	m := &machine{answer: answer, exit: make(chan struct{})}
	m.inR, m.in = io.Pipe()
	m.outR, m.out = io.Pipe()
	m.errR, m.err = io.Pipe()
	return m
}

func (m *machine) Start(_ context.Context, line string) (transport.Process, error) {
	if !protocol.IsBootstrap(line) {
		return nil, errors.New("not the bootstrap: " + line)
	}
	go m.serve()
	return m, nil
}
func (m *machine) Files(context.Context) (transport.Files, error) { return nil, node.ErrUnsupported }
func (m *machine) Stats() transport.Stats                         { return transport.Stats{Requests: m.writes.Load()} }
func (m *machine) Close() error                                   { m.closed.Add(1); return nil }
func (m *machine) Stdin() io.WriteCloser                          { return m }
func (m *machine) Stdout() io.Reader                              { return m.outR }
func (m *machine) Stderr() io.Reader                              { return m.errR }
func (m *machine) Wait() (int, error)                             { <-m.exit; return m.code, m.exitErr }
func (m *machine) Write(p []byte) (int, error) {
	m.writes.Add(1)
	m.mu.Lock()
	m.raw = append(m.raw, p...)
	m.mu.Unlock()
	return m.in.Write(p)
}

func (m *machine) Kill(context.Context) error {
	_ = m.inR.CloseWithError(io.ErrClosedPipe)
	m.end(0, errors.New("killed"))
	return nil
}

func (m *machine) end(code int, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	select {
	case <-m.exit:
		return
	default:
	}
	m.code, m.exitErr = code, err
	close(m.exit)
	_ = m.out.Close()
	_ = m.err.Close()
	_ = m.inR.CloseWithError(io.ErrClosedPipe)
}

func (m *machine) serve() {
	in := bufio.NewReader(m.inR)
	_, nonce, err := protocol.ReadPreamble(in)
	if err != nil {
		m.end(3, nil)
		return
	}
	if m.hello != "" {
		_, _ = io.WriteString(m.err, m.hello+"\n")
		m.end(1, nil)
		return
	}
	send := func(f protocol.Frame) {
		b, err := protocol.AppendFrame(nil, nonce, f)
		if err == nil {
			_, _ = m.out.Write(b)
		}
	}
	send(protocol.Frame{Kind: protocol.KindHello, Value: map[string]any{"protocol": protocol.Protocol}})
	frames := protocol.NewReader(in, nonce)
	for {
		f, err := frames.Next()
		if err != nil || f.Kind == protocol.KindLeave {
			m.end(0, nil)
			return
		}
		q := f.Value.(map[string]any)
		verb, args := q["verb"].(string), q["args"].(map[string]any)
		m.mu.Lock()
		m.verbs = append(m.verbs, verb)
		hold := m.hold
		m.mu.Unlock()
		if hold != nil && verb != "facts" {
			<-hold
		}
		rows, failed := []any{map[string]any{"version": "6.0.6002", "build": int64(6002), "arch": "amd64", "computer": "N1",
			"privileged": true,
			"boot_id":    "20260329013000.500000+120"}}, map[string]any(nil)
		if verb != "facts" {
			rows, failed = m.answer(verb, args)
		}
		switch {
		case failed["drop"] != nil:
			m.end(0, &node.LinkError{Node: "n1", Sent: true, Err: errors.New("connection reset")})
			return
		case failed != nil:
			send(protocol.Frame{ID: f.ID, Kind: protocol.KindError, Value: failed})
		default:
			if len(rows) > 0 {
				send(protocol.Frame{ID: f.ID, Kind: protocol.KindRows, Value: rows})
			}
			send(protocol.Frame{ID: f.ID, Kind: protocol.KindDone})
		}
	}
}
