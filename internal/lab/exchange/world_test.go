package exchange

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"deploy/internal/lab/directory"
	"deploy/internal/lab/failover"
	"deploy/internal/lab/machine"
	"deploy/internal/lab/model"
	"deploy/internal/node"
	"deploy/inventory"
)

// world is two nodes with shared disks, a domain controller, and the media of Exchange 2007 SP1.
type world struct {
	t *testing.T
	w *model.World
	b *machine.Module
	f *failover.Family
	// during is called once while setup waits, as others may work then.
	during func()
}

func site(release node.Release, locale, media string) *inventory.Site {
	one := func(n string) inventory.LabMachine {
		return inventory.LabMachine{Media: []string{media + `=D:\Exchange`}, Adapters: []inventory.LabAdapter{
			{Name: "Public", MAC: "00:15:5D:00:0" + n + ":01", Address: "192.0.2.1" + n + "/24"},
			{Name: "Private", MAC: "00:15:5D:00:0" + n + ":02", Address: "10.10.10.1" + n + "/24"}}}
	}
	dc := one("5")
	dc.DC, dc.Adapters = true, []inventory.LabAdapter{{Name: "LAN", MAC: "00:15:5D:00:05:01", Address: "192.0.2.5/24"}}
	return &inventory.Site{Name: "mbx",
		Nodes: []inventory.Node{{Name: "n1", Address: "192.0.2.11", Roles: []string{"cluster"}},
			{Name: "n2", Address: "192.0.2.12", Roles: []string{"cluster"}},
			{Name: "dc01", Address: "192.0.2.5", Roles: []string{"directory"}}},
		Lab: inventory.Lab{OS: string(release), Locale: locale, Domain: "contoso.com",
			Machines: map[string]inventory.LabMachine{"n1": one("1"), "n2": one("2"), "dc01": dc},
			Disks: []inventory.LabDisk{{Serial: "Q", SizeMB: 1024, Nodes: []string{"n1", "n2"}},
				{Serial: "E", SizeMB: 20480, Nodes: []string{"n1", "n2"}},
				{Serial: "F", SizeMB: 20480, Nodes: []string{"n1", "n2"}}}}}
}

