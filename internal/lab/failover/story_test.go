package failover

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"deploy/internal/lab/machine"
	"deploy/internal/lab/model"
	"deploy/internal/node"
)

// app makes a group with an address, a name and a disk, online.
func (l *lab) app(disk string) {
	l.t.Helper()
	l.must("group", "App", "/create")
	l.must("res", "App IP", "/create", "/group:App", "/type:IP Address")
	l.must("res", "App IP", "/priv", "Address=192.0.2.30", "SubnetMask=255.255.255.0", "Network=Cluster Network 1")
	l.must("res", "App Name", "/create", "/group:App", "/type:Network Name")
	l.must("res", "App Name", "/priv", "Name=APP", "HostRecordTTL=600")
	l.must("res", "App Name", "/adddep:App IP")
	if disk != "" {
		l.must("res", disk, "/move:App")
	}
	l.must("group", "App", "/on", "/wait:30")
}

func vis(m *model.Machine, serial string) *model.VisibleDisk {
	for _, v := range m.Visible {
		if v.Serial == serial {
			return v
		}
	}
	return nil
}

func TestMoveCarriesEverything(t *testing.T) {
	l := newLab(t, labSpec{release: node.WS2008, nodes: 2, disks: 2})
	l.form()
	l.app("Cluster Disk 2")
	one, two := l.w.Machine("NODE1"), l.w.Machine("NODE2")
	vis(one, "LUN-2").Letters = map[int]string{1: "X:"} // changed by hand on the owner
	l.must("group", "App", "/moveto:NODE2", "/wait:60")
	if l.owner("App") != "NODE2" || l.state("App Name") != stateOnline || l.state("Cluster Disk 2") != stateOnline {
		t.Fatalf("after the move:\n%s%s", l.must("group"), l.must("res"))
	}
	if d := l.w.Disks["LUN-2"]; d.Owner != "NODE2" {
		t.Errorf("the disk is reserved by %q", d.Owner)
	}
	if v := vis(two, "LUN-2"); v.Offline || v.Letters[1] != "X:" {
		t.Errorf("NODE2 sees %+v", v)
	}
	if v := vis(one, "LUN-2"); !v.Offline {
		t.Errorf("NODE1 sees %+v", v)
	}
	if got := two.Adapters[0].Addresses; !reflect.DeepEqual(got, []string{"192.0.2.12/24", "192.0.2.30/24"}) {
		t.Errorf("NODE2's addresses are %v", got)
	}
	if got := one.Adapters[0].Addresses; !reflect.DeepEqual(got, []string{"192.0.2.11/24", "192.0.2.20/24"}) {
		t.Errorf("NODE1's addresses are %v", got)
	}
	rec := l.w.Forest.Zones["contoso.com"].Records
	if len(rec) != 2 || rec[1].Name != "app" || rec[1].Data != "192.0.2.30" || rec[1].TTL != 600 {
		t.Errorf("records are %+v", rec)
	}
	if len(l.w.Clusters["mbx"].Networks) != 2 {
		t.Errorf("moving an address made networks: %d", len(l.w.Clusters["mbx"].Networks))
	}
}

func TestNodeLostAndBack(t *testing.T) {
	l := newLab(t, labSpec{release: node.WS2008, nodes: 3, disks: 2})
	cl := l.form()
	l.app("Cluster Disk 2")
	l.must("group", "App", "/setowners:NODE3,NODE1")
	l.off("NODE1")
	if got := nodeOf(cl, "NODE1").State; got != 1 {
		t.Fatalf("NODE1's state is %d", got)
	}
	if l.owner("App") != "NODE3" || l.state("App Name") != stateOnline {
		t.Errorf("App is on %s, App Name %d", l.owner("App"), l.state("App Name"))
	}
	if l.owner("Cluster Group") == "NODE1" || l.state("Cluster Name") != stateOnline {
		t.Errorf("the core group is on %s", l.owner("Cluster Group"))
	}
	if d := l.w.Disks["LUN-2"]; d.Owner != "NODE3" {
		t.Errorf("the disk is reserved by %q", d.Owner)
	}
	if len(l.w.Machine("NODE1").Adapters[0].Addresses) != 1 {
		t.Error("the dead machine kept cluster addresses")
	}
	l.boot("NODE1")
	if got := nodeOf(cl, "NODE1").State; got != 0 {
		t.Errorf("NODE1's state after the boot is %d", got)
	}
	if l.owner("App") != "NODE3" {
		t.Errorf("App failed back to %s without AutoFailbackType", l.owner("App"))
	}
	l.must("group", "App", "/prop", "AutoFailbackType=1")
	l.must("group", "App", "/setowners:NODE2")
	l.off("NODE2")
	l.boot("NODE2")
	if l.owner("App") != "NODE2" {
		t.Errorf("App is on %s, want its preferred owner", l.owner("App"))
	}
}

