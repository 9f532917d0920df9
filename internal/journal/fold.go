package journal

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// Intent is the Data of a Begin: what is about to be done, in the words of package steps, whose
// types this package does not know.
type Intent struct {
	Kind   string          `json:"kind"`
	Step   json.RawMessage `json:"step"`
	Diff   json.RawMessage `json:"diff"` // with Before
	BootID string          `json:"boot_id,omitempty"`
	// Restart says whether one will be due; "" in entries of earlier versions.
	Restart Restart  `json:"restart,omitempty"`
	Agent   AgentRef `json:"agent,omitzero"` // where it stands in the agent's own record
	// Run is the run that acted, where it is not the one that wrote the entry: an agent reported the
	// act to a later run.
	Run string `json:"run,omitempty"`
}

// PhaseInfo is the Data of PhaseStart and of Checkpoint: what a rollback has to know of a phase
// that the playbook may have lost since. Journals of older programs have none.
type PhaseInfo struct {
	Needs []string `json:"needs"`
	// Waits are tasks of the phase by a task of it on another node that had to wait for them.
	Waits map[string][]string `json:"waits,omitempty"`
}

// AgentRef is a place in the record that an agent keeps on its node. Its entries have numbers that
// grow by one.
type AgentRef struct {
	Epoch string `json:"epoch"` // of the record; a new one begins another count
	Seq   int64  `json:"seq"`
}

// Failure is the Data of Failed and UndoFailed.
type Failure struct {
	Error string   `json:"error"`
	Hint  string   `json:"hint,omitempty"`
	Agent AgentRef `json:"agent,omitzero"`
}

// Note is the Data of Done, NoOp, Lost, UndoBegin, Undone and Left. Act is the number of the Begin
// that an undo is about.
type Note struct {
	Note     string   `json:"note,omitempty"`
	Warnings []string `json:"warnings,omitempty"`
	Act      int64    `json:"act,omitempty"`
	Proof    string   `json:"proof,omitempty"` // of Done and NoOp: what shows that a gate is passed
	Agent    AgentRef `json:"agent,omitzero"`
	// Recorded is the number that the owner record of the node is known to hold, 0 for unknown.
	Recorded int64 `json:"recorded,omitempty"`
}

// Boot is the Data of Reboot (the boot before) and Rebooted (the boot after).
type Boot struct {
	ID    string   `json:"boot_id"`
	Agent AgentRef `json:"agent,omitzero"`
}

// TakeOver is the Data of TookOver.
type TakeOver struct {
	Epoch int64    `json:"epoch"` // the journal's from here on; higher than any before
	Nodes []string `json:"nodes"`
	From  string   `json:"from"` // who held the nodes, for people
}

// Signature is the Data of Signed.
type Signature struct {
	By   string    `json:"by"`
	Text string    `json:"text,omitempty"`
	At   time.Time `json:"at"`
}

// RunResult is the Data of RunEnd.
type RunResult struct {
	How   string `json:"how"` // done, failed, stopped, waiting, declined, left
	Error string `json:"error,omitempty"`
	// AtRest are nodes whose agents have told everything that they did.
	AtRest []string `json:"at_rest,omitempty"`
}

// Status is the last word on a task.
type Status string

// The words. StatusBegun, StatusUndoing and StatusLost are open: only a look at the node can settle
// them.
const (
	StatusNotStarted Status = "not-yet"
	StatusDone       Status = "done"
	StatusUnchanged  Status = "no-op"
	StatusBegun      Status = "begun"     // begun, and no end was written
	StatusLost       Status = "lost"      // begun, and the link broke
	StatusRestarting Status = "rebooting" // done, but a restart is due or under way
	StatusFailed     Status = "failed"
	StatusWaiting    Status = "waiting" // a gate waits for its sign-off
	StatusSigned     Status = "signed"  // a person signed, the probe has not confirmed
	StatusUndoing    Status = "undoing" // an undo was begun, and no end was written
	StatusUndone     Status = "undone"
	StatusUndoFailed Status = "undo-failed"
	StatusLeft       Status = "left" // an undo was begun, and something of the act rightly stays
)

// Open says that the word is no answer: the node has to be looked at.
func (s Status) Open() bool {
	return s == StatusBegun || s == StatusLost || s == StatusRestarting || s == StatusUndoing
}

// RunState is one run.
type RunState struct {
	ID      string
	Info    RunInfo
	Data    json.RawMessage // of its RunStart: Info, and what else the engine noted
	Started time.Time
	Ended   time.Time // zero: it was cut off, or goes on
	Result  RunResult
	Handed  bool // it gave work to agents
}

