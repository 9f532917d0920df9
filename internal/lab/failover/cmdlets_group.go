package failover

import (
	"strings"

	"deploy/internal/lab/machine"
	"deploy/internal/lab/model"
)

func named(text string, props machine.Object) machine.Object {
	props[""] = text
	if _, ok := props["Name"]; !ok {
		props["Name"] = text
	}
	return props
}

func (f *Family) psGroup(c *machine.Ctx, cl *model.Cluster, g *model.ClusterGroup) machine.Object {
	s := GroupState(cl, g)
	kind := map[int]string{1: "Cluster", 2: "AvailableStorage", 9999: "Unknown"}[g.Type]
	o := named(g.Name, machine.Object{"Id": g.ID, "Cluster": cl.Name, "IsCoreGroup": g.Core,
		"State": machine.Enum{Number: int64(s), Name: []string{"Online", "Offline", "Failed", "PartialOnline",
			"Pending"}[s]},
		"GroupType": machine.Enum{Number: int64(g.Type), Name: kind}, "OwnerNode": named(g.Owner, machine.Object{})})
	if n := nodeOf(cl, g.Owner); n != nil {
		o["OwnerNode"] = f.psNode(cl, c.W, n)
	}
	f.common(o, c.W, object{kind: "group", name: g.Name, cl: cl, group: g})
	return o
}

func (f *Family) psResource(c *machine.Ctx, cl *model.Cluster, r *model.ClusterResource) machine.Object {
	word := map[int]string{stateOnline: "Online", stateOffline: "Offline", stateFailed: "Failed",
		stateOnlinePending: "OnlinePending", stateOfflinePending: "OfflinePending"}[r.State]
	t := f.types[strings.ToLower(r.Type)]
	o := named(r.Name, machine.Object{"Id": r.ID, "Cluster": cl.Name, "IsCoreResource": r.Core,
		"State":        machine.Enum{Number: int64(r.State), Name: word},
		"ResourceType": named(r.Type, machine.Object{"ResourceClass": int64(t.Class)}),
		"OwnerGroup":   named(r.Group, machine.Object{}), "OwnerNode": named("", machine.Object{}),
		"DependencyExpression": dependency(r).shown()})
	if g := Group(cl, r.Group); g != nil {
		o["OwnerGroup"] = f.psGroup(c, cl, g)
		o["OwnerNode"] = named(g.Owner, machine.Object{})
	}
	f.common(o, c.W, object{kind: "resource", name: r.Name, cl: cl, resource: r})
	return o
}

// groupsOf finds the groups of -Name; without it all.
func groupsOf(cl *model.Cluster, p map[string]any) ([]*model.ClusterGroup, error) {
	names := machine.ArgStrings(p, "Name")
	if len(names) == 0 {
		return cl.Groups, nil
	}
	var out []*model.ClusterGroup
	for _, n := range names {
		g := Group(cl, n)
		if g == nil {
			return nil, GroupNotFound
		}
		out = append(out, g)
	}
	return out, nil
}

// oneGroup finds the group of -Name, which has to be there.
func oneGroup(cl *model.Cluster, p map[string]any) (*model.ClusterGroup, error) {
	g := Group(cl, arg(p, "Name"))
	if g == nil {
		return nil, GroupNotFound
	}
	return g, nil
}

func (f *Family) psGetGroup(c *machine.Ctx, cl *model.Cluster, p map[string]any) (rows, error) {
	if machine.HasArg(p, "VMId") {
		return nil, NotSupported
	}
	list, err := groupsOf(cl, p)
	var out rows
	for _, g := range list {
		out = append(out, f.psGroup(c, cl, g))
	}
	return out, err
}

func (f *Family) psAddGroup(c *machine.Ctx, cl *model.Cluster, p map[string]any) (rows, error) {
	var out rows
	for _, name := range machine.ArgStrings(p, "Name") {
		g, err := CreateGroup(c, cl, name)
		if err != nil {
			return nil, err
		}
		if n, ok := machine.ArgInt(p, "GroupType"); ok {
			g.Type = int(n)
		}
		out = append(out, f.psGroup(c, cl, g))
	}
	return out, nil
}

