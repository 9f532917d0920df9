package engine

import (
	"bytes"
	"context"

	"deploy/internal/journal"
	"deploy/steps"
)

// heardUndo writes down that an act was taken back by a run that this journal knows nothing of: it
// is an older copy of that run's journal, put back in its place or carried elsewhere. Without this
// it would take the act for one that stands.
func (r *run) heardUndo(ctx context.Context, t steps.Task, rep Report) error {
	n := journal.Note{Act: r.actOf(t.ID, rep), Note: "run " + rep.Run + ", which this journal does not know, took it back",
		Agent: rep.Agent}
	if rep.What == RepUndoBegin {
		if n.Act == 0 {
			return nil
		}
		_, err := r.note(ctx, journal.UndoBegin, t, n)
		return err
	}
	// an act that is not known, or whose undo this journal has seen, leaves nothing to take back; only
	// the place in the record moves on
	if n.Act == 0 {
		n.Note = ""
	}
	if _, err := r.note(ctx, journal.Undone, t, n); err != nil || n.Act == 0 {
		return err
	}
	e := event(EvUndone, t)
	e.Text = n.Note
	r.emit(e)
	return nil
}

// actOf finds the standing act that a report of an undo means, 0 for none. The agent's own number
// is the same in every copy of the journal; an act that the agent did not write down has only the
// journal's, which counts when the same was done there.
func (r *run) actOf(id string, rep Report) int64 {
	for _, a := range r.task(id).Acts {
		ref := a.Intent.Agent
		switch {
		case rep.Of.Agent != 0:
			if ref.Epoch == rep.Agent.Epoch && ref.Seq == rep.Of.Agent {
				return a.Seq
			}
		case a.Seq == rep.Of.Journal && ref.Epoch != rep.Agent.Epoch && a.Intent.Kind == rep.Intent.Kind &&
			bytes.Equal(a.Intent.Step, rep.Intent.Step):
			return a.Seq
		}
	}
	return 0
}
