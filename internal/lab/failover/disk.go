package failover

import (
	"fmt"
	"maps"
	"sort"
	"strings"

	"deploy/internal/lab/machine"
	"deploy/internal/lab/model"
	"deploy/internal/node"
)

// visible returns how a machine sees a shared disk, or nil when it does not: never cabled, or
// unplugged by the fault disk-missing.
func visible(w *model.World, m *model.Machine, serial string) *model.VisibleDisk {
	for _, v := range m.Visible {
		if v.Serial != serial || v.Missing {
			continue
		}
		for _, f := range w.Faults {
			if f.Kind == "disk-missing" && f.Times != 0 && strings.EqualFold(f.Machine, m.Name) &&
				(f.Args["serial"] == "" || f.Args["serial"] == serial) {
				return nil
			}
		}
		return v
	}
	return nil
}

// clustered returns the resource that holds a disk, or nil.
func clustered(cl *model.Cluster, serial string) *model.ClusterResource {
	for _, r := range cl.Resources {
		if r.Type == typeDisk && r.Disk == serial {
			return r
		}
	}
	return nil
}

// eligible lists the disks that the cluster could take: shared, basic, initialised, with an NTFS
// (or ReFS) partition, seen by every node that is up, and not clustered yet. 2003 takes MBR disks
// only. They come in the order in which c's machine numbers them.
func eligible(c *machine.Ctx, cl *model.Cluster) []*model.SharedDisk {
	local := c.W.Machine(c.M.Name)
	if nodeOf(cl, c.M.Name) == nil {
		if up := upNodes(cl); len(up) > 0 {
			local = c.W.Machine(up[0].Name)
		}
	}
	if local == nil {
		return nil
	}
	var out []*model.SharedDisk
	seen := append([]*model.VisibleDisk(nil), local.Visible...)
	sort.SliceStable(seen, func(i, j int) bool { return seen[i].Number < seen[j].Number })
next:
	for _, v := range seen {
		d := c.W.Disks[v.Serial]
		if d == nil || v.Local || visible(c.W, local, v.Serial) == nil || d.Dynamic || !formatted(d) ||
			clustered(cl, d.Serial) != nil || d.Owner != "" {
			continue
		}
		if d.Style != "MBR" && (d.Style != "GPT" || releaseOf(c.W, cl) == node.WS2003) {
			continue
		}
		for _, n := range upNodes(cl) {
			m := c.W.Machine(n.Name)
			if m == nil || visible(c.W, m, d.Serial) == nil {
				continue next
			}
		}
		out = append(out, d)
	}
	return out
}

func formatted(d *model.SharedDisk) bool {
	for _, p := range d.Partitions {
		if strings.EqualFold(p.FS, "NTFS") || strings.EqualFold(p.FS, "ReFS") {
			return true
		}
	}
	return false
}

// addDisk makes a Physical Disk resource for a disk in the group of available storage and brings it
// online. UNCONFIRMED: 2003 names it after its letter.
func (f *Family) addDisk(c *machine.Ctx, cl *model.Cluster, d *model.SharedDisk, name string) (*model.ClusterResource,
	error) {
	g := storageGroup(cl)
	if name == "" {
		name = f.diskName(c, cl, g, d)
	}
	r, err := f.CreateResource(c, cl, name, typeDisk, g.Name)
	if err != nil {
		return nil, err
	}
	if err := f.bindDisk(c.W, cl, r, d); err != nil {
		return nil, err
	}
	return r, f.Online(c, cl, r)
}

func (f *Family) diskName(c *machine.Ctx, cl *model.Cluster, g *model.ClusterGroup, d *model.SharedDisk) string {
	if releaseOf(c.W, cl) == node.WS2003 {
		if m := c.W.Machine(g.Owner); m != nil {
			if v := visible(c.W, m, d.Serial); v != nil {
				for _, p := range d.Partitions {
					if l := v.Letters[p.Number]; l != "" && Resource(cl, "Disk "+l) == nil {
						return "Disk " + l
					}
				}
			}
		}
	}
	return freeName(lang(c.M.Locale).disk, func(s string) bool { return Resource(cl, s) != nil })
}

// bindDisk ties a resource to a disk: its identity goes into the private properties, and how every
// node held the disk is remembered, because it gets it back like that.
func (f *Family) bindDisk(w *model.World, cl *model.Cluster, r *model.ClusterResource, d *model.SharedDisk) error {
	if o := clustered(cl, d.Serial); o != nil && o != r {
		return ObjectExists
	}
	if r.Private == nil {
		r.Private = model.Props{}
	}
	switch {
	case releaseOf(w, cl) == node.WS2003:
		r.Private["Signature"] = int64(d.Signature)
	case d.Style == "GPT":
		r.Private["DiskIdType"], r.Private["DiskIdGuid"] = int64(1), d.GUID
	default:
		r.Private["DiskIdType"], r.Private["DiskSignature"] = int64(0), int64(d.Signature)
	}
	claimDisk(w, cl, r, d.Serial)
	return nil
}

func claimDisk(w *model.World, cl *model.Cluster, r *model.ClusterResource, serial string) {
	r.Disk = serial
	r.Found = map[string]model.DiskState{}
	for _, n := range cl.Nodes {
		rememberDisk(w.Machine(n.Name), r)
	}
}

