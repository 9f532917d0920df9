package journal

import (
	"bytes"
	"encoding/json"
	"fmt"
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

// Note is the Data of Done, NoOp, Lost and Undone. Act is the number of the Begin that an Undone
// takes back.
type Note struct {
	Note     string   `json:"note,omitempty"`
	Warnings []string `json:"warnings,omitempty"`
	Act      int64    `json:"act,omitempty"`
	Agent    AgentRef `json:"agent,omitzero"`
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
	How   string `json:"how"` // done, failed, stopped, waiting, declined
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
	StatusWaiting    Status = "waiting" // a person is asked for
	StatusSigned     Status = "signed"  // a person signed, the probe has not confirmed
	StatusUndoing    Status = "undoing" // an undo was begun, and no end was written
	StatusUndone     Status = "undone"
	StatusUndoFailed Status = "undo-failed"
)

// Open says that the word is no answer: the node has to be looked at.
func (s Status) Open() bool {
	return s == StatusBegun || s == StatusLost || s == StatusRestarting || s == StatusUndoing
}

// Act is one Begin that was not taken back: what rollback has to undo.
type Act struct {
	Seq    int64 // of its first Begin
	Intent Intent
	Done   bool // its end was written
	Undo   bool // an undo of it was begun
}

// TaskState is what the journal knows of one task.
type TaskState struct {
	ID, Phase, Node string
	Status          Status
	Seq             int64 // of the entry that said it
	Time            time.Time
	Run             string
	Note            string
	Failure         Failure // for failed and undo-failed
	BootID          string  // a restart is owed or under way: the boot that is to go; "" for none
	// number of the last entry that announced a change of the node (Begin, UndoBegin), 0 for none
	Changed   int64
	Signature Signature // for signed, and kept after
	// Acts are the standing acts, oldest first. A second Begin for the same wish before the first
	// one's end is the same act, and keeps the first one's Before; a Begin after an end (the machine
	// had drifted) or for another wish is an act of its own.
	Acts []Act
}

// PhaseState is what the journal knows of one phase.
type PhaseState struct {
	ID         string
	Reached    bool  // its checkpoint stands: nothing was begun or undone in it since
	Checkpoint int64 // number of the last checkpoint entry, 0 for none
	Time       time.Time
}

// RunState is one run.
type RunState struct {
	ID      string
	Info    RunInfo
	Data    json.RawMessage // of its RunStart: Info, and what else the engine noted
	Started time.Time
	Ended   time.Time // zero: it was cut off, or goes on
	Result  RunResult
}

// State is a folded journal.
type State struct {
	Seq    int64 // number of the last entry
	Epoch  int64 // of the journal: 1, raised by each take-over
	Tasks  map[string]*TaskState
	Phases map[string]*PhaseState
	Order  []string // phases, as they were first seen
	Runs   []*RunState
	Agents map[string]AgentRef // by node: up to where its agent's record stands in this journal
	Handed map[string]bool     // tasks that an agent may have begun, and of which nothing was heard
	Owing  map[string]bool     // nodes whose agent was given tasks, and was not at rest when a run ended since
	Began  map[string]string   // by node: the task whose begin the agent reported last, and no end of it yet
	// Restarts are, by node, those that may be due.
	Restarts map[string]OpenRestart

	handed map[handedKey]string // to the phase
	steps  map[string]StepData  // by digest
	undos  map[int64]AskedUndo  // by act
}

// Fold reads entries in order and returns what they say in the end.
func Fold(entries []Entry) (*State, error) {
	s := &State{Epoch: 1, Tasks: map[string]*TaskState{}, Phases: map[string]*PhaseState{}, Agents: map[string]AgentRef{},
		Handed: map[string]bool{}, Owing: map[string]bool{}, Began: map[string]string{},
		Restarts: map[string]OpenRestart{},
		handed:   map[handedKey]string{}, steps: map[string]StepData{}, undos: map[int64]AskedUndo{}}
	for _, e := range entries {
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
	case e.Kind == RestartUnknown || e.Kind == RestartSeen:
		err = s.addRestart(e)
	case e.Task != "":
		if e.Kind == Rebooted {
			delete(s.Restarts, e.Node)
		}
		delete(s.Handed, e.Task)
		if err = s.heard(e); err == nil {
			err = s.addTask(e)
		}
	case e.Kind == Handed:
		err = s.addHanded(e)
	case e.Kind == Position:
		err = s.addPosition(e)
	case e.Phase != "":
		p := s.phase(e.Phase)
		if e.Kind == Checkpoint {
			p.Reached, p.Checkpoint, p.Time = true, e.Seq, e.Time
		}
	}
	if err != nil {
		return fmt.Errorf("cannot read journal entry %d (%s): %w", e.Seq, e.Kind, err)
	}
	return nil
}

func (s *State) phase(id string) *PhaseState {
	p := s.Phases[id]
	if p == nil {
		p = &PhaseState{ID: id}
		s.Phases[id] = p
		s.Order = append(s.Order, id)
	}
	return p
}

func (s *State) addRun(e Entry) error {
	if e.Kind == RunStart {
		r := &RunState{ID: e.Run, Started: e.Time, Data: e.Data}
		s.Runs = append(s.Runs, r)
		return decode(e.Data, &r.Info)
	}
	for i := len(s.Runs) - 1; i >= 0; i-- {
		if r := s.Runs[i]; r.ID == e.Run {
			r.Ended = e.Time
			err := decode(e.Data, &r.Result)
			for _, name := range r.Result.AtRest {
				delete(s.Owing, name)
			}
			return err
		}
	}
	return fmt.Errorf("no run %q was started", e.Run)
}

func (s *State) addTask(e Entry) error {
	t := s.Tasks[e.Task]
	if t == nil {
		t = &TaskState{ID: e.Task}
		s.Tasks[e.Task] = t
	}
	was := t.Status
	t.Phase, t.Node, t.Seq, t.Time, t.Run = e.Phase, e.Node, e.Seq, e.Time, e.Run
	t.Note, t.Failure = "", Failure{}
	if e.Kind == UndoBegin || e.Kind == Undone {
		t.BootID = ""
	}
	p := s.phase(e.Phase)
	switch e.Kind {
	case Begin:
		t.Status, t.Changed, p.Reached = StatusBegun, e.Seq, false
		return t.begin(e)
	case Done, NoOp:
		t.Status = StatusDone
		if e.Kind == NoOp {
			t.Status = StatusUnchanged
		}
		t.settle()
		return t.note(e)
	case Failed:
		t.Status, p.Reached = StatusFailed, false
		return decode(e.Data, &t.Failure)
	case Lost:
		t.Status = StatusLost
		if was == StatusUndoing {
			t.Status = StatusUndoing
		}
		return t.note(e)
	case Reboot:
		t.Status = StatusRestarting
		var b Boot
		err := decode(e.Data, &b)
		t.BootID = b.ID
		return err
	case Rebooted:
		t.Status, t.BootID = StatusBegun, ""
		if n := len(t.Acts); n > 0 && t.Acts[n-1].Undo {
			t.Status = StatusUndoing
		}
	case Waiting:
		t.Status, p.Reached = StatusWaiting, false
	case Signed:
		t.Status = StatusSigned
		return decode(e.Data, &t.Signature)
	case UndoBegin:
		t.Status, t.Changed, p.Reached = StatusUndoing, e.Seq, false
		act, err := t.undoBegin(e)
		if err == nil {
			s.undos[act] = AskedUndo{Task: t.ID, Phase: t.Phase, Node: t.Node}
		}
		return err
	case Undone:
		p.Reached = false
		return t.undone(e)
	case UndoFailed:
		t.Status = StatusUndoFailed
		return decode(e.Data, &t.Failure)
	default:
		return fmt.Errorf("unknown kind")
	}
	return nil
}

func (t *TaskState) begin(e Entry) error {
	var in Intent
	if err := decode(e.Data, &in); err != nil {
		return err
	}
	if n := len(t.Acts); n > 0 {
		top := &t.Acts[n-1]
		if !top.Done && top.Intent.Kind == in.Kind && bytes.Equal(top.Intent.Step, in.Step) {
			// the first Before is the machine before anybody touched it, so it is the one that counts
			top.Undo = false
			top.Intent.BootID, top.Intent.Restart = in.BootID, in.Restart
			return nil
		}
	}
	t.Acts = append(t.Acts, Act{Seq: e.Seq, Intent: in})
	return nil
}

// settle closes every act: the machine is in its desired state, so what was half done or half
// undone is done.
func (t *TaskState) settle() {
	for i := range t.Acts {
		t.Acts[i].Done, t.Acts[i].Undo = true, false
	}
	t.BootID = ""
}

func (t *TaskState) note(e Entry) error {
	var n Note
	err := decode(e.Data, &n)
	t.Note = n.Note
	return err
}

func (t *TaskState) undoBegin(e Entry) (act int64, err error) {
	var n Note
	if err := decode(e.Data, &n); err != nil {
		return 0, err
	}
	for i := range t.Acts {
		if t.Acts[i].Seq == n.Act {
			// from here on it is neither done nor undone
			t.Acts[i].Undo, t.Acts[i].Done = true, false
			return n.Act, nil
		}
	}
	return 0, fmt.Errorf("no act %d to undo", n.Act)
}

func (t *TaskState) undone(e Entry) error {
	var n Note
	if err := decode(e.Data, &n); err != nil {
		return err
	}
	t.Note = n.Note
	for i := range t.Acts {
		if t.Acts[i].Seq == n.Act {
			t.Acts = append(t.Acts[:i:i], t.Acts[i+1:]...)
			break
		}
	}
	switch k := len(t.Acts); {
	case k == 0:
		t.Status = StatusUndone
	case t.Acts[k-1].Done:
		t.Status = StatusDone
	default:
		t.Status = StatusBegun
	}
	return nil
}

func decode(data json.RawMessage, v any) error {
	if len(data) == 0 {
		return nil
	}
	return json.Unmarshal(data, v)
}
