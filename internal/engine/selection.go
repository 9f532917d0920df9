package engine

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"deploy/internal/hint"
	"deploy/internal/journal"
	"deploy/steps"
)

// Selection is the part of the program that was asked for; empty lists mean all. Phases are named
// as they are. A node is named, matched ("w*") or meant by its role ("role.web"). A task is named
// by its id, by phase/step, or matched. In a pattern * stands for any text and ? for one character.
type Selection struct {
	Only    []string `json:"only,omitempty"`    // phases to run; what they need must be done
	Skip    []string `json:"skip,omitempty"`    // phases to leave out: a person says that their work is there
	Nodes   []string `json:"nodes,omitempty"`   // nodes to work on
	Exclude []string `json:"exclude,omitempty"` // nodes to leave out
	Tasks   []string `json:"tasks,omitempty"`   // tasks to run
}

// Given says that something was selected at all.
func (s Selection) Given() bool {
	return len(s.Only)+len(s.Skip)+len(s.Nodes)+len(s.Exclude)+len(s.Tasks) > 0
}

// Validate says whether the program has what the selection names, and anything is left of it. It
// asks neither the journal nor a node, so a run can be refused before it begins.
func (s Selection) Validate(p *steps.Program) error {
	_, err := s.choose(p)
	return err
}

// checkProgram verifies what the order of work rests on: unique ids, and every need met by an
// earlier phase.
func checkProgram(p *steps.Program) error {
	seen := map[string]bool{}
	tasks := map[string]bool{}
	nodes := map[string]bool{}
	for _, n := range p.Nodes {
		nodes[n] = true
	}
	for _, ph := range p.Phases {
		if seen[ph.ID] {
			return fmt.Errorf("cannot run playbook %s: phase %s occurs twice", p.Playbook, ph.ID)
		}
		for _, n := range ph.Needs {
			if !seen[n] {
				return hint.Wrap(fmt.Errorf("cannot run playbook %s: phase %s needs %s, which does not run earlier", p.Playbook,
					ph.ID, n),
					"list phases in the order in which they run")
			}
		}
		seen[ph.ID] = true
		for _, t := range tasksOf(ph) {
			if tasks[t.ID] {
				return fmt.Errorf("cannot run playbook %s: task %s occurs twice", p.Playbook, t.ID)
			}
			tasks[t.ID] = true
			if !nodes[t.Node] {
				return fmt.Errorf("cannot run playbook %s: a task names node %s, which is not in the inventory", p.Playbook,
					t.Node)
			}
		}
	}
	return nil
}

func tasksOf(ph steps.Phase) []steps.Task {
	var out []steps.Task
	for _, g := range ph.Groups {
		out = append(out, g.Tasks...)
	}
	return out
}

// selectTasks cuts the program down to what was asked for, and refuses what would pass an
// unfinished need.
func selectTasks(p *steps.Program, sel Selection, st *journal.State) (*steps.Program, error) {
	if err := checkProgram(p); err != nil {
		return nil, err
	}
	cut, err := sel.choose(p)
	if err != nil {
		return nil, err
	}
	return cut, (&needs{whole: p, cut: cut, sel: sel, st: st}).check()
}

// choose cuts the program down without asking what was done before.
func (s Selection) choose(p *steps.Program) (*steps.Program, error) {
	phases := make([]string, len(p.Phases))
	for i, ph := range p.Phases {
		phases[i] = ph.ID
	}
	if err := known("phase", append(slices.Clone(s.Only), s.Skip...), phases); err != nil {
		return nil, err
	}
	for _, id := range s.Only {
		if slices.Contains(s.Skip, id) {
			return nil, hint.Wrap(fmt.Errorf("cannot both run and skip the phase %s", id), "name it once")
		}
	}
	nodes, err := nodesOf(p, s.Nodes)
	if err != nil {
		return nil, err
	}
	without, err := nodesOf(p, s.Exclude)
	if err != nil {
		return nil, err
	}
	tasks, err := tasksNamed(p, s.Tasks)
	if err != nil {
		return nil, err
	}
	out := *p
	out.Phases, out.Nodes = nil, nil
	used := map[string]bool{}
	for _, ph := range p.Phases {
		if slices.Contains(s.Skip, ph.ID) || len(s.Only) > 0 && !slices.Contains(s.Only, ph.ID) {
			continue
		}
		cut, was, left := ph, 0, 0
		cut.Groups = nil
		for _, g := range ph.Groups {
			was += len(g.Tasks)
			cg := g
			cg.Tasks = nil
			for _, t := range g.Tasks {
				if len(s.Nodes) > 0 && !nodes[t.Node] || without[t.Node] || len(s.Tasks) > 0 && !tasks[t.ID] {
					continue
				}
				t.Phase = ph.ID // tasks made by hand may leave it out
				cg.Tasks = append(cg.Tasks, t)
				used[t.Node] = true
				left++
			}
			cut.Groups = append(cut.Groups, cg)
		}
		if left > 0 || was == 0 { // a phase that the selection has emptied is no part of the run
			out.Phases = append(out.Phases, cut)
		}
	}
	for _, n := range p.Nodes {
		if used[n] {
			out.Nodes = append(out.Nodes, n)
		}
	}
	if len(used) == 0 && s.Given() {
		return nil, hint.Wrap(errors.New("there is nothing to run: no step is in all of what was selected"),
			"see what each phase has on which node: deploy status -v SITE")
	}
	return &out, nil
}

