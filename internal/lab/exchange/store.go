package exchange

import (
	"sort"
	"strings"

	"deploy/internal/lab/directory"
	"deploy/internal/lab/machine"
	"deploy/internal/lab/model"
)

// attrNodes keeps a clustered mailbox server's redundant machines. UNCONFIRMED as an attribute
// name; the cmdlet's RedundantMachines is what is documented.
const attrNodes = "msexchredundantmachines"

// server, group and db are what the directory holds of a mailbox server's stores.
type group struct {
	obj    *model.Object
	server string
}

type db struct {
	obj    *model.Object
	server string
	group  string
}

// clusteredServers lists the DNs of the clustered mailbox servers.
func clusteredServers(f *model.Forest) []string {
	var out []string
	if f == nil || organization(f) == "" {
		return nil
	}
	for _, o := range directory.Children(f, serversDN(f)) {
		if len(o.Attrs[attrNodes]) > 0 || o.Attrs["msexchclustered"] != nil {
			out = append(out, o.DN)
		}
	}
	return out
}

func serverDN(f *model.Forest, name string) string { return "CN=" + name + "," + serversDN(f) }

// addServer makes a server's object with its information store.
func addServer(f *model.Forest, name string, b build) *model.Object {
	dn := serverDN(f, name)
	legacy := "/o=" + rdnOf(organization(f)) + "/ou=" + adminGroup + "/cn=Configuration/cn=Servers/cn=" + name
	o := directory.Put(f, dn, "msExchExchangeServer",
		map[string][]string{"legacyexchangedn": {legacy}, "serialnumber": {b.display()}})
	directory.Put(f, "CN=InformationStore,"+dn, "msExchInformationStore", nil)
	return o
}

// storageGroups lists a server's storage groups; server "" is all of them.
func storageGroups(f *model.Forest, server string) []group {
	var out []group
	if f == nil || organization(f) == "" {
		return nil
	}
	for _, srv := range directory.Children(f, serversDN(f)) {
		name := rdnOf(srv.DN)
		if server != "" && !strings.EqualFold(server, name) {
			continue
		}
		for _, sg := range directory.Children(f, "CN=InformationStore,"+srv.DN) {
			if sg.Class == "msExchStorageGroup" {
				out = append(out, group{sg, name})
			}
		}
	}
	return out
}

// databases lists every mailbox database.
func databases(f *model.Forest) []db {
	var out []db
	for _, g := range storageGroups(f, "") {
		for _, o := range directory.Children(f, g.obj.DN) {
			if o.Class == "msExchPrivateMDB" {
				out = append(out, db{o, g.server, rdnOf(g.obj.DN)})
			}
		}
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].obj.DN < out[j].obj.DN })
	return out
}

func (g group) name() string   { return rdnOf(g.obj.DN) }
func (g group) log() string    { return first(g.obj, "msexcheseparamlogfilepath") }
func (g group) system() string { return first(g.obj, "msexcheseparamsystempath") }
func (d db) name() string      { return rdnOf(d.obj.DN) }
func (d db) file() string      { return first(d.obj, "msexchedbfile") }

// resource is the name of a database's cluster resource. UNCONFIRMED pattern: read it with `cluster
// resource` on a real node.
func (d db) resource() string { return d.group + "/" + d.name() + " (" + d.server + ")" }

func first(o *model.Object, attr string) string {
	if v := o.Attrs[attr]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// firstNames are what setup calls the first storage group and its database, in the language of
// setup.
func firstNames(c *machine.Ctx) (sg, mdb string) {
	switch c.M.Locale {
	case "fr":
		return "Premier groupe de stockage", "Base de données de boîtes aux lettres"
	case "de":
		return "Erste Speichergruppe", "Postfachdatenbank"
	case "ja":
		return "最初のストレージ グループ", "メールボックス データベース"
	}
	return "First Storage Group", "Mailbox Database"
}

// logPrefix is the first storage group's ESE base name.
const logPrefix = "E00"

// createFiles makes what an empty, mounted storage group has on disk.
func createFiles(c *machine.Ctx, log, system, edb string) error {
	dir, _, _ := cutLast(edb)
	for _, d := range []string{log, system, dir} {
		if err := machine.MakeDirs(c, d); err != nil {
			return err
		}
	}
	for _, f := range []string{log + `\` + logPrefix + ".log", system + `\` + logPrefix + ".chk", edb} {
		if err := machine.WriteFile(c, f, []byte("ese")); err != nil {
			return err
		}
	}
	return nil
}
