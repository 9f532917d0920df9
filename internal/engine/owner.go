package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"deploy/internal/hint"
	"deploy/internal/journal"
	"deploy/internal/node"
	"deploy/internal/owner"
	"deploy/steps"
)

// ErrNotInCharge: the owner record of a node does not let this journal work there. The error is a
// *OwnerError.
var ErrNotInCharge = errors.New("this journal is not in charge")

// OwnerError says which node refuses, and why.
type OwnerError struct {
	Node    string
	Verdict owner.Verdict
	Text    string // for people; it names the node
}

func (e *OwnerError) Error() string { return "cannot work on " + e.Node + ": " + e.Text }

func (e *OwnerError) Unwrap() error { return ErrNotInCharge }

// Owned is an Executor on a node that keeps owner records.
type Owned interface {
	Executor
	// Owners returns what stands on the node.
	Owners(ctx context.Context) (Kept, error)
	// SetOwner puts a record in the place of the one that was read. Where another one stands by now it
	// is a *node.SupersededError.
	SetOwner(ctx context.Context, s node.OwnerSet) error
	// Fence has every request from now on that may change the node carry f.
	Fence(f node.Fence)
	// Recorded says that the record of the last Fence is known to stand on the node.
	Recorded() bool
}

// Kept is what a node keeps for those who work on it.
type Kept struct {
	Records []owner.Text
	// Agent is where the record of the node's agent for this journal ends; nil where there is none to
	// ask, or nothing is known of it.
	Agent *journal.AgentRef
}

// ownership is what a run knows of the owner records of its nodes.
type ownership struct {
	mu    sync.Mutex
	nodes map[string]*ownedNode
	ours  map[string]bool // nodes that this run has claimed
	over  []string        // nodes that --take-over takes
	epoch int64           // what it must exceed
	from  []string        // who held them
}

// ownedNode is one node. Its mutex is held while the node is asked.
type ownedNode struct {
	mu       sync.Mutex
	compared bool
	kept     Kept
	machine  string // the id of the machine that answered
	finding  owner.Finding
	claimed  bool
	record   string    // what is known to stand there since it was claimed
	since    time.Time // of the run's first act there
	seq      int64     // the number that was announced last, and is on disk
	noted    int64     // the number that the record is known to hold
}

func (r *run) ownedNode(name string) *ownedNode {
	r.own.mu.Lock()
	defer r.own.mu.Unlock()
	if r.own.nodes == nil {
		r.own.nodes = map[string]*ownedNode{}
	}
	n := r.own.nodes[name]
	if n == nil {
		n = &ownedNode{}
		r.own.nodes[name] = n
	}
	return n
}

// compareOwner asks a node for its owner records, once in a run, and compares them with the
// journal. An error says that it could not be asked; an answer that cannot be read is a finding.
func (r *run) compareOwner(ctx context.Context, name string) (owner.Finding, error) {
	n := r.ownedNode(name)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.compared {
		return n.finding, nil
	}
	keeps := false
	err := r.links.reads(ctx, name, func(ex Executor) error {
		o, ok := ex.(Owned)
		if !ok {
			return nil
		}
		keeps, n.machine = true, ex.Facts().Machine
		cctx, cancel := context.WithTimeout(ctx, r.o.StepTimeout)
		defer cancel()
		var err error
		n.kept, err = o.Owners(cctx)
		return err
	})
	switch {
	case err != nil && (linkBroke(err) || ctx.Err() != nil || !keeps):
		return owner.Finding{}, err
	case err != nil:
		n.finding = owner.Finding{Verdict: owner.Unreadable, Why: r.o.Redact(err.Error())}
	case !keeps:
		n.finding = owner.Finding{Verdict: owner.Fits}
	default:
		n.finding = owner.Compare(r.knownOf(name, n, n.kept), n.kept.Records, r.o.Now())
	}
	n.compared = true
	return n.finding, nil
}

