package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"deploy/internal/engine"
	"deploy/internal/hint"
	"deploy/internal/journal"
	"deploy/internal/node"
	"deploy/internal/view"
)

// runFlags choose what runs and who answers questions.
type runFlags struct {
	siteFlags
	only, skip, nodes []string
	parallel          int
	approve           bool
	sign              []string
	stepTimeout       time.Duration
	rebootTimeout     time.Duration
}

func (f *runFlags) add(fs *pflag.FlagSet) {
	f.siteFlags.add(fs)
	fs.StringSliceVar(&f.only, "phase", nil, "run only these phases; what they need must be done")
	fs.StringSliceVar(&f.skip, "skip", nil, "leave these phases out")
	fs.StringSliceVar(&f.nodes, "node", nil, "work only on these nodes")
	fs.IntVar(&f.parallel, "parallel", 16, "nodes that work at the same time")
	fs.DurationVar(&f.stepTimeout, "step-timeout", 0, "for steps without a time of their own (default 10m)")
	fs.DurationVar(&f.rebootTimeout, "reboot-timeout", 0, "until a restarted machine serves again (default 20m)")
}

func (f *runFlags) addAnswers(fs *pflag.FlagSet) {
	fs.BoolVar(&f.approve, "auto-approve", false, "agree to the plan and to its points of no return without asking")
	fs.StringArrayVar(&f.sign, "sign", nil, "sign a gate off: TASK=what was done (may be given several times)")
}

// options puts the engine's options together.
func (a *App) options(l *loaded, fl *fleet, f runFlags, j journal.Journal, events func(engine.Event)) engine.Options {
	return engine.Options{
		Program: l.program, Journal: j, Dial: fl.dial, Decode: a.decode, Events: events, Now: a.Now,
		Who: who(), Version: a.Version, Parallel: f.parallel, StepTimeout: f.stepTimeout, RebootTimeout: f.rebootTimeout,
		Only: f.only, Skip: f.skip, Nodes: f.nodes,
		Approve: a.approver(f), Gate: a.gatekeeper(fl, f), Redact: a.redact.Redact,
	}
}

// view makes the view that fits the output.
func (a *App) view(f siteFlags) view.View {
	o := view.Options{JSON: f.json, Verbose: f.verbose, Now: a.Now}
	if a.Terminal != nil && !f.json {
		if _, ok := a.Terminal(); ok {
			o.Live, o.Color = true, a.Env("NO_COLOR") == ""
			o.Width = func() int { w, _ := a.Terminal(); return w }
		}
	}
	return view.New(redactingWriter{a.Stdout, &a.redact}, o)
}

func (a *App) color() bool {
	if a.Terminal == nil || a.Env("NO_COLOR") != "" {
		return false
	}
	_, ok := a.Terminal()
	return ok
}

// interactive says that a person can be asked.
func (a *App) interactive(f siteFlags) bool {
	if a.Terminal == nil || f.json {
		return false
	}
	_, ok := a.Terminal()
	return ok
}

// question asks and returns the answer, trimmed.
func (a *App) question(text string) (string, error) {
	fmt.Fprint(a.Stderr, text+" ")
	line, err := bufio.NewReader(a.Stdin).ReadString('\n')
	if err != nil && line == "" {
		return "", fmt.Errorf("cannot read the answer: %w", err)
	}
	return strings.TrimSpace(line), nil
}

// approver answers for points of no return.
func (a *App) approver(f runFlags) func(context.Context, engine.Approval) (bool, error) {
	return func(_ context.Context, ask engine.Approval) (bool, error) {
		if f.approve {
			return true, nil
		}
		if !a.interactive(f.siteFlags) {
			return false, hint.Wrap(fmt.Errorf("%s is a point of no return (%s)", ask.Task, ask.Why), "read the plan, then give --auto-approve")
		}
		answer, err := a.question(fmt.Sprintf("%s cannot be undone: %s\nType the word yes to go on:", ask.Task, ask.Why))
		return answer == "yes", err
	}
}

// gatekeeper answers for gates: a sign-off given on the command line, the lab's own operator, or a person at the terminal.
func (a *App) gatekeeper(fl *fleet, f runFlags) func(context.Context, engine.GateRequest) (engine.Signature, bool, error) {
	return func(ctx context.Context, g engine.GateRequest) (engine.Signature, bool, error) {
		for _, s := range f.sign {
			if task, text, ok := strings.Cut(s, "="); ok && task == g.Task {
				return engine.Signature{By: who(), Text: text, At: a.Now()}, true, nil
			}
		}
		if fl.endpoints != nil && g.Gate.Operator != "" {
			if err := fl.operate(ctx, g); err != nil {
				return engine.Signature{}, false, err
			}
			return engine.Signature{By: "the lab's operator", Text: g.Gate.Operator, At: a.Now()}, true, nil
		}
		if !a.interactive(f.siteFlags) {
			return engine.Signature{}, false, nil
		}
		answer, err := a.question(fmt.Sprintf("\n%s (%s)\n\n%s\n\nSay what was done to sign, or press Enter to leave it for later:", g.Gate.Title, g.Task, g.Gate.Text))
		if err != nil || answer == "" {
			return engine.Signature{}, false, err
		}
		return engine.Signature{By: who(), Text: answer, At: a.Now()}, true, nil
	}
}

// operate lets the lab play a person's act: a program that only emulated machines have does it on the machine.
func (fl *fleet) operate(ctx context.Context, g engine.GateRequest) error {
	exec, err := fl.session(ctx, g.Node)
	if err != nil {
		return err
	}
	defer func() { _ = exec.Close() }()
	res, err := exec.Run(ctx, node.Cmd{Argv: []string{"lab-operator.exe", g.Gate.Operator, g.Gate.Argument}})
	if err != nil {
		return fmt.Errorf("cannot play the operator's act %s on %s: %w", g.Gate.Operator, g.Node, err)
	}
	if res.Code != 0 {
		return fmt.Errorf("cannot play the operator's act %s on %s: %s", g.Gate.Operator, g.Node, strings.TrimSpace(string(res.Stderr)))
	}
	return nil
}

// stopSignal turns the first Ctrl-C into a clean stop and the second into leaving at once.
func (a *App) stopSignal(done <-chan struct{}) <-chan struct{} {
	stop := make(chan struct{})
	go func() {
		asked := false
		for {
			select {
			case <-done:
				return
			case <-a.Interrupts:
				if asked {
					fmt.Fprintln(a.Stderr, "left at once; what was under way is unknown and will be looked at by the next run")
					a.Exit(ExitForced)
					return
				}
				asked = true
				fmt.Fprintln(a.Stderr, "stopping when the steps under way are done; Ctrl-C again leaves at once")
				close(stop)
			}
		}
	}()
	return stop
}

// openJournal opens a site's journal for writing.
func (a *App) openJournal(l *loaded, run string) (journal.Journal, func() error, error) {
	st, err := journal.Open(l.state, journal.OpenOptions{Who: who(), Run: run, Now: a.Now})
	if err != nil {
		return nil, nil, err
	}
	var j journal.Journal = st
	if a.WrapJournal != nil {
		j = a.WrapJournal(st)
	}
	return j, st.Close, nil
}

// readJournal reads what there is; a site that was never applied has no entries.
func (a *App) readJournal(ctx context.Context, l *loaded) ([]journal.Entry, error) {
	st, err := journal.OpenReadOnly(l.state)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	entries, err := st.Entries(ctx)
	return entries, errors.Join(err, st.Close())
}