func newWorld(t *testing.T, release node.Release, locale, media string) *world {
	t.Helper()
	w, err := machine.Deliver(site(release, locale, media))
	if err != nil {
		t.Fatal(err)
	}
	w.Forest.Users[`contoso\admin`] = "right"
	directory.Seed(w)
	cluster := failover.New(Types()...)
	x := &world{t: t, w: w, f: cluster}
	x.b = machine.Base().Add(cluster.Module()).Add(directory.Module()).Add(Module(cluster))
	for i, serial := range []string{"Q", "E", "F"} {
		d := w.Disks[serial]
		d.Style, d.Signature = "MBR", uint32(0xA0000001+i)
		d.Partitions = []*model.Partition{{Number: 1, SizeMB: d.SizeMB, FS: "NTFS", VolumeID: `\\?\Volume{` + serial + `}\`}}
		for _, n := range []string{"n1", "n2"} {
			for _, v := range w.Machine(n).Visible {
				if v.Serial == serial {
					v.Offline, v.ReadOnly, v.Letters = n != "n1", false, map[int]string{1: serial + ":"}
				}
			}
		}
	}
	return x
}

// at is a full logon on a machine; network is one from far away, which has no second hop.
func (x *world) at(name string) *machine.Ctx {
	c := &machine.Ctx{Context: context.Background(), W: x.w, M: x.w.Machine(name), B: x.b, User: `CONTOSO\admin`,
		Now: func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC) }, Print: func(string) {}}
	c.Sleep = func(time.Duration) {
		if f := x.during; f != nil {
			x.during = nil
			f()
		}
	}
	return c
}

func (x *world) network(name string) *machine.Ctx {
	c := x.at(name)
	c.Network = true
	return c
}

// setup runs setup.com and returns its exit code, what it printed, and the log of this run.
func (x *world) setup(on string, args ...string) (code int, said, log string) {
	x.t.Helper()
	c := x.at(on)
	var out strings.Builder
	c.Print = func(s string) { out.WriteString(s) }
	res := machine.Exec(c, append([]string{`D:\Exchange\setup.com`}, args...), nil)
	data, _ := machine.ReadFile(c, logFile)
	i := strings.LastIndex(string(data), "Starting Microsoft Exchange Server")
	return res.Code, out.String() + res.Stdout + res.Stderr, string(data[max(i, 0):])
}

func (x *world) must(on string, args ...string) {
	x.t.Helper()
	if code, said, log := x.setup(on, args...); code != 0 {
		x.t.Fatalf("setup %v on %s: exit %d\n%s\n%s", args, on, code, said, log)
	}
}

// refused wants setup to leave with 1, with a rule in the log ("" for an error without one).
func (x *world) refused(rule, text, on string, args ...string) {
	x.t.Helper()
	code, said, log := x.setup(on, args...)
	if code != 1 || !strings.Contains(said, "The Exchange Server setup operation did not complete.") {
		x.t.Errorf("setup %v: exit %d\n%s", args, code, said)
	}
	if !strings.Contains(log, "[ERROR] ") || !strings.Contains(strings.ToLower(log), strings.ToLower(text)) {
		x.t.Errorf("setup %v: no error with %q in\n%s", args, text, log)
	}
	if got := strings.Contains(log, "Failed [Rule:"+rule+"]\r\n"); rule != "" && !got || rule == "" &&
		strings.Contains(log, "[Rule:") {
		x.t.Errorf("setup %v: want the rule %q in\n%s", args, rule, log)
	}
}

// tool runs any other program.
func (x *world) tool(on string, argv ...string) {
	x.t.Helper()
	if res := machine.Exec(x.at(on), argv, nil); res.Code != 0 && res.Code != 1003 && res.Code != 3010 {
		x.t.Fatalf("%v on %s: exit %d\n%s%s", argv, on, res.Code, res.Stdout, res.Stderr)
	}
}

// prepared brings the directory and the nodes' features to where a role can be installed.
func prepared(t *testing.T, locale string) *world {
	t.Helper()
	x := newWorld(t, node.WS2008, locale, "exchange-2007-sp1")
	x.must("dc01", "/PrepareSchema")
	x.must("dc01", "/PrepareAD", "/OrganizationName:Contoso")
	x.must("dc01", "/PrepareDomain")
	for _, n := range []string{"n1", "n2"} {
		for _, f := range append(needs("Mailbox"), "Failover-Clustering") {
			x.tool(n, "ServerManagerCmd.exe", "-install", f)
		}
		x.w.Machine(n).Pending = nil
	}
	return x
}

// clustered has a cluster of both nodes with the Mailbox role, ready for a clustered mailbox
// server.
func clustered(t *testing.T, locale string, roles ...string) *world {
	t.Helper()
	x := prepared(t, locale)
	x.tool("n1", "cluster.exe", "CLU", "/create", "/ipaddr:192.0.2.20,255.255.255.0,Public", "/unattend")
	x.tool("n1", "cluster.exe", "/cluster:CLU", "/add:n2", "/unattend")
	for _, n := range x.cluster().Networks {
		if strings.HasPrefix(n.Address, "192.") {
			n.Role = 3
		}
	}
	for _, r := range x.cluster().Resources {
		if r.Disk == "Q" {
			if err := x.f.SetWitness(x.at("n1"), x.cluster(), r.Name, "", false); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, n := range roles {
		x.must(n, "/mode:Install", "/roles:Mailbox")
	}
	return x
}

func (x *world) cluster() *model.Cluster { return x.w.Clusters["clu"] }

func newCMS(name, ip, path string) []string {
	return []string{"/NewCms", "/CMSName:" + name, "/CMSIPAddress:" + ip, "/CMSSharedStorage", "/CMSDataPath:" + path}
}

// cmdlet runs a cmdlet of the snap-in.
func (x *world) cmdlet(c *machine.Ctx, name string, params map[string]any, sel ...string) ([]machine.Object, error) {
	if params == nil {
		params = map[string]any{}
	}
	return machine.Serve(c, "cmdlet", map[string]any{"name": name, "load": snapIn, "params": params,
		"select": machine.Anys(sel)})
}

// fails wants a cmdlet to be refused with an id that begins so.
func (x *world) fails(id string, c *machine.Ctx, name string, params map[string]any) {
	x.t.Helper()
	_, err := x.cmdlet(c, name, params)
	var f *machine.Fail
	if !errors.As(err, &f) || !strings.HasPrefix(f.ID, id) {
		x.t.Errorf("%s %v: %v, want a refusal %s", name, params, err, id)
	}
}

func (x *world) reg(on, key, value string) any { return machine.RegValue(x.at(on), regRoot+key, value) }

func (x *world) service(on, name string) string {
	s := x.w.Machine(on).Services[strings.ToLower(name)]
	if s == nil {
		return "none"
	}
	return fmt.Sprintf("start %d state %d", s.Start, s.State)
}
