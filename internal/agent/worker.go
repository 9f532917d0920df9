package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"

	"deploy/internal/agent/wire"
	"deploy/internal/node"
	"deploy/internal/secret"
)

// errKilled: the worker's machine has ended under it.
var errKilled = errors.New("the agent was stopped")

// Worker does the work on one machine, for one controller at a time.
type Worker struct {
	o     Options
	ctx   context.Context // of the steps: it outlives every link
	stop  context.CancelFunc
	hands chan struct{} // one token: whoever has it may look and act
	group sync.WaitGroup

	mu      sync.Mutex
	holder  *attachment
	last    time.Time          // when the last controller went
	records map[string]*record // by journal
	doing   string             // the task under way
	leave   chan struct{}      // closed when a controller said that the agent shall end
	left    bool
	killed  bool
}

// NewWorker makes a worker. Steps run until ctx ends.
func NewWorker(ctx context.Context, o Options) *Worker {
	o.defaults()
	w := &Worker{o: o, hands: make(chan struct{}, 1), records: map[string]*record{}, leave: make(chan struct{}),
		last: o.Now()}
	w.ctx, w.stop = context.WithCancel(ctx)
	w.hands <- struct{}{}
	return w
}

// Kill ends the worker as the end of its machine would: the link breaks, and from now on nothing is
// written down or told. It does not wait for the step under way, whose context ends; Close does.
func (w *Worker) Kill() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.killed = true
	w.stop()
	if w.holder != nil {
		w.holder.end()
	}
	for _, s := range w.records {
		_ = s.close()
	}
	w.records = map[string]*record{}
}

// Close waits for the step under way and closes the records. No controller may be served any more.
func (w *Worker) Close() error {
	w.group.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stop()
	var errs []error
	for _, s := range w.records {
		errs = append(errs, s.close())
	}
	w.records = map[string]*record{}
	return errors.Join(errs...)
}

// Stream is a controller's connection.
type Stream = io.ReadWriteCloser

// Serve talks to one controller until it goes. It returns at once when the link breaks; the step
// under way goes on.
func (w *Worker) Serve(s Stream) error {
	defer func() { _ = s.Close() }()
	// whoever says nothing at the beginning is no controller
	early := time.AfterFunc(w.o.Silence, func() { _ = s.Close() })
	defer early.Stop()
	conn := wire.NewConn(s, s)
	if err := conn.Greet(); err != nil {
		return err
	}
	if _, err := conn.Meet(); err != nil {
		return fmt.Errorf("handshake failed: %w", err)
	}
	f, err := conn.Read()
	if err != nil {
		return fmt.Errorf("handshake failed: %w", err)
	}
	if f.Type != wire.THello {
		return fmt.Errorf("handshake failed: the first message is %s", f.Type)
	}
	early.Stop()
	var hello wire.Hello
	if err := f.Decode(&hello); err != nil {
		return err
	}
	a := &attachment{w: w, stream: s, conn: conn, hello: hello, since: w.o.Now(), gone: make(chan struct{}),
		queue: make(chan wire.Frame, 64), heard: make(chan struct{}, 1), life: make(chan struct{}, 1)}
	busy, err := w.enter(a)
	switch {
	case err != nil:
		return err
	case busy != nil:
		return conn.Write(wire.TBusy, busy)
	}
	defer w.release(a)
	return a.serve()
}

// enter makes a the holder, or says who is. A controller that was killed may have left its link
// behind, so whoever is in the way is given time for a sign of life, which a living one gives every
// few seconds.
func (w *Worker) enter(a *attachment) (*wire.Busy, error) {
	busy, err := w.hold(a)
	if busy == nil || err != nil {
		return nil, err
	}
	w.mu.Lock()
	h := w.holder
	w.mu.Unlock()
	if h != nil {
		if h.lives(w.o.Sign) {
			return busy, nil
		}
		h.end()
		w.release(h)
	}
	return w.hold(a)
}

