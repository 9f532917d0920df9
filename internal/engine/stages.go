package engine

import (
	"slices"

	"deploy/steps"
)

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
