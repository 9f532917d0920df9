package winrmd

import (
	"bytes"
	"io"
	"sync"
)

// Limits of what waits inside the server: a process that prints more blocks until somebody receives
// it, as on a full pipe.
const (
	maxBuffered = 1 << 20
	maxStdin    = 4 << 20
)

// inbox is a command's stdin: what Send brings, until somebody reads it.
type inbox struct {
	mu     sync.Mutex
	cond   *sync.Cond
	buf    bytes.Buffer
	ended  bool // Send said End
	closed bool // the command is gone
}

func newInbox() *inbox {
	b := &inbox{}
	b.cond = sync.NewCond(&b.mu)
	return b
}

// offer takes p when there is room.
func (b *inbox) offer(p []byte, end bool) (taken bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.buf.Len() > 0 && b.buf.Len()+len(p) > maxStdin && !b.closed {
		return false
	}
	if !b.closed && !b.ended {
		b.buf.Write(p)
		b.ended = end
	}
	b.cond.Broadcast()
	return true
}

// Read waits for input.
func (b *inbox) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.buf.Len() == 0 && !b.ended && !b.closed {
		b.cond.Wait()
	}
	if b.closed || b.buf.Len() == 0 {
		return 0, io.EOF
	}
	return b.buf.Read(p)
}

func (b *inbox) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.cond.Broadcast()
}

// outbox is a command's output and its end.
type outbox struct {
	mu      sync.Mutex
	room    *sync.Cond
	bufs    [2]bytes.Buffer // stdout, stderr
	closed  bool            // nobody will receive any more
	done    bool
	code    int
	told    bool          // Done was answered
	changed chan struct{} // closed and renewed at every change
}

func newOutbox() *outbox {
	o := &outbox{changed: make(chan struct{})}
	o.room = sync.NewCond(&o.mu)
	return o
}

func (o *outbox) change() {
	close(o.changed)
	o.changed = make(chan struct{})
}

// write is called by the process.
func (o *outbox) write(stream int, p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.bufs[stream].Len() > 0 && o.bufs[stream].Len()+len(p) > maxBuffered && !o.closed {
		o.room.Wait()
	}
	if o.closed {
		return 0, io.ErrClosedPipe
	}
	o.bufs[stream].Write(p)
	o.change()
	return len(p), nil
}

// finish is called when the process has ended.
func (o *outbox) finish(code int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.done, o.code = true, code
	o.change()
}

// close wakes everybody: the command was terminated.
func (o *outbox) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	o.room.Broadcast()
	o.change()
}

// output is what one Receive answers.
type output struct {
	stdout, stderr []byte
	done           bool
	code           int
	again          bool // Done was answered before
	closed         bool
}

// take gives what there is, at most limit bytes of both streams together, and a channel that closes
// at the next change. ok is false when there is nothing to say yet.
func (o *outbox) take(limit int) (out output, changed <-chan struct{}, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.told {
		return output{again: true}, o.changed, true
	}
	out.stdout = bytes.Clone(o.bufs[0].Next(limit))
	out.stderr = bytes.Clone(o.bufs[1].Next(limit - len(out.stdout)))
	o.room.Broadcast()
	if o.done && !o.closed && o.bufs[0].Len() == 0 && o.bufs[1].Len() == 0 {
		out.done, out.code, o.told = true, o.code, true
	}
	out.closed = o.closed
	return out, o.changed, out.done || out.closed || len(out.stdout)+len(out.stderr) > 0
}

// writer is one of an outbox's streams.
type writer struct {
	o      *outbox
	stream int
}

func (w writer) Write(p []byte) (int, error) { return w.o.write(w.stream, p) }