// knownOf is what the journal knows of a node's record.
func (r *run) knownOf(name string, n *ownedNode, kept Kept) owner.Known {
	r.rec.Lock()
	defer r.rec.Unlock()
	k := owner.Known{Site: r.o.Program.Site, Journal: r.o.journalID(), Epoch: r.rec.State.Epoch,
		Shared: r.o.Shared[name], Announced: r.rec.State.Announced(name), Runs: map[string]bool{},
		Recorded: r.rec.State.Recorded(name), Stands: r.rec.State.Stands(name)}
	for _, run := range r.rec.State.Runs {
		k.Runs[run.ID] = true
	}
	if a := r.rec.State.Agents[name]; kept.Agent != nil && a.Epoch != "" {
		k.AgentBack = kept.Agent.Epoch == a.Epoch && kept.Agent.Seq < a.Seq
	}
	if m := r.rec.State.Machines[name].ID; m != "" && n.machine != "" && m != n.machine {
		// another machine answers under the name: nothing of what was done stands there
		k.Stands, k.Recorded, k.AgentBack = false, 0, false
	}
	return k
}

// inCharge refuses a run on the nodes whose records do not fit, unless a person said that it goes
// on. It is called once, before the first act and after every node was compared; it changes
// nothing.
func (r *run) inCharge(names []string) error {
	if err := known("node", r.o.WentBack, r.o.Program.Nodes); err != nil {
		return err
	}
	var errs []error
	for _, name := range names {
		n := r.ownedNode(name)
		n.mu.Lock()
		f, compared := n.finding, n.compared
		n.mu.Unlock()
		switch v := f.Verdict; {
		case compared && v.Allowed() && r.o.wentBack(name):
			errs = append(errs, hint.Wrap(fmt.Errorf("%s did not go back: nothing that this journal knows is missing there",
				name), "leave out --went-back "+name))
		case v == "", v.Allowed(), v == owner.WentBack && r.o.wentBack(name):
		case v.Yields() && r.o.TakeOver:
			r.own.over = append(r.own.over, name)
			r.own.epoch = max(r.own.epoch, f.Epoch)
			text, _ := f.Say(name)
			r.own.from = append(r.own.from, text)
		default:
			errs = append(errs, refusal(name, f))
		}
	}
	return join(errs)
}

func refusal(name string, f owner.Finding) error {
	text, toDo := f.Say(name)
	return hint.Wrap(&OwnerError{Node: name, Verdict: f.Verdict, Text: text}, toDo)
}

// compareOwners compares every node that can be reached. One that cannot is left to whoever has
// something to do there.
func (r *run) compareOwners(ctx context.Context, names []string) error {
	r.lookers(names, func(name string) { _, _ = r.compareOwner(ctx, name) })
	if err := ctx.Err(); err != nil {
		return err
	}
	return r.putBack(ctx, names)
}

// putBack lets the state forget what is gone on nodes that a person says were put back. The journal
// hears of it with noteOwners.
func (r *run) putBack(ctx context.Context, names []string) error {
	var gone []journal.Entry
	for _, name := range names {
		if back, ok := r.backTo(name); ok {
			gone = append(gone, journal.Entry{Kind: journal.WentBack, Node: name, Data: steps.MustJSON(back)})
		}
	}
	if len(gone) == 0 || r.o.Journal == nil {
		return nil
	}
	entries, err := r.o.Journal.Entries(ctx)
	if err != nil {
		return err
	}
	seq := int64(len(entries))
	for i := range gone {
		gone[i].Seq = seq + int64(i) + 1
	}
	st, err := journal.Fold(append(entries[:len(entries):len(entries)], gone...))
	if err != nil {
		return err
	}
	r.rec.Lock()
	defer r.rec.Unlock()
	st.Seq = r.rec.State.Seq
	r.rec.State = st
	return nil
}

// backTo says to where a node went back, where that was found and a person agreed.
func (r *run) backTo(name string) (journal.BackTo, bool) {
	n := r.ownedNode(name)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.finding.Verdict != owner.WentBack || !r.o.wentBack(name) {
		return journal.BackTo{}, false
	}
	back := journal.BackTo{Seq: n.finding.Owner.Seq}
	if n.kept.Agent != nil {
		back.Agent = *n.kept.Agent
	}
	return back, true
}