// hold makes a the holder, or says who is. Who comes again takes the place of their own broken
// link.
func (w *Worker) hold(a *attachment) (*wire.Busy, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.killed {
		return nil, errKilled
	}
	if h := w.holder; h != nil {
		if h.hello.Who != a.hello.Who {
			return &wire.Busy{Who: h.hello.Who, Since: h.since, Doing: w.doing}, nil
		}
		// the same process comes again: its earlier link is broken, and only this side has not noticed
		h.end()
	}
	w.holder = a
	return nil, nil
}

func (w *Worker) release(a *attachment) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.holder == a {
		w.holder, w.last = nil, w.o.Now()
	}
}

// idle says that nobody is there, nothing is under way, and it has been so for the time given.
func (w *Worker) idle(for_ time.Duration) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.holder == nil && w.doing == "" && w.o.Now().Sub(w.last) >= for_
}

// sayLeave lets the worker end.
func (w *Worker) sayLeave() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.left {
		w.left = true
		close(w.leave)
	}
}

// record returns the record of a journal. An act that has no end there was cut off with an earlier
// worker, since this one has done none yet. With forget a damaged record is put aside.
func (w *Worker) journalRecord(site, journal string, forget bool) (*record, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s := w.records[journal]; s != nil {
		return s, nil
	}
	if w.killed {
		return nil, errKilled
	}
	s, err := openRecord(w.o.Root, site, journal, forget)
	if err != nil {
		return nil, err
	}
	e, ok, err := s.open()
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	if ok {
		e.What, e.Diff, e.Step, e.Digest = wire.EvLost, nil, nil, ""
		e.Err = &wire.Error{Text: "the agent stopped during this step; its outcome is unknown"}
		e.Time = w.o.Now()
		if _, err := s.add(e, true); err != nil {
			return nil, errors.Join(err, s.close())
		}
	}
	w.records[journal] = s
	return s, nil
}

// hasRecord says that there is a record of a journal.
func (w *Worker) hasRecord(site, journal string) bool {
	w.mu.Lock()
	open := w.records[journal] != nil
	w.mu.Unlock()
	_, err := os.Stat(recordPath(w.o.Root, site, journal))
	return open || !errors.Is(err, fs.ErrNotExist)
}

func (w *Worker) setDoing(task string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.doing = task
	if task == "" {
		w.last = w.o.Now()
	}
}

func (w *Worker) doingNow() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.doing
}

// attachment is one controller on one link.
type attachment struct {
	w        *Worker
	stream   Stream
	conn     *wire.Conn
	hello    wire.Hello
	since    time.Time
	session  node.Session
	redact   secret.Redactor
	upToDate bool // Welcome said so

	gone  chan struct{} // closed when the link is over
	once  sync.Once
	queue chan wire.Frame // requests, done one after the other
	heard chan struct{}   // one token: an Ack came, or Halt
	life  chan struct{}   // one token: something came

	mu     sync.Mutex
	halted bool
	record *record // opened by Sync, by a Hello that names a journal with a record, or by the first Work
}

func (a *attachment) journalRecord() *record {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.record
}

// serve welcomes the controller and reads what it says until the link is over.
func (a *attachment) serve() error {
	w := a.w
	defer a.end()
	creds := map[string]node.Credential{}
	for name, c := range a.hello.Credentials {
		creds[name] = node.Credential{User: c.User, Password: secret.New(c.Password)}
		a.redact.Add(creds[name].Password)
	}
	a.hello.Credentials = nil
	welcome := wire.Welcome{Version: w.o.Version, Doing: w.doingNow()}
	var err error
	if welcome.Digest, err = w.o.Digest(); err == nil {
		a.session, err = w.o.Session(w.ctx, creds)
	}
	if err != nil {
		welcome.Err = wire.NewError(err, a.redact.Redact)
		return errors.Join(err, a.conn.Write(wire.TWelcome, welcome))
	}
	welcome.Facts = a.session.Facts()
	a.upToDate = a.isUpToDate()
	welcome.UpToDate = a.upToDate
	if s := a.journalRecord(); s != nil {
		welcome.End = &wire.Position{Epoch: s.head.Epoch, Seq: s.end()}
	}
	if welcome.Owners, err = a.owners(w.ctx); err != nil {
		welcome.OwnersErr = a.err(err)
	}
	if err := a.conn.Write(wire.TWelcome, welcome); err != nil {
		return errors.Join(err, a.session.Close())
	}
	w.o.Log.Info("a controller came", "who", a.hello.Who, "site", a.hello.Site)
	w.group.Add(1)
	go a.work()
	return a.read()
}

