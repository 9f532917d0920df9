package wire

import (
	"encoding/json"
	"fmt"
	"time"

	"deploy/internal/node"
	"deploy/steps"
)

// Type is what a frame is.
type Type byte

// The types of messages. Capital letters go to the agent, small ones come from it.
const (
	THello   Type = 'H' // Hello
	TCheck   Type = 'C' // Check
	TApply   Type = 'A' // Apply
	TUndo    Type = 'U' // Undo
	TRestart Type = 'R' // Restart
	TWork    Type = 'W' // Work
	TSync    Type = 'T' // Sync
	TOwner   Type = 'O' // Owner
	THalt    Type = 'S' // no body: begin no further task
	TAck     Type = 'K' // Ack
	TPing    Type = 'P' // no body
	TBye     Type = 'X' // Bye

	TWelcome     Type = 'h' // Welcome
	TBusy        Type = 'b' // Busy
	TChecked     Type = 'c' // Checked
	TApplied     Type = 'a' // Applied
	TEnded       Type = 'e' // Ended: the answer to Undo, Restart, Work and Sync
	TEvent       Type = 'v' // Event
	TProgress    Type = 'l' // Progress
	TPong        Type = 'p' // no body
	TOwned       Type = 'o' // Owned
	TUnsupported Type = '?' // Unsupported
)

func (t Type) String() string {
	if t < ' ' || t > '~' {
		return fmt.Sprintf("0x%02x", byte(t))
	}
	return string(rune(t))
}

// Hello says who comes, and what it knows.
type Hello struct {
	// user@host and the process, which tells controllers apart; named to others while it holds the
	// agent
	Who         string                `json:"who"`
	Site        string                `json:"site"`
	Credentials map[string]Credential `json:"credentials"` // for jobs; kept in memory only
	Position    Position              `json:"books"`       // no journal: nothing is asked
}

// Position are what the controller's journal knows of the agent's record.
type Position struct {
	Journal string `json:"journal"` // identity of the site's journal: only its own past is told to it
	Epoch   string `json:"epoch"`   // of the record that Seq is about; "" knows none
	Seq     int64  `json:"seq"`     // events up to this one are in the journal
	// Forget puts a damaged record aside and begins another one: a person has given it up.
	Forget bool `json:"forget,omitempty"`
}

// Credential travels inside the transport's encryption and is kept in memory only.
type Credential struct {
	User     string `json:"user"`
	Password string `json:"password"`
}

// Welcome tells the controller where it is.
type Welcome struct {
	Version string     `json:"version"`
	Digest  string     `json:"digest"` // SHA-256 of the program that runs, hex
	Facts   node.Facts `json:"facts"`
	Doing   string     `json:"doing"` // the task under way for an earlier link, or ""
	// the agent is at rest and the journal of Hello lacks nothing of its record: no Sync is needed
	UpToDate bool `json:"even"`
	// the owner records that stand there, or why they cannot be read
	Owners    []OwnerText `json:"owners,omitempty"`
	OwnersErr *Error      `json:"owners_error,omitempty"`
	// where the agent's own record for the journal of Hello ends; nil when it was not looked at
	End *Position `json:"end,omitempty"`
	Err *Error    `json:"error,omitempty"` // why no step can be done here
}

// OwnerText is an owner record as it stands on the machine.
type OwnerText struct {
	Site   string `json:"site"`
	Record string `json:"record"`
}

// Owner replaces an owner record, or asks for all of them when Set is nil.
type Owner struct {
	ID  uint64         `json:"id"`
	Set *node.OwnerSet `json:"set,omitempty"`
}

// Owned answers Owner.
type Owned struct {
	ID      uint64      `json:"id"`
	Records []OwnerText `json:"records,omitempty"`
	Err     *Error      `json:"error,omitempty"`
}

// Busy refuses a second controller.
type Busy struct {
	Who   string    `json:"who"`
	Since time.Time `json:"since"`
	Doing string    `json:"doing"` // task under way, or ""
}

// Step is a step as data.
type Step struct {
	Kind string          `json:"kind"`
	Data json.RawMessage `json:"data"`
}

// NewStep encodes a step.
func NewStep(s steps.Step) Step { return Step{s.Kind(), steps.MustJSON(s)} }

// Check asks the checks of steps, in one look.
type Check struct {
	ID    uint64        `json:"id"`
	Limit time.Duration `json:"limit"` // for all of them together; 0 is none
	Steps []Step        `json:"steps"`
}

// Checked answers Check in its order.
type Checked struct {
	ID      uint64   `json:"id"`
	Answers []Answer `json:"answers"`
}

// Answer is the answer of one check.
type Answer struct {
	Diff steps.Diff `json:"diff"`
	Err  *Error     `json:"error,omitempty"`
}

