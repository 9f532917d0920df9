// Package journal records what was done to a site: the intent before an act, the outcome after it.
// It is append-only, and the only source of `status`, `resume` and `rollback`.
package journal

import (
	"context"
	"encoding/json"
	"time"
)

// Kind is what an entry says.
type Kind string

// The kinds of entries. A begin without an end (done, failed, undone) is settled by looking at the
// node.
const (
	RunStart   Kind = "run-start"  // Data: RunInfo
	RunEnd     Kind = "run-end"    // Data: how it ended
	PhaseStart Kind = "phase"      // a phase begins
	Checkpoint Kind = "checkpoint" // every task of the phase is done or needs nothing
	Handed     Kind = "handed"     // Data: HandedOver. Written before tasks are given to the agent on a node.
	// Position: a report of the agent on a node changes nothing here. Data: AgentPosition.
	Position Kind = "agent-position"
	Begin    Kind = "begin"    // Data: step, diff (with Before). Written before the act.
	Done     Kind = "done"     // Data: outcome
	NoOp     Kind = "no-op"    // the check found nothing to do
	Failed   Kind = "failed"   // Data: error text and hint
	Lost     Kind = "lost"     // the link broke, outcome unknown
	Reboot   Kind = "reboot"   // Data: boot id before
	Rebooted Kind = "rebooted" // Data: boot id after
	// RestartUnknown: whether the node must restart after the task cannot be told. Data: Boot, the one
	// that may have to go. RestartSeen: another boot was seen since. Data: Boot.
	RestartUnknown Kind = "restart-unknown"
	RestartSeen    Kind = "restart-seen"
	Waiting        Kind = "gate"   // a gate waits for a person
	Signed         Kind = "signed" // Data: who and what they said
	UndoBegin      Kind = "undo-begin"
	Undone         Kind = "undone"
	UndoFailed     Kind = "undo-failed"
	Answered       Kind = "machine"   // Data: MachineSeen. Another machine answers, or the first, under the node's name.
	Forgotten      Kind = "forgotten" // Data: Forgot. The node's machine is gone, and all acts on it.
	TookOver       Kind = "take-over" // Data: TakeOver. This controller took nodes from another one.
	Left           Kind = "left"      // Data: Note with Act. A rollback left the act standing, and why.
)

// Entry is one record.
type Entry struct {
	Seq   int64           `json:"seq"` // given by Append, from 1, without gaps
	Time  time.Time       `json:"time"`
	Run   string          `json:"run"`
	Kind  Kind            `json:"kind"`
	Phase string          `json:"phase,omitempty"`
	Task  string          `json:"task,omitempty"`
	Node  string          `json:"node,omitempty"`
	Data  json.RawMessage `json:"data,omitempty"`
}

// Journal holds the entries of one site.
type Journal interface {
	// Append returns the number of the last entry once all of them are on disk, in their order and
	// without another between them; after an error none of them is, and the caller must not act.
	Append(ctx context.Context, entries ...Entry) (last int64, err error)
	// Identity says whose journal it is. It does not change.
	Identity() Identity
	// Entries returns all entries in order, verified.
	Entries(ctx context.Context) ([]Entry, error)
	Close() error
}

// RunInfo says what a run is.
type RunInfo struct {
	Command        string `json:"command"` // apply, resume, rollback
	Who            string `json:"who"`     // user@host
	Version        string `json:"version"`
	SiteDigest     string `json:"site_digest"`
	Playbook       string `json:"playbook"`
	PlaybookDigest string `json:"playbook_digest"`
}
