package failover

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"deploy/internal/lab/machine"
	"deploy/internal/node"
	"deploy/internal/session/powershell/protocol"
)

type recordedClass struct {
	Base    string
	Props   []string
	Methods map[string][]string
}

// The classes that the lab plays exist on recorded systems with the same properties, methods and
// arguments. The documents and the recordings are independent of each other; the few differences
// are named here.
func TestNamesAgainstRecordedSystems(t *testing.T) {
	b, err := os.ReadFile("testdata/recorded.json")
	if err != nil {
		t.Fatal(err)
	}
	var rec struct {
		Systems map[string]map[string]recordedClass
	}
	if err := json.Unmarshal(b, &rec); err != nil {
		t.Fatal(err)
	}
	differ := map[string]bool{"MSCluster_ResourceGroup.InternalState": true, "MSCluster_Resource.InternalState": true,
		"MSCluster_ResourceType.RequiredDependencyTypes": true}
	for system, classes := range rec.Systems {
		has := func(class, prop string) bool {
			for c := class; c != ""; c = classes[c].Base {
				if containsFold(classes[c].Props, prop) {
					return true
				}
			}
			return false
		}
		for _, k := range New().classes() {
			r, ok := classes[k.Name]
			if !ok {
				t.Errorf("%s has no class %s", system, k.Name)
				continue
			}
			for _, p := range k.Props {
				// associations and a few base classes were recorded without inherited properties' owners
				if computedProp(k.Name, p) && !has(k.Name, p) && !differ[k.Name+"."+p] {
					t.Errorf("%s: %s has no property %s", system, k.Name, p)
				}
			}
			for _, methods := range []map[string]machine.Method{k.Methods, k.Static} {
				for name, m := range methods {
					args, ok := r.Methods[name]
					if !ok {
						t.Errorf("%s: %s has no method %s", system, k.Name, name)
						continue
					}
					for _, a := range m.Args {
						if !containsFold(args, a) && a != "Id" && a != "AsResourceIds" { // in and out arguments are recorded as out
							t.Errorf("%s: %s.%s has no argument %s", system, k.Name, name, a)
						}
					}
				}
			}
		}
	}
}

// computedProp says that the lab gives a property a value of its own: those are what a step may
// rely on.
func computedProp(class, prop string) bool {
	l := []string{"Name", "State", "Id", "Type", "Role", "Address", "AddressMask", "Metric", "AutoMetric", "OwnerGroup",
		"OwnerNode", "CoreResource", "PrivateProperties", "GroupType", "IsCore",
		"QuorumType", "QuorumTypeValue", "QuorumPath", "Fqdn", "SameSubnetThreshold", "SameSubnetDelay",
		"CrossSubnetThreshold", "CrossSubnetDelay", "PersistentState", "Node", "Network",
		"Signature", "GptGuid", "Size", "Number", "Path", "VolumeLabel", "FileSystem", "PartitionNumber", "VolumeGuid",
		"DisplayName", "DllName", "ResourceClass", "NodeWeight", "DynamicWeight",
		"GroupComponent", "PartComponent", "Antecedent", "Dependent", "InternalState", "RequiredDependencyTypes"}
	return containsFold(l, prop)
}

func failCode(err error) (int64, string) {
	var f *machine.Fail
	if errors.As(err, &f) {
		return f.Code, f.ID
	}
	return 0, ""
}

