package failover

import (
	"strings"

	"deploy/internal/lab/machine"
	"deploy/internal/lab/model"
)

func arg(args map[string]any, name string) string { return machine.ArgString(args, name) }

func (f *Family) clusterMethods() map[string]call {
	return map[string]call{
		"SetNodeMajorityQuorum": func(c *machine.Ctx, cl *model.Cluster, _ object, _ map[string]any) (machine.Object, error) {
			return nil, f.SetNodeMajority(c, cl)
		},
		"SetMajorityQuorum": func(c *machine.Ctx, cl *model.Cluster, _ object, a map[string]any) (machine.Object, error) {
			return nil, f.SetWitness(c, cl, arg(a, "Resource"), arg(a, "QuorumPath"), false)
		},
		"SetDiskQuorum": func(c *machine.Ctx, cl *model.Cluster, _ object, a map[string]any) (machine.Object, error) {
			return nil, f.SetWitness(c, cl, arg(a, "Resource"), arg(a, "QuorumPath"), true)
		},
		"Rename": func(c *machine.Ctx, cl *model.Cluster, _ object, a map[string]any) (machine.Object, error) {
			return nil, f.renameCluster(c, cl, arg(a, "newName"))
		},
		"AddNode": func(c *machine.Ctx, cl *model.Cluster, _ object, a map[string]any) (machine.Object, error) {
			return nil, f.AddNodes(c, cl, []string{arg(a, "NodeName")}, false, nil)
		},
		"EvictNode": func(c *machine.Ctx, cl *model.Cluster, _ object, a map[string]any) (machine.Object, error) {
			n := Node(cl, arg(a, "NodeName"))
			if n == nil {
				return nil, NodeNotFound
			}
			return nil, f.Evict(c, cl, n)
		},
		"DestroyCluster": func(c *machine.Ctx, cl *model.Cluster, _ object, a map[string]any) (machine.Object, error) {
			return nil, f.Destroy(c, cl, machine.ArgBool(a, "CleanupAD"))
		},
		"ExecuteClusterControl": f.control,
	}
}

// clusterStatics are methods of the class: they need no running cluster.
func (f *Family) clusterStatics() map[string]call {
	return map[string]call{
		"CreateCluster": func(c *machine.Ctx, _ *model.Cluster, _ object, a map[string]any) (machine.Object, error) {
			spec := NewCluster{Name: arg(a, "ClusterName"), Nodes: machine.ArgStrings(a, "NodeNames")}
			masks := machine.ArgStrings(a, "SubnetMasks")
			for i, ip := range machine.ArgStrings(a, "IPAddresses") {
				ad := Address{IP: ip}
				if i < len(masks) {
					ad.Mask = masks[i]
				}
				spec.Addresses = append(spec.Addresses, ad)
			}
			_, err := f.Create(c, spec)
			return nil, err
		},
		"ForceCleanup": func(c *machine.Ctx, _ *model.Cluster, _ object, a map[string]any) (machine.Object, error) {
			m := c.W.Machine(arg(a, "NodeName"))
			switch {
			case m == nil || !m.Powered:
				return nil, RPCUnavailable
			case m != c.M && !c.SecondHop():
				return nil, AccessDenied
			}
			f.ForceCleanup(c, m)
			return nil, nil
		},
		// 0 not installed, 1 not configured, 3 not running, 19 running. Source: NODE_CLUSTER_STATE.
		"GetNodeClusterState": func(c *machine.Ctx, cl *model.Cluster, _ object, _ map[string]any) (machine.Object, error) {
			state := int64(1)
			switch {
			case cl != nil:
				state = 19
			case memberOf(c.M) != "":
				state = 3
			}
			return machine.Object{"ClusterState": state}, nil
		},
	}
}

func (f *Family) nodeMethods() map[string]call {
	return map[string]call{
		"Pause": func(_ *machine.Ctx, _ *model.Cluster, o object, _ map[string]any) (machine.Object, error) {
			return nil, pauseNode(o.node)
		},
		"Resume": func(_ *machine.Ctx, _ *model.Cluster, o object, _ map[string]any) (machine.Object, error) {
			return nil, resumeNode(o.node)
		},
		"WillOfflineLoseQuorum": func(c *machine.Ctx, cl *model.Cluster, o object, _ map[string]any) (machine.Object, error) {
			var rest []*model.ClusterNode
			for _, n := range upNodes(cl) {
				if n != o.node {
					rest = append(rest, n)
				}
			}
			return machine.Object{"ReturnValue": !quorate(c.W, cl, rest)}, nil
		},
		"ExecuteNodeControl": f.control,
	}
}

func (f *Family) networkMethods() map[string]call {
	return map[string]call{
		"Rename": func(_ *machine.Ctx, cl *model.Cluster, o object, a map[string]any) (machine.Object, error) {
			return nil, RenameNetwork(cl, o.network, arg(a, "newName"))
		},
		"ExecuteNetworkControl": f.control,
	}
}

