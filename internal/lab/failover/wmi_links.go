package failover

import (
	"strings"

	"deploy/internal/lab/machine"
	"deploy/internal/lab/model"
)

// pairs makes the instances of an association.
type pairs func(c *machine.Ctx, cl *model.Cluster, add func(a, b string))

func nodeRef(name string) string  { return ref("MSCluster_Node", "Name", name) }
func groupRef(name string) string { return ref("MSCluster_ResourceGroup", "Name", name) }
func resRef(name string) string   { return ref("MSCluster_Resource", "Name", name) }
func netRef(name string) string   { return ref("MSCluster_Network", "Name", name) }
func cardRef(i card) string       { return ref("MSCluster_NetworkInterface", "Name", i.name()) }
func clusterRef(cl *model.Cluster) string {
	return ref("MSCluster_Cluster", "Name", cl.Name)
}

// associations are the classes that tie objects together. Before 2012 they are the only way to see
// who owns a group and which group holds a resource.
func (f *Family) associations() []*machine.Class {
	table := map[string]pairs{
		"MSCluster_ResourceGroupToResource": func(_ *machine.Ctx, cl *model.Cluster, add func(a, b string)) {
			for _, r := range cl.Resources {
				add(groupRef(r.Group), resRef(r.Name))
			}
		},
		"MSCluster_NodeToActiveGroup": func(_ *machine.Ctx, cl *model.Cluster, add func(a, b string)) {
			for _, g := range cl.Groups {
				add(nodeRef(g.Owner), groupRef(g.Name))
			}
		},
		"MSCluster_NodeToActiveResource": func(c *machine.Ctx, cl *model.Cluster, add func(a, b string)) {
			for _, r := range cl.Resources {
				if m := OwnerOf(c, cl, r); m != nil {
					add(nodeRef(m.Name), resRef(r.Name))
				}
			}
		},
		"MSCluster_ResourceGroupToPreferredNode": func(_ *machine.Ctx, cl *model.Cluster, add func(a, b string)) {
			for _, g := range cl.Groups {
				for _, n := range g.PreferredOwners {
					add(groupRef(g.Name), nodeRef(n))
				}
			}
		},
		"MSCluster_ResourceToPossibleOwner": func(_ *machine.Ctx, cl *model.Cluster, add func(a, b string)) {
			for _, r := range cl.Resources {
				for _, n := range PossibleOwners(cl, r) {
					add(resRef(r.Name), nodeRef(n))
				}
			}
		},
		"MSCluster_ResourceTypeToResource": func(_ *machine.Ctx, cl *model.Cluster, add func(a, b string)) {
			for _, r := range cl.Resources {
				add(ref("MSCluster_ResourceType", "Name", r.Type), resRef(r.Name))
			}
		},
		// Antecedent is what is depended on
		"MSCluster_ResourceToDependentResource": func(_ *machine.Ctx, cl *model.Cluster, add func(a, b string)) {
			for _, r := range cl.Resources {
				for _, p := range providers(cl, r) {
					add(resRef(p.Name), resRef(r.Name))
				}
			}
		},
		"MSCluster_ResourceToDisk": func(c *machine.Ctx, cl *model.Cluster, add func(a, b string)) {
			for _, r := range cl.Resources {
				if d := c.W.Disks[r.Disk]; d != nil {
					add(resRef(r.Name), ref("MSCluster_Disk", "Id", diskID(d)))
				}
			}
		},
		"MSCluster_ResourceToDiskPartition": func(c *machine.Ctx, cl *model.Cluster, add func(a, b string)) {
			eachPartition(c.W, cl, func(r *model.ClusterResource, d *model.SharedDisk, p *model.Partition, path string) {
				add(resRef(r.Name), ref("MSCluster_DiskPartition", "Path", path))
			})
		},
		"MSCluster_DiskToDiskPartition": func(c *machine.Ctx, cl *model.Cluster, add func(a, b string)) {
			eachPartition(c.W, cl, func(_ *model.ClusterResource, d *model.SharedDisk, _ *model.Partition, path string) {
				add(ref("MSCluster_Disk", "Id", diskID(d)), ref("MSCluster_DiskPartition", "Path", path))
			})
		},
		"MSCluster_NetworkToNetworkInterface": func(c *machine.Ctx, cl *model.Cluster, add func(a, b string)) {
			for _, i := range cards(c.W, cl) {
				if i.network != nil {
					add(netRef(i.network.Name), cardRef(i))
				}
			}
		},
		"MSCluster_NodeToNetworkInterface": func(c *machine.Ctx, cl *model.Cluster, add func(a, b string)) {
			for _, i := range cards(c.W, cl) {
				add(nodeRef(i.node.Name), cardRef(i))
			}
		},
		"MSCluster_ClusterToNode": func(_ *machine.Ctx, cl *model.Cluster, add func(a, b string)) {
			for _, n := range cl.Nodes {
				add(clusterRef(cl), nodeRef(n.Name))
			}
		},
		"MSCluster_ClusterToNetwork": func(_ *machine.Ctx, cl *model.Cluster, add func(a, b string)) {
			for _, n := range cl.Networks {
				add(clusterRef(cl), netRef(n.Name))
			}
		},
		"MSCluster_ClusterToNetworkInterface": func(c *machine.Ctx, cl *model.Cluster, add func(a, b string)) {
			for _, i := range cards(c.W, cl) {
				add(clusterRef(cl), cardRef(i))
			}
		},
		"MSCluster_ClusterToResource": func(_ *machine.Ctx, cl *model.Cluster, add func(a, b string)) {
			for _, r := range cl.Resources {
				add(clusterRef(cl), resRef(r.Name))
			}
		},
		"MSCluster_ClusterToResourceGroup": func(_ *machine.Ctx, cl *model.Cluster, add func(a, b string)) {
			for _, g := range cl.Groups {
				add(clusterRef(cl), groupRef(g.Name))
			}
		},
		"MSCluster_ClusterToResourceType": func(c *machine.Ctx, cl *model.Cluster, add func(a, b string)) {
			for _, o := range f.objectsOf(c.W, cl, "restype") {
				add(clusterRef(cl), ref("MSCluster_ResourceType", "Name", o.name))
			}
		},
		"MSCluster_ClusterToQuorumResource": func(_ *machine.Ctx, cl *model.Cluster, add func(a, b string)) {
			if r := witness(cl); r != nil {
				add(clusterRef(cl), resRef(r.Name))
			}
		},
		"MSCluster_ClusterToAvailableDisk": func(c *machine.Ctx, cl *model.Cluster, add func(a, b string)) {
			for _, d := range eligible(c, cl) {
				add(clusterRef(cl), ref("MSCluster_AvailableDisk", "Id", diskID(d)))
			}
		},
	}
	var out []*machine.Class
	for name, list := range table {
		k := bare(name)
		first, second := "GroupComponent", "PartComponent"
		if name == "MSCluster_ResourceToDependentResource" || name == "MSCluster_ClusterToNode" {
			first, second = "Antecedent", "Dependent"
		}
		k.List = func(c *machine.Ctx) ([]machine.Object, error) {
			cl, err := f.local(c)
			if err != nil {
				return nil, err
			}
			var rows []machine.Object
			list(c, cl, func(a, b string) { rows = append(rows, machine.Object{first: a, second: b}) })
			return rows, nil
		}
		out = append(out, k)
	}
	return out
}

