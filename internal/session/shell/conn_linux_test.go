package shell

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"deploy/internal/node"
	"deploy/internal/testkit/linuxnodes"
	"deploy/transport"
)

func TestMain(m *testing.M) {
	linuxnodes.Child()
	goleak.VerifyTestMain(m)
}

// machine is a transport.Conn that runs command lines on this machine, each in a session of its own
// as sshd does it. It can cut the link.
type machine struct {
	shell  string   // login shell; "" is /bin/sh
	env    []string // on top of the environment
	starts atomic.Int64
	lines  []string

	mu     sync.Mutex
	procs  map[*process]bool
	all    []*process
	broken error
}

func newMachine() *machine { return &machine{shell: "/bin/sh", procs: map[*process]bool{}} }

func (m *machine) Start(ctx context.Context, line string) (transport.Process, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.broken != nil {
		return nil, &node.LinkError{Node: "n1", Err: m.broken}
	}
	m.starts.Add(1)
	m.lines = append(m.lines, line)
	cmd := exec.Command(m.shell, "-c", line)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Env = append(os.Environ(), m.env...)
	p := &process{m: m, cmd: cmd, done: make(chan struct{})}
	var ends [3]*os.File
	for i, to := range []*(*os.File){&p.in, &p.out, &p.err} {
		r, w, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		if i == 0 {
			*to, ends[i] = w, r
		} else {
			*to, ends[i] = r, w
		}
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = ends[0], ends[1], ends[2]
	err := cmd.Start()
	for _, f := range ends {
		_ = f.Close()
	}
	if err != nil {
		p.closePipes()
		return nil, err
	}
	m.procs[p] = true
	m.all = append(m.all, p)
	go func() {
		err := cmd.Wait()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			p.fail = err
		}
		close(p.done)
	}()
	return p, nil
}

func (m *machine) Files(context.Context) (transport.Files, error) { return nil, node.ErrUnsupported }
func (m *machine) Stats() transport.Stats                         { return transport.Stats{Requests: m.starts.Load()} }

// cut breaks the link: streams end, and what ran goes on or ends as it likes.
func (m *machine) cut(err error) {
	m.mu.Lock()
	m.broken = err
	procs := m.procs
	m.procs = map[*process]bool{}
	m.mu.Unlock()
	for p := range procs {
		p.cut()
	}
}

// Close ends what is left of this test on the machine.
func (m *machine) Close() error {
	m.cut(errors.New("closed"))
	m.mu.Lock()
	all := m.all
	m.mu.Unlock()
	for _, p := range all {
		select {
		case <-p.done: // its number may be another's by now
		case <-time.After(2 * time.Second): // it does not mind that the link is gone
			_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
			<-p.done
		}
	}
	return nil
}

type process struct {
	m            *machine
	cmd          *exec.Cmd
	in, out, err *os.File
	once         sync.Once
	done         chan struct{}
	fail         error
	lost         atomic.Bool
}

func (p *process) Stdin() io.WriteCloser { return p.in }
func (p *process) Stdout() io.Reader     { return p.out }
func (p *process) Stderr() io.Reader     { return p.err }

func (p *process) Wait() (int, error) {
	if !p.lost.Load() {
		<-p.done
	}
	switch {
	case p.lost.Load():
		return 0, &node.LinkError{Node: "n1", Sent: true, Err: errors.New("cut")}
	case p.fail != nil:
		return 0, p.fail
	}
	if st := p.cmd.ProcessState.Sys().(syscall.WaitStatus); st.Signaled() {
		return 0, errors.New("ended by a signal")
	}
	return p.cmd.ProcessState.ExitCode(), nil
}

func (p *process) closePipes() {
	p.once.Do(func() {
		for _, f := range []*os.File{p.in, p.out, p.err} {
			if f != nil {
				_ = f.Close()
			}
		}
	})
}

func (p *process) cut() {
	p.lost.Store(true)
	p.closePipes()
}

// Kill lets go of the channel; as with sshd the program goes on if it does not mind.
func (p *process) Kill(context.Context) error {
	p.closePipes()
	p.m.mu.Lock()
	delete(p.m.procs, p)
	p.m.mu.Unlock()
	return nil
}

func open(t *testing.T, m *machine, opts Options) *Session {
	t.Helper()
	opts.Node = "n1"
	if opts.State == "" {
		opts.State = t.TempDir() + "/jobs"
	}
	s, err := Open(t.Context(), m, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}
