package winrmd

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"sync"
	"time"

	"deploy/internal/lab/front"
)

// exitControlC is STATUS_CONTROL_C_EXIT, what a program ends with when Ctrl-C or Ctrl-Break ended
// it.
const exitControlC = 0xC000013A

// shell is one remote shell.
type shell struct {
	ID       string
	Owner    string
	Dir      string
	CodePage int
	Idle     time.Duration
	clock    time.Duration // what Idle amounts to on the clock
	Created  time.Time

	mu       sync.Mutex
	commands map[string]*command
	busy     int // requests under way
	timer    *time.Timer
	gone     bool
}

// command is one process in a shell.
type command struct {
	ID   string
	in   *inbox
	out  *outbox
	kill context.CancelFunc
	once sync.Once
	// forced is the exit code of a command that a signal ended
	mu     sync.Mutex
	forced *int
}

// stop ends the process. Its reads and writes return at once. The output is closed before the
// process ends, so that a Receive that waits hears of the termination and never of the exit code
// that the termination itself caused.
func (c *command) stop() {
	c.once.Do(func() {
		c.out.close()
		c.kill()
		c.in.close()
	})
}

// interrupt ends the process as Ctrl-C does: the command stays, done, with its code.
func (c *command) interrupt() {
	c.mu.Lock()
	code := exitControlC
	c.forced = &code
	c.mu.Unlock()
	c.kill()
	c.in.close()
}

func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return strings.ToUpper(fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]))
}

// start runs a command in the shell. wg counts it.
func (sh *shell) start(id, line string, network bool, run front.Runner, wg *sync.WaitGroup) *command {
	ctx, cancel := context.WithCancel(context.Background())
	c := &command{ID: id, in: newInbox(), out: newOutbox(), kill: cancel}
	sh.commands[id] = c
	wg.Add(1)
	go func() {
		defer wg.Done()
		defer cancel()
		code := run(ctx, front.Process{Line: line, User: sh.Owner, Network: network, Dir: sh.Dir, CodePage: sh.CodePage,
			Stdin: c.in, Stdout: writer{c.out, 0}, Stderr: writer{c.out, 1}})
		c.mu.Lock()
		if c.forced != nil {
			code = *c.forced
		}
		c.mu.Unlock()
		c.in.close()
		c.out.finish(code)
	}()
	return c
}

// running counts processes that have not ended.
func (sh *shell) running() int {
	n := 0
	for _, c := range sh.commands {
		c.out.mu.Lock()
		if !c.out.done {
			n++
		}
		c.out.mu.Unlock()
	}
	return n
}

// enter notes that a request works with the shell, so that it is not idle. It says whether the
// shell is still there.
func (sh *shell) enter() bool {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.gone {
		return false
	}
	sh.busy++
	return true
}

// leave starts the idle clock again when the last request is done.
func (sh *shell) leave() {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.busy--
	if sh.busy == 0 && !sh.gone && sh.timer != nil {
		sh.timer.Reset(sh.clock)
	}
}

// end stops every command. It says whether the shell was there until now.
func (sh *shell) end() bool {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.gone {
		return false
	}
	sh.gone = true
	if sh.timer != nil {
		sh.timer.Stop()
	}
	for _, c := range sh.commands {
		c.stop()
	}
	return true
}