// eachPartition walks the partitions of clustered disks. path is the drive letter, or the volume's
// own path without one.
func eachPartition(w *model.World, cl *model.Cluster,
	f func(r *model.ClusterResource, d *model.SharedDisk, p *model.Partition, path string)) {
	for _, r := range cl.Resources {
		d := w.Disks[r.Disk]
		if d == nil {
			continue
		}
		letters := r.Letters
		if m := w.Machine(d.Owner); d.Owner != "" && m != nil {
			for _, v := range m.Visible {
				if v.Serial == d.Serial {
					letters = v.Letters
				}
			}
		}
		for _, p := range d.Partitions {
			path := letters[p.Number]
			if path == "" {
				path = p.VolumeID
			}
			f(r, d, p, path)
		}
	}
}

// diskClasses are the classes of disks: those of the cluster, their partitions, and those that it
// could take.
func (f *Family) diskClasses() []*machine.Class {
	disks := bare("MSCluster_Disk")
	disks.List = func(c *machine.Ctx) ([]machine.Object, error) {
		cl, err := f.local(c)
		if err != nil {
			return nil, err
		}
		var out []machine.Object
		for _, r := range cl.Resources {
			if d := c.W.Disks[r.Disk]; d != nil {
				out = append(out, diskObject(c, d, OwnerOf(c, cl, r)))
			}
		}
		return out, nil
	}
	parts := bare("MSCluster_DiskPartition")
	parts.List = func(c *machine.Ctx) ([]machine.Object, error) {
		cl, err := f.local(c)
		if err != nil {
			return nil, err
		}
		var out []machine.Object
		eachPartition(c.W, cl, func(_ *model.ClusterResource, _ *model.SharedDisk, p *model.Partition, path string) {
			out = append(out, machine.Object{"Name": path, "Path": path, "VolumeLabel": p.Label, "FileSystem": p.FS,
				"TotalSize": p.SizeMB, "FreeSpace": p.SizeMB,
				"PartitionNumber": int64(p.Number), "VolumeGuid": strings.TrimSuffix(strings.TrimPrefix(p.VolumeID, `\\?\Volume`),
					`\`), "MountPoints": []any{}})
		})
		return out, nil
	}
	avail := bare("MSCluster_AvailableDisk")
	avail.List = func(c *machine.Ctx) ([]machine.Object, error) {
		cl, err := f.local(c)
		if err != nil {
			return nil, err
		}
		var out []machine.Object
		for _, d := range eligible(c, cl) {
			o := diskObject(c, d, c.M)
			var nodes []any
			for _, n := range upNodes(cl) {
				nodes = append(nodes, n.Name)
			}
			o["Node"], o["ConnectedNodes"] = c.M.Name, nodes
			out = append(out, o)
		}
		return out, nil
	}
	add := func(c *machine.Ctx, inst machine.Object, a map[string]any) (machine.Object, error) {
		cl, err := f.local(c)
		if err != nil {
			return nil, err
		}
		for _, d := range eligible(c, cl) {
			if diskID(d) == inst["Id"] {
				r, err := f.addDisk(c, cl, d, arg(a, "ResourceName"))
				if err != nil {
					return nil, wmiError(c, err)
				}
				return machine.Object{"Path": resRef(r.Name)}, nil
			}
		}
		return nil, wmiError(c, FileNotFound)
	}
	avail.Methods = map[string]machine.Method{}
	for _, m := range []string{"AddToCluster", "CreateStorageResource"} {
		avail.Methods[m] = machine.Method{Args: facts().classes[avail.Name].Methods[m], Call: add}
	}
	return []*machine.Class{disks, parts, avail}
}

// diskObject shows a disk; its number is that on the machine that holds it. Size is in MB.
// UNCONFIRMED: the unit.
func diskObject(c *machine.Ctx, d *model.SharedDisk, owner *model.Machine) machine.Object {
	o := machine.Object{"Id": diskID(d), "Name": diskID(d), "Signature": int64(d.Signature), "GptGuid": d.GUID,
		"Size": d.SizeMB}
	if owner != nil {
		for _, v := range owner.Visible {
			if v.Serial == d.Serial {
				o["Number"] = int64(v.Number)
			}
		}
	}
	return o
}
