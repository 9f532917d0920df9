package failover

import (
	"strings"

	"deploy/internal/lab/machine"
	"deploy/internal/lab/model"
	"deploy/internal/node"
)

type rows = []machine.Object

// Objects of the module. An object inside another one shows its name as its text.

func (f *Family) psNode(cl *model.Cluster, w *model.World, n *model.ClusterNode) machine.Object {
	o := machine.Object{"": n.Name, "Name": n.Name, "NodeName": n.Name, "Id": itoa(n.ID), "Cluster": cl.Name,
		"State": machine.Enum{Number: int64(n.State),
			Name: map[int]string{0: "Up", 1: "Down", 2: "Paused", 3: "Joining"}[n.State]}}
	f.common(o, w, object{kind: "node", name: n.Name, cl: cl, node: n})
	return o
}

// common adds the common properties, which the module shows as properties of its objects.
func (f *Family) common(into machine.Object, w *model.World, o object) {
	for _, p := range f.table(o, releaseOf(w, o.cl), false) {
		if _, ok := into[p.Name]; !ok && p.Type != "binary" {
			into[p.Name] = f.value(w, o, p, false)
		}
	}
}

func (f *Family) psClusterObject(w *model.World, cl *model.Cluster) machine.Object {
	o := machine.Object{"": cl.Name, "Name": cl.Name, "Id": cl.ID, "Domain": cl.Domain}
	f.common(o, w, object{kind: "cluster", name: cl.Name, cl: cl})
	return o
}

func (f *Family) psGetCluster(c *machine.Ctx, cl *model.Cluster, _ map[string]any) (rows, error) {
	return rows{f.psClusterObject(c.W, cl)}, nil
}

// psNewCluster forms a cluster and adds the other nodes in one go.
func (f *Family) psNewCluster(c *machine.Ctx, _ *model.Cluster, p map[string]any) (rows, error) {
	spec := NewCluster{Name: arg(p, "Name"), Nodes: machine.ArgStrings(p, "Node"), Disks: !machine.ArgBool(p, "NoStorage"),
		Witness: true}
	if len(spec.Nodes) == 0 {
		spec.Nodes = []string{c.M.Name}
	}
	for _, ip := range machine.ArgStrings(p, "StaticAddress") {
		ip, _, _ = strings.Cut(ip, "/")
		spec.Addresses = append(spec.Addresses, Address{IP: ip})
	}
	switch strings.ToLower(arg(p, "AdministrativeAccessPoint")) {
	case "", "activedirectoryanddns", "activedirectory":
	case "dns":
		spec.NoAccount = true
	case "none":
		spec.NoName = true
	default:
		return nil, InvalidParameter
	}
	if machine.HasArg(p, "IgnoreNetwork") && len(spec.Addresses) == 0 {
		return nil, InvalidParameter // addresses by DHCP are not played
	}
	cl, err := f.Create(c, spec)
	if err != nil {
		return nil, err
	}
	return rows{f.psClusterObject(c.W, cl)}, nil
}

func (f *Family) psRemoveCluster(c *machine.Ctx, cl *model.Cluster, p map[string]any) (rows, error) {
	return nil, f.Destroy(c, cl, machine.ArgBool(p, "CleanupAD"))
}

// psStartCluster starts the service on every member of the local cluster.
func (f *Family) psStartCluster(c *machine.Ctx, _ *model.Cluster, p map[string]any) (rows, error) {
	cl := clusterOf(c.W, c.M)
	if cl == nil || (arg(p, "Name") != "" && !strings.EqualFold(short(arg(p, "Name")), cl.Name)) {
		return nil, NoEndpoint
	}
	for _, n := range cl.Nodes {
		if m := c.W.Machine(n.Name); m != nil && m.Powered {
			if s := service(m); s != nil {
				s.State = svcRunning
			}
		}
	}
	f.settle(c, cl)
	if len(upNodes(cl)) == 0 {
		return nil, NoEndpoint
	}
	return rows{f.psClusterObject(c.W, cl)}, nil
}

func (f *Family) psStopCluster(c *machine.Ctx, cl *model.Cluster, _ map[string]any) (rows, error) {
	for _, g := range cl.Groups {
		f.takeDown(c, cl, g)
	}
	for _, n := range cl.Nodes {
		if m := c.W.Machine(n.Name); m != nil {
			if s := service(m); s != nil {
				s.State = svcStopped
			}
		}
	}
	f.settle(c, cl)
	return nil, nil
}

func (f *Family) psAddNode(c *machine.Ctx, cl *model.Cluster, p map[string]any) (rows, error) {
	names := machine.ArgStrings(p, "Name")
	if len(names) == 0 {
		names = []string{c.M.Name}
	}
	if err := f.AddNodes(c, cl, names, !machine.ArgBool(p, "NoStorage"), nil); err != nil {
		return nil, err
	}
	var out rows
	for _, n := range names {
		out = append(out, f.psNode(cl, c.W, nodeOf(cl, n)))
	}
	return out, nil
}

