package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"deploy/internal/hint"
	"deploy/internal/journal"
	"deploy/internal/task"
	"deploy/steps"
)

// LeftNote tells what a rollback left as it is, and why.
type LeftNote struct {
	Task  string `json:"task,omitempty"` // "" where it is all acts of a node
	Node  string `json:"node"`
	Acts  int    `json:"acts"`
	Asked bool   `json:"asked,omitempty"` // RollbackOptions.Leave names it
	Text  string `json:"text"`
	Hint  string `json:"hint,omitempty"`
}

// nodeUndo takes back acts of one node. The first look covers all of them; after an undo the next
// act alone is looked at, together with the proof of the undo, and the view widens as long as
// nothing is undone.
type nodeUndo struct {
	*takingBack
	name   string
	acts   []standingAct
	looks  map[int64]look // by number of the act
	window int
}

func (b *takingBack) node(ctx context.Context, name string, acts []standingAct) {
	n := &nodeUndo{takingBack: b, name: name, acts: acts, looks: map[int64]look{}, window: len(acts)}
	for i, sa := range acts {
		if b.r.halted(ctx) {
			return
		}
		if err := n.one(ctx, i, sa); err != nil {
			b.fail(err)
			if errors.Is(err, ErrJournal) || ctx.Err() != nil {
				return
			}
			b.stop(sa, "not tried: "+sa.task.ID+", which is newer, could not be undone")
		}
	}
}

// one brings one act to its outcome: undone, left, or the error that it failed with.
func (n *nodeUndo) one(ctx context.Context, i int, sa standingAct) error {
	r := n.r
	do, why := n.verdict(sa)
	stopped, under := n.stopped(sa)
	switch {
	case do == DoPass:
		return r.passed(ctx, sa, why)
	case do == DoLeave:
		return n.left(ctx, sa, LeftNote{Task: sa.task.ID, Asked: n.asked(sa), Text: why})
	case under:
		return n.left(ctx, sa, LeftNote{Task: sa.task.ID, Text: stopped})
	case do == DoStop && sa.act.Done:
		return n.final(ctx, sa, why)
	}
	if err := n.reach(ctx); errors.Is(err, ErrReport) {
		return n.cannotLook(sa, err)
	} else if err != nil {
		return n.unreachable(ctx, sa, err)
	}
	if r.rec.Task(sa.task.ID).BootID != "" {
		clear(n.looks)
		if err := r.settleReboot(ctx, sa.task); err != nil {
			return err
		}
	}
	k, err := n.look(ctx, i)
	if err != nil {
		if ctx.Err() != nil || !unreached(err) {
			return n.cannotLook(sa, err)
		}
		return n.unreachable(ctx, sa, err)
	}
	settled, err := n.settle(ctx, sa, k, do, why)
	if settled || err != nil {
		return err
	}
	n.window = 1
	return n.undo(ctx, i, sa)
}

// settle decides on the look before the undo. settled says that nothing is to be undone.
func (n *nodeUndo) settle(ctx context.Context, sa standingAct, k look, do, why string) (settled bool, err error) {
	r, t := n.r, sa.task
	overwrite := named(n.ro.Overwrite, t.ID)
	if k.err != nil {
		var until *steps.UntilError
		switch {
		case do == DoStop:
			return true, n.final(ctx, sa, why)
		case overwrite || !sa.act.Done:
			return false, nil // undo restores a recorded state, so it may be called on whatever is there
		case errors.As(k.err, &until):
			return true, n.left(ctx, sa, LeftNote{Task: t.ID, Text: "what it depends on does not exist: " + k.err.Error(),
				Hint: overwriteHint(t.ID)})
		}
		return true, n.cannotLook(sa, k.err)
	}
	switch sa.compare(k.diff) {
	case foundRestored:
		if !sa.act.Undo {
			return true, r.undone(ctx, sa, "a check shows the previous state")
		}
		// An undo that was begun may have been cut off behind all that a check sees: the account is gone,
		// its home is not. It bears being called twice, so it is called again.
		clear(n.looks)
		announced := cmp.Or(sa.act.UndoRestart, restartOfUndo(sa.diff.Effects))
		_, err := r.settleUnheard(ctx, t, sa.diff.Effects, announced, sa.act.UndoBootID)
		return err != nil, err
	case foundChanged:
		if do == DoStop || !sa.act.Done {
			break
		}
		known, anew := n.underneath(sa, k.diff)
		if anew {
			return true, r.undone(ctx, sa, "it was gone before it was made anew")
		}
		if !known && !overwrite {
			return true, n.left(ctx, sa, LeftNote{Task: t.ID, Text: drift(k.diff), Hint: overwriteHint(t.ID)})
		}
	case foundAsLeft:
	}
	if do == DoStop {
		return true, n.final(ctx, sa, why)
	}
	return false, nil
}

