// Package view shows the engine's events: live on a terminal, as plain lines in a pipe, and as JSON
// lines for programs.
package view

import (
	"fmt"
	"io"
	"strings"
	"time"

	"deploy/internal/engine"
	"deploy/steps"
)

// View shows events as they come. It is not safe for concurrent use: the engine sends one event at
// a time.
type View interface {
	Event(e engine.Event)
	// Aside takes the live status away while f says something beside the view, or asks a question, and
	// puts it back.
	Aside(f func())
	// Close takes away what was only there for the moment (the live status) and ends background work.
	Close()
}

// Options choose a view.
type Options struct {
	JSON    bool
	Live    bool       // the output is a terminal
	Color   bool       // use colour (a terminal, and NO_COLOR is not set)
	Verbose bool       // show steps that had nothing to do
	Width   func() int // of the terminal, in columns; nil or a width of 0 means 80
	Now     func() time.Time
}

// Count is a number and the word for the things it counts: "1 step", "2 steps".
func Count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

// New makes the view that o asks for.
func New(w io.Writer, o Options) View {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Width == nil {
		o.Width = func() int { return 0 }
	}
	switch {
	case o.JSON:
		return &jsonView{w}
	case o.Live:
		return newLive(w, o)
	}
	return &plain{w: w, o: o, paint: painter{o.Color}}
}

// jsonView writes one event a line, in the form documented in docs/events.md.
type jsonView struct{ w io.Writer }

func (v *jsonView) Event(e engine.Event) { _ = WriteJSONLine(v.w, e) }
func (v *jsonView) Aside(f func())       { f() }
func (v *jsonView) Close()               {}

// plain writes lines that stay.
type plain struct {
	w      io.Writer
	o      Options
	paint  painter
	start  time.Time
	noop   int
	done   int
	widest int
	held   []string // lines that lead to something worth telling, and are not said when nothing comes
	phase  string   // the line of a phase in which nothing was told yet
}

func (v *plain) Aside(f func()) { f() }
func (v *plain) Close()         {}

func (v *plain) Event(e engine.Event) {
	for _, line := range v.lines(e) {
		fmt.Fprintln(v.w, line)
	}
}

// lines is what an event leaves behind in a log. Who was reached and which phase begins is told
// together with the first thing that happens there: a run without changes is one line, its summary.
func (v *plain) lines(e engine.Event) []string {
	list := v.said(e)
	acts := e.Kind == engine.EvBegin || e.Kind == engine.EvUndoBegin
	if v.o.Verbose || len(list) == 0 && !acts {
		return list
	}
	switch e.Kind {
	case engine.EvRunStart, engine.EvConnected:
		v.held = append(v.held, list...)
		return nil
	case engine.EvPhaseStart:
		v.phase = list[0]
		return nil
	case engine.EvCheckpoint:
		if v.phase != "" {
			v.phase = ""
			return nil
		}
	}
	if v.phase != "" && e.Phase != "" {
		v.held = append(v.held, v.phase)
		v.phase = ""
	}
	list = append(v.held, list...)
	v.held = nil
	return list
}

