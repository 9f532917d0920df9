package exchange

import (
	"slices"
	"strings"

	"deploy/internal/lab/directory"
	"deploy/internal/lab/failover"
	"deploy/internal/lab/machine"
	"deploy/internal/lab/model"
)

const snapIn = "snapin:Microsoft.Exchange.Management.PowerShell.Admin"

// present: the snap-in comes with the management tools, which come with every role.
func present(c *machine.Ctx) bool { return c.M.Products[Product] != nil }

// cmdlets are those of the snap-in that the reference documents. Each of them talks to a domain
// controller, so a network logon, which has no second hop, gets the directory's refusal.
func (e *Family) cmdlets() []*machine.Cmdlet {
	make := func(name string, params []string, run func(c *machine.Ctx, p map[string]any) ([]machine.Object,
		error)) *machine.Cmdlet {
		return &machine.Cmdlet{Name: name, Load: snapIn, Params: append(params, "DomainController"), Present: present,
			Run: func(c *machine.Ctx, p map[string]any) ([]machine.Object, error) {
				if err := directory.Reachable(c); err != nil {
					f := c.AsFail(err)
					f.ID, f.Category = "Microsoft.Exchange.Data.Directory.ADTransientException,"+name, "ResourceUnavailable"
					return nil, f
				}
				return run(c, p)
			}}
	}
	return []*machine.Cmdlet{
		make("Get-MailboxServer", []string{"Identity", "Status"}, getMailboxServer),
		make("Get-ExchangeServer", []string{"Identity", "Status"}, getExchangeServer),
		make("Get-ClusteredMailboxServerStatus", []string{"Identity"}, e.status),
		make("Move-ClusteredMailboxServer", []string{"Identity", "TargetMachine", "MoveComment", "Confirm", "WhatIf"},
			e.move),
		make("Start-ClusteredMailboxServer", []string{"Identity", "Confirm", "WhatIf"}, e.startCMS),
		make("Stop-ClusteredMailboxServer", []string{"Identity", "StopReason", "Confirm", "WhatIf"}, e.stopCMS),
		make("Get-StorageGroup", []string{"Identity", "Server"}, getStorageGroup),
		make("Get-MailboxDatabase", []string{"Identity", "Server", "StorageGroup", "Status", "IncludePreExchange2007"},
			e.getDatabase),
		make("Move-StorageGroupPath", []string{"Identity", "LogFolderPath", "SystemFolderPath", "ConfigurationOnly", "Force",
			"Confirm", "WhatIf"}, e.moveGroupPath),
		make("Move-DatabasePath", []string{"Identity", "EdbFilePath", "ConfigurationOnly", "Force", "Confirm", "WhatIf"},
			e.moveDatabasePath),
	}
}

// missing is how a cmdlet says that an object is not there.
func missing(cmdlet, identity string) *machine.Fail {
	return machine.PSFail("ManagementObjectNotFoundException,Microsoft.Exchange.Management.SystemConfigurationTasks."+
		strings.ReplaceAll(cmdlet, "-", ""),
		"ObjectNotFound", "Microsoft.Exchange.Configuration.Tasks.ManagementObjectNotFoundException", 0x80131500,
		"The operation could not be performed because object '"+identity+"' could not be found.")
}

func invalid(cmdlet, text string) *machine.Fail {
	return machine.PSFail("InvalidOperationException,Microsoft.Exchange.Management.SystemConfigurationTasks."+
		strings.ReplaceAll(cmdlet, "-", ""),
		"InvalidOperation", "System.InvalidOperationException", 0x80131509, text)
}

// unconfirmed: a cmdlet that would ask cannot, in a session without a person.
func unconfirmed(p map[string]any, force bool) bool {
	if force && machine.ArgBool(p, "Force") {
		return false
	}
	v, given := p["Confirm"]
	return !given || v == true
}

func folder(p string) machine.Object { return machine.Object{"": p, "PathName": p} }

func servers(c *machine.Ctx, cmdlet string, p map[string]any) ([]*model.Object, error) {
	f := c.W.Forest
	var out []*model.Object
	id := machine.ArgString(p, "Identity")
	if organization(f) != "" {
		for _, o := range directory.Children(f, serversDN(f)) {
			if id == "" || strings.EqualFold(rdnOf(o.DN), id) {
				out = append(out, o)
			}
		}
	}
	if id != "" && len(out) == 0 {
		return nil, missing(cmdlet, id)
	}
	return out, nil
}

