package failover

import (
	"encoding/xml"
	"fmt"
	"strings"

	"deploy/internal/lab/machine"
	"deploy/internal/lab/model"
	"deploy/internal/node"
)

// finding is one line of a validation report. Level: Pass, Warn, Fail. The words are not
// translated: they are attributes.
type finding struct {
	XMLName  xml.Name `xml:"Message"`
	Category string   `xml:"Category,attr"`
	Test     string   `xml:"Test,attr"`
	Level    string   `xml:"Level,attr"`
	Text     string   `xml:",chardata"`
}

// Categories of tests. UNCONFIRMED: whether other languages translate the names that -Include and
// -Ignore take.
const (
	catInventory = "Inventory"
	catNetwork   = "Network"
	catStorage   = "Storage"
	catSystem    = "System Configuration"
	catCluster   = "Cluster Configuration"
)

// validate plays the configuration tests on the machines, from what the model knows: reachable and
// alike, networks that all share, disks that all see.
func validate(w *model.World, list []*model.Machine, member bool) []finding {
	var out []finding
	add := func(cat, test, level, format string, a ...any) {
		out = append(out, finding{Category: cat, Test: test, Level: level, Text: fmt.Sprintf(format, a...)})
	}
	first := list[0]
	for _, m := range list {
		add(catInventory, "List System Information", "Pass", "%s: %s build %d", m.Name, m.Version, m.Build)
		switch {
		case m.Domain == "" && !m.Release.AtLeast(node.WS2016):
			add(catSystem, "Validate Active Directory Configuration", "Fail", "%s is in no domain", m.Name)
		case !strings.EqualFold(m.Domain, first.Domain):
			add(catSystem, "Validate Active Directory Configuration", "Fail", "%s is in another domain than %s", m.Name,
				first.Name)
		default:
			add(catSystem, "Validate Active Directory Configuration", "Pass", "%s", m.Name)
		}
		if !mixes(m.Release, first.Release) {
			add(catSystem, "Validate Operating System Installation Option", "Fail", "%s runs another release than %s", m.Name,
				first.Name)
		}
		if len(m.Pending) > 0 {
			add(catSystem, "Validate Software Update Levels", "Warn", "%s waits for a restart", m.Name)
		}
	}
	validateNetworks(list, add)
	validateDisks(w, list, add)
	if member {
		add(catCluster, "List Cluster Core Groups", "Pass", "the machines are members of one cluster")
	}
	return out
}

func validateNetworks(list []*model.Machine, add func(cat, test, level, format string, a ...any)) {
	shared := map[string]int{}
	for _, m := range list {
		seen := map[string]int{}
		for _, a := range m.Adapters {
			for _, cidr := range a.Addresses {
				if _, net, mask, ok := subnet(cidr); ok && !a.LinkDown {
					seen[net+"/"+mask]++
				}
			}
		}
		if len(seen) < 2 {
			add(catNetwork, "Validate Network Communication", "Warn", "%s has a single network: it is a single point of failure",
				m.Name)
		}
		for n := range seen {
			shared[n]++
		}
	}
	common := 0
	for _, n := range shared {
		if n == len(list) {
			common++
		}
	}
	if common == 0 {
		add(catNetwork, "Validate IP Configuration", "Fail", "the machines share no network")
		return
	}
	add(catNetwork, "Validate IP Configuration", "Pass", "%d networks are shared", common)
}

func validateDisks(w *model.World, list []*model.Machine, add func(cat, test, level, format string, a ...any)) {
	found := 0
	for _, v := range list[0].Visible {
		d := w.Disks[v.Serial]
		if v.Local || d == nil {
			continue
		}
		found++
		for _, m := range list {
			if visible(w, m, v.Serial) == nil {
				add(catStorage, "List Potential Cluster Disks", "Fail", "disk %s is not visible on %s", d.Serial, m.Name)
			}
		}
		if d.Dynamic {
			add(catStorage, "List Potential Cluster Disks", "Fail", "disk %s is dynamic", d.Serial)
		}
	}
	if found == 0 {
		add(catStorage, "List Potential Cluster Disks", "Warn", "no shared disk was found")
		return
	}
	add(catStorage, "Validate Disk Arbitration", "Pass", "%d disks", found)
}

// report is the XML form. UNCONFIRMED: the names of its elements; the attribute Level is what a
// reader may look at.
type report struct {
	XMLName  xml.Name  `xml:"Report"`
	Messages []finding `xml:"Message"`
}

func xmlReport(list []finding) []byte {
	b, err := xml.MarshalIndent(report{Messages: list}, "", "  ")
	if err != nil { // the type holds nothing that cannot be written
		panic(err)
	}
	return append([]byte(xml.Header), append(b, '\n')...)
}

