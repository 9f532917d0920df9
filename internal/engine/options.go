// Package engine plans, applies, resumes and rolls back. It knows no product: it works with steps,
// executors and a journal.
//
// Every act is in the journal before it runs, nothing runs without a check first, and what the
// journal leaves open is decided by a check of the node, never by a lost or late answer.
package engine

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"deploy/internal/engine/recorder"
	"deploy/internal/journal"
	"deploy/internal/task"
	"deploy/steps"
)

// Errors that callers decide on. All of them come wrapped.
var (
	// ErrStopped: Options.Stop was closed. What was under way is finished and journalled.
	ErrStopped = errors.New("stopped by user")
	// ErrWaiting: a gate waits for a person. The error is a *GateError.
	ErrWaiting = errors.New("waiting for sign-off")
	// ErrJournal: the journal could not be written, so nothing further was done.
	ErrJournal = recorder.ErrJournal
	// ErrStale: a saved plan no longer holds. The error is a *StaleError.
	ErrStale = errors.New("the saved plan is out of date")
	// ErrNoReturn: rollback stands before a step that cannot be undone.
	ErrNoReturn = task.ErrNoReturn
	// ErrDeclined: a person did not agree to a point of no return.
	ErrDeclined = errors.New("declined")
	// ErrDidNotHold: an Apply said that it worked, and the Check after it still found a difference; or
	// the same of an Undo.
	ErrDidNotHold = task.ErrDidNotHold
)

// Options are all that the engine needs. Program, Journal and Dial are required (MakePlan does
// without a Journal); Decode only for rollback. The other fields have defaults.
type Options struct {
	Program *steps.Program
	Journal journal.Journal
	// Dial opens an executor on a node of the inventory. It is called again after a lost link and
	// after a restart. An agent may be told the books at once, so that one with nothing to add need
	// not be asked for it.
	Dial func(ctx context.Context, node string, b Position) (Executor, error)
	// RestartDue is a step that changes nothing, and whose check finds a difference when a restart of
	// the machine is due: it is asked when the answer of an act that may leave one was not heard. nil
	// is "cannot tell".
	RestartDue steps.Step
	// Decode makes a step from what the journal holds of it.
	Decode func(kind string, data json.RawMessage) (steps.Step, error)
	// Events receives every event, one at a time, in the order in which they happen. nil drops them.
	Events func(Event)
	// Redact masks secrets in text that comes from machines and tools, before it is journalled. nil
	// leaves it as it is.
	Redact func(text string) string
	// Now and Sleep are the clock. Sleep returns early with ctx's error.
	Now   func() time.Time
	Sleep func(ctx context.Context, d time.Duration) error
	// Approve is asked before a point of no return. nil declines. An error that is ErrStopped means
	// that nobody answered since the run is to stop.
	Approve func(ctx context.Context, a Approval) (bool, error)
	// Gate asks a person to do something and returns the signature, or false when nobody answered. nil
	// answers false. An error that is ErrStopped means the same as for Approve.
	Gate func(ctx context.Context, g GateRequest) (Signature, bool, error)
	// Stop, once closed, lets the steps under way finish and starts nothing new.
	Stop <-chan struct{}

	Command string // for the journal: "apply" (default), "resume", "rollback"
	Run     string // the run's id; "" makes one of the time and four random hex digits
	Who     string // user@host
	Version string // of this program; a saved plan holds for one version

	Parallel       int           // number of nodes to change at the same time; 0 is 16
	StepTimeout    time.Duration // for one Check, Apply or Undo of a task without its own; 0 is 10 minutes
	RebootTimeout  time.Duration // from the request to restart until the machine serves again; 0 is 20 minutes
	HeartbeatEvery time.Duration // 0 is 10 s
	// how long a node that was reached before is tried again when its link breaks; 0 is 4 minutes
	LinkTimeout   time.Duration
	SettleTimeout time.Duration // how long a check may say that things are on their way; 0 is 2 minutes

	// Inventory are all nodes of the site; nil where that is not known, and Dial tells. SiteFile is
	// how people know the site, for messages.
	Inventory []string
	SiteFile  string

	Selection

	// ForgetAgents are nodes that have lost the agent which was given work there, with its record:
	// what it did is found by a look.
	ForgetAgents []string

	// Shared are the nodes on which other sites work too.
	Shared map[string]bool
	// TakeOver puts this journal in charge of nodes that another controller has.
	TakeOver bool
	// WentBack are nodes that a person knows to have been put back to an older state: acts that their
	// owner records lack are gone.
	WentBack []string
}

// Approval asks for a point of no return.
type Approval struct {
	Task, Phase, Node, Kind string
	Why                     string // why it cannot be undone
	Changes                 []steps.Change
}

// TaskError is what went wrong with one task.
type TaskError struct {
	Verb string // "check", "apply", "undo", ...
	Task string
	Node string
	Err  error
}

func (e *TaskError) Error() string {
	return fmt.Sprintf("cannot %s %s on %s: %v", e.Verb, e.Task, e.Node, e.Err)
}

func (e *TaskError) Unwrap() error { return e.Err }

// journalID is the id of the journal, "" without one.
func (o Options) journalID() string {
	if o.Journal == nil {
		return ""
	}
	return o.Journal.Identity().ID
}

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Sleep == nil {
		o.Sleep = sleep
	}
	if o.Redact == nil {
		o.Redact = func(text string) string { return text }
	}
	if o.Command == "" {
		o.Command = "apply"
	}
	if o.Run == "" {
		o.Run = NewRunID(o.Now())
	}
	if o.Parallel <= 0 {
		o.Parallel = 16
	}
	if o.StepTimeout <= 0 {
		o.StepTimeout = 10 * time.Minute
	}
	if o.RebootTimeout <= 0 {
		o.RebootTimeout = 20 * time.Minute
	}
	if o.LinkTimeout <= 0 {
		o.LinkTimeout = 4 * time.Minute
	}
	if o.SettleTimeout <= 0 {
		o.SettleTimeout = 2 * time.Minute
	}
	if o.HeartbeatEvery <= 0 {
		o.HeartbeatEvery = 10 * time.Second
	}
	return o
}

// NewRunID makes the id of a run: readable, in order of time, and different for two runs of one
// second.
func NewRunID(at time.Time) string {
	var b [2]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand documentation, Go 1.24)
	return at.UTC().Format("20060102-150405") + "-" + hex.EncodeToString(b[:])
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