func getMailboxServer(c *machine.Ctx, p map[string]any) ([]machine.Object, error) {
	list, err := servers(c, "Get-MailboxServer", p)
	if err != nil {
		return nil, err
	}
	var out []machine.Object
	for _, o := range list {
		kind := machine.Enum{Number: 0, Name: "NonClustered"}
		if o.Attrs["msexchclustered"] != nil {
			kind = machine.Enum{Number: 2, Name: "Shared"}
		}
		out = append(out, machine.Object{"Name": rdnOf(o.DN), "Identity": rdnOf(o.DN),
			"RedundantMachines":    machine.Anys(o.Attrs[attrNodes]),
			"ClusteredStorageType": kind, "DistinguishedName": o.DN})
	}
	return out, nil
}

func getExchangeServer(c *machine.Ctx, p map[string]any) ([]machine.Object, error) {
	list, err := servers(c, "Get-ExchangeServer", p)
	if err != nil {
		return nil, err
	}
	var out []machine.Object
	for _, o := range list {
		roles, member := []string{"Mailbox"}, machine.Enum{Number: 1, Name: "Yes"}
		if o.Attrs["msexchclustered"] == nil {
			roles, member = nil, machine.Enum{Number: 0, Name: "No"}
			if m := c.W.Machine(rdnOf(o.DN)); m != nil && m.Products[Product] != nil {
				roles = m.Products[Product].Roles
			}
		}
		has := func(r string) bool { return slices.Contains(roles, r) }
		out = append(out, machine.Object{"Name": rdnOf(o.DN), "Fqdn": strings.ToLower(rdnOf(o.DN)) + "." + c.W.Forest.Domain,
			"DistinguishedName":   o.DN,
			"AdminDisplayVersion": first(o, "serialnumber"), "ServerRole": strings.Join(roles, ", "),
			"IsMailboxServer": has("Mailbox"), "IsExchange2007OrLater": true,
			"IsHubTransportServer": has("HubTransport"), "IsClientAccessServer": has("ClientAccess"),
			"IsMemberOfCluster": member})
	}
	return out, nil
}

// cms finds a clustered mailbox server's cluster and group.
func cms(c *machine.Ctx, cmdlet string, p map[string]any) (*model.Object, *model.Cluster, *model.ClusterGroup, error) {
	id := machine.ArgString(p, "Identity")
	cl := failover.FindCluster(c)
	if cl == nil {
		return nil, nil, nil, invalid(cmdlet, "The Cluster service is not running on this computer.")
	}
	for _, dn := range clusteredServers(c.W.Forest) {
		name := rdnOf(dn)
		if id != "" && !strings.EqualFold(id, name) {
			continue
		}
		if g := failover.Group(cl, name); g != nil {
			return directory.Get(c.W.Forest, dn), cl, g, nil
		}
	}
	return nil, nil, nil, missing(cmdlet, id)
}

// status is Get-ClusteredMailboxServerStatus. The word in brackets behind the active machine is in
// the machine's language.
func (e *Family) status(c *machine.Ctx, p map[string]any) ([]machine.Object, error) {
	srv, cl, g, err := cms(c, "Get-ClusteredMailboxServerStatus", p)
	if err != nil {
		return nil, err
	}
	state := map[int]machine.Enum{0: {Number: 0, Name: "Online"}, 3: {Number: 1, Name: "PartiallyOnline"},
		4: {Number: 2, Name: "OnlinePending"},
		1: {Number: 3, Name: "Offline"}, 2: {Number: 5, Name: "Failed"}}[failover.GroupState(cl, g)]
	active := c.Pick([4]string{"Active", "Actif", "Aktiv", "アクティブ"})
	var up, failed []string
	for _, n := range srv.Attrs[attrNodes] {
		node := failover.Node(cl, n)
		m := c.W.Machine(n)
		if node == nil || node.State != 0 || m == nil || !hasRole(m, "Mailbox") {
			continue
		}
		if strings.EqualFold(g.Owner, n) {
			n += " <" + active + ">"
		}
		up = append(up, n)
	}
	for _, r := range failover.Resources(cl, g.Name) {
		if r.State == 4 {
			failed = append(failed, r.Name)
		}
	}
	return []machine.Object{{"Identity": rdnOf(srv.DN),
		"ClusteredMailboxServerName": rdnOf(srv.DN) + "." + c.W.Forest.Domain, "State": state,
		"OperationalMachines": machine.Anys(up), "FailedResources": machine.Anys(failed)}}, nil
}

func (e *Family) move(c *machine.Ctx, p map[string]any) ([]machine.Object, error) {
	const name = "Move-ClusteredMailboxServer"
	srv, cl, g, err := cms(c, name, p)
	if err != nil {
		return nil, err
	}
	if unconfirmed(p, false) {
		return nil, invalid(name, "the move has to be confirmed, and nobody is there to do it")
	}
	to := machine.ArgString(p, "TargetMachine")
	node := failover.Node(cl, to)
	hosts := false
	for _, n := range srv.Attrs[attrNodes] {
		hosts = hosts || strings.EqualFold(n, to)
	}
	switch {
	case node == nil || !hosts:
		return nil, missing(name, to)
	case node.State != 0:
		return nil, invalid(name, to+" is not up")
	case strings.EqualFold(g.Owner, to):
		return nil, nil
	}
	for _, r := range cl.Resources {
		if r.Type == typeSA && r.State == 2 && !strings.EqualFold(r.Group, g.Name) &&
			failover.OwnerOf(c, cl, r) == c.W.Machine(to) {
			return nil, invalid(name, to+" runs another clustered mailbox server")
		}
	}
	if err := e.cluster.MoveGroup(c, cl, g, node.Name); err != nil {
		return nil, invalid(name, err.Error())
	}
	return nil, nil
}

