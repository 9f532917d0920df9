package packages

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/steps"
)

// Undo puts back what was recorded.
func (s *Packages) Undo(ctx context.Context, n node.Node, recorded json.RawMessage) error {
	var b packagesBefore
	if err := json.Unmarshal(recorded, &b); err != nil {
		return fmt.Errorf("cannot read the recorded state: %w", err)
	}
	m, have, err := s.read(ctx, n)
	if err != nil {
		return err
	}
	if err := complete(ctx, n, m); err != nil {
		return err
	}
	stays, err := bringBack(ctx, n, m, have, b)
	if err != nil {
		return err
	}
	if _, have, err = s.read(ctx, n); err != nil { // what comes back may have taken something along
		return err
	}
	names, why, err := surplus(ctx, n, m, have, b)
	if err != nil {
		return err
	}
	if len(names) > 0 {
		if err := run(ctx, n, "cannot remove "+strings.Join(names, ", ")+" again",
			m.argv(transaction{Verb: remove, Names: names})); err != nil {
			return err
		}
	}
	stays = append(stays, why...)
	for _, p := range append(slices.Clone(b.Half), b.Removed...) {
		if p.Half != "" {
			stays = append(stays, fmt.Sprintf("%s was half installed before (%s)", p.Name, p.Half))
		}
	}
	if len(stays) > 0 {
		return steps.Left(strings.Join(stays, "; "))
	}
	return nil
}

// bringBack installs the recorded versions of what was changed or removed. It answers why it does
// not, when something that came later would have to go for it.
func bringBack(ctx context.Context, n node.Node, m manager, have []installed, b packagesBefore) (stays []string,
	err error) {
	var back []string
	for _, p := range append(slices.Clone(b.Changed), b.Removed...) {
		if now, there := find(have, p.Name+":"+p.Arch); !there || now.Version != p.Version || now.Half != "" {
			back = append(back, m.exact(p))
		}
	}
	if len(back) == 0 {
		return nil, nil
	}
	_, gone, _, err := m.foresee(ctx, n, transaction{Verb: install, Names: back})
	if err != nil {
		return nil, err
	}
	if later := without(gone, slices.Concat(b.New, b.Came)); len(later) > 0 {
		return []string{fmt.Sprintf("cannot put %s back: %s, which came later, would go", strings.Join(back, ", "),
			strings.Join(later, ", "))}, nil
	}
	if err := run(ctx, n, "cannot put back "+strings.Join(back, ", "),
		m.argv(transaction{Verb: install, Names: back})); err != nil {
		return nil, hint.Wrap(err, "do the repositories still have these versions?")
	}
	return nil, nil
}

// surplus tells what undo removes: the named packages that were not there, and what came along with
// them. What others need by now stays, and why names it.
func surplus(ctx context.Context, r node.Reader, m manager, have []installed, b packagesBefore) (names, why []string,
	err error) {
	for _, n := range slices.Concat(b.New, b.Came) {
		if _, there := find(have, n); there {
			names = append(names, n)
		}
	}
	if len(names) == 0 {
		return nil, nil, nil
	}
	more, err := others(ctx, r, m, names, names)
	if err != nil {
		return nil, nil, err
	}
	if len(more) > 0 {
		if names, why, err = unneeded(ctx, r, m, names); err != nil || len(names) == 0 {
			return nil, why, err
		}
	}
	left, err := unforeseen(ctx, r, m, have, b, names)
	return append(names, left...), why, err
}

// unneeded parts names into those that can go without taking others along, and why the rest stays.
func unneeded(ctx context.Context, r node.Reader, m manager, names []string) (free, why []string, err error) {
	for _, n := range names {
		more, err := others(ctx, r, m, []string{n}, names)
		if err != nil {
			return nil, nil, err
		}
		if len(more) == 0 {
			free = append(free, n)
			continue
		}
		why = append(why, fmt.Sprintf("cannot remove %s: %s, which came later, would go with it", n,
			strings.Join(more, ", ")))
	}
	return free, why, nil
}

// others tells what would go with names though it is not among ours.
func others(ctx context.Context, r node.Reader, m manager, names, ours []string) ([]string, error) {
	_, gone, known, err := m.foresee(ctx, r, transaction{Verb: remove, Names: names})
	if err == nil && !known {
		err = hint.Wrap(fmt.Errorf("cannot tell what would go with %s", strings.Join(names, ", ")),
			"try the removal on the node: its package manager says what is wrong")
	}
	return without(gone, ours), err
}

// without returns what of list is not among names, which may carry an architecture or not.
func without(list, names []string) (out []string) {
	for _, x := range list {
		if !slices.ContainsFunc(names, func(n string) bool { return bare(n) == bare(x) }) {
			out = append(out, x)
		}
	}
	return out
}

func bare(name string) string {
	name, _, _ = strings.Cut(name, ":")
	return name
}

// unforeseen tells what came along with names when that could not be foreseen: what nothing needs
// once they are gone, and was not there before.
func unforeseen(ctx context.Context, r node.Reader, m manager, have []installed, b packagesBefore,
	names []string) (out []string, err error) {
	if len(b.Had) == 0 {
		return nil, nil
	}
	_, gone, _, err := m.foresee(ctx, r, transaction{Verb: sweep, Names: names})
	for _, g := range gone {
		if p, there := find(have, g); there && !slices.Contains(names, g) && !slices.Contains(b.Had, p.Name+":"+p.Arch) {
			out = append(out, g)
		}
	}
	return out, err
}
