package exchange

import (
	"slices"
	"strings"
	"time"

	"deploy/internal/lab/directory"
	"deploy/internal/lab/failover"
	"deploy/internal/lab/machine"
	"deploy/internal/lab/model"
)

// roleNames maps what /roles takes to the role's name in the registry key.
func roleNames() map[string]string {
	return map[string]string{"mailbox": "Mailbox", "mb": "Mailbox", "m": "Mailbox", "hubtransport": "HubTransport",
		"ht": "HubTransport", "h": "HubTransport",
		"clientaccess": "ClientAccess", "ca": "ClientAccess", "c": "ClientAccess", "unifiedmessaging": "UnifiedMessaging",
		"um": "UnifiedMessaging", "u": "UnifiedMessaging",
		"managementtools": "AdminTools", "mt": "AdminTools", "t": "AdminTools"}
}

// needs are the Windows features that setup asks for on 2008. Source: exchange.md A2, the clustered
// Mailbox server.
func needs(role string) []string {
	switch role {
	case "Mailbox":
		return []string{"PowerShell", "Web-Server", "Web-ISAPI-Ext", "Web-Metabase", "Web-Lgcy-Mgmt-Console",
			"Web-Basic-Auth", "Web-Windows-Auth"}
	case "ClientAccess":
		return []string{"PowerShell", "Web-Server", "Web-ISAPI-Ext", "Web-Metabase", "Web-Lgcy-Mgmt-Console",
			"Web-Basic-Auth", "Web-Digest-Auth", "Web-Windows-Auth", "Web-Dyn-Compression"}
	}
	return []string{"PowerShell"}
}

func (s *setup) roles() ([]string, error) {
	var out []string
	for _, r := range strings.Split(s.args["roles"], ",") {
		r = strings.ToLower(strings.TrimSpace(r))
		name, ok := roleNames()[r]
		switch {
		case r == "edgetransport" || r == "et" || r == "e":
			return nil, refuse("", "the Edge Transport role is not one that this lab plays")
		case !ok:
			return nil, refuse("", "the role '%s' is not known", r)
		}
		if name != "AdminTools" {
			out = append(out, name)
		}
	}
	return out, nil
}

