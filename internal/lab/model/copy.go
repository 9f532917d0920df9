package model

import (
	"encoding/json"
	"fmt"
	"maps"
)

// Copy makes a second world that is equal to this one and shares nothing with it, with the
// passwords that no saved world has. What happened so far (History) stays behind. The caller holds
// the lock.
func (w *World) Copy() (*World, error) {
	raw, err := json.Marshal(w)
	if err != nil {
		return nil, fmt.Errorf("cannot copy the lab: %w", err)
	}
	out := &World{}
	if err := json.Unmarshal(raw, out); err != nil {
		return nil, fmt.Errorf("cannot copy the lab: %w", err)
	}
	if w.Forest != nil {
		out.Forest.Users = maps.Clone(w.Forest.Users)
	}
	return out, nil
}