func TestWMIReads(t *testing.T) {
	l := newLab(t, labSpec{release: node.WS2008, nodes: 2, disks: 2})
	l.form()
	nets := l.get("MSCluster_Network", "Name", "Address", "AddressMask", "Role", "State")
	if len(nets) != 2 || nets[0]["Address"] != "192.0.2.0" || nets[0]["AddressMask"] != "255.255.255.0" ||
		nets[0]["Role"] != int64(3) || nets[1]["Role"] != int64(1) || nets[1]["State"] != int64(3) {
		t.Errorf("networks are %v", nets)
	}
	pairs := map[string]string{}
	for _, r := range l.get("MSCluster_ResourceGroupToResource", "GroupComponent", "PartComponent") {
		pairs[r["PartComponent"].(string)] = r["GroupComponent"].(string)
	}
	if pairs[`MSCluster_Resource.Name="Cluster Disk 1"`] != `MSCluster_ResourceGroup.Name="Available Storage"` {
		t.Errorf("associations are %v", pairs)
	}
	// 2008 has no OwnerGroup
	_, err := l.serve(l.at("NODE1"), "wmi.get", map[string]any{"ns": namespace, "class": "MSCluster_Resource",
		"props": []any{"OwnerGroup"}})
	if _, id := failCode(err); id != protocol.IDUnsupported {
		t.Errorf("OwnerGroup on 2008: %v", err)
	}
	rows, err := l.serve(l.at("NODE1"), "wmi.get", map[string]any{"ns": namespace, "class": "MSCluster_Resource",
		"props": []any{"Name", "Type", "State", "PrivateProperties"}, "where": map[string]any{"Name": "cluster ip address"}})
	if err != nil || len(rows) != 1 {
		t.Fatalf("%v %v", rows, err)
	}
	if p := rows[0]["PrivateProperties"].(map[string]any); p["Address"] != "192.0.2.20" ||
		p["Network"] != "Cluster Network 1" || p["EnableDhcp"] != int64(0) {
		t.Errorf("private properties are %v", p)
	}
	if rows := l.get("MSCluster_ResourceToDependentResource", "Antecedent", "Dependent"); len(rows) != 1 ||
		!strings.Contains(rows[0]["Antecedent"].(string), "Cluster IP Address") {
		t.Errorf("dependencies are %v", rows)
	}
	disks := l.get("MSCluster_Disk", "Id", "Signature", "Number")
	if len(disks) != 2 || disks[0]["Signature"] != int64(0xA0000001) || disks[0]["Number"] != int64(1) {
		t.Errorf("disks are %v", disks)
	}
}

func TestNamespaceOnlyWithTheFeature(t *testing.T) {
	l := newLab(t, labSpec{release: node.WS2008, nodes: 2})
	args := map[string]any{"ns": namespace, "class": "MSCluster_Node", "props": []any{"Name"}}
	if _, err := l.serve(l.at("NODE1"), "wmi.get", args); err == nil {
		t.Error("a machine without a cluster lists nodes")
	} else if code, _ := failCode(err); code != 0x800706D9 {
		t.Errorf("code %#x, want 0x800706D9", code)
	}
	delete(l.w.Machine("NODE1").Features, "Failover-Clustering")
	if _, err := l.serve(l.at("NODE1"), "wmi.get", args); err == nil {
		t.Error("a machine without the feature lists nodes")
	} else if _, id := failCode(err); id != protocol.IDUnsupported {
		t.Errorf("id %s, want %s", id, protocol.IDUnsupported)
	}
	old := newLab(t, labSpec{release: node.WS2003, nodes: 1})
	old.form()
	if _, err := old.serve(old.at("NODE1"), "wmi.get", args); err == nil {
		t.Error("2003 has root\\MSCluster")
	}
}

