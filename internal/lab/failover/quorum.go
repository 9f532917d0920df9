package failover

import (
	"strings"

	"deploy/internal/lab/machine"
	"deploy/internal/lab/model"
	"deploy/internal/node"
)

// Models of quorum, as model.Quorum.Model names them.
const (
	NodeMajority = "node-majority"
	NodeAndDisk  = "node-and-disk"
	NodeAndShare = "node-and-share"
	DiskOnly     = "disk-only"
)

// dynamic says that the cluster adjusts votes itself (from 2012, unless it was switched off).
func dynamic(w *model.World, cl *model.Cluster) bool {
	if !releaseOf(w, cl).AtLeast(node.WS2012) {
		return false
	}
	n, set := cl.Properties["DynamicQuorum"].(int64)
	return !set || n != 0
}

// witness returns the witness resource, or nil.
func witness(cl *model.Cluster) *model.ClusterResource {
	if cl.Quorum.Resource == "" {
		return nil
	}
	return Resource(cl, cl.Quorum.Resource)
}

// witnessReachable says that one of the given nodes can use the witness.
func witnessReachable(w *model.World, cl *model.Cluster, nodes []*model.ClusterNode) bool {
	r := witness(cl)
	if r == nil {
		return false
	}
	switch r.Type {
	case typeDisk:
		for _, n := range nodes {
			if m := w.Machine(n.Name); m != nil && visible(w, m, r.Disk) != nil {
				return true
			}
		}
		return false
	case typeShare:
		path, _ := r.Private["SharePath"].(string)
		return len(nodes) > 0 && shareHost(w, path)
	}
	return len(nodes) > 0
}

// shareHost says that the server of a UNC path is a machine of the lab that runs.
func shareHost(w *model.World, path string) bool {
	host, ok := strings.CutPrefix(path, `\\`)
	if !ok {
		return false
	}
	host, rest, _ := strings.Cut(host, `\`)
	m := w.Machine(host)
	return rest != "" && m != nil && m.Powered
}

// quorate says whether these nodes may run the cluster: they have more than half of the votes, or
// the disk that is the only vote.
func quorate(w *model.World, cl *model.Cluster, nodes []*model.ClusterNode) bool {
	if len(nodes) == 0 {
		return false
	}
	if cl.Quorum.Model == DiskOnly {
		return witness(cl) == nil || witnessReachable(w, cl, nodes)
	}
	weight := func(n *model.ClusterNode) int {
		if dynamic(w, cl) {
			return n.Dynamic
		}
		return n.Vote
	}
	have, total := 0, 0
	for _, n := range cl.Nodes {
		total += weight(n)
	}
	for _, n := range nodes {
		have += weight(n)
	}
	if v := witnessVote(w, cl, total); v > 0 {
		total++
		if witnessReachable(w, cl, nodes) {
			have++
		}
	}
	return have*2 > total
}

// witnessVote is 1 when the witness has a vote: always up to 2012, only beside an even number of
// votes from 2012 R2.
func witnessVote(w *model.World, cl *model.Cluster, nodeVotes int) int {
	if cl.Quorum.Model != NodeAndDisk && cl.Quorum.Model != NodeAndShare {
		return 0
	}
	if dynamic(w, cl) && releaseOf(w, cl).AtLeast(node.WS2012R2) && nodeVotes%2 == 1 {
		return 0
	}
	return 1
}

// rebalance sets the dynamic weights while the cluster runs: a node that is down loses its vote,
// and without a witness one of an even number of votes is taken away. UNCONFIRMED: which one; here
// it is the highest number.
func rebalance(w *model.World, cl *model.Cluster) {
	if !dynamic(w, cl) {
		for _, n := range cl.Nodes {
			n.Dynamic = n.Vote
		}
		return
	}
	sum := 0
	var last *model.ClusterNode
	for _, n := range cl.Nodes {
		n.Dynamic = 0
		if isUp(n) {
			n.Dynamic = n.Vote
		}
		if n.Dynamic > 0 {
			sum += n.Dynamic
			last = n
		}
	}
	if witness(cl) == nil && sum > 1 && sum%2 == 0 {
		last.Dynamic = 0
	}
}

// SetNodeMajority counts nodes only. A witness disk goes back to the group of available storage.
func (f *Family) SetNodeMajority(c *machine.Ctx, cl *model.Cluster) error {
	f.releaseWitness(c, cl)
	cl.Quorum = model.Quorum{Model: NodeMajority}
	rebalance(c.W, cl)
	return nil
}

// SetWitness makes a resource the witness, beside the nodes or (only) as the single vote. path is
// kept as it is given.
func (f *Family) SetWitness(c *machine.Ctx, cl *model.Cluster, name, path string, only bool) error {
	r := Resource(cl, name)
	if r == nil {
		return ResourceNotFound
	}
	t, ok := f.types[strings.ToLower(r.Type)]
	if !ok || !t.Quorum {
		return NotQuorumCapable
	}
	if r.DependsOn != "" {
		return DependencyNotAllowed
	}
	kind := NodeAndDisk
	switch {
	case only && r.Type != typeDisk:
		return NotQuorumClass
	case only:
		kind = DiskOnly
	case r.Type == typeShare:
		kind = NodeAndShare
	case r.Type == typeMNS:
		kind = NodeMajority
	}
	if old := witness(cl); old != r {
		if len(dependents(cl, r)) > 0 {
			return DependentExists
		}
		if err := f.Online(c, cl, r); err != nil {
			return err
		}
		f.releaseWitness(c, cl)
		if core := coreGroup(cl); core != nil && !strings.EqualFold(r.Group, core.Name) {
			if err := f.MoveResource(c, cl, r, core.Name); err != nil {
				return err
			}
		}
	}
	r.Core = true
	if path == "" && r.Type == typeShare {
		path, _ = r.Private["SharePath"].(string)
	}
	cl.Quorum = model.Quorum{Model: kind, Resource: r.ID, Path: path}
	rebalance(c.W, cl)
	return nil
}

// releaseWitness makes the old witness an ordinary resource again: a disk becomes available
// storage, a share witness stays where it is. Source: the old quorum directory is not deleted (KB
// 280353).
func (f *Family) releaseWitness(c *machine.Ctx, cl *model.Cluster) {
	old := witness(cl)
	if old == nil {
		return
	}
	old.Core = false
	cl.Quorum.Resource = ""
	if old.Type != typeDisk {
		return
	}
	if s := storageGroup(cl); s != nil && !strings.EqualFold(s.Name, old.Group) {
		_ = f.MoveResource(c, cl, old, s.Name) // what cannot move stays in the core group
	}
}

// quorumTypeValue is MSCluster_Cluster.QuorumTypeValue: 1 node, 2 file share witness, 3 storage, 4
// none, 4294967295 unknown. Source: windows_exporter's mscluster collector. UNCONFIRMED: that
// "none" is what the console calls "no majority: disk only".
func quorumTypeValue(cl *model.Cluster) (int64, string) {
	switch cl.Quorum.Model {
	case NodeMajority:
		return 1, "Node Majority"
	case NodeAndShare:
		return 2, "Node and File Share Majority"
	case NodeAndDisk:
		return 3, "Node and Disk Majority"
	case DiskOnly:
		return 4, "No Majority: Disk Only"
	}
	return 4294967295, ""
}
