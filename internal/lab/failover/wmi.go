package failover

import (
	"fmt"
	"sort"
	"strings"

	"deploy/internal/lab/machine"
	"deploy/internal/lab/model"
	"deploy/internal/node"
)

const namespace = `root\MSCluster`

// wmiError is what the provider answers for a Win32 code: its HRESULT. UNCONFIRMED: the exception's
// type.
func wmiError(c *machine.Ctx, err error) error {
	code := CodeOf(err)
	if code == 0 || code == PropertiesStored {
		return nil
	}
	return &machine.Fail{Code: 0x80070000 | int64(code), ID: "GetWMICOMException", Category: "InvalidOperation",
		Type: "System.Runtime.InteropServices.COMException", Text: c.Text(int(code))}
}

// call is a WMI method on one object of the cluster.
type call func(c *machine.Ctx, cl *model.Cluster, o object, args map[string]any) (machine.Object, error)

// classes are the classes of root\MSCluster that the lab plays, with the properties that the tables
// give them. A property that the model does not compute is null.
func (f *Family) classes() []*machine.Class {
	out := []*machine.Class{
		f.objectClass("MSCluster_Cluster", "cluster", f.clusterMethods(), f.clusterStatics()),
		f.objectClass("MSCluster_Node", "node", f.nodeMethods(), nil),
		f.objectClass("MSCluster_Network", "network", f.networkMethods(), nil),
		f.objectClass("MSCluster_NetworkInterface", "netinterface", nil, nil),
		f.objectClass("MSCluster_ResourceGroup", "group", f.groupMethods(), f.groupStatics()),
		f.objectClass("MSCluster_Resource", "resource", f.resourceMethods(), f.resourceStatics()),
		f.objectClass("MSCluster_ResourceType", "restype", f.typeMethods(), f.typeStatics()),
	}
	return append(append(out, f.diskClasses()...), f.associations()...)
}

// bare makes a class from the table, without instances.
func bare(name string) *machine.Class {
	t, ok := facts().classes[name]
	if !ok {
		panic("no table for WMI class " + name)
	}
	since := t.Since
	if since == "" || since == node.WS2003 {
		since = node.WS2008
	}
	return &machine.Class{Namespace: namespace, Name: name, Props: t.Props, PropSince: t.Later, Since: since,
		Present: func(c *machine.Ctx) bool { return hasWMI(c.M) }}
}

// connected runs a query against the local cluster.
func (f *Family) local(c *machine.Ctx) (*model.Cluster, error) {
	f.Settle(c)
	cl := FindCluster(c)
	if cl == nil {
		return nil, wmiError(c, NoEndpoint) // UNCONFIRMED code while the service does not run
	}
	return cl, nil
}

// objectClass makes the class of one kind of object, with its common properties and methods.
func (f *Family) objectClass(name, kind string, methods map[string]call, statics map[string]call) *machine.Class {
	k := bare(name)
	k.List = func(c *machine.Ctx) ([]machine.Object, error) {
		cl, err := f.local(c)
		if err != nil {
			return nil, err
		}
		var out []machine.Object
		for _, o := range f.objectsOf(c.W, cl, kind) {
			out = append(out, f.instance(c, k, o))
		}
		return out, nil
	}
	k.Put = func(c *machine.Ctx, inst machine.Object, set map[string]any) error {
		cl, err := f.local(c)
		if err != nil {
			return err
		}
		return f.put(c, f.find(c.W, cl, kind, inst), set)
	}
	args := facts().classes[name].Methods
	k.Methods = map[string]machine.Method{}
	for m, do := range methods {
		k.Methods[m] = machine.Method{Args: methodArgs(args, name, m),
			Call: func(c *machine.Ctx, inst machine.Object, a map[string]any) (machine.Object, error) {
				cl, err := f.local(c)
				if err != nil {
					return nil, err
				}
				out, err := do(c, cl, f.find(c.W, cl, kind, inst), a)
				return out, wmiError(c, err)
			}}
	}
	k.Static = map[string]machine.Method{}
	for m, do := range statics {
		k.Static[m] = machine.Method{Args: methodArgs(args, name, m),
			Call: func(c *machine.Ctx, _ machine.Object, a map[string]any) (machine.Object, error) {
				f.Settle(c)
				out, err := do(c, FindCluster(c), object{kind: kind}, a)
				return out, wmiError(c, err)
			}}
	}
	return k
}