func (e *Family) startCMS(c *machine.Ctx, p map[string]any) ([]machine.Object, error) {
	_, cl, g, err := cms(c, "Start-ClusteredMailboxServer", p)
	if err != nil {
		return nil, err
	}
	if err := e.cluster.OnlineGroup(c, cl, g); err != nil {
		return nil, invalid("Start-ClusteredMailboxServer", err.Error())
	}
	return nil, nil
}

func (e *Family) stopCMS(c *machine.Ctx, p map[string]any) ([]machine.Object, error) {
	const name = "Stop-ClusteredMailboxServer"
	_, cl, g, err := cms(c, name, p)
	if err != nil {
		return nil, err
	}
	if unconfirmed(p, false) || !machine.HasArg(p, "StopReason") {
		return nil, invalid(name, "a reason and a confirmation are needed")
	}
	for _, r := range failover.Resources(cl, g.Name) {
		if strings.HasPrefix(r.Type, "Microsoft Exchange ") { // disks, name and address stay online
			if err := e.cluster.Offline(c, cl, r); err != nil {
				return nil, invalid(name, err.Error())
			}
		}
	}
	return nil, nil
}

func getStorageGroup(c *machine.Ctx, p map[string]any) ([]machine.Object, error) {
	server, name, _ := strings.Cut(machine.ArgString(p, "Identity"), `\`)
	if s := machine.ArgString(p, "Server"); s != "" {
		server = s
	}
	var out []machine.Object
	for _, g := range storageGroups(c.W.Forest, server) {
		if name != "" && !strings.EqualFold(g.name(), name) {
			continue
		}
		out = append(out, machine.Object{"Name": g.name(), "Identity": g.server + `\` + g.name(), "Server": g.server,
			"LogFolderPath":    folder(g.log()),
			"SystemFolderPath": folder(g.system()), "LogFilePrefix": logPrefix, "DistinguishedName": g.obj.DN})
	}
	if len(out) == 0 && (server != "" || name != "") {
		return nil, missing("Get-StorageGroup", machine.ArgString(p, "Identity")+machine.ArgString(p, "Server"))
	}
	return out, nil
}

// pick finds databases by SERVER\GROUP\DATABASE, GROUP\DATABASE or DATABASE, or those of a server.
func pick(c *machine.Ctx, p map[string]any) []db {
	parts := strings.Split(machine.ArgString(p, "Identity"), `\`)
	server := machine.ArgString(p, "Server")
	var out []db
	for _, d := range databases(c.W.Forest) {
		full := []string{d.server, d.group, d.name()}
		fit := server == "" || strings.EqualFold(server, d.server)
		if machine.HasArg(p, "Identity") {
			tail := full[max(0, len(full)-len(parts)):]
			fit = fit && len(parts) <= len(full) && strings.EqualFold(strings.Join(tail, `\`), strings.Join(parts, `\`))
		}
		if fit {
			out = append(out, d)
		}
	}
	return out
}

// mounted says that a database's resource is online somewhere.
func mounted(c *machine.Ctx, d db) bool {
	cl := failover.FindCluster(c)
	if cl == nil {
		return false
	}
	r := failover.Resource(cl, d.resource())
	return r != nil && r.State == 2
}

func (e *Family) getDatabase(c *machine.Ctx, p map[string]any) ([]machine.Object, error) {
	var out []machine.Object
	for _, d := range pick(c, p) {
		o := machine.Object{"Name": d.name(), "Identity": d.server + `\` + d.group + `\` + d.name(), "Server": d.server,
			"ServerName":   d.server,
			"StorageGroup": d.server + `\` + d.group, "StorageGroupName": d.group, "EdbFilePath": folder(d.file()),
			"DistinguishedName": d.obj.DN,
			"MountAtStartup":    true, "AllowFileRestore": first(d.obj, "msexchpatchmdb") == "TRUE", "Mounted": nil}
		if machine.ArgBool(p, "Status") { // only then is it asked
			o["Mounted"] = mounted(c, d)
		}
		out = append(out, o)
	}
	if len(out) == 0 {
		return nil, missing("Get-MailboxDatabase", machine.ArgString(p, "Identity")+machine.ArgString(p, "Server"))
	}
	return out, nil
}