func (v *plain) said(e engine.Event) []string {
	if v.start.IsZero() {
		v.start = e.Time
	}
	if len(e.Node) > v.widest {
		v.widest = len(e.Node)
	}
	at := fmt.Sprintf("%7s", elapsed(e.Time.Sub(v.start)))
	line := func(mark, what, text string) string {
		s := fmt.Sprintf("%s  %s %-*s", at, mark, v.widest, e.Node)
		for _, part := range []string{what, text} {
			if part != "" {
				s += "  " + part
			}
		}
		return strings.TrimRight(s, " ")
	}
	detail := func(list []string, texts ...string) []string {
		for _, t := range texts {
			for _, l := range strings.Split(strings.TrimSpace(t), "\n") {
				if l != "" {
					list = append(list, strings.Repeat(" ", 10)+l)
				}
			}
		}
		return list
	}
	task := shortTask(e)
	switch e.Kind {
	case engine.EvRunStart:
		return []string{fmt.Sprintf("%s  %s, run %s", at, e.Text, e.Run)}
	case engine.EvConnected:
		return []string{line(" ", "connected", v.paint.dim(e.Text))}
	case engine.EvRetry:
		return detail([]string{line(v.paint.warn("~"), "link", "retrying in "+e.Text)}, e.Error)
	case engine.EvPhaseStart:
		v.noop, v.done = 0, 0
		return []string{fmt.Sprintf("%s  %s", at, v.paint.bold("== "+e.Phase+": "+e.Text))}
	case engine.EvCheckpoint:
		return []string{fmt.Sprintf("%s  %s %d changed, %d unchanged", at, v.paint.good("-- "+e.Phase+":"), v.done, v.noop)}
	case engine.EvNoOp:
		v.noop++
		if v.o.Verbose {
			return []string{line(" ", task, v.paint.dim(firstOf(e.Text, "unchanged")))}
		}
	case engine.EvDone:
		v.done++
		return detail([]string{line(v.paint.good("+"), task, v.paint.dim(took(e)))}, e.Text)
	case engine.EvFailed:
		return detail([]string{line(v.paint.bad("!"), task, v.paint.bad("failed"))}, e.Error, hintLine(e.Hint))
	case engine.EvLost:
		return detail([]string{line(v.paint.warn("?"), task, "connection lost, outcome unknown")}, e.Error)
	case engine.EvHeartbeat:
		return []string{line(".", task, "waiting for "+e.Text+" "+v.paint.dim(took(e)))}
	case engine.EvReboot:
		return []string{line("^", task, "restarting the machine")}
	case engine.EvRebooted:
		return []string{line("^", task, "the machine is back "+v.paint.dim(took(e)))}
	case engine.EvApprove:
		return detail([]string{line(v.paint.warn("*"), task, "point of no return")}, e.Text)
	case engine.EvGate:
		return detail([]string{line(v.paint.warn("@"), task, "waiting for sign-off")}, e.Text)
	case engine.EvSigned:
		return []string{line("@", task, "signed by "+e.Text)}
	case engine.EvWarning:
		return []string{line(v.paint.warn("~"), task, e.Text)}
	case engine.EvUndone:
		return []string{line(v.paint.good("-"), task, "undone "+v.paint.dim(took(e)))}
	case engine.EvUndoFailed:
		return detail([]string{line(v.paint.bad("!"), task, v.paint.bad("cannot undo"))}, e.Error, hintLine(e.Hint))
	case engine.EvLeft:
		return []string{line(" ", task, "left as it is"+dash(e.Text))}
	}
	return nil
}

func dash(s string) string {
	if s == "" {
		return ""
	}
	return ": " + s
}

func hintLine(h string) string {
	if h == "" {
		return ""
	}
	return "hint: " + h
}

func took(e engine.Event) string {
	if e.ElapsedMS == 0 {
		return ""
	}
	return "(" + elapsed(time.Duration(e.ElapsedMS)*time.Millisecond) + ")"
}

// shortTask is the task's id without the node behind it, which has a column of its own.
func shortTask(e engine.Event) string {
	t := e.Task
	if e.Node != "" {
		t = strings.TrimSuffix(t, "@"+e.Node)
	}
	if e.Action != "" && e.Action != steps.NoOp && e.Kind == engine.EvBegin {
		t += " " + string(e.Action)
	}
	return t
}

// elapsed prints a time as a person reads it: 0.4s, 12.3s, 4m05s, 1h02m.
func elapsed(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
}

// painter colours, or does not.
type painter struct{ on bool }

func (p painter) code(n, s string) string {
	if !p.on || s == "" {
		return s
	}
	return "\x1b[" + n + "m" + s + "\x1b[0m"
}
func (p painter) good(s string) string { return p.code("32", s) }
func (p painter) bad(s string) string  { return p.code("31", s) }
func (p painter) warn(s string) string { return p.code("33", s) }
func (p painter) bold(s string) string { return p.code("1", s) }
func (p painter) dim(s string) string  { return p.code("2", s) }
