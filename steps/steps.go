// Package steps is the contract between the engine and the kinds of steps.
//
// A step is one idempotent wish about one node (or the cluster or the directory, seen from one
// node). It is plain data: the same JSON stands in the plan, in the journal and in an agent's
// request. It cannot tell where it runs and touches the world only through node.Reader and
// node.Node; a test over the import graph keeps os, os/exec and net out of the families.
package steps

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"deploy/internal/node"
)

// Step is what every kind does.
type Step interface {
	// Kind is the stable name, like "cluster.quorum".
	Kind() string
	// Check looks and tells the difference between the wish and the machine. An error means "cannot
	// tell", never "absent". Where the answer depends on something that an earlier step will make, it
	// returns Until(tag).
	Check(ctx context.Context, r node.Reader) (Diff, error)
	// Apply does what d says is missing. It is called only for a d that is not NoOp or Unknown.
	Apply(ctx context.Context, n node.Node, d Diff) (Outcome, error)
}

// Undoer restores the recorded prior state; it is not the opposite wish. A kind without it is a
// point of no return, unless its Diff says that it changed nothing worth undoing
// (Effects.NothingToUndo). What was undone but needs a restart to take effect returns an error that
// is ErrRebootDue: the engine restarts and looks again.
type Undoer interface {
	Undo(ctx context.Context, n node.Node, before json.RawMessage) error
}

// ErrRebootDue is what Undo answers, wrapped or not, when it worked and a restart is due. Apply
// says so in its Outcome.
var ErrRebootDue = errors.New("a restart is due")

// LeftError is what Undo answers, wrapped or not, when something rightly stays: the directory holds
// files of others, an account is in use. It is no failure and stops nothing; the reason is told and
// the act stays on record.
type LeftError struct{ Why string }

func (e *LeftError) Error() string { return "left as it is: " + e.Why }

// Left makes the error for "rightly left as it is, because why".
func Left(why string) error { return &LeftError{why} }

// Validator looks at the step's own data, with no machine. Errors are a FieldError or wrap one.
type Validator interface{ Validate() error }

// Prefetcher names the queries that Check will surely make, so that a whole phase's can travel in
// one request.
type Prefetcher interface {
	Reads(f node.Facts) []node.Query
}

// Provider names the tags that exist once the step is done ("cluster", "cms:mbx01"). A Check that
// answers Until(tag) is unknown in a plan when an earlier step that has changes provides that tag,
// and an error otherwise.
type Provider interface{ Provides() []string }

// Slow is a kind whose act takes longer than 15 s until its Check sees it, like a change that a
// directory has to replicate. ShowsWithin is the longest that it may take.
type Slow interface{ ShowsWithin() time.Duration }

// EffectsPreviewer tells what doing a step will mean for the service while its Check can only say
// "unknown until": a plan must show a failover or a point of no return before the first change, not
// when its turn comes.
type EffectsPreviewer interface{ PreviewEffects() Effects }

// Gated steps are done, or confirmed, by a person. The engine shows Gate, waits for a sign-off,
// then checks again.
type Gated interface{ Gate() Gate }

// Gate is what a person is asked for.
type Gate struct {
	Title    string `json:"title"`
	Text     string `json:"text"`
	Operator string `json:"operator,omitempty"` // the name under which the lab can play this act
	Argument string `json:"argument,omitempty"` // what the act is about (a path, a node)
}

// Action is what a Check found is to be done.
type Action string

// The actions. NoOp: nothing. Unknown: it depends on a step that has not run yet.
const (
	NoOp    Action = "no-op"
	Create  Action = "create"
	Update  Action = "update"
	Delete  Action = "delete"
	Run     Action = "run"
	Unknown Action = "unknown"
)

// Change is one attribute that differs.
type Change struct {
	Attr string `json:"attr"`
	From any    `json:"from"`
	To   any    `json:"to"`
}

// Diff is the answer of a Check.
type Diff struct {
	Action  Action          `json:"action"`
	Changes []Change        `json:"changes,omitempty"`
	Before  json.RawMessage `json:"before,omitempty"` // what Undo needs; journalled before Apply
	Effects Effects         `json:"effects"`          // what doing it means for the service
	Until   string          `json:"until,omitempty"`  // for Unknown: the tag waited for
	Waits   []string        `json:"waits,omitempty"`  // for Unknown: the steps that provide it; filled in by the engine
	// the tool chosen by facts: "cluster.exe", "FailoverClusters", "WMI"
	Via      string   `json:"via,omitempty"`
	Warnings []string `json:"warnings,omitempty"` // shown in the plan
	// Proof tells what shows a NoOp of a Gated step, so that the same thing is known again: a file and
	// its time. What proved it once does not count any more when what it was about is undone.
	Proof string `json:"proof,omitempty"`
}

// Effects are what a person wants to know before saying yes.
type Effects struct {
	Reboot bool `json:"reboot,omitempty"` // the node will probably restart
	// MayReboot: whether a restart is due after Apply or Undo tells an exit code, and nothing before
	// it. When that answer is lost, the machine is asked, and where it cannot tell a person is.
	MayReboot bool `json:"may_reboot,omitempty"`
	// RebootMarked: a restart that Apply or Undo leave due can be seen on the machine afterwards (the
	// servicing key, the mark of the package manager), so that none is due without that mark.
	RebootMarked    bool   `json:"reboot_marked,omitempty"`
	Interrupts      string `json:"interrupts,omitempty"`         // the service that is interrupted
	Failover        bool   `json:"failover,omitempty"`           // a group moves to another node
	PointOfNoReturn string `json:"point_of_no_return,omitempty"` // why it cannot be undone
	// UntilRestart: the point of no return is one only until the node starts again. Undo takes back
	// what would bring it about at that start, and answers Left.
	UntilRestart bool `json:"until_restart,omitempty"`
	// NothingToUndo: a probe or a proof, rollback passes over it. With the action Run and no Changes
	// it is a proof that leaves nothing behind by which a later Check could know it: having worked is
	// enough, and the engine remembers it from its journal until something that runs before it changes
	// again.
	NothingToUndo bool `json:"nothing_to_undo,omitempty"`
}

// Outcome is what an Apply has to say besides having worked.
type Outcome struct {
	Reboot   bool     `json:"reboot,omitempty"` // a restart is due before the step counts as done
	Warnings []string `json:"warnings,omitempty"`
	Note     string   `json:"note,omitempty"`
}

// UntilError is returned by Check when the answer depends on something that does not exist yet.
type UntilError struct {
	Tag string
	Why string
}

func (e *UntilError) Error() string {
	return fmt.Sprintf("cannot tell before %s exists: %s", e.Tag, e.Why)
}

// Until makes the error for "unknown until tag is there".
func Until(tag, why string) error { return &UntilError{tag, why} }

// SettlingError is returned by Check when what it reads is on its way, like a service that starts:
// asking again soon may tell.
type SettlingError struct{ Err error }

func (e *SettlingError) Error() string { return e.Err.Error() }

func (e *SettlingError) Unwrap() error { return e.Err }

// Settling says of err that it may go away by itself within minutes.
func Settling(err error) error { return &SettlingError{err} }

// NoChange is the Diff of a step that has nothing to do.
func NoChange() Diff { return Diff{Action: NoOp} }

// MustJSON encodes a Before. It panics on a value that JSON cannot hold, which a kind's own test
// shows at once.
func MustJSON(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}
