package client

import (
	"context"

	"deploy/internal/agent/wire"
	"deploy/internal/engine"
	"deploy/internal/journal"
	"deploy/internal/node"
	"deploy/internal/owner"
)

var _ engine.Owned = (*Agent)(nil)

// Owners returns the owner records of the node: those of the agent's welcome the first time, which
// cost no request.
func (a *Agent) Owners(ctx context.Context) (engine.Kept, error) {
	records, err := a.c.welcome.Owners, a.c.welcome.OwnersErr.Err()
	if a.asked {
		var got wire.Owned
		if got, err = a.owner(ctx, nil); err == nil {
			records = got.Records
		}
	}
	a.asked = true
	if err != nil {
		return engine.Kept{}, err
	}
	var k engine.Kept
	for _, r := range records {
		k.Records = append(k.Records, owner.Text{Site: r.Site, Record: r.Record})
	}
	if end := a.c.welcome.End; end != nil {
		k.Agent = &journal.AgentRef{Epoch: end.Epoch, Seq: end.Seq}
	}
	return k, nil
}

// SetOwner replaces a record.
func (a *Agent) SetOwner(ctx context.Context, s node.OwnerSet) error {
	_, err := a.owner(ctx, &s)
	return err
}

func (a *Agent) owner(ctx context.Context, s *node.OwnerSet) (got wire.Owned, err error) {
	err = a.c.ask(ctx, wire.TOwner, func(id uint64) any { return wire.Owner{ID: id, Set: s} },
		func(f wire.Frame) (bool, error) {
			if f.Type != wire.TOwned {
				return false, nil
			}
			if err := f.Decode(&got); err != nil {
				return true, err
			}
			return true, got.Err.Err()
		})
	return got, err
}

// Fence sets what every request from now on carries that may change the node. The agent puts the
// record there before it begins, so it stands there once something was answered.
func (a *Agent) Fence(f node.Fence) { a.fence = &f }

// Recorded says that the fence's record stands there: whatever worked has carried it.
func (a *Agent) Recorded() bool { return true }
