package cluster

import (
	"context"
	"encoding/json"
	"fmt"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/steps"
	"deploy/steps/cluster/clus"
)

// Disk puts a shared disk under the cluster's control and gives its resource a name and, if asked,
// a group.
type Disk struct {
	Serial string `json:"serial" doc:"serial number of the disk, the same on every node" required:"true" example:"LUN-DATA-01" check:"compared"`
	Name   string `json:"name" doc:"name of the Physical Disk resource; left alone when empty and the disk is the cluster's already" example:"mbx01-data" check:"compared"`
	Group  string `json:"group" doc:"group that holds it; when empty a new disk goes to the cluster's available storage and one that has a group stays there" check:"compared"`
}

type diskBefore struct {
	Serial  string `json:"serial"`
	Existed bool   `json:"existed"`
	Name    string `json:"name,omitempty"`
	Group   string `json:"group,omitempty"`
}

func diskKind() steps.Kind {
	return steps.Kind{
		Name:    "cluster.disk",
		OS:      "windows",
		Summary: "Puts a shared disk under the cluster's control.",
		Doc: "Finds the disk by serial number on the node, and its cluster resource by the disk signature or GUID that " +
			"both know. " +
			"A disk that is not the cluster's yet is added to the available storage (on 2003 to the named group) and brought " +
			"online. " +
			"Moving it to a group of another owner brings along only groups that hold nothing but disks.",
		Undo:  "Removes the resource that it made; the data stay. A resource that was there gets its name and group back.",
		Proof: proof,
		Sources: []string{"MSCluster_AvailableDisk.AddToCluster", "Physical Disk private properties",
			"Cluster resource command"},
		Calls: calls(clus.ReadCalls(), clus.DiskCalls(),
			clus.HandCalls(clus.RenameResource, clus.MoveResource, clus.MoveGroup, clus.CreateResource, clus.DeleteResource,
				clus.ResourceUp, clus.ResourceDown),
			[]node.Call{
				{WMI: clus.Namespace + ":MSCluster_AvailableDisk", Props: []string{"Id", "Signature", "GptGuid", "Number"},
					Method: "AddToCluster", Args: []string{"ResourceName"}, On: from2008()},
				{Property: "DiskSignature", Of: "Physical Disk Private Properties", On: from2008()},
				{Property: "DiskIdGuid", Of: "Physical Disk Private Properties", On: from2008()},
				{Property: "Signature", Of: "Physical Disk Private Properties", On: []node.Release{node.WS2003}},
			}),
		ReadForms: clus.Forms(),
		New:       func() steps.Step { return &Disk{} },
		Example:   "serial: LUN-DATA-01\nname: mbx01-data\n",
	}
}

// Kind names the step.
func (s *Disk) Kind() string { return "cluster.disk" }

// Provides names what exists once the disk is the cluster's.
func (s *Disk) Provides() []string {
	tags := []string{diskTag(s.Serial)}
	if s.Name != "" {
		tags = append(tags, resourceTag(s.Name))
	}
	return tags
}

func diskTag(serial string) string { return "cluster/disk:" + serial }

// Reads names what Check will ask.
func (s *Disk) Reads(f node.Facts) []node.Query { return clus.Reads(f, clus.PartResources) }

// Check looks for the disk's resource.
func (s *Disk) Check(ctx context.Context, r node.Reader) (steps.Diff, error) {
	v, err := clus.Open(ctx, r)
	if err != nil {
		return steps.Diff{}, err
	}
	disk, err := clus.FindDisk(ctx, r, s.Serial)
	if err != nil {
		return steps.Diff{}, err
	}
	if disk.Signature == 0 && disk.GUID == "" && r.Facts().Release.AtLeast(node.WS2012) {
		return steps.Diff{}, hint.Wrap(fmt.Errorf("cannot put disk %s under the cluster's control: it has no partition table",
			s.Serial), "initialise it first, by storage.disk")
	}
	res, found, err := clus.DiskResource(ctx, v, r, disk)
	if err != nil {
		return steps.Diff{}, err
	}
	h := clus.HandOf(r.Facts())
	if !found {
		d := steps.Diff{Action: steps.Create, Before: steps.MustJSON(diskBefore{Serial: s.Serial}),
			Via:     "WMI " + clus.Namespace,
			Changes: []steps.Change{{Attr: "resource", From: nil, To: s.Name}}}
		if r.Facts().Release == node.WS2003 {
			if s.Group == "" || s.Name == "" {
				return steps.Diff{}, fmt.Errorf("cannot put disk %s under the cluster's control: on Windows Server 2003 name "+
					"and group must be given", s.Serial)
			}
			d.Via = h.Via(clus.CreateResource)
		}
		if s.Name == "" {
			return steps.Diff{}, fmt.Errorf("cannot put disk %s under the cluster's control: the resource needs a name",
				s.Serial)
		}
		if s.Group != "" {
			d.Changes = append(d.Changes, steps.Change{Attr: "group", From: nil, To: s.Group})
		}
		return d, nil
	}
	d := steps.Diff{Action: steps.Update, Before: steps.MustJSON(diskBefore{s.Serial, true, res.Name, res.Group})}
	if s.Name != "" && res.Name != s.Name {
		d.Changes = append(d.Changes, steps.Change{Attr: "name", From: res.Name, To: s.Name})
		d.Via = h.Via(clus.RenameResource)
	}
	if s.Group != "" && !has([]string{res.Group}, s.Group) {
		groups, err := v.Groups(ctx)
		if err != nil {
			return steps.Diff{}, err
		}
		if _, ok := clus.FindGroup(groups, s.Group); !ok {
			return steps.Diff{}, steps.Until(groupTag(s.Group), "the cluster has no such group yet")
		}
		d.Changes = append(d.Changes, steps.Change{Attr: "group", From: res.Group, To: s.Group})
		d.Via = h.Via(clus.MoveResource)
	}
	if len(d.Changes) == 0 {
		return steps.NoChange(), nil
	}
	return d, nil
}