func (f *Family) psRemoveGroup(c *machine.Ctx, cl *model.Cluster, p map[string]any) (rows, error) {
	if len(machine.ArgStrings(p, "Name")) == 0 {
		return nil, InvalidParameter
	}
	list, err := groupsOf(cl, p)
	if err != nil {
		return nil, err
	}
	for _, g := range list {
		if machine.ArgBool(p, "RemoveResources") {
			err = f.destroyGroup(c, cl, g)
		} else {
			err = DeleteGroup(cl, g)
		}
		if err != nil {
			return nil, err
		}
	}
	return nil, nil
}

func (f *Family) psStartGroup(c *machine.Ctx, cl *model.Cluster, p map[string]any) (rows, error) {
	g, err := oneGroup(cl, p)
	if err == nil {
		err = f.OnlineGroup(c, cl, g)
	}
	if err != nil {
		return nil, err
	}
	return rows{f.psGroup(c, cl, g)}, nil
}

func (f *Family) psStopGroup(c *machine.Ctx, cl *model.Cluster, p map[string]any) (rows, error) {
	g, err := oneGroup(cl, p)
	if err == nil {
		err = f.OfflineGroup(c, cl, g)
	}
	if err != nil {
		return nil, err
	}
	return rows{f.psGroup(c, cl, g)}, nil
}

func (f *Family) psMoveGroup(c *machine.Ctx, cl *model.Cluster, p map[string]any) (rows, error) {
	g, err := oneGroup(cl, p)
	if err == nil {
		err = f.MoveGroup(c, cl, g, arg(p, "Node"))
	}
	if err != nil {
		return nil, err
	}
	return rows{f.psGroup(c, cl, g)}, nil
}

func oneResource(cl *model.Cluster, name string) (*model.ClusterResource, error) {
	r := Resource(cl, name)
	if r == nil {
		return nil, ResourceNotFound
	}
	return r, nil
}

func (f *Family) psGetResource(c *machine.Ctx, cl *model.Cluster, p map[string]any) (rows, error) {
	if machine.HasArg(p, "VMId") {
		return nil, NotSupported
	}
	names := machine.ArgStrings(p, "Name")
	var out rows
	for _, n := range names {
		r, err := oneResource(cl, n)
		if err != nil {
			return nil, err
		}
		out = append(out, f.psResource(c, cl, r))
	}
	if len(names) == 0 {
		for _, r := range cl.Resources {
			out = append(out, f.psResource(c, cl, r))
		}
	}
	return out, nil
}

func (f *Family) psAddResource(c *machine.Ctx, cl *model.Cluster, p map[string]any) (rows, error) {
	r, err := f.CreateResource(c, cl, arg(p, "Name"), arg(p, "ResourceType"), arg(p, "Group"))
	if err != nil {
		return nil, err
	}
	r.Separate = machine.ArgBool(p, "SeparateMonitor")
	return rows{f.psResource(c, cl, r)}, nil
}

