package engine

import (
	"context"
	"io"
	"sync/atomic"

	"deploy/internal/node"
	"deploy/internal/owner"
)

// ownedDirect is a Direct executor over a session whose requests carry who is in charge.
type ownedDirect struct {
	*direct
	s *fenced
}

var _ Owned = (*ownedDirect)(nil)

// fenced is a session that notes whether something went out that carried the fence, and was
// answered well.
type fenced struct {
	node.Session
	wrote atomic.Bool
}

// Owners reads the records.
func (d *ownedDirect) Owners(ctx context.Context) (Kept, error) {
	rows, err := d.s.Query(ctx, node.Owners{})
	if err != nil {
		return Kept{}, err
	}
	var k Kept
	for _, row := range rows {
		k.Records = append(k.Records, owner.Text{Site: row.String("site"), Record: row.String("record")})
	}
	return k, nil
}

// SetOwner replaces a record.
func (d *ownedDirect) SetOwner(ctx context.Context, s node.OwnerSet) error {
	_, err := d.s.Session.Do(ctx, s)
	return err
}

// Fence sets what the session proves with everything that may change the machine.
func (d *ownedDirect) Fence(f node.Fence) {
	d.s.wrote.Store(false)
	d.s.Session.(node.Fenced).SetFence(f)
}

// Recorded says that the fence's record stands there.
func (d *ownedDirect) Recorded() bool { return d.s.wrote.Load() }

func (s *fenced) noted(err error) error {
	if err == nil {
		s.wrote.Store(true)
	}
	return err
}

// Do carries out one action.
func (s *fenced) Do(ctx context.Context, a node.Action) ([]node.Row, error) {
	rows, err := s.Session.Do(ctx, a)
	return rows, s.noted(err)
}

// Run runs a program.
func (s *fenced) Run(ctx context.Context, c node.Cmd) (node.Result, error) {
	res, err := s.Session.Run(ctx, c)
	return res, s.noted(err)
}

// StartJob starts a job.
func (s *fenced) StartJob(ctx context.Context, id string, c node.Cmd) error {
	return s.noted(s.Session.StartJob(ctx, id, c))
}

// Write puts a file in place.
func (s *fenced) Write(ctx context.Context, path string, r io.Reader, o node.WriteOptions) error {
	return s.noted(s.Session.Write(ctx, path, r, o))
}
