package failover

import (
	"strings"

	"deploy/internal/lab/machine"
	"deploy/internal/lab/model"
)

const hiveRoot = `HKLM\Cluster`

// hive is HKLM\Cluster: the cluster database, which the Cluster service loads and unloads. It is
// read only here: writing below the service's back is not documented.
func (f *Family) hive() *machine.Hive {
	return &machine.Hive{
		Root: hiveRoot,
		Load: f.loadHive,
		Set: func(c *machine.Ctx, key, name, typ string, data any) (bool, error) {
			if FindCluster(c) == nil {
				return false, nil
			}
			return true, &machine.Fail{Code: int64(AccessDenied), Category: "PermissionDenied",
				Text: "the lab does not take writes to the cluster database: " + key}
		},
		Delete: func(c *machine.Ctx, key, name string) bool { return FindCluster(c) != nil },
	}
}

// hiveKeys collects computed keys.
type hiveKeys model.Registry

func (h hiveKeys) set(path, name string, value any) {
	k := h[strings.ToLower(path)]
	if k == nil {
		k = &model.Key{Path: path, Values: map[string]*model.Value{}}
		h[strings.ToLower(path)] = k
	}
	if name == "" {
		return
	}
	v := &model.Value{Name: name}
	switch x := value.(type) {
	case int64:
		v.Type, v.Data = "dword", x
	case int:
		v.Type, v.Data = "dword", int64(x)
	case string:
		v.Type, v.Data = "string", x
	case []string:
		v.Type, v.Data = "multi", append([]string{}, x...)
	case []any:
		list := []string{}
		for _, s := range x {
			if t, ok := s.(string); ok {
				list = append(list, t)
			}
		}
		v.Type, v.Data = "multi", list
	default:
		return
	}
	k.Values[strings.ToLower(name)] = v
}

// loadHive writes the database as a member's registry shows it. UNCONFIRMED: everything but the
// keys Nodes, Networks (Role), Resources (Name, Type, Parameters) and Groups.
func (f *Family) loadHive(c *machine.Ctx) model.Registry {
	f.Settle(c)
	cl := FindCluster(c)
	if cl == nil {
		return nil
	}
	h := hiveKeys{}
	h.set(hiveRoot, "ClusterName", cl.Name)
	h.set(hiveRoot, "ClusterInstanceID", cl.ID)
	for n, v := range cl.Properties {
		h.set(hiveRoot, n, v)
	}
	for _, n := range cl.Nodes {
		h.set(hiveRoot+`\Nodes\`+itoa(n.ID), "NodeName", n.Name)
	}
	for _, n := range cl.Networks {
		p := hiveRoot + `\Networks\` + n.ID
		h.set(p, "Name", n.Name)
		h.set(p, "Address", n.Address)
		h.set(p, "AddressMask", n.Mask)
		h.set(p, "Role", n.Role)
	}
	for _, i := range cards(c.W, cl) {
		if i.network == nil {
			continue
		}
		p := hiveRoot + `\NetworkInterfaces\` + strings.ToLower(trimBraces(i.adapter.GUID))
		h.set(p, "Name", i.name())
		h.set(p, "Node", itoa(i.node.ID))
		h.set(p, "Network", i.network.ID)
		h.set(p, "Address", i.address)
	}
	for _, g := range cl.Groups {
		p := hiveRoot + `\Groups\` + g.ID
		h.set(p, "Name", g.Name)
		h.set(p, "GroupType", g.Type)
		h.set(p, "PersistentState", truth(g.Persistent))
		var contains []string
		for _, r := range Resources(cl, g.Name) {
			contains = append(contains, r.ID)
		}
		h.set(p, "Contains", contains)
	}
	for _, r := range cl.Resources {
		p := hiveRoot + `\Resources\` + r.ID
		h.set(p, "Name", r.Name)
		h.set(p, "Type", r.Type)
		h.set(p, "PersistentState", truth(r.Wanted))
		h.set(p+`\Parameters`, "", nil)
		for n, v := range r.Private {
			h.set(p+`\Parameters`, n, v)
		}
	}
	for _, t := range cl.Types {
		h.set(hiveRoot+`\ResourceTypes\`+t.Name, "DllName", t.DLL)
		h.set(hiveRoot+`\ResourceTypes\`+t.Name, "Name", t.Display)
	}
	h.set(hiveRoot+`\Quorum`, "Path", cl.Quorum.Path)
	if w := witness(cl); w != nil {
		h.set(hiveRoot+`\Quorum`, "Resource", w.ID)
	}
	return model.Registry(h)
}
