package journal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
)

// Act is one Begin that was not taken back: what rollback has to undo.
type Act struct {
	Seq    int64 // of its first Begin
	Intent Intent
	Done   bool // its end was written
	Undo   bool // an undo of it was begun
	// of the undo that was begun last
	UndoBootID  string
	UndoRestart Restart
	Run         string // the run that began it last
	Left        string // why the last rollback that came to it left it; "" when none did
	Above       *Above // what stood on it and was taken back; nil for nothing
}

// Above is the act of the same task that stood on another one and was taken back last: it restored
// what it had found, which may not be what the act below it had left.
type Above struct {
	Seq  int64
	Run  string
	Diff json.RawMessage
}

// Anew tells that a task's work was gone and was made again: acts of before it leave nothing to
// undo.
type Anew struct {
	Seq  int64 // of the Begin that made it again, 0 for never
	Run  string
	Time time.Time
	Acts int // how many acts are gone
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
	Proof     string    // what showed that a gate is passed
	Stale     string    // what showed it before something under it was undone
	// Acts are the standing acts, oldest first. A second Begin for the same wish before the first
	// one's end is the same act, and keeps the first one's Before; a Begin after an end (the machine
	// had drifted) or for another wish is an act of its own. One that creates the same once more,
	// after an end, says that the machine had lost the work: it takes the place of all before it.
	Acts []Act
	Anew Anew
}

func (s *State) addTask(e Entry) error {
	t := s.Tasks[e.Task]
	if t == nil {
		t = &TaskState{ID: e.Task}
		s.Tasks[e.Task] = t
	}
	if e.Kind == Left {
		return t.left(e)
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
		gone, err := t.begin(e, was)
		if gone {
			s.fell(e.Phase, e.Seq)
		}
		return err
	case Done, NoOp:
		t.Status, p.fallen = StatusDone, false
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
		t.Status, p.Reached, p.fallen = StatusWaiting, false, false
	case Signed:
		t.Status, p.fallen = StatusSigned, false
		return decode(e.Data, &t.Signature)
	case UndoBegin:
		t.Status, t.Changed, p.Reached = StatusUndoing, e.Seq, false
		act, err := t.undoBegin(e)
		if err == nil {
			s.undos[act] = AskedUndo{Task: t.ID, Phase: t.Phase, Node: t.Node}
			s.fell(e.Phase, act)
		}
		return err
	case Undone:
		p.Reached = false
		n, err := t.undone(e)
		if n.Act != 0 {
			s.fell(e.Phase, n.Act)
		}
		return err
	case UndoFailed:
		t.Status = StatusUndoFailed
		return decode(e.Data, &t.Failure)
	default:
		return fmt.Errorf("unknown kind")
	}
	return nil
}

// begin takes in an act. gone says that the work of the task was there and is not any more.
func (t *TaskState) begin(e Entry, was Status) (gone bool, err error) {
	var in Intent
	if err := decode(e.Data, &in); err != nil {
		return false, err
	}
	var d struct {
		Action string `json:"action"`
	}
	if err := decode(in.Diff, &d); err != nil {
		return false, err
	}
	run := e.Run
	if in.Run != "" {
		run = in.Run
	}
	anew := d.Action == "create" // the word of package steps
	if n := len(t.Acts); n > 0 {
		top := &t.Acts[n-1]
		same := top.Intent.Kind == in.Kind && bytes.Equal(top.Intent.Step, in.Step)
		if same && !top.Done {
			// the first Before is the machine before anybody touched it, so it is the one that counts
			top.Undo, top.Run = false, run
			top.Intent.BootID, top.Intent.Restart = in.BootID, in.Restart
			return false, nil
		}
		// another wish may be about another thing, of which nothing is known to be gone
		if gone = same && anew; gone {
			t.Anew = Anew{Seq: e.Seq, Run: run, Time: e.Time, Acts: n}
			t.Acts = nil
		}
	} else {
		gone = anew && (was == StatusUnchanged || was == StatusDone)
	}
	t.Acts = append(t.Acts, Act{Seq: e.Seq, Intent: in, Run: run})
	return gone, nil
}

// settle closes every act: the machine is in its desired state, so what was half done or half
// undone is done.
func (t *TaskState) settle() {
	for i := range t.Acts {
		t.Acts[i].Done, t.Acts[i].Undo, t.Acts[i].Left = true, false, ""
	}
	t.BootID = ""
}

func (t *TaskState) note(e Entry) error {
	var n Note
	err := decode(e.Data, &n)
	t.Note = n.Note
	if e.Kind != Lost {
		t.Proof = n.Proof
	}
	return err
}

func (t *TaskState) undoBegin(e Entry) (act int64, err error) {
	var n UndoIntent
	if err := decode(e.Data, &n); err != nil {
		return 0, err
	}
	for i := range t.Acts {
		if t.Acts[i].Seq == n.Act {
			// from here on it is neither done nor undone
			t.Acts[i].Undo, t.Acts[i].Done = true, false
			t.Acts[i].UndoBootID, t.Acts[i].UndoRestart = n.BootID, n.Restart
			return n.Act, nil
		}
	}
	return 0, fmt.Errorf("no act %d to undo", n.Act)
}

func (t *TaskState) undone(e Entry) (Note, error) {
	var n Note
	if err := decode(e.Data, &n); err != nil {
		return n, err
	}
	t.Note = n.Note
	for i, a := range t.Acts {
		if a.Seq == n.Act {
			if i > 0 && i == len(t.Acts)-1 {
				t.Acts[i-1].Above = &Above{Seq: a.Seq, Run: a.Run, Diff: a.Intent.Diff}
			}
			t.Acts = append(t.Acts[:i:i], t.Acts[i+1:]...)
			break
		}
	}
	t.Status = StatusUndone
	if k := len(t.Acts); k > 0 && !t.Acts[k-1].Done {
		t.Status = StatusBegun
	}
	return n, nil
}

// left notes that a rollback left an act. Where its undo had begun, that was its end; elsewhere the
// rollback only looked, which changes nothing of what is known.
func (t *TaskState) left(e Entry) error {
	var n Note
	if err := decode(e.Data, &n); err != nil {
		return err
	}
	for i := range t.Acts {
		a := &t.Acts[i]
		if a.Seq != n.Act {
			continue
		}
		a.Left = n.Note
		if a.Undo && t.Status == StatusUndoing {
			a.Undo = false
			t.Status, t.Seq, t.Time, t.Run, t.Note = StatusLeft, e.Seq, e.Time, e.Run, n.Note
		}
		return nil
	}
	return fmt.Errorf("no act %d to leave", n.Act)
}

// forget takes back that the task was found to need nothing, or that a person did it. What was
// acted on stands by its acts.
func (t *TaskState) forget() {
	switch t.Status {
	case StatusDone, StatusUnchanged, StatusSigned:
	default:
		return
	}
	if len(t.Acts) == 0 {
		if t.Proof != "" {
			t.Stale, t.Proof = t.Proof, ""
		}
		t.Status, t.Signature = StatusNotStarted, Signature{}
		t.Note = "what it depends on was undone since"
	}
}
