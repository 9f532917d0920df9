package failover

import (
	"net/netip"
	"sort"
	"strings"
	"time"

	"deploy/internal/lab/machine"
	"deploy/internal/lab/model"
	"deploy/internal/node"
)

// Address is one address of a new cluster.
type Address struct {
	IP         string
	Mask       string // "" takes the mask of the adapter's own network
	Connection string // name of the adapter's connection on the first node; "" finds it
}

// NewCluster says what cluster to form.
type NewCluster struct {
	Name      string
	Addresses []Address // none only without an access point
	Nodes     []string  // the first one forms it
	Disks     bool      // take every eligible disk
	Witness   bool      // choose a witness disk for an even number of nodes
	NoAccount bool      // administrative access point without a directory account (Dns)
	NoName    bool      // administrative access point None
	Progress  func(percent int, text string)
}

// setupTime is how long forming a cluster or adding a node takes at least, in emulated time.
const setupTime = 6 * time.Second

// mayConfigure says whether this logon can form or change the membership of clusters: that talks to
// other machines and to the directory. A task of the system account cannot either: it is no
// administrator of the others (UNCONFIRMED code).
func mayConfigure(c *machine.Ctx) error {
	user := strings.ToLower(c.User)
	if !c.SecondHop() || strings.HasSuffix(user, `\system`) || user == "system" {
		return AccessDenied
	}
	return nil
}

// candidate says whether a machine can become a node of a cluster.
func candidate(w *model.World, name string, rel node.Release, domain string, free bool) (*model.Machine, error) {
	m := w.Machine(name)
	if m == nil || !m.Powered {
		return nil, RPCUnavailable
	}
	if free && (memberOf(m) != "" || clusterOf(w, m) != nil) {
		return nil, AlreadyMember
	}
	if !Installed(m) {
		return nil, CannotBeClustered
	}
	if rel != "" && !mixes(rel, m.Release) {
		return nil, CannotBeClustered
	}
	if !strings.EqualFold(m.Domain, domain) && !(rel == "" && domain == "") {
		return nil, CannotBeClustered
	}
	if m.Domain == "" && !m.Release.AtLeast(node.WS2016) {
		return nil, CannotBeClustered
	}
	return m, nil
}

// mixes says that two releases can be in one cluster: the same, or two that follow each other from
// 2012 R2 on (rolling upgrade).
func mixes(a, b node.Release) bool {
	if a == b {
		return true
	}
	list := node.WindowsReleases()
	for i := 1; i < len(list); i++ {
		if list[i-1].AtLeast(node.WS2012R2) && (list[i-1] == a && list[i] == b || list[i-1] == b && list[i] == a) {
			return true
		}
	}
	return false
}

// maxNodes is the most that a release's cluster holds.
func maxNodes(rel node.Release) int {
	switch {
	case rel == node.WS2003:
		return 8
	case rel.AtLeast(node.WS2012):
		return 64
	}
	return 16
}

func validComputerName(s string) bool {
	if s == "" || len(s) > 15 || strings.Trim(s, "0123456789") == "" || strings.HasPrefix(s, "-") ||
		strings.HasSuffix(s, "-") {
		return false
	}
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' {
			return false
		}
	}
	return true
}

// check validates what Create is asked and fills in masks.
func (spec *NewCluster) check(c *machine.Ctx) (*model.Machine, error) {
	if !validComputerName(spec.Name) {
		return nil, BadComputerName
	}
	if len(spec.Nodes) == 0 {
		return nil, InvalidParameter
	}
	var first *model.Machine
	for _, n := range spec.Nodes {
		rel, domain := node.Release(""), ""
		if first != nil {
			rel, domain = first.Release, first.Domain
		} else if m := c.W.Machine(n); m != nil {
			domain = m.Domain
		}
		m, err := candidate(c.W, n, rel, domain, true)
		if err != nil {
			return nil, err
		}
		if first == nil {
			first = m
		}
	}
	if c.W.Clusters[strings.ToLower(spec.Name)] != nil || c.W.Machine(spec.Name) != nil {
		return nil, DuplicateCluster
	}
	if o := account(c.W.Forest, spec.Name); o != nil && enabled(o) && first.Release != node.WS2003 && !spec.NoAccount &&
		!spec.NoName {
		return nil, DuplicateCluster // UNCONFIRMED code for an account that is in use
	}
	if len(spec.Addresses) == 0 && !spec.NoName {
		return nil, InvalidParameter
	}
	for i := range spec.Addresses {
		if err := spec.Addresses[i].check(c.W, first); err != nil {
			return nil, err
		}
	}
	return first, nil
}