// noteOwners queues what a person said of the nodes. It comes right after the run's start, and is
// on disk with it.
func (r *run) noteOwners(names []string) error {
	for _, name := range names {
		if back, ok := r.backTo(name); ok {
			r.rec.Lock()
			_, err := r.rec.Append(journal.Entry{Kind: journal.WentBack, Node: name}, back)
			r.rec.Unlock()
			if err != nil {
				return err
			}
		}
	}
	if len(r.own.over) == 0 {
		return nil
	}
	r.rec.Lock()
	defer r.rec.Unlock()
	_, err := r.rec.Append(journal.Entry{Kind: journal.TookOver}, journal.TakeOver{
		Epoch: max(r.own.epoch, r.rec.State.Epoch) + 1, Nodes: r.own.over, From: strings.Join(r.own.from, "; ")})
	return err
}

// takes says that this run takes a node over.
func (r *run) takes(name string) bool { return slices.Contains(r.own.over, name) }

// record is the text that stands on a node while an act is under way that takes limit at most; a
// limit below zero says that the run has ended.
func (r *run) record(name string, n *ownedNode, limit time.Duration, busy *node.Busy) (string, error) {
	who, host, _ := strings.Cut(r.o.Who, "@")
	r.rec.Lock()
	o := node.Owner{Format: node.OwnerFormat, Site: r.o.Program.Site, Journal: r.o.journalID(), Epoch: r.rec.State.Epoch,
		Seq: n.seq, Run: r.o.Run, Shared: r.o.Shared[name], Busy: busy,
		Holder: node.Holder{Who: who, Host: host, Since: n.since.UTC()}}
	r.rec.Unlock()
	if limit >= 0 {
		o.Holder.Until = r.o.Now().Add(limit + grace).UTC()
	}
	return o.Text()
}

// grace is how much longer than its act a holder counts as being at work: the look after it, and
// clocks that differ.
const grace = 2 * time.Minute

// takeCharge sees to it that this journal is in charge of a node before an act that takes limit at
// most: it compares if that has not been done, claims the node, on a shared one waits for the
// others' acts, and has the executor prove it with everything that it sends.
func (r *run) takeCharge(ctx context.Context, name string, ex Executor, limit time.Duration, what string) error {
	o, ok := ex.(Owned)
	if !ok {
		return nil
	}
	f, err := r.compareOwner(ctx, name)
	if err != nil {
		return err
	}
	if v := f.Verdict; !v.Allowed() && !r.takes(name) && !(v == owner.WentBack && r.o.wentBack(name)) {
		return refusal(name, f)
	}
	n := r.ownedNode(name)
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := r.announced(ctx, name, n); err != nil {
		return err
	}
	if !n.claimed {
		if err := r.claim(ctx, name, o, n, limit); err != nil {
			return err
		}
	}
	var busy *node.Busy
	if r.o.Shared[name] {
		if busy, err = r.myTurn(ctx, name, o, n, limit, what); err != nil {
			return err
		}
	}
	text, err := r.record(name, n, limit, busy)
	if err != nil {
		return err
	}
	o.Fence(r.fence(text))
	n.record = text
	return nil
}

// announced takes the number for the record. What the record says, the journal must know first: the
// number, and the run.
func (r *run) announced(ctx context.Context, name string, n *ownedNode) error {
	r.rec.Lock()
	n.seq = r.rec.State.LastAnnounced(name)
	last := r.rec.State.Seq
	r.rec.Unlock()
	return r.rec.Commit(ctx, last)
}

