package engine

import (
	"time"

	"deploy/internal/hint"
	"deploy/steps"
)

// EventKind says what happened.
type EventKind string

// The kinds of events. Their comments are the table in docs/events.md: what they carry, and what
// they mean. "task" is short for Task, Phase, Node and Step.
const (
	// `text`: the command. The first event.
	EvRunStart EventKind = "run-start"
	// `node`, `text`: how the steps reach it, and why. A node answered.
	EvConnected EventKind = "connected"
	// `node`, `error`, `text`: after how long, like `1.2s`. The connection to a node is tried again.
	EvRetry EventKind = "retry"
	// `counts`. What is to be done.
	EvPlan EventKind = "plan"
	// `phase`, `text`: its title.
	EvPhaseStart EventKind = "phase-start"
	// `phase`, `elapsed_ms`. The phase is done.
	EvCheckpoint EventKind = "checkpoint"
	// task, `text`: a note. Nothing to do; in a rollback: nothing to undo.
	EvNoOp EventKind = "no-op"
	// task, `action`, `changes`, `via`. An act begins. It is in the journal already.
	EvBegin EventKind = "begin"
	// task, `elapsed_ms`, `text`: a note. Done, and a check of the node confirmed it.
	EvDone EventKind = "done"
	// task, `error`, `hint`.
	EvFailed EventKind = "failed"
	// task, `error`. The connection was lost, and the outcome is unknown. It is not `failed`.
	EvLost EventKind = "lost"
	// task or `node`, `elapsed_ms`, `text`: what is waited for and, after a colon, the last line of
	// its output. Every 10 s while something takes long.
	EvHeartbeat EventKind = "heartbeat"
	// task. Its node restarts.
	EvReboot EventKind = "reboot"
	// task, `elapsed_ms`. Its node is back.
	EvRebooted EventKind = "rebooted"
	// task, `text`: why, `changes`. A point of no return needs approval.
	EvApprove EventKind = "approve"
	// task, `text`: title and text. A person is asked.
	EvGate EventKind = "gate"
	// task, `text`: by whom.
	EvSigned EventKind = "signed"
	// task or `node`, `text`. A warning of a step, of the plan (then before the first phase), or of
	// how the node was reached.
	EvWarning EventKind = "warning"
	// task.
	EvUndoBegin EventKind = "undo-begin"
	// task, `text`: a note.
	EvUndone EventKind = "undone"
	// task, `error`, `hint`.
	EvUndoFailed EventKind = "undo-failed"
	// task, `text`: why, `hint`. A rollback leaves it as it is. Without a task: nothing can be said of
	// the node.
	EvLeft EventKind = "left"
	// `text`: `done`, `failed`, `stopped`, `waiting`, `declined` or `left`, `counts`, `error`, `hint`,
	// `elapsed_ms`. The last event.
	EvRunEnd EventKind = "run-end"
)

// Event is one line of a run's story. Its JSON is stable: keys are added, never renamed or removed.
type Event struct {
	Time      time.Time      `json:"time"`
	Run       string         `json:"run"`
	Kind      EventKind      `json:"kind"`
	Phase     string         `json:"phase,omitempty"`
	Task      string         `json:"task,omitempty"`
	Node      string         `json:"node,omitempty"`
	Step      string         `json:"step,omitempty"` // kind of step, like "cluster.quorum"
	Action    steps.Action   `json:"action,omitempty"`
	Changes   []steps.Change `json:"changes,omitempty"`
	Via       string         `json:"via,omitempty"` // the tool chosen by facts
	Text      string         `json:"text,omitempty"`
	Error     string         `json:"error,omitempty"`
	Hint      string         `json:"hint,omitempty"`
	ElapsedMS int64          `json:"elapsed_ms,omitempty"` // since the task, phase or run began
	Counts    *Counts        `json:"counts,omitempty"`
}

// Counts counts tasks.
type Counts struct {
	Tasks   int `json:"tasks"`
	NoOp    int `json:"no_op"`
	Change  int `json:"change"`  // planned: create, update, delete, run; run: done
	Unknown int `json:"unknown"` // planned: it depends on an earlier step
	Failed  int `json:"failed,omitempty"`
	Undone  int `json:"undone,omitempty"`
	Left    int `json:"left,omitempty"`    // acts that a rollback left as they are
	NotRun  int `json:"not_run,omitempty"` // the run ended before their turn
}

// emit sends an event; callers fill in what is their own.
func (r *run) emit(e Event) {
	if r.o.Events == nil {
		return
	}
	e.Run = r.o.Run
	r.evMu.Lock()
	defer r.evMu.Unlock()
	e.Time = r.o.Now()
	r.o.Events(e)
}

// event is the beginning of an event about a task.
func event(kind EventKind, t steps.Task) Event {
	e := Event{Kind: kind, Phase: t.Phase, Task: t.ID, Node: t.Node}
	if t.Step != nil {
		e.Step = t.Step.Kind()
	}
	return e
}

func (e Event) with(d steps.Diff) Event {
	e.Action, e.Changes, e.Via = d.Action, d.Changes, d.Via
	return e
}

func (e Event) failed(err error) Event {
	e.Error, e.Hint = err.Error(), hint.Of(err)
	return e
}

func (e Event) since(r *run, start time.Time) Event {
	e.ElapsedMS = r.o.Now().Sub(start).Milliseconds()
	return e
}