// Apply does one step that the controller has journalled itself.
type Apply struct {
	ID    uint64        `json:"id"`
	Limit time.Duration `json:"limit"`
	Task  string        `json:"task"`
	Step  Step          `json:"step"`
	Diff  steps.Diff    `json:"diff"`
	Fence *node.Fence   `json:"fence,omitempty"` // who is in charge, proved before the act
}

// Applied answers Apply.
type Applied struct {
	ID      uint64        `json:"id"`
	Outcome steps.Outcome `json:"outcome"`
	Err     *Error        `json:"error,omitempty"`
}

// Undo takes one step back. Where the journal has a record there, its begin and its end become
// events of it, so that an older copy of the journal, which knows the act and not this, shows as
// one. The controller that asks is not told of them but by the answer, which names the last.
type Undo struct {
	ID     uint64          `json:"id"`
	Limit  time.Duration   `json:"limit"`
	Step   Step            `json:"step"`
	Before json.RawMessage `json:"before"`
	Run    string          `json:"run"`
	Task   string          `json:"task"`
	Phase  string          `json:"phase"`
	Act    int64           `json:"act"`             // number of the act's begin in the journal
	Fence  *node.Fence     `json:"fence,omitempty"` // who is in charge, proved before the act
}

// Restart asks the machine to restart.
type Restart struct {
	ID     uint64      `json:"id"`
	Reason string      `json:"reason"`
	Fence  *node.Fence `json:"fence,omitempty"` // who is in charge, proved before the act
}

// Ended answers requests that give nothing but their end. Left is how many tasks of a Work were not
// begun. Epoch and Seq are the last event of an Undo that stands in the record.
type Ended struct {
	ID    uint64 `json:"id"`
	Left  int    `json:"left,omitempty"`
	Err   *Error `json:"error,omitempty"`
	Epoch string `json:"epoch,omitempty"`
	Seq   int64  `json:"seq,omitempty"`
}

// Work hands over a row of tasks of one phase. A Sync must have come before it, unless Welcome was
// UpToDate.
type Work struct {
	ID    uint64      `json:"id"`
	Run   string      `json:"run"` // of the controller; the events carry it
	Tasks []Task      `json:"tasks"`
	Fence *node.Fence `json:"fence,omitempty"` // who is in charge, proved before the act
}

// Task is one task of a Work.
type Task struct {
	ID    string        `json:"id"`
	Phase string        `json:"phase"`
	Limit time.Duration `json:"limit"` // for its check and its act, each
	Step  Step          `json:"step"`
	// Digest names the step in what is reported of it. It means something to the controller only.
	Digest string `json:"digest"`
}

// Sync opens the record of one journal, and asks for every event that the journal does not have,
// once the agent is at rest.
type Sync struct {
	ID       uint64   `json:"id"`
	Position Position `json:"books"`
}

// What an event says.
const (
	EvBegin     = "begin"      // Digest, Diff, BootID; it stands in the record and is about to be done
	EvDone      = "done"       // Note, Warnings
	EvFailed    = "failed"     // Verb, Err
	EvReboot    = "reboot"     // Note, Warnings: done, and a restart is due before it counts
	EvLost      = "lost"       // Err: it was begun, and the agent was gone before it ended
	EvUndoBegin = "undo-begin" // Act: the act is about to be taken back
	EvUndone    = "undone"     // Act
	EvNoOp      = "no-op"      // not numbered: the check found nothing to do
	EvHold      = "hold"       // not numbered: Err, where it cannot tell; the controller decides
)

// Event is what happened to a task. Seq is 0 where it is not numbered.
type Event struct {
	Epoch  string          `json:"epoch,omitempty"` // of the record that Seq counts in
	Seq    int64           `json:"seq,omitempty"`
	Run    string          `json:"run,omitempty"`
	Time   time.Time       `json:"time"`
	What   string          `json:"what"`
	Task   string          `json:"task"`
	Phase  string          `json:"phase"`
	Digest string          `json:"digest,omitempty"` // of the step, as Task gave it
	Step   *Step           `json:"step,omitempty"`   // in records of protocol 1, which hold no digests
	Diff   json.RawMessage `json:"diff,omitempty"`
	BootID string          `json:"boot_id,omitempty"`
	// number of the begin of the act that is taken back, in the journal that asked
	Act      int64    `json:"act,omitempty"`
	Verb     string   `json:"verb,omitempty"`
	Note     string   `json:"note,omitempty"`
	Warnings []string `json:"warnings,omitempty"`
	Err      *Error   `json:"error,omitempty"`
}

// Ack says that events up to Seq are in the journal.
type Ack struct {
	Seq int64 `json:"seq"`
}

// Progress is the last line of what is waited for.
type Progress struct {
	Task string `json:"task"`
	Text string `json:"text"`
}

// Bye ends the talk. Leave asks the agent to end as well.
type Bye struct {
	Leave bool `json:"leave"`
}

// Unsupported answers a type that the receiver does not know.
type Unsupported struct {
	Type Type `json:"type"`
}
