package engine

import (
	"fmt"
	"time"

	"deploy/steps"
)

// count changes the counts of a phase.
func (r *run) count(phase string, f func(c *Counts)) {
	r.rec.Lock()
	defer r.rec.Unlock()
	f(&r.phaseSummary(phase).Counts)
}

// phaseSummary finds or makes the summary of a phase. The caller holds the lock of rec.
func (r *run) phaseSummary(id string) *PhaseSummary {
	for i := range r.sum.Phases {
		if r.sum.Phases[i].ID == id {
			return &r.sum.Phases[i]
		}
	}
	r.sum.Phases = append(r.sum.Phases, PhaseSummary{ID: id})
	return &r.sum.Phases[len(r.sum.Phases)-1]
}

func (r *run) phaseTime(id string, d time.Duration) {
	r.rec.Lock()
	defer r.rec.Unlock()
	r.phaseSummary(id).Elapsed = d
}

// summarize puts the phases in order, fills in what every phase has, and adds the counts up.
func (r *run) summarize() {
	r.rec.Lock()
	defer r.rec.Unlock()
	var out []PhaseSummary
	if r.prog != nil && !r.undoing {
		for _, ph := range r.prog.Phases {
			ps := *r.phaseSummary(ph.ID)
			ps.Title = ph.Title
			for _, g := range ph.Groups {
				ps.Counts.Tasks += len(g.Tasks)
			}
			c := ps.Counts
			ps.Counts.NotRun = max(0, c.Tasks-c.NoOp-c.Change-c.Failed)
			out = append(out, ps)
		}
	} else {
		out = r.sum.Phases
	}
	r.sum.Counts = Counts{}
	for i := range out {
		if s, ok := r.rec.State.Phases[out[i].ID]; ok {
			out[i].Checkpoint = s.Reached
		}
		c := out[i].Counts
		r.sum.Counts.Tasks += c.Tasks
		r.sum.Counts.NoOp += c.NoOp
		r.sum.Counts.Change += c.Change
		r.sum.Counts.Failed += c.Failed
		r.sum.Counts.Undone += c.Undone
		r.sum.Counts.Left += c.Left
		r.sum.Counts.NotRun += c.NotRun
	}
	r.sum.Phases = out
}

// unfinished says that a stop came before the end.
func (r *run) unfinished() bool {
	done, all := r.progress()
	return done < all
}

// standing says where a stopped run stands.
func (r *run) standing() string {
	done, all := r.progress()
	if r.undoing {
		return fmt.Sprintf("%d of %d steps are undone", done, all)
	}
	return fmt.Sprintf("%d of %d tasks are finished", done, all)
}

func (r *run) progress() (done, all int) {
	r.rec.Lock()
	defer r.rec.Unlock()
	for _, ph := range r.sum.Phases {
		done += ph.Counts.NoOp + ph.Counts.Change + ph.Counts.Undone
		if r.undoing {
			done += ph.Counts.Left + ph.Counts.Failed
		}
	}
	if r.undoing {
		return done, r.toUndo
	}
	return done, r.prog.Count()
}

// countEvent keeps the summary's counts in step with what is told.
func (r *run) countEvent(kind EventKind, t steps.Task) {
	r.count(t.Phase, func(c *Counts) {
		switch kind {
		case EvNoOp:
			c.NoOp++
		case EvDone:
			c.Change++
		case EvFailed:
			c.Failed++
		case EvUndone:
			c.Undone++
		}
	})
}
