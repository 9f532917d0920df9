package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"deploy/internal/hint"
	"deploy/internal/journal"
	"deploy/steps"
)

// ErrReport: an agent reported something that it was not asked for. Its node takes no further part
// in the run.
var ErrReport = errors.New("the report is not accepted")

// ReportError is a report that does not fit what was handed to the agent that sent it.
type ReportError struct {
	Node string
	What Reported
	Task string // as the agent says
	Why  string
}

func (e *ReportError) Error() string {
	return fmt.Sprintf("cannot accept what the agent on %s reports, %s of %s: %s", e.Node, quoted(string(e.What)),
		quoted(e.Task), e.Why)
}

// Is makes it an ErrReport.
func (e *ReportError) Is(target error) bool { return target == ErrReport }

// quoted shows text that comes from a node: no longer than a name, without control characters.
func quoted(text string) string {
	const longest = 80
	if len(text) > longest {
		text = strings.ToValidUTF8(text[:longest], "") + "..."
	}
	return strconv.Quote(text)
}

// Bounds on what an agent may report of itself.
const (
	maxEpoch  = 64      // bytes of an AgentRef's epoch
	maxBootID = 256     // bytes of a boot id
	maxLook   = 8 << 20 // bytes of a diff: its Before may hold a file of a megabyte, in base64
	// reports of one run that --forget-agent passes over before the agent is given up
	maxForgotten = 1000
)

func stepData(s steps.Step) journal.StepData {
	return journal.StepData{Kind: s.Kind(), Data: steps.MustJSON(s)}
}

// reported makes the error about a report.
func (r *run) reported(name string, rep Report, why string) error {
	return hint.Wrap(&ReportError{Node: name, What: rep.What, Task: rep.Task, Why: why},
		"nothing of it was written down. Examine "+name+" before the next run. If its agent's record belongs to work that "+
			"this journal has lost, --forget-agent "+name+" goes on without it")
}

// began is the task whose begin the agent on a node reported, and no end of it yet.
func (r *run) began(name string) string {
	r.rec.Lock()
	defer r.rec.Unlock()
	return r.rec.State.Began[name]
}

// accept compares a numbered report with what this journal handed to the node, and returns the task
// and, for a begin, the step that was handed over. An agent is believed as to how a task ended that
// it was given. It is not believed as to another node's task, or as to what the task is.
func (r *run) accept(name string, rep Report) (steps.Task, journal.StepData, error) {
	r.rec.Lock()
	defer r.rec.Unlock()
	var step journal.StepData
	t := steps.Task{ID: rep.Task, Node: name}
	if known, ok := r.rec.State.Tasks[rep.Task]; ok && known.Node == name {
		t.Phase = known.Phase
	}
	why := r.misnumbered(name, rep.Agent)
	if why == "" && r.rec.State.Run(rep.Run) == nil {
		why = "this journal knows no run " + quoted(rep.Run) + ": it is an older copy, or another journal is used for the " +
			"site as well"
	}
	if why != "" {
		return t, step, r.reported(name, rep, why)
	}
	began := r.rec.State.Began[name]
	if r.rec.State.Agents[name].Epoch != rep.Agent.Epoch {
		began = "" // what another record left open has no end in this one
	}
	switch rep.What {
	case RepBegin:
		var h journal.HandedTask
		if h, why = r.handedAs(name, rep); why == "" {
			t.Phase, step = h.Phase, h.Step
		}
		if began != "" {
			why = "it has begun " + quoted(began)
		}
	case RepDone, RepFailed, RepReboot, RepLost:
		if began == "" || began != rep.Task {
			why = "it has not begun that task"
		}
	case RepUndoBegin, RepUndone:
		u, ok := r.rec.State.AskedUndo(rep.Act)
		switch {
		case began != "":
			why = "it has begun " + quoted(began)
		case !ok || u.Task != rep.Task || u.Node != name:
			why = fmt.Sprintf("this journal did not ask for the undo of act %d of that task", rep.Act)
		}
	default:
		why = "that is no report of an act"
	}
	if why != "" {
		return t, step, r.reported(name, rep, why)
	}
	if own, ok := r.byID[t.ID]; ok && own.Node == name {
		own.Phase = t.Phase
		return own, step, nil
	}
	return t, step, nil
}

// misnumbered tells what is wrong with the place of a report in the agent's record: entries follow
// each other without gaps. The caller holds the lock of rec.
func (r *run) misnumbered(name string, at journal.AgentRef) string {
	want := int64(1)
	if known := r.rec.State.Agents[name]; known.Epoch == at.Epoch {
		want = known.Seq + 1
	}
	switch {
	case at.Epoch == "" || len(at.Epoch) > maxEpoch:
		return "it names no record"
	case at.Seq != want:
		return fmt.Sprintf("it is number %d of the agent's record where %d is due", at.Seq, want)
	}
	return ""
}

// handedAs finds the task of a begin, or tells why it is not accepted. The caller holds the lock of
// rec.
func (r *run) handedAs(name string, rep Report) (journal.HandedTask, string) {
	switch {
	case len(rep.BootID) > maxBootID || len(rep.Look) > maxLook:
		return journal.HandedTask{}, "it is too large"
	case rep.Diff.Action == "" || rep.Diff.Action == steps.NoOp || rep.Diff.Action == steps.Unknown:
		return journal.HandedTask{}, "there is nothing to do by its own diff"
	}
	h, ok := r.rec.State.HandedAs(name, rep.Task, rep.Digest)
	switch {
	case ok && rep.Digest != "":
		return h, ""
	case !ok && rep.Digest != "" && r.rec.State.WasHanded(name, rep.Task):
		return h, "it was handed over under another digest"
	case !ok || rep.Step == nil:
		return h, "that task was not handed to it"
	}
	// a record of an earlier version tells the step itself: it must be one that is known here
	own, known := r.byID[rep.Task]
	known = known && own.Node == name && stepData(own.Step).Equal(*rep.Step)
	for _, a := range r.rec.State.Task(rep.Task).Acts {
		known = known || (journal.StepData{Kind: a.Intent.Kind, Data: a.Intent.Step}).Equal(*rep.Step)
	}
	if !known {
		return h, "it was handed over by an earlier version, and neither the playbook nor the journal knows its step"
	}
	h.Step = *rep.Step
	return h, ""
}

// refused passes over a report that was not accepted where a person said that what this agent did
// is lost. Otherwise it is the error.
func (r *run) refused(ctx context.Context, name string, rep Report, err error) error {
	at := rep.Agent
	if !slices.Contains(r.o.ForgetAgents, name) || at.Seq <= 0 || at.Epoch == "" || len(at.Epoch) > maxEpoch {
		return err
	}
	r.rec.Lock()
	r.forgotten[name]++
	n := r.forgotten[name]
	r.rec.Unlock()
	if n > maxForgotten {
		return err
	}
	if n == 1 {
		r.emit(Event{Kind: EvWarning, Node: name, Text: "reports of the agent on " + name + " are ignored; the node " +
			"is checked instead: " + r.o.Redact(err.Error())})
	}
	return r.position(ctx, name, at, "passed over, as --forget-agent says: "+r.o.Redact(err.Error()))
}

// position notes that a report of an agent was heard of which nothing else is written down.
func (r *run) position(ctx context.Context, name string, at journal.AgentRef, why string) error {
	_, err := r.rec.Write(ctx, journal.Entry{Kind: journal.Position, Node: name},
		journal.AgentPosition{Agent: at, Note: why})
	return err
}
