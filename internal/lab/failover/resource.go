package failover

import (
	"slices"
	"strings"

	"deploy/internal/lab/machine"
	"deploy/internal/lab/model"
	"deploy/internal/node"
)

// validName says that a text can name a group, a resource or a network.
func validName(s string) bool {
	return strings.TrimSpace(s) != "" && len([]rune(s)) <= 255 && !strings.ContainsAny(s, "[]")
}

// CreateGroup makes an empty group on the node that c runs on, or on the first one that is up. 5010
// when the name is taken.
func CreateGroup(c *machine.Ctx, cl *model.Cluster, name string) (*model.ClusterGroup, error) {
	if !validName(name) {
		return nil, InvalidParameter
	}
	if Group(cl, name) != nil {
		return nil, ObjectExists
	}
	owner := nodeOf(cl, c.M.Name)
	if owner == nil || owner.State != 0 {
		up := upNodes(cl)
		if len(up) == 0 {
			return nil, HostNotAvailable
		}
		owner = up[0]
	}
	g := &model.ClusterGroup{ID: guid(c.W), Name: name, Owner: owner.Name, Type: 9999}
	cl.Groups = append(cl.Groups, g)
	return g, nil
}

// DeleteGroup removes a group. 145 while it holds resources (UNCONFIRMED code), 5026 for a core
// group.
func DeleteGroup(cl *model.Cluster, g *model.ClusterGroup) error {
	if g.Core {
		return CoreResource
	}
	if len(Resources(cl, g.Name)) > 0 {
		return DirNotEmpty
	}
	cl.Groups = slices.DeleteFunc(cl.Groups, func(x *model.ClusterGroup) bool { return x == g })
	return nil
}

// RenameGroup gives a group another name.
func RenameGroup(cl *model.Cluster, g *model.ClusterGroup, name string) error {
	if !validName(name) {
		return InvalidParameter
	}
	if o := Group(cl, name); o != nil && o != g {
		return ObjectExists
	}
	for _, r := range Resources(cl, g.Name) {
		r.Group = name
	}
	g.Name = name
	return nil
}

// RegisterType makes a resource type known to a cluster, as a product's setup does. One that is
// known stays as it is.
func RegisterType(cl *model.Cluster, t Type) {
	if ResourceType(cl, t.Name) != nil {
		return
	}
	if cl.Types == nil {
		cl.Types = map[string]*model.ResourceType{}
	}
	display, dll := t.Display, t.DLL
	if display == "" {
		display = t.Name
	}
	if dll == "" {
		dll = "clusres.dll"
	}
	cl.Types[t.Name] = &model.ResourceType{Name: t.Name, Display: display, DLL: dll, Class: t.Class}
}

// CreateResource makes a resource, offline. 5010 when the name is taken, 5013 without the group,
// 5078 without the type.
func (f *Family) CreateResource(c *machine.Ctx, cl *model.Cluster, name, typ, group string) (*model.ClusterResource,
	error) {
	if !validName(name) {
		return nil, InvalidParameter
	}
	g := Group(cl, group)
	if g == nil {
		return nil, GroupNotFound
	}
	t := ResourceType(cl, typ)
	if t == nil {
		return nil, TypeNotFound
	}
	if Resource(cl, name) != nil {
		return nil, ObjectExists
	}
	r := &model.ClusterResource{ID: guid(c.W), Name: name, Type: t.Name, Group: g.Name, State: stateOffline}
	if r.Type == typeIP { // DHCP is off unless it is asked for
		r.Private = model.Props{}
	}
	cl.Resources = append(cl.Resources, r)
	return r, nil
}

// DeleteResource removes a resource that is offline. 5001 while others depend on it, 5020 for the
// witness, 5026 for a core resource, 5019 while it is online.
func (f *Family) DeleteResource(c *machine.Ctx, cl *model.Cluster, r *model.ClusterResource) error {
	switch {
	case witness(cl) == r:
		return QuorumResource
	case r.Core:
		return CoreResource
	case len(dependents(cl, r)) > 0:
		return DependentExists
	case r.State != stateOffline && r.State != stateFailed:
		return ResourceOnline
	}
	f.forget(c, cl, r)
	return nil
}

