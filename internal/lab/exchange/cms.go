package exchange

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"deploy/internal/lab/directory"
	"deploy/internal/lab/failover"
	"deploy/internal/lab/machine"
	"deploy/internal/lab/model"
)

// newCMS makes a clustered mailbox server on this node.
func (s *setup) newCMS() error {
	c, f := s.c, s.c.W.Forest
	name, address, data := s.args["cmsname"], s.args["cmsipaddress"], strings.TrimRight(s.args["cmsdatapath"], `\`)
	cl := failover.FindCluster(c)
	mark := "clustered-mailbox-server:" + strings.ToLower(name)
	// an earlier run for this server was cut: what it made is gone on with (UNCONFIRMED)
	cut := watermarkAt(c, "Mailbox") == mark
	_, shared := s.args["cmssharedstorage"]
	ip, ipErr := netip.ParseAddr(address)
	switch {
	case !hasRole(c.M, "Mailbox"):
		return refuse("MailboxRoleNotInstalled", "the Mailbox role is not installed on this node")
	case cl == nil:
		return refuse("ClusSvcNotRunning", "this computer is not a node of a running cluster")
	case name == "" || len(name) > 15 || ipErr != nil || data == "":
		return refuse("", "the parameters cmsname, cmsipaddress and cmsdatapath are needed")
	case !shared:
		return refuse("", "without cmssharedstorage setup makes a cluster continuous replication server, which this lab "+
			"does not play")
	case cut:
	case directory.Get(f, serverDN(f, name)) != nil:
		return refuse("CmsNameInUse", "an Exchange server named %s exists", name)
	case failover.Group(cl, name) != nil:
		return refuse("CmsGroupExists", "a cluster group named %s exists", name)
	}
	net := networkFor(cl, ip)
	switch {
	case net == nil || net.Role != 3:
		return refuse("CmsIPAddressNotOnPublicNetwork", "the address %s is on no network that clients may use", address)
	case !cut && inUse(c.W, cl, ip.String()):
		return refuse("CmsIPAddressInUse", "the address %s is in use", address)
	case strings.EqualFold(cl.Name, name) || c.W.Machine(name) != nil:
		return refuse("CmsNameInUse", "the name %s is in use", name)
	case !s.dataDisk(cl, data):
		return refuse("SharedStorageNotDetected", "no physical disk resource that is online on this node, and is not the "+
			"quorum, holds %s", data)
	case runsCMS(c, cl, name):
		return refuse("NodeOwnsCms", "this node runs a clustered mailbox server already")
	}
	defer s.alone()()
	s.mark("Mailbox", "Install", mark) // a run that is cut off must be seen
	if err := s.stage("Clustered Mailbox Server", 120*time.Second); err != nil {
		return err
	}
	if err := s.makeCMS(cl, name, ip.String(), net, data); err != nil {
		return refuse("", "cannot make the clustered mailbox server: %v", err)
	}
	s.configured("Mailbox")
	return nil
}

func (s *setup) makeCMS(cl *model.Cluster, name, address string, net *model.ClusterNetwork, data string) error {
	c, f := s.c, s.c.W.Forest
	firstOne := len(slices.DeleteFunc(clusteredServers(f),
		func(dn string) bool { return strings.EqualFold(dn, serverDN(f, name)) })) == 0
	srv := addServer(f, name, s.b)
	srv.Attrs["msexchclustered"] = []string{"TRUE"}
	srv.Attrs[attrNodes] = nil
	for _, n := range cl.Nodes {
		if m := c.W.Machine(n.Name); m != nil && hasRole(m, "Mailbox") {
			srv.Attrs[attrNodes] = append(srv.Attrs[attrNodes], n.Name)
		}
	}
	if firstOne {
		// the known fault: only the first clustered mailbox server of a cluster gets this object
		directory.Put(f, "CN=Microsoft MTA,"+srv.DN, "mTA",
			map[string][]string{"mtalocaldesig": {name}, "transretrymins": {"5"},
				"transtimeoutmins": {"20"}, "legacyexchangedn": {first(srv, "legacyexchangedn") + "/cn=Microsoft MTA"}})
	}
	sg, mdb := firstNames(c)
	dir := data + `\` + sg
	edb := dir + `\` + mdb + ".edb"
	sgDN := "CN=" + sg + ",CN=InformationStore," + srv.DN
	directory.Put(f, sgDN, "msExchStorageGroup",
		map[string][]string{"msexcheseparamlogfilepath": {dir}, "msexcheseparamsystempath": {dir},
			"msexcheseparambasename": {logPrefix}})
	o := directory.Put(f, "CN="+mdb+","+sgDN, "msExchPrivateMDB",
		map[string][]string{"msexchedbfile": {edb}, "msexchpatchmdb": {"FALSE"}, "msexchedboffline": {"FALSE"}})
	if err := createFiles(c, dir, dir, edb); err != nil {
		return err
	}
	g := failover.Group(cl, name)
	if g == nil {
		var err error
		if g, err = failover.CreateGroup(c, cl, name); err != nil {
			return err
		}
	}
	make := func(res, typ string, private model.Props, deps ...string) error {
		if failover.Resource(cl, res) != nil { // from a run that was cut
			return nil
		}
		r, err := s.e.cluster.CreateResource(c, cl, res, typ, g.Name)
		if err != nil {
			return err
		}
		for k, v := range private {
			failover.SetResourceProperty(r, k, v)
		}
		if strings.HasPrefix(typ, "Microsoft Exchange ") {
			r.Owners = append([]string{}, srv.Attrs[attrNodes]...)
		}
		for _, d := range deps {
			if err := failover.AddDependency(cl, r, d); err != nil {
				return err
			}
		}
		return nil
	}
	res := db{o, name, sg}.resource()
	for _, step := range []func() error{
		func() error {
			return make(ipName(name), "IP Address", model.Props{"Address": address, "SubnetMask": net.Mask, "Network": net.Name,
				"EnableNetBIOS": int64(1)})
		},
		func() error {
			return make(nnName(name), "Network Name", model.Props{"Name": strings.ToUpper(name), "DnsName": name}, ipName(name))
		},
		func() error { return make(saName(name), typeSA, nil, nnName(name)) },
		func() error { return make(isName(name), typeIS, nil, nnName(name)) },
		func() error { return make(res, typeDB, nil, isName(name)) },
		func() error { return s.e.cluster.OnlineGroup(c, cl, g) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// dataDisk says whether a clustered disk that is online here, and is not the witness, has the
// letter of path.
func (s *setup) dataDisk(cl *model.Cluster, path string) bool {
	for _, r := range cl.Resources {
		if r.Type != "Physical Disk" || r.State != 2 || r.ID == cl.Quorum.Resource || failover.OwnerOf(s.c, cl, r) != s.c.M {
			continue
		}
		for _, v := range s.c.M.Visible {
			if v.Serial != r.Disk {
				continue
			}
			for _, l := range v.Letters {
				if len(path) > 2 && strings.EqualFold(l, path[:2]) {
					return true
				}
			}
		}
	}
	return false
}

// runsCMS says that a clustered mailbox server other than except runs on this node.
func runsCMS(c *machine.Ctx, cl *model.Cluster, except string) bool {
	for _, r := range cl.Resources {
		if r.Type == typeSA && r.State == 2 && !strings.EqualFold(r.Group, except) && failover.OwnerOf(c, cl, r) == c.M {
			return true
		}
	}
	return false
}

func inUse(w *model.World, cl *model.Cluster, ip string) bool {
	for _, r := range cl.Resources {
		if r.Type == "IP Address" && r.Private["Address"] == ip {
			return true
		}
	}
	for _, m := range w.Machines {
		for _, a := range m.Adapters {
			for _, x := range a.Addresses {
				if p, err := netip.ParsePrefix(x); err == nil && p.Addr().String() == ip {
					return true
				}
			}
		}
	}
	return false
}

// removeCMS takes a clustered mailbox server away. It must run on the node that owns it; the
// databases' files stay.
func (s *setup) removeCMS() error {
	c, f := s.c, s.c.W.Forest
	name := s.args["cmsname"]
	cl := failover.FindCluster(c)
	if cl == nil {
		return refuse("ClusSvcNotRunning", "this computer is not a node of a running cluster")
	}
	srv, g := directory.Get(f, serverDN(f, name)), failover.Group(cl, name)
	if srv == nil && g == nil {
		return refuse("CmsNotFound", "there is no clustered mailbox server %s", name)
	}
	if g != nil && !strings.EqualFold(g.Owner, c.M.Name) {
		return refuse("NodeDoesNotOwnCms", "%s runs on %s; run setup there", name, g.Owner)
	}
	if srv != nil && directory.Get(f, "CN=Microsoft MTA,"+srv.DN) != nil {
		for _, other := range clusteredServers(f) {
			// the first clustered mailbox server goes last
			if !strings.EqualFold(other, srv.DN) && directory.Get(f, "CN=Microsoft MTA,"+other) == nil {
				return refuse("FirstCmsMustBeLast", "remove the other clustered mailbox servers first")
			}
		}
	}
	if srv != nil && homes(f, srv.DN) { // UNCONFIRMED for /RemoveCMS; uninstalling a Mailbox role has this rule
		return refuse("MailboxRoleHasMailboxes", "the databases of %s hold mailboxes; move or remove them first", name)
	}
	defer s.alone()()
	if err := s.stage("Removing Clustered Mailbox Server", 60*time.Second); err != nil {
		return err
	}
	if g != nil {
		if err := s.takeApart(cl, g); err != nil {
			return refuse("", "cannot remove the clustered mailbox server: %v", err)
		}
	}
	if srv != nil {
		directory.Delete(f, srv.DN)
	}
	return nil
}

// homes says that somebody's mailbox is in a database below a server.
func homes(f *model.Forest, server string) bool {
	for _, o := range f.Objects {
		for _, db := range o.Attrs["homemdb"] {
			if strings.HasSuffix(strings.ToLower(db), ","+strings.ToLower(server)) {
				return true
			}
		}
	}
	return false
}

// takeApart removes Exchange's, the name's and the address's resources. Disks that are still in the
// group keep it alive.
func (s *setup) takeApart(cl *model.Cluster, g *model.ClusterGroup) error {
	c := s.c
	if err := s.e.cluster.OfflineGroup(c, cl, g); err != nil {
		return err
	}
	for _, typ := range []string{typeDB, typeIS, typeSA, "Network Name", "IP Address"} {
		for _, r := range failover.Resources(cl, g.Name) {
			if r.Type == typ {
				if err := s.e.cluster.DeleteResource(c, cl, r); err != nil {
					return err
				}
			}
		}
	}
	if len(failover.Resources(cl, g.Name)) > 0 {
		return s.e.cluster.OnlineGroup(c, cl, g)
	}
	return failover.DeleteGroup(cl, g)
}

// networkFor finds the cluster network that an address is on, or nil.
func networkFor(cl *model.Cluster, ip netip.Addr) *model.ClusterNetwork {
	for _, n := range cl.Networks {
		base, err := netip.ParseAddr(n.Address)
		mask, errMask := netip.ParseAddr(n.Mask)
		if err != nil || errMask != nil || !ip.Is4() || !base.Is4() || !mask.Is4() {
			continue
		}
		a, b, m := ip.As4(), base.As4(), mask.As4()
		same := true
		for i := range a {
			same = same && a[i]&m[i] == b[i]&m[i]
		}
		if same {
			return n
		}
	}
	return nil
}
