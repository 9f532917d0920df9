package clus

import (
	"deploy/internal/node"
	"deploy/steps/inspect"
)

// Releases on which each way is used.
func from2008() []node.Release   { return inspect.From(node.WS2008) }
func from2008R2() []node.Release { return inspect.From(node.WS2008R2) }
func from2012() []node.Release   { return inspect.From(node.WS2012) }
func to2008R2() []node.Release   { return inspect.Between(node.WS2008, node.WS2008R2) }
func to2008() []node.Release     { return inspect.Between(node.WS2003, node.WS2008) }

func wmi(class string, on []node.Release, props ...string) node.Call {
	return node.Call{WMI: Namespace + ":" + class, Props: props, On: on}
}

// Cmdlet declares a cmdlet of the FailoverClusters module with its parameters.
func Cmdlet(name string, params ...string) node.Call {
	return node.Call{Cmdlet: name, Params: params, On: from2008R2(),
		Source: "FailoverClusters module of Windows Server 2008 R2 and later"}
}

// selecting adds the properties that are taken from a cmdlet's objects.
func selecting(c node.Call, props ...string) node.Call {
	c.Props = props
	return c
}

// ReadCalls declares what every Reader asks.
func ReadCalls() []node.Call {
	return []node.Call{
		inspect.ServiceCall(node.WindowsReleases()),
		wmi("MSCluster_Node", from2008(), "Name", "State"),
		wmi("MSCluster_ResourceGroup", from2008(), "Name", "Id", "State"),
		wmi("MSCluster_ResourceGroup", from2012(), "OwnerNode", "GroupType"),
		wmi("MSCluster_NodeToActiveGroup", to2008R2(), "GroupComponent", "PartComponent"),
		wmi("MSCluster_Resource", from2008(), "Name", "Id", "Type", "State", "CoreResource", "PrivateProperties"),
		wmi("MSCluster_Resource", from2012(), "OwnerGroup"),
		wmi("MSCluster_ResourceGroupToResource", to2008R2(), "GroupComponent", "PartComponent"),
		{Tool: "cluster.exe", On: []node.Release{node.WS2003}, Source: "Cluster command reference of Windows Server 2003"},
	}
}

// NetworkCalls declares the reading of networks.
func NetworkCalls() []node.Call {
	return []node.Call{wmi("MSCluster_Network", from2008(), "Name", "Address", "AddressMask", "Role")}
}

// DependencyCalls declares the reading of dependencies.
func DependencyCalls() []node.Call {
	return []node.Call{
		wmi("MSCluster_ResourceToDependentResource", []node.Release{node.WS2008}, "Antecedent", "Dependent"),
		selecting(Cmdlet("Get-ClusterResourceDependency", "Resource"), "DependencyExpression"),
	}
}

// OwnerCalls declares the reading of owners.
func OwnerCalls() []node.Call {
	return []node.Call{
		wmi("MSCluster_ResourceToPossibleOwner", []node.Release{node.WS2008}, "GroupComponent", "PartComponent"),
		wmi("MSCluster_ResourceGroupToPreferredNode", []node.Release{node.WS2008}, "GroupComponent", "PartComponent"),
		selecting(Cmdlet("Get-ClusterOwnerNode", "Resource", "Group"), "OwnerNodes"),
	}
}

// DiskCalls declares FindDisk.
func DiskCalls() []node.Call {
	return []node.Call{
		{WMI: inspect.CIMv2 + ":Win32_DiskDrive", Props: []string{"Index", "Signature"},
			On: inspect.Between(node.WS2003, node.WS2008R2)},
		{WMI: inspect.CIMv2 + ":Win32_DiskDrive", Props: []string{"SerialNumber"}, On: to2008R2()},
		{WMI: inspect.CIMv2 + ":Win32_PhysicalMedia", Props: []string{"Tag", "SerialNumber"},
			On: []node.Release{node.WS2003}},
		{Cmdlet: "Get-Disk", Props: []string{"Number", "SerialNumber", "Signature", "Guid"}, On: from2012(),
			Source: "Storage module"},
	}
}

// HandCalls declares what a Writer does for these changes.
func HandCalls(ops ...Op) []node.Call {
	out := []node.Call{{Tool: "cluster.exe", On: to2008(),
		Source: "Cluster command reference of Windows Server 2003 and 2008"}}
	for _, op := range ops {
		switch op {
		case RenameNetwork:
			out = append(out, node.Call{WMI: Namespace + ":MSCluster_Network", Props: []string{"Name"}, Method: "Rename",
				Args: []string{"newName"}, On: from2008R2()})
		case SetProperties: // which properties, each kind declares itself
		case SetNetworkRole:
			out = append(out, wmi("MSCluster_Network", from2008R2(), "Name", "Role"))
		case CreateGroup:
			out = append(out, Cmdlet("Add-ClusterGroup", "Name"))
		case DeleteGroup:
			out = append(out, Cmdlet("Remove-ClusterGroup", "Name", "Force"))
		case MoveGroup:
			out = append(out, Cmdlet("Move-ClusterGroup", "Name", "Node"))
		case GroupUp:
			out = append(out, Cmdlet("Start-ClusterGroup", "Name"))
		case CreateResource:
			out = append(out, Cmdlet("Add-ClusterResource", "Name", "ResourceType", "Group"))
		case DeleteResource:
			out = append(out, Cmdlet("Remove-ClusterResource", "Name", "Force"))
		case RenameResource:
			out = append(out, node.Call{WMI: Namespace + ":MSCluster_Resource", Props: []string{"Name"}, Method: "Rename",
				Args: []string{"newName"}, On: from2008R2()})
		case MoveResource:
			out = append(out, Cmdlet("Move-ClusterResource", "Name", "Group"))
		case ResourceUp:
			out = append(out, Cmdlet("Start-ClusterResource", "Name"))
		case ResourceDown:
			out = append(out, Cmdlet("Stop-ClusterResource", "Name"))
		case AddDependency:
			out = append(out, Cmdlet("Add-ClusterResourceDependency", "Resource", "Provider"))
		case DropDependency:
			out = append(out, Cmdlet("Remove-ClusterResourceDependency", "Resource", "Provider", "Confirm"))
		case AddOwner, DropOwner, PreferOwners:
			out = append(out, Cmdlet("Set-ClusterOwnerNode", "Resource", "Group", "Owners"))
		}
	}
	return out
}