func methodArgs(table map[string][]string, class, method string) []string {
	a, ok := table[method]
	if !ok {
		panic("no table for WMI method " + class + "." + method)
	}
	return a
}

// objectsOf lists the objects of a kind.
func (f *Family) objectsOf(w *model.World, cl *model.Cluster, kind string) []object {
	var out []object
	switch kind {
	case "cluster":
		out = append(out, object{kind: kind, name: cl.Name, cl: cl})
	case "node":
		for _, n := range cl.Nodes {
			out = append(out, object{kind: kind, name: n.Name, cl: cl, node: n})
		}
	case "network":
		for _, n := range cl.Networks {
			out = append(out, object{kind: kind, name: n.Name, cl: cl, network: n})
		}
	case "netinterface":
		for _, i := range cards(w, cl) {
			out = append(out, object{kind: kind, name: i.name(), cl: cl, card: &i})
		}
	case "group":
		for _, g := range cl.Groups {
			out = append(out, object{kind: kind, name: g.Name, cl: cl, group: g})
		}
	case "resource":
		for _, r := range cl.Resources {
			out = append(out, object{kind: kind, name: r.Name, cl: cl, resource: r})
		}
	case "restype":
		names := make([]string, 0, len(cl.Types))
		for n := range cl.Types {
			names = append(names, n)
		}
		sort.Strings(names)
		for _, n := range names {
			out = append(out, object{kind: kind, name: n, cl: cl, restype: cl.Types[n]})
		}
	}
	return out
}

// find returns the object that an instance shows.
func (f *Family) find(w *model.World, cl *model.Cluster, kind string, inst machine.Object) object {
	name, _ := inst["Name"].(string)
	for _, o := range f.objectsOf(w, cl, kind) {
		if strings.EqualFold(o.name, name) {
			return o
		}
	}
	return object{kind: kind, cl: cl}
}

// instance fills an instance: the common properties of the object, then what the class calls
// differently.
func (f *Family) instance(c *machine.Ctx, k *machine.Class, o object) machine.Object {
	rel := releaseOf(c.W, o.cl)
	inst := machine.Object{}
	for _, p := range f.table(o, rel, false) {
		for _, name := range k.Props {
			if strings.EqualFold(name, p.Name) {
				inst[name] = f.value(c.W, o, p, false)
			}
		}
	}
	private := machine.Object{}
	for _, p := range f.table(o, rel, true) {
		if p.Type != "binary" {
			private[p.Name] = f.value(c.W, o, p, true)
		}
	}
	inst["PrivateProperties"] = private
	for n, v := range f.shown(c, o) {
		inst[n] = v
	}
	return inst
}