func (f *Family) groupMethods() map[string]call {
	move := func(c *machine.Ctx, cl *model.Cluster, o object, a map[string]any) (machine.Object, error) {
		if err := f.wait(c, cl); err != nil {
			return nil, err
		}
		return nil, f.MoveGroup(c, cl, o.group, arg(a, "NodeName"))
	}
	return map[string]call{
		"BringOnline": func(c *machine.Ctx, cl *model.Cluster, o object, _ map[string]any) (machine.Object, error) {
			if err := f.wait(c, cl); err != nil {
				return nil, err
			}
			return nil, f.OnlineGroup(c, cl, o.group)
		},
		"TakeOffline": func(c *machine.Ctx, cl *model.Cluster, o object, _ map[string]any) (machine.Object, error) {
			if err := f.wait(c, cl); err != nil {
				return nil, err
			}
			return nil, f.OfflineGroup(c, cl, o.group)
		},
		"MoveToNewNode": move,
		"Rename": func(_ *machine.Ctx, cl *model.Cluster, o object, a map[string]any) (machine.Object, error) {
			return nil, RenameGroup(cl, o.group, arg(a, "newName"))
		},
		"DeleteGroup": func(_ *machine.Ctx, cl *model.Cluster, o object, _ map[string]any) (machine.Object, error) {
			return nil, DeleteGroup(cl, o.group)
		},
		// a group with all its resources
		"DestroyGroup": func(c *machine.Ctx, cl *model.Cluster, o object, _ map[string]any) (machine.Object, error) {
			return nil, f.destroyGroup(c, cl, o.group)
		},
		"GetPreferredOwners": func(_ *machine.Ctx, _ *model.Cluster, o object, _ map[string]any) (machine.Object, error) {
			return machine.Object{"NodeNames": machine.Anys(o.group.PreferredOwners)}, nil
		},
		"SetPreferredOwners": func(_ *machine.Ctx, cl *model.Cluster, o object, a map[string]any) (machine.Object, error) {
			return nil, SetPreferredOwners(cl, o.group, machine.ArgStrings(a, "NodeNames"))
		},
		"GetGroupType": func(_ *machine.Ctx, _ *model.Cluster, o object, _ map[string]any) (machine.Object, error) {
			return machine.Object{"ReturnValue": int64(o.group.Type)}, nil
		},
		"SetGroupType": func(_ *machine.Ctx, _ *model.Cluster, o object, a map[string]any) (machine.Object, error) {
			n, ok := machine.ArgInt(a, "GroupType")
			if !ok || o.group.Core || ((n < 100 || n > 115) && n != 9999) {
				return nil, InvalidParameter
			}
			o.group.Type = int(n)
			return nil, nil
		},
		"ExecuteGroupControl": f.control,
	}
}

// destroyGroup removes a group with its resources.
func (f *Family) destroyGroup(c *machine.Ctx, cl *model.Cluster, g *model.ClusterGroup) error {
	if g.Core {
		return CoreResource
	}
	if w := witness(cl); w != nil && strings.EqualFold(w.Group, g.Name) {
		return QuorumResource
	}
	for _, r := range Resources(cl, g.Name) {
		f.drop(c, cl, r)
	}
	for _, r := range Resources(cl, g.Name) {
		f.forget(c, cl, r)
	}
	return DeleteGroup(cl, g)
}

func (f *Family) groupStatics() map[string]call {
	return map[string]call{
		"CreateGroup": func(c *machine.Ctx, cl *model.Cluster, _ object, a map[string]any) (machine.Object, error) {
			if cl == nil {
				return nil, NoEndpoint
			}
			g, err := CreateGroup(c, cl, arg(a, "GroupName"))
			if err != nil {
				return nil, err
			}
			if n, ok := machine.ArgInt(a, "GroupType"); ok && n >= 100 && n <= 9999 {
				g.Type = int(n)
			}
			return machine.Object{"Id": g.ID}, nil
		},
	}
}

