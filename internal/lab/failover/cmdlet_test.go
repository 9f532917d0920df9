package failover

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"deploy/internal/lab/machine"
	"deploy/internal/node"
	"deploy/internal/session/powershell/protocol"
)

func TestModuleOnlyWhereItIs(t *testing.T) {
	for rel, want := range map[node.Release]bool{node.WS2003: false, node.WS2008: false, node.WS2008R2: true,
		node.WS2012: true, node.WS2022: true} {
		l := newLab(t, labSpec{release: rel, nodes: 1})
		l.form()
		_, err := l.cmdlet(l.at("NODE1"), "Get-ClusterNode", nil, "Name")
		if (err == nil) != want {
			t.Errorf("%s: %v", rel, err)
		}
	}
}

// The parameters of each release are what the tables say: a few that changed.
func TestParametersByRelease(t *testing.T) {
	for _, x := range []struct {
		cmdlet, param string
		from          node.Release // the first release that knows it
	}{
		{"Set-ClusterQuorum", "NodeMajority", node.WS2008R2},
		{"Set-ClusterQuorum", "NoWitness", node.WS2012R2},
		{"Set-ClusterQuorum", "CloudWitness", node.WS2016},
		{"New-Cluster", "AdministrativeAccessPoint", node.WS2012R2},
		{"New-Cluster", "Force", node.WS2012R2},
		{"Suspend-ClusterNode", "Drain", node.WS2012},
		{"Start-ClusterGroup", "ChooseBestNode", node.WS2016},
	} {
		for _, rel := range node.WindowsReleases() {
			if !rel.AtLeast(node.WS2008R2) {
				continue
			}
			has := false
			for _, p := range facts().cmdlets[x.cmdlet].params(rel) {
				own, _, _ := strings.Cut(p, "=")
				has = has || own == x.param
			}
			if has != rel.AtLeast(x.from) {
				t.Errorf("%s -%s on %s: %v", x.cmdlet, x.param, rel, has)
			}
		}
	}
	l := newLab(t, labSpec{release: node.WS2008R2, nodes: 1})
	l.form()
	_, err := l.cmdlet(l.at("NODE1"), "Set-ClusterQuorum", map[string]any{"NoWitness": true})
	if _, id := failCode(err); id != protocol.IDUnsupported {
		t.Errorf("-NoWitness on 2008 R2: %v", err)
	}
}

// Every parameter that the code looks at is a parameter of some cmdlet: a misspelt one would never
// be seen.
func TestCodeReadsKnownParameters(t *testing.T) {
	known := map[string]bool{}
	for _, c := range facts().cmdlets {
		for _, m := range c.By {
			for p := range m {
				known[p] = true
			}
		}
	}
	files, err := filepath.Glob("cmdlets*.go")
	if err != nil || len(files) < 3 {
		t.Fatal(files, err)
	}
	read := regexp.MustCompile(`(?:\barg|machine\.(?:Has)?Arg\w*)\(p, "(\w+)"\)`)
	n := 0
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range read.FindAllStringSubmatch(string(b), -1) {
			n++
			if !known[m[1]] {
				t.Errorf("%s reads -%s, which no cmdlet has", f, m[1])
			}
		}
	}
	if n < 30 {
		t.Errorf("only %d reads were found", n)
	}
}

func TestRemoteLimits(t *testing.T) {
	l := newLab(t, labSpec{release: node.WS2012R2, nodes: 2})
	for name, params := range map[string]map[string]any{
		"New-Cluster":       {"Name": "MBX", "Node": "NODE1", "StaticAddress": "192.0.2.20"},
		"Clear-ClusterNode": {"Force": true},
	} {
		_, err := l.cmdlet(l.network("NODE1"), name, params)
		code, id := failCode(err)
		if code != 0x80070005 || !strings.HasPrefix(id, name+",Microsoft.FailoverClusters.PowerShell.") {
			t.Errorf("%s over a network logon: %#x %s", name, code, id)
		}
	}
	l.form()
	for name, params := range map[string]map[string]any{
		"Add-ClusterNode": {"Name": "NODE2"}, "Remove-ClusterNode": {"Name": "NODE2", "Force": true},
		"Remove-Cluster": {"Force": true}, "Stop-ClusterNode": {"Name": "NODE2"}, "Start-ClusterNode": {},
	} {
		if _, err := l.cmdlet(l.network("NODE1"), name, params); err == nil {
			t.Errorf("%s works over a network logon", name)
		}
	}
	if _, err := l.cmdlet(l.network("NODE1"), "Get-ClusterNode", nil, "Name"); err != nil {
		t.Errorf("reading over a network logon: %v", err)
	}
	if _, err := l.cmdlet(l.at("NODE1"), "Remove-ClusterNode", map[string]any{"Name": "NODE2"}); err == nil {
		t.Error("Remove-ClusterNode does not ask")
	}
}

