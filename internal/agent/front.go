package agent

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/gofrs/flock"
)

// What a front and a worker say to each other before the controller's bytes.
const (
	frontWord = "front "  // and the path of the front's program
	welcome   = "come in" // the bytes that follow are the controller's
	leaving   = "leaving" // the worker is of another program, has nothing to do, and goes
)

// ErrHeld: another worker holds the machine.
var ErrHeld = errors.New("another agent is running here")

// Host runs the two processes of an agent on a machine. All of its fields must be set.
type Host struct {
	Root    string // private directory
	Program string // the path of the program that runs, hash-named where a controller has placed it
	// Spawn starts a worker that outlives its parent. What it prints goes to log.
	Spawn func(program, root string, log *os.File) error
}

// Front joins a controller's streams to the worker, and starts one where there is none. It returns
// when either side has ended.
func (h Host) Front(ctx context.Context, in io.Reader, out io.Writer) error {
	if err := private(h.Root); err != nil {
		return err
	}
	c, err := h.reach(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	go func() {
		// the controller's end is told to the worker; its answer to that ends the copy below
		_, _ = io.Copy(c, in)
		_ = closeWrite(c)
	}()
	_, err = io.Copy(out, c)
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	return err
}

// respawn is how long a worker that was started may take to listen before another is. A worker that
// finds the machine held ends at once.
const respawn = time.Second

// reach finds the worker.
func (h Host) reach(ctx context.Context) (net.Conn, error) {
	const patience = 15 * time.Second
	var spawned time.Time
	var last error
	// a worker that was just started is there within some milliseconds; one that leaves takes longer
	pause := time.Millisecond
	for began := time.Now(); time.Since(began) < patience && ctx.Err() == nil; time.Sleep(pause) {
		pause = min(pause*5/4, 20*time.Millisecond)
		c, err := dial(h.Root)
		if err == nil {
			if err = h.announce(c); err == nil {
				return c, nil
			}
			_ = c.Close()
			last = err
			continue
		}
		last = err
		// an earlier worker that is about to leave holds the machine until it has: one that was started
		// meanwhile has given up
		if time.Since(spawned) > respawn {
			if err := h.spawn(); err != nil {
				return nil, err
			}
			spawned = time.Now()
		}
	}
	if err := roomFor(h.Root); err != nil {
		return nil, err
	}
	if text := h.logTail(); text != "" {
		last = fmt.Errorf("%w: %s", last, text)
	}
	return nil, fmt.Errorf("cannot reach the agent's worker: %w", errors.Join(ctx.Err(), last))
}

func (h Host) announce(c net.Conn) error {
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	if _, err := io.WriteString(c, frontWord+h.Program+"\n"); err != nil {
		return err
	}
	line, err := readLine(c)
	if err != nil {
		return err
	}
	if line != welcome {
		return fmt.Errorf("the worker says %q", line)
	}
	return c.SetDeadline(time.Time{})
}

// readLine reads no byte too many: what follows belongs to somebody else.
func readLine(r io.Reader) (string, error) {
	var b strings.Builder
	var one [1]byte
	for b.Len() < 4096 {
		if _, err := io.ReadFull(r, one[:]); err != nil {
			return "", err
		}
		if one[0] == '\n' {
			return b.String(), nil
		}
		b.WriteByte(one[0])
	}
	return "", errors.New("a line is too long")
}

func (h Host) spawn() error {
	// here it can still be told why, and nothing has begun
	if err := roomFor(h.Root); err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(h.Root, "agent.log"), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return onDisk(h.Root, fmt.Errorf("cannot start the agent's worker: %w", err))
	}
	defer func() { _ = log.Close() }()
	if err := h.Spawn(h.Program, h.Root, log); err != nil {
		return fmt.Errorf("cannot start the agent's worker: %w", err)
	}
	return nil
}

// logTail is the last line that a worker left when it could not start.
func (h Host) logTail() string {
	f, err := os.Open(filepath.Join(h.Root, "agent.log"))
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	last := ""
	for sc := bufio.NewScanner(f); sc.Scan(); {
		last = sc.Text()
	}
	return last
}

// Work serves controllers until one says that the agent shall leave, or nobody came for o.Idle. One
// worker holds the machine: a second one is ErrHeld.
func (h Host) Work(ctx context.Context, o Options) error {
	o.defaults()
	o.Root = h.Root
	if err := private(h.Root); err != nil {
		return err
	}
	lock := flock.New(filepath.Join(h.Root, "lock"))
	held, err := lock.TryLock()
	if err != nil {
		return fmt.Errorf("cannot lock the machine: %w", err)
	}
	if !held {
		return ErrHeld
	}
	defer func() { _ = lock.Unlock() }()
	l, err := listen(h.Root)
	if err != nil {
		return fmt.Errorf("cannot listen for controllers: %w", err)
	}
	w := NewWorker(ctx, o)
	var fronts sync.WaitGroup
	done := make(chan struct{})
	fronts.Go(func() { h.watch(ctx, w, l, done) })
	for {
		c, err := l.Accept()
		if err != nil {
			break
		}
		fronts.Go(func() {
			if h.letIn(w, c) {
				if err := w.Serve(c); err != nil {
					o.Log.Info("a controller's connection ended", "why", err)
				}
			}
		})
	}
	close(done)
	fronts.Wait()
	return w.Close()
}

// watch closes the listener when the worker shall end and is at rest.
func (h Host) watch(ctx context.Context, w *Worker, l net.Listener, done <-chan struct{}) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	leave := w.leave
	for {
		select {
		case <-done:
			return
		case <-ctx.Done():
			_ = l.Close()
			return
		case <-leave:
			leave = nil
			tick.Reset(10 * time.Millisecond)
		case <-tick.C:
		}
		limit := w.o.Idle
		if leave == nil {
			limit = 0
		}
		if w.idle(limit) {
			_ = l.Close()
			return
		}
	}
}

// letIn reads what a front says. One of another program gets the machine when this worker has
// nothing to do.
func (h Host) letIn(w *Worker, c net.Conn) bool {
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	line, err := readLine(c)
	program, ok := strings.CutPrefix(line, frontWord)
	if err != nil || !ok {
		_ = c.Close()
		return false
	}
	if program != h.Program && w.soonIdle() {
		_, _ = io.WriteString(c, leaving+"\n")
		_ = c.Close()
		w.sayLeave()
		return false
	}
	if _, err := io.WriteString(c, welcome+"\n"); err != nil {
		_ = c.Close()
		return false
	}
	_ = c.SetDeadline(time.Time{})
	return true
}

// soonIdle is idle(0), for a controller that has just gone and not been let go of yet as well.
func (w *Worker) soonIdle() bool {
	const patience, pause = 500 * time.Millisecond, 10 * time.Millisecond
	for tries := patience / pause; ; tries-- {
		if w.idle(0) {
			return true
		}
		if tries == 0 {
			return false
		}
		time.Sleep(pause)
	}
}

// closeWrite tells the other side that nothing more comes.
func closeWrite(c net.Conn) error {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return c.Close()
}
