package engine

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"deploy/internal/journal"
	"deploy/internal/node"
	"deploy/steps"
)

// RestartNote is a node of which nobody can tell whether it must restart: the answer of an act that
// would have told was not heard.
type RestartNote struct {
	Node  string    `json:"node"`
	Task  string    `json:"task"`
	Since time.Time `json:"since"`
	Text  string    `json:"text"`
}

func restartNotes(st *journal.State) []RestartNote {
	var out []RestartNote
	for _, name := range slices.Sorted(maps.Keys(st.Restarts)) {
		o := st.Restarts[name]
		out = append(out, RestartNote{Node: name, Task: o.Task, Since: o.Since, Text: restartText(name, o.Task)})
	}
	return out
}

func restartText(name, id string) string {
	return "the answer of " + id + " was lost, and " + name + " does not report whether it must restart; restart " +
		"it, or check the product"
}

// restartOf says what the effects of an act announce.
func restartOf(e steps.Effects) journal.Restart {
	switch {
	case e.Reboot:
		return journal.RestartYes
	case e.MayReboot:
		return journal.RestartPerhaps
	}
	return journal.RestartNo
}

// restartOfUndo says what undoing an act announces: whether taking back needs a restart tells its
// answer, whatever the act needed.
func restartOfUndo(e steps.Effects) journal.Restart {
	if restartOf(e) == journal.RestartNo {
		return journal.RestartNo
	}
	return journal.RestartPerhaps
}

// settleUnheard does what the answer would have asked for that was not heard, of an act or an undo
// with these effects that was begun in a boot: it restarts the machine when a restart is due, and
// tells a person where nothing can tell. restarted says that it did.
func (r *run) settleUnheard(ctx context.Context, t steps.Task, e steps.Effects, announced journal.Restart,
	boot string) (restarted bool, err error) {
	if announced == journal.RestartNo {
		return false, nil
	}
	ex, err := r.links.open(ctx, t.Node)
	if err != nil {
		return false, r.failed(ctx, "settle", t, err)
	}
	now := ex.Facts().BootID
	if boot != "" && !node.SameBoot(now, boot) {
		return false, nil
	}
	due, err := r.restartDue(ctx, t.Node)
	if ctx.Err() != nil {
		return false, &TaskError{"settle", t.ID, t.Node, err}
	}
	switch {
	case err == nil && due:
	case err == nil && e.RebootMarked:
		return false, nil
	case announced == journal.RestartYes:
	default:
		return false, r.restartUnknown(ctx, t, now)
	}
	return true, r.reboot(ctx, t, journal.AgentRef{})
}

// restartDue asks a machine whether it must restart. An error says that it cannot tell.
func (r *run) restartDue(ctx context.Context, name string) (bool, error) {
	if r.o.RestartDue == nil {
		return false, fmt.Errorf("cannot tell whether %s must restart: %w", name, node.ErrUnsupported)
	}
	got, _, err := r.lookAt(ctx, name, []steps.Task{{Node: name, Step: r.o.RestartDue}})
	if err != nil {
		return false, err
	}
	return got[0].Diff.Action != steps.NoOp, got[0].Err
}

// restartUnknown notes that a restart may be due, for a person to decide.
func (r *run) restartUnknown(ctx context.Context, t steps.Task, boot string) error {
	if _, err := r.note(ctx, journal.RestartUnknown, t, journal.Boot{ID: boot}); err != nil {
		return err
	}
	e := event(EvWarning, t)
	e.Text = restartText(t.Node, t.ID)
	r.emit(e)
	return nil
}

// seeRestart notes that a node which perhaps had to restart has done so.
func (r *run) seeRestart(ctx context.Context, name, boot string) error {
	r.rec.Lock()
	open, ok := r.rec.State.Restarts[name]
	r.rec.Unlock()
	if !ok || !r.acting || node.SameBoot(boot, open.BootID) {
		return nil
	}
	_, err := r.rec.Write(ctx, journal.Entry{Kind: journal.RestartSeen, Node: name}, journal.Boot{ID: boot})
	return err
}
