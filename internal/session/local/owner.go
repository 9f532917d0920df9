package local

import (
	"context"

	"deploy/internal/node"
)

// SetFence has all that may change the machine compare its owner record first.
func (s *Session) SetFence(f node.Fence) { s.fence.Store(&f) }

// pass refuses an act of a controller that is not in charge of the machine any more.
func (s *Session) pass(ctx context.Context) error {
	f := s.fence.Load()
	if f == nil || f.Journal == "" {
		return nil
	}
	text, err := s.ownerRecord(ctx, f.Site)
	if err != nil {
		return err
	}
	if !f.Passes(text) {
		return &node.SupersededError{Node: s.opts.Node, Record: text}
	}
	if f.Record == "" || f.Record == text {
		return nil
	}
	return s.fail("owner.set "+f.Site, s.putOwner(f.Site, f.Record))
}

// ownerRecord is what stands there of a site; "" is nothing.
func (s *Session) ownerRecord(ctx context.Context, site string) (string, error) {
	rows, err := s.serve(ctx, node.Owners{}.Request())
	if err != nil {
		return "", err
	}
	for _, r := range rows {
		if r.String("site") == site {
			return r.String("record"), nil
		}
	}
	return "", nil
}

// setOwner replaces an owner record by another where the first still stands.
func (s *Session) setOwner(ctx context.Context, site, was, record string) error {
	if !node.IsSite(site) {
		return s.refuse("owner.set "+site, idBadName, int64(errInvalid), "not the name of a site: "+site)
	}
	text, err := s.ownerRecord(ctx, site)
	if err != nil {
		return err
	}
	if text != was {
		return &node.SupersededError{Node: s.opts.Node, Record: text}
	}
	return s.putOwner(site, record)
}
