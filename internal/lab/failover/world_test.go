package failover

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"deploy/internal/lab/machine"
	"deploy/internal/lab/model"
	"deploy/internal/node"
)

// lab is a small world: n nodes with a public and a private network, shared disks, a domain
// controller and its forest.
type lab struct {
	t *testing.T
	w *model.World
	f *Family
	b *machine.Module
}

type labSpec struct {
	release node.Release
	nodes   int
	disks   int
	locale  string
	types   []Type
}

func newLab(t *testing.T, s labSpec) *lab {
	t.Helper()
	if s.locale == "" {
		s.locale = "en"
	}
	w := &model.World{Machines: map[string]*model.Machine{}, Disks: map[string]*model.SharedDisk{},
		Clusters: map[string]*model.Cluster{},
		Forest: &model.Forest{Domain: "contoso.com", NetBIOS: "CONTOSO", Objects: map[string]*model.Object{},
			Users: map[string]string{`contoso\admin`: "right"},
			Zones: map[string]*model.Zone{"contoso.com": {Name: "contoso.com", DynamicUpdate: 2}}}}
	for i := range s.disks {
		serial := fmt.Sprintf("LUN-%d", i+1)
		w.Disks[serial] = &model.SharedDisk{Serial: serial, SizeMB: int64(1024 * (i + 1)), Style: "MBR",
			Signature: uint32(0xA0000001 + i),
			Partitions: []*model.Partition{{Number: 1, SizeMB: int64(1024 * (i + 1)), FS: "NTFS",
				VolumeID: fmt.Sprintf(`\\?\Volume{%d}\`, i)}}}
	}
	version := map[node.Release]string{node.WS2003: "5.2.3790", node.WS2008: "6.0.6002", node.WS2008R2: "6.1.7601",
		node.WS2012: "6.2.9200", node.WS2012R2: "6.3.9600",
		node.WS2016: "10.0.14393", node.WS2022: "10.0.20348"}[s.release]
	for i := range s.nodes {
		name := fmt.Sprintf("NODE%d", i+1)
		m := &model.Machine{Name: name, Release: s.release, Version: version, Locale: s.locale, Domain: "contoso.com",
			Powered: true, PSVer: "2.0",
			Registry: model.Registry{}, Services: map[string]*model.Service{}, Files: map[string]*model.File{},
			Features: map[string]bool{"Failover-Clustering": true, "RSAT-Clustering-CmdInterface": true}}
		m.Adapters = []*model.Adapter{
			{GUID: "{00000000-0000-0000-0000-0000000000" + fmt.Sprint(10+i) + "}", Index: 1, Name: "Public",
				Addresses: []string{fmt.Sprintf("192.0.2.%d/24", 11+i)}, Gateways: []string{"192.0.2.1"}},
			{GUID: "{00000000-0000-0000-0000-0000000000" + fmt.Sprint(20+i) + "}", Index: 2, Name: "Private",
				Addresses: []string{fmt.Sprintf("10.10.10.%d/24", 11+i)}},
		}
		for d := range s.disks {
			m.Visible = append(m.Visible, &model.VisibleDisk{Serial: fmt.Sprintf("LUN-%d", d+1), Number: d + 1, Offline: i > 0,
				Letters: map[int]string{1: string(rune('E'+d)) + ":"}})
		}
		local := "LOCAL-" + name
		w.Disks[local] = &model.SharedDisk{Serial: local, SizeMB: 40960, Style: "MBR", Signature: uint32(i + 1),
			Partitions: []*model.Partition{{Number: 1, SizeMB: 40960, FS: "NTFS", VolumeID: `\\?\Volume{c}\`}}}
		m.Visible = append(m.Visible, &model.VisibleDisk{Serial: local, Local: true, Letters: map[int]string{1: "C:"}})
		ensureService(m)
		w.Machines[strings.ToLower(name)] = m
	}
	w.Machines["dc01"] = &model.Machine{Name: "dc01", Release: s.release, Version: version, Locale: s.locale,
		Domain: "contoso.com", Powered: true, Role: 5, Registry: model.Registry{},
		Services: map[string]*model.Service{}, Files: map[string]*model.File{},
		Adapters: []*model.Adapter{{Name: "LAN", Addresses: []string{"192.0.2.5/24"}}}}
	f := New(s.types...)
	return &lab{t: t, w: w, f: f, b: machine.Base().Add(f.Module())}
}

// at makes a request context on a machine: a full logon. network makes it one without a second hop.
func (l *lab) at(name string) *machine.Ctx {
	l.t.Helper()
	m := l.w.Machine(name)
	if m == nil {
		l.t.Fatalf("no machine %s", name)
	}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return &machine.Ctx{Context: context.Background(), W: l.w, M: m, B: l.b, User: `CONTOSO\admin`,
		Sleep: func(time.Duration) {}, Now: func() time.Time { return now }, Print: func(string) {}}
}

func (l *lab) network(name string) *machine.Ctx {
	c := l.at(name)
	c.Network = true
	return c
}

// exe runs cluster.exe and returns its exit code and output.
func (l *lab) exe(c *machine.Ctx, args ...string) (int, string) {
	l.t.Helper()
	r := machine.Exec(c, append([]string{"cluster.exe"}, args...), nil)
	return r.Code, r.Stdout
}

// must runs cluster.exe on NODE1 and wants exit code 0.
func (l *lab) must(args ...string) string {
	l.t.Helper()
	code, out := l.exe(l.at("NODE1"), args...)
	if code != 0 {
		l.t.Fatalf("cluster %s: exit %d\n%s", strings.Join(args, " "), code, out)
	}
	return out
}

// form makes a cluster MBX of all nodes with all disks.
func (l *lab) form() *model.Cluster {
	l.t.Helper()
	args := []string{"MBX", "/create", "/ipaddr:192.0.2.20,255.255.255.0,Public", "/unattend"}
	if l.w.Machine("NODE1").Release == node.WS2003 {
		args = append(args, `/user:CONTOSO\admin`, "/password:right")
	}
	l.must(args...)
	for i := 2; l.w.Machine(fmt.Sprintf("NODE%d", i)) != nil; i++ {
		l.must("/cluster:MBX", fmt.Sprintf("/add:NODE%d", i), "/unattend")
	}
	return l.w.Clusters["mbx"]
}

func (l *lab) serve(c *machine.Ctx, verb string, args map[string]any) ([]machine.Object, error) {
	return machine.Serve(c, verb, args)
}

// get reads a WMI class on NODE1.
func (l *lab) get(class string, props ...string) []machine.Object {
	l.t.Helper()
	rows, err := l.serve(l.at("NODE1"), "wmi.get",
		map[string]any{"ns": namespace, "class": class, "props": machine.Anys(props)})
	if err != nil {
		l.t.Fatalf("%s: %v", class, err)
	}
	return rows
}

// cmdlet runs a cmdlet on a context.
func (l *lab) cmdlet(c *machine.Ctx, name string, params map[string]any, sel ...string) ([]machine.Object, error) {
	if params == nil {
		params = map[string]any{}
	}
	return l.serve(c, "cmdlet", map[string]any{"name": name, "load": module, "params": params,
		"select": machine.Anys(sel)})
}

// off takes the power from a machine.
func (l *lab) off(name string) { machine.GoDown(l.at(name)) }

// boot brings a machine up.
func (l *lab) boot(name string) { machine.ComeUp(l.at(name)) }

func (l *lab) owner(group string) string {
	l.t.Helper()
	g := Group(l.w.Clusters["mbx"], group)
	if g == nil {
		l.t.Fatalf("no group %s", group)
	}
	return g.Owner
}

func (l *lab) state(resource string) int {
	l.t.Helper()
	r := Resource(l.w.Clusters["mbx"], resource)
	if r == nil {
		l.t.Fatalf("no resource %s", resource)
	}
	return r.State
}
