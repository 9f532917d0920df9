package failover

import (
	"strings"

	"deploy/internal/lab/model"
	"deploy/internal/node"
)

type clusterNode = model.ClusterNode

func (t *tool) runGroup() error {
	if t.name == "" {
		if len(t.opts) > 0 && !t.has("status") && !t.has("node") {
			return InvalidParameter
		}
		t.groups("", t.value("node"))
		return nil
	}
	if t.has("create") {
		g, err := CreateGroup(t.c, t.cl, t.name)
		if err != nil {
			return err
		}
		t.groups(g.Name, "")
		return nil
	}
	g := Group(t.cl, t.name)
	if g == nil {
		return GroupNotFound
	}
	switch {
	case t.has("delete"):
		return DeleteGroup(t.cl, g)
	case t.has("rename"):
		if err := RenameGroup(t.cl, g, t.value("rename")); err != nil {
			return err
		}
	case t.has("moveto"):
		if err := t.f.MoveGroup(t.c, t.cl, g, t.value("moveto")); err != nil {
			t.groups(g.Name, "")
			return err
		}
	case t.has("online"):
		if to := t.value("online"); to != "" {
			if err := t.f.MoveGroup(t.c, t.cl, g, to); err != nil {
				return err
			}
		}
		if err := t.f.OnlineGroup(t.c, t.cl, g); err != nil {
			t.groups(g.Name, "")
			return err
		}
	case t.has("offline"):
		if err := t.f.OfflineGroup(t.c, t.cl, g); err != nil {
			return err
		}
	case t.has("listowners"):
		t.owners(g.PreferredOwners)
		return nil
	case t.has("setowners"):
		return SetPreferredOwners(t.cl, g, list(t.value("setowners")))
	case t.has("properties"), t.has("privproperties"):
		return t.properties(object{kind: "group", name: g.Name, cl: t.cl, group: g})
	}
	t.groups(g.Name, "")
	return nil
}

// groups: columns 20, 15 and 6.
func (t *tool) groups(name, owner string) {
	t.heading("resource groups", "resource group", name)
	var rows [][]string
	for _, g := range t.cl.Groups {
		if (name == "" || g.Name == name) && (owner == "" || strings.EqualFold(owner, g.Owner)) {
			rows = append(rows, []string{g.Name, g.Owner, t.w.group(GroupState(t.cl, g))})
		}
	}
	t.table([]column{{t.w.groupH, 20, false}, {t.w.nodeH, 15, false}, {t.w.statusH, 6, false}}, rows)
}

// owners prints a list of nodes. UNCONFIRMED shape.
func (t *tool) owners(names []string) {
	var rows [][]string
	for _, n := range names {
		rows = append(rows, []string{n})
	}
	t.table([]column{{t.w.nodeH, 20, false}}, rows)
}

func (t *tool) runResource() error {
	if t.name == "" {
		if len(t.opts) > 0 && !t.has("status") {
			return InvalidParameter
		}
		t.resources(t.cl.Resources, "")
		return nil
	}
	if t.has("create") {
		g, typ := t.opt("group"), t.opt("type")
		if g == nil || typ == nil {
			return InvalidParameter
		}
		r, err := t.f.CreateResource(t.c, t.cl, t.name, typ.value, g.value)
		if err != nil {
			return err
		}
		r.Separate = t.has("separate")
		t.resources([]*model.ClusterResource{r}, r.Name)
		return nil
	}
	r := Resource(t.cl, t.name)
	if r == nil {
		return ResourceNotFound
	}
	err := t.changeResource(r)
	if err == errDone {
		return nil
	}
	if err != nil && !t.slow() {
		return err
	}
	if Resource(t.cl, r.ID) != nil {
		t.resources([]*model.ClusterResource{r}, r.Name)
	}
	return err
}

// errDone says that the command printed its own answer. It is no failure.
const errDone = Code(0)

func (t *tool) changeResource(r *model.ClusterResource) error {
	switch {
	case t.has("delete"):
		if err := t.f.DeleteResource(t.c, t.cl, r); err != nil {
			return err
		}
		return errDone
	case t.has("rename"):
		return RenameResource(t.cl, r, t.value("rename"))
	case t.has("moveto"):
		return t.f.MoveResource(t.c, t.cl, r, t.value("moveto"))
	case t.has("online"):
		return t.f.Online(t.c, t.cl, r)
	case t.has("offline"):
		return t.f.Offline(t.c, t.cl, r)
	case t.has("fail"):
		return t.f.Fail(t.c, t.cl, r)
	case t.has("listowners"):
		t.owners(PossibleOwners(t.cl, r))
		return errDone
	case t.has("addowner"):
		n := Node(t.cl, t.value("addowner"))
		if n == nil {
			return NodeNotFound
		}
		have := PossibleOwners(t.cl, r)
		if containsFold(have, n.Name) {
			return ObjectExists // UNCONFIRMED code
		}
		return SetOwners(t.cl, r, append(have, n.Name))
	case t.has("removeowner"):
		n := Node(t.cl, t.value("removeowner"))
		if n == nil {
			return NodeNotFound
		}
		var keep []string
		for _, x := range PossibleOwners(t.cl, r) {
			if x != n.Name {
				keep = append(keep, x)
			}
		}
		if len(keep) == 0 {
			return InvalidParameter
		}
		return SetOwners(t.cl, r, keep)
	case t.has("listdependencies"):
		t.resources(providers(t.cl, r), "")
		return errDone
	case t.has("adddependency"):
		return AddDependency(t.cl, r, t.value("adddependency"))
	case t.has("removedependency"):
		return RemoveDependency(t.cl, r, t.value("removedependency"))
	case t.has("registerdns"):
		if !t.c.AtLeast(node.WS2008) {
			return InvalidParameter
		}
		return registerNow(t.c.W, t.cl, r)
	case t.has("properties"), t.has("privproperties"):
		if err := t.properties(object{kind: "resource", name: r.Name, cl: t.cl, resource: r}); err != nil {
			return err
		}
		return errDone
	}
	return nil
}

// registerNow registers a Network Name in DNS again; it has to be online.
func registerNow(w *model.World, cl *model.Cluster, r *model.ClusterResource) error {
	if r.Type != typeName {
		return InvalidRequest
	}
	if r.State != stateOnline {
		return ResourceNotOnline
	}
	registerDNS(w, cl, r)
	return nil
}

// resources: columns 20, 20, 15 and 6.
func (t *tool) resources(of []*model.ClusterResource, name string) {
	t.heading("resources", "resource", name)
	var rows [][]string
	for _, r := range of {
		owner := ""
		if g := Group(t.cl, r.Group); g != nil {
			owner = g.Owner
		}
		rows = append(rows, []string{r.Name, r.Group, owner, t.w.resource(r.State)})
	}
	t.table([]column{{t.w.resourceH, 20, false}, {t.w.groupH, 20, false}, {t.w.nodeH, 15, false}, {t.w.statusH, 6, false}},
		rows)
}
