package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"deploy/internal/hint"
	"deploy/internal/journal"
	"deploy/internal/task"
	"deploy/steps"
)

// takingBack is one taking back of acts.
type takingBack struct {
	r      *run
	ro     RollbackOptions
	in     func(*journal.TaskState, string) bool // what was asked for
	acts   []standingAct                         // newest first
	needs  map[string]map[string]bool            // by phase: the phases that it needs, directly or not
	stages map[string]int                        // by task of the program: the stage of its phase
	silent map[string]error                      // nodes whose agent cannot be asked

	mu    sync.Mutex
	stops []stop
	errs  []error
}

// stop is an act that stands: what is older on its node, or in a phase that it needed, is not
// touched.
type stop struct {
	of  standingAct
	why string
}

// newTakingBack prepares to take acts back, which are sorted newest first.
func (r *run) newTakingBack(acts []standingAct, ro RollbackOptions) *takingBack {
	b := &takingBack{r: r, ro: ro, in: r.chooses(ro), acts: acts, needs: map[string]map[string]bool{},
		stages: map[string]int{}, silent: map[string]error{}}
	r.rec.Lock()
	defer r.rec.Unlock()
	for _, sa := range acts {
		if b.needs[sa.task.Phase] == nil {
			b.needs[sa.task.Phase] = r.phaseNeeds(sa.task.Phase)
		}
	}
	for _, ph := range r.o.Program.Phases {
		s := r.rec.State.Phases[ph.ID]
		if s == nil || !s.Known {
			continue // which of its tasks waited for another node is not known
		}
		for i, st := range stages(ph, s.Info.Waits) {
			for _, list := range st.tasks {
				for _, t := range list {
					b.stages[t.ID] = i + 1
				}
			}
		}
	}
	return b
}

// phaseNeeds lists what a phase needs, by the program and by the journal. The caller holds the lock
// of rec.
func (r *run) phaseNeeds(id string) map[string]bool {
	out := map[string]bool{}
	var walk func(id string)
	walk = func(id string) {
		var next []string
		inProgram := false
		for _, ph := range r.o.Program.Phases {
			if ph.ID == id {
				next, inProgram = ph.Needs, true
			}
		}
		switch s := r.rec.State.Phases[id]; {
		case s != nil && s.Known:
			next = append(slices.Clone(next), s.Info.Needs...)
		case !inProgram:
			for _, other := range r.rec.State.Order {
				if other == id {
					break
				}
				next = append(next, other)
			}
		}
		for _, n := range next {
			if !out[n] && n != id {
				out[n] = true
				walk(n)
			}
		}
	}
	walk(id)
	return out
}

// waitsFor says that a may only be taken back after z, which is newer and on another node: z is of
// a phase that needs a's, or of the same one, in which they were not done at the same time.
func (b *takingBack) waitsFor(a, z steps.Task) bool {
	if a.Phase != z.Phase {
		return b.needs[z.Phase][a.Phase]
	}
	s := b.stages[a.ID]
	return s == 0 || s != b.stages[z.ID]
}

// wave parts off what can be taken back now, by node and newest first. What is left waits for it.
func (b *takingBack) wave(acts []standingAct) (now map[string][]standingAct, rest []standingAct) {
	now = map[string][]standingAct{}
	// the newest act of each node and group, where a group is a stage of a phase
	type group struct {
		phase string
		stage int
	}
	type newest struct {
		task steps.Task
		seq  int64
	}
	heads := map[group]map[string]newest{}
	for _, sa := range acts {
		g := group{sa.task.Phase, b.stages[sa.task.ID]}
		if heads[g] == nil {
			heads[g] = map[string]newest{}
		}
		if _, ok := heads[g][sa.task.Node]; !ok {
			heads[g][sa.task.Node] = newest{sa.task, sa.act.Seq}
		}
	}
	ready := func(sa standingAct) bool {
		for _, byNode := range heads {
			for name, h := range byNode {
				if name != sa.task.Node && h.seq > sa.act.Seq && b.waitsFor(sa.task, h.task) {
					return false
				}
			}
		}
		return true
	}
	waits := map[string]bool{}
	for _, sa := range acts {
		if name := sa.task.Node; waits[name] || !ready(sa) {
			waits[name] = true
			rest = append(rest, sa)
		} else {
			now[name] = append(now[name], sa)
		}
	}
	return now, rest
}

