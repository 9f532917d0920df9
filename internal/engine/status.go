package engine

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"deploy/internal/journal"
	"deploy/steps"
)

// StatusReport is what the journal knows of a site. It looks at no node, so it says what was done,
// not what is there now.
type StatusReport struct {
	Site    string        `json:"site"`
	LastRun *RunStatus    `json:"last_run,omitempty"` // nil: nothing was ever run
	Phases  []PhaseStatus `json:"phases"`
	// Gone are tasks on which acts stand though the program no longer has them: nothing removes their
	// work but a rollback.
	Gone []TaskStatus `json:"gone,omitempty"`
	// GoneNodes are nodes that are no longer in the site; their tasks are in Gone.
	GoneNodes []GoneNode `json:"gone_nodes,omitempty"`
	// Restarts are nodes of which nobody can tell whether they must restart.
	Restarts []RestartNote `json:"restarts_unknown,omitempty"`
	Open     int           `json:"open"` // tasks whose state only a look at the node can settle
	// Nodes are the owner records of the nodes, where they were asked for.
	Nodes []NodeRecord `json:"nodes,omitempty"`
}

// RunStatus is one run.
type RunStatus struct {
	ID      string    `json:"id"`
	Command string    `json:"command"`
	Who     string    `json:"who"`
	Version string    `json:"version"`
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended,omitzero"`
	// done, failed, stopped, waiting, declined; "cut off" when no end was written (or it still runs)
	How   string   `json:"how"`
	Error string   `json:"error,omitempty"`
	Moved []string `json:"moved,omitempty"` // what has changed since: the site file, the playbook
}

// CutOff is how a run ended that wrote no end.
const CutOff = "cut off"

// PhaseStatus is one phase.
type PhaseStatus struct {
	ID         string       `json:"id"`
	Title      string       `json:"title"`
	Checkpoint bool         `json:"checkpoint"`
	Since      time.Time    `json:"since,omitzero"` // of the checkpoint
	Counts     StatusCounts `json:"counts"`
	Tasks      []TaskStatus `json:"tasks"`
}

// StatusCounts counts the tasks of a phase by what is known of them.
type StatusCounts struct {
	Tasks  int `json:"tasks"`
	Done   int `json:"done"` // done, or found to need nothing
	Open   int `json:"open"`
	Failed int `json:"failed"`
	NotYet int `json:"not_yet"` // never reached, undone, or waiting for a person
}

// TaskStatus is one task.
type TaskStatus struct {
	ID        string             `json:"id"`
	Phase     string             `json:"phase"`
	Node      string             `json:"node"`
	Kind      string             `json:"kind,omitempty"`
	Status    journal.Status     `json:"word"`
	Open      bool               `json:"open,omitempty"`
	Changed   bool               `json:"changed,omitempty"` // rollback has something to take back
	Left      string             `json:"left,omitempty"`    // why the last rollback that came to it left it
	Anew      *AnewStatus        `json:"made_anew,omitempty"`
	Time      time.Time          `json:"time,omitzero"`
	Run       string             `json:"run,omitempty"`
	Note      string             `json:"note,omitempty"`
	Error     string             `json:"error,omitempty"`
	Hint      string             `json:"hint,omitempty"`
	Signature *journal.Signature `json:"signature,omitempty"`
}

// AnewStatus tells that a task's work was gone from the node and was made again.
type AnewStatus struct {
	Run  string    `json:"run"`
	Time time.Time `json:"time"`
	Acts int       `json:"acts"` // how many acts of before it leave nothing to undo
}

// String is the status in one line.
func (a AnewStatus) String() string {
	return fmt.Sprintf("run %s found its work gone; %s before it cannot and need not be undone", a.Run,
		count(a.Acts, "act"))
}