func (s *setup) install() error {
	c, f := s.c, s.c.W.Forest
	roles, err := s.roles()
	if err != nil {
		return err
	}
	org := organization(f)
	switch {
	case older(object(f, schemaVersionDN(f), "rangeUpper"), s.b.rangeUpper):
		return refuse("SchemaNotPrepared", "the Active Directory schema is not prepared")
	case org == "" || older(object(f, org, "objectVersion"), s.b.objectVersion):
		return refuse("ADNotPrepared", "the organization is not prepared")
	case older(object(f, systemObjectsDN(f), "objectVersion"), s.b.domain):
		return refuse("DomainNotPrepared", "the domain is not prepared")
	}
	// what was cut goes on or is removed before anything else. Source: exchange.md A4, partial
	// install; UNCONFIRMED for 2007
	for _, r := range []string{"Mailbox", "HubTransport", "ClientAccess", "UnifiedMessaging"} {
		if a := watermark(c, r); a != "" && (a != "Install" || !slices.Contains(roles, r)) {
			return refuse("", "an earlier run of setup (%s of the %s role) did not complete; run it again first", a, r)
		}
	}
	clustered := failover.FindCluster(c) != nil
	for _, r := range roles {
		if clustered && r != "Mailbox" {
			return refuse("ClusterInvalidRole", "on a node of a cluster only the Mailbox role can be installed")
		}
		if c.M.Release == "2008" {
			for _, n := range needs(r) {
				if !feature(c.M, n) {
					return refuse("WindowsComponent"+n, "the Windows component %s is not installed", n)
				}
			}
		}
		if p := c.M.Products[Product]; p != nil && p.Version != s.b.version {
			return refuse("", "Exchange %s is installed; upgrade it first", p.Version)
		}
	}
	defer s.alone()()
	target := s.args["targetdir"]
	if target == "" {
		target = installed
	}
	for _, r := range roles {
		s.mark(r, "Install", "copying-files")
	}
	if err := s.stage("Copying Exchange Files", 180*time.Second); err != nil {
		return err
	}
	_ = machine.MakeDirs(c, target+`\bin`)
	_ = machine.RegSet(c, regRoot+`\Setup`, "MsiInstallPath", "string", target+`\`)
	p := c.M.Products[Product]
	if p == nil {
		p = &model.Product{Key: Product, Version: s.b.version, Path: target}
		if c.M.Products == nil {
			c.M.Products = map[string]*model.Product{}
		}
		c.M.Products[Product] = p
	}
	for _, r := range roles {
		s.mark(r, "Install", "configuring")
		if err := s.stage(r+" Server Role", 240*time.Second); err != nil {
			return err
		}
		services(c, r, clustered)
		if !slices.Contains(p.Roles, r) {
			p.Roles = append(p.Roles, r)
		}
		s.configured(r)
	}
	s.tools()
	if clustered {
		s.registerTypes()
	} else {
		addServer(f, c.M.Name, s.b)
	}
	return nil
}

// tools is the management tools' role, which comes with every other.
func (s *setup) tools() {
	key := regRoot + `\v8.0\AdminTools`
	_ = machine.RegSet(s.c, key, "UnpackedVersion", "string", s.b.version)
	_ = machine.RegSet(s.c, key, "ConfiguredVersion", "string", s.b.version)
}

// registerTypes makes Exchange's resource types known and lets this node host the clustered mailbox
// servers that are there.
func (s *setup) registerTypes() {
	cl := failover.FindCluster(s.c)
	for _, t := range Types() {
		failover.RegisterType(cl, t)
	}
	for _, r := range cl.Resources {
		if strings.HasPrefix(r.Type, "Microsoft Exchange ") &&
			!slices.ContainsFunc(r.Owners, func(o string) bool { return strings.EqualFold(o, s.c.M.Name) }) {
			r.Owners = append(r.Owners, s.c.M.Name)
		}
	}
	for _, srv := range clusteredServers(s.c.W.Forest) {
		o := directory.Get(s.c.W.Forest, srv)
		if list := o.Attrs[attrNodes]; !slices.ContainsFunc(list,
			func(n string) bool { return strings.EqualFold(n, s.c.M.Name) }) && sameCluster(cl, list) {
			o.Attrs[attrNodes] = append(list, s.c.M.Name)
		}
	}
}

func sameCluster(cl *model.Cluster, names []string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return failover.Node(cl, n) != nil })
}

func (s *setup) uninstall() error {
	c := s.c
	p := c.M.Products[Product]
	if p == nil && watermark(c, "Mailbox") == "" {
		return refuse("", "Exchange is not installed on this computer")
	}
	if cl := failover.FindCluster(c); cl != nil {
		for _, r := range cl.Resources {
			if r.Type == typeSA && failover.OwnerOf(c, cl, r) == c.M {
				return refuse("ClusteredMailboxServerOnNode", "a clustered mailbox server runs on this node; move or remove it "+
					"first")
			}
		}
	}
	roles := []string{"Mailbox", "HubTransport", "ClientAccess", "UnifiedMessaging"}
	if _, named := s.args["roles"]; named {
		var err error
		if roles, err = s.roles(); err != nil {
			return err
		}
	}
	defer s.alone()()
	for _, r := range roles {
		if hasRole(c.M, r) {
			s.mark(r, "Uninstall", "stopping")
		}
	}
	if err := s.stage("Removing Server Roles", 120*time.Second); err != nil {
		return err
	}
	for _, r := range roles {
		machine.RegDeleteKey(c, regRoot+`\v8.0\`+r+"Role")
		if p != nil {
			p.Roles = slices.DeleteFunc(p.Roles, func(x string) bool { return x == r })
		}
		dropServices(c, r)
	}
	if p != nil && len(p.Roles) > 0 {
		return nil
	}
	s.withdraw()
	return nil
}

// withdraw takes away what the last role leaves.
func (s *setup) withdraw() {
	c := s.c
	if p := c.M.Products[Product]; p != nil {
		_ = machine.RemoveFile(c, p.Path, true)
		if parent, _, ok := cutLast(p.Path); ok {
			_ = machine.RemoveFile(c, parent, false) // only when it is empty
		}
	}
	delete(c.M.Products, Product)
	machine.RegDeleteKey(c, regRoot)
	cl := failover.FindCluster(c)
	if cl == nil {
		directory.Delete(c.W.Forest, "CN="+c.M.Name+","+serversDN(c.W.Forest))
		return
	}
	for _, r := range cl.Resources {
		if strings.HasPrefix(r.Type, "Microsoft Exchange ") {
			r.Owners = slices.DeleteFunc(r.Owners, func(o string) bool { return strings.EqualFold(o, c.M.Name) })
		}
	}
	for _, srv := range clusteredServers(c.W.Forest) {
		o := directory.Get(c.W.Forest, srv)
		o.Attrs[attrNodes] = slices.DeleteFunc(o.Attrs[attrNodes],
			func(n string) bool { return strings.EqualFold(n, c.M.Name) })
	}
	for _, n := range cl.Nodes {
		if m := c.W.Machine(n.Name); m != nil && m.Products[Product] != nil {
			return
		}
	}
	for _, t := range Types() {
		delete(cl.Types, t.Name) // the last node's setup unregisters them: UNCONFIRMED
	}
}

func cutLast(path string) (before, after string, ok bool) {
	i := strings.LastIndexByte(path, '\\')
	if i < 0 {
		return "", "", false
	}
	return path[:i], path[i+1:], true
}

// feature finds a feature without case. Windows PowerShell 2.0 from the Windows Management
// Framework replaces the feature.
func feature(m *model.Machine, id string) bool {
	for k, on := range m.Features {
		if on && strings.EqualFold(k, id) {
			return true
		}
	}
	return strings.EqualFold(id, "PowerShell") && m.PSVer >= "2"
}

// roleServices are the services of each role: name, English display name, whether a cluster starts
// it. Source: exchange.md A8.
func roleServices(role string) [][2]string {
	switch role {
	case "Mailbox":
		return [][2]string{{"MSExchangeADTopology", "Microsoft Exchange Active Directory Topology Service"},
			{"MSExchangeSA", "Microsoft Exchange System Attendant"},
			{"MSExchangeIS", "Microsoft Exchange Information Store"},
			{"MSExchangeMailboxAssistants", "Microsoft Exchange Mailbox Assistants"},
			{"MSExchangeMailSubmission", "Microsoft Exchange Mail Submission"},
			{"MSExchangeRepl", "Microsoft Exchange Replication Service"},
			{"MSExchangeSearch", "Microsoft Exchange Search Indexer"},
			{"MSExchangeServiceHost", "Microsoft Exchange Service Host"},
			{"MSExchangeTransportLogSearch", "Microsoft Exchange Transport Log Search"},
			{"msftesql-Exchange", "Microsoft Search (Exchange)"}}
	case "HubTransport":
		return [][2]string{{"MSExchangeADTopology", "Microsoft Exchange Active Directory Topology Service"},
			{"MSExchangeTransport", "Microsoft Exchange Transport"},
			{"MSExchangeEdgeSync", "Microsoft Exchange EdgeSync"},
			{"MSExchangeAntispamUpdate", "Microsoft Exchange Anti-spam Update"},
			{"MSExchangeTransportLogSearch", "Microsoft Exchange Transport Log Search"}}
	case "ClientAccess":
		return [][2]string{{"MSExchangeADTopology", "Microsoft Exchange Active Directory Topology Service"},
			{"MSExchangeFDS", "Microsoft Exchange File Distribution"},
			{"MSExchangePOP3", "Microsoft Exchange POP3"}, {"MSExchangeIMAP4", "Microsoft Exchange IMAP4"},
			{"MSExchangeServiceHost", "Microsoft Exchange Service Host"}}
	}
	return nil
}

func services(c *machine.Ctx, role string, clustered bool) {
	for _, n := range roleServices(role) {
		start, state := 2, 4
		switch n[0] {
		case "MSExchangeIS", "MSExchangeSA":
			if clustered { // the cluster starts and stops them
				start, state = 3, 1
			}
		case "msftesql-Exchange", "MSExchangePOP3", "MSExchangeIMAP4":
			start, state = 3, 1
		}
		machine.AddService(c.M, model.Service{Name: n[0], Display: n[1], Start: start, State: state, Account: "LocalSystem",
			Path: `"` + installed + `\bin\` + n[0] + `.exe"`})
	}
}

// dropServices takes the services of a role away, but for those that a role which stays has as
// well.
func dropServices(c *machine.Ctx, role string) {
	var stay [][2]string
	if p := c.M.Products[Product]; p != nil {
		for _, r := range p.Roles {
			stay = append(stay, roleServices(r)...)
		}
	}
	for _, n := range roleServices(role) {
		if !slices.Contains(stay, n) {
			machine.DropService(c.M, n[0])
		}
	}
}