// psRemoveResource takes the resource offline first: the cmdlet does not ask for that.
func (f *Family) psRemoveResource(c *machine.Ctx, cl *model.Cluster, p map[string]any) (rows, error) {
	names := machine.ArgStrings(p, "Name")
	if len(names) == 0 {
		return nil, InvalidParameter
	}
	for _, n := range names {
		r, err := oneResource(cl, n)
		if err != nil {
			return nil, err
		}
		if witness(cl) != r && !r.Core && len(dependents(cl, r)) == 0 {
			f.drop(c, cl, r)
		}
		if err := f.DeleteResource(c, cl, r); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

func (f *Family) psStartResource(c *machine.Ctx, cl *model.Cluster, p map[string]any) (rows, error) {
	r, err := oneResource(cl, arg(p, "Name"))
	if err == nil {
		err = f.Online(c, cl, r)
	}
	if err != nil {
		return nil, err
	}
	return rows{f.psResource(c, cl, r)}, nil
}

func (f *Family) psStopResource(c *machine.Ctx, cl *model.Cluster, p map[string]any) (rows, error) {
	r, err := oneResource(cl, arg(p, "Name"))
	if err == nil {
		err = f.Offline(c, cl, r)
	}
	if err != nil {
		return nil, err
	}
	return rows{f.psResource(c, cl, r)}, nil
}

func (f *Family) psMoveResource(c *machine.Ctx, cl *model.Cluster, p map[string]any) (rows, error) {
	r, err := oneResource(cl, arg(p, "Name"))
	if err == nil {
		err = f.MoveResource(c, cl, r, arg(p, "Group"))
	}
	if err != nil {
		return nil, err
	}
	return rows{f.psResource(c, cl, r)}, nil
}

// psGetParameter reads the cluster's own private properties: other objects arrive through the
// pipeline, which a session that passes data has not. WMI's PrivateProperties show theirs.
func (f *Family) psGetParameter(c *machine.Ctx, cl *model.Cluster, p map[string]any) (rows, error) {
	o := object{kind: "cluster", name: cl.Name, cl: cl}
	rel := releaseOf(c.W, cl)
	names := machine.ArgStrings(p, "Name")
	for _, n := range names {
		if _, ok := f.property(o, rel, n, true); !ok {
			return nil, InvalidParameter
		}
	}
	var out rows
	for _, q := range f.table(o, rel, true) {
		if len(names) > 0 && !containsFold(names, q.Name) {
			continue
		}
		out = append(out, machine.Object{"": q.Name, "Object": cl.Name, "Name": q.Name, "Value": f.value(c.W, o, q, true),
			"IsReadOnly": q.Access == "ro"})
	}
	return out, nil
}

func (f *Family) psSetParameter(c *machine.Ctx, cl *model.Cluster, p map[string]any) (rows, error) {
	o := object{kind: "cluster", name: cl.Name, cl: cl}
	set := map[string]any{}
	if m, ok := machine.Arg(p, "Multiple").(map[string]any); ok {
		for k, v := range m {
			set[k] = v
		}
	}
	if n := arg(p, "Name"); n != "" {
		set[n] = machine.Arg(p, "Value")
		if machine.ArgBool(p, "Delete") {
			set[n] = nil
		}
	}
	if len(set) == 0 || machine.ArgBool(p, "Create") {
		return nil, InvalidParameter
	}
	for _, n := range sorted(set) {
		if set[n] == nil && !machine.ArgBool(p, "Delete") {
			return nil, InvalidParameter
		}
		if err := f.setProperty(c, o, n, set[n], true); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

func (f *Family) psGetDependency(c *machine.Ctx, cl *model.Cluster, p map[string]any) (rows, error) {
	names := machine.ArgStrings(p, "Resource")
	if len(names) == 0 {
		for _, r := range cl.Resources {
			names = append(names, r.Name)
		}
	}
	var out rows
	for _, n := range names {
		r, err := oneResource(cl, n)
		if err != nil {
			return nil, err
		}
		e := dependency(r)
		if machine.ArgBool(p, "Guid") {
			for _, q := range providers(cl, r) {
				e = e.renamed(q.Name, q.ID)
			}
		}
		out = append(out, machine.Object{"": r.Name, "Resource": f.psResource(c, cl, r), "DependencyExpression": e.shown()})
	}
	return out, nil
}

func (f *Family) psSetDependency(c *machine.Ctx, cl *model.Cluster, p map[string]any) (rows, error) {
	r, err := oneResource(cl, arg(p, "Resource"))
	if err == nil {
		err = SetDependency(cl, r, arg(p, "Dependency"))
	}
	return nil, err
}

func (f *Family) psAddDependency(c *machine.Ctx, cl *model.Cluster, p map[string]any) (rows, error) {
	r, err := oneResource(cl, arg(p, "Resource"))
	if err == nil {
		err = AddDependency(cl, r, arg(p, "Provider"))
	}
	if err != nil {
		return nil, err
	}
	return rows{f.psResource(c, cl, r)}, nil
}

func (f *Family) psRemoveDependency(c *machine.Ctx, cl *model.Cluster, p map[string]any) (rows, error) {
	r, err := oneResource(cl, arg(p, "Resource"))
	if err == nil {
		err = RemoveDependency(cl, r, arg(p, "Provider"))
	}
	if err != nil {
		return nil, err
	}
	return rows{f.psResource(c, cl, r)}, nil
}

// psGetOwner lists the preferred owners of a group or the possible owners of a resource or a type.
func (f *Family) psGetOwner(c *machine.Ctx, cl *model.Cluster, p map[string]any) (rows, error) {
	var names []string
	name := ""
	switch {
	case arg(p, "Group") != "":
		g := Group(cl, arg(p, "Group"))
		if g == nil {
			return nil, GroupNotFound
		}
		name, names = g.Name, g.PreferredOwners
	case arg(p, "Resource") != "":
		r, err := oneResource(cl, arg(p, "Resource"))
		if err != nil {
			return nil, err
		}
		name, names = r.Name, PossibleOwners(cl, r)
	case arg(p, "ResourceType") != "":
		t := ResourceType(cl, arg(p, "ResourceType"))
		if t == nil {
			return nil, TypeNotFound
		}
		name = t.Name
		for _, n := range cl.Nodes {
			names = append(names, n.Name)
		}
	default:
		return nil, InvalidParameter
	}
	nodes := []any{}
	for _, n := range names {
		nodes = append(nodes, f.psNode(cl, c.W, nodeOf(cl, n)))
	}
	return rows{{"": name, "ClusterObject": name, "OwnerNodes": nodes}}, nil
}

func (f *Family) psSetOwner(c *machine.Ctx, cl *model.Cluster, p map[string]any) (rows, error) {
	owners := machine.ArgStrings(p, "Owners")
	switch {
	case arg(p, "Group") != "":
		g := Group(cl, arg(p, "Group"))
		if g == nil {
			return nil, GroupNotFound
		}
		return nil, SetPreferredOwners(cl, g, owners)
	case arg(p, "Resource") != "":
		r, err := oneResource(cl, arg(p, "Resource"))
		if err == nil {
			err = SetOwners(cl, r, owners)
		}
		return nil, err
	}
	return nil, InvalidParameter
}

func (f *Family) psAvailableDisk(c *machine.Ctx, cl *model.Cluster, p map[string]any) (rows, error) {
	if machine.HasArg(p, "Disk") || machine.ArgBool(p, "All") {
		return nil, NotSupported
	}
	var out rows
	for i, d := range eligible(c, cl) {
		o := machine.Object{"Cluster": cl.Name, "Id": diskID(d), "Name": numbered(lang(c.M.Locale).disk, i+1),
			"Size": d.SizeMB << 20}
		for _, v := range c.M.Visible {
			if v.Serial == d.Serial {
				o["Number"] = int64(v.Number)
			}
		}
		o[""] = o["Name"]
		out = append(out, o)
	}
	return out, nil
}

// psAddDisk takes only what Get-ClusterAvailableDisk gave, and objects do not travel as data: it is
// refused. What has data only uses MSCluster_AvailableDisk.AddToCluster.
func (f *Family) psAddDisk(*machine.Ctx, *model.Cluster, map[string]any) (rows, error) {
	return nil, NotSupported
}

func (f *Family) psGetType(c *machine.Ctx, cl *model.Cluster, p map[string]any) (rows, error) {
	names := machine.ArgStrings(p, "Name")
	for _, n := range names {
		if ResourceType(cl, n) == nil {
			return nil, TypeNotFound
		}
	}
	var out rows
	for _, o := range f.objectsOf(c.W, cl, "restype") {
		if len(names) > 0 && !containsFold(names, o.name) {
			continue
		}
		row := named(o.name, machine.Object{"DisplayName": o.restype.Display, "DllName": o.restype.DLL, "Cluster": cl.Name})
		f.common(row, c.W, o)
		out = append(out, row)
	}
	return out, nil
}

// psUpdateName registers network names in DNS again.
func (f *Family) psUpdateName(c *machine.Ctx, cl *model.Cluster, p map[string]any) (rows, error) {
	for _, n := range machine.ArgStrings(p, "Name") {
		r, err := oneResource(cl, n)
		if err == nil {
			err = registerNow(c.W, cl, r)
		}
		if err != nil {
			return nil, err
		}
	}
	return nil, nil
}
