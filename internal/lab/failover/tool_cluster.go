package failover

import (
	"fmt"
	"strings"
	"time"

	"deploy/internal/lab/machine"
	"deploy/internal/node"
)

// pause is how long a change of state takes, in emulated time.
const pause = time.Second

func (t *tool) runCluster() error {
	switch {
	case t.has("create"):
		return t.create()
	case t.has("list"):
		t.linef("%s", t.w.networkH)
		for _, cl := range clusters(t.c.W) {
			t.line(cl.Name)
		}
		return nil
	case len(t.opts) == 0:
		return InvalidParameter // the real one prints its help
	}
	if err := t.connect(); err != nil {
		return err
	}
	cl := t.cl
	switch {
	case t.has("addnodes"):
		return t.addNodes()
	case t.has("destroy"):
		if !t.c.AtLeast(node.WS2008) {
			return InvalidParameter
		}
		return t.f.Destroy(t.c, cl, t.has("cleanupactivedirectory"))
	case t.has("rename"):
		return t.f.renameCluster(t.c, cl, t.value("rename"))
	case t.has("version"):
		t.linef("%s %s", cl.Name, t.c.M.Version)
		return nil
	case t.has("listnetpriority"):
		var rows [][]string
		for _, n := range priorities(cl) {
			rows = append(rows, []string{n.Name})
		}
		t.table([]column{{t.w.networkH, 20, false}}, rows)
		return nil
	case t.has("setnetpriority"):
		if !t.opt("setnetpriority").given {
			return InvalidParameter
		}
		return setPriorities(cl, list(t.value("setnetpriority")))
	case t.has("quorumresource"):
		return t.quorum()
	}
	return t.properties(object{kind: "cluster", name: cl.Name, cl: cl})
}

// create: cluster <name> /create /ipaddr:<ip>[,<mask>,<connection>] [/node:<n>] [/pass:] [/user:]
// [/verb] [/unattend] [/min].
func (t *tool) create() error {
	o := t.opt("ipaddress")
	if t.cluster == "" || o == nil || !o.given {
		return InvalidParameter
	}
	parts := strings.Split(o.value, ",")
	if len(parts) != 1 && len(parts) != 3 {
		return InvalidParameter
	}
	a := Address{IP: strings.TrimSpace(parts[0])}
	if len(parts) == 3 {
		a.Mask, a.Connection = strings.TrimSpace(parts[1]), strings.Trim(strings.TrimSpace(parts[2]), `"`)
	}
	first := t.value("node")
	if first == "" {
		first = t.c.M.Name
	}
	if t.c.M.Release == node.WS2003 {
		// the service account is mandatory: a domain account with its password
		user, pass := t.value("user"), t.opt("password")
		if user == "" || pass == nil {
			return InvalidParameter
		}
		if !machine.CheckPassword(t.c.W, user, pass.value) {
			return LogonFailure
		}
	}
	// UNCONFIRMED: that 2008 takes the shared disks as 2003 does; /min leaves them alone
	_, err := t.f.Create(t.c, NewCluster{Name: t.cluster, Addresses: []Address{a}, Nodes: []string{first},
		Disks: !t.has("minimum"), Progress: t.progress})
	return t.phase(first, err)
}

// addNodes: cluster <name> /add[:<n1>,<n2>...] [/pass:] [/verb] [/unattend] [/min]; /node:<n> names
// one as well.
func (t *tool) addNodes() error {
	names := append(list(t.value("addnodes")), list(t.value("node"))...)
	if len(names) == 0 {
		names = []string{t.c.M.Name}
	}
	for _, n := range names {
		if err := t.f.AddNodes(t.c, t.cl, []string{n}, !t.has("minimum"), t.progress); err != nil {
			return t.phase(n, err)
		}
	}
	return nil
}

// progress prints "<nn>% <text>" while the command runs.
func (t *tool) progress(percent int, text string) {
	t.c.Print(fmt.Sprintf("%3d%% %s\r\n", percent, text))
}

// phase prints that a phase failed, which comes before the last lines.
func (t *tool) phase(name string, err error) error {
	if err != nil {
		t.linef(t.w.phase, strings.ToUpper(name), int(CodeOf(err)), int(CodeOf(err)))
	}
	return err
}

// quorum: without a name it shows the witness. 2003 sets it; what 2008 and later do with a name is
// not documented enough, so it is refused: WMI's SetMajorityQuorum, SetDiskQuorum and
// SetNodeMajorityQuorum, or Set-ClusterQuorum, do it there.
func (t *tool) quorum() error {
	cl := t.cl
	o := t.opt("quorumresource")
	if !o.given {
		if t.has("path") || t.has("maxlogsize") {
			if !t.c.AtLeast(node.WS2008) && witness(cl) != nil {
				cl.Quorum.Path = t.value("path")
				return nil
			}
			return NotSupported
		}
		name := ""
		if r := witness(cl); r != nil {
			name = r.Name
		}
		t.table([]column{{t.w.resourceH, 20, false}, {"Path", 30, false}}, [][]string{{name, cl.Quorum.Path}})
		return nil
	}
	if t.c.AtLeast(node.WS2008) {
		return NotSupported
	}
	r := Resource(cl, o.value)
	if r == nil {
		return ResourceNotFound
	}
	path := t.value("path")
	if path == "" {
		if l := letterOf(t.c.W, r); l != "" {
			path = l + quorumDir(node.WS2003)
		}
	}
	return t.f.SetWitness(t.c, cl, o.value, path, r.Type == typeDisk)
}

