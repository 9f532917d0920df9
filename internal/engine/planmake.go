package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"deploy/internal/hint"
	"deploy/steps"
)

// MakePlan connects to every node, takes the facts, asks every check, and returns what an apply
// would do. It changes nothing. A node that cannot be looked at is in the plan's NotLooked, and the
// plan tells of all others. The error joins the checks that cannot tell.
func MakePlan(ctx context.Context, o Options) (*Plan, error) {
	r, err := newRun(ctx, o)
	if err != nil {
		return nil, err
	}
	if err := r.choose(); err != nil {
		return nil, err
	}
	defer r.links.close()
	return r.plan(ctx)
}

// choose cuts the program down to what was asked for.
func (r *run) choose() error {
	prog, err := selectTasks(r.o.Program, r.o.Selection, r.rec.State)
	r.prog = prog
	return err
}

// plan looks at everything that was chosen and puts the plan together. What was seen stays known,
// and is good until the first act.
func (r *run) plan(ctx context.Context) (*Plan, error) {
	prog := r.prog
	byNode := map[string][]steps.Task{}
	for _, t := range prog.Tasks() {
		byNode[t.Node] = append(byNode[t.Node], t)
	}
	p := &Plan{
		Format: PlanFormat, Made: r.start, Version: r.o.Version, Selection: r.o.Selection,
		Site: prog.Site, SiteDigest: prog.SiteDigest, Playbook: prog.Playbook, PlaybookDigest: prog.PlaybookDigest,
	}
	r.lookEverywhere(ctx, p, byNode)
	if err := ctx.Err(); err != nil {
		return nil, join(hint.Split(errors.Join(p.LookError(), err)))
	}
	if err := r.putBack(ctx, prog.Nodes); err != nil {
		return nil, err
	}
	r.machines(p)
	if len(p.Replaced) > 0 { // what was done there does not count, so a need may be open
		if err := r.choose(); err != nil {
			return nil, err
		}
	}
	if err := r.fill(p); err != nil {
		return nil, join(hint.Split(errors.Join(p.LookError(), err)))
	}
	r.emit(Event{Kind: EvPlan, Counts: &p.Counts}.since(r, r.start))
	return p, nil
}

// lookEverywhere reaches every node and asks its checks, each node at its own pace. A node that
// cannot be looked at costs nothing but itself. A run that is to act does not act without it, so
// there no check is asked or waited for any more, while the other nodes are still tried: all wrong
// addresses are told at once.
func (r *run) lookEverywhere(ctx context.Context, p *Plan, tasks map[string][]steps.Task) {
	var mu sync.Mutex
	errs := map[string]error{}
	nodes := map[string]PlanNode{}
	looking, vain := context.WithCancel(ctx)
	defer vain()
	r.lookers(r.prog.Nodes, func(name string) {
		ex, err := r.links.open(ctx, name)
		var n PlanNode
		if err == nil {
			mode, why := ex.Mode()
			n = PlanNode{Name: name, Facts: ex.Facts(), Mode: mode, Why: why, Notes: r.notes(ex)}
			if err = looking.Err(); err == nil {
				n.Owner, err = r.planOwner(looking, name)
			}
			if err == nil {
				err = r.check(looking, name, tasks[name])
			}
		} else if r.acting {
			vain()
		}
		if err != nil && looking.Err() != nil && ctx.Err() == nil && ex != nil {
			return // another node's address is what has to be told
		}
		mu.Lock()
		defer mu.Unlock()
		nodes[name], errs[name] = n, err
	})
	for _, name := range r.prog.Nodes {
		err := errs[name]
		if n, ok := nodes[name]; ok && err == nil {
			p.Nodes = append(p.Nodes, n)
		}
		if err == nil {
			continue
		}
		p.NotLooked = append(p.NotLooked, NotLooked{Node: name, Error: r.o.Redact(err.Error()), Hint: hint.Of(err),
			Steps: len(tasks[name]), err: err})
	}
}

