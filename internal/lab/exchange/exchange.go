// Package exchange is the lab's Exchange Server 2007: setup.com with its prerequisites, stages, log
// and watermarks, the objects it writes into the directory, the services and cluster resources it
// makes, and the cmdlets of its snap-in. It is written from the documented behaviour (Exchange 2007
// SP1 to SP3 on Windows Server 2008); what no document settles is marked UNCONFIRMED.
package exchange

import (
	"path"
	"strings"

	"deploy/internal/lab/failover"
	"deploy/internal/lab/machine"
	"deploy/internal/lab/model"
)

// Product is the key under which an installed Exchange 2007 stands in a machine's products.
const Product = "exchange-2007"

// Resource types. They are registered on a cluster by the setup of the Mailbox role and never
// translated.
const (
	typeSA = "Microsoft Exchange System Attendant"
	typeIS = "Microsoft Exchange Information Store"
	typeDB = "Microsoft Exchange Database Instance" // UNCONFIRMED wording of the last part
)

// build is one release of Exchange 2007 on media.
type build struct {
	version                           string // as in the registry
	rangeUpper, objectVersion, domain string // what /PrepareSchema, /PrepareAD and /PrepareDomain leave behind
}

// display is the version as Exchange shows it: "Version 8.1 (Build 240.6)". Source: exchange.md A4.
func (b build) display() string {
	p := strings.SplitN(b.version, ".", 3)
	return "Version " + p[0] + "." + p[1] + " (Build " + p[2] + ")"
}

// builds are the releases that the lab has media of, by the product key of the site file's media.
// Source of the numbers: the schema, organisation and domain versions that Microsoft lists for
// Exchange 2007.
func builds() map[string]build {
	return map[string]build{
		"exchange-2007-rtm": {"8.0.685.25", "10637", "10666", "10628"},
		"exchange-2007-sp1": {"8.1.240.6", "11116", "11221", "11221"},
		"exchange-2007-sp2": {"8.2.176.2", "14622", "11222", "11221"},
		"exchange-2007-sp3": {"8.3.83.6", "14625", "11222", "11221"},
	}
}

// Types are the resource types for the failover family.
func Types() []failover.Type {
	return []failover.Type{
		{Name: typeSA, DLL: "exres.dll", Class: 32768, Needs: []string{"Network Name"}, Private: instanceProperties(),
			Online: attendantOnline, Offline: attendantOffline},
		{Name: typeIS, DLL: "exres.dll", Class: 32768, Needs: []string{"Network Name"}, Private: instanceProperties(),
			Online: storeOnline, Offline: storeOffline},
		{Name: typeDB, DLL: "exres.dll", Class: 32768, Needs: []string{typeIS}, Private: instanceProperties(),
			Online: databaseOnline, Offline: nothing},
	}
}

// Family is Exchange on top of a failover family.
type Family struct {
	cluster *failover.Family
	// running are the machines on which setup is at work. It is a process, so it is not part of the
	// state that is kept: after the lab has stopped, no setup runs. The world's lock guards it.
	running map[string]bool
}

// Module adds Exchange to machines whose clusters are f's.
func Module(f *failover.Family) *machine.Module {
	e := &Family{cluster: f, running: map[string]bool{}}
	return &machine.Module{
		Lookup:  []func(*machine.Ctx, string) machine.Tool{e.onMedia},
		Cmdlets: e.cmdlets(),
	}
}

// onMedia finds setup.com where media was placed, or in the program's own folder.
func (e *Family) onMedia(c *machine.Ctx, file string) machine.Tool {
	dir, name := path.Split(strings.ReplaceAll(strings.ToLower(file), `\`, "/"))
	if name != "setup.com" {
		return nil
	}
	key := mediaAt(c.M, strings.TrimSuffix(dir, "/"))
	if key == "" {
		return nil
	}
	return func(c *machine.Ctx, argv []string, _ []byte) machine.Result { return e.setup(c, argv, builds()[key]) }
}

// mediaAt tells which release lies in a directory (lower case, forward slashes), or "".
func mediaAt(m *model.Machine, dir string) string {
	same := func(p string) bool { return strings.ReplaceAll(strings.ToLower(p), `\`, "/") == dir }
	for at, key := range m.Extra["media"] {
		if _, known := builds()[key]; known && same(at) {
			return key
		}
	}
	if p := m.Products[Product]; p != nil && (same(p.Path) || same(p.Path+`\bin`)) {
		for key, b := range builds() {
			if b.version == p.Version {
				return key
			}
		}
	}
	return ""
}

// instances are the names that Exchange gives the resources of a clustered mailbox server.
func saName(cms string) string { return "Exchange System Attendant Instance (" + cms + ")" }
func isName(cms string) string { return "Exchange Information Store Instance (" + cms + ")" }
func ipName(cms string) string { return "IPv4 Static Address 1 (" + cms + ")" }
func nnName(cms string) string { return "Network Name (" + cms + ")" }

func instanceProperties() []failover.Property { return []failover.Property{} }

func nothing(*machine.Ctx, *model.ClusterResource) error { return nil }

// attendantOnline: a node carries one clustered mailbox server at a time, and only where the
// Mailbox role is.
func attendantOnline(c *machine.Ctx, res *model.ClusterResource) error {
	if !hasRole(c.M, "Mailbox") {
		return failover.NodeCannotHost
	}
	cl := failover.FindCluster(c)
	for _, r := range cl.Resources {
		if r != res && r.Type == typeSA && r.State == 2 && failover.OwnerOf(c, cl, r) == c.M {
			return failover.NodeCannotHost
		}
	}
	return start(c, "MSExchangeSA")
}

func attendantOffline(c *machine.Ctx, _ *model.ClusterResource) error { return stop(c, "MSExchangeSA") }

func storeOnline(c *machine.Ctx, _ *model.ClusterResource) error {
	if !hasRole(c.M, "Mailbox") {
		return failover.NodeCannotHost
	}
	return start(c, "MSExchangeIS")
}

func storeOffline(c *machine.Ctx, _ *model.ClusterResource) error { return stop(c, "MSExchangeIS") }

// databaseOnline mounts: the files must be where the directory says.
func databaseOnline(c *machine.Ctx, res *model.ClusterResource) error {
	for _, db := range databases(c.W.Forest) {
		if db.resource() == res.Name {
			if !machine.Exists(c, db.file()) {
				return failover.ResourceFailed
			}
			return nil
		}
	}
	return failover.ResourceFailed
}

func start(c *machine.Ctx, name string) error {
	if code := machine.StartService(c, name); code != 0 && code != 1056 {
		return failover.ResourceFailed
	}
	return nil
}

func stop(c *machine.Ctx, name string) error {
	machine.StopService(c, name, true)
	return nil
}

// hasRole says that a role is installed whole on a machine.
func hasRole(m *model.Machine, role string) bool {
	p := m.Products[Product]
	if p == nil {
		return false
	}
	for _, r := range p.Roles {
		if strings.EqualFold(r, role) {
			return true
		}
	}
	return false
}