func TestQuorumLoss(t *testing.T) {
	for _, x := range []struct {
		name    string
		release node.Release
		nodes   int
		witness bool
		lose    []string
		lives   bool
	}{
		{"two nodes without a witness", node.WS2008, 2, false, []string{"NODE2"}, false},
		{"two nodes with a disk", node.WS2008, 2, true, []string{"NODE2"}, true},
		{"three nodes lose one", node.WS2008, 3, false, []string{"NODE3"}, true},
		{"three nodes lose two", node.WS2008, 3, false, []string{"NODE3", "NODE2"}, false},
		{"dynamic votes outlive two of three", node.WS2012R2, 3, false, []string{"NODE3", "NODE2"}, true},
		{"four nodes and a disk lose two", node.WS2008, 4, true, []string{"NODE4", "NODE3"}, true},
		{"four nodes and a disk lose three", node.WS2008, 4, true, []string{"NODE4", "NODE3", "NODE2"}, false},
		{"2003 lives on its disk", node.WS2003, 4, false, []string{"NODE4", "NODE3", "NODE2"}, true},
	} {
		t.Run(x.name, func(t *testing.T) {
			l := newLab(t, labSpec{release: x.release, nodes: x.nodes, disks: 1})
			cl := l.form()
			if x.witness {
				if err := l.f.SetWitness(l.at("NODE1"), cl, "Cluster Disk 1", "", false); err != nil {
					t.Fatal(err)
				}
			}
			for _, n := range x.lose {
				l.off(n)
			}
			code, out := l.exe(l.at("NODE1"), "group")
			running := service(l.w.Machine("NODE1")).State == svcRunning
			if (code == 0) != x.lives || running != x.lives {
				t.Fatalf("cluster group: exit %d, service runs: %v\n%s", code, running, out)
			}
			if !x.lives {
				if code != 1753 {
					t.Errorf("exit %d, want 1753", code)
				}
				if machine.RegKey(l.at("NODE1"), hiveRoot) != nil {
					t.Error("HKLM\\Cluster is there without the service")
				}
			}
			// everything is back when the machines are: the service that ended for want of a majority waits
			// for it
			for _, n := range x.lose {
				l.boot(n)
			}
			if code, out := l.exe(l.at("NODE1"), "group"); code != 0 || !strings.Contains(out, "Online") {
				t.Errorf("after the machines are back: exit %d\n%s", code, out)
			}
			if l.state("Cluster Name") != stateOnline {
				t.Error("the cluster's name is not online again")
			}
		})
	}
}

