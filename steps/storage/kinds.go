// Package storage holds the kinds that make shared disks usable. A disk is known by its serial
// number, which all nodes see alike; its disk number is a result of each machine's own scan.
package storage

import (
	"deploy/internal/node"
	"deploy/steps"
	"deploy/steps/inspect"
)

// Kinds lists the kinds of this family.
func Kinds() []steps.Kind {
	return []steps.Kind{
		diskKind(),
		volumeKind(),
		letterKind(),
	}
}

const proof = "unit-tested on a scripted machine; played in the lab for every release; names checked against " +
	"recorded tables"

const module = "Storage"

// modern says that the Storage module is there (2012 and later); before, WMI reads and diskpart
// changes.
func modern(f node.Facts) bool { return f.Release.AtLeast(node.WS2012) }

func via(f node.Facts) string {
	if modern(f) {
		return module
	}
	return "diskpart"
}

// readCalls declares what reading the disks asks for.
func readCalls() []node.Call {
	old, vista, newer := inspect.Between(node.WS2003, node.WS2008R2), inspect.Between(node.WS2008, node.WS2008R2),
		inspect.From(node.WS2012)
	return []node.Call{
		{WMI: inspect.CIMv2 + ":Win32_DiskDrive", Props: driveProps, On: old},
		{WMI: inspect.CIMv2 + ":Win32_DiskDrive", Props: []string{"SerialNumber"}, On: vista},
		{WMI: inspect.CIMv2 + ":Win32_PhysicalMedia", Props: mediaProps, On: []node.Release{node.WS2003},
			Source: "Win32_PhysicalMedia class, Windows documentation: minimum supported server Windows Server 2003"},
		{WMI: inspect.CIMv2 + ":Win32_DiskPartition", Props: partitionProps, On: old},
		{WMI: inspect.CIMv2 + ":Win32_LogicalDiskToPartition", Props: mapProps, On: old},
		inspect.LettersCall(node.WindowsReleases()),
		{Cmdlet: "Get-Disk", Props: diskSelect, On: newer},
		{Cmdlet: "Get-Partition", Params: []string{"DiskNumber", "PartitionNumber"},
			Props: append([]string{"IsReadOnly"}, partitionSelect...), On: newer},
		{Cmdlet: "Get-Volume", Props: volumeSelect, On: newer},
	}
}

const diskpartSource = "diskpart, Windows Server command reference"
