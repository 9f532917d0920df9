package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"deploy/internal/hint"
	"deploy/internal/journal"
	"deploy/steps"
)

// standingAct is an act that the journal says was not taken back.
type standingAct struct {
	act  journal.Act
	task steps.Task
	diff steps.Diff       // as it stood in the intent, with Before
	at   journal.AgentRef // where the agent's record has its undo
}

// scope verifies what was asked for and makes of it what the journal can repeat: without a scope it
// names the last run that changed something, so that a rollback which is cut off goes on with the
// same.
func (r *run) scope(ro RollbackOptions) (RollbackOptions, error) {
	if ro.All && (len(ro.Runs) > 0 || ro.ToPhase != "") {
		return ro, hint.Wrap(errors.New("cannot undo everything and a selection: --all excludes --run and "+
			"--to"), "leave one of them out")
	}
	if err := r.knownNames(ro); err != nil {
		return ro, err
	}
	if ro.scoped() {
		return ro, nil
	}
	r.rec.Lock()
	defer r.rec.Unlock()
	ro.Runs = r.lastRuns()
	ro.All = len(ro.Runs) == 0 // nothing was ever done
	return ro, nil
}

// knownNames refuses names that neither the journal nor the program has.
func (r *run) knownNames(ro RollbackOptions) error {
	r.rec.Lock()
	defer r.rec.Unlock()
	phases, tasks, nodes := map[string]bool{}, map[string]bool{}, map[string]bool{}
	add := func(id, phase, node string) {
		phases[phase], nodes[node] = true, true
		tasks[id], tasks[stepOf(id)] = true, true
	}
	for _, t := range r.rec.State.Tasks {
		add(t.ID, t.Phase, t.Node)
	}
	for _, ph := range r.o.Program.Phases {
		phases[ph.ID] = true
		for _, g := range ph.Groups {
			for _, t := range g.Tasks {
				add(t.ID, ph.ID, t.Node)
			}
		}
	}
	for _, n := range r.o.Inventory {
		nodes[n] = true
	}
	runs := map[string]bool{}
	for _, run := range r.rec.State.Runs {
		runs[run.ID] = true
	}
	for _, t := range r.rec.State.Tasks {
		for _, a := range t.Acts {
			runs[a.Run] = true
		}
	}
	either := maps.Clone(tasks)
	maps.Copy(either, nodes)
	for _, c := range []struct {
		what  string
		names []string
		all   map[string]bool
	}{
		{"run", ro.Runs, runs}, {"node", ro.Nodes, nodes}, {"task", ro.Tasks, tasks},
		{"task or node", ro.Leave, either}, {"task", ro.Overwrite, tasks},
	} {
		for _, n := range c.names {
			if fit := func(name string) bool { return matches(n, name) }; !c.all[n] &&
				!slices.ContainsFunc(slices.Collect(maps.Keys(c.all)), fit) {
				return unknownName(c.what, n, slices.Sorted(maps.Keys(c.all)))
			}
		}
	}
	if ro.ToPhase == "" {
		return nil
	}
	var order []string
	for _, ph := range r.o.Program.Phases {
		order = append(order, ph.ID)
	}
	return known("phase", []string{ro.ToPhase}, order)
}

func unknownName(what, name string, all []string) error {
	text := "deploy history and deploy status list what there is"
	if s := steps.Nearest(name, all); s != "" {
		text = fmt.Sprintf("did you mean %q?", s)
	}
	return hint.Wrap(fmt.Errorf("there is no %s %q", what, name), text)
}

// lastRuns are the last run that changed something, and, where that went on with runs that were cut
// off, those as well. Work that an agent was given and of which nothing was heard counts, since it
// may have been done. The caller holds the lock of rec.
func (r *run) lastRuns() []string {
	var newest, probe journal.Act
	for _, t := range r.rec.State.Tasks {
		for _, a := range t.Acts {
			d, err := diffOf(a)
			switch {
			case err == nil && d.Effects.NothingToUndo:
				if a.Seq > probe.Seq {
					probe = a
				}
			case a.Seq > newest.Seq:
				newest = a
			}
		}
	}
	id := newest.Run
	if id == "" {
		id = probe.Run
	}
	at := slices.IndexFunc(r.rec.State.Runs, func(x *journal.RunState) bool { return x.ID == id })
	if len(r.rec.State.Owing) > 0 {
		for i := len(r.rec.State.Runs) - 1; i > at; i-- {
			if r.rec.State.Runs[i].Handed {
				id, at = r.rec.State.Runs[i].ID, i
				break
			}
		}
	}
	if at < 0 {
		if id == "" {
			return nil
		}
		return []string{id}
	}
	out := []string{id}
	for ; at > 0 && r.rec.State.Runs[at].Info.Command == "resume"; at-- {
		out = append(out, r.rec.State.Runs[at-1].ID)
	}
	return out
}