// forget removes a resource whatever stands against it, and what it left outside of the cluster.
func (f *Family) forget(c *machine.Ctx, cl *model.Cluster, r *model.ClusterResource) {
	switch r.Type {
	case typeDisk:
		unclaim(c.W, cl, r)
	case typeName:
		unregister(c.W, cl, r)
	}
	cl.Resources = slices.DeleteFunc(cl.Resources, func(x *model.ClusterResource) bool { return x == r })
}

// RenameResource gives a resource another name; dependencies follow.
func RenameResource(cl *model.Cluster, r *model.ClusterResource, name string) error {
	if !validName(name) {
		return InvalidParameter
	}
	if o := Resource(cl, name); o != nil && o != r {
		return ObjectExists
	}
	for _, x := range cl.Resources {
		if e := dependency(x); containsFold(e.names(), r.Name) {
			x.DependsOn = e.renamed(r.Name, name).text()
		}
	}
	r.Name = name
	return nil
}

// MoveResource puts a resource, and everything that hangs together with it by dependencies, into
// another group. On 2003 both groups have to have one owner (UNCONFIRMED code 5016); later ones
// take the resources along to the new owner.
func (f *Family) MoveResource(c *machine.Ctx, cl *model.Cluster, r *model.ClusterResource, group string) error {
	g := Group(cl, group)
	if g == nil {
		return GroupNotFound
	}
	if strings.EqualFold(r.Group, g.Name) {
		return nil
	}
	old := Group(cl, r.Group)
	all := connected(cl, r)
	same := old == nil || strings.EqualFold(old.Owner, g.Owner)
	if !same && releaseOf(c.W, cl) == node.WS2003 {
		return NotGroupOwner
	}
	if !same {
		for _, x := range all {
			if len(x.Owners) > 0 && !containsFold(x.Owners, g.Owner) {
				return NodeCannotHost
			}
			f.drop(c, cl, x)
		}
	}
	for _, x := range all {
		x.Group = g.Name
	}
	if same {
		return nil
	}
	var first error
	for _, x := range all {
		if x.Wanted {
			if err := f.bring(c, cl, x); err != nil && first == nil {
				first = err
			}
		}
	}
	return first
}

// SetOwners replaces the possible owners of a resource; an empty list means every node. A node that
// is no member is 5042.
func SetOwners(cl *model.Cluster, r *model.ClusterResource, names []string) error {
	list, err := members(cl, names)
	if err != nil {
		return err
	}
	if g := Group(cl, r.Group); len(list) > 0 && r.State == stateOnline && g != nil && !containsFold(list, g.Owner) {
		return InvalidState // UNCONFIRMED: the present owner of what is online cannot be taken away
	}
	if len(list) == len(cl.Nodes) {
		list = nil
	}
	r.Owners = list
	return nil
}

// PossibleOwners lists the nodes that may own a resource.
func PossibleOwners(cl *model.Cluster, r *model.ClusterResource) []string {
	var out []string
	for _, n := range cl.Nodes {
		if len(r.Owners) == 0 || containsFold(r.Owners, n.Name) {
			out = append(out, n.Name)
		}
	}
	return out
}

// SetPreferredOwners replaces the preferred owners of a group, most preferred first.
func SetPreferredOwners(cl *model.Cluster, g *model.ClusterGroup, names []string) error {
	list, err := members(cl, names)
	if err != nil {
		return err
	}
	g.PreferredOwners = list
	return nil
}

func members(cl *model.Cluster, names []string) ([]string, error) {
	var out []string
	for _, name := range names {
		n := Node(cl, name)
		if n == nil {
			return nil, NodeNotFound
		}
		if containsFold(out, n.Name) {
			return nil, InvalidParameter
		}
		out = append(out, n.Name)
	}
	return out, nil
}
