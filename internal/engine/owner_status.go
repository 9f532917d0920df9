package engine

import (
	"context"

	"deploy/internal/hint"
	"deploy/internal/owner"
)

// NodeRecord is what the owner record of a node says against this journal.
type NodeRecord struct {
	Node    string        `json:"node"`
	Verdict owner.Verdict `json:"verdict,omitempty"` // "" where the node could not be asked
	Text    string        `json:"text,omitempty"`    // what does not fit: who, since when, which run
	Error   string        `json:"error,omitempty"`   // why the node could not be asked
	Hint    string        `json:"hint,omitempty"`
}

// None says that there is no record yet, and that nothing of the journal stands on the node.
func (n NodeRecord) None() bool { return n.Verdict == owner.New }

// NodeRecords asks every node of the program for its owner record and compares it with the journal,
// in the order of the site. It changes nothing and is never refused. A node that cannot be asked is
// in the list with the reason.
func NodeRecords(ctx context.Context, o Options) ([]NodeRecord, error) {
	r, err := newRun(ctx, o)
	if err != nil {
		return nil, err
	}
	defer r.links.close()
	names := o.Program.Nodes
	out := make([]NodeRecord, len(names))
	at := map[string]int{}
	for i, name := range names {
		at[name] = i
	}
	r.lookers(names, func(name string) {
		n := NodeRecord{Node: name}
		f, err := r.compareOwner(ctx, name)
		if err != nil {
			n.Error, n.Hint = r.o.Redact(err.Error()), hint.Of(err)
		} else {
			n.Verdict = f.Verdict
			n.Text, n.Hint = f.Say(name)
		}
		out[at[name]] = n
	})
	return out, ctx.Err()
}
