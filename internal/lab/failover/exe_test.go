package failover

import (
	"strings"
	"testing"

	"deploy/internal/node"
)

func TestFormAndShow(t *testing.T) {
	l := newLab(t, labSpec{release: node.WS2008, nodes: 2, disks: 2})
	l.form()
	want := "Listing status for all available resource groups:\r\n\r\n" +
		"Group                Node            Status\r\n" +
		"-------------------- --------------- ------\r\n" +
		"Cluster Group        NODE1           Online\r\n" +
		"Available Storage    NODE1           Online\r\n\r\n"
	if got := l.must("group"); got != want {
		t.Errorf("cluster group printed\n%s\nwant\n%s", got, want)
	}
	want = "Listing status for all available nodes:\r\n\r\n" +
		"Node           Node ID Status\r\n" +
		"-------------- ------- ---------------------\r\n" +
		"NODE1                1 Up\r\n" +
		"NODE2                2 Up\r\n\r\n"
	if got := l.must("node"); got != want {
		t.Errorf("cluster node printed\n%s\nwant\n%s", got, want)
	}
	res := l.must("resource")
	if !strings.Contains(res, "-------------------- -------------------- --------------- ------\r\n") ||
		!strings.Contains(res, "Cluster Disk 2       Available Storage    NODE1           Online\r\n") {
		t.Errorf("cluster resource printed\n%s", res)
	}
	if o := account(l.w.Forest, "MBX"); o == nil || o.DN != "CN=MBX,CN=Computers,DC=contoso,DC=com" || !enabled(o) {
		t.Errorf("the cluster's account is %+v", o)
	}
	if z := l.w.Forest.Zones["contoso.com"]; len(z.Records) != 1 || z.Records[0].Name != "mbx" ||
		z.Records[0].Data != "192.0.2.20" || z.Records[0].TTL != 1200 {
		t.Errorf("records are %+v", z.Records)
	}
}

