// Package cli is the command line: one file per command, each turning flags into a call of the
// engine and showing what comes of it.
package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"deploy/internal/agent/client"
	"deploy/internal/agent/wire"
	"deploy/internal/engine"
	"deploy/internal/hint"
	"deploy/internal/journal"
	"deploy/internal/secret"
	"deploy/steps"
	"deploy/transport"
)

// Exit codes, documented in the README.
const (
	ExitDone    = 0
	ExitError   = 1
	ExitChanges = 2   // plan: there are changes
	ExitWaiting = 3   // a gate waits for a person
	ExitLeft    = 4   // rollback: something was left that nobody had asked to leave
	ExitForced  = 130 // left on the second Ctrl-C
)

// App is what main puts together.
type App struct {
	Registry *steps.Registry
	Dialers  map[string]transport.Dialer // by transport
	Programs *client.Programs            // the agents' programs; nil has none
	// Tap lets a test stand in the links to agents; see remote.Options.
	Tap    func(node string) func(sent bool, t wire.Type) error
	Digest func() (string, error) // SHA-256 of the program's file, hex
	// of this build; a saved plan holds for one. It may take a moment, so it is asked for only where
	// it counts
	Version func() string
	Stdin   io.Reader
	Stdout  io.Writer
	Stderr  io.Writer
	Env     func(string) string
	Now     func() time.Time
	// Interrupts delivers Ctrl-C and SIGTERM. The first ends the command, or asks a run for a clean
	// stop; the second leaves at once through Exit.
	Interrupts <-chan os.Signal
	Exit       func(code int)
	// Terminal says that Stdout is one, and how wide.
	Terminal func() (width int, ok bool)
	// ReadPassword reads a line from the terminal without showing it, until ctx ends; nil when there
	// is none.
	ReadPassword func(ctx context.Context) (string, error)
	// WrapJournal lets a test stand between the engine and the journal; nil does not.
	WrapJournal func(journal.Journal) journal.Journal
	// WrapExecutor lets a test stand between the engine and a node; nil does not. An agent is handed
	// over as it is.
	WrapExecutor func(engine.Executor) engine.Executor

	redact     secret.Redactor
	interrupts *interrupts
	lines      *bufio.Reader // of Stdin: one for all questions, since it reads ahead
}

// exitError carries an exit code other than 1. Its text, if any, was printed already or needs no
// word "error".
type exitError struct {
	code int
	text string
}

func (e *exitError) Error() string { return e.text }

// Run carries out one command line and returns the exit code.
func (a *App) Run(ctx context.Context, args []string) int {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	a.lines = bufio.NewReader(a.Stdin)
	a.interrupts = &interrupts{app: a, cancel: cancel}
	done := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() { a.interrupts.watch(done) })
	defer watching.Wait()
	defer close(done)

	root := a.root()
	if slices.Contains(args, "--version") {
		root.Version = a.Version()
	}
	root.SetArgs(args)
	root.SetIn(a.Stdin)
	root.SetOut(a.Stdout)
	root.SetErr(a.Stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return ExitDone
	}
	var exit *exitError
	if errors.As(err, &exit) {
		if exit.text != "" {
			fmt.Fprintln(a.Stderr, a.redact.Redact(exit.text))
		}
		return exit.code
	}
	if errors.Is(context.Cause(ctx), errInterrupted) && errors.Is(err, context.Canceled) {
		return ExitError // it was told when it came
	}
	a.printError(err)
	if errors.Is(err, engine.ErrWaiting) {
		return ExitWaiting
	}
	return ExitError
}

// printError prints every error that was joined on a line of its own, then every hint, with every
// known secret masked.
func (a *App) printError(err error) {
	var printed strings.Builder
	for _, e := range hint.Split(err) {
		text := e.Error()
		if !placed(e) {
			text = "error: " + strings.ReplaceAll(text, "\n", "\n  ")
		}
		fmt.Fprintln(&printed, text)
	}
	for _, h := range hint.All(err) {
		if !strings.Contains(printed.String(), h) {
			fmt.Fprintln(&printed, "hint: "+h)
		}
	}
	fmt.Fprint(a.Stderr, a.redact.Redact(printed.String()))
}

// placed says that the error is about places in a file: each line then begins with the place and
// brings its own hint.
func placed(err error) bool {
	var list interface{ WrappedErrors() []error }
	return errors.As(err, &list) || strings.Contains(err.Error(), "\n  hint: ")
}

func (a *App) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "deploy",
		Short: "Bring clusters of machines to their desired state, in ordered phases",
		Long: `deploy brings the nodes of a site file to the state that a playbook describes, in ordered phases of
idempotent steps. It shows a plan before the first change, writes every step to a journal before
it runs, continues interrupted runs and can undo what it did.

Exit codes: 0 done or no changes, 1 error, 2 changes (plan), 3 waiting for the sign-off of a gate,
4 not all undone (rollback), 130 second Ctrl-C.`,
		Example: `  deploy plan site.yaml
  deploy apply site.yaml
  deploy rollback --dry-run site.yaml`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       "unknown", // so that there is a flag; Run puts the right one here
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return hint.Wrap(err, "see "+c.CommandPath()+" --help")
	})
	root.AddGroup(&cobra.Group{ID: "run", Title: "Run a site:"},
		&cobra.Group{ID: "inspect", Title: "Inspect:"}, &cobra.Group{ID: "lab", Title: "Rehearse:"},
		&cobra.Group{ID: "other", Title: "Other commands:"})
	for _, group := range []struct {
		id   string
		cmds []*cobra.Command
	}{
		{"run", []*cobra.Command{a.validateCmd(), a.planCmd(), a.applyCmd(), a.resumeCmd(), a.rollbackCmd(), a.forgetCmd(),
			a.cleanCmd()}},
		{"inspect", []*cobra.Command{a.statusCmd(), a.historyCmd(), a.stepsCmd(), a.rulesCmd(), a.schemaCmd(),
			a.playbookCmd()}},
		{"lab", []*cobra.Command{a.labCmd(), a.agentCmd()}},
		{"other", []*cobra.Command{a.versionCmd()}},
	} {
		for _, c := range group.cmds {
			c.GroupID = group.id
			root.AddCommand(c)
		}
	}
	root.SetHelpCommandGroupID("other")
	root.SetCompletionCommandGroupID("other")
	root.InitDefaultCompletionCmd() // here, so that it can be made to refuse an unknown shell
	group(root)
	for _, c := range root.Commands() {
		if c.HasAvailableSubCommands() {
			group(c)
		}
	}
	return root
}

// who is written into the journal and the lock.
func who() string {
	name := "somebody"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return name + "@" + host
}

// oneArg makes an error for a missing or surplus argument that says what is wanted.
func oneArg(what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) != 1 {
			return hint.Wrap(fmt.Errorf("%s takes one argument: %s", c.CommandPath(), what),
				"for example: deploy "+c.Name()+" examples/exchange-2007-scc/site.yaml")
		}
		return nil
	}
}
