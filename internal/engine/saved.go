package engine

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"deploy/internal/hint"
	"deploy/internal/task"
	"deploy/steps"
)

// Save writes the plan to a file, whole or not at all.
func (p *Plan) Save(path string) error {
	b, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return fmt.Errorf("cannot encode the plan: %w", err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("cannot save the plan: %w", err)
	}
	_, err = tmp.Write(append(b, '\n'))
	if err == nil {
		err = tmp.Sync()
	}
	err = errors.Join(err, tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("cannot save the plan: %w", err), os.Remove(tmp.Name()))
	}
	return nil
}

// LoadPlan reads a plan that Save wrote.
func LoadPlan(path string) (*Plan, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the plan: %w", err)
	}
	var head struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(b, &head); err != nil || head.Format == 0 {
		return nil, hint.Wrap(fmt.Errorf("cannot read the plan %s: it is not a plan of deploy", path),
			"a plan is made with: deploy plan -o FILE SITE")
	}
	if head.Format != PlanFormat {
		return nil, hint.Wrap(fmt.Errorf("cannot read the plan %s: it has format %d, this program knows %d", path,
			head.Format, PlanFormat),
			"make the plan again with this program")
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber() // a number must keep its digits, or the plan would differ from itself
	var p Plan
	if err := dec.Decode(&p); err != nil {
		return nil, fmt.Errorf("cannot read the plan %s: %w", path, err)
	}
	return &p, nil
}

// StaleError says that a saved plan no longer holds, and what moved. It is ErrStale.
type StaleError struct{ Moved []string }

func (e *StaleError) Error() string {
	return ErrStale.Error() + ": " + strings.Join(e.Moved, "; ")
}

// Is makes a StaleError an ErrStale.
func (e *StaleError) Is(target error) bool { return target == ErrStale }

func stale(moved []string) error {
	if len(moved) == 0 {
		return nil
	}
	return hint.Wrap(&StaleError{moved}, "nothing was done: make the plan again, look at it, and apply that")
}

// movedFrom lists what a plan rests on and what is different now, without looking at a node.
func (p *Plan) movedFrom(prog *steps.Program, version string) []string {
	var moved []string
	if p.Site != prog.Site {
		return []string{fmt.Sprintf("it is for the site %s, this is %s", p.Site, prog.Site)}
	}
	if p.SiteDigest != prog.SiteDigest {
		moved = append(moved, "the site file has changed")
	}
	if p.Playbook != prog.Playbook {
		moved = append(moved, fmt.Sprintf("it is for the playbook %s, the site now names %s", p.Playbook, prog.Playbook))
	} else if p.PlaybookDigest != prog.PlaybookDigest {
		moved = append(moved, "the playbook "+prog.Playbook+" has changed")
	}
	if p.Version != version {
		moved = append(moved, fmt.Sprintf("it was made by deploy %s, this is %s", p.Version, version))
	}
	return moved
}

// movedTo lists the tasks whose diff is not what the plan says.
func (p *Plan) movedTo(now *Plan) []string {
	if p.Fingerprint() == now.Fingerprint() {
		return nil
	}
	var moved []string
	old := map[string]PlanTask{}
	for _, t := range p.Tasks() {
		old[t.ID] = t
	}
	for _, t := range now.Tasks() {
		was, ok := old[t.ID]
		delete(old, t.ID)
		switch {
		case !ok:
			moved = append(moved, fmt.Sprintf("%s is new: %s", t.ID, task.Describe(t.Diff)))
		case !bytes.Equal(steps.MustJSON(was.Diff), steps.MustJSON(t.Diff)):
			from, to := task.Describe(was.Diff), task.Describe(t.Diff)
			if from == to {
				moved = append(moved, fmt.Sprintf("%s: %s, but from another state than the plan found", t.ID, to))
				continue
			}
			moved = append(moved, fmt.Sprintf("%s was %s, is now %s", t.ID, from, to))
		}
	}
	for _, t := range p.Tasks() {
		if _, gone := old[t.ID]; gone {
			moved = append(moved, t.ID+" is gone")
		}
	}
	if len(moved) == 0 {
		moved = []string{"another part of the program is selected"}
	}
	return moved
}