// nodesOf returns the nodes that the patterns mean.
func nodesOf(p *steps.Program, patterns []string) (map[string]bool, error) {
	all := inventoryOf(p)
	out := map[string]bool{}
	for _, pattern := range patterns {
		names := all
		if role, ok := strings.CutPrefix(pattern, "role."); ok && !slices.Contains(all, pattern) {
			roles := make([]string, 0, len(p.Roles))
			for r := range p.Roles {
				roles = append(roles, r)
			}
			slices.Sort(roles)
			if err := known("role", []string{role}, roles); err != nil {
				return nil, err
			}
			for _, n := range p.Roles[role] {
				out[n] = true
			}
			continue
		}
		if !isPattern(pattern) {
			if err := known("node", []string{pattern}, names); err != nil {
				return nil, err
			}
		}
		found := false
		for _, n := range names {
			if matches(pattern, n) {
				out[n], found = true, true
			}
		}
		if !found {
			return nil, hint.Wrap(fmt.Errorf("there is no node that fits %q", pattern), "there are: "+listed(names, 10))
		}
	}
	return out, nil
}

// tasksNamed returns the ids of the tasks that the patterns mean.
func tasksNamed(p *steps.Program, patterns []string) (map[string]bool, error) {
	out := map[string]bool{}
	if len(patterns) == 0 {
		return out, nil
	}
	var names []string // the steps, then the tasks: what a person may have meant
	all := p.Tasks()
	for _, t := range all {
		if s := stepOf(t.ID); !slices.Contains(names, s) {
			names = append(names, s)
		}
	}
	stepsAlone := len(names)
	for _, t := range all {
		names = append(names, t.ID)
	}
	for _, pattern := range patterns {
		found := false
		for _, t := range all {
			if matches(pattern, t.ID) || matches(pattern, stepOf(t.ID)) {
				out[t.ID], found = true, true
			}
		}
		if found {
			continue
		}
		text := "there are: " + listed(names[:stepsAlone], 10)
		if s := steps.Nearest(pattern, names); s != "" {
			text = fmt.Sprintf("did you mean %q?", s)
		}
		return nil, hint.Wrap(fmt.Errorf("there is no task %q", pattern), text)
	}
	return out, nil
}

// stepOf is phase/step of a task's id: without its item and its node.
func stepOf(id string) string {
	id, _, _ = strings.Cut(id, "@")
	id, _, _ = strings.Cut(id, "[")
	return id
}

func isPattern(s string) bool { return strings.ContainsAny(s, "*?") }

// matches says that the text fits the pattern: * stands for any text, ? for one character.
func matches(pattern, text string) bool {
	p, t := []rune(pattern), []rune(text)
	star, mark := -1, 0
	i, j := 0, 0
	for j < len(t) {
		switch {
		case i < len(p) && p[i] == '*':
			star, mark = i, j
			i++
		case i < len(p) && (p[i] == '?' || p[i] == t[j]):
			i++
			j++
		case star >= 0:
			mark++
			i, j = star+1, mark
		default:
			return false
		}
	}
	for i < len(p) && p[i] == '*' {
		i++
	}
	return i == len(p)
}

func known(what string, names, all []string) error {
	for _, n := range names {
		if slices.Contains(all, n) {
			continue
		}
		text := "there are: " + listed(all, 10)
		if s := steps.Nearest(n, all); s != "" {
			text = fmt.Sprintf("did you mean %q?", s)
		}
		return hint.Wrap(fmt.Errorf("there is no %s %q", what, n), text)
	}
	return nil
}

// listed joins names with commas, the first of them when there are many.
func listed(names []string, most int) string {
	if len(names) > most {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
	}
	return strings.Join(names, ", ")
}
