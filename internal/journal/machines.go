package journal

import "math"

// MachineSeen is the Data of Answered: which machine answered under the name of the entry's node.
type MachineSeen struct {
	ID       string `json:"id"` // see node.Facts.Machine; never ""
	Computer string `json:"computer,omitempty"`
}

// Machine is what the journal knows of the machine behind a node's name.
type Machine struct {
	MachineSeen
	Run string // that saw it first
}

// Forgot is the Data of Forgotten: the machine behind the node of the entry is gone, and all acts
// on it with it.
type Forgot struct {
	Who      string `json:"who,omitempty"`      // a person said so
	Replaced bool   `json:"replaced,omitempty"` // another machine answers under the name
}

// addMachine takes in what an entry says of the machine behind a node's name.
func (s *State) addMachine(e Entry) error {
	if e.Kind == Answered {
		m := Machine{Run: e.Run}
		err := decode(e.Data, &m.MachineSeen)
		s.Machines[e.Node] = m
		return err
	}
	var f Forgot
	err := decode(e.Data, &f)
	s.Forget(e.Node, f.Replaced)
	return err
}

// Forget drops whatever is known of a node. Where another machine has taken its place, the
// checkpoints of the phases that it had a part in go as well, and of those that stand on them.
func (s *State) Forget(node string, replaced bool) {
	phases := map[string]bool{}
	for id, t := range s.Tasks {
		if t.Node == node {
			phases[t.Phase] = true
			delete(s.Tasks, id)
			delete(s.Handed, id)
		}
	}
	delete(s.Agents, node)
	delete(s.Owing, node)
	delete(s.Began, node)
	delete(s.Restarts, node)
	delete(s.Machines, node)
	delete(s.recorded, node) // no record is missed on a machine that never had one
	if !replaced {
		return
	}
	for id := range phases {
		if id != "" {
			s.fell(id, math.MaxInt64)
		}
	}
}

// Standing is how many tasks have acts that stand on a node.
func (s *State) Standing(node string) int {
	n := 0
	for _, t := range s.Tasks {
		if t.Node == node && len(t.Acts) > 0 {
			n++
		}
	}
	return n
}
