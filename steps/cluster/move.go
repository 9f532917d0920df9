package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/steps"
	"deploy/steps/cluster/clus"
)

// Move brings a group to a node.
type Move struct {
	Group       string `json:"group" doc:"group to move; give group or disk" example:"files" check:"compared"`
	Disk        string `json:"disk" doc:"serial number of a cluster disk: the group that holds it moves, whatever its name" example:"LUN-DATA-01" check:"compared"`
	Node        string `json:"node" doc:"node that shall own it" required:"true" example:"mbx01-node1" type:"hostname" check:"compared"`
	StorageOnly bool   `json:"storage_only" doc:"move it only while it holds nothing but disks; a group with a service in it stays where it is" check:"instruction:consent"`
}

type moveBefore struct {
	Group string `json:"group"`
	Owner string `json:"owner"`
}

func moveKind() steps.Kind {
	return steps.Kind{
		Name:    "cluster.move",
		OS:      "windows",
		Summary: "Moves a group to a node.",
		Doc: "Compares the owner of a group and moves it, then waits until it is online there. Every service in the " +
			"group stops and starts again.",
		Undo:      "Moves the group back to the recorded owner.",
		Proof:     proof,
		Sources:   []string{"Cluster group command, /moveto", "Move-ClusterGroup"},
		Calls:     calls(clus.ReadCalls(), clus.DiskCalls(), clus.HandCalls(clus.MoveGroup)),
		ReadForms: clus.Forms(),
		New:       func() steps.Step { return &Move{} },
		Example:   "group: files\nnode: mbx01-node1\n",
	}
}

// Kind names the step.
func (s *Move) Kind() string { return "cluster.move" }

// Reads names what Check will ask.
func (s *Move) Reads(f node.Facts) []node.Query { return clus.Reads(f, clus.PartGroups) }

// PreviewEffects tells that a group with something in it moves.
func (s *Move) PreviewEffects() steps.Effects { return steps.Effects{Failover: !s.StorageOnly} }

// Validate looks at the data.
func (s *Move) Validate() error {
	if (s.Group == "") == (s.Disk == "") {
		return steps.FieldErr("group", "give group or disk")
	}
	return nil
}

// Check compares the owner.
func (s *Move) Check(ctx context.Context, r node.Reader) (steps.Diff, error) {
	v, err := clus.Open(ctx, r)
	if err != nil {
		return steps.Diff{}, err
	}
	g, err := s.find(ctx, r, v)
	if err != nil {
		return steps.Diff{}, err
	}
	if clus.SameNode(g.Owner, s.Node) {
		return steps.NoChange(), nil
	}
	if s.StorageOnly {
		all, err := v.Resources(ctx)
		if err != nil {
			return steps.Diff{}, err
		}
		if !clus.StorageOnly(all, g.Name) {
			return steps.NoChange(), nil
		}
	}
	members, err := v.Nodes(ctx)
	if err != nil {
		return steps.Diff{}, err
	}
	up := false
	for _, m := range members {
		up = up || clus.SameNode(m.Name, s.Node) && m.State == clus.NodeUp
	}
	if !up {
		return steps.Diff{}, steps.Until(clus.Tag(s.Node), "the node is not up in the cluster")
	}
	d := steps.Diff{Action: steps.Update, Changes: []steps.Change{{Attr: "owner of " + g.Name, From: g.Owner, To: s.Node}},
		Before: steps.MustJSON(moveBefore{g.Name, g.Owner}), Via: clus.HandOf(r.Facts()).Via(clus.MoveGroup)}
	d.Effects.Failover = !s.StorageOnly
	return d, nil
}

func (s *Move) find(ctx context.Context, r node.Reader, v clus.Reader) (clus.Group, error) {
	groups, err := v.Groups(ctx)
	if err != nil {
		return clus.Group{}, err
	}
	name := s.Group
	if s.Disk != "" {
		disk, err := clus.FindDisk(ctx, r, s.Disk)
		if err != nil {
			return clus.Group{}, err
		}
		res, found, err := clus.DiskResource(ctx, v, r, disk)
		if err != nil {
			return clus.Group{}, err
		}
		if !found {
			return clus.Group{}, steps.Until(diskTag(s.Disk), "the disk is not the cluster's yet")
		}
		name = res.Group
	}
	g, found := clus.FindGroup(groups, name)
	if !found {
		return g, steps.Until(groupTag(name), "the cluster has no such group yet")
	}
	return g, nil
}

// Apply moves the group.
func (s *Move) Apply(ctx context.Context, n node.Node, d steps.Diff) (steps.Outcome, error) {
	var b moveBefore
	if err := decode(d.Before, &b); err != nil {
		return steps.Outcome{}, err
	}
	return steps.Outcome{}, moveGroup(ctx, n, b.Group, s.Node)
}

func moveGroup(ctx context.Context, n node.Node, group, to string) error {
	v, err := clus.Open(ctx, n)
	if err != nil {
		return err
	}
	return moveHint(clus.MoveTo(ctx, n, v, group, to), to)
}

func moveHint(err error, to string) error {
	if clus.IsCode(err, 5071, 5005) {
		return hint.Wrap(err, fmt.Sprintf("is %s a possible owner of every resource of the group, and is the product "+
			"installed there?", to))
	}
	return err
}

// Undo moves the group back.
func (s *Move) Undo(ctx context.Context, n node.Node, before json.RawMessage) error {
	return clus.Undo(ctx, n, before, func(v clus.Reader, b moveBefore) error {
		if b.Owner == "" {
			return nil
		}
		groups, err := v.Groups(ctx)
		if err != nil {
			return err
		}
		g, found := clus.FindGroup(groups, b.Group)
		if !found || strings.EqualFold(g.Owner, b.Owner) {
			return nil
		}
		return moveGroup(ctx, n, g.Name, b.Owner)
	})
}