// fill makes the phases of the plan of what is known, with unknowns typed: one that waits for a tag
// is unknown when an earlier task that has something to do provides the tag, and an error
// otherwise.
func (r *run) fill(p *Plan) error {
	providers := map[string][]string{}
	changes := false
	var errs []error
	dark := map[string]bool{}
	for _, n := range p.NotLooked {
		dark[n.Node] = true
	}
	for _, ph := range r.prog.Phases {
		pp := PlanPhase{ID: ph.ID, Title: ph.Title, OnFailure: ph.OnFailure}
		if pp.OnFailure == "" {
			pp.OnFailure = steps.Stop
		}
		if s, ok := r.rec.State.Phases[ph.ID]; ok {
			pp.Checkpoint = s.Reached
		}
		for _, g := range ph.Groups {
			ps := PlanStep{ID: g.StepID, Title: g.Title, Order: g.Order}
			if ps.Order == "" {
				ps.Order = steps.Together
			}
			for _, t := range g.Tasks {
				if dark[t.Node] { // what it has to do is not known, so others may have to wait for it
					provide(providers, t)
					continue
				}
				d, err := r.planned(t, providers)
				if err != nil {
					errs = append(errs, err)
					continue
				}
				if !changes && r.recalled(t, d) {
					d = steps.NoChange()
				}
				if len(d.Waits) > 0 {
					r.waits[t.ID] = d.Waits
				}
				changes = changes || d.Action != steps.NoOp
				pt := PlanTask{ID: t.ID, Node: t.Node, Kind: t.Step.Kind(), Diff: d, Last: r.rec.Task(t.ID).Status}
				if gs, ok := t.Step.(steps.Gated); ok && d.Action != steps.NoOp {
					g := gs.Gate()
					pt.Gate = &g
				}
				p.add(t, pt)
				ps.Tasks = append(ps.Tasks, pt)
				if d.Action != steps.NoOp {
					provide(providers, t)
				}
			}
			if len(ps.Tasks) > 0 {
				pp.Steps = append(pp.Steps, ps)
			}
		}
		p.Phases = append(p.Phases, pp)
	}
	return join(errs)
}

// provide notes the task beside the tags that exist once it is done.
func provide(providers map[string][]string, t steps.Task) {
	if pv, ok := t.Step.(steps.Provider); ok {
		for _, tag := range pv.Provides() {
			providers[tag] = append(providers[tag], t.ID)
		}
	}
}

// planned turns what a check said into what the plan says.
func (r *run) planned(t steps.Task, providers map[string][]string) (steps.Diff, error) {
	k := r.lookOf(t.ID)
	if k.err == nil {
		if _, ok := t.Step.(steps.Gated); ok && confirmed(r.rec.Task(t.ID), k.diff) {
			return steps.NoChange(), nil
		}
		return k.diff, nil
	}
	var until *steps.UntilError
	if !errors.As(k.err, &until) {
		return steps.Diff{}, &TaskError{"check", t.ID, t.Node, k.err}
	}
	if ids := providers[until.Tag]; len(ids) > 0 {
		d := steps.Diff{Action: steps.Unknown, Until: until.Tag, Waits: slices.Clone(ids), Effects: k.diff.Effects,
			Warnings: k.diff.Warnings}
		if f, ok := t.Step.(steps.EffectsPreviewer); ok {
			d.Effects = f.PreviewEffects()
		}
		return d, nil
	}
	return steps.Diff{}, &TaskError{"check", t.ID, t.Node, r.unmade(until)}
}

// unmade says that nothing in this run makes what a check waits for: the selection has left out
// what does, or the playbook has it later or not at all.
func (r *run) unmade(until *steps.UntilError) error {
	chosen := map[string]bool{}
	for _, t := range r.prog.Tasks() {
		chosen[t.ID] = true
	}
	for _, t := range r.o.Program.Tasks() {
		pv, ok := t.Step.(steps.Provider)
		if !ok || chosen[t.ID] || !slices.Contains(pv.Provides(), until.Tag) {
			continue
		}
		if !slices.Contains(r.prog.Nodes, t.Node) && len(r.o.Nodes)+len(r.o.Exclude) > 0 {
			return hint.Wrap(fmt.Errorf("%w; you chose %s alone, and %s runs on %s", until, listed(r.prog.Nodes, 3),
				stepOf(t.ID), t.Node), "choose "+t.Node+" too")
		}
		return hint.Wrap(fmt.Errorf("%w; %s makes it and is no part of this run", until, t.ID), "choose it too")
	}
	return hint.Wrap(fmt.Errorf("%w, and no earlier step of this run makes it", until),
		"move the phase that creates it before this one")
}

// join is errors.Join without the wrapping of a single error.
func join(errs []error) error {
	if len(errs) == 1 {
		return errs[0]
	}
	return errors.Join(errs...)
}