// end tells everybody that the link is over.
func (a *attachment) end() {
	a.once.Do(func() {
		close(a.gone)
		_ = a.stream.Close()
	})
}

// read takes what the controller says. It ends when the link does, or when nothing was heard for
// too long.
func (a *attachment) read() error {
	defer close(a.queue)
	silence := time.AfterFunc(a.w.o.Silence, a.end)
	defer silence.Stop()
	for {
		f, err := a.conn.Read()
		if err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		silence.Reset(a.w.o.Silence)
		select {
		case a.life <- struct{}{}:
		default:
		}
		switch f.Type {
		case wire.TPing:
			err = a.conn.WriteFrame(wire.Frame{Type: wire.TPong})
		case wire.THalt:
			a.mu.Lock()
			a.halted = true
			a.mu.Unlock()
			a.wake()
		case wire.TAck:
			var ack wire.Ack
			if err = f.Decode(&ack); err == nil && a.journalRecord() != nil {
				err = a.journalRecord().ack(ack.Seq)
				a.wake()
			}
		case wire.TBye:
			var bye wire.Bye
			if err := f.Decode(&bye); err != nil {
				return err
			}
			if bye.Leave {
				a.w.sayLeave()
			}
			return nil
		case wire.TCheck, wire.TApply, wire.TUndo, wire.TRestart, wire.TWork, wire.TSync, wire.TOwner:
			select {
			case a.queue <- f:
			default:
				return errors.New("request queue overflow")
			}
		default:
			err = a.conn.Write(wire.TUnsupported, wire.Unsupported{Type: f.Type})
		}
		if err != nil {
			return err
		}
	}
}

// lives says that the controller says something within that time, and does not go right after it:
// when a cut cable is healed, the last words of one that was killed meanwhile arrive, and its end
// behind them.
func (a *attachment) lives(within time.Duration) bool {
	const behind = time.Second
	select {
	case <-a.life: // of earlier
	default:
	}
	late := time.NewTimer(within)
	defer late.Stop()
	select {
	case <-a.life:
	case <-a.gone:
		return false
	case <-late.C:
		return false
	}
	late.Reset(behind)
	select {
	case <-a.gone:
		return false
	case <-late.C:
		return true
	}
}

func (a *attachment) wake() {
	select {
	case a.heard <- struct{}{}:
	default:
	}
}

// mayBegin says that a further task may be begun: somebody watches, wants it, and has written down
// what was told before.
func (a *attachment) mayBegin() bool {
	for {
		a.mu.Lock()
		halted := a.halted
		a.mu.Unlock()
		if halted || a.isGone() {
			return false
		}
		if a.journalRecord().unheard() < a.w.o.Ahead {
			return true
		}
		select {
		case <-a.heard:
		case <-a.gone:
			return false
		}
	}
}

func (a *attachment) isGone() bool {
	select {
	case <-a.gone:
		return true
	default:
		return false
	}
}

// tell sends to the controller; when the link is over nobody listens, and the record has what
// counts.
func (a *attachment) tell(t wire.Type, body any) {
	if a.isGone() {
		return
	}
	if err := a.conn.Write(t, body); err != nil {
		a.w.o.Log.Info("cannot notify the controller", "message", t.String(), "why", err)
		a.end()
	}
}