// State is a folded journal.
type State struct {
	Seq      int64 // number of the last entry
	Epoch    int64 // of the journal: 1, raised by each take-over
	Tasks    map[string]*TaskState
	Phases   map[string]*PhaseState
	Order    []string // phases, as they were first seen
	Runs     []*RunState
	Agents   map[string]AgentRef // by node: up to where its agent's record stands in this journal
	Handed   map[string]bool     // tasks that an agent may have begun, and of which nothing was heard
	Owing    map[string]bool     // nodes whose agent was given tasks, and was not at rest when a run ended since
	Began    map[string]string   // by node: the task whose begin the agent reported last, and no end of it yet
	Machines map[string]Machine  // by node: the machine that answered last
	// Restarts are, by node, those that may be due.
	Restarts map[string]OpenRestart

	handed map[handedKey]string // to the phase
	steps  map[string]StepData  // by digest
	undos  map[int64]AskedUndo  // by act

	owners
}

// Fold reads entries in order and returns what they say in the end.
func Fold(entries []Entry) (*State, error) {
	s := &State{Epoch: 1, Tasks: map[string]*TaskState{}, Phases: map[string]*PhaseState{}, Agents: map[string]AgentRef{},
		Handed: map[string]bool{}, Owing: map[string]bool{}, Began: map[string]string{},
		Restarts: map[string]OpenRestart{}, Machines: map[string]Machine{},
		handed: map[handedKey]string{}, steps: map[string]StepData{}, undos: map[int64]AskedUndo{}}
	back, err := goneOf(entries)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if slices.ContainsFunc(back, func(g gone) bool { return g.covers(e) }) {
			s.skip(e)
			continue
		}
		if err := s.Add(e); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Task returns what is known of a task; one that was never spoken of is StatusNotStarted.
func (s *State) Task(id string) TaskState {
	if t, ok := s.Tasks[id]; ok {
		return *t
	}
	return TaskState{ID: id, Status: StatusNotStarted}
}

// LastRun returns the last run, or nil.
func (s *State) LastRun() *RunState {
	if len(s.Runs) == 0 {
		return nil
	}
	return s.Runs[len(s.Runs)-1]
}

// Add takes in one more entry.
func (s *State) Add(e Entry) error {
	s.Seq = e.Seq
	var err error
	switch {
	case e.Kind == RunStart || e.Kind == RunEnd:
		err = s.addRun(e)
	case e.Kind == TookOver:
		var d TakeOver
		if err = decode(e.Data, &d); err == nil && d.Epoch <= s.Epoch {
			err = fmt.Errorf("epoch %d follows %d", d.Epoch, s.Epoch)
		}
		s.Epoch = max(s.Epoch, d.Epoch)
	case e.Kind == Answered || e.Kind == Forgotten:
		err = s.addMachine(e)
	case e.Kind == RestartUnknown || e.Kind == RestartSeen:
		err = s.addRestart(e)
	case e.Task != "":
		if e.Kind == Rebooted {
			delete(s.Restarts, e.Node)
		}
		if e.Kind != Left { // that one says nothing of what an agent did
			delete(s.Handed, e.Task)
		}
		if err = s.heard(e); err == nil {
			err = s.addTask(e)
		}
	case e.Kind == Handed:
		err = s.addHanded(e)
	case e.Kind == Position:
		err = s.addPosition(e)
	case e.Phase != "":
		err = s.addPhase(e)
	}
	if err == nil {
		err = s.addOwner(e)
	}
	if err != nil {
		return fmt.Errorf("cannot read journal entry %d (%s): %w", e.Seq, e.Kind, err)
	}
	return nil
}

func (s *State) addRun(e Entry) error {
	if e.Kind == RunStart {
		r := &RunState{ID: e.Run, Started: e.Time, Data: e.Data}
		s.Runs = append(s.Runs, r)
		return decode(e.Data, &r.Info)
	}
	r := s.Run(e.Run)
	if r == nil {
		return fmt.Errorf("no run %q was started", e.Run)
	}
	r.Ended = e.Time
	err := decode(e.Data, &r.Result)
	for _, name := range r.Result.AtRest {
		delete(s.Owing, name)
	}
	return err
}

func decode(data json.RawMessage, v any) error {
	if len(data) == 0 {
		return nil
	}
	return json.Unmarshal(data, v)
}