func overwriteHint(id string) string { return "--overwrite " + id + " undoes it all the same" }

// final leaves a point of no return.
func (n *nodeUndo) final(ctx context.Context, sa standingAct, why string) error {
	n.stop(sa, "not tried: "+sa.task.ID+", which is newer, cannot be undone")
	return n.left(ctx, sa, LeftNote{Task: sa.task.ID, Text: why + ": point of no return",
		Hint: "--leave " + sa.task.ID + " goes on to what is older"})
}

// left notes that the act stays.
func (n *nodeUndo) left(ctx context.Context, sa standingAct, note LeftNote) error {
	r := n.r
	note.Node, note.Acts, note.Text = n.name, max(note.Acts, 1), r.o.Redact(note.Text)
	if _, err := r.note(ctx, journal.Left, sa.task,
		journal.Note{Act: sa.act.Seq, Note: note.Text, Agent: sa.at}); err != nil {
		return err
	}
	r.count(sa.task.Phase, func(c *Counts) { c.Left++ })
	r.rec.Lock()
	same := slices.IndexFunc(r.sum.Left, func(l LeftNote) bool {
		return l.Node == note.Node && l.Text == note.Text && l.Asked == note.Asked
	})
	if same >= 0 {
		r.sum.Left[same].Acts++
		r.sum.Left[same].Task = ""
	} else {
		r.sum.Left = append(r.sum.Left, note)
	}
	r.rec.Unlock()
	e := event(EvLeft, sa.task)
	e.Text, e.Hint = note.Text, note.Hint
	r.emit(e)
	return nil
}

// reach connects to the node, unless its agent would not answer.
func (n *nodeUndo) reach(ctx context.Context) error {
	n.mu.Lock()
	err := n.silent[n.name]
	n.mu.Unlock()
	if err != nil {
		return err
	}
	err = n.r.sync(ctx, n.name)
	if err != nil && ctx.Err() == nil {
		n.mu.Lock()
		n.silent[n.name] = err // no act more waits for it
		n.mu.Unlock()
	}
	return err
}

func (n *nodeUndo) unreachable(ctx context.Context, sa standingAct, err error) error {
	if ctx.Err() != nil {
		return &TaskError{"undo", sa.task.ID, n.name, err}
	}
	return n.left(ctx, sa, LeftNote{Task: sa.task.ID, Text: "unreachable: " + err.Error(), Hint: hint.Of(err)})
}

// unreached says that err is about the way to the node.
func unreached(err error) bool { return linkBroke(err) || errors.Is(err, errUnheard) }

func (n *nodeUndo) cannotLook(sa standingAct, err error) error {
	te := &TaskError{"check", sa.task.ID, n.name, err}
	n.r.emit(event(EvUndoFailed, sa.task).failed(te))
	n.r.count(sa.task.Phase, func(c *Counts) { c.Failed++ })
	return te
}

// look returns what is known of the i-th act, and looks where that is not fresh: at as many of the
// following acts as the window is wide, in one request.
func (n *nodeUndo) look(ctx context.Context, i int) (look, error) {
	if k, ok := n.looks[n.acts[i].act.Seq]; ok {
		return k, nil
	}
	list := n.ahead(i, n.window)
	n.window *= 2
	if err := n.ask(ctx, list); err != nil {
		return look{}, err
	}
	return n.looks[n.acts[i].act.Seq], nil
}

// ahead are the next acts from the i-th on, at most so many, that the node will be asked about.
func (n *nodeUndo) ahead(i, most int) []standingAct {
	var out []standingAct
	for _, sa := range n.acts[i:] {
		if len(out) == max(most, 1) {
			break
		}
		do, _ := n.verdict(sa)
		_, under := n.stopped(sa)
		if do == DoUndo && !under || do == DoStop && !sa.act.Done {
			out = append(out, sa)
		}
	}
	return out
}

func (n *nodeUndo) ask(ctx context.Context, list []standingAct) error {
	tasks := make([]steps.Task, len(list))
	for i, sa := range list {
		tasks[i] = sa.task
	}
	got, err := n.r.looks(ctx, n.name, tasks)
	for i, k := range got {
		n.looks[list[i].act.Seq] = k
	}
	return err
}

