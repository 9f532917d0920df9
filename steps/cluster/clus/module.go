package clus

import (
	"context"
	"fmt"

	"deploy/internal/node"
)

// Module is the PowerShell module of failover clustering, from Windows Server 2008 R2 on.
const Module = "FailoverClusters"

// moduleHand works with the FailoverClusters module. Properties, and names of networks and
// resources, have no cmdlet that takes them as parameters (people assign to the object); there WMI
// does what the module does underneath.
type moduleHand struct{}

func (moduleHand) Via(op Op) string {
	switch op {
	case RenameNetwork, SetNetworkRole, SetProperties, RenameResource:
		return "WMI " + Namespace
	}
	return Module
}

func (moduleHand) Do(ctx context.Context, n node.Node, c Change) error {
	_, err := n.Do(ctx, moduleAction(c))
	if code, ok := node.Code(err); ok && stored(c.Op, code&0xFFFF) {
		err = nil
	}
	if err != nil {
		return fmt.Errorf("cannot %s %q on %s: %w", c.Op, c.Name, n.Facts().Computer, err)
	}
	return nil
}

func moduleAction(c Change) node.Action {
	cmdlet := func(name string, params map[string]any) node.Action {
		return node.CmdletCall{Name: name, Load: Module, Params: params}
	}
	switch c.Op {
	case RenameNetwork:
		return node.WMICall{Namespace: Namespace, Class: "MSCluster_Network", Where: map[string]any{"Name": c.Name},
			Method: "Rename", Args: map[string]any{"newName": c.To}}
	case SetNetworkRole:
		return node.WMISet{Namespace: Namespace, Class: "MSCluster_Network", Where: map[string]any{"Name": c.Name},
			Set: map[string]any{"Role": c.Number}}
	case SetProperties:
		class, where := instance(c.Of)
		set := map[string]any{}
		for k, v := range c.Values {
			if c.Of.Private {
				k = "PrivateProperties." + k
			}
			set[k] = v
		}
		return node.WMISet{Namespace: Namespace, Class: class, Where: where, Set: set}
	case CreateGroup:
		return cmdlet("Add-ClusterGroup", map[string]any{"Name": c.Name})
	case DeleteGroup:
		return cmdlet("Remove-ClusterGroup", map[string]any{"Name": c.Name, "Force": true})
	case MoveGroup:
		return cmdlet("Move-ClusterGroup", map[string]any{"Name": c.Name, "Node": c.To})
	case GroupUp:
		return cmdlet("Start-ClusterGroup", map[string]any{"Name": c.Name})
	case CreateResource:
		return cmdlet("Add-ClusterResource", map[string]any{"Name": c.Name, "ResourceType": c.Type, "Group": c.To})
	case DeleteResource:
		return cmdlet("Remove-ClusterResource", map[string]any{"Name": c.Name, "Force": true})
	case RenameResource:
		return node.WMICall{Namespace: Namespace, Class: "MSCluster_Resource", Where: map[string]any{"Name": c.Name},
			Method: "Rename", Args: map[string]any{"newName": c.To}}
	case MoveResource:
		return cmdlet("Move-ClusterResource", map[string]any{"Name": c.Name, "Group": c.To})
	case ResourceUp:
		return cmdlet("Start-ClusterResource", map[string]any{"Name": c.Name})
	case ResourceDown:
		return cmdlet("Stop-ClusterResource", map[string]any{"Name": c.Name})
	case AddDependency:
		return cmdlet("Add-ClusterResourceDependency", map[string]any{"Resource": c.Name, "Provider": c.To})
	case DropDependency:
		return cmdlet("Remove-ClusterResourceDependency",
			map[string]any{"Resource": c.Name, "Provider": c.To, "Confirm": false})
	case AddOwner, DropOwner:
		return cmdlet("Set-ClusterOwnerNode", map[string]any{"Resource": c.Name, "Owners": anys(c.Owners)})
	case PreferOwners:
		return cmdlet("Set-ClusterOwnerNode", map[string]any{"Group": c.Name, "Owners": anys(c.List)})
	}
	return nil
}

func anys(list []string) []any {
	out := make([]any, len(list))
	for i, s := range list {
		out[i] = s
	}
	return out
}
