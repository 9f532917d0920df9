package clus

import (
	"context"
	"encoding/json"
	"fmt"

	"deploy/internal/node"
)

// Undo reads what a step has recorded and gives it to back, with the cluster. On a node that is no
// member any more there is nothing to take back: what stood in the cluster went with it.
func Undo[B any](ctx context.Context, n node.Node, before json.RawMessage, back func(v Reader, b B) error) error {
	var b B
	if err := json.Unmarshal(before, &b); err != nil {
		return fmt.Errorf("cannot read the recorded state: %w", err)
	}
	formed, err := Formed(ctx, n)
	if err != nil || !formed {
		return err
	}
	v, err := Open(ctx, n)
	if err != nil {
		return err
	}
	return back(v, b)
}
