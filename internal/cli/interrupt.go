package cli

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// errInterrupted is why a context ended: somebody pressed Ctrl-C, or the process was asked to end.
var errInterrupted = errors.New("interrupted")

// interrupts makes of the first Ctrl-C what suits the moment and of the second an exit at once.
// SIGTERM counts as one. By default the first cancels the command; while the steps of a run are
// under way, it asks the run to stop.
type interrupts struct {
	app    *App
	cancel context.CancelCauseFunc

	mu     sync.Mutex
	count  int
	gentle func()
	left   string
}

// watch works until done is closed.
func (i *interrupts) watch(done <-chan struct{}) {
	for {
		select {
		case <-done:
			return
		case <-i.app.Interrupts:
			i.one()
		}
	}
}

func (i *interrupts) one() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.count++
	switch {
	case i.count > 1:
		fmt.Fprintln(i.app.Stderr, "exit without waiting"+i.left)
		i.app.Exit(ExitForced)
	case i.gentle != nil:
		i.gentle()
	default:
		fmt.Fprintln(i.app.Stderr, "interrupted before any change; press Ctrl-C again to exit immediately")
		i.cancel(errInterrupted)
	}
}

// gently lets f answer the first Ctrl-C from now on, and adds left to what the second says. A nil f
// lets the first cancel the command again.
func (i *interrupts) gently(f func(), left string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.gentle, i.left = f, left
}
