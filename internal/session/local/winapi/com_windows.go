package winapi

import (
	"context"
	"errors"
	"runtime"
	"sync"

	"github.com/go-ole/go-ole"
)

// com runs functions one after the other on a thread of their own: COM belongs to threads, and
// goroutines move between them.
type com struct {
	mu     sync.Mutex
	worker *worker
	closed bool
	group  sync.WaitGroup
}

// worker is one thread with its open namespaces.
type worker struct {
	jobs chan func(*worker)
	quit chan struct{}
	open map[string]*services
	err  error // COM could not be made ready on the thread
}

var errClosed = errors.New("the session is closed")

// do runs f on the thread. When ctx ends first the thread is given up, for a provider may hang for
// ever; it ends by itself once f returns.
func (c *com) do(ctx context.Context, f func(*worker) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return errClosed
	}
	w := c.worker
	if w == nil {
		w = &worker{jobs: make(chan func(*worker)), quit: make(chan struct{}), open: map[string]*services{}}
		c.worker = w
		c.group.Add(1)
		go w.run(&c.group)
	}
	c.mu.Unlock()
	done := make(chan error, 1)
	job := func(w *worker) {
		if w.err != nil {
			done <- w.err
			return
		}
		done <- f(w)
	}
	select {
	case w.jobs <- job:
	case <-w.quit: // given up by another caller: try a fresh one
		return c.do(ctx, f)
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		c.drop(w)
		return ctx.Err()
	}
}

func (c *com) drop(w *worker) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.worker == w {
		c.worker = nil
		close(w.quit)
	}
}

// close ends the thread and waits for it, and for those that were given up.
func (c *com) close() {
	c.mu.Lock()
	c.closed = true
	if c.worker != nil {
		close(c.worker.quit)
		c.worker = nil
	}
	c.mu.Unlock()
	c.group.Wait()
}

func (w *worker) run(group *sync.WaitGroup) {
	defer group.Done()
	runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
	w.err = ole.CoInitializeEx(0, ole.COINIT_MULTITHREADED)
	var already *ole.OleError
	if errors.As(w.err, &already) && already.Code() == 1 { // S_FALSE: the thread was ready before
		w.err = nil
	}
	if w.err == nil {
		// once in a process; a second time it answers RPC_E_TOO_LATE, which is no trouble.
		// Level "connect" and impersonation are what WMI's own clients set; each connection raises them.
		const none, connect, impersonate = ^uintptr(0), 2, 3
		_, _, _ = procCoInitializeSecurity.Call(0, none, 0, 0, connect, impersonate, 0, 0, 0)
		defer ole.CoUninitialize()
	}
	for {
		select {
		case job := <-w.jobs:
			job(w)
		case <-w.quit:
			for _, s := range w.open {
				s.release()
			}
			return
		}
	}
}
