package journal

import (
	"slices"
	"time"
)

// PhaseState is what the journal knows of one phase.
type PhaseState struct {
	ID string
	// Reached: its checkpoint stands. Nothing was begun or undone in it since, nor was anything undone
	// or found gone in a phase that it stands on.
	Reached    bool
	Checkpoint int64 // number of the last checkpoint entry, 0 for none
	Time       time.Time
	Known      bool // Info was written down
	Info       PhaseInfo
	fallen     bool // what it stands on was taken back, and nothing was heard of it since
}

func (s *State) phase(id string) *PhaseState {
	p := s.Phases[id]
	if p == nil {
		p = &PhaseState{ID: id}
		s.Phases[id] = p
		s.Order = append(s.Order, id)
	}
	return p
}

func (s *State) addPhase(e Entry) error {
	p := s.phase(e.Phase)
	if e.Kind == Checkpoint {
		p.Reached, p.Checkpoint, p.Time, p.fallen = true, e.Seq, e.Time, false
	}
	if len(e.Data) == 0 {
		return nil
	}
	p.Known = true
	return decode(e.Data, &p.Info)
}

// StandsOn says that the phase needs the other one, directly or not. Where the journal does not
// know what a phase needs, that is everything that was seen before it.
func (s *State) StandsOn(id, other string) bool {
	return s.standsOn(id, other, map[string]bool{})
}

func (s *State) standsOn(id, other string, seen map[string]bool) bool {
	p := s.Phases[id]
	if p == nil || seen[id] {
		return false
	}
	seen[id] = true
	if !p.Known {
		at := slices.Index(s.Order, id)
		return slices.Contains(s.Order[:at], other)
	}
	for _, n := range p.Info.Needs {
		if n == other || s.standsOn(n, other, seen) {
			return true
		}
	}
	return false
}

// fell takes the checkpoint from a phase in which the act of that number was undone or found gone,
// and from all that stand on it; and with them what was only looked at or signed there: it was seen
// of a machine that is another one now.
func (s *State) fell(id string, act int64) {
	s.phase(id).Reached = false
	fallen := map[string]bool{}
	for _, name := range s.Order {
		p := s.Phases[name]
		if name == id || p.fallen && !p.Reached || !s.StandsOn(name, id) {
			continue
		}
		p.Reached, p.fallen = false, true
		fallen[name] = true
	}
	for _, t := range s.Tasks {
		if fallen[t.Phase] || t.Phase == id && t.Seq > act {
			t.forget()
		}
	}
}
