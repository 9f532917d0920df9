package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"deploy/internal/engine"
	"deploy/internal/journal"
	"deploy/internal/node"
	"deploy/internal/view"
	"deploy/steps"
)

// runFlags choose what runs and who answers questions.
type runFlags struct {
	siteFlags
	engine.Selection
	ownerFlags
	parallel      atLeastOne
	approve       bool
	sign          []string
	forget        []string
	stepTimeout   positive
	rebootTimeout positive
	linkTimeout   positive
}

// addSelection adds the flags that choose a part of the program.
func (f *runFlags) addSelection(fs *pflag.FlagSet) {
	fs.StringSliceVar(&f.Only, "phase", nil, "run only these phases; the phases that they need must be complete")
	fs.StringSliceVar(&f.Skip, "skip", nil, "skip these phases, assuming that their work is done")
	fs.StringSliceVar(&f.Nodes, "node", nil, "work only on these nodes: names, 'w*', role.NAME")
	fs.StringSliceVar(&f.Exclude, "exclude", nil, "leave these nodes out: names, 'w*', role.NAME")
	fs.StringSliceVar(&f.Tasks, "task", nil, "run only these tasks: ids, phase/step, 'phase/*@w1'")
	f.addParallel(fs)
}

func (f *runFlags) addParallel(fs *pflag.FlagSet) {
	f.parallel = 16
	fs.Var(&f.parallel, "parallel", "number of nodes to change at the same time")
}

func (f *runFlags) addTimes(fs *pflag.FlagSet) {
	fs.Var(&f.stepTimeout, "step-timeout", "default step timeout (default 10m)")
	fs.Var(&f.rebootTimeout, "reboot-timeout", "how long to wait for a restarted machine (default 20m)")
	fs.Var(&f.linkTimeout, "link-timeout", "how long to keep reconnecting after a connection is lost (default 4m)")
}

// addForget adds the flag of commands that work on nodes where an agent may owe its story.
func (f *runFlags) addForget(fs *pflag.FlagSet) {
	fs.StringSliceVar(&f.forget, "forget-agent", nil, "nodes whose agent record is lost; continue from their actual state")
}

func (f *runFlags) addAnswers(fs *pflag.FlagSet) {
	fs.BoolVar(&f.approve, "auto-approve", false, "apply the plan and its points of no return without asking")
	fs.StringArrayVar(&f.sign, "sign", nil, "sign off a gate: TASK=what was done (repeatable)")
}

// again is the command line that does the same once more, for a person to copy.
func (f runFlags) again(command, path string) string {
	words := []string{"deploy", command}
	if f.lab {
		words = append(words, "--lab")
	}
	if f.approve {
		words = append(words, "--auto-approve")
	}
	for _, list := range []struct {
		flag   string
		values []string
	}{{"--state-dir", nonEmpty(f.state)}, {"--phase", f.Only}, {"--skip", f.Skip}, {"--node", f.Nodes},
		{"--exclude", f.Exclude}, {"--task", f.Tasks}} {
		if len(list.values) > 0 {
			words = append(words, list.flag, quote(strings.Join(list.values, ",")))
		}
	}
	return strings.Join(append(words, quote(path)), " ")
}

func nonEmpty(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

// quote makes one word of a shell of s.
func quote(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_-./,:@%+=", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// options puts the engine's options together, for a look. A run adds talk's.
func (a *App) options(l *loaded, fl *fleet, f runFlags, j journal.Journal) engine.Options {
	return engine.Options{
		Program: l.program, Journal: j, Dial: a.wrapped(fl.dial), Decode: a.decode, Now: a.Now,
		Who: who(), Version: a.Version(), Parallel: int(f.parallel), StepTimeout: time.Duration(f.stepTimeout),
		RebootTimeout: time.Duration(f.rebootTimeout), LinkTimeout: time.Duration(f.linkTimeout),
		Inventory: nodeNames(l), SiteFile: filepath.Base(l.site.Path),
		Selection: f.Selection, ForgetAgents: f.forget, Redact: a.redact.Redact,
		RestartDue: a.restartDue(),
		Shared:     l.shared(), TakeOver: f.takeOver, WentBack: f.wentBack,
	}
}

// restartDue is the question whether a machine must restart; nil in a program without that kind.
func (a *App) restartDue() steps.Step {
	s, err := a.decode("probe", steps.MustJSON(map[string]string{"message": "a restart is due", "severity": "must",
		"pending_reboot": "none"}))
	if err != nil {
		return nil
	}
	return s
}

type dialFunc = func(ctx context.Context, node string, p engine.Position) (engine.Executor, error)

// wrapped lets WrapExecutor see every executor that is no agent.
func (a *App) wrapped(dial dialFunc) dialFunc {
	if a.WrapExecutor == nil {
		return dial
	}
	return func(ctx context.Context, node string, p engine.Position) (engine.Executor, error) {
		ex, err := dial(ctx, node, p)
		if _, agent := ex.(engine.Worker); err != nil || agent {
			return ex, err
		}
		return a.WrapExecutor(ex), nil
	}
}

func nodeNames(l *loaded) []string {
	out := []string{}
	for _, n := range l.site.Nodes {
		out = append(out, n.Name)
	}
	return out
}

// with joins the options of a run to the person before it.
func (t *talk) with(o engine.Options, command, run string) engine.Options {
	o.Command, o.Run = command, run
	o.Events, o.Approve, o.Gate, o.Stop = t.event, t.approve, t.gate, t.stop
	return o
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

// operate lets the lab play a person's act: a program that only emulated machines have does it on
// the machine.
func (fl *fleet) operate(ctx context.Context, g engine.GateRequest) error {
	exec, err := fl.session(ctx, g.Node)
	if err != nil {
		return err
	}
	defer func() { _ = exec.Close() }()
	res, err := exec.Run(ctx, node.Cmd{Argv: []string{"lab-operator.exe", g.Gate.Operator, g.Gate.Argument}})
	if err != nil {
		return fmt.Errorf("cannot run the operator action %s on %s: %w", g.Gate.Operator, g.Node, err)
	}
	if res.Code != 0 {
		return fmt.Errorf("cannot run the operator action %s on %s: %s", g.Gate.Operator, g.Node,
			strings.TrimSpace(string(res.Stderr)))
	}
	return nil
}

// openJournal opens a site's journal for writing.
func (a *App) openJournal(p place, run string) (journal.Journal, func() error, error) {
	st, err := journal.Open(p.state, journal.OpenOptions{Who: who(), Run: run, Site: p.site.Name, Now: a.Now})
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
func (a *App) readJournal(ctx context.Context, p place) (frozenJournal, error) {
	st, err := journal.OpenReadOnly(p.state, p.site.Name)
	if errors.Is(err, os.ErrNotExist) {
		return frozenJournal{}, nil
	}
	if err != nil {
		return frozenJournal{}, err
	}
	entries, err := st.Entries(ctx)
	return frozenJournal{st.Identity(), entries}, errors.Join(err, st.Close())
}
