package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"strings"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/steps"
	"deploy/steps/cluster/clus"
)

// Owner limits where a resource may run, or says where a group prefers to run.
type Owner struct {
	Resource string   `json:"resource" doc:"resource whose possible owners are set; give resource or group" example:"files-name" check:"compared"`
	Group    string   `json:"group" doc:"group whose preferred owners are set, in order" check:"compared"`
	Nodes    []string `json:"nodes" doc:"node names: possible owners as a set, preferred owners in order" required:"true" type:"hostname" check:"compared"`
}

type ownerBefore struct {
	Nodes []string `json:"nodes"`
}

func ownerKind() steps.Kind {
	return steps.Kind{
		Name:    "cluster.owner",
		OS:      "windows",
		Summary: "Sets the possible owners of a resource or the preferred owners of a group.",
		Doc: "Possible owners are compared as a set, preferred owners in their order. A resource that no node may own " +
			"cannot be asked for.",
		Undo:  "Gives back the recorded owners.",
		Proof: proof,
		Sources: []string{"Cluster resource command, /addowner", "Cluster group command, /setowners",
			"Set-ClusterOwnerNode"},
		Calls:     calls(clus.ReadCalls(), clus.OwnerCalls(), clus.HandCalls(clus.AddOwner, clus.PreferOwners)),
		ReadForms: clus.Forms(),
		New:       func() steps.Step { return &Owner{} },
		Example:   "group: mbx01\nnodes: [mbx01-node1, mbx01-node2]\n",
	}
}

// Kind names the step.
func (s *Owner) Kind() string { return "cluster.owner" }

// Reads names what Check will ask.
func (s *Owner) Reads(f node.Facts) []node.Query { return clus.Reads(f) }

// Validate looks at the data.
func (s *Owner) Validate() error {
	if (s.Resource == "") == (s.Group == "") {
		return steps.FieldErr("resource", "give resource or group")
	}
	if s.Resource != "" && len(s.Nodes) == 0 {
		return steps.FieldErr("nodes", "a resource needs at least one possible owner")
	}
	return nil
}

// Check compares the owners.
func (s *Owner) Check(ctx context.Context, r node.Reader) (steps.Diff, error) {
	v, err := clus.Open(ctx, r)
	if err != nil {
		return steps.Diff{}, err
	}
	if err := s.exists(ctx, v); err != nil {
		return steps.Diff{}, err
	}
	now, err := v.Owners(ctx, s.Resource, s.Group)
	if err != nil {
		return steps.Diff{}, err
	}
	if s.Resource != "" {
		sort.Strings(now) // they are a set
	}
	if sameOwners(now, s.Nodes, s.Group != "") {
		return steps.NoChange(), nil
	}
	op := clus.PreferOwners
	if s.Resource != "" {
		op = clus.AddOwner
	}
	return steps.Diff{Action: steps.Update,
		Changes: []steps.Change{{Attr: "owners of " + s.Resource + s.Group, From: now, To: s.Nodes}},
		Before:  steps.MustJSON(ownerBefore{now}), Via: clus.HandOf(r.Facts()).Via(op)}, nil
}

func (s *Owner) exists(ctx context.Context, v clus.Reader) error {
	if s.Resource != "" {
		all, err := v.Resources(ctx)
		if err != nil {
			return err
		}
		if _, ok := clus.FindResource(all, s.Resource); !ok {
			return steps.Until(resourceTag(s.Resource), "the cluster has no such resource yet")
		}
		return nil
	}
	groups, err := v.Groups(ctx)
	if err != nil {
		return err
	}
	if _, ok := clus.FindGroup(groups, s.Group); !ok {
		return steps.Until(groupTag(s.Group), "the cluster has no such group yet")
	}
	return nil
}

func sameOwners(a, b []string, ordered bool) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	for i := range a {
		a[i] = strings.ToLower(a[i])
	}
	for i := range b {
		b[i] = strings.ToLower(b[i])
	}
	if !ordered {
		sort.Strings(a)
		sort.Strings(b)
	}
	return slices.Equal(a, b)
}

// Apply sets the owners.
func (s *Owner) Apply(ctx context.Context, n node.Node, _ steps.Diff) (steps.Outcome, error) {
	return steps.Outcome{}, s.set(ctx, n, s.Nodes)
}

func (s *Owner) set(ctx context.Context, n node.Node, want []string) error {
	h := clus.HandOf(n.Facts())
	if s.Group != "" {
		return h.Do(ctx, n, clus.Change{Op: clus.PreferOwners, Name: s.Group, List: want})
	}
	v, err := clus.Open(ctx, n)
	if err != nil {
		return err
	}
	now, err := v.Owners(ctx, s.Resource, "")
	if err != nil {
		return err
	}
	// owners are added before others are removed, so that there is always one
	for _, name := range want {
		if !has(now, name) {
			if err := h.Do(ctx, n, clus.Change{Op: clus.AddOwner, Name: s.Resource, To: name, Owners: want}); err != nil &&
				!clus.IsCode(err, 5010) {
				return err
			}
		}
	}
	for _, name := range now {
		if has(want, name) {
			continue
		}
		if err := h.Do(ctx, n, clus.Change{Op: clus.DropOwner, Name: s.Resource, To: name, Owners: want}); err != nil &&
			!clus.IsCode(err, 5042) {
			if clus.IsCode(err, 5071) {
				err = hint.Wrap(err, "the resource runs on that node: move its group first")
			}
			return fmt.Errorf("cannot set the owners of %q: %w", s.Resource, err)
		}
	}
	return nil
}

// Undo gives back the recorded owners.
func (s *Owner) Undo(ctx context.Context, n node.Node, before json.RawMessage) error {
	return clus.Undo(ctx, n, before, func(v clus.Reader, b ownerBefore) error {
		if err := s.exists(ctx, v); err != nil {
			return nil // the object is gone, and its owners with it
		}
		return s.set(ctx, n, b.Nodes)
	})
}
