package journal

import (
	"bytes"
	"fmt"
	"slices"
)

// Kinds of entries that say who is in charge of a node; see also TookOver.
const (
	// `seq`: the last entry whose act the node still has, `agent`: the last of the agent's record. A
	// person said that the node was put back to an older state.
	WentBack Kind = "went-back"
	// `note`. A node with acts of this journal and no owner record has one now.
	Adopted Kind = "adopted"
)

// BackTo is the Data of WentBack: the node of the entry was put back to an older state of itself.
// Its entries after Seq say nothing of it any more, but those that its agent's record still has.
type BackTo struct {
	Seq   int64    `json:"seq"`
	Agent AgentRef `json:"agent,omitzero"` // the last that the agent's record has
}

// owners is what a State knows of who is in charge of nodes.
type owners struct {
	announced     map[string]map[int64]string
	lastAnnounced map[string]int64
	recorded      map[string]int64
	gonePhases    map[string]bool // phases with work that a WentBack, still to come, took away
}

// Announced are the entries that announced work on a node (the begin of an act or of an undo, tasks
// that were handed to its agent), by number, with the run of each. It is not to be changed.
func (s *State) Announced(node string) map[int64]string { return s.announced[node] }

// LastAnnounced is the number of the last of them, 0 for none.
func (s *State) LastAnnounced(node string) int64 { return s.lastAnnounced[node] }

// Recorded is the highest number of an announcement that the owner record of the node is known to
// have held, 0 for none.
func (s *State) Recorded(node string) int64 { return s.recorded[node] }

// Stands says that acts whose end was heard, and which were not taken back, stand on a node.
func (s *State) Stands(node string) bool {
	for _, t := range s.Tasks {
		if t.Node == node && slices.ContainsFunc(t.Acts, func(a Act) bool { return a.Done }) {
			return true
		}
	}
	return false
}

// addOwner takes in what an entry says of who is in charge of nodes.
func (s *State) addOwner(e Entry) error {
	switch e.Kind {
	case WentBack:
		var b BackTo
		err := decode(e.Data, &b)
		if s.recorded == nil {
			s.recorded = map[string]int64{}
		}
		s.recorded[e.Node] = b.Seq // that much the node shows
		if a := s.Agents[e.Node]; a.Epoch != b.Agent.Epoch || a.Seq > b.Agent.Seq {
			s.Agents[e.Node] = b.Agent
		}
		if b.Agent.Epoch == "" {
			delete(s.Agents, e.Node)
		}
		delete(s.Owing, e.Node)
		s.dropGone()
		return err
	case Handed, UndoBegin:
		s.announce(e)
	case Begin:
		// what an agent reports was announced by the entry that handed it over
		if !bytes.Contains(e.Data, []byte(`"agent":{`)) {
			s.announce(e)
		}
	case Done, Undone:
		if !bytes.Contains(e.Data, []byte(`"recorded":`)) {
			return nil
		}
		var n Note
		if err := decode(e.Data, &n); err != nil {
			return err
		}
		if s.recorded == nil {
			s.recorded = map[string]int64{}
		}
		s.recorded[e.Node] = max(s.recorded[e.Node], n.Recorded)
	}
	return nil
}

func (s *State) announce(e Entry) {
	if s.announced == nil {
		s.announced, s.lastAnnounced = map[string]map[int64]string{}, map[string]int64{}
	}
	if s.announced[e.Node] == nil {
		s.announced[e.Node] = map[int64]string{}
	}
	s.announced[e.Node][e.Seq] = e.Run
	s.lastAnnounced[e.Node] = e.Seq
}

// gone are the entries that a WentBack took out of the story of a node.
type gone struct {
	node string
	at   int64 // number of the WentBack
	back BackTo
}

// goneOf finds every WentBack.
func goneOf(entries []Entry) ([]gone, error) {
	var out []gone
	for _, e := range entries {
		if e.Kind != WentBack {
			continue
		}
		g := gone{node: e.Node, at: e.Seq}
		if err := decode(e.Data, &g.back); err != nil {
			return nil, fmt.Errorf("cannot read journal entry %d (%s): %w", e.Seq, e.Kind, err)
		}
		out = append(out, g)
	}
	return out, nil
}

// covers says that the entry tells of something that is gone.
func (g gone) covers(e Entry) bool {
	if e.Node != g.node || e.Task == "" || e.Seq <= g.back.Seq || e.Seq >= g.at {
		return false
	}
	if g.back.Agent.Epoch == "" || !bytes.Contains(e.Data, []byte(`"agent":{`)) {
		return true
	}
	var d struct {
		Agent AgentRef `json:"agent"`
	}
	return decode(e.Data, &d) != nil || d.Agent.Epoch != g.back.Agent.Epoch || d.Agent.Seq > g.back.Agent.Seq
}

// skip takes in an entry of something that is gone: its number counts, and the checkpoint of its
// phase stands no more.
func (s *State) skip(e Entry) {
	s.Seq = e.Seq
	delete(s.Handed, e.Task)
	s.addGonePhase(e.Phase)
	if e.Kind == UndoBegin || e.Kind == Begin && !bytes.Contains(e.Data, []byte(`"agent":{`)) {
		s.announce(e) // the controller did announce it: a record that holds it is no stranger's
	}
}

func (s *State) addGonePhase(id string) {
	if id == "" {
		return
	}
	if s.gonePhases == nil {
		s.gonePhases = map[string]bool{}
	}
	s.gonePhases[id] = true
}

// dropGone takes away the checkpoints of phases whose work is gone on a node.
func (s *State) dropGone() {
	for id := range s.gonePhases {
		if p := s.Phases[id]; p != nil {
			p.Reached = false
		}
	}
	s.gonePhases = nil
}
