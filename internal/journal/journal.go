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

// The kinds of entries. A begin without an end (done, failed, undone) is settled by a check of the
// node. Their comments are the table in docs/events.md: the keys of their data, and what they mean.
const (
	// `command`, `who`, `version`, `site_digest`, `playbook`, `playbook_digest`; for a rollback
	// `rollback: {all, runs, to_phase, nodes, tasks, leave, overwrite}`.
	RunStart Kind = "run-start"
	// `how`, `error`, `at_rest`: nodes whose agents have reported everything that they did.
	RunEnd Kind = "run-end"
	// `needs`, `waits`: tasks by a task of the phase on another node that had to wait for them. A phase
	// begins.
	PhaseStart Kind = "phase"
	// `needs`, `waits`. Every task of the phase is done or needs nothing.
	Checkpoint Kind = "checkpoint"
	// `tasks`, `digests`, `steps` by digest. Written before tasks are given to the agent on a node.
	Handed Kind = "handed"
	// `agent`: where the agent's record stands, `note`: why. Its report changes nothing here.
	Position Kind = "agent-position"
	// `kind`, `step` (the step's data), `diff` (with `before`), `boot_id`, `restart`: whether one will be
	// due, `run` (where an agent reported the act to a later run). Written before the act.
	Begin Kind = "begin"
	// `note`, `warnings`, `proof`: what shows that a gate is passed.
	Done Kind = "done"
	// `note`, `warnings`, `proof`. The check found nothing to do.
	NoOp Kind = "no-op"
	// `error`, `hint`.
	Failed Kind = "failed"
	// `note`. The connection was lost, and the outcome is unknown.
	Lost Kind = "lost"
	// `boot_id` before the restart.
	Reboot Kind = "reboot"
	// `boot_id` after it.
	Rebooted Kind = "rebooted"
	// `boot_id` that may have to go. Whether the node must restart after the task cannot be told.
	RestartUnknown Kind = "restart-unknown"
	// `boot_id`. Another boot was seen since.
	RestartSeen Kind = "restart-seen"
	// The gate. It waits for a person.
	Waiting Kind = "gate"
	// `by`, `text`, `at`.
	Signed Kind = "signed"
	// `act`: the `begin` that is undone, `boot_id`, `restart`. Written before the undo.
	UndoBegin Kind = "undo-begin"
	// `act`, `note`, `warnings`.
	Undone Kind = "undone"
	// `error`, `hint`.
	UndoFailed Kind = "undo-failed"
	// `id`, `computer`. Another machine answers, or the first, under the node's name.
	Answered Kind = "machine"
	// `who`, `replaced`. The node's machine is gone, and all acts on it.
	Forgotten Kind = "forgotten"
	// `epoch`: the journal's from here on, `nodes`, `from`: who held them.
	TookOver Kind = "take-over"
	// `act`: the `begin` that a rollback left standing, `note`: why.
	Left Kind = "left"
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
