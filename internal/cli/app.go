// Package cli is the command line: one file per command, each turning flags into a call of the engine and showing what comes of it.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"strings"
	"time"

	"github.com/spf13/cobra"

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
	ExitForced  = 130 // left on the second Ctrl-C
)

// App is what main puts together.
type App struct {
	Registry *steps.Registry
	Dialers  map[string]transport.Dialer // by transport
	Version  string
	Stdin    io.Reader
	Stdout   io.Writer
	Stderr   io.Writer
	Env      func(string) string
	Now      func() time.Time
	// Interrupts delivers Ctrl-C. The first asks for a clean stop, the second leaves at once through Exit.
	Interrupts <-chan os.Signal
	Exit       func(code int)
	// Terminal says that Stdout is one, and how wide.
	Terminal func() (width int, ok bool)
	// ReadPassword reads a line from the terminal without showing it; nil when there is none.
	ReadPassword func() (string, error)
	// WrapJournal lets a test stand between the engine and the journal; nil does not.
	WrapJournal func(journal.Journal) journal.Journal

	redact secret.Redactor
}

// exitError carries an exit code other than 1. Its text, if any, was printed already or needs no word "error".
type exitError struct {
	code int
	text string
}

func (e *exitError) Error() string { return e.text }

// Run carries out one command line and returns the exit code.
func (a *App) Run(ctx context.Context, args []string) int {
	root := a.root()
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
	a.printError(err)
	if errors.Is(err, engine.ErrWaiting) {
		return ExitWaiting
	}
	return ExitError
}

// printError prints an error that may be many, each with its hint, with every known secret masked.
func (a *App) printError(err error) {
	text := a.redact.Redact(err.Error())
	if strings.Contains(text, "\n") { // a list of positions carries its hints itself
		fmt.Fprintln(a.Stderr, text)
		return
	}
	fmt.Fprintln(a.Stderr, "error: "+text)
	if h := hint.Of(err); h != "" && !strings.Contains(text, h) {
		fmt.Fprintln(a.Stderr, "hint: "+a.redact.Redact(h))
	}
}

func (a *App) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "deploy",
		Short: "Brings clusters of real machines up, in order, without losing anything",
		Long: `deploy brings the machines of a site file to the state that its playbook describes, in ordered phases of idempotent steps.

It shows the whole plan before the first change, writes every act down before it does it, goes on exactly where it was cut off,
and takes back what it did.

Exit codes: 0 done or no change, 1 error, 2 changes pending (plan), 3 waiting for a person, 130 left on the second Ctrl-C.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       a.Version,
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return hint.Wrap(err, "see deploy "+strings.TrimPrefix(c.CommandPath(), "deploy ")+" --help")
	})
	root.AddGroup(&cobra.Group{ID: "run", Title: "Running a site:"}, &cobra.Group{ID: "look", Title: "Looking:"}, &cobra.Group{ID: "lab", Title: "The lab:"})
	for _, group := range []struct {
		id   string
		cmds []*cobra.Command
	}{
		{"run", []*cobra.Command{a.validateCmd(), a.planCmd(), a.applyCmd("apply"), a.applyCmd("resume"), a.rollbackCmd()}},
		{"look", []*cobra.Command{a.statusCmd(), a.historyCmd(), a.stepsCmd(), a.rulesCmd(), a.schemaCmd(), a.playbookCmd()}},
		{"lab", []*cobra.Command{a.labCmd()}},
	} {
		for _, c := range group.cmds {
			c.GroupID = group.id
			root.AddCommand(c)
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
			return hint.Wrap(fmt.Errorf("%s takes one argument: %s", c.CommandPath(), what), "for example: deploy "+c.Name()+" examples/exchange-2007-scc/site.yaml")
		}
		return nil
	}
}