func TestExitCodes(t *testing.T) {
	disk := "Cluster Disk 1"
	for _, x := range []struct {
		name string
		code int
		do   func(l *lab) (int, string)
	}{
		{"create without a second hop", 5, func(l *lab) (int, string) {
			return l.exe(l.network("NODE3"), "NEW", "/create", "/ipaddr:192.0.2.30,255.255.255.0,Public", "/unattend")
		}},
		{"create with a name in use", 5900, func(l *lab) (int, string) {
			return l.exe(l.at("NODE3"), "MBX", "/create", "/ipaddr:192.0.2.30,255.255.255.0,Public", "/unattend")
		}},
		{"create on a member", 5065, func(l *lab) (int, string) {
			return l.exe(l.at("NODE1"), "NEW", "/create", "/ipaddr:192.0.2.30,255.255.255.0,Public", "/unattend")
		}},
		{"create with an address in use", 5057, func(l *lab) (int, string) {
			return l.exe(l.at("NODE3"), "NEW", "/create", "/ipaddr:192.0.2.5,255.255.255.0,Public", "/unattend")
		}},
		{"create with an address of no network", 5894, func(l *lab) (int, string) {
			return l.exe(l.at("NODE3"), "NEW", "/create", "/ipaddr:172.16.0.5,255.255.0.0,Public", "/unattend")
		}},
		{"create on a connection that is not there", 5045, func(l *lab) (int, string) {
			return l.exe(l.at("NODE3"), "NEW", "/create", "/ipaddr:192.0.2.30,255.255.255.0,LAN", "/unattend")
		}},
		{"add a member", 5065, func(l *lab) (int, string) { return l.exe(l.at("NODE1"), "/add:NODE2", "/unattend") }},
		{"add nobody", 1722, func(l *lab) (int, string) { return l.exe(l.at("NODE1"), "/add:GHOST", "/unattend") }},
		{"add a machine without the feature", 5898,
			func(l *lab) (int, string) { return l.exe(l.at("NODE1"), "/add:dc01", "/unattend") }},
		{"add without a second hop", 5,
			func(l *lab) (int, string) { return l.exe(l.network("NODE1"), "/add:NODE3", "/unattend") }},
		{"no cluster here", 1753, func(l *lab) (int, string) { return l.exe(l.at("NODE3"), "group") }},
		{"no such cluster", 1722, func(l *lab) (int, string) { return l.exe(l.at("NODE3"), "/cluster:GHOST", "group") }},
		{"another computer's cluster without a second hop", 5,
			func(l *lab) (int, string) { return l.exe(l.network("NODE3"), "/cluster:MBX", "group") }},
		{"unknown option", 87, func(l *lab) (int, string) { return l.exe(l.at("NODE1"), "group", "/explode") }},
		{"group is there", 5010, func(l *lab) (int, string) {
			return l.exe(l.at("NODE1"), "group", "Available Storage",
				"/create")
		}},
		{"no such group", 5013, func(l *lab) (int, string) { return l.exe(l.at("NODE1"), "group", "X", "/online") }},
		{"no such resource", 5007, func(l *lab) (int, string) { return l.exe(l.at("NODE1"), "res", "X", "/online") }},
		{"no such node", 5042, func(l *lab) (int, string) {
			return l.exe(l.at("NODE1"), "group", "Available Storage",
				"/move:X")
		}},
		{"no such type", 5078, func(l *lab) (int, string) {
			return l.exe(l.at("NODE1"), "res", "X", "/create", "/group:App", "/type:Y")
		}},
		{"dependency twice", 5003, func(l *lab) (int, string) { return l.exe(l.at("NODE1"), "res", "Name", "/adddep:Addr") }},
		{"dependency that is not there", 5002,
			func(l *lab) (int, string) { return l.exe(l.at("NODE1"), "res", "Addr", "/removedep:Name") }},
		{"circular dependency", 1059, func(l *lab) (int,
			string) {
			return l.exe(l.at("NODE1"), "res", "Addr", "/adddep:Name")
		}},
		{"delete what others need", 5001,
			func(l *lab) (int, string) { return l.exe(l.at("NODE1"), "res", "Addr", "/delete") }},
		{"delete what is online", 5019,
			func(l *lab) (int, string) { return l.exe(l.at("NODE1"), "res", "Cluster Disk 2", "/delete") }},
		{"delete the witness", 5020, func(l *lab) (int, string) { return l.exe(l.at("NODE1"), "res", disk, "/delete") }},
		{"witness offline", 5068, func(l *lab) (int, string) { return l.exe(l.at("NODE1"), "res", disk, "/off") }},
		{"witness depends", 5069, func(l *lab) (int,
			string) {
			return l.exe(l.at("NODE1"), "res", disk, "/adddep:Cluster Name")
		}},
		{"network in use", 5067, func(l *lab) (int, string) {
			return l.exe(l.at("NODE1"), "network", "Cluster Network 1", "/prop", "Role=1")
		}},
		{"threshold out of range", 87, func(l *lab) (int,
			string) {
			return l.exe(l.at("NODE1"), "/prop", "SameSubnetThreshold=11")
		}},
		{"unknown property", 87, func(l *lab) (int, string) { return l.exe(l.at("NODE1"), "/prop", "Colour=1") }},
		{"wrong format", 5895, func(l *lab) (int,
			string) {
			return l.exe(l.at("NODE1"), "/prop", "SameSubnetThreshold=10:STRING")
		}},
		{"stored until the next online", 5024, func(l *lab) (int, string) {
			return l.exe(l.at("NODE1"), "res", "Cluster Name", "/priv", "HostRecordTTL=600")
		}},
		{"quorum by cluster.exe on 2008", 50,
			func(l *lab) (int, string) { return l.exe(l.at("NODE1"), "/quorum:Cluster Disk 2") }},
		{"name without its address", 5002, func(l *lab) (int, string) {
			l.must("res", "Bare", "/create", "/group:App", "/type:Network Name")
			l.must("res", "Bare", "/priv", "Name=BARE")
			return l.exe(l.at("NODE1"), "res", "Bare", "/on")
		}},
	} {
		t.Run(x.name, func(t *testing.T) {
			l := newLab(t, labSpec{release: node.WS2008, nodes: 3, disks: 2})
			third := l.w.Machines["node3"]
			delete(l.w.Machines, "node3")
			cl := l.form()
			l.w.Machines["node3"] = third
			l.must("group", "App", "/create")
			l.must("res", "Addr", "/create", "/group:App", "/type:IP Address")
			l.must("res", "Name", "/create", "/group:App", "/type:Network Name")
			l.must("res", "Name", "/adddep:Addr")
			if err := l.f.SetWitness(l.at("NODE1"), cl, disk, "", false); err != nil {
				t.Fatal(err)
			}
			code, out := x.do(l)
			if code != x.code {
				t.Fatalf("exit %d, want %d\n%s", code, x.code, out)
			}
			word := "System error "
			if code == 5024 {
				word = "System warning "
			}
			if !strings.Contains(out, word) {
				t.Errorf("the last lines lack %q:\n%s", word, out)
			}
		})
	}
}

func TestToolOnlyWhereInstalled(t *testing.T) {
	for rel, want := range map[node.Release]bool{node.WS2003: true, node.WS2008: true, node.WS2008R2: true,
		node.WS2012: false, node.WS2022: false} {
		l := newLab(t, labSpec{release: rel, nodes: 1})
		c := l.at("NODE1")
		delete(c.M.Features, "RSAT-Clustering-CmdInterface")
		if got := c.Program("cluster") != nil; got != want {
			t.Errorf("%s: cluster.exe is there: %v, want %v", rel, got, want)
		}
		if rel == node.WS2008 {
			delete(c.M.Features, "Failover-Clustering")
			if c.Program("cluster") != nil {
				t.Error("cluster.exe is there without the feature")
			}
		}
	}
}

