package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"deploy/internal/hint"
)

// errUnheard: an agent was given work on the node, how it ended is not known, and now there is no
// agent to ask.
var errUnheard = errors.New("the agent on this node has unreported work")

// dial opens an executor. A run that acts refuses one that is no agent where an agent still owes
// its story: the agent may be at work, and what its record says was there before each act is what
// rollback needs. Work from here would come in between.
func (r *run) dial(ctx context.Context, name string) (Executor, error) {
	ex, err := r.dialShared(ctx, name)
	if err != nil || !r.acting {
		return ex, err
	}
	if err := r.stillInCharge(ctx, name, ex); err != nil {
		return nil, errors.Join(err, ex.Close())
	}
	if _, ok := ex.(Worker); ok || !r.owes(name) {
		return ex, nil
	}
	if slices.Contains(r.o.ForgetAgents, name) {
		r.atRest(name)
		r.emit(Event{Kind: EvWarning, Node: name, Text: "what the agent on " + name + " did is unknown; its record is " +
			"given up and the node is checked instead"})
		return ex, nil
	}
	_, why := ex.Mode()
	err = fmt.Errorf("cannot work on %s without its agent: %w", name, errUnheard)
	if why != "" {
		err = fmt.Errorf("%w (%s)", err, why)
	}
	return nil, errors.Join(hint.Wrap(err, "start the node so that its agent can report, then run again. If the "+
		"agent's record is lost: --forget-agent "+name), ex.Close())
}

// owes says that the agent on a node was given tasks and has not come to rest since, as far as the
// journal knows.
func (r *run) owes(name string) bool {
	r.rec.Lock()
	defer r.rec.Unlock()
	return r.rec.State.Owing[name]
}

// atRest notes that the agent on a node has told everything. The journal hears it at the end of the
// run.
func (r *run) atRest(name string) {
	r.rec.Lock()
	defer r.rec.Unlock()
	if r.rec.State.Owing[name] {
		delete(r.rec.State.Owing, name)
		r.rested[name] = true
	}
}

// restedNow lists the agents of which the journal does not know yet that they are at rest.
func (r *run) restedNow() []string {
	r.rec.Lock()
	defer r.rec.Unlock()
	var out []string
	for _, name := range slices.Sorted(maps.Keys(r.rested)) {
		if !r.rec.State.Owing[name] {
			out = append(out, name)
		}
	}
	return out
}
