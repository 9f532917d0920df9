package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"deploy/steps"
)

// check looks at tasks of one node in one round trip and keeps the answers. Its error says that
// none could be had.
func (r *run) check(ctx context.Context, name string, tasks []steps.Task) error {
	got, err := r.looks(ctx, name, tasks)
	if err != nil {
		return err
	}
	r.rec.Lock()
	defer r.rec.Unlock()
	for i, t := range tasks {
		r.known[t.ID] = got[i]
	}
	return nil
}

// looks is check without keeping the answers.
func (r *run) looks(ctx context.Context, name string, tasks []steps.Task) ([]look, error) {
	stamp := r.acts.Load()
	got, own, err := r.lookAt(ctx, name, tasks)
	var slept time.Duration
	for d := time.Second; err == nil && settling(got) != nil && slept < r.o.SettleTimeout; d = min(2*d, 15*time.Second) {
		w := min(jitter(d), r.o.SettleTimeout-slept)
		slept += w
		r.retrying(name, w, settling(got))
		if err = r.o.Sleep(ctx, w); err == nil {
			got, own, err = r.lookAt(ctx, name, tasks)
		}
	}
	if err != nil {
		return nil, err
	}
	out := make([]look, len(tasks))
	for i, t := range tasks {
		out[i] = r.current(t, sound(t, got[i], stamp))
		out[i].own = own
	}
	return out, nil
}

// settling returns the first answer that says that things are on their way.
func settling(got []Checked) error {
	var s *steps.SettlingError
	for _, c := range got {
		if errors.As(c.Err, &s) {
			return s
		}
	}
	return nil
}

// lookAt asks the checks over a link that holds; a task that is for another system than the node
// runs is refused and not asked. own says that the controller looked itself, and no agent for it.
func (r *run) lookAt(ctx context.Context, name string, tasks []steps.Task) (got []Checked, own bool, err error) {
	err = r.links.reads(ctx, name, func(ex Executor) error {
		_, agent := ex.(Worker)
		own = !agent
		got = make([]Checked, len(tasks))
		var list []steps.Step
		var at []int
		for i, t := range tasks {
			if got[i].Err = t.Refuse(ex.Facts()); got[i].Err == nil {
				list, at = append(list, t.Step), append(at, i)
			}
		}
		if len(list) == 0 {
			return nil
		}
		cctx, cancel := context.WithTimeout(ctx, r.checkTime(tasks))
		defer cancel()
		var answered []Checked
		r.beat(Event{Node: name}, always(answers(name, len(list))), func() { answered = ex.Check(cctx, list) })
		if len(answered) != len(list) {
			return fmt.Errorf("the executor gave %d answers to %d checks", len(answered), len(list))
		}
		for i, c := range answered {
			got[at[i]] = c
		}
		for _, c := range got {
			if c.Err != nil && linkBroke(c.Err) {
				return c.Err
			}
		}
		return nil
	})
	return got, own, err
}

// answers says what is waited for while n checks run.
func answers(name string, n int) string {
	if n == 1 {
		return name + " to answer a check"
	}
	return fmt.Sprintf("%s to answer %d checks", name, n)
}

// checkTime is how long a batch of checks may take: as long as the most patient of its tasks.
func (r *run) checkTime(tasks []steps.Task) time.Duration {
	d := r.o.StepTimeout
	for _, t := range tasks {
		d = max(d, t.Timeout)
	}
	return d
}

// sound turns the ways in which a kind can say "unknown" into one, and refuses an answer that is
// none.
func sound(t steps.Task, c Checked, stamp int64) look {
	d := c.Diff
	switch {
	case c.Err != nil:
	case d.Action == steps.Unknown:
		c.Err = steps.Until(d.Until, "the check of "+t.Step.Kind()+" says so")
	case d.Action == "":
		c.Err = fmt.Errorf("the check of %s gave no answer", t.Step.Kind())
	}
	return look{diff: d, err: c.Err, stamp: stamp}
}

// lookOf returns what is known of a task.
func (r *run) lookOf(id string) look {
	r.rec.Lock()
	defer r.rec.Unlock()
	return r.known[id]
}