func TestServiceStopFailsOver(t *testing.T) {
	stopped := []string{}
	typ := Type{Name: "Probe", Class: 32768,
		Online:  func(c *machine.Ctx, r *model.ClusterResource) error { return nil },
		Offline: func(c *machine.Ctx, r *model.ClusterResource) error { stopped = append(stopped, c.M.Name); return nil }}
	l := newLab(t, labSpec{release: node.WS2008, nodes: 3, types: []Type{typ}})
	cl := l.form()
	RegisterType(cl, typ)
	l.must("group", "App", "/create")
	l.must("res", "P", "/create", "/group:App", "/type:Probe")
	l.must("group", "App", "/on")
	if code := machine.StopService(l.at("NODE1"), "clussvc", false); code != 0 {
		t.Fatal(code)
	}
	if got := l.owner("App"); got == "NODE1" || l.state("P") != stateOnline {
		t.Errorf("App is on %s", got)
	}
	if !reflect.DeepEqual(stopped, []string{"NODE1"}) {
		t.Errorf("offline was called on %v", stopped)
	}
	if code, _ := l.exe(l.at("NODE1"), "node"); code != 1753 {
		t.Errorf("cluster node without the service: exit %d", code)
	}
	if machine.RegKey(l.at("NODE1"), `HKLM\Cluster`) != nil || machine.RegKey(l.at("NODE2"), `HKLM\Cluster`) == nil {
		t.Error("HKLM\\Cluster is not where the service runs")
	}
	if code, out := l.exe(l.at("NODE1"), "node", "NODE1", "/start"); code != 0 {
		t.Errorf("cluster node /start: exit %d\n%s", code, out)
	}
	if nodeOf(cl, "NODE1").State != 0 {
		t.Error("NODE1 did not join")
	}
}

func TestTypeThatFailsGoesToTheNextNode(t *testing.T) {
	bad := "NODE2"
	typ := Type{Name: "Picky", Online: func(c *machine.Ctx, r *model.ClusterResource) error {
		if c.M.Name == bad {
			return errors.New("not here")
		}
		return nil
	}}
	l := newLab(t, labSpec{release: node.WS2008, nodes: 3, types: []Type{typ}})
	cl := l.form()
	RegisterType(cl, typ)
	l.must("group", "App", "/create")
	l.must("res", "P", "/create", "/group:App", "/type:Picky")
	l.must("group", "App", "/on")
	if code, _ := l.exe(l.at("NODE1"), "group", "App", "/move:NODE2"); code != 5038 {
		t.Errorf("moving to a node where it fails: exit %d, want 5038", code)
	}
	if got := l.owner("App"); got == "NODE2" || l.state("P") != stateOnline {
		t.Errorf("App is on %s with P %d", got, l.state("P"))
	}
	if code, _ := l.exe(l.at("NODE1"), "group", "App", "/move:NODE3"); code != 0 || l.owner("App") != "NODE3" {
		t.Errorf("moving where it works: exit %d, owner %s", code, l.owner("App"))
	}
	bad = "" // fixed
	l.must("group", "App", "/move:NODE2")
}

func TestMissingDiskKeepsGroupAway(t *testing.T) {
	l := newLab(t, labSpec{release: node.WS2008, nodes: 2, disks: 2})
	l.form()
	l.app("Cluster Disk 2")
	l.w.Faults = []*model.Fault{{Kind: "disk-missing", Machine: "NODE2", Args: map[string]string{"serial": "LUN-2"},
		Times: -1}}
	if code, _ := l.exe(l.at("NODE1"), "group", "App", "/move:NODE2"); code != 2 {
		t.Errorf("exit %d, want 2", code)
	}
	if l.owner("App") != "NODE1" || l.state("Cluster Disk 2") != stateOnline || l.state("App Name") != stateOnline {
		t.Errorf("App is on %s", l.owner("App"))
	}
}

func TestSecondHopFault(t *testing.T) {
	l := newLab(t, labSpec{release: node.WS2008, nodes: 1})
	l.w.Faults = []*model.Fault{{Kind: "second-hop-refused", Machine: "NODE1", Times: 1}}
	args := []string{"MBX", "/create", "/ipaddr:192.0.2.20,255.255.255.0,Public", "/unattend"}
	if code, _ := l.exe(l.at("NODE1"), args...); code != 5 {
		t.Errorf("exit %d, want 5", code)
	}
	l.must(args...)
}

func TestDestroyLeavesNothing(t *testing.T) {
	for _, rel := range []node.Release{node.WS2003, node.WS2008} {
		l := newLab(t, labSpec{release: rel, nodes: 2, disks: 2})
		before := l.dump()
		cl := l.form()
		if rel == node.WS2003 {
			cl.Quorum = model.Quorum{Model: NodeMajority}
			l.must("node", "NODE2", "/evict")
			l.must("node", "NODE1", "/force")
		} else {
			l.must("/destroy", "/CleanupActiveDirectory")
		}
		if after := l.dump(); after != before {
			t.Errorf("%s: the world differs\nbefore %s\nafter  %s", rel, before, after)
		}
	}
}

