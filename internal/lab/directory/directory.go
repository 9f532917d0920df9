// Package directory is the lab's Active Directory and DNS server: the forest's objects as LDAP
// shows them, and the zones that live on the domain controllers. It is written from the documented
// behaviour: HRESULTs of ADSI (Win32 codes 8200 to 8999 under 0x8007), DNS status codes 9001 to
// 9999, the tables of dnscmd, root\MicrosoftDNS and the module DnsServer.
package directory

import (
	"fmt"
	"sort"
	"strings"

	"deploy/internal/lab/machine"
	"deploy/internal/lab/model"
)

// Module adds the directory's verbs, the DNS server's tool, classes and cmdlets.
func Module() *machine.Module {
	return &machine.Module{
		Verbs: map[string]machine.Verb{"ad.find": find, "ad.add": add, "ad.mod": modify, "ad.del": del},
		Tools: map[string]machine.Tool{"dnscmd.exe": dnscmd},
		Have: map[string]func(c *machine.Ctx) bool{
			"dnscmd.exe": func(c *machine.Ctx) bool { return isDNS(c) },
		},
		Classes: dnsClasses(),
		Cmdlets: dnsCmdlets(),
	}
}

// isDC says that the machine is a domain controller (Win32_ComputerSystem.DomainRole 4 or 5).
func isDC(c *machine.Ctx) bool { return c.M.Role >= 4 }

// isDNS says that the machine runs the DNS server: in the lab every domain controller does.
func isDNS(c *machine.Ctx) bool { return isDC(c) && c.W.Forest != nil }

// Seed fills a new forest with what a domain has from its first day: the naming contexts, the
// well-known containers, the computer accounts of the members and their DNS records. A forest that
// has objects is left alone.
func Seed(w *model.World) {
	f := w.Forest
	if f == nil || f.Domain == "" || len(f.Objects) > 0 {
		return
	}
	f.Objects = map[string]*model.Object{}
	nc := DomainNC(f)
	config := "CN=Configuration," + nc
	schema := "CN=Schema," + config
	for _, o := range []struct{ dn, class string }{
		{nc, "domainDNS"}, {config, "configuration"}, {schema, "dMD"},
		{"CN=Computers," + nc, "container"}, {"CN=Users," + nc, "container"},
		{"OU=Domain Controllers," + nc, "organizationalUnit"},
		{"CN=Services," + config, "container"}, {"CN=Sites," + config, "sitesContainer"},
	} {
		Put(f, o.dn, o.class, nil)
	}
	Get(f, nc).Attrs["ntmixeddomain"] = []string{"0"}
	zone := &model.Zone{Name: f.Domain, DynamicUpdate: 2}
	if f.Zones == nil {
		f.Zones = map[string]*model.Zone{}
	}
	f.Zones[strings.ToLower(f.Domain)] = zone
	for _, name := range sortedMachines(w) {
		m := w.Machines[name]
		if m.Domain == "" {
			continue
		}
		parent := "CN=Computers," + nc
		if m.Role >= 4 {
			parent = "OU=Domain Controllers," + nc
		}
		Put(f, "CN="+strings.ToUpper(m.Name)+","+parent, "computer", map[string][]string{
			"samaccountname": {strings.ToUpper(m.Name) + "$"}, "dnshostname": {strings.ToLower(m.Name) + "." + f.Domain},
			"serviceprincipalname": {"HOST/" + m.Name, "HOST/" + m.Name + "." + f.Domain}})
	}
}

func sortedMachines(w *model.World) []string {
	out := make([]string, 0, len(w.Machines))
	for n := range w.Machines {
		out = append(out, n)
	}
	sort.Strings(out)
	return out
}

// DomainNC is the domain's distinguished name: DC=contoso,DC=com.
func DomainNC(f *model.Forest) string { return "DC=" + strings.ReplaceAll(f.Domain, ".", ",DC=") }

// ConfigNC is the configuration naming context.
func ConfigNC(f *model.Forest) string { return "CN=Configuration," + DomainNC(f) }

// SchemaNC is the schema naming context.
func SchemaNC(f *model.Forest) string { return "CN=Schema," + ConfigNC(f) }

// key makes a DN comparable: lower case, no spaces around separators.
func key(dn string) string {
	parts := splitDN(dn)
	for i, p := range parts {
		name, value, _ := strings.Cut(p, "=")
		parts[i] = strings.TrimSpace(name) + "=" + strings.TrimSpace(value)
	}
	return strings.ToLower(strings.Join(parts, ","))
}

// splitDN cuts at commas that are not escaped.
func splitDN(dn string) []string {
	var out []string
	start := 0
	for i := 0; i < len(dn); i++ {
		switch dn[i] {
		case '\\':
			i++
		case ',':
			out = append(out, dn[start:i])
			start = i + 1
		}
	}
	return append(out, dn[start:])
}

// parent is the DN above, or "".
func parent(dn string) string {
	parts := splitDN(dn)
	if len(parts) < 2 {
		return ""
	}
	return strings.Join(parts[1:], ",")
}

// rdn is the value of the first part: "mbx01" of CN=mbx01,...
func rdn(dn string) string {
	_, v, _ := strings.Cut(splitDN(dn)[0], "=")
	return strings.ReplaceAll(strings.TrimSpace(v), `\,`, ",")
}

// Get returns an object, or nil.
func Get(f *model.Forest, dn string) *model.Object { return f.Objects[key(dn)] }

// Put makes an object, or replaces it.
func Put(f *model.Forest, dn, class string, attrs map[string][]string) *model.Object {
	o := &model.Object{DN: dn, Class: class, Attrs: map[string][]string{}}
	for n, v := range attrs {
		o.Attrs[strings.ToLower(n)] = v
	}
	f.Objects[key(dn)] = o
	return o
}

// Delete removes an object and all below it, and says how many there were.
func Delete(f *model.Forest, dn string) int {
	k, n := key(dn), 0
	for id := range f.Objects {
		if id == k || strings.HasSuffix(id, ","+k) {
			delete(f.Objects, id)
			n++
		}
	}
	return n
}

// Children lists the objects one level below, in order of their DN.
func Children(f *model.Forest, dn string) []*model.Object {
	k := key(dn)
	var out []*model.Object
	for id, o := range f.Objects {
		if key(parent(id)) == k {
			out = append(out, o)
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].DN < out[j].DN })
	return out
}

// Reachable says whether a domain controller answers this machine's logon. A network logon has no
// second hop: LDAP then binds as nobody, and the first search is refused with an operations error.
func Reachable(c *machine.Ctx) error {
	if c.W.Forest == nil {
		return fail(c, 8250, "") // ERROR_DS_SERVER_DOWN
	}
	if isDC(c) {
		return nil
	}
	up := false
	for _, m := range c.W.Machines {
		up = up || (m.Role >= 4 && m.Powered)
	}
	if !up {
		return fail(c, 8250, "")
	}
	if !c.SecondHop() {
		return fail(c, 8224, "") // ERROR_DS_OPERATIONS_ERROR
	}
	return nil
}

// fail is a directory refusal as ADSI gives it: HRESULT 0x8007 and the Win32 code.
func fail(c *machine.Ctx, code int64, id string) *machine.Fail {
	f := c.HRESULT(code)
	f.ID, f.Type = id, "System.DirectoryServices.DirectoryServicesCOMException"
	if f.Text == "" {
		f.Text = fmt.Sprintf("0x%08X", f.Code)
	}
	return f
}