// runNodeLocal carries out what needs no running cluster: clean-up and start of a node.
func (t *tool) runNodeLocal() error {
	name := t.name
	if name == "" {
		name = t.c.M.Name
	}
	m := t.c.W.Machine(name)
	local := m == t.c.M
	switch {
	case m == nil || !m.Powered:
		return RPCUnavailable
	case !local && !t.c.SecondHop():
		return AccessDenied
	case !Installed(m):
		return NodeNotFound
	}
	if t.has("forcecleanup") {
		t.c.Sleep(pause)
		t.f.ForceCleanup(t.c, m)
		return nil
	}
	return t.f.startNode(on(t.c, m))
}

// startNode starts the Cluster service of c's machine.
func (f *Family) startNode(c *machine.Ctx) error {
	cl := clusterOf(c.W, c.M)
	s := service(c.M)
	if cl == nil || s == nil {
		return NodeNotFound
	}
	if s.State == svcRunning {
		return NodeAlreadyUp
	}
	s.State = svcRunning
	f.settle(c, cl)
	if n := nodeOf(cl, c.M.Name); n == nil || !isUp(n) {
		return NodeDown
	}
	return nil
}

// stopNode stops the Cluster service of a member; its groups go elsewhere.
func (f *Family) stopNode(c *machine.Ctx) error {
	cl := clusterOf(c.W, c.M)
	s := service(c.M)
	if cl == nil || s == nil {
		return NodeNotFound
	}
	if s.State == svcStopped {
		return NodeAlreadyDown
	}
	if n := nodeOf(cl, c.M.Name); n != nil && isUp(n) && len(upNodes(cl)) > 1 {
		was := n.State
		n.State = 2
		for _, g := range ordered(cl) {
			if strings.EqualFold(g.Owner, n.Name) {
				f.takeDown(c, cl, g)
				f.place(c, cl, g)
			}
		}
		n.State = was
	}
	s.State = svcStopped
	f.settle(c, cl)
	return nil
}

func (t *tool) runNode() error {
	name := t.name
	if name == "" && (t.has("evict") || t.has("pause") || t.has("resume") || t.has("stop") || t.has("properties") ||
		t.has("privproperties")) {
		name = t.c.M.Name
	}
	if name == "" {
		t.nodes("")
		return nil
	}
	n := Node(t.cl, name)
	if n == nil {
		return NodeNotFound
	}
	switch {
	case t.has("evict"):
		return t.f.Evict(t.c, t.cl, n)
	case t.has("pause"):
		if err := pauseNode(n); err != nil {
			return err
		}
	case t.has("resume"):
		if err := resumeNode(n); err != nil {
			return err
		}
	case t.has("stop"):
		m := t.c.W.Machine(n.Name)
		if m != t.c.M && !t.c.SecondHop() {
			return AccessDenied
		}
		if m == nil || !isUp(n) {
			return NodeAlreadyDown
		}
		return t.f.stopNode(on(t.c, m))
	case t.has("listinterfaces"):
		t.interfaces(func(i card) bool { return i.node == n })
		return nil
	case t.has("properties"), t.has("privproperties"):
		return t.properties(object{kind: "node", name: n.Name, cl: t.cl, node: n})
	}
	t.nodes(n.Name)
	return nil
}

func pauseNode(n *clusterNode) error {
	switch n.State {
	case 0:
		n.State = 2
		return nil
	case 2:
		return NodePaused
	}
	return NodeDown
}

func resumeNode(n *clusterNode) error {
	switch n.State {
	case 2:
		n.State = 0
		return nil
	case 0:
		return NodeNotPaused
	}
	return NodeDown
}

// nodes: columns 14, 7 and 21, the number right-aligned.
func (t *tool) nodes(name string) {
	t.heading("nodes", "node", name)
	var rows [][]string
	for _, n := range t.cl.Nodes {
		if name == "" || n.Name == name {
			rows = append(rows, []string{n.Name, itoa(n.ID), t.w.node(n.State)})
		}
	}
	t.table([]column{{t.w.nodeH, 14, false}, {t.w.nodeIDH, 7, true}, {t.w.statusH, 21, false}}, rows)
}

func (t *tool) heading(all, one, name string) {
	if name == "" {
		t.linef(t.w.listAll, all)
	} else {
		t.linef(t.w.listOne, one, name)
	}
	t.line("")
}