// dump is the world without the counter of made-up ids.
func (l *lab) dump() string {
	l.t.Helper()
	n := l.w.Serial
	l.w.Serial = 0
	b, err := json.Marshal(l.w)
	l.w.Serial = n
	if err != nil {
		l.t.Fatal(err)
	}
	return string(b)
}

func TestEvictUncleaned(t *testing.T) {
	l := newLab(t, labSpec{release: node.WS2008, nodes: 3})
	l.form()
	l.off("NODE3")
	if code, _ := l.exe(l.at("NODE1"), "node", "NODE3", "/evict"); code != 5896 {
		t.Errorf("evicting a machine that is off: exit %d, want 5896", code)
	}
	l.boot("NODE3")
	if s := service(l.w.Machine("NODE3")).State; s != svcStopped {
		t.Errorf("the evicted machine's service is %d", s)
	}
	if code, _ := l.exe(l.at("NODE1"), "/add:NODE3"); code != 5065 {
		t.Errorf("adding a machine that was not cleaned: exit %d, want 5065", code)
	}
	if code, out := l.exe(l.at("NODE3"), "node", "/force"); code != 0 {
		t.Errorf("clean-up: exit %d\n%s", code, out)
	}
	l.must("/add:NODE3")
	if n := nodeOf(l.w.Clusters["mbx"], "NODE3"); n == nil || n.ID != 3 || n.State != 0 {
		t.Errorf("NODE3 is %+v", n)
	}
}

func TestSaveAndLoad(t *testing.T) {
	l := newLab(t, labSpec{release: node.WS2012R2, nodes: 2, disks: 3})
	cl := l.form()
	l.app("Cluster Disk 3")
	l.must("/prop", "SameSubnetThreshold=20")
	l.must("group", "App", "/prop", "AntiAffinityClassNames=a,b:multistr")
	if err := l.f.SetWitness(l.at("NODE1"), cl, "Cluster Disk 1", "", false); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(l.w)
	if err != nil {
		t.Fatal(err)
	}
	var w model.World
	if err := json.Unmarshal(b, &w); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(w.Clusters["mbx"], cl) {
		got, _ := json.MarshalIndent(w.Clusters["mbx"], "", " ")
		want, _ := json.MarshalIndent(cl, "", " ")
		t.Fatalf("loaded\n%s\nwant\n%s", got, want)
	}
	again := &lab{t: t, w: &w, f: l.f, b: l.b}
	again.must("group", "App", "/move:NODE2")
	if again.owner("App") != "NODE2" || w.Disks["LUN-3"].Owner != "NODE2" {
		t.Error("the loaded cluster does not move")
	}
}

func TestExpressions(t *testing.T) {
	for _, x := range []struct {
		in    string
		ok    bool
		text  string
		shown string
	}{
		{"", true, "", ""}, {"[A]", true, "[A]", "([A])"}, {"[A] and [B]", true, "[A] and [B]", "([A]) and ([B])"},
		{"([A]) AND ([B] or [C])", true, "[A] and ([B] or [C])", "([A]) and ([B] or [C])"},
		{"[A] or [B]", true, "[A] or [B]", "([A] or [B])"},
		{"A", false, "", ""}, {"[A] and [B] or [C]", false, "", ""}, {"[A", false, "", ""}, {"[A] [B]", false, "", ""},
		{"([A]", false, "", ""}, {"[]", false, "", ""},
	} {
		e, ok := parseExpr(x.in)
		if ok != x.ok || (ok && (e.text() != x.text || e.shown() != x.shown)) {
			t.Errorf("%q: ok %v text %q shown %q", x.in, ok, e.text(), e.shown())
		}
	}
	e, _ := parseExpr("[A] and ([B] or [C])")
	on := func(names ...string) func(string) bool { return func(n string) bool { return containsFold(names, n) } }
	if e.holds(on("A")) || !e.holds(on("A", "C")) || e.holds(on("B", "C")) {
		t.Error("the expression holds when it should not, or not when it should")
	}
	if got := e.without("B").text(); got != "[A] and [C]" {
		t.Errorf("without B: %s", got)
	}
}

