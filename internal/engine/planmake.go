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
// would do. It changes nothing. Its error joins everything that stands in the way: nodes that
// cannot be reached, and checks that cannot tell.
func MakePlan(ctx context.Context, o Options) (*Plan, error) {
	r, err := newRun(ctx, o)
	if err != nil {
		return nil, err
	}
	defer r.close()
	return r.plan(ctx)
}

// plan selects, looks at everything and puts the plan together. What was seen stays known, and is
// good until the first act.
func (r *run) plan(ctx context.Context) (*Plan, error) {
	sel := Selection{Only: r.o.Only, Skip: r.o.Skip, Nodes: r.o.Nodes}
	prog, err := selectTasks(r.o.Program, sel, r.state)
	if err != nil {
		return nil, err
	}
	r.prog = prog
	byNode := map[string][]steps.Task{}
	for _, t := range prog.Tasks() {
		byNode[t.Node] = append(byNode[t.Node], t)
	}
	p := &Plan{
		Format: PlanFormat, Made: r.start, Version: r.o.Version, Selection: sel,
		Site: prog.Site, SiteDigest: prog.SiteDigest, Playbook: prog.Playbook, PlaybookDigest: prog.PlaybookDigest,
	}
	if p.Nodes, err = r.lookEverywhere(ctx, prog.Nodes, byNode); err != nil {
		return nil, err
	}
	if err := r.fill(p); err != nil {
		return nil, err
	}
	r.emit(Event{Kind: EvPlan, Counts: &p.Counts}.since(r, r.start))
	return p, nil
}

// lookEverywhere reaches every node and asks its checks, each node at its own pace. A node that
// cannot be reached costs nothing but itself: no check is asked or waited for any more, while the
// others are still tried, so that all wrong addresses are told at once.
func (r *run) lookEverywhere(ctx context.Context, names []string, tasks map[string][]steps.Task) ([]PlanNode, error) {
	var mu sync.Mutex
	errs := map[string]error{}
	nodes := map[string]PlanNode{}
	looking, vain := context.WithCancel(ctx)
	defer vain()
	failed := func(name string, err error) {
		mu.Lock()
		defer mu.Unlock()
		errs[name] = fmt.Errorf("cannot look at %s: %w", name, err)
	}
	r.lookers(names, func(name string) {
		ex, err := r.open(ctx, name)
		if err != nil {
			vain()
			failed(name, err)
			return
		}
		mode, why := ex.Mode()
		n := PlanNode{Name: name, Facts: ex.Facts(), Mode: mode, Why: why, Notes: r.notes(ex)}
		if err = looking.Err(); err == nil {
			err = r.check(looking, name, tasks[name])
		}
		switch {
		case err != nil && looking.Err() != nil && ctx.Err() == nil: // another node's address is what has to be told
		case err != nil:
			failed(name, err)
		default:
			mu.Lock()
			defer mu.Unlock()
			nodes[name] = n
		}
	})
	var out []PlanNode
	var all []error
	for _, n := range names {
		if err := errs[n]; err != nil {
			all = append(all, err)
			continue
		}
		out = append(out, nodes[n])
	}
	return out, join(all)
}

// fill makes the phases of the plan of what is known, with unknowns typed: one that waits for a tag
// is unknown when an earlier task that has something to do provides the tag, and an error
// otherwise.
func (r *run) fill(p *Plan) error {
	providers := map[string][]string{}
	changes := false
	var errs []error
	for _, ph := range r.prog.Phases {
		pp := PlanPhase{ID: ph.ID, Title: ph.Title, OnFailure: ph.OnFailure}
		if pp.OnFailure == "" {
			pp.OnFailure = steps.Stop
		}
		if s, ok := r.state.Phases[ph.ID]; ok {
			pp.Checkpoint = s.Reached
		}
		for _, g := range ph.Groups {
			ps := PlanStep{ID: g.StepID, Title: g.Title, Order: g.Order}
			if ps.Order == "" {
				ps.Order = steps.Together
			}
			for _, t := range g.Tasks {
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
				pt := PlanTask{ID: t.ID, Node: t.Node, Kind: t.Step.Kind(), Diff: d, Last: r.task(t.ID).Status}
				if gs, ok := t.Step.(steps.Gated); ok && d.Action != steps.NoOp {
					g := gs.Gate()
					pt.Gate = &g
				}
				p.add(t, pt)
				ps.Tasks = append(ps.Tasks, pt)
				if pv, ok := t.Step.(steps.Provider); ok && d.Action != steps.NoOp {
					for _, tag := range pv.Provides() {
						providers[tag] = append(providers[tag], t.ID)
					}
				}
			}
			if len(g.Tasks) > 0 {
				pp.Steps = append(pp.Steps, ps)
			}
		}
		p.Phases = append(p.Phases, pp)
	}
	return join(errs)
}

// planned turns what a check said into what the plan says.
func (r *run) planned(t steps.Task, providers map[string][]string) (steps.Diff, error) {
	k := r.lookOf(t.ID)
	if k.err == nil {
		if _, ok := t.Step.(steps.Gated); ok && confirmed(r.task(t.ID), k.diff) {
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
	return steps.Diff{}, &TaskError{"check", t.ID, t.Node,
		hint.Wrap(fmt.Errorf("%w, and no earlier step of this run makes it", until),
			"look whether the phase that makes it was left out, or comes later in the playbook")}
}

// join is errors.Join without the wrapping of a single error.
func join(errs []error) error {
	if len(errs) == 1 {
		return errs[0]
	}
	return errors.Join(errs...)
}