func TestQuorumByWMI(t *testing.T) {
	l := newLab(t, labSpec{release: node.WS2008, nodes: 2, disks: 2})
	l.form()
	call := func(method string, args map[string]any) error {
		_, err := l.serve(l.at("NODE1"), "wmi.call", map[string]any{"ns": namespace, "class": "MSCluster_Cluster",
			"where": map[string]any{"Name": "MBX"}, "method": method, "args": args})
		return err
	}
	value := func() int64 { return l.get("MSCluster_Cluster", "QuorumTypeValue")[0]["QuorumTypeValue"].(int64) }
	if value() != 1 {
		t.Errorf("a new cluster's quorum is %d", value())
	}
	if err := call("SetMajorityQuorum",
		map[string]any{"Resource": "Cluster Disk 1", "QuorumPath": `E:\Cluster\`}); err != nil || value() != 3 {
		t.Fatalf("%v, value %d", err, value())
	}
	if g := Resource(l.w.Clusters["mbx"], "Cluster Disk 1").Group; g != "Cluster Group" {
		t.Errorf("the witness is in %s", g)
	}
	if rows := l.get("MSCluster_ClusterToQuorumResource", "PartComponent"); len(rows) != 1 ||
		rows[0]["PartComponent"] != `MSCluster_Resource.Name="Cluster Disk 1"` {
		t.Errorf("the witness is %v", rows)
	}
	code := func(err error) int64 { c, _ := failCode(err); return c & 0xffff }
	if err := call("SetMajorityQuorum", map[string]any{"Resource": "Cluster Name", "QuorumPath": ""}); code(err) != 5021 {
		t.Errorf("a name as witness: %v", err)
	}
	if err := call("SetMajorityQuorum", map[string]any{"Resource": "Nobody", "QuorumPath": ""}); code(err) != 5007 {
		t.Errorf("nobody as witness: %v", err)
	}
	l.must("res", "FSW", "/create", "/group:Cluster Group", "/type:File Share Witness")
	l.must("res", "FSW", "/priv", `SharePath=\\ghost\fsw`)
	if err := call("SetMajorityQuorum", map[string]any{"Resource": "FSW", "QuorumPath": ""}); code(err) != 53 {
		t.Errorf("a share that is not there: %v", err)
	}
	l.must("res", "FSW", "/priv", `SharePath=\\dc01\fsw`)
	if err := call("SetDiskQuorum", map[string]any{"Resource": "FSW", "QuorumPath": ""}); code(err) != 5025 {
		t.Errorf("a share as the only disk: %v", err)
	}
	if err := call("SetMajorityQuorum", map[string]any{"Resource": "FSW", "QuorumPath": ""}); err != nil || value() != 2 {
		t.Errorf("%v, value %d", err, value())
	}
	if g := Resource(l.w.Clusters["mbx"], "Cluster Disk 1").Group; g != "Available Storage" {
		t.Errorf("the old witness is in %s", g)
	}
	if err := call("SetDiskQuorum", map[string]any{"Resource": "Cluster Disk 2", "QuorumPath": ""}); err != nil ||
		value() != 4 {
		t.Errorf("%v, value %d", err, value())
	}
	if err := call("SetNodeMajorityQuorum", nil); err != nil || value() != 1 {
		t.Errorf("%v, value %d", err, value())
	}
}

func TestPutAndControl(t *testing.T) {
	l := newLab(t, labSpec{release: node.WS2008R2, nodes: 2})
	cl := l.form()
	set := func(class, name string, values map[string]any) int64 {
		_, err := l.serve(l.at("NODE1"), "wmi.set",
			map[string]any{"ns": namespace, "class": class, "where": map[string]any{"Name": name}, "set": values})
		c, _ := failCode(err)
		return c & 0xffff
	}
	for _, x := range []struct {
		class, name string
		values      map[string]any
		code        int64
	}{
		{"MSCluster_Network", "Cluster Network 2", map[string]any{"Role": int64(0)}, 0},
		{"MSCluster_Network", "Cluster Network 2", map[string]any{"Role": int64(2)}, 87},
		{"MSCluster_Network", "Cluster Network 1", map[string]any{"Role": int64(0)}, 5067},
		{"MSCluster_Cluster", "MBX", map[string]any{"SameSubnetThreshold": int64(10)}, 0},
		{"MSCluster_Cluster", "MBX", map[string]any{"SameSubnetThreshold": int64(2)}, 87},
		{"MSCluster_Resource", "Cluster Name", map[string]any{"PrivateProperties.HostRecordTTL": int64(600)}, 0},
		{"MSCluster_Resource", "Cluster Name", map[string]any{"PrivateProperties.Nonsense": int64(1)}, 87},
		{"MSCluster_Resource", "Cluster Name", map[string]any{"Name": "Other"}, 5089},
	} {
		if got := set(x.class, x.name, x.values); got != x.code {
			t.Errorf("%s %s %v: code %d, want %d", x.class, x.name, x.values, got, x.code)
		}
	}
	if Resource(cl, "Cluster Name").Private["HostRecordTTL"] != int64(600) || cl.Networks[1].Role != 0 {
		t.Error("values that were put are not there")
	}
	// the same by a control code: CLUSCTL_NETWORK_SET_COMMON_PROPERTIES with a property list
	in := encodeProperties([]namedValue{{"Role", "dword", int64(1)}})
	control := func(code int64, in []byte) ([]machine.Object, error) {
		return l.serve(l.at("NODE1"), "wmi.call", map[string]any{"ns": namespace, "class": "MSCluster_Network",
			"where":  map[string]any{"Name": "Cluster Network 2"},
			"method": "ExecuteNetworkControl", "args": map[string]any{"ControlCode": code, "InputBuffer": in}})
	}
	if _, err := control(88080478, in); err != nil || cl.Networks[1].Role != 1 {
		t.Errorf("%v, role %d", err, cl.Networks[1].Role)
	}
	rows, err := control(83886169, nil) // CLUSCTL_NETWORK_GET_COMMON_PROPERTIES
	if err != nil {
		t.Fatal(err)
	}
	list, err := decodeProperties(rows[0]["OutputBuffer"].([]byte))
	found := false
	for _, v := range list {
		found = found || v.name == "Role" && v.value == int64(1)
	}
	if err != nil || !found {
		t.Errorf("%v in %v", err, list)
	}
	for _, bad := range [][]byte{{}, {1, 0, 0, 0}, in[:len(in)-6], append([]byte{9}, in[1:]...)} {
		if _, err := control(88080478, bad); err == nil {
			t.Errorf("the list % x was taken", bad)
		}
	}
	if _, err := control(0x01400086, in); err == nil {
		t.Error("a resource's code was taken by a network")
	}
}

func TestMethodsOfGroupsAndResources(t *testing.T) {
	l := newLab(t, labSpec{release: node.WS2012, nodes: 2})
	cl := l.form()
	call := func(class, name, method string, args map[string]any) ([]machine.Object, int64) {
		where := map[string]any{}
		if name != "" {
			where["Name"] = name
		}
		rows, err := l.serve(l.at("NODE1"), "wmi.call", map[string]any{"ns": namespace, "class": class, "where": where,
			"method": method, "args": args})
		c, _ := failCode(err)
		return rows, c & 0xffff
	}
	for _, x := range []struct {
		class, name, method string
		args                map[string]any
		code                int64
	}{
		{"MSCluster_ResourceGroup", "", "CreateGroup", map[string]any{"GroupName": "App"}, 0},
		{"MSCluster_ResourceGroup", "", "CreateGroup", map[string]any{"GroupName": "App"}, 5010},
		{"MSCluster_Resource", "", "CreateResource",
			map[string]any{"Group": "App", "ResourceName": "IP", "ResourceType": "IP Address"}, 0},
		{"MSCluster_Resource", "", "CreateResource",
			map[string]any{"Group": "App", "ResourceName": "N", "ResourceType": "Network Name"}, 0},
		{"MSCluster_Resource", "N", "SetDependencies", map[string]any{"Expression": "[IP]"}, 0},
		{"MSCluster_Resource", "N", "AddDependency", map[string]any{"Resource": "IP"}, 5003},
		{"MSCluster_Resource", "N", "BringOnline", map[string]any{"TimeOut": int64(30)}, 87}, // without an address
		{"MSCluster_Resource", "N", "AddPossibleOwner", map[string]any{"NodeName": "NODE2"}, 5010},
		{"MSCluster_Resource", "N", "RemovePossibleOwner", map[string]any{"NodeName": "NODE2"}, 0},
		{"MSCluster_ResourceGroup", "App", "MoveToNewNode", map[string]any{"NodeName": "NODE2"}, 5071},
		{"MSCluster_ResourceGroup", "App", "DeleteGroup", nil, 145},
		{"MSCluster_ResourceGroup", "App", "DestroyGroup", nil, 0},
		{"MSCluster_ResourceGroup", "Cluster Group", "DestroyGroup", nil, 5026},
		{"MSCluster_Node", "NODE2", "Pause", nil, 0},
		{"MSCluster_Node", "NODE2", "Pause", nil, 5070},
		{"MSCluster_Node", "NODE2", "Resume", nil, 0},
	} {
		if _, code := call(x.class, x.name, x.method, x.args); code != x.code {
			t.Errorf("%s %s.%s: code %d, want %d", x.class, x.name, x.method, code, x.code)
		}
	}
	if Group(cl, "App") != nil || Resource(cl, "IP") != nil {
		t.Error("the destroyed group is there")
	}
	rows, _ := call("MSCluster_Cluster", "", "GetNodeClusterState", nil)
	if len(rows) != 1 || rows[0]["ClusterState"] != int64(19) {
		t.Errorf("node state is %v", rows)
	}
}