// Status folds the entries and lays them over the program.
func Status(entries []journal.Entry, p *steps.Program) (*StatusReport, error) {
	st, err := journal.Fold(entries)
	if err != nil {
		return nil, err
	}
	out := &StatusReport{Site: p.Site, Phases: []PhaseStatus{}, Restarts: restartNotes(st)}
	if last := st.LastRun(); last != nil {
		s := runStatus(last)
		if last.Info.SiteDigest != p.SiteDigest {
			s.Moved = append(s.Moved, "the site file has changed")
		}
		if last.Info.PlaybookDigest != p.PlaybookDigest {
			s.Moved = append(s.Moved, "the playbook has changed")
		}
		out.LastRun = &s
	}
	out.GoneNodes = goneNodes(st, p)
	seen := map[string]bool{}
	for _, ph := range p.Phases {
		ps := PhaseStatus{ID: ph.ID, Title: ph.Title, Tasks: []TaskStatus{}}
		if s, ok := st.Phases[ph.ID]; ok && s.Reached {
			ps.Checkpoint, ps.Since = true, s.Time
		}
		for _, g := range ph.Groups {
			for _, t := range g.Tasks {
				seen[t.ID] = true
				ts := taskStatus(st.Task(t.ID))
				ts.Phase, ts.Node, ts.Kind = ph.ID, t.Node, t.Step.Kind()
				ps.Counts.add(ts)
				out.Open += btoi(ts.Open)
				ps.Tasks = append(ps.Tasks, ts)
			}
		}
		out.Phases = append(out.Phases, ps)
	}
	for id, t := range st.Tasks {
		if !seen[id] && (len(t.Acts) > 0 || t.Status.Open()) {
			out.Gone = append(out.Gone, taskStatus(*t))
		}
	}
	slices.SortFunc(out.Gone, func(a, b TaskStatus) int { return a.Time.Compare(b.Time) })
	return out, nil
}

// JournalStatus is Status without a program, for a site whose playbook cannot be read: phases and
// tasks are those that the journal speaks of. Whatever no run ever came to is missing.
func JournalStatus(entries []journal.Entry, site string) (*StatusReport, error) {
	st, err := journal.Fold(entries)
	if err != nil {
		return nil, err
	}
	out := &StatusReport{Site: site, Phases: []PhaseStatus{}}
	if last := st.LastRun(); last != nil {
		s := runStatus(last)
		out.LastRun = &s
	}
	at := map[string]int{}
	for i, id := range st.Order {
		ps := PhaseStatus{ID: id, Tasks: []TaskStatus{}}
		if s := st.Phases[id]; s.Reached {
			ps.Checkpoint, ps.Since = true, s.Time
		}
		at[id] = i
		out.Phases = append(out.Phases, ps)
	}
	for _, t := range st.Tasks {
		i, ok := at[t.Phase]
		if !ok {
			i = len(out.Phases)
			at[t.Phase] = i
			out.Phases = append(out.Phases, PhaseStatus{ID: t.Phase})
		}
		ps := &out.Phases[i]
		ts := taskStatus(*t)
		ps.Counts.add(ts)
		out.Open += btoi(ts.Open)
		ps.Tasks = append(ps.Tasks, ts)
	}
	for _, ps := range out.Phases {
		slices.SortFunc(ps.Tasks, func(a,
			b TaskStatus) int {
			return cmp.Or(a.Time.Compare(b.Time), strings.Compare(a.ID, b.ID))
		})
	}
	return out, nil
}

// History lists the runs, oldest first.
func History(entries []journal.Entry) ([]RunStatus, error) {
	st, err := journal.Fold(entries)
	if err != nil {
		return nil, err
	}
	out := make([]RunStatus, 0, len(st.Runs))
	for _, run := range st.Runs {
		out = append(out, runStatus(run))
	}
	return out, nil
}

func runStatus(r *journal.RunState) RunStatus {
	s := RunStatus{ID: r.ID, Command: r.Info.Command, Who: r.Info.Who, Version: r.Info.Version,
		Started: r.Started, Ended: r.Ended, How: r.Result.How, Error: r.Result.Error}
	if r.Ended.IsZero() {
		s.How = CutOff
	}
	return s
}

func taskStatus(t journal.TaskState) TaskStatus {
	s := TaskStatus{ID: t.ID, Phase: t.Phase, Node: t.Node, Status: t.Status, Open: t.Status.Open(),
		Changed: len(t.Acts) > 0,
		Time:    t.Time, Run: t.Run, Note: t.Note, Error: t.Failure.Error, Hint: t.Failure.Hint}
	if n := len(t.Acts); n > 0 {
		s.Kind = t.Acts[n-1].Intent.Kind
	}
	for _, a := range t.Acts {
		s.Left = cmp.Or(a.Left, s.Left)
	}
	if t.Anew.Seq > 0 {
		s.Anew = &AnewStatus{Run: t.Anew.Run, Time: t.Anew.Time, Acts: t.Anew.Acts}
	}
	if t.Signature.By != "" {
		sig := t.Signature
		s.Signature = &sig
	}
	return s
}

func (c *StatusCounts) add(t TaskStatus) {
	c.Tasks++
	switch {
	case t.Open:
		c.Open++
	case t.Status == journal.StatusDone, t.Status == journal.StatusUnchanged:
		c.Done++
	case t.Status == journal.StatusFailed, t.Status == journal.StatusUndoFailed:
		c.Failed++
	default:
		c.NotYet++
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