// run takes the acts back, wave by wave.
func (b *takingBack) run(ctx context.Context) {
	b.disbelieved()
	b.unasked()
	rest := b.acts
	for len(rest) > 0 && !b.r.halted(ctx) {
		var now map[string][]standingAct
		now, rest = b.wave(rest)
		var names []string
		for _, sa := range b.acts {
			if now[sa.task.Node] != nil && !slices.Contains(names, sa.task.Node) {
				names = append(names, sa.task.Node)
			}
		}
		b.r.eachNode(names, func(name string) { b.node(ctx, name, now[name]) })
	}
}

// disbelieved ends the part of nodes whose agents report what they were not asked for: an older
// copy of the journal, or a node that says what it likes. Nothing is done there, and nothing noted.
func (b *takingBack) disbelieved() {
	for _, name := range slices.Sorted(maps.Keys(b.silent)) {
		if !errors.Is(b.silent[name], ErrReport) {
			continue
		}
		b.errs = append(b.errs, b.silent[name])
		delete(b.silent, name)
		b.acts = slices.DeleteFunc(b.acts, func(sa standingAct) bool {
			if sa.task.Node == name {
				b.stops = append(b.stops, stop{sa, "not tried: the agent on " + name + " is not believed"})
			}
			return sa.task.Node == name
		})
	}
}

// unasked tells of nodes without an act on record whose agents may have acted and cannot be asked.
func (b *takingBack) unasked() {
	for _, name := range slices.Sorted(maps.Keys(b.silent)) {
		hasActs := slices.ContainsFunc(b.acts, func(sa standingAct) bool { return sa.task.Node == name })
		if hasActs || !b.r.owes(name) {
			continue
		}
		text := b.r.o.Redact("what its agent did is not known: " + b.silent[name].Error())
		b.r.rec.Lock()
		b.r.sum.Left = append(b.r.sum.Left, LeftNote{Node: name, Acts: 1, Text: text, Hint: hint.Of(b.silent[name])})
		b.r.rec.Unlock()
		b.r.emit(Event{Kind: EvLeft, Node: name, Text: text, Hint: hint.Of(b.silent[name])})
	}
}

// result is nil, what failed, or that something was left.
func (b *takingBack) result(ctx context.Context) error {
	if err := b.failures(); err != nil || b.r.halted(ctx) {
		return err
	}
	b.r.rec.Lock()
	defer b.r.rec.Unlock()
	return leftBehind(b.r.sum.Left)
}

func (b *takingBack) failures() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return join(b.errs)
}

func (b *takingBack) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.errs {
		if errors.Is(err, ErrJournal) && errors.Is(e, ErrJournal) {
			return // every node meets the same broken journal
		}
	}
	b.errs = append(b.errs, err)
}

// stop keeps what stands from here on.
func (b *takingBack) stop(sa standingAct, why string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stops = append(b.stops, stop{sa, why})
}

// stopped says that the act stands under one that was not taken back, and why that was.
func (b *takingBack) stopped(sa standingAct) (why string, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.stops {
		if s.of.act.Seq > sa.act.Seq && (s.of.task.Node == sa.task.Node || b.needs[s.of.task.Phase][sa.task.Phase]) {
			return s.why, true
		}
	}
	return "", false
}

// verdict says what a rollback does with the act by the journal alone, and why.
func (b *takingBack) verdict(sa standingAct) (do, why string) {
	asked := b.asked(sa)
	final := task.NoReturn(sa.task.Step, sa.diff)
	switch {
	case asked && final != "":
		return DoLeave, final
	case asked:
		return DoLeave, "as asked"
	case sa.diff.Effects.NothingToUndo:
		return DoPass, "it changed nothing"
	case !b.r.inSite(sa.task.Node):
		return DoLeave, b.gone(sa.task.Node)
	case final != "" && !sa.diff.Effects.UntilRestart:
		return DoStop, final
	}
	return DoUndo, ""
}

// asked says that a person wants the act to be left.
func (b *takingBack) asked(sa standingAct) bool {
	return named(b.ro.Leave, sa.task.ID) || fits(b.ro.Leave, sa.task.Node)
}

// gone tells what to do about a node that left the site.
func (b *takingBack) gone(name string) string {
	n := 0
	for _, sa := range b.acts {
		if sa.task.Node == name && !sa.diff.Effects.NothingToUndo {
			n++
		}
	}
	file := b.r.o.SiteFile
	if file == "" {
		file = "the site"
	}
	return fmt.Sprintf("%s is no longer in %s. Put it back to undo its %s, or --leave %s", name, file, count(n, "step"),
		name)
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
