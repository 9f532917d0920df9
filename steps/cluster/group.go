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

// Group is a group of resources, the unit of failover.
type Group struct {
	Name       string           `json:"name" doc:"name of the group" required:"true" example:"files" check:"compared"`
	Properties map[string]int64 `json:"properties" doc:"common properties of the group: AutoFailbackType, FailoverPeriod, FailoverThreshold, FailbackWindowStart, FailbackWindowEnd" check:"compared"`
}

type groupBefore struct {
	Existed bool             `json:"existed"`
	Values  map[string]int64 `json:"values,omitempty"`
}

// groupLimits are the ranges of group properties. Source: the group common property pages of the
// MsCS documentation.
var groupLimits = map[string]limits{
	"AutoFailbackType":    {least: 0, most: 1},
	"FailoverPeriod":      {least: 0, most: 1193},
	"FailoverThreshold":   {least: 0, most: 0xFFFFFFFF},
	"FailbackWindowStart": {least: -1, most: 23},
	"FailbackWindowEnd":   {least: -1, most: 23},
}

func groupKind() steps.Kind {
	return steps.Kind{
		Name:    "cluster.group",
		OS:      "windows",
		Summary: "Makes an empty group and sets its properties.",
		Doc:     "Makes the group when there is none of that name. What is in it is the business of other steps.",
		Undo:    "Deletes the group that it made, which must be empty; gives recorded properties back to one that was there.",
		Proof:   proof,
		Sources: []string{"Cluster group command", "Add-ClusterGroup", "Group common properties"},
		Calls: calls(clus.ReadCalls(), clus.HandCalls(clus.CreateGroup, clus.DeleteGroup, clus.SetProperties), []node.Call{
			{WMI: clus.Namespace + ":MSCluster_ResourceGroup", On: from2008(),
				Props: []string{"AutoFailbackType", "FailoverPeriod", "FailoverThreshold", "FailbackWindowStart",
					"FailbackWindowEnd"}},
		}),
		ReadForms: clus.Forms(),
		New:       func() steps.Step { return &Group{} },
		Example:   "name: files\nproperties:\n  FailoverThreshold: 2\n",
	}
}

// Kind names the step.
func (s *Group) Kind() string { return "cluster.group" }

// Provides names what exists once the group is there.
func (s *Group) Provides() []string { return []string{groupTag(s.Name)} }

func groupTag(name string) string { return "cluster/group:" + strings.ToLower(name) }

// Reads names what Check will ask.
func (s *Group) Reads(f node.Facts) []node.Query { return clus.Reads(f, clus.PartGroups) }

// Validate looks at the data.
func (s *Group) Validate() error {
	for name, v := range s.Properties {
		l, ok := groupLimits[name]
		if !ok {
			return &steps.FieldError{Path: []string{"properties", name}, Msg: "is no group property that deploy sets"}
		}
		if v < l.least || v > l.most {
			return &steps.FieldError{Path: []string{"properties", name},
				Msg: fmt.Sprintf("is %d, must be %d to %d", v, l.least, l.most)}
		}
	}
	return nil
}

func (s *Group) names() []string {
	var out []string
	for n := range s.Properties {
		out = append(out, n)
	}
	sort.Strings(out)
	return out
}

// Check looks for the group and compares its properties.
func (s *Group) Check(ctx context.Context, r node.Reader) (steps.Diff, error) {
	v, err := clus.Open(ctx, r)
	if err != nil {
		return steps.Diff{}, err
	}
	groups, err := v.Groups(ctx)
	if err != nil {
		return steps.Diff{}, err
	}
	h := clus.HandOf(r.Facts())
	g, found := clus.FindGroup(groups, s.Name)
	if !found {
		return steps.Diff{Action: steps.Create, Changes: []steps.Change{{Attr: "group", From: nil, To: s.Name}},
			Before: steps.MustJSON(groupBefore{}), Via: h.Via(clus.CreateGroup)}, nil
	}
	if len(s.Properties) == 0 {
		return steps.NoChange(), nil
	}
	now, err := v.Properties(ctx, clus.Object{Group: g.Name}, s.names())
	if err != nil {
		return steps.Diff{}, err
	}
	d := steps.Diff{Action: steps.Update, Via: h.Via(clus.SetProperties)}
	b := groupBefore{Existed: true, Values: map[string]int64{}}
	for _, n := range s.names() {
		if uint32(now.Int(n)) != uint32(s.Properties[n]) {
			d.Changes = append(d.Changes, steps.Change{Attr: n, From: now.Int(n), To: s.Properties[n]})
			b.Values[n] = now.Int(n)
		}
	}
	if len(d.Changes) == 0 {
		return steps.NoChange(), nil
	}
	d.Before = steps.MustJSON(b)
	return d, nil
}

// Apply makes the group and sets its properties.
func (s *Group) Apply(ctx context.Context, n node.Node, d steps.Diff) (steps.Outcome, error) {
	h := clus.HandOf(n.Facts())
	if d.Action == steps.Create {
		// 5010: it exists already, which is what is declared
		if err := h.Do(ctx, n, clus.Change{Op: clus.CreateGroup, Name: s.Name}); err != nil && !clus.IsCode(err, 5010) {
			return steps.Outcome{}, err
		}
	}
	return steps.Outcome{}, setNumbers(ctx, n, clus.Object{Group: s.Name}, s.Properties)
}

// setNumbers sets common properties; none is fine.
func setNumbers(ctx context.Context, n node.Node, of clus.Object, numbers map[string]int64) error {
	if len(numbers) == 0 {
		return nil
	}
	values := map[string]any{}
	for k, v := range numbers {
		values[k] = v
	}
	return clus.HandOf(n.Facts()).Do(ctx, n, clus.Change{Op: clus.SetProperties, Name: of.Group + of.Resource, Of: of,
		Values: values})
}

// Undo deletes the group that the step made, or gives properties back.
func (s *Group) Undo(ctx context.Context, n node.Node, before json.RawMessage) error {
	return clus.Undo(ctx, n, before, func(v clus.Reader, b groupBefore) error {
		if b.Existed {
			return setNumbers(ctx, n, clus.Object{Group: s.Name}, b.Values)
		}
		all, err := v.Resources(ctx)
		if err != nil {
			return err
		}
		for _, x := range all {
			if strings.EqualFold(x.Group, s.Name) {
				return hint.Wrap(fmt.Errorf("cannot delete group %q: it holds resource %q", s.Name, x.Name),
					"remove what others put into the group first")
			}
		}
		err = clus.HandOf(n.Facts()).Do(ctx, n, clus.Change{Op: clus.DeleteGroup, Name: s.Name})
		if err != nil && clus.Absent(err) {
			return nil
		}
		return err
	})
}
