package agent

import (
	"context"

	"deploy/internal/agent/wire"
	"deploy/internal/node"
)

// owners reads the owner records of the machine.
func (a *attachment) owners(ctx context.Context) ([]wire.OwnerText, error) {
	rows, err := a.session.Query(ctx, node.Owners{})
	if err != nil {
		return nil, err
	}
	var out []wire.OwnerText
	for _, row := range rows {
		out = append(out, wire.OwnerText{Site: row.String("site"), Record: row.String("record")})
	}
	return out, nil
}

// owner changes a record, or only reads them all.
func (a *attachment) owner(f wire.Frame) error {
	var q wire.Owner
	if err := f.Decode(&q); err != nil {
		return err
	}
	answer := wire.Owned{ID: q.ID}
	var err error
	if q.Set != nil {
		_, err = a.session.Do(a.w.ctx, *q.Set)
	} else {
		answer.Records, err = a.owners(a.w.ctx)
	}
	answer.Err = a.err(err)
	a.tell(wire.TOwned, answer)
	return nil
}

// prove sees to it that the controller of a request is still in charge of the machine, puts its
// record there, and has the session compare it again with all that the act changes.
func (a *attachment) prove(f *node.Fence) error {
	if f == nil {
		return nil
	}
	if s, ok := a.session.(node.Fenced); ok {
		s.SetFence(*f)
	}
	records, err := a.owners(a.w.ctx)
	if err != nil {
		return err
	}
	text := ""
	for _, r := range records {
		if r.Site == f.Site {
			text = r.Record
		}
	}
	if !f.Passes(text) {
		return &node.SupersededError{Node: a.session.Facts().Computer, Record: text}
	}
	if f.Record == "" || f.Record == text {
		return nil
	}
	_, err = a.session.Do(a.w.ctx, node.OwnerSet{Site: f.Site, Was: text, Record: f.Record})
	return err
}