func TestAbbreviations(t *testing.T) {
	for _, x := range []struct {
		s    spelling
		word string
		want bool
	}{
		{"ipaddr[ess]", "ipaddr", true}, {"ipaddr[ess]", "ipaddress", true}, {"ipaddr[ess]", "IPADDRE", true},
		{"ipaddr[ess]", "ipadd", false}, {"ipaddr[ess]", "ipaddresses", false},
		{"on[line]", "on", true}, {"on[line]", "online", true}, {"on[line]", "o", false}, {"create", "create", true},
		{"create", "cre", false}, {"move[to]", "moveto", true},
	} {
		if got := x.s.match(x.word); got != x.want {
			t.Errorf("%s matches %s: %v", x.s, x.word, got)
		}
	}
}

func TestLanguages(t *testing.T) {
	for locale, want := range map[string][]string{
		"fr": {"Réseau de cluster 1", "En ligne"}, "de": {"Clusternetzwerk 1", "Clustergruppe"},
		"ja": {"クラスター ネットワーク 1", "クラスター グループ"},
	} {
		l := newLab(t, labSpec{release: node.WS2008, nodes: 2, disks: 1, locale: locale})
		l.form()
		out := l.must("network") + l.must("group")
		for _, w := range want {
			if !strings.Contains(out, w) {
				t.Errorf("%s lacks %q:\n%s", locale, w, out)
			}
		}
		// numbers stay readable in every language
		code, out := l.exe(l.at("NODE1"), "res", "X", "/on")
		if code != 5007 || !strings.Contains(out, "5007") || !strings.Contains(out, "0x0000138f") {
			t.Errorf("%s: exit %d\n%s", locale, code, out)
		}
		if g := coreGroup(l.w.Clusters["mbx"]); GroupState(l.w.Clusters["mbx"], g) != 0 {
			t.Errorf("%s: the core group is not online", locale)
		}
	}
}

func TestPropertyListing(t *testing.T) {
	l := newLab(t, labSpec{release: node.WS2008, nodes: 2})
	l.form()
	l.must("/prop", "SameSubnetThreshold=10:DWORD")
	out := l.must("/prop:SameSubnetThreshold")
	if !strings.Contains(out, "D  MBX                  SameSubnetThreshold            10 (0xa)\r\n") {
		t.Errorf("listing is\n%s", out)
	}
	l.must("/prop:SameSubnetThreshold", "/usedefault")
	if out = l.must("/prop"); !strings.Contains(out, "SameSubnetThreshold            5 (0x5)") {
		t.Errorf("after /usedefault\n%s", out)
	}
	if out = l.must("network", "Cluster Network 2", "/prop"); !strings.Contains(out,
		"SR Cluster Network 2    AddressMask                    255.255.255.0") {
		t.Errorf("network listing is\n%s", out)
	}
}

func TestServer2003(t *testing.T) {
	l := newLab(t, labSpec{release: node.WS2003, nodes: 2, disks: 2})
	if code, _ := l.exe(l.at("NODE1"), "MBX", "/create", "/ipaddr:192.0.2.20,255.255.255.0,Public",
		"/unattend"); code != 87 {
		t.Errorf("creation without a service account: exit %d, want 87", code)
	}
	if code, _ := l.exe(l.at("NODE1"), "MBX", "/create", "/ipaddr:192.0.2.20,255.255.255.0,Public", `/user:CONTOSO\admin`,
		"/password:wrong", "/unattend"); code != 1326 {
		t.Errorf("creation with a wrong password: exit %d, want 1326", code)
	}
	cl := l.form()
	if cl.Quorum.Model != DiskOnly || witness(cl) == nil || witness(cl).Name != "Disk E:" || cl.Quorum.Path != `E:\MSCS\` {
		t.Errorf("quorum is %+v", cl.Quorum)
	}
	if account(l.w.Forest, "MBX") != nil {
		t.Error("2003 made an account for the cluster name")
	}
	out := l.must("network")
	if !strings.Contains(out, "Public") || !strings.Contains(out, "Private") {
		t.Errorf("networks are\n%s", out)
	}
	l.must("/priv", "HeartBeatLostNodeTicks=10:DWORD")
	if out := l.must("/priv"); !strings.Contains(out, "HeartBeatLostNodeTicks         10 (0xa)") {
		t.Errorf("private properties are\n%s", out)
	}
	l.must("/setnetpri:Private,Public")
	if out := l.must("/listnetpri"); strings.Index(out, "Private") > strings.Index(out, "Public") {
		t.Errorf("priorities are\n%s", out)
	}
	if code, _ := l.exe(l.at("NODE1"), "/setnetpri:Private"); code != 87 {
		t.Errorf("an incomplete priority list: exit %d, want 87", code)
	}
	l.must("network", "Public", "/prop", "Role=2")
	if code, _ := l.exe(l.at("NODE1"), "network", "Private", "/prop", "Role=0"); code != 5066 {
		t.Errorf("taking the last internal network: exit %d, want 5066", code)
	}
	l.must("group", "App", "/create")
	l.must("res", "MNS", "/create", "/group:Cluster Group", "/type:Majority Node Set")
	l.must("/quorum:MNS")
	if cl.Quorum.Model != NodeMajority {
		t.Errorf("quorum is %+v", cl.Quorum)
	}
}