// Apply adds, names and moves the disk.
func (s *Disk) Apply(ctx context.Context, n node.Node, _ steps.Diff) (steps.Outcome, error) {
	v, err := clus.Open(ctx, n)
	if err != nil {
		return steps.Outcome{}, err
	}
	disk, err := clus.FindDisk(ctx, n, s.Serial)
	if err != nil {
		return steps.Outcome{}, err
	}
	res, found, err := clus.DiskResource(ctx, v, n, disk)
	if err != nil {
		return steps.Outcome{}, err
	}
	if !found {
		if res, err = s.add(ctx, n, v, disk); err != nil {
			return steps.Outcome{}, err
		}
	}
	return steps.Outcome{}, arrange(ctx, n, v, res, s.Name, s.Group)
}

// arrange gives a resource its name and group; "" leaves either.
func arrange(ctx context.Context, n node.Node, v clus.Reader, res clus.Resource, name, group string) error {
	if name != "" && res.Name != name {
		if err := clus.HandOf(n.Facts()).Do(ctx, n,
			clus.Change{Op: clus.RenameResource, Name: res.Name, To: name}); err != nil {
			return err
		}
		res.Name = name
	}
	if group == "" || has([]string{res.Group}, group) {
		return nil
	}
	return clus.Regroup(ctx, n, v, res.Name, group)
}

// add makes the resource and waits until it is online.
func (s *Disk) add(ctx context.Context, n node.Node, v clus.Reader, disk clus.Disk) (clus.Resource, error) {
	if n.Facts().Release == node.WS2003 {
		h := clus.HandOf(n.Facts())
		for _, c := range []clus.Change{
			{Op: clus.CreateResource, Name: s.Name, Type: clus.TypeDisk, To: s.Group},
			{Op: clus.SetProperties, Name: s.Name, Of: clus.Object{Resource: s.Name, Private: true},
				Values: map[string]any{"Signature": disk.Signature}},
			{Op: clus.ResourceUp, Name: s.Name},
		} {
			if err := h.Do(ctx, n, c); err != nil {
				return clus.Resource{}, err
			}
		}
	} else {
		id, err := s.available(ctx, n, disk)
		if err != nil {
			return clus.Resource{}, err
		}
		if _, err := n.Do(ctx, node.WMICall{Namespace: clus.Namespace, Class: "MSCluster_AvailableDisk",
			Where:  map[string]any{"Id": id},
			Method: "AddToCluster", Args: map[string]any{"ResourceName": s.Name}}); err != nil {
			return clus.Resource{}, fmt.Errorf("cannot add disk %s to the cluster: %w", s.Serial, err)
		}
	}
	var res clus.Resource
	err := clus.Until(ctx, goneLimit, "disk "+s.Serial+" to become a resource", func(ctx context.Context) (bool, error) {
		var found bool
		var err error
		res, found, err = clus.DiskResource(ctx, v, n, disk)
		return found, err
	})
	if err != nil {
		return res, err
	}
	return res, clus.WaitResource(ctx, v, res.Name, clus.ResourceOnline)
}

// available finds the disk among those that the cluster could take.
func (s *Disk) available(ctx context.Context, r node.Reader, disk clus.Disk) (string, error) {
	rows, err := r.Query(ctx, node.WMI{Namespace: clus.Namespace, Class: "MSCluster_AvailableDisk",
		Props: []string{"Id", "Signature", "GptGuid", "Number"}})
	if err != nil {
		return "", fmt.Errorf("cannot list the disks that the cluster could take: %w", err)
	}
	for _, row := range rows {
		if disk.Same(row.Int("Signature"), row.String("GptGuid")) {
			return row.String("Id"), nil
		}
	}
	return "", hint.Wrap(fmt.Errorf("cannot add disk %s to the cluster: it is not among the %d disks that the cluster "+
		"could take", s.Serial, len(rows)),
		"every node must see the disk, it must be a basic disk with a partition, and no other cluster may hold it")
}

// Undo removes the resource that the step made, or gives name and group back.
func (s *Disk) Undo(ctx context.Context, n node.Node, before json.RawMessage) error {
	return clus.Undo(ctx, n, before, func(v clus.Reader, b diskBefore) error {
		disk, err := clus.FindDisk(ctx, n, b.Serial)
		if err != nil {
			return err
		}
		res, found, err := clus.DiskResource(ctx, v, n, disk)
		if err != nil || !found {
			return err
		}
		if b.Existed {
			if s.Name == "" {
				b.Name = ""
			}
			if s.Group == "" {
				b.Group = ""
			}
			return arrange(ctx, n, v, res, b.Name, b.Group)
		}
		return removeResource(ctx, n, v, res)
	})
}

// removeResource takes a resource offline and deletes it.
func removeResource(ctx context.Context, n node.Node, v clus.Reader, res clus.Resource) error {
	h := clus.HandOf(n.Facts())
	if res.State != clus.ResourceOffline && res.State != clus.ResourceFailed {
		if err := h.Do(ctx, n, clus.Change{Op: clus.ResourceDown, Name: res.Name}); err != nil {
			return err
		}
		if err := clus.WaitResource(ctx, v, res.Name, clus.ResourceOffline); err != nil {
			return err
		}
	}
	err := h.Do(ctx, n, clus.Change{Op: clus.DeleteResource, Name: res.Name})
	if err != nil && clus.Absent(err) {
		return nil
	}
	return err
}