// nodesOf finds the nodes that -Name gives; without it all, or the local one.
func nodesOf(c *machine.Ctx, cl *model.Cluster, p map[string]any, all bool) ([]*model.ClusterNode, error) {
	names := machine.ArgStrings(p, "Name")
	if len(names) == 0 {
		if all {
			return cl.Nodes, nil
		}
		names = []string{c.M.Name}
	}
	var out []*model.ClusterNode
	for _, name := range names {
		n := Node(cl, name)
		if n == nil {
			return nil, NodeNotFound
		}
		out = append(out, n)
	}
	return out, nil
}

func (f *Family) psRemoveNode(c *machine.Ctx, cl *model.Cluster, p map[string]any) (rows, error) {
	list, err := nodesOf(c, cl, p, false)
	if err != nil {
		return nil, err
	}
	for _, n := range list {
		if err := f.Evict(c, cl, n); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

func (f *Family) psClearNode(c *machine.Ctx, _ *model.Cluster, p map[string]any) (rows, error) {
	names := machine.ArgStrings(p, "Name")
	if len(names) == 0 {
		names = []string{c.M.Name}
	}
	for _, name := range names {
		m := c.W.Machine(name)
		if m == nil || !m.Powered {
			return nil, RPCUnavailable
		}
		f.ForceCleanup(c, m)
	}
	return nil, nil
}

func (f *Family) psGetNode(c *machine.Ctx, cl *model.Cluster, p map[string]any) (rows, error) {
	list, err := nodesOf(c, cl, p, true)
	var out rows
	for _, n := range list {
		out = append(out, f.psNode(cl, c.W, n))
	}
	return out, err
}

// psStartNode starts the service of the named nodes; without a name the local one.
func (f *Family) psStartNode(c *machine.Ctx, _ *model.Cluster, p map[string]any) (rows, error) {
	if machine.ArgBool(p, "ForceQuorum") || machine.ArgBool(p, "FixQuorum") || machine.ArgBool(p, "PreventQuorum") {
		return nil, NotSupported
	}
	names := machine.ArgStrings(p, "Name")
	if len(names) == 0 {
		names = []string{c.M.Name}
	}
	var out rows
	for _, name := range names {
		m := c.W.Machine(name)
		if m == nil || !m.Powered {
			return nil, RPCUnavailable
		}
		if err := f.startNode(on(c, m)); err != nil && err != NodeAlreadyUp {
			return nil, err
		}
		if cl := clusterOf(c.W, m); cl != nil {
			out = append(out, f.psNode(cl, c.W, nodeOf(cl, m.Name)))
		}
	}
	return out, nil
}

func (f *Family) psStopNode(c *machine.Ctx, cl *model.Cluster, p map[string]any) (rows, error) {
	list, err := nodesOf(c, cl, p, false)
	if err != nil {
		return nil, err
	}
	for _, n := range list {
		m := c.W.Machine(n.Name)
		if m == nil || !m.Powered {
			return nil, NodeDown
		}
		if err := f.stopNode(on(c, m)); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// psSuspendNode pauses nodes; -Drain (2012) moves their groups away first.
func (f *Family) psSuspendNode(c *machine.Ctx, cl *model.Cluster, p map[string]any) (rows, error) {
	list, err := nodesOf(c, cl, p, false)
	if err != nil {
		return nil, err
	}
	var out rows
	for _, n := range list {
		if err := pauseNode(n); err != nil {
			return nil, err
		}
		if machine.ArgBool(p, "Drain") {
			for _, g := range ordered(cl) {
				if strings.EqualFold(g.Owner, n.Name) && len(f.candidates(c, cl, g, n.Name)) > 0 {
					if err := f.MoveGroup(c, cl, g, arg(p, "TargetNode")); err != nil {
						return nil, err
					}
				}
			}
		}
		out = append(out, f.psNode(cl, c.W, n))
	}
	return out, nil
}

func (f *Family) psResumeNode(c *machine.Ctx, cl *model.Cluster, p map[string]any) (rows, error) {
	list, err := nodesOf(c, cl, p, false)
	if err != nil {
		return nil, err
	}
	var out rows
	for _, n := range list {
		if err := resumeNode(n); err != nil {
			return nil, err
		}
		out = append(out, f.psNode(cl, c.W, n))
	}
	return out, nil
}

func (f *Family) psGetNetwork(c *machine.Ctx, cl *model.Cluster, p map[string]any) (rows, error) {
	names := machine.ArgStrings(p, "Name")
	for _, n := range names {
		if Network(cl, n) == nil {
			return nil, NetworkNotFound
		}
	}
	var out rows
	for _, n := range cl.Networks {
		if len(names) > 0 && !containsFold(names, n.Name) {
			continue
		}
		o := machine.Object{"": n.Name, "Name": n.Name, "Id": n.ID, "Address": n.Address, "AddressMask": n.Mask,
			"Cluster": cl.Name,
			"State": machine.Enum{Number: int64(n.State),
				Name: []string{"Unavailable", "Down", "Partitioned", "Up"}[n.State]},
			"Role": machine.Enum{Number: int64(n.Role),
				Name: []string{"None", "Cluster", "Client", "ClusterAndClient"}[n.Role]},
			"AutoMetric": !n.FixedMetric, "Metric": int64(n.Metric)}
		f.common(o, c.W, object{kind: "network", name: n.Name, cl: cl, network: n})
		out = append(out, o)
	}
	return out, nil
}

func (f *Family) psGetInterface(c *machine.Ctx, cl *model.Cluster, p map[string]any) (rows, error) {
	keep := func(param, value string) bool {
		list := machine.ArgStrings(p, param)
		return len(list) == 0 || containsFold(list, value)
	}
	var out rows
	for _, i := range cards(c.W, cl) {
		if keep("Name", i.name()) && keep("Node", i.node.Name) && keep("Network", i.networkName()) {
			s := interfaceState(i)
			out = append(out, machine.Object{"": i.name(), "Name": i.name(), "Node": i.node.Name, "Network": i.networkName(),
				"Address": i.address, "Adapter": i.adapter.Desc,
				"Id":    strings.ToLower(trimBraces(i.adapter.GUID)),
				"State": machine.Enum{Number: int64(s), Name: []string{"Unavailable", "Failed", "Unreachable", "Up"}[s]}})
		}
	}
	return out, nil
}

// psGetQuorum: up to 2012 R2 the type says how votes are counted; from 2016 it is Majority or
// DiskOnly and the witness's type tells the rest. UNCONFIRMED: the numbers of the enumeration.
func (f *Family) psGetQuorum(c *machine.Ctx, cl *model.Cluster, _ map[string]any) (rows, error) {
	e := map[string]machine.Enum{NodeMajority: {Number: 1, Name: "NodeMajority"},
		NodeAndDisk:  {Number: 2, Name: "NodeAndDiskMajority"},
		NodeAndShare: {Number: 3, Name: "NodeAndFileShareMajority"}, DiskOnly: {Number: 4, Name: "DiskOnly"}}[cl.Quorum.Model]
	if releaseOf(c.W, cl).AtLeast(node.WS2016) && cl.Quorum.Model != DiskOnly {
		e = machine.Enum{Number: 5, Name: "Majority"}
	}
	o := machine.Object{"": e.Name, "Cluster": cl.Name, "QuorumType": e, "QuorumResource": nil}
	if r := witness(cl); r != nil {
		o["QuorumResource"] = f.psResource(c, cl, r)
	}
	return rows{o}, nil
}

// psSetQuorum takes exactly one model. The old names are aliases of the new ones from 2012 R2.
func (f *Family) psSetQuorum(c *machine.Ctx, cl *model.Cluster, p map[string]any) (rows, error) {
	first := func(names ...string) string {
		for _, n := range names {
			if s := arg(p, n); s != "" {
				return s
			}
		}
		return ""
	}
	disk, share, only := first("DiskWitness", "NodeAndDiskMajority"),
		first("FileShareWitness", "NodeAndFileShareMajority"), arg(p, "DiskOnly")
	nodes := machine.ArgBool(p, "NoWitness") || machine.ArgBool(p, "NodeMajority")
	count := 0
	for _, given := range []bool{disk != "", share != "", only != "", nodes} {
		if given {
			count++
		}
	}
	if machine.ArgBool(p, "CloudWitness") {
		return nil, NotSupported
	}
	if count != 1 {
		return nil, InvalidParameter
	}
	var err error
	switch {
	case nodes:
		err = f.SetNodeMajority(c, cl)
	case disk != "":
		err = f.setDiskWitness(c, cl, disk, false)
	case only != "":
		err = f.setDiskWitness(c, cl, only, true)
	default:
		err = f.setShareWitness(c, cl, share)
	}
	if err != nil {
		return nil, err
	}
	return f.psGetQuorum(c, cl, nil)
}

func (f *Family) setDiskWitness(c *machine.Ctx, cl *model.Cluster, name string, only bool) error {
	r := Resource(cl, name)
	if r == nil {
		return ResourceNotFound
	}
	path := ""
	if l := letterOf(c.W, r); l != "" {
		path = l + quorumDir(node.WS2008)
	}
	return f.SetWitness(c, cl, name, path, only)
}

// setShareWitness makes a File Share Witness resource in the core group, sets its share and makes
// it the witness.
func (f *Family) setShareWitness(c *machine.Ctx, cl *model.Cluster, path string) error {
	if w := witness(cl); w != nil && w.Type == typeShare && strings.EqualFold(netPath(w), path) {
		return nil
	}
	if !strings.HasPrefix(path, `\\`) {
		return InvalidParameter
	}
	if !shareHost(c.W, path) {
		return BadNetPath
	}
	name := freeName("File Share Witness %d", func(s string) bool { return Resource(cl, s) != nil })
	if Resource(cl, typeShare) == nil {
		name = typeShare
	}
	r, err := f.CreateResource(c, cl, name, typeShare, coreGroup(cl).Name)
	if err != nil {
		return err
	}
	r.Private = model.Props{"SharePath": path}
	if err := f.SetWitness(c, cl, name, path, false); err != nil {
		f.drop(c, cl, r)
		f.forget(c, cl, r)
		return err
	}
	return nil
}

func netPath(r *model.ClusterResource) string {
	s, _ := r.Private["SharePath"].(string)
	return s
}