// check finds the adapter for an address: 87 for no address, 5045 for a connection that is not
// there, 5894 when no network fits, 5057 when the address is in use.
func (a *Address) check(w *model.World, m *model.Machine) error {
	ip, err := netip.ParseAddr(a.IP)
	if err != nil || !ip.Is4() {
		return InvalidParameter
	}
	if a.Mask != "" {
		if _, ok := prefixOf(a.IP, a.Mask); !ok {
			return InvalidParameter
		}
	}
	known := a.Connection == ""
	for _, ad := range m.Adapters {
		if a.Connection != "" && !strings.EqualFold(ad.Name, a.Connection) {
			continue
		}
		known = true
		for _, cidr := range ad.Addresses {
			p, err := netip.ParsePrefix(cidr)
			if err != nil || !p.Contains(ip) || (a.Mask != "" && maskOf(p.Bits()) != a.Mask) || ad.LinkDown {
				continue
			}
			a.Mask = maskOf(p.Bits())
			if inUse(w, &model.Cluster{}, nil, a.IP) {
				return AddressInUse
			}
			return nil
		}
	}
	if !known {
		return NetworkNotFound
	}
	return NoNetworkForAddress
}

// Create forms a cluster. It needs a logon with a second hop (5). 5900 the name is in use, 5065 a
// node is in a cluster, 5898 a machine cannot be a node, 1722 it does not answer, 5057, 5894 and
// 5045 as for the address, 1210 for a name that cannot be one.
func (f *Family) Create(c *machine.Ctx, spec NewCluster) (*model.Cluster, error) {
	f.Settle(c)
	if err := mayConfigure(c); err != nil {
		return nil, err
	}
	if _, err := spec.check(c); err != nil {
		return nil, err
	}
	spec.step(c, 12, "Validating installation of Network FT Driver")
	spec.step(c, 37, "Configuring Cluster Service")
	f.Settle(c)
	first, err := spec.check(c) // the world may have changed meanwhile
	if err != nil {
		return nil, err
	}
	cl := &model.Cluster{Name: spec.Name, ID: guid(c.W), Domain: first.Domain, Quorum: model.Quorum{Model: NodeMajority}}
	if c.W.Clusters == nil {
		c.W.Clusters = map[string]*model.Cluster{}
	}
	c.W.Clusters[strings.ToLower(spec.Name)] = cl
	f.registerBuiltin(cl, first.Release)
	for _, name := range spec.Nodes {
		addMember(cl, c.W.Machine(name))
	}
	cc := on(c, first)
	f.refreshNetworks(cc, cl)
	w := lang(first.Locale)
	core := &model.ClusterGroup{ID: guid(c.W), Name: w.coreGroup, Owner: first.Name, Core: true, Type: 1}
	cl.Groups = append(cl.Groups, core)
	if first.Release != node.WS2003 {
		cl.Groups = append(cl.Groups, &model.ClusterGroup{ID: guid(c.W), Name: w.storage, Owner: first.Name, Core: true,
			Type: 2})
	}
	if !spec.NoName {
		if err := f.accessPoint(cc, cl, spec, core, w); err != nil {
			f.erase(cc, cl)
			return nil, err
		}
	}
	if spec.Disks {
		for _, d := range eligible(cc, cl) {
			if _, err := f.addDisk(cc, cl, d, ""); err != nil {
				f.erase(cc, cl)
				return nil, err
			}
		}
	}
	rebalance(c.W, cl)
	if first.Release == node.WS2003 || (spec.Witness && len(cl.Nodes)%2 == 0) {
		f.chooseWitness(cc, cl, first.Release)
	}
	rebalance(c.W, cl)
	if spec.Progress != nil {
		spec.Progress(100, "")
	}
	return cl, nil
}

// step reports progress and lets time pass.
func (spec *NewCluster) step(c *machine.Ctx, percent int, text string) {
	if spec.Progress != nil {
		spec.Progress(percent, text)
	}
	c.Sleep(setupTime / 2)
}

// addMember makes a machine a node with the lowest free number.
func addMember(cl *model.Cluster, m *model.Machine) {
	id := 1
	for taken := true; taken; {
		taken = false
		for _, n := range cl.Nodes {
			if n.ID == id {
				taken = true
				id++
			}
		}
	}
	cl.Nodes = append(cl.Nodes, &model.ClusterNode{Name: m.Name, ID: id, Vote: 1, Dynamic: 1})
	enroll(m, cl)
}