func TestErrorIDs(t *testing.T) {
	l := newLab(t, labSpec{release: node.WS2012R2, nodes: 2})
	third := newLab(t, labSpec{release: node.WS2012R2, nodes: 3}).w.Machine("NODE3")
	l.form()
	l.w.Machines["node3"] = third
	for _, x := range []struct {
		node, cmdlet string
		params       map[string]any
		id           string
		category     string
	}{
		{"NODE3", "Get-ClusterResource", nil,
			"ClusterEndpointNotRegistered,Microsoft.FailoverClusters.PowerShell.GetResourceCommand", "ConnectionError"},
		{"NODE3", "Get-ClusterResource", map[string]any{"Cluster": "GHOST"},
			"ClusterRpcConnection,Microsoft.FailoverClusters.PowerShell.GetResourceCommand", "ConnectionError"},
		{"NODE1", "Get-ClusterResource", map[string]any{"Name": "X"},
			"ClusterObjectNotFound,Microsoft.FailoverClusters.PowerShell.GetResourceCommand", "ObjectNotFound"},
		{"NODE1", "Move-ClusterGroup", map[string]any{"Name": "X"},
			"ClusterObjectNotFound,Microsoft.FailoverClusters.PowerShell.MoveClusterGroupCommand", "ObjectNotFound"},
		{"NODE1", "Add-ClusterGroup", map[string]any{"Name": "Cluster Group"},
			"Add-ClusterGroup,Microsoft.FailoverClusters.PowerShell.AddClusterGroupCommand", "NotSpecified"},
	} {
		_, err := l.cmdlet(l.at(x.node), x.cmdlet, x.params)
		f, ok := err.(*machine.Fail)
		if !ok || f.ID != x.id || f.Category != x.category {
			t.Errorf("%s %v: %+v", x.cmdlet, x.params, err)
		}
	}
}

func TestNewClusterChoosesAWitness(t *testing.T) {
	l := newLab(t, labSpec{release: node.WS2012R2, nodes: 2, disks: 2})
	rows, err := l.cmdlet(l.at("NODE1"), "New-Cluster", map[string]any{"Name": "MBX", "Node": []any{"NODE1", "NODE2"},
		"StaticAddress": "192.0.2.20"}, "Name")
	if err != nil || len(rows) != 1 || rows[0]["Name"] != "MBX" {
		t.Fatalf("%v %v", rows, err)
	}
	q, err := l.cmdlet(l.at("NODE2"), "Get-ClusterQuorum", nil, "QuorumType:name", "QuorumResource",
		"QuorumResource.ResourceType")
	if err != nil || q[0]["QuorumType:name"] != "NodeAndDiskMajority" || q[0]["QuorumResource"] != "Cluster Disk 1" ||
		q[0]["QuorumResource.ResourceType"] != "Physical Disk" {
		t.Errorf("%v %v", q, err)
	}
	if _, err := l.cmdlet(l.at("NODE1"), "Set-ClusterQuorum",
		map[string]any{"NodeAndFileShareMajority": `\\dc01\fsw`}); err != nil {
		t.Fatal(err)
	}
	q, _ = l.cmdlet(l.at("NODE1"), "Get-ClusterQuorum", nil, "QuorumType:name", "QuorumResource.ResourceType")
	if q[0]["QuorumType:name"] != "NodeAndFileShareMajority" ||
		q[0]["QuorumResource.ResourceType"] != "File Share Witness" {
		t.Errorf("%v", q)
	}
	if _, err := l.cmdlet(l.at("NODE1"), "Set-ClusterQuorum", map[string]any{"NodeMajority": true}); err != nil {
		t.Fatal(err)
	}
	if l.w.Clusters["mbx"].Quorum.Model != NodeMajority {
		t.Errorf("quorum is %+v", l.w.Clusters["mbx"].Quorum)
	}
}