// rememberDisk notes how a machine holds the disk of a resource, once.
func rememberDisk(m *model.Machine, r *model.ClusterResource) {
	if m == nil || r.Disk == "" {
		return
	}
	if _, ok := r.Found[strings.ToLower(m.Name)]; ok {
		return
	}
	for _, v := range m.Visible {
		if v.Serial == r.Disk {
			if r.Found == nil {
				r.Found = map[string]model.DiskState{}
			}
			r.Found[strings.ToLower(m.Name)] = model.DiskState{Offline: v.Offline, ReadOnly: v.ReadOnly,
				Letters: maps.Clone(v.Letters)}
		}
	}
}

// findDisk finds the disk that a resource's private properties name, when they were set by hand.
func findDisk(w *model.World, r *model.ClusterResource) *model.SharedDisk {
	if r.Disk != "" {
		return w.Disks[r.Disk]
	}
	sig, _ := r.Private["DiskSignature"].(int64)
	if s, ok := r.Private["Signature"].(int64); ok {
		sig = s
	}
	id, _ := r.Private["DiskIdGuid"].(string)
	serials := make([]string, 0, len(w.Disks))
	for s := range w.Disks {
		serials = append(serials, s)
	}
	sort.Strings(serials)
	for _, s := range serials {
		d := w.Disks[s]
		if (sig != 0 && int64(d.Signature) == sig) || (id != "" && strings.EqualFold(trimBraces(d.GUID), trimBraces(id))) {
			return d
		}
	}
	return nil
}

// diskOnline reserves a disk for the owner: it is online there with the letters that follow it, and
// offline on the other members.
func diskOnline(c *machine.Ctx, r *model.ClusterResource) error {
	d := findDisk(c.W, r)
	cl := clusterOf(c.W, c.M)
	if d == nil || cl == nil {
		return FileNotFound // UNCONFIRMED code for a disk that is not there
	}
	if o := clustered(cl, d.Serial); o != nil && o != r {
		return ObjectExists
	}
	v := visible(c.W, c.M, d.Serial)
	if v == nil {
		return FileNotFound
	}
	if r.Disk == "" {
		claimDisk(c.W, cl, r, d.Serial)
	}
	if r.Letters == nil { // the first time the owner's letters are taken, else those of any member
		r.Letters = maps.Clone(v.Letters)
		for _, n := range cl.Nodes {
			if len(r.Letters) > 0 {
				break
			}
			if m := c.W.Machine(n.Name); m != nil {
				if x := visible(c.W, m, d.Serial); x != nil {
					r.Letters = maps.Clone(x.Letters)
				}
			}
		}
	}
	for _, n := range cl.Nodes {
		m := c.W.Machine(n.Name)
		if m == nil {
			continue
		}
		rememberDisk(m, r)
		if x := visible(c.W, m, d.Serial); x != nil && x != v {
			x.Offline = true
		}
	}
	v.Offline, v.ReadOnly = false, false
	v.Letters = maps.Clone(r.Letters)
	d.Owner = c.M.Name
	return nil
}

// diskOffline lets go of the disk; it stays offline everywhere until somebody owns it again.
func diskOffline(c *machine.Ctx, r *model.ClusterResource) error {
	if cl := clusterOf(c.W, c.M); cl != nil {
		releaseDisk(c.W, cl, r, c.M)
	}
	return nil
}

// releaseDisk takes the reservation off a disk that owner held and keeps its letters for the next
// one.
func releaseDisk(w *model.World, cl *model.Cluster, r *model.ClusterResource, owner *model.Machine) {
	d := w.Disks[r.Disk]
	if d == nil {
		return
	}
	if owner != nil {
		for _, v := range owner.Visible {
			if v.Serial == r.Disk {
				r.Letters = maps.Clone(v.Letters)
				v.Offline = true
			}
		}
	}
	d.Owner = ""
}

// unclaim gives a disk back to the machines as each of them held it before. UNCONFIRMED: the
// documents do not say in which state a disk is left that leaves the cluster.
func unclaim(w *model.World, cl *model.Cluster, r *model.ClusterResource) {
	if d := w.Disks[r.Disk]; d != nil {
		d.Owner = ""
	}
	for _, m := range w.Machines {
		giveBack(m, r)
	}
}

// giveBack restores how one machine held the disk of a resource.
func giveBack(m *model.Machine, r *model.ClusterResource) {
	s, ok := r.Found[strings.ToLower(m.Name)]
	if !ok {
		return
	}
	for _, v := range m.Visible {
		if v.Serial == r.Disk {
			v.Offline, v.ReadOnly, v.Letters = s.Offline, s.ReadOnly, maps.Clone(s.Letters)
		}
	}
	delete(r.Found, strings.ToLower(m.Name))
}

// letterOf returns the first drive letter of a Physical Disk on its owner, "E:".
func letterOf(w *model.World, r *model.ClusterResource) string {
	d := w.Disks[r.Disk]
	if d == nil {
		return ""
	}
	letters := r.Letters
	if m := w.Machine(d.Owner); d.Owner != "" && m != nil {
		for _, v := range m.Visible {
			if v.Serial == r.Disk {
				letters = v.Letters
			}
		}
	}
	for _, p := range d.Partitions {
		if l := letters[p.Number]; l != "" {
			return l
		}
	}
	return ""
}

// diskID is the identity of a disk as MSCluster_Disk.Id shows it: the signature in hexadecimal, or
// the GPT id.
func diskID(d *model.SharedDisk) string {
	if d.Style == "GPT" {
		return d.GUID
	}
	return fmt.Sprintf("0x%X", d.Signature)
}