func htmlReport(list []finding) string {
	var b strings.Builder
	b.WriteString("<html><body><h1>Failover Cluster Validation Report</h1><table>\r\n")
	for _, f := range list {
		fmt.Fprintf(&b, "<tr><td>%s</td><td>%s</td><td>%s</td><td>%s</td></tr>\r\n", f.Category, f.Test, f.Level, f.Text)
	}
	b.WriteString("</table></body></html>\r\n")
	return b.String()
}

func mhtReport(list []finding) []byte {
	return []byte("MIME-Version: 1.0\r\nContent-Type: multipart/related; " +
		"boundary=\"----=_Report\"\r\n\r\n------=_Report\r\nContent-Type: text/html; charset=\"utf-8\"\r\n\r\n" +
		htmlReport(list) + "------=_Report--\r\n")
}

// testers are the machines that validation looks at: the given names, or the members of the local
// cluster.
func testers(c *machine.Ctx, names []string) ([]*model.Machine, bool, error) {
	cl := clusterOf(c.W, c.M)
	if len(names) == 0 {
		if cl == nil {
			return nil, false, NoEndpoint
		}
		for _, n := range cl.Nodes {
			names = append(names, n.Name)
		}
	}
	var out []*model.Machine
	for _, n := range names {
		m := c.W.Machine(n)
		if m == nil || !m.Powered {
			return nil, false, RPCUnavailable
		}
		if !Installed(m) {
			return nil, false, CannotBeClustered
		}
		out = append(out, m)
	}
	return out, cl != nil, nil
}

// psTest writes the report and returns its file. UNCONFIRMED: .mht up to 2012 R2 and .htm from
// 2016; the XML lies beside it.
func (f *Family) psTest(c *machine.Ctx, _ *model.Cluster, p map[string]any) (rows, error) {
	if machine.ArgBool(p, "List") {
		var out rows
		for _, cat := range []string{catCluster, catInventory, catNetwork, catStorage, catSystem} {
			out = append(out, machine.Object{"": cat, "Category": cat, "DisplayName": cat})
		}
		return out, nil
	}
	c.Sleep(setupTime)
	list, member, err := testers(c, machine.ArgStrings(p, "Node"))
	if err != nil {
		return nil, err
	}
	include, ignore := machine.ArgStrings(p, "Include"), machine.ArgStrings(p, "Ignore")
	var keep []finding
	for _, x := range validate(c.W, list, member) {
		if (len(include) == 0 || containsFold(include, x.Category) || containsFold(include, x.Test)) &&
			!containsFold(ignore, x.Category) && !containsFold(ignore, x.Test) {
			keep = append(keep, x)
		}
	}
	path := arg(p, "ReportName")
	if path == "" {
		path = "Validation Report " + c.Now().UTC().Format("2006.01.02 At 15.04.05")
	}
	if !strings.Contains(path, `\`) {
		if err := machine.MakeDirs(c, `C:\Windows\Cluster\Reports`); err != nil {
			return nil, err
		}
		path = `C:\Windows\Cluster\Reports\` + path
	}
	ext := ".mht"
	content := mhtReport(keep)
	if c.AtLeast(node.WS2016) {
		ext, content = ".htm", []byte(htmlReport(keep))
	}
	for _, e := range []string{".mht", ".htm", ".xml"} {
		if strings.HasSuffix(strings.ToLower(path), e) {
			path = path[:len(path)-len(e)]
		}
	}
	if err := machine.WriteFile(c, path+ext, content); err != nil {
		return nil, err
	}
	if err := machine.WriteFile(c, path+".xml", xmlReport(keep)); err != nil {
		return nil, err
	}
	_, name, _ := cutLast(path+ext, `\`)
	return rows{{"": path + ext, "FullName": path + ext, "Name": name, "Extension": ext, "Length": int64(len(content)),
		"Exists": true}}, nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return "", s, false
}

// operateValidate plays a person who runs the validation wizard of 2008 and saves its report. arg
// is the path of the report on c's machine.
func (f *Family) operateValidate(c *machine.Ctx, path string) error {
	f.Settle(c)
	if !Installed(c.M) {
		return fmt.Errorf("cannot validate a cluster configuration on %s: the failover cluster feature is not installed",
			c.M.Name)
	}
	var names []string
	if clusterOf(c.W, c.M) == nil {
		names = []string{c.M.Name}
	}
	list, member, err := testers(c, names)
	if err != nil {
		return fmt.Errorf("cannot validate the cluster of %s: %w", c.M.Name, err)
	}
	folder, _, _ := cutLast(path, `\`) // the wizard's save dialogue lets a person make the folder
	err = machine.MakeDirs(c, folder)
	if err == nil {
		err = machine.WriteFile(c, path, mhtReport(validate(c.W, list, member)))
	}
	if err != nil {
		return fmt.Errorf("cannot save the validation report on %s: %w", c.M.Name, err)
	}
	for _, p := range []string{folder, path} { // a person's report says when, and no rollback takes it away
		if f := c.M.Files[strings.ToLower(p)]; f != nil {
			f.Volatile = true
		}
	}
	return nil
}