func (f *Family) resourceMethods() map[string]call {
	return map[string]call{
		"BringOnline": func(c *machine.Ctx, cl *model.Cluster, o object, _ map[string]any) (machine.Object, error) {
			if err := f.wait(c, cl); err != nil {
				return nil, err
			}
			return nil, f.Online(c, cl, o.resource)
		},
		"TakeOffline": func(c *machine.Ctx, cl *model.Cluster, o object, _ map[string]any) (machine.Object, error) {
			if err := f.wait(c, cl); err != nil {
				return nil, err
			}
			return nil, f.Offline(c, cl, o.resource)
		},
		"FailResource": func(c *machine.Ctx, cl *model.Cluster, o object, _ map[string]any) (machine.Object, error) {
			return nil, f.Fail(c, cl, o.resource)
		},
		"DeleteResource": func(c *machine.Ctx, cl *model.Cluster, o object, _ map[string]any) (machine.Object, error) {
			return nil, f.DeleteResource(c, cl, o.resource)
		},
		"Rename": func(_ *machine.Ctx, cl *model.Cluster, o object, a map[string]any) (machine.Object, error) {
			return nil, RenameResource(cl, o.resource, arg(a, "newName"))
		},
		"MoveToNewGroup": func(c *machine.Ctx, cl *model.Cluster, o object, a map[string]any) (machine.Object, error) {
			return nil, f.MoveResource(c, cl, o.resource, arg(a, "Group"))
		},
		"AddDependency": func(_ *machine.Ctx, cl *model.Cluster, o object, a map[string]any) (machine.Object, error) {
			return nil, AddDependency(cl, o.resource, arg(a, "Resource"))
		},
		"RemoveDependency": func(_ *machine.Ctx, cl *model.Cluster, o object, a map[string]any) (machine.Object, error) {
			return nil, RemoveDependency(cl, o.resource, arg(a, "Resource"))
		},
		"SetDependencies": func(_ *machine.Ctx, cl *model.Cluster, o object, a map[string]any) (machine.Object, error) {
			return nil, SetDependency(cl, o.resource, arg(a, "Expression"))
		},
		"GetDependencies": func(_ *machine.Ctx, cl *model.Cluster, o object, a map[string]any) (machine.Object, error) {
			e := dependency(o.resource)
			if machine.ArgBool(a, "AsResourceIds") {
				for _, p := range providers(cl, o.resource) {
					e = e.renamed(p.Name, p.ID)
				}
			}
			return machine.Object{"Expression": e.shown()}, nil
		},
		"GetPossibleOwners": func(_ *machine.Ctx, cl *model.Cluster, o object, _ map[string]any) (machine.Object, error) {
			return machine.Object{"NodeNames": machine.Anys(PossibleOwners(cl, o.resource))}, nil
		},
		"AddPossibleOwner": func(_ *machine.Ctx, cl *model.Cluster, o object, a map[string]any) (machine.Object, error) {
			have := PossibleOwners(cl, o.resource)
			if containsFold(have, short(arg(a, "NodeName"))) {
				return nil, ObjectExists // UNCONFIRMED code
			}
			return nil, SetOwners(cl, o.resource, append(have, arg(a, "NodeName")))
		},
		"RemovePossibleOwner": func(_ *machine.Ctx, cl *model.Cluster, o object, a map[string]any) (machine.Object, error) {
			n := Node(cl, arg(a, "NodeName"))
			if n == nil {
				return nil, NodeNotFound
			}
			var keep []string
			for _, x := range PossibleOwners(cl, o.resource) {
				if x != n.Name {
					keep = append(keep, x)
				}
			}
			if len(keep) == 0 {
				return nil, InvalidParameter
			}
			return nil, SetOwners(cl, o.resource, keep)
		},
		"ExecuteResourceControl": f.control,
	}
}

func (f *Family) resourceStatics() map[string]call {
	return map[string]call{
		"CreateResource": func(c *machine.Ctx, cl *model.Cluster, _ object, a map[string]any) (machine.Object, error) {
			if cl == nil {
				return nil, NoEndpoint
			}
			r, err := f.CreateResource(c, cl, arg(a, "ResourceName"), arg(a, "ResourceType"), arg(a, "Group"))
			if err != nil {
				return nil, err
			}
			r.Separate = machine.ArgBool(a, "SeparateMonitor")
			return machine.Object{"Id": r.ID}, nil
		},
	}
}

func (f *Family) typeMethods() map[string]call {
	return map[string]call{
		"GetPossibleOwners": func(_ *machine.Ctx, cl *model.Cluster, _ object, _ map[string]any) (machine.Object, error) {
			var names []any
			for _, n := range cl.Nodes {
				names = append(names, n.Name)
			}
			return machine.Object{"NodeNames": names}, nil
		},
		"DeleteResourceType": func(_ *machine.Ctx, cl *model.Cluster, o object, _ map[string]any) (machine.Object, error) {
			for _, r := range cl.Resources {
				if r.Type == o.restype.Name {
					return nil, InvalidState // UNCONFIRMED code: resources of the type exist
				}
			}
			delete(cl.Types, o.restype.Name)
			return nil, nil
		},
	}
}

func (f *Family) typeStatics() map[string]call {
	return map[string]call{
		"CreateResourceType": func(_ *machine.Ctx, cl *model.Cluster, _ object, a map[string]any) (machine.Object, error) {
			switch {
			case cl == nil:
				return nil, NoEndpoint
			case arg(a, "Name") == "" || arg(a, "DLLName") == "":
				return nil, InvalidParameter
			case ResourceType(cl, arg(a, "Name")) != nil:
				return nil, ObjectExists
			}
			RegisterType(cl, Type{Name: arg(a, "Name"), Display: arg(a, "DisplayName"), DLL: arg(a, "DLLName"), Class: 32768})
			return nil, nil
		},
	}
}
