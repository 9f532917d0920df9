package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"sort"
	"strings"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/steps"
	"deploy/steps/cluster/clus"
)

// Dependency says which resources must be online before a resource may come online. Others that it
// depends on stay.
type Dependency struct {
	Resource   string   `json:"resource" doc:"resource that depends; give this, or group and type" example:"First Storage Group/Mailbox Database (mbx01)" check:"compared"`
	Group      string   `json:"group" doc:"group in which every resource of the type depends" example:"mbx01" check:"compared"`
	Type       string   `json:"type" doc:"text in the type name of the resources of the group, for example Exchange Database; type names are not translated" example:"Exchange Database" check:"compared"`
	On         []string `json:"on" doc:"resources that must be online first, all of them; they are in the same group" required:"true" items:"1" check:"compared"`
	MayRestart bool     `json:"may_restart" doc:"whether a resource may be taken offline for a moment when Windows takes the change only so" check:"instruction:consent"`
}

// dependencyBefore maps each resource to what the step adds to it.
type dependencyBefore struct {
	Added map[string][]string `json:"added"`
}

func dependencyKind() steps.Kind {
	return steps.Kind{
		Name:    "cluster.dependency",
		OS:      "windows",
		Summary: "Makes resources depend on others.",
		Doc: "Dependencies are compared as a set: what is missing is added, what is there besides stays. A choice (A or " +
			"B) cannot be told as a set and is an error. " +
			"With group and type it holds for every resource of that type in the group, for example all databases of a " +
			"mailbox server, whatever they are called.",
		Undo:    "Removes the dependencies that it added.",
		Proof:   proof,
		Sources: []string{"Cluster resource command, /adddep", "Add-ClusterResourceDependency"},
		Calls: calls(clus.ReadCalls(), clus.DependencyCalls(),
			clus.HandCalls(clus.AddDependency, clus.DropDependency, clus.ResourceUp, clus.ResourceDown)),
		ReadForms: clus.Forms(),
		New:       func() steps.Step { return &Dependency{} },
		Example:   "group: mbx01\ntype: Exchange Database\non: [mbx01-data]\n",
	}
}

// Kind names the step.
func (s *Dependency) Kind() string { return "cluster.dependency" }

// Reads names what Check will ask.
func (s *Dependency) Reads(f node.Facts) []node.Query { return clus.Reads(f, clus.PartResources) }

// Validate looks at the data.
func (s *Dependency) Validate() error {
	if (s.Resource == "") == (s.Group == "") || (s.Group == "") != (s.Type == "") {
		return steps.FieldErr("resource", "give resource, or group and type")
	}
	return nil
}

// Check compares the sets.
func (s *Dependency) Check(ctx context.Context, r node.Reader) (steps.Diff, error) {
	v, err := clus.Open(ctx, r)
	if err != nil {
		return steps.Diff{}, err
	}
	targets, err := s.targets(ctx, r, v)
	if err != nil {
		return steps.Diff{}, err
	}
	b := dependencyBefore{Added: map[string][]string{}}
	d := steps.Diff{Action: steps.Update, Via: clus.HandOf(r.Facts()).Via(clus.AddDependency)}
	for _, name := range targets {
		now, err := v.Dependencies(ctx, name)
		if err != nil {
			return steps.Diff{}, err
		}
		var missing []string
		there := []string{} // dependencies that are not declared are others' business
		for _, on := range s.On {
			if has(now, on) {
				there = append(there, on)
			} else {
				missing = append(missing, on)
			}
		}
		if len(missing) > 0 {
			b.Added[name] = missing
			d.Changes = append(d.Changes, steps.Change{Attr: name + " depends on", From: there, To: s.On})
		}
	}
	if len(d.Changes) == 0 {
		return steps.NoChange(), nil
	}
	d.Before = steps.MustJSON(b)
	if s.MayRestart {
		d.Effects.Interrupts = strings.Join(targets, ", ")
	}
	return d, nil
}

