package local

import "deploy/internal/node"

// pass refuses an act of a controller that is not in charge of the machine any more.
func (s *Session) pass(f node.Fence) error {
	text, err := s.ownerRecord(f.Site)
	if err != nil {
		return err
	}
	if !f.Passes(text) {
		return &node.SupersededError{Node: s.opts.Node, Record: text}
	}
	if f.Record == "" || f.Record == text {
		return nil
	}
	return s.putOwner(f.Site, f.Record)
}

// ownerRecord is what stands there of a site; "" is nothing.
func (s *Session) ownerRecord(site string) (string, error) {
	rows, err := s.owners()
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
func (s *Session) setOwner(site, was, record string) error {
	if !node.IsSite(site) {
		return s.refuse("owner.set "+site, idBadName, int64(errInvalid), "not the name of a site: "+site)
	}
	text, err := s.ownerRecord(site)
	if err != nil {
		return err
	}
	if text != was {
		return &node.SupersededError{Node: s.opts.Node, Record: text}
	}
	return s.putOwner(site, record)
}