// knowsRun says that the journal has the run.
func (r *run) knowsRun(id string) bool {
	r.rec.Lock()
	defer r.rec.Unlock()
	return r.rec.State.Run(id) != nil
}

// standingActs lists what a rollback has to take back, newest first. It refuses to take an act from
// under a later one of the same task.
func (r *run) standingActs(ro RollbackOptions) ([]standingAct, error) {
	in := r.chooses(ro)
	r.rec.Lock()
	defer r.rec.Unlock()
	if err := r.covered(in); err != nil {
		return nil, err
	}
	return r.decodeActs(func(t *journal.TaskState, a journal.Act) bool { return in(t, a.Run) })
}

// chooses makes the question whether a run's act of a task is asked for.
func (r *run) chooses(ro RollbackOptions) func(t *journal.TaskState, run string) bool {
	keep := map[string]bool{}
	if ro.ToPhase != "" {
		// a phase that the playbook no longer has is not before anything, so its work goes
		for _, ph := range r.o.Program.Phases {
			keep[ph.ID] = true
			if ph.ID == ro.ToPhase {
				break
			}
		}
	}
	return func(t *journal.TaskState, run string) bool {
		return !keep[t.Phase] && (len(ro.Runs) == 0 || slices.Contains(ro.Runs, run)) &&
			(len(ro.Nodes) == 0 || fits(ro.Nodes, t.Node)) &&
			(len(ro.Tasks) == 0 || named(ro.Tasks, t.ID))
	}
}

// covered refuses a choice of runs whose work a later run changed. The caller holds the lock of
// rec.
func (r *run) covered(in func(*journal.TaskState, string) bool) error {
	var runs, tasks []string
	for _, id := range slices.Sorted(maps.Keys(r.rec.State.Tasks)) {
		t, below := r.rec.State.Tasks[id], false
		for _, a := range t.Acts {
			if in(t, a.Run) {
				below = true
			} else if below {
				if !slices.Contains(tasks, id) {
					tasks = append(tasks, id)
				}
				if !slices.Contains(runs, a.Run) {
					runs = append(runs, a.Run)
				}
			}
		}
	}
	if len(runs) == 0 {
		return nil
	}
	slices.Sort(runs)
	what := tasks[0]
	if n := len(tasks) - 1; n > 0 {
		what += fmt.Sprintf(" and %d more", n)
	}
	return hint.Wrap(fmt.Errorf("cannot take that back by itself: run %s changed %s later",
		strings.Join(runs, " and run "), what), "undo both: add --run "+strings.Join(runs, " --run "))
}

// decodeActs makes steps of the journalled acts that want agrees to, so that a rollback works when
// the site or the playbook has changed or lost the step. The caller holds the lock of rec.
func (r *run) decodeActs(want func(*journal.TaskState, journal.Act) bool) ([]standingAct, error) {
	if r.o.Decode == nil {
		return nil, errors.New("cannot undo: no step decoder")
	}
	timeouts := map[string]steps.Task{}
	for _, t := range r.o.Program.Tasks() {
		timeouts[t.ID] = t
	}
	var out []standingAct
	for _, t := range r.rec.State.Tasks {
		for _, a := range t.Acts {
			if !want(t, a) {
				continue
			}
			d, err := diffOf(a)
			if err != nil {
				return nil, fmt.Errorf("cannot read act %d (%s): %w", a.Seq, t.ID, err)
			}
			s, err := r.o.Decode(a.Intent.Kind, a.Intent.Step)
			if err != nil {
				return nil, fmt.Errorf("cannot read act %d (%s): %w", a.Seq, t.ID, err)
			}
			out = append(out, standingAct{act: a, diff: d, task: steps.Task{
				ID: t.ID, Phase: t.Phase, Node: t.Node, Step: s, Timeout: timeouts[t.ID].Timeout,
			}})
		}
	}
	slices.SortFunc(out, func(a, b standingAct) int { return int(b.act.Seq - a.act.Seq) })
	return out, nil
}

func diffOf(a journal.Act) (steps.Diff, error) {
	var d steps.Diff
	err := unmarshal(a.Intent.Diff, &d)
	return d, err
}

func unmarshal(data json.RawMessage, v any) error {
	if len(data) == 0 {
		return nil
	}
	return json.Unmarshal(data, v)
}

// named says that a pattern of the list fits the task, or its step.
func named(list []string, id string) bool { return fits(list, id) || fits(list, stepOf(id)) }

// fits says that a pattern of the list fits the name.
func fits(list []string, name string) bool {
	return slices.ContainsFunc(list, func(p string) bool { return matches(p, name) })
}