// targets lists the resources that depend, sorted.
func (s *Dependency) targets(ctx context.Context, r node.Reader, v clus.Reader) ([]string, error) {
	all, err := v.Resources(ctx)
	if err != nil {
		return nil, err
	}
	for _, on := range s.On {
		if _, ok := clus.FindResource(all, on); !ok {
			return nil, steps.Until(resourceTag(on), "the cluster has no such resource yet")
		}
	}
	if s.Resource != "" {
		x, ok := clus.FindResource(all, s.Resource)
		if !ok {
			return nil, steps.Until(resourceTag(s.Resource), "the cluster has no such resource yet")
		}
		return []string{x.Name}, nil
	}
	var out []string
	for _, x := range all {
		if strings.EqualFold(x.Group, s.Group) && strings.Contains(strings.ToLower(x.Type), strings.ToLower(s.Type)) {
			out = append(out, x.Name)
		}
	}
	if len(out) == 0 {
		groups, err := v.Groups(ctx)
		if err != nil {
			return nil, err
		}
		if _, ok := clus.FindGroup(groups, s.Group); !ok {
			return nil, steps.Until(groupTag(s.Group), "the cluster has no such group yet")
		}
		return nil, clus.NotThere(r, "a resource of a type with", s.Type)
	}
	sort.Strings(out)
	return out, nil
}

// Apply adds what is missing.
func (s *Dependency) Apply(ctx context.Context, n node.Node, d steps.Diff) (steps.Outcome, error) {
	var b dependencyBefore
	if err := decode(d.Before, &b); err != nil {
		return steps.Outcome{}, err
	}
	v, err := clus.Open(ctx, n)
	if err != nil {
		return steps.Outcome{}, err
	}
	for _, name := range sortedKeys(b.Added) {
		for _, on := range b.Added[name] {
			// 5003: it depends on it already
			if err := s.change(ctx, n, v, clus.Change{Op: clus.AddDependency, Name: name, To: on}, 5003); err != nil {
				return steps.Outcome{}, err
			}
		}
	}
	return steps.Outcome{}, nil
}

// change adds or removes one dependency. 5019 (the resource is online) is met by taking it offline
// for a moment, where allowed.
func (s *Dependency) change(ctx context.Context, n node.Node, v clus.Reader, c clus.Change, fine int64) error {
	h := clus.HandOf(n.Facts())
	err := h.Do(ctx, n, c)
	if err == nil || clus.IsCode(err, fine) {
		return nil
	}
	if !clus.IsCode(err, 5019) {
		return err
	}
	if !s.MayRestart {
		return hint.Wrap(err, "the resource must be offline for this: allow it with may_restart")
	}
	if err := h.Do(ctx, n, clus.Change{Op: clus.ResourceDown, Name: c.Name}); err != nil {
		return err
	}
	if err := clus.WaitResource(ctx, v, c.Name, clus.ResourceOffline); err != nil {
		return err
	}
	err = h.Do(ctx, n, c)
	if clus.IsCode(err, fine) {
		err = nil
	}
	// the resource goes online again even when the change was refused
	if upErr := h.Do(ctx, n, clus.Change{Op: clus.ResourceUp, Name: c.Name}); upErr != nil {
		if err == nil {
			err = upErr
		}
		return err
	}
	if waitErr := clus.WaitResource(ctx, v, c.Name, clus.ResourceOnline); err == nil {
		err = waitErr
	}
	return err
}

// Undo removes what the step added.
func (s *Dependency) Undo(ctx context.Context, n node.Node, before json.RawMessage) error {
	return clus.Undo(ctx, n, before, func(v clus.Reader, b dependencyBefore) error {
		all, err := v.Resources(ctx)
		if err != nil {
			return err
		}
		for _, name := range sortedKeys(b.Added) {
			if _, ok := clus.FindResource(all, name); !ok {
				continue
			}
			for _, on := range b.Added[name] {
				// 5002: it does not depend on it any more
				if err := s.change(ctx, n, v, clus.Change{Op: clus.DropDependency, Name: name, To: on}, 5002); err != nil &&
					!clus.Absent(err) {
					return fmt.Errorf("cannot take back a dependency of %q: %w", name, err)
				}
			}
		}
		return nil
	})
}

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}
