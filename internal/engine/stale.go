package engine

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/internal/task"
	"deploy/steps"
)

// StaleError says that a saved plan no longer holds, and what moved, one text for each difference.
// It is ErrStale.
type StaleError struct{ Moved []string }

func (e *StaleError) Error() string {
	const most = 20
	if len(e.Moved) == 1 {
		return ErrStale.Error() + ": " + e.Moved[0]
	}
	list := e.Moved
	more := ""
	if len(list) > most {
		more = fmt.Sprintf("\nand %d more", len(list)-most)
		list = list[:most]
	}
	return ErrStale.Error() + ":\n" + strings.Join(list, "\n") + more
}

// Is makes a StaleError an ErrStale.
func (e *StaleError) Is(target error) bool { return target == ErrStale }

func stale(moved []string) error {
	if len(moved) == 0 {
		return nil
	}
	return hint.Wrap(&StaleError{moved}, "nothing was changed; make a new plan, review it and apply it")
}

// movedFrom lists what a plan rests on and what is different now, without looking at a node.
func (p *Plan) movedFrom(prog *steps.Program, version string) []string {
	var moved []string
	if p.Site != prog.Site {
		return []string{fmt.Sprintf("it is for site %s, not %s", p.Site, prog.Site)}
	}
	if p.SiteDigest != prog.SiteDigest {
		moved = append(moved, "the site file has changed")
	}
	if p.Playbook != prog.Playbook {
		moved = append(moved, fmt.Sprintf("it is for playbook %s, the site now uses %s", p.Playbook, prog.Playbook))
	} else if p.PlaybookDigest != prog.PlaybookDigest {
		moved = append(moved, "the playbook "+prog.Playbook+" has changed")
	}
	if p.Version != version {
		moved = append(moved, fmt.Sprintf("it was made by deploy %s, this is %s", p.Version, version))
	}
	return moved
}

// movedTo lists the nodes that are not the machines that the plan has seen, and the tasks whose
// diff is not what it says.
func (p *Plan) movedTo(now *Plan) []string {
	moved := p.otherMachines(now)
	if p.Fingerprint() == now.Fingerprint() {
		return moved
	}
	old := map[string]PlanTask{}
	for _, t := range p.Tasks() {
		old[t.ID] = t
	}
	for _, t := range now.Tasks() {
		was, ok := old[t.ID]
		delete(old, t.ID)
		switch {
		case !ok:
			moved = append(moved, short(fmt.Sprintf("%s is new: %s", t.ID, told(t.Diff))))
		case !bytes.Equal(steps.MustJSON(was.Diff), steps.MustJSON(t.Diff)):
			from, to := told(was.Diff), told(t.Diff)
			if from == to {
				moved = append(moved, short(fmt.Sprintf("%s: %s, but the current state differs", t.ID, to)))
				continue
			}
			moved = append(moved, short(fmt.Sprintf("%s was %s, is now %s", t.ID, from, to)))
		}
	}
	for _, t := range p.Tasks() {
		if _, gone := old[t.ID]; gone {
			moved = append(moved, t.ID+" is gone")
		}
	}
	if len(moved) == 0 {
		moved = []string{"the steps are in another order"}
	}
	return moved
}

// told is a diff in the words of the plan, on one line.
func told(d steps.Diff) string {
	switch {
	case d.Action == steps.NoOp:
		return "unchanged"
	case d.Action == steps.Unknown && len(d.Waits) > 0:
		return "unknown until " + listed(d.Waits, 2)
	}
	return strings.Join(strings.Fields(task.Describe(d)), " ")
}

// otherMachines compares who answered when the plan was made with who answers now.
func (p *Plan) otherMachines(now *Plan) []string {
	var moved []string
	for _, was := range p.Nodes {
		i := slices.IndexFunc(now.Nodes, func(n PlanNode) bool { return n.Name == was.Name })
		if i < 0 {
			continue // its tasks are gone as well
		}
		if d := differences(was.Facts, now.Nodes[i].Facts); len(d) > 0 {
			moved = append(moved, fmt.Sprintf("another machine answers as %s: %s", was.Name, strings.Join(d, ", ")))
		}
	}
	return moved
}

// differences lists what two looks at one machine cannot differ in unless it was installed anew,
// upgraded or renamed.
func differences(was, now node.Facts) []string {
	var out []string
	for _, f := range []struct{ name, was, now string }{
		{"computer name", strings.ToLower(was.Computer), strings.ToLower(now.Computer)},
		{"machine id", was.Machine, now.Machine},
		{"domain", strings.ToLower(was.Domain), strings.ToLower(now.Domain)},
		{"system", was.OS, now.OS},
		{"distribution", was.Distro, now.Distro},
		{"release", string(was.Release), string(now.Release)},
		{"version", was.Version, now.Version},
		{"build", fmt.Sprint(was.Build), fmt.Sprint(now.Build)},
		{"service pack", fmt.Sprint(was.ServicePack), fmt.Sprint(now.ServicePack)},
		{"processor", was.Arch, now.Arch},
	} {
		if f.was != f.now {
			out = append(out, fmt.Sprintf("%s %s, was %s", f.name, orNone(f.now), orNone(f.was)))
		}
	}
	return out
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