// claim puts this journal's record on a node for the first time in the run.
func (r *run) claim(ctx context.Context, name string, o Owned, n *ownedNode, limit time.Duration) error {
	if n.finding.Verdict == owner.Adopt {
		e := journal.Entry{Kind: journal.Adopted, Node: name}
		if _, err := r.rec.Write(ctx, e, journal.Note{Note: "it had no owner record"}); err != nil {
			return err
		}
	}
	n.since = r.o.Now()
	for _, t := range n.finding.Foreign {
		err := o.SetOwner(ctx, node.OwnerSet{Site: t.Site, Was: t.Record})
		if s := (*node.SupersededError)(nil); errors.As(err, &s) && s.Record == "" {
			err = nil // removed before, and the answer was lost
		}
		if err != nil {
			return err
		}
	}
	text, err := r.record(name, n, limit, nil)
	if err != nil {
		return err
	}
	if err := r.setOwner(ctx, o, n.finding.Record, text); err != nil {
		return err
	}
	n.claimed, n.record, n.noted = true, text, n.seq
	r.own.mu.Lock()
	defer r.own.mu.Unlock()
	if r.own.ours == nil {
		r.own.ours = map[string]bool{}
	}
	r.own.ours[name] = true
	return nil
}

// setOwner replaces a record. One that this very run has put there meanwhile, with an answer that
// was lost, is replaced as well.
func (r *run) setOwner(ctx context.Context, o Owned, was, text string) error {
	set := node.OwnerSet{Site: r.o.Program.Site, Was: was, Record: text}
	err := o.SetOwner(ctx, set)
	var s *node.SupersededError
	if !errors.As(err, &s) {
		return err
	}
	there, perr := node.ParseOwner(s.Record)
	r.rec.Lock()
	ours := perr == nil && there.Journal == r.o.journalID() && there.Epoch == r.rec.State.Epoch && there.Run == r.o.Run
	r.rec.Unlock()
	if !ours {
		return err
	}
	set.Was = s.Record
	return o.SetOwner(ctx, set)
}

// actEnded follows an act that worked: its number is on the node from here on, also where nothing
// that it sent carried it.
func (r *run) actEnded(ctx context.Context, name string, ex Executor) error {
	o, ok := ex.(Owned)
	if !ok {
		return nil
	}
	n := r.ownedNode(name)
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.claimed {
		return nil
	}
	if r.o.Shared[name] {
		text, err := r.record(name, n, 0, nil)
		if err == nil {
			err = r.setOwner(ctx, o, n.record, text)
		}
		if err != nil {
			return err
		}
		n.record = text
	} else if !o.Recorded() {
		if err := r.setOwner(ctx, o, n.record, n.record); err != nil {
			return err
		}
	}
	n.noted = n.seq
	return nil
}

// agentRecorded notes that the agent on a node has begun what was handed over to it: it puts the
// record there before that.
func (r *run) agentRecorded(name string) {
	n := r.ownedNode(name)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.claimed {
		n.noted = n.seq
	}
}

// recordedOn is the number that the record of a node is known to hold, 0 for unknown.
func (r *run) recordedOn(name string) int64 {
	n := r.ownedNode(name)
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.noted
}

// giveUp notes on every node that was claimed that the run has ended. Where that fails the record
// says until when the holder counted as being at work.
func (r *run) giveUp(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	r.own.mu.Lock()
	names := slices.Collect(maps.Keys(r.own.nodes))
	r.own.mu.Unlock()
	r.lookers(names, func(name string) {
		l, n := r.links.of(name), r.ownedNode(name)
		l.mu.Lock()
		o, ok := l.ex.(Owned)
		l.mu.Unlock()
		n.mu.Lock()
		defer n.mu.Unlock()
		if !ok || !n.claimed {
			return
		}
		if text, err := r.record(name, n, -1, nil); err == nil {
			if err := r.setOwner(ctx, o, n.record, text); notOurs(err) {
				r.emit(Event{Kind: EvWarning, Node: name, Text: err.Error()})
			}
		}
	})
}

// wentBack says that a person said so of a node.
func (o Options) wentBack(name string) bool { return slices.Contains(o.WentBack, name) }

// notOurs says that err is about who is in charge, so that nothing more is to be done anywhere.
func notOurs(err error) bool {
	return errors.Is(err, ErrNotInCharge) || errors.Is(err, node.ErrSuperseded)
}