// accessPoint makes the cluster's name and addresses and brings them online.
func (f *Family) accessPoint(c *machine.Ctx, cl *model.Cluster, spec NewCluster, core *model.ClusterGroup,
	w words) error {
	var terms []string
	for i, a := range spec.Addresses {
		name := w.address
		if i > 0 {
			name += " " + a.IP
		}
		r, err := f.CreateResource(c, cl, name, typeIP, core.Name)
		if err != nil {
			return err
		}
		p, _ := prefixOf(a.IP, a.Mask)
		r.Core = true
		r.Private = model.Props{"Address": a.IP, "SubnetMask": a.Mask}
		if n := networkAt(cl, p.Masked().Addr().String(), a.Mask); n != nil {
			r.Private["Network"] = n.Name
			if n.Role&2 == 0 { // a network that carries clients now
				n.Role = 3
			}
		}
		terms = append(terms, "["+name+"]")
	}
	r, err := f.CreateResource(c, cl, w.name, typeName, core.Name)
	if err != nil {
		return err
	}
	r.Core = true
	r.Private = model.Props{"Name": strings.ToUpper(spec.Name)}
	r.DependsOn = strings.Join(terms, " or ")
	return f.Online(c, cl, r)
}

// chooseWitness takes the smallest disk of at least 512 MB (50 MB on 2003) from the available
// storage. UNCONFIRMED: the sizes.
func (f *Family) chooseWitness(c *machine.Ctx, cl *model.Cluster, rel node.Release) {
	least := int64(512)
	if rel == node.WS2003 {
		least = 50
	}
	var disks []*model.ClusterResource
	for _, r := range Resources(cl, storageGroup(cl).Name) {
		if d := c.W.Disks[r.Disk]; r.Type == typeDisk && d != nil && d.SizeMB >= least {
			disks = append(disks, r)
		}
	}
	sort.SliceStable(disks, func(i,
		j int) bool {
		return c.W.Disks[disks[i].Disk].SizeMB < c.W.Disks[disks[j].Disk].SizeMB
	})
	if len(disks) > 0 {
		path := ""
		if l := letterOf(c.W, disks[0]); l != "" {
			path = l + quorumDir(rel)
		}
		_ = f.SetWitness(c, cl, disks[0].Name, path, rel == node.WS2003) // without one the nodes' votes alone count
	} else if rel == node.WS2003 {
		cl.Quorum.Model = DiskOnly // the local quorum of a single node
	}
}

// quorumDir is the directory of the quorum files on the witness disk.
func quorumDir(rel node.Release) string {
	if rel == node.WS2003 {
		return `\MSCS\`
	}
	return `\Cluster\`
}

// AddNodes adds machines to a cluster, one after the other. Codes as for Create; disks takes every
// disk that is eligible then.
func (f *Family) AddNodes(c *machine.Ctx, cl *model.Cluster, names []string, disks bool,
	progress func(percent int, text string)) error {
	if err := mayConfigure(c); err != nil {
		return err
	}
	if len(upNodes(cl)) == 0 {
		return NoEndpoint
	}
	spec := NewCluster{Progress: progress}
	for _, name := range names {
		if _, err := f.checkAdd(c, cl, name); err != nil {
			return err
		}
		spec.step(c, 20, "Validating cluster state on node "+name)
		spec.step(c, 60, "Configuring Cluster Service on node "+name)
		f.Settle(c) // the world may have changed meanwhile
		if c.W.Clusters[strings.ToLower(cl.Name)] != cl || len(upNodes(cl)) == 0 {
			return NoEndpoint
		}
		m, err := f.checkAdd(c, cl, name)
		if err != nil {
			return err
		}
		addMember(cl, m)
		for _, r := range cl.Resources {
			if r.Type == typeDisk && r.Disk != "" {
				rememberDisk(m, r)
				if v := visible(c.W, m, r.Disk); v != nil {
					v.Offline = true
				}
			}
		}
		rebalance(c.W, cl)
		f.refreshNetworks(c, cl)
		if disks {
			for _, d := range eligible(c, cl) {
				_, _ = f.addDisk(c, cl, d, "") // a disk that does not come online does not undo the node
			}
		}
		f.retryFailed(c, cl)
	}
	if progress != nil {
		progress(100, "")
	}
	return nil
}

func (f *Family) checkAdd(c *machine.Ctx, cl *model.Cluster, name string) (*model.Machine, error) {
	if nodeOf(cl, name) != nil {
		return nil, AlreadyMember
	}
	rel := releaseOf(c.W, cl)
	if len(cl.Nodes) >= maxNodes(rel) {
		return nil, CannotBeClustered
	}
	return candidate(c.W, name, rel, cl.Domain, true)
}
