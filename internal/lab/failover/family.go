// Package failover emulates the failover cluster of Windows Server for the lab: cluster.exe, the
// WMI namespace root\MSCluster and the PowerShell module FailoverClusters over one shared model
// (model.Cluster), with networks, groups, resources, dependencies, quorum, shared disks and
// failover.
//
// What it does follows the documented behaviour of each release. What no document settles is marked
// UNCONFIRMED, here and in the report of the lab, and what it does not know it refuses.
//
//   - 2003: cluster.exe only. 2008: cluster.exe and WMI. 2008 R2: these and the module. From 2012: the module and WMI;
//     cluster.exe only with the feature RSAT-Clustering-CmdInterface.
//   - A network logon cannot form, grow, shrink or destroy a cluster: it has no second hop (access denied, 5).
//   - HKLM\Cluster is there on members while the Cluster service runs, and nowhere else.
package failover

import (
	"strings"

	"deploy/internal/lab/machine"
	"deploy/internal/lab/model"
	"deploy/internal/node"
)

// Type is a resource type that another family emulates. A cluster knows it only after RegisterType,
// as after the product's setup.
type Type struct {
	Name    string       // what `cluster restype` and /type: take, the same in every language
	Display string       // shown name; "" is Name
	DLL     string       // resource DLL; "" is clusres.dll
	Class   int          // CLUS_RESCLASS: 0 unknown 1 storage 2 network, 32768 and above user
	Since   node.Release // "" is 2003
	Until   node.Release // "" is all
	Needs   []string     // types of which at least one instance has to be among the dependencies when it comes online
	Quorum  bool         // it can be a quorum witness
	// Private are the private properties that it takes; nil means those of the property table, of
	// which see properties.go.
	Private []Property
	// Online and Offline carry out the change on the owner (c.M). An error leaves the resource failed.
	// nil always works.
	Online  func(c *machine.Ctx, res *model.ClusterResource) error
	Offline func(c *machine.Ctx, res *model.ClusterResource) error
}

// Family holds the resource types that the lab knows. It is made once and never changes.
type Family struct {
	types map[string]Type // by lower-case name
}

// New makes the family with its own resource types and those of others. A type that is there twice
// is a mistake in the program and panics.
func New(types ...Type) *Family {
	f := &Family{types: map[string]Type{}}
	for _, t := range append(f.builtin(), types...) {
		k := strings.ToLower(t.Name)
		if _, ok := f.types[k]; ok {
			panic("resource type registered twice: " + t.Name)
		}
		f.types[k] = t
	}
	return f
}

// Module are the failover cluster family's behaviours with further resource types. A family that
// needs to bring resources online itself makes the Family with New and takes its Module.
func Module(types ...Type) *machine.Module { return New(types...).Module() }

// Module are everything that the family adds to a machine.
func (f *Family) Module() *machine.Module {
	b := &machine.Module{
		Tools:   map[string]machine.Tool{"cluster.exe": f.clusterExe},
		Have:    map[string]func(*machine.Ctx) bool{"cluster.exe": func(c *machine.Ctx) bool { return hasTool(c.M) }},
		Texts:   texts(),
		Classes: f.classes(),
		Cmdlets: f.cmdlets(),
		Hives:   []*machine.Hive{f.hive()},
		Operate: map[string]func(*machine.Ctx, string) error{"validate-cluster": f.operateValidate},
	}
	settle := func(c *machine.Ctx) { f.Settle(c) }
	b.OnBoot = append(b.OnBoot, settle)
	b.OnDown = append(b.OnDown, settle)
	b.OnService = append(b.OnService, func(c *machine.Ctx, name string) {
		if strings.EqualFold(name, serviceName) {
			f.Settle(c)
		}
	})
	b.OnFeature = append(b.OnFeature, f.onFeature)
	return b
}

// Installed says that the failover cluster feature is installed on m. On 2003 it is part of the
// system.
func Installed(m *model.Machine) bool {
	if m.Release == node.WS2003 {
		return true
	}
	return hasFeature(m, "Failover-Clustering") && !featurePending(m)
}

// hasFeature finds a feature without case: ServerManagerCmd and the cmdlets spell ids alike but not
// always in the same case.
func hasFeature(m *model.Machine, id string) bool {
	for k, on := range m.Features {
		if on && strings.EqualFold(k, id) {
			return true
		}
	}
	return false
}

// featurePending says that a restart that the feature asked for has not happened.
func featurePending(m *model.Machine) bool {
	for k := range m.Pending {
		if strings.Contains(strings.ToLower(k), "failover-clustering") {
			return true
		}
	}
	return false
}

// hasModule says that the module FailoverClusters can be loaded on m: with the feature on 2008 R2,
// with its own RSAT part or the feature from 2012.
func hasModule(m *model.Machine) bool {
	return m.Release.AtLeast(node.WS2008R2) && (Installed(m) || hasFeature(m, "RSAT-Clustering-PowerShell"))
}

// hasTool says that cluster.exe is on m. Source: RSAT-Clustering-CmdInterface is an optional,
// deprecated part from 2012.
func hasTool(m *model.Machine) bool {
	if m.Release.AtLeast(node.WS2012) {
		return hasFeature(m, "RSAT-Clustering-CmdInterface")
	}
	return Installed(m)
}

// hasWMI says that root\MSCluster is on m.
func hasWMI(m *model.Machine) bool { return m.Release.AtLeast(node.WS2008) && Installed(m) }

// on returns the same request on another machine.
func on(c *machine.Ctx, m *model.Machine) *machine.Ctx {
	cc := *c
	cc.M = m
	return &cc
}