// shown are the properties of an instance that are no common properties, or that the class types
// differently (booleans).
func (f *Family) shown(c *machine.Ctx, o object) machine.Object {
	switch o.kind {
	case "cluster":
		value, word := quorumTypeValue(o.cl)
		fqdn := o.cl.Name
		if o.cl.Domain != "" {
			fqdn += "." + o.cl.Domain
		}
		var prio []any
		for _, n := range priorities(o.cl) {
			prio = append(prio, n.ID)
		}
		inst := machine.Object{"Name": o.cl.Name, "Caption": o.cl.Name, "Fqdn": fqdn,
			"CreationClassName": "MSCluster_Cluster", "QuorumTypeValue": value, "QuorumType": word,
			"QuorumPath": o.cl.Quorum.Path, "NetworkPriorities": prio, "MaxNumberOfNodes": int64(maxNodes(releaseOf(c.W, o.cl)))}
		inst["DynamicQuorumEnabled"] = truth(dynamic(c.W, o.cl))
		return inst
	case "node":
		inst := machine.Object{"Name": o.node.Name, "Caption": o.node.Name, "CreationClassName": "MSCluster_Node",
			"Id": itoa(o.node.ID), "State": int64(o.node.State)}
		return inst
	case "network":
		inst := machine.Object{"ID": o.network.ID, "Name": o.network.Name, "Caption": o.network.Name,
			"State": int64(o.network.State), "AutoMetric": !o.network.FixedMetric,
			"Characteristics": int64(0), "Flags": int64(0)}
		return inst
	case "netinterface":
		i := o.card
		return machine.Object{"Name": i.name(), "Caption": i.name(), "DeviceID": i.name(), "SystemName": i.machine.Name,
			"State":       int64(interfaceState(*i)),
			"DhcpEnabled": i.adapter.DHCP, "Id": strings.ToLower(trimBraces(i.adapter.GUID)),
			"CreationClassName": "MSCluster_NetworkInterface"}
	case "group":
		g := o.group
		return machine.Object{"Name": g.Name, "Caption": g.Name, "Id": g.ID, "State": int64(GroupState(o.cl, g)),
			"OwnerNode": g.Owner, "IsCore": g.Core,
			"PersistentState": g.Persistent, "GroupType": int64(g.Type)}
	case "resource":
		r := o.resource
		t := f.types[strings.ToLower(r.Type)]
		owner := ""
		if g := Group(o.cl, r.Group); g != nil {
			owner = g.Owner
		}
		return machine.Object{"Name": r.Name, "Caption": r.Name, "Id": r.ID, "Type": r.Type, "State": int64(r.State),
			"CoreResource": r.Core, "OwnerGroup": r.Group,
			"OwnerNode": owner, "PersistentState": r.Wanted, "SeparateMonitor": r.Separate, "QuorumCapable": t.Quorum,
			"LocalQuorumCapable": t.Quorum, "ResourceClass": int64(t.Class),
			"IsClusterSharedVolume": false, "DeleteRequiresAllNodes": false, "RequiredDependencyTypes": machine.Anys(t.Needs)}
	case "restype":
		t := f.types[strings.ToLower(o.restype.Name)]
		return machine.Object{"Name": o.restype.Name, "DisplayName": o.restype.Display, "DllName": o.restype.DLL,
			"ResourceClass": int64(o.restype.Class),
			"QuorumCapable": t.Quorum, "LocalQuorumCapable": t.Quorum, "DeleteRequiresAllNodes": false,
			"RequiredDependencyTypes": machine.Anys(t.Needs)}
	}
	return nil
}

// put sets the properties of an instance: common ones by their name, private ones as
// "PrivateProperties.<name>".
func (f *Family) put(c *machine.Ctx, o object, set map[string]any) error {
	names := make([]string, 0, len(set))
	for n := range set {
		names = append(names, n)
	}
	sort.Strings(names)
	for _, n := range names {
		name, private := n, false
		if rest, ok := cutFold(n, "PrivateProperties."); ok {
			name, private = rest, true
		}
		if o.kind == "cluster" && strings.EqualFold(name, "DynamicQuorumEnabled") {
			name = "DynamicQuorum"
		}
		v := set[n]
		if v == nil {
			return wmiError(c, InvalidParameter)
		}
		if b, ok := v.(bool); ok {
			v = truth(b)
		}
		if err := f.setProperty(c, o, name, v, private); wmiError(c, err) != nil {
			return wmiError(c, err)
		}
	}
	return nil
}

// ref is the text of a reference to an object: its class and key. UNCONFIRMED: that Name is the key
// of every class.
func ref(class, key, value string) string {
	return fmt.Sprintf(`%s.%s="%s"`, class, key, strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value))
}