// undo takes one act back and looks whether what it changed is as it was.
func (n *nodeUndo) undo(ctx context.Context, i int, sa standingAct) error {
	r, t := n.r, sa.task
	for try := 1; ; try++ {
		ex, err := r.links.open(ctx, t.Node)
		if err != nil {
			return r.undoFailed(ctx, sa, err)
		}
		intent := journal.UndoIntent{Act: sa.act.Seq, BootID: ex.Facts().BootID, Restart: restartOfUndo(sa.diff.Effects)}
		if _, err := r.note(ctx, journal.UndoBegin, t, intent); err != nil {
			return err
		}
		r.emit(event(EvUndoBegin, t))
		err = r.callUndo(ctx, &sa)
		r.acted(t.Node)
		clear(n.looks)
		if errors.Is(err, steps.ErrRebootDue) {
			if err = r.reboot(ctx, t, journal.AgentRef{}); err != nil {
				return err
			}
		}
		var stays *steps.LeftError
		if errors.As(err, &stays) {
			return n.left(ctx, sa, LeftNote{Task: t.ID, Text: stays.Why, Hint: hint.Of(err)})
		}
		if err == nil {
			break
		}
		if errors.Is(err, errHalted) {
			return nil
		}
		if !sent(err) && ctx.Err() == nil {
			return r.undoFailed(ctx, sa, err)
		}
		if nerr := r.lost(ctx, t, err); nerr != nil {
			return nerr
		}
		if ctx.Err() != nil {
			return &TaskError{"undo", t.ID, t.Node, err}
		}
		r.links.drop(t.Node)
		if lerr := n.ask(ctx, n.acts[i:i+1]); lerr != nil {
			return r.undoFailed(ctx, sa, lerr)
		}
		k := n.looks[sa.act.Seq]
		switch {
		case try == maxTries:
			return r.undoFailed(ctx, sa, fmt.Errorf("connection lost %d times: %w", try, err))
		case k.err == nil && showsBefore(sa.diff, k.diff):
			// a check need not see all that the undo does, so it is called again
			if _, err := r.settleUnheard(ctx, t, sa.diff.Effects, intent.Restart, intent.BootID); err != nil {
				return err
			}
		}
	}
	return n.prove(ctx, i, sa)
}

// prove looks whether an undo held, and at the next act together with it.
func (n *nodeUndo) prove(ctx context.Context, i int, sa standingAct) error {
	r := n.r
	list := append([]standingAct{sa}, n.ahead(i+1, 1)...)
	k, err := task.Hold(ctx, task.PatienceFor(sa.task.Step), r.o.Sleep, func(ctx context.Context) (look, error) {
		err := n.ask(ctx, list)
		return n.looks[sa.act.Seq], err
	}, func(k look) bool { return k.err != nil || sa.unheld(k.diff) == "" })
	if err != nil {
		return r.undoFailed(ctx, sa, err)
	}
	var until *steps.UntilError
	switch {
	case errors.As(k.err, &until):
		// what it stood on is gone as well, so there is nothing left to compare
		return r.undone(ctx, sa, k.err.Error())
	case k.err != nil:
		return r.undoFailed(ctx, sa, k.err)
	}
	if text := sa.unheld(k.diff); text != "" {
		return r.undoFailed(ctx, sa, fmt.Errorf("it %w: %s", ErrDidNotHold, text))
	}
	return r.undone(ctx, sa, "")
}

// callUndo gives the step its recorded Before, through the agent where there is one.
func (r *run) callUndo(ctx context.Context, sa *standingAct) error {
	t := sa.task
	return r.bounded(ctx, t, "the undo of", func(ctx context.Context, ex Executor) error {
		w, ok := ex.(Worker)
		if !ok {
			return ex.Undo(ctx, t.Step, sa.diff.Before)
		}
		var err error
		sa.at, err = w.TakeBack(ctx, Undoing{Run: r.o.Run, Task: t.ID, Phase: t.Phase, Step: t.Step, Before: sa.diff.Before,
			Act: sa.act})
		return err
	})
}

func (r *run) undone(ctx context.Context, sa standingAct, text string) error {
	if _, err := r.note(ctx, journal.Undone, sa.task,
		journal.Note{Act: sa.act.Seq, Note: text, Agent: sa.at, Recorded: r.recordedOn(sa.task.Node)}); err != nil {
		return err
	}
	e := event(EvUndone, sa.task)
	e.Text = text
	r.emit(e)
	r.countEvent(EvUndone, sa.task)
	return nil
}

// passed notes that the act leaves nothing to take back. It counts as looked at, not as undone.
func (r *run) passed(ctx context.Context, sa standingAct, why string) error {
	if _, err := r.note(ctx, journal.Undone, sa.task, journal.Note{Act: sa.act.Seq, Note: why}); err != nil {
		return err
	}
	e := event(EvNoOp, sa.task)
	e.Text = why
	r.emit(e)
	r.countEvent(EvNoOp, sa.task)
	return nil
}

func (r *run) undoFailed(ctx context.Context, sa standingAct, err error) error {
	te := &TaskError{"undo", sa.task.ID, sa.task.Node, err}
	if _, jerr := r.note(ctx, journal.UndoFailed, sa.task,
		journal.Failure{Error: r.o.Redact(te.Error()), Hint: hint.Of(err), Agent: sa.at}); jerr != nil {
		return errors.Join(te, jerr)
	}
	r.emit(event(EvUndoFailed, sa.task).failed(te))
	r.count(sa.task.Phase, func(c *Counts) { c.Failed++ })
	return te
}
