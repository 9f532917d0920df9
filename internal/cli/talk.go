package cli

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"deploy/internal/engine"
	"deploy/internal/hint"
	"deploy/internal/view"
)

// talk is what passes between a run and the person before it: events one way, answers and Ctrl-C
// the other.
type talk struct {
	app   *App
	f     runFlags
	fl    *fleet
	v     view.View
	stop  chan struct{}
	begun sync.Once
}

func (a *App) talk(fl *fleet, f runFlags) *talk {
	return &talk{app: a, f: f, fl: fl, v: a.view(f.siteFlags), stop: make(chan struct{})}
}

// event shows an event. From the first one of the steps themselves on, Ctrl-C lets what is under
// way finish; before it, there is nothing to finish.
func (t *talk) event(e engine.Event) {
	if e.Kind == engine.EvPhaseStart || e.Kind == engine.EvUndoBegin {
		t.begun.Do(func() {
			t.app.interrupts.gently(func() {
				t.v.Aside(func() {
					fmt.Fprintln(t.app.Stderr, "stopping after the current steps; press Ctrl-C again to exit immediately")
				})
				close(t.stop)
			}, "; the outcome of the current steps is unknown and the next run will check it")
		})
	}
	t.v.Event(e)
}

// close ends the view. Nothing is under way any more.
func (t *talk) close() {
	t.app.interrupts.gently(nil, "")
	t.v.Close()
}

// ask puts a question below what the view shows.
func (t *talk) ask(ctx context.Context, text string) (answer string, err error) {
	t.v.Aside(func() { answer, err = t.app.question(ctx, t.stop, text) })
	return answer, err
}

// approve answers for points of no return.
func (t *talk) approve(ctx context.Context, ask engine.Approval) (bool, error) {
	if t.f.approve {
		return true, nil
	}
	if !t.app.interactive(t.f.siteFlags) {
		return false, hint.Wrap(fmt.Errorf("approval required, but there is no terminal: it is a point of no return (%s)",
			ask.Why),
			"review the plan, then pass --auto-approve")
	}
	answer, err := t.ask(ctx, fmt.Sprintf("%s cannot be undone: %s\nType yes to continue:", ask.Task, ask.Why))
	return answer == "yes", err
}

// gate answers for gates: a sign-off given on the command line, the lab's operator, or a person
// at the terminal.
func (t *talk) gate(ctx context.Context, g engine.GateRequest) (engine.Signature, bool, error) {
	for _, s := range t.f.sign {
		if task, text, ok := strings.Cut(s, "="); ok && task == g.Task {
			return engine.Signature{By: who(), Text: text, At: t.app.Now()}, true, nil
		}
	}
	if t.fl.endpoints != nil && g.Gate.Operator != "" {
		if err := t.fl.operate(ctx, g); err != nil {
			return engine.Signature{}, false, err
		}
		return engine.Signature{By: "the lab's operator", Text: g.Gate.Operator, At: t.app.Now()}, true, nil
	}
	if !t.app.interactive(t.f.siteFlags) {
		return engine.Signature{}, false, nil
	}
	answer, err := t.ask(ctx, fmt.Sprintf("\n%s (%s)\n\n%s\n\nEnter what was done to sign, or press Enter to "+
		"skip:", g.Gate.Title, g.Task, g.Gate.Text))
	if err != nil || answer == "" {
		return engine.Signature{}, false, err
	}
	return engine.Signature{By: who(), Text: answer, At: t.app.Now()}, true, nil
}

// question asks and returns the answer, trimmed. It ends without one when ctx or stop does; whoever
// was typing then has left.
func (a *App) question(ctx context.Context, stop <-chan struct{}, text string) (string, error) {
	type answer struct {
		line string
		err  error
	}
	got := make(chan answer, 1)
	fmt.Fprint(a.Stderr, text+" ")
	go func() {
		line, err := a.lines.ReadString('\n')
		got <- answer{line, err}
	}()
	select {
	case <-ctx.Done():
		fmt.Fprintln(a.Stderr)
		return "", ctx.Err()
	case <-stop:
		fmt.Fprintln(a.Stderr)
		return "", engine.ErrStopped
	case g := <-got:
		if g.err != nil && g.line == "" {
			return "", fmt.Errorf("cannot read the answer: %w", g.err)
		}
		return strings.TrimSpace(g.line), nil
	}
}
