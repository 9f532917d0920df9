package engine

import (
	"fmt"
	"slices"
	"strings"

	"deploy/internal/hint"
	"deploy/internal/journal"
	"deploy/steps"
)

// checkProgram verifies what the order of work rests on: unique ids, and every need met by an
// earlier phase.
func checkProgram(p *steps.Program) error {
	seen := map[string]bool{}
	tasks := map[string]bool{}
	for _, ph := range p.Phases {
		if seen[ph.ID] {
			return fmt.Errorf("cannot run playbook %s: phase %s stands twice", p.Playbook, ph.ID)
		}
		for _, n := range ph.Needs {
			if !seen[n] {
				return hint.Wrap(fmt.Errorf("cannot run playbook %s: phase %s needs %s, which does not run before it", p.Playbook,
					ph.ID, n),
					"phases run in the order in which they are written")
			}
		}
		seen[ph.ID] = true
		for _, g := range ph.Groups {
			for _, t := range g.Tasks {
				if tasks[t.ID] {
					return fmt.Errorf("cannot run playbook %s: task %s stands twice", p.Playbook, t.ID)
				}
				tasks[t.ID] = true
			}
		}
	}
	return nil
}

// selectTasks cuts the program down to what was asked for. A phase left out by Only must not be
// needed, or have its checkpoint; one left out by Skip was named by a person, who answers for it.
func selectTasks(p *steps.Program, sel Selection, st *journal.State) (*steps.Program, error) {
	if err := checkProgram(p); err != nil {
		return nil, err
	}
	var phases []string
	for _, ph := range p.Phases {
		phases = append(phases, ph.ID)
	}
	if err := known("phase", append(append([]string{}, sel.Only...), sel.Skip...), phases); err != nil {
		return nil, err
	}
	if err := known("node", sel.Nodes, p.Nodes); err != nil {
		return nil, err
	}
	out := *p
	out.Phases, out.Nodes = nil, nil
	chosen := map[string]bool{}
	used := map[string]bool{}
	for _, ph := range p.Phases {
		if slices.Contains(sel.Skip, ph.ID) || len(sel.Only) > 0 && !slices.Contains(sel.Only, ph.ID) {
			continue
		}
		for _, n := range ph.Needs {
			if chosen[n] || slices.Contains(sel.Skip, n) {
				continue
			}
			if s, ok := st.Phases[n]; !ok || !s.Reached {
				return nil, hint.Wrap(fmt.Errorf("cannot run phase %s alone: it needs %s, whose checkpoint was not reached", ph.ID,
					n),
					fmt.Sprintf("run phase %s first, or name it as skipped if you know that its work is there", n))
			}
		}
		chosen[ph.ID] = true
		cut := ph
		cut.Groups = nil
		for _, g := range ph.Groups {
			cg := g
			cg.Tasks = nil
			for _, t := range g.Tasks {
				if len(sel.Nodes) > 0 && !slices.Contains(sel.Nodes, t.Node) {
					continue
				}
				t.Phase = ph.ID // tasks made by hand may leave it out
				cg.Tasks = append(cg.Tasks, t)
				used[t.Node] = true
			}
			cut.Groups = append(cut.Groups, cg)
		}
		out.Phases = append(out.Phases, cut)
	}
	for _, n := range p.Nodes {
		if used[n] {
			out.Nodes = append(out.Nodes, n)
			delete(used, n)
		}
	}
	for n := range used {
		return nil, fmt.Errorf("cannot run playbook %s: a task names node %s, which the program does not list", p.Playbook, n)
	}
	return &out, nil
}

func known(what string, names, all []string) error {
	for _, n := range names {
		if slices.Contains(all, n) {
			continue
		}
		text := "there are: " + strings.Join(all, ", ")
		if s := steps.Nearest(n, all); s != "" {
			text = fmt.Sprintf("did you mean %q?", s)
		}
		return hint.Wrap(fmt.Errorf("there is no %s %q", what, n), text)
	}
	return nil
}

// stage is what runs at the same time: the tasks of each node in order, the nodes independent of
// each other. A barrier stands at its end.
type stage struct {
	nodes []string
	tasks map[string][]steps.Task
}

func (s *stage) add(t steps.Task) {
	if s.tasks == nil {
		s.tasks = map[string][]steps.Task{}
	}
	if _, ok := s.tasks[t.Node]; !ok {
		s.nodes = append(s.nodes, t.Node)
	}
	s.tasks[t.Node] = append(s.tasks[t.Node], t)
}

// stages cuts a phase into stages. Groups that go together over the same nodes are one stage, so
// that a fast node does not wait for a slow one after each of them. Where the set of nodes changes,
// the next group may rest on all of the last, so it waits; and so does one of which the plan says
// that it waits (task ids by task id) for what another node makes in the same stage.
func stages(ph steps.Phase, waits map[string][]string) []stage {
	var out []stage
	var block stage
	flush := func() {
		if len(block.nodes) > 0 {
			out = append(out, block)
			block = stage{}
		}
	}
	for _, g := range ph.Groups {
		if len(g.Tasks) == 0 {
			continue
		}
		switch g.Order {
		case steps.OneByOne:
			flush()
			for i, t := range g.Tasks {
				if i == 0 || t.Node != g.Tasks[i-1].Node {
					out = append(out, stage{})
				}
				out[len(out)-1].add(t)
			}
		case steps.FirstThenRest:
			flush()
			var first, rest stage
			for _, t := range g.Tasks {
				if t.Node == g.Tasks[0].Node {
					first.add(t)
				} else {
					rest.add(t)
				}
			}
			out = append(out, first)
			if len(rest.nodes) > 0 {
				out = append(out, rest)
			}
		default:
			if len(block.nodes) > 0 && (!sameNodes(block, g.Tasks) || block.makesFor(g.Tasks, waits)) {
				flush()
			}
			for _, t := range g.Tasks {
				block.add(t)
			}
		}
	}
	flush()
	return out
}

// makesFor says that a task of the stage, on one node, is waited for by one of tasks on another
// node.
func (s *stage) makesFor(tasks []steps.Task, waits map[string][]string) bool {
	for _, t := range tasks {
		if len(waits[t.ID]) == 0 {
			continue
		}
		for _, name := range s.nodes {
			for _, mine := range s.tasks[name] {
				if name != t.Node && slices.Contains(waits[t.ID], mine.ID) {
					return true
				}
			}
		}
	}
	return false
}

func sameNodes(b stage, tasks []steps.Task) bool {
	set := map[string]bool{}
	for _, t := range tasks {
		if _, ok := b.tasks[t.Node]; !ok {
			return false
		}
		set[t.Node] = true
	}
	return len(set) == len(b.nodes)
}
