package engine

import (
	"context"
	"encoding/json"

	"deploy/internal/journal"
	"deploy/internal/node"
	"deploy/internal/task"
	"deploy/steps"
)

// Executor runs steps on one node: from here over a session (Direct), or by an agent beside the
// node.
type Executor interface {
	Facts() node.Facts
	// Mode is "direct" or "agent", with the reason in the second value; both are shown in the plan.
	Mode() (mode, why string)
	// Check checks many steps in one round trip where it can. The answers are in the order of list.
	Check(ctx context.Context, list []steps.Step) []Checked
	Apply(ctx context.Context, s steps.Step, d steps.Diff) (steps.Outcome, error)
	Undo(ctx context.Context, s steps.Step, before json.RawMessage) error
	// Restart asks the machine to restart. The connection is gone after it: dial again.
	Restart(ctx context.Context, reason string) error
	Close() error
}

// Noter is an Executor with something to tell a person of how it came about. Each note becomes a
// warning, of the plan or of the run.
type Noter interface {
	Notes() []string
}

// notes are what an executor tells of itself, without secrets.
func (r *run) notes(ex Executor) []string {
	n, ok := ex.(Noter)
	if !ok {
		return nil
	}
	var out []string
	for _, text := range n.Notes() {
		out = append(out, r.o.Redact(text))
	}
	return out
}

// Worker is an Executor that can be handed a row of tasks: an agent beside the node, which keeps a
// record of its acts itself.
type Worker interface {
	Executor
	// TakeBack is Undo with a record of it. at is the last event of the undo that the record has, also
	// beside an error; zero for none.
	TakeBack(ctx context.Context, u Undoing) (at journal.AgentRef, err error)
	// Sync opens the agent's record for the journal, waits until what an earlier link had begun there
	// is at its end, and reports what the journal does not have. It must come before Work.
	Sync(ctx context.Context, b Position, report func(Report) error) error
	// Work hands over tasks of one phase and reports what happens, in order. It returns when the row
	// is at its end, or before a task that the agent leaves to the engine (reported as held), or after
	// a failure. Once halt is closed no further task is begun. An error of report ends the work after
	// the step under way, and comes back. A RepPause comes before the end, and whenever there is time
	// to write. A broken link is a *node.LinkError: Sync over the next one tells the rest.
	Work(ctx context.Context, w Batch, halt <-chan struct{}, report func(Report) error) error
}

// Position say which journal asks, and what it knows of the agent's record.
type Position struct {
	Journal string // identity of the journal
	Agent   journal.AgentRef
	Forget  bool // a damaged record is put aside: a person has given up what it says
}

// Undoing is an act that is taken back.
type Undoing struct {
	Run         string
	Task, Phase string
	Step        steps.Step
	Before      json.RawMessage
	Act         journal.Act
}

// Batch is what is handed over. Every task has its Timeout.
type Batch struct {
	Run     string
	Tasks   []steps.Task
	Digests []string // of the tasks' steps, in their order; a report of a begin names its own
}

// Reported is what a Report says.
type Reported string

// What an agent reports of a task.
const (
	RepNoOp   Reported = "no-op"
	RepBegin  Reported = "begin"  // Digest, Diff; it is written down there, and about to be done
	RepDone   Reported = "done"   // done and looked at again
	RepFailed Reported = "failed" // Verb, Err
	RepReboot Reported = "reboot" // Outcome; done, and a restart is due before it counts
	RepLost   Reported = "lost"   // Err: begun, and the agent was gone before it ended
	RepHold   Reported = "hold"   // left to the engine
	// Act: an undo whose answer was not heard was begun, and has come to its end. The node is looked
	// at all the same.
	RepUndoBegin Reported = "undo-begin"
	RepUndone    Reported = "undone"
	RepDoing     Reported = "doing" // Text: the last line of what is waited for; nothing for the journal
	RepPause     Reported = "pause" // nothing further has come yet: what was reported must be on disk when report returns
)

// Report is what an agent reports of a task: an outcome. What the task is, the engine knows itself.
type Report struct {
	What  Reported
	Task  string
	Run   string
	Agent journal.AgentRef // zero for what stands in no record
	// Digest is that of the step that was handed over; for RepBegin.
	Digest string
	// Step is what a record that holds no digests says of the step, for RepBegin; nil otherwise.
	Step    *journal.StepData
	BootID  string          // for RepBegin
	Look    json.RawMessage // for RepBegin: Diff as it came, with Before
	Act     int64           // for undos: number of the act's begin in the journal that asked
	Diff    steps.Diff
	Outcome steps.Outcome
	Verb    string
	Text    string
	Err     error
}

// Checked is the answer to one Check.
type Checked = task.Checked
