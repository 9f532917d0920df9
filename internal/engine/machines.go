package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"deploy/internal/hint"
	"deploy/internal/journal"
	"deploy/steps"
)

// GoneNode is a node that is no longer in the site, and whose work stands.
type GoneNode struct {
	Node  string `json:"node"`
	Steps int    `json:"steps"`
	// the node of the site behind which the same machine answers; "" when nobody can tell
	Now string `json:"now,omitempty"`
}

// Text says what stands, and the ways on.
func (g GoneNode) Text() string {
	if g.Now != "" {
		return fmt.Sprintf("%s is the machine that was %s: %s are applied under the old name; restore that name to "+
			"undo them, or run `deploy forget SITE %s`", g.Now, g.Node, ofSteps(g.Steps, ""), g.Node)
	}
	return fmt.Sprintf("%s is no longer in the site; %s are still applied: put it back and run `deploy rollback --node "+
		"%s`, or run "+
		"`deploy forget SITE %s`", g.Node, ofSteps(g.Steps, " of it"), g.Node, g.Node)
}

// Replaced is a node behind which another machine answers than the one that the journal tells of.
type Replaced struct {
	Node  string `json:"node"`
	Run   string `json:"run"`   // that saw the other machine
	Steps int    `json:"steps"` // that were done there
}

// Text says what becomes of the steps.
func (r Replaced) Text() string {
	if r.Steps == 1 {
		return fmt.Sprintf("%s is another machine than the one of run %s: its step will be done anew", r.Node, r.Run)
	}
	return fmt.Sprintf("%s is another machine than the one of run %s: its %s will be done anew", r.Node, r.Run,
		ofSteps(r.Steps, ""))
}

func ofSteps(n int, of string) string {
	if n == 1 {
		return "1 step" + of
	}
	return fmt.Sprintf("%d steps%s", n, of)
}

// inventoryOf are all nodes of the site.
func inventoryOf(p *steps.Program) []string {
	if p.Inventory != nil {
		return p.Inventory
	}
	return p.Nodes
}

// goneNodes lists the nodes that left the site while work of this journal stands there.
func goneNodes(st *journal.State, p *steps.Program) []GoneNode {
	var out []GoneNode
	seen := map[string]bool{}
	for _, name := range inventoryOf(p) {
		seen[name] = true
	}
	for _, t := range st.Tasks {
		if !seen[t.Node] {
			seen[t.Node] = true
			if n := st.Standing(t.Node); n > 0 {
				out = append(out, GoneNode{Node: t.Node, Steps: n})
			}
		}
	}
	slices.SortFunc(out, func(a, b GoneNode) int { return strings.Compare(a.Node, b.Node) })
	return out
}

// machines holds who answered against what the journal knows: nodes that are other machines than
// before, and machines that are there under another name. What is known of a machine that was
// replaced counts no more from here on. A machine that tells no id makes no statement.
func (r *run) machines(p *Plan) {
	r.rec.Lock()
	defer r.rec.Unlock()
	p.Gone = goneNodes(r.rec.State, r.o.Program)
	for _, n := range p.Nodes {
		id := n.Facts.Machine
		known, ok := r.rec.State.Machines[n.Name]
		switch {
		case id == "":
		case ok && known.ID != id:
			p.Replaced = append(p.Replaced, Replaced{n.Name, known.Run, r.rec.State.Standing(n.Name)})
			r.rec.State.Forget(n.Name, true)
		case !ok && r.rec.State.Standing(n.Name) == 0:
			r.renamed(p, n.Name, id)
		}
	}
}

// renamed looks whether a node that the journal has never seen is one that left the site. Copies of
// one machine share its id, so two that have it tell nothing. The caller holds the lock of rec.
func (r *run) renamed(p *Plan, name, id string) {
	holders := 0
	for _, m := range r.rec.State.Machines {
		if m.ID == id {
			holders++
		}
	}
	for _, n := range p.Nodes {
		if n.Name != name && n.Facts.Machine == id {
			holders++
		}
	}
	for i := range p.Gone {
		if r.rec.State.Machines[p.Gone[i].Node].ID == id && holders == 1 {
			p.Gone[i].Now = name
		}
	}
}

// identify writes down which machines answered, where the journal does not know it, and that those
// are gone in whose place another one answers.
func (r *run) identify(p *Plan) error {
	r.rec.Lock()
	defer r.rec.Unlock()
	for _, g := range p.Replaced {
		_, err := r.rec.Append(journal.Entry{Kind: journal.Forgotten, Node: g.Node}, journal.Forgot{Replaced: true})
		if err != nil {
			return err
		}
	}
	for _, n := range p.Nodes {
		if n.Facts.Machine == "" || r.rec.State.Machines[n.Name].ID == n.Facts.Machine {
			continue
		}
		if _, err := r.rec.Append(journal.Entry{Kind: journal.Answered, Node: n.Name},
			journal.MachineSeen{ID: n.Facts.Machine, Computer: n.Facts.Computer}); err != nil {
			return err
		}
	}
	return nil
}

// PlanForget says what Forget would drop: the work that stands on nodes which left the site. It
// refuses a node that is in the site, whose work can be taken back, and one of which nothing is
// known.
func PlanForget(entries []journal.Entry, p *steps.Program, nodes []string) ([]GoneNode, error) {
	st, err := journal.Fold(entries)
	if err != nil {
		return nil, err
	}
	gone := goneNodes(st, p)
	var names []string
	for _, g := range gone {
		names = append(names, g.Node)
	}
	var out []GoneNode
	for _, name := range nodes {
		if slices.Contains(inventoryOf(p), name) {
			return nil, hint.Wrap(fmt.Errorf("cannot forget %s: it is in the site", name),
				"deploy rollback --node "+name+" takes its work back; for a machine that is gone for good, take the node out of "+
					"the site first")
		}
		i := slices.Index(names, name)
		if i < 0 && len(names) == 0 {
			return nil, hint.Wrap(fmt.Errorf("cannot forget %s: the journal has no applied steps there", name),
				"no node that left the site has any")
		}
		if err := known("work of a node", []string{name}, names); err != nil {
			return nil, err
		}
		out = append(out, gone[i])
	}
	return out, nil
}

// Forget writes down that the machines behind the nodes are gone for good: their acts are not taken
// back any more. It asks no node.
func Forget(ctx context.Context, o Options, nodes []GoneNode) error {
	o = o.withDefaults()
	var list []journal.Entry
	for _, n := range nodes {
		list = append(list, journal.Entry{Time: o.Now(), Run: o.Run, Kind: journal.Forgotten, Node: n.Node,
			Data: steps.MustJSON(journal.Forgot{Who: o.Who})})
	}
	if len(list) == 0 {
		return nil
	}
	_, err := o.Journal.Append(ctx, list...)
	return err
}