// A name on two subnets needs only one of its addresses: the one that fits the node.
func TestOrDependency(t *testing.T) {
	l := newLab(t, labSpec{release: node.WS2008, nodes: 2})
	two := l.w.Machine("NODE2")
	two.Adapters[0].Addresses = []string{"198.51.100.12/24"}
	l.must("MBX", "/create", "/ipaddr:192.0.2.20,255.255.255.0,Public", "/unattend")
	l.must("/add:NODE2")
	cl := l.w.Clusters["mbx"]
	l.must("group", "App", "/create")
	for name, addr := range map[string]string{"A": "192.0.2.30", "B": "198.51.100.30"} {
		l.must("res", name, "/create", "/group:App", "/type:IP Address")
		l.must("res", name, "/priv", "Address="+addr, "SubnetMask=255.255.255.0")
	}
	l.must("res", "N", "/create", "/group:App", "/type:Network Name")
	l.must("res", "N", "/priv", "Name=APP")
	if err := SetDependency(cl, Resource(cl, "N"), "[A] or [B]"); err != nil {
		t.Fatal(err)
	}
	if code, _ := l.exe(l.at("NODE1"), "res", "N", "/on"); code != 0 || l.state("N") != stateOnline ||
		l.state("A") != stateOnline || l.state("B") == stateOnline {
		t.Errorf("exit %d, N %d, A %d, B %d", code, l.state("N"), l.state("A"), l.state("B"))
	}
}

// What becomes of accounts follows the documents for 2008 (cc771174): disabled by default, deleted
// when that was asked for.
func TestAccountsAfterDeletion(t *testing.T) {
	l := newLab(t, labSpec{release: node.WS2008, nodes: 1})
	l.form()
	remove := func() {
		l.must("group", "App", "/off")
		l.must("res", "App Name", "/delete")
		l.must("res", "App IP", "/delete")
		l.must("group", "App", "/delete")
	}
	l.app("")
	remove()
	if o := account(l.w.Forest, "APP"); o == nil || enabled(o) {
		t.Errorf("the account of a deleted name is %+v", o)
	}
	l.app("") // takes the disabled account over
	if o := account(l.w.Forest, "APP"); o == nil || !enabled(o) {
		t.Errorf("the account of the new name is %+v", o)
	}
	l.must("restype", "Network Name", "/priv", "DeleteVcoOnResCleanup=1")
	remove()
	if o := account(l.w.Forest, "APP"); o != nil {
		t.Errorf("the account is still there: %+v", o)
	}
	l.must("/destroy")
	if o := account(l.w.Forest, "MBX"); o == nil || enabled(o) {
		t.Errorf("the destroyed cluster's account is %+v", o)
	}
	l.form() // the disabled account does not stand in the way
}

// A request waits while the cluster is destroyed under it: it fails and changes nothing.
func TestClusterGoneWhileWaiting(t *testing.T) {
	l := newLab(t, labSpec{release: node.WS2008, nodes: 3})
	third := l.w.Machines["node3"]
	delete(l.w.Machines, "node3")
	cl := l.form()
	l.w.Machines["node3"] = third
	c := l.at("NODE1")
	destroyed := false
	c.Sleep = func(time.Duration) {
		if !destroyed {
			destroyed = true
			if err := l.f.Destroy(l.at("NODE1"), cl, true); err != nil {
				t.Fatal(err)
			}
		}
	}
	if code, _ := l.exe(c, "/add:NODE3"); code != 1753 {
		t.Errorf("exit %d, want 1753", code)
	}
	if memberOf(third) != "" || len(l.w.Clusters) != 0 {
		t.Error("the machine joined a cluster that is gone")
	}
}
