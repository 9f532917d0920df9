package view

import (
	"fmt"
	"io"
	"sort"
	"strings"
	"sync"
	"time"

	"deploy/internal/engine"
)

// live prints the plain lines and keeps a block below them: the phase, what each node is at, for
// how long, and what is waited for.
type live struct {
	mu      sync.Mutex
	w       io.Writer
	o       Options
	plain   *plain
	phase   string
	title   string
	start   time.Time
	active  map[string]*activity // by task
	drawn   int                  // lines of the block on the screen
	aside   int                  // somebody else writes below: no block meanwhile
	stop    chan struct{}
	stopped sync.WaitGroup
	once    sync.Once
}

type activity struct {
	node, task, waits string
	since             time.Time
}

func newLive(w io.Writer, o Options) *live {
	v := &live{w: w, o: o, plain: &plain{w: w, o: o, paint: painter{o.Color}}, active: map[string]*activity{},
		stop: make(chan struct{})}
	v.stopped.Add(1)
	go v.tick()
	return v
}

// tick redraws, so that elapsed times move while nothing happens.
func (v *live) tick() {
	defer v.stopped.Done()
	t := time.NewTicker(250 * time.Millisecond)
	defer t.Stop()
	for {
		select {
		case <-v.stop:
			return
		case <-t.C:
			v.mu.Lock()
			v.erase()
			v.draw()
			v.mu.Unlock()
		}
	}
}

func (v *live) Close() {
	v.once.Do(func() {
		close(v.stop)
		v.stopped.Wait()
		v.mu.Lock()
		defer v.mu.Unlock()
		v.erase()
	})
}

func (v *live) Aside(f func()) {
	v.mu.Lock()
	v.erase()
	v.aside++
	v.mu.Unlock()
	defer func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.aside--
	}()
	f()
}

func (v *live) Event(e engine.Event) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.erase()
	if v.start.IsZero() {
		v.start = e.Time
	}
	v.follow(e)
	if e.Kind != engine.EvHeartbeat { // the block shows it
		for _, line := range v.plain.lines(e) {
			fmt.Fprintln(v.w, line)
		}
	}
	v.draw()
}

func (v *live) follow(e engine.Event) {
	key := e.Task
	if key == "" {
		key = "@" + e.Node // a node's checks, all at once
	} else if e.Kind != engine.EvHeartbeat {
		delete(v.active, "@"+e.Node) // they are answered: it is at a task now
	}
	switch e.Kind {
	case engine.EvRunStart:
		v.title = e.Text + ", run " + e.Run
	case engine.EvPhaseStart:
		v.phase, v.title = e.Phase, e.Text
	case engine.EvBegin, engine.EvUndoBegin:
		v.active[e.Task] = &activity{node: e.Node, task: shortTask(e), since: e.Time}
	case engine.EvHeartbeat, engine.EvReboot, engine.EvGate:
		a := v.active[key]
		if a == nil {
			a = &activity{node: e.Node, task: shortTask(e), since: e.Time.Add(-time.Duration(e.ElapsedMS) * time.Millisecond)}
			v.active[key] = a
		}
		switch e.Kind {
		case engine.EvReboot:
			a.waits = "the machine to come back"
		case engine.EvGate:
			a.waits = "a person"
		default:
			a.waits = e.Text
		}
	case engine.EvRebooted:
		if a := v.active[e.Task]; a != nil {
			a.waits = ""
		}
	case engine.EvDone, engine.EvFailed, engine.EvNoOp, engine.EvUndone, engine.EvUndoFailed, engine.EvLeft,
		engine.EvSigned:
		delete(v.active, e.Task)
	case engine.EvRunEnd:
		v.active = map[string]*activity{}
	}
}

func (v *live) erase() {
	if v.drawn > 0 {
		fmt.Fprintf(v.w, "\x1b[%dA\x1b[J", v.drawn)
		v.drawn = 0
	}
}

func (v *live) draw() {
	if v.start.IsZero() || v.aside > 0 {
		return
	}
	now := v.o.Now()
	width := v.o.Width()
	if width <= 0 {
		width = 80 // a terminal that does not know its size, as over a serial line
	}
	width = max(20, width-1)
	lines := []string{fmt.Sprintf("%7s  %s", elapsed(now.Sub(v.start)), strings.TrimSpace(v.phase+"  "+v.title))}
	list := make([]*activity, 0, len(v.active))
	for _, a := range v.active {
		list = append(list, a)
	}
	sort.Slice(list, func(i, j int) bool { return list[i].since.Before(list[j].since) })
	for i, a := range list {
		if i == 8 {
			lines = append(lines, fmt.Sprintf("           and %d more", len(list)-i))
			break
		}
		s := "         > " + a.node + "  "
		if a.task != "" {
			s += a.task + "  "
		}
		s += elapsed(now.Sub(a.since))
		if a.waits != "" {
			s += "  waiting for " + a.waits
		}
		lines = append(lines, s)
	}
	for _, l := range lines {
		fmt.Fprintln(v.w, v.plain.paint.dim(cut(l, width)))
	}
	v.drawn = len(lines)
}

// cut keeps a line on one row, so that erasing counts right.
func cut(s string, width int) string {
	r := []rune(s)
	if len(r) <= width {
		return s
	}
	return string(r[:width-1]) + "…"
}
