package journal

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// StepData is a step as data.
type StepData struct {
	Kind string          `json:"kind"`
	Data json.RawMessage `json:"data"`
}

// Digest is the SHA-256, in hex, over the kind and the canonical data of a step.
func (s StepData) Digest() string {
	sum := sha256.Sum256(append([]byte(s.Kind+"\x00"), canonical(s.Data)...))
	return hex.EncodeToString(sum[:])
}

// Equal says that both are the same step, however it is written.
func (s StepData) Equal(o StepData) bool {
	return s.Kind == o.Kind && bytes.Equal(canonical(s.Data), canonical(o.Data))
}

// canonical writes JSON with sorted keys and without blanks. What is no JSON stays as it is.
func canonical(data json.RawMessage) []byte {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber() // a number keeps all its digits
	var v any
	if err := d.Decode(&v); err != nil {
		return data
	}
	out, err := json.Marshal(v)
	if err != nil {
		return data
	}
	return out
}

// HandedOver is the Data of Handed: tasks that the agent may begin. What an agent reports is taken
// only for a task that stands here, under the digest that stands here.
type HandedOver struct {
	Tasks []string `json:"tasks"`
	// Digests are those of the tasks' steps, in the same order. Entries of earlier versions have none.
	Digests []string `json:"digests,omitempty"`
	// Steps are the steps by digest. A step stands in the first entry that needs it only: most are
	// handed over again and again, and a report about an earlier run may come when the playbook has
	// changed.
	Steps map[string]StepData `json:"steps,omitempty"`
}

// HandedTask is a task that was handed to the agent on a node.
type HandedTask struct {
	Phase string
	Step  StepData // zero in a journal that holds no digests
}

// handedKey is what a report must name. Digest is "" for entries of earlier versions.
type handedKey struct{ node, task, digest string }

// AskedUndo is an undo that this journal announced.
type AskedUndo struct{ Task, Phase, Node string }

// HandedAs returns the task that was handed to the agent on a node under a digest.
func (s *State) HandedAs(node, task, digest string) (HandedTask, bool) {
	phase, ok := s.handed[handedKey{node, task, digest}]
	return HandedTask{Phase: phase, Step: s.steps[digest]}, ok
}

// WasHanded says that a task was handed to the agent on a node, under any digest.
func (s *State) WasHanded(node, task string) bool {
	for k := range s.handed {
		if k.node == node && k.task == task {
			return true
		}
	}
	return false
}

// KnowsStep says that a step of that digest stands in a Handed entry.
func (s *State) KnowsStep(digest string) bool {
	_, ok := s.steps[digest]
	return ok
}

// AskedUndo returns the undo of an act that this journal announced, by the number of the act's
// begin.
func (s *State) AskedUndo(act int64) (AskedUndo, bool) {
	u, ok := s.undos[act]
	return u, ok
}

// Run returns a run by its id, nil when the journal has none of that id.
func (s *State) Run(id string) *RunState {
	for _, r := range s.Runs {
		if r.ID == id {
			return r
		}
	}
	return nil
}

func (s *State) addHanded(e Entry) error {
	var h HandedOver
	if err := decode(e.Data, &h); err != nil {
		return err
	}
	if len(h.Digests) > 0 && len(h.Digests) != len(h.Tasks) {
		return fmt.Errorf("%d digests for %d tasks", len(h.Digests), len(h.Tasks))
	}
	for digest, step := range h.Steps {
		if step.Digest() != digest {
			return fmt.Errorf("the step under digest %.12s is another one", digest)
		}
		s.steps[digest] = step
	}
	s.Owing[e.Node] = true
	if r := s.Run(e.Run); r != nil {
		r.Handed = true
	}
	for i, id := range h.Tasks {
		s.Handed[id] = true
		k := handedKey{node: e.Node, task: id}
		if len(h.Digests) > 0 {
			k.digest = h.Digests[i]
			if !s.KnowsStep(k.digest) {
				return fmt.Errorf("the step of %s is missing", id)
			}
		}
		s.handed[k] = e.Phase
	}
	return nil
}

// AgentPosition is the Data of Position.
type AgentPosition struct {
	Agent AgentRef `json:"agent"`
	Note  string   `json:"note"` // why nothing else is written of the report
}

func (s *State) addPosition(e Entry) error {
	var p AgentPosition
	if err := decode(e.Data, &p); err != nil {
		return err
	}
	s.Agents[e.Node] = p.Agent
	delete(s.Began, e.Node)
	return nil
}

// heard takes note of where the agent's record stands.
func (s *State) heard(e Entry) error {
	if !bytes.Contains(e.Data, []byte(`"agent"`)) {
		return nil
	}
	var d struct {
		Agent AgentRef `json:"agent"`
	}
	if err := decode(e.Data, &d); err != nil {
		return err
	}
	if d.Agent.Epoch == "" {
		return nil
	}
	s.Agents[e.Node] = d.Agent
	delete(s.Began, e.Node)
	if e.Kind == Begin {
		s.Began[e.Node] = e.Task
	}
	return nil
}
