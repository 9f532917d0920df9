package engine

import (
	"fmt"
	"slices"
	"strings"

	"deploy/internal/hint"
	"deploy/internal/journal"
	"deploy/steps"
)

// needs holds a selection against what its phases need. A need is met when its checkpoint stands
// and all its tasks are done, or when what is not done of it is part of this run, which then comes
// to it first. A phase that a person skips by name is met by that word.
type needs struct {
	whole, cut *steps.Program
	sel        Selection
	st         *journal.State
	chosen     map[string]bool // tasks of this run
}

func (n *needs) check() error {
	n.chosen = map[string]bool{}
	for _, t := range n.cut.Tasks() {
		n.chosen[t.ID] = true
	}
	for _, ph := range n.cut.Phases {
		var open []steps.Phase
		for _, id := range ph.Needs {
			if need := n.phase(id); !n.met(need) {
				open = append(open, need)
			}
		}
		if len(open) > 0 && len(tasksOf(ph)) > 0 {
			return n.refuse(ph, open)
		}
	}
	return nil
}

// phase finds a phase of the whole program; checkProgram has seen that it is there.
func (n *needs) phase(id string) steps.Phase {
	i := slices.IndexFunc(n.whole.Phases, func(ph steps.Phase) bool { return ph.ID == id })
	return n.whole.Phases[i]
}

func (n *needs) met(need steps.Phase) bool {
	if slices.Contains(n.sel.Skip, need.ID) {
		return true
	}
	tasks := tasksOf(need)
	rest := 0 // tasks that are not part of this run
	for _, t := range tasks {
		if n.chosen[t.ID] {
			continue
		}
		rest++
		if !n.done(t.ID) {
			return false
		}
	}
	if rest == 0 && len(tasks) > 0 {
		return true
	}
	if ps, ok := n.st.Phases[need.ID]; ok && ps.Reached {
		return true
	}
	if rest == len(tasks) && len(tasks) > 0 {
		return false // done, and something that it stands on was taken back since
	}
	// nothing of its own is open, so what it stands on decides
	for _, id := range need.Needs {
		if !n.met(n.phase(id)) {
			return false
		}
	}
	return true
}

func (n *needs) done(id string) bool {
	s := n.st.Task(id).Status
	return s == journal.StatusDone || s == journal.StatusUnchanged
}

// refuse says what is missing, and the two ways on.
func (n *needs) refuse(ph steps.Phase, open []steps.Phase) error {
	what := ph.ID
	if len(n.sel.Nodes)+len(n.sel.Exclude)+len(n.sel.Tasks) > 0 {
		var on []string
		for _, t := range tasksOf(ph) {
			if !slices.Contains(on, t.Node) {
				on = append(on, t.Node)
			}
		}
		what += " on " + listed(on, 3)
	}
	var missing, ids []string
	var nodes []string
	for _, need := range open {
		all, left, out := n.nodes(need)
		text := fmt.Sprintf("%s, which is done on %d of %d nodes", need.ID, len(all)-len(left), len(all))
		if len(left) == 0 {
			text = need.ID + ", whose checkpoint is not valid: what it depends on was undone or changed since"
			out = all
		}
		missing, ids = append(missing, text), append(ids, need.ID)
		for _, name := range out {
			if !slices.Contains(nodes, name) {
				nodes = append(nodes, name)
			}
		}
	}
	err := fmt.Errorf("cannot run %s: it needs %s", what, strings.Join(missing, ", and "))
	way := fmt.Sprintf("run %s too", strings.Join(ids, " and "))
	if len(n.sel.Only)+len(n.sel.Tasks) == 0 && len(nodes) > 0 {
		way = fmt.Sprintf("choose %s too", listed(nodes, 3))
	}
	return hint.Wrap(err, fmt.Sprintf("%s; where you know that the work is there, --skip %s says so", way,
		strings.Join(ids, ",")))
}

// nodes are those of a phase, those of them on which it is not done, and of these the ones that are
// not part of this run.
func (n *needs) nodes(ph steps.Phase) (all, left, out []string) {
	add := func(list *[]string, name string) {
		if !slices.Contains(*list, name) {
			*list = append(*list, name)
		}
	}
	for _, t := range tasksOf(ph) {
		add(&all, t.Node)
		if n.done(t.ID) {
			continue
		}
		add(&left, t.Node)
		if !n.chosen[t.ID] {
			add(&out, t.Node)
		}
	}
	return all, left, out
}
