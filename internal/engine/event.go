package engine

import (
	"time"

	"deploy/internal/hint"
	"deploy/steps"
)

// EventKind says what happened.
type EventKind string

// The kinds of events.
const (
	EvRunStart   EventKind = "run-start"   // Text: the command
	EvConnected  EventKind = "connected"   // Node; Text: direct or agent, and why
	EvRetry      EventKind = "retry"       // Node; Error: why the link is tried again; Text: after how long, like "1.2s"
	EvPlan       EventKind = "plan"        // Counts
	EvPhaseStart EventKind = "phase-start" // Phase; Text: its title
	EvCheckpoint EventKind = "checkpoint"  // Phase
	EvNoOp       EventKind = "no-op"       // Task: nothing to do
	EvBegin      EventKind = "begin"       // Task: an act begins; Action, Changes
	EvDone       EventKind = "done"        // Task: done and checked; Text: note
	EvFailed     EventKind = "failed"      // Task; Error, Hint
	EvLost       EventKind = "lost"        // Task: the link broke, outcome unknown; Error
	EvHeartbeat  EventKind = "heartbeat"   // Task or Node; Text: what is waited for; ElapsedMS
	EvReboot     EventKind = "reboot"      // Task: its node restarts
	EvRebooted   EventKind = "rebooted"    // Task: its node is back
	EvApprove    EventKind = "approve"     // Task: a point of no return is asked for; Text: why it is one
	EvGate       EventKind = "gate"        // Task: waiting for sign-off; Text: the gate's text
	EvSigned     EventKind = "signed"      // Task; Text: by whom
	EvWarning    EventKind = "warning"     // Text
	EvUndoBegin  EventKind = "undo-begin"  // Task
	EvUndone     EventKind = "undone"      // Task; Text: note
	EvUndoFailed EventKind = "undo-failed" // Task; Error, Hint
	EvLeft       EventKind = "left"        // Task: a rollback leaves it as it is; Text: why; Hint
	EvRunEnd     EventKind = "run-end"     // Text: done, failed, stopped, waiting, declined, left; Error; Counts
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