func TestQuorumTypeFrom2016(t *testing.T) {
	l := newLab(t, labSpec{release: node.WS2016, nodes: 2, disks: 1})
	l.form()
	if _, err := l.cmdlet(l.at("NODE1"), "Set-ClusterQuorum",
		map[string]any{"DiskWitness": "Cluster Disk 1"}); err != nil {
		t.Fatal(err)
	}
	q, err := l.cmdlet(l.at("NODE1"), "Get-ClusterQuorum", nil, "QuorumType:name", "QuorumResource.ResourceType")
	if err != nil || q[0]["QuorumType:name"] != "Majority" || q[0]["QuorumResource.ResourceType"] != "Physical Disk" {
		t.Errorf("%v %v", q, err)
	}
}

func TestObjectsOfTheModule(t *testing.T) {
	l := newLab(t, labSpec{release: node.WS2012, nodes: 2, disks: 1})
	l.form()
	r, err := l.cmdlet(l.at("NODE1"), "Get-ClusterResource", map[string]any{"Name": "Cluster Name"}, "State", "State:name",
		"OwnerGroup", "OwnerNode.Name", "ResourceType", "RestartAction")
	if err != nil {
		t.Fatal(err)
	}
	for k, want := range map[string]any{"State": int64(2), "State:name": "Online", "OwnerGroup": "Cluster Group",
		"OwnerNode.Name": "NODE1", "ResourceType": "Network Name", "RestartAction": int64(2)} {
		if r[0][k] != want {
			t.Errorf("%s is %v, want %v", k, r[0][k], want)
		}
	}
	d, err := l.cmdlet(l.at("NODE1"), "Get-ClusterResourceDependency", map[string]any{"Resource": "Cluster Name"},
		"DependencyExpression")
	if err != nil || d[0]["DependencyExpression"] != "([Cluster IP Address])" {
		t.Errorf("%v %v", d, err)
	}
	if _, err := l.cmdlet(l.at("NODE1"), "Set-ClusterOwnerNode",
		map[string]any{"Resource": "Cluster Disk 1", "Owners": []any{"NODE1"}}); err != nil {
		t.Fatal(err)
	}
	o, err := l.cmdlet(l.at("NODE1"), "Get-ClusterOwnerNode", map[string]any{"Resource": "Cluster Disk 1"}, "OwnerNodes")
	if list, ok := o[0]["OwnerNodes"].([]any); err != nil || !ok || len(list) != 1 || list[0] != "NODE1" {
		t.Errorf("%v %v", o, err)
	}
}

func TestValidation(t *testing.T) {
	l := newLab(t, labSpec{release: node.WS2008R2, nodes: 2, disks: 1})
	l.form()
	c := l.at("NODE1")
	if err := machine.MakeDirs(c, `C:\Reports`); err != nil {
		t.Fatal(err)
	}
	rows, err := l.cmdlet(c, "Test-Cluster", map[string]any{"ReportName": `C:\Reports\first`}, "FullName")
	if err != nil || rows[0]["FullName"] != `C:\Reports\first.mht` {
		t.Fatalf("%v %v", rows, err)
	}
	xml, err := machine.ReadFile(c, `C:\Reports\first.xml`)
	if err != nil || strings.Contains(string(xml), `Level="Fail"`) || !strings.Contains(string(xml), `Level="Pass"`) {
		t.Errorf("%v\n%s", err, xml)
	}
	vis(l.w.Machine("NODE2"), "LUN-1").Missing = true
	if _, err := l.cmdlet(c, "Test-Cluster", map[string]any{"ReportName": `C:\Reports\second`}, "FullName"); err != nil {
		t.Fatal(err)
	}
	if xml, _ = machine.ReadFile(c, `C:\Reports\second.xml`); !strings.Contains(string(xml), `Level="Fail"`) {
		t.Errorf("a disk that one node does not see passes:\n%s", xml)
	}
	if _, err := l.cmdlet(c, "Test-Cluster", map[string]any{"ReportName": `C:\Reports\third`, "Ignore": []any{"Storage"}},
		"FullName"); err != nil {
		t.Fatal(err)
	}
	if xml, _ = machine.ReadFile(c, `C:\Reports\third.xml`); strings.Contains(string(xml), `Level="Fail"`) {
		t.Errorf("an ignored category is tested:\n%s", xml)
	}
	old := newLab(t, labSpec{release: node.WS2008, nodes: 1})
	oc := old.at("NODE1")
	if err := old.b.Operate["validate-cluster"](oc, `C:\Reports\wizard.mht`); err != nil {
		t.Fatal(err)
	}
	if !machine.Exists(oc, `C:\Reports\wizard.mht`) {
		t.Error("the wizard left no report")
	}
}
