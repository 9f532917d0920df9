package machine

import (
	"fmt"
	"strings"

	"deploy/internal/node"
)

// Storage management codes. Source: storage management API common return codes (windows.md 6.2).
const (
	stgInvalid     = 5
	stgCapacity    = 40000
	stgNoSize      = 40005
	stgClustered   = 40018
	stgNotInit     = 41000
	stgInit        = 41001
	stgReadOnly    = 41002
	stgOffline     = 41003
	stgMisaligned  = 41005
	stgData        = 41008
	stgCritical    = 41009
	stgInCluster   = 41019
	stgPathUsed    = 42002
	stgPathInvalid = 42007
)

// storageFail is how a cmdlet of the module reports a code: "StorageWMI <code>,<cmdlet>", category
// NotSpecified.
func storageFail(c *Ctx, code int, cmdlet string, e diskError) error {
	return PSFail(fmt.Sprintf("StorageWMI %d,%s", code, cmdlet), "NotSpecified",
		"Microsoft.Management.Infrastructure.CimException", 0x80131500, c.Pick(diskText(e)))
}

func storageError(c *Ctx, e diskError, cmdlet string) error {
	code := map[diskError]int{diskOffline: stgOffline, diskReadOnly: stgReadOnly, diskReserved: stgClustered,
		diskFull: stgCapacity, diskTaken: stgPathUsed, diskNotRaw: stgInit,
		diskRaw: stgNotInit, diskBoot: stgCritical, diskBadRequest: stgInvalid, diskMisaligned: stgMisaligned,
		diskNoVolume: stgInvalid}[e]
	return storageFail(c, code, cmdlet, e)
}

// notFoundBy is the refusal of a CDXML cmdlet whose query found nothing.
func notFoundBy(c *Ctx, property, value, cmdlet string) error {
	return PSFail("CmdletizationQuery_NotFound_"+property+","+cmdlet, "ObjectNotFound",
		"Microsoft.PowerShell.Cmdletization.Cim.CimJobException", 0x80131500, c.Pick([4]string{
			"No object was found with property '" + property + "' equal to '" + value + "'.",
			"Aucun objet n’a été trouvé avec la propriété « " + property + " » égale à « " + value + " ».",
			"Es wurde kein Objekt gefunden, dessen Eigenschaft \"" + property + "\" den Wert \"" + value + "\" hat.",
			"プロパティ '" + property + "' が '" + value + "' に等しいオブジェクトが見つかりません。"}))
}

func storageCmdlets() []*Cmdlet {
	v12 := node.WS2012
	mk := func(name string, run func(c *Ctx, p map[string]any) ([]Object, error), params ...string) *Cmdlet {
		return &Cmdlet{Name: name, Load: "Storage", Since: v12, Params: params, Run: run}
	}
	list := []*Cmdlet{
		mk("Get-Disk", getDisk, "Number", "DeviceId=Number", "UniqueId", "Id=UniqueId", "FriendlyName", "SerialNumber"),
		mk("Set-Disk", setDisk, "Number", "UniqueId", "IsOffline", "IsReadOnly"),
		mk("Initialize-Disk", initializeDisk, "Number", "UniqueId", "Id=UniqueId", "PartitionStyle", "PassThru", "Confirm"),
		mk("Update-Disk", updateDisk, "Number", "UniqueId", "Id=UniqueId", "PassThru"),
		mk("Clear-Disk", clearDisk, "Number", "UniqueId", "Id=UniqueId", "RemoveData", "RemoveOEM", "PassThru", "Confirm"),
		mk("Get-Partition", getPartition, "DiskNumber", "PartitionNumber", "Number=PartitionNumber", "DriveLetter"),
		mk("New-Partition", newPartition, "DiskNumber", "Size", "UseMaximumSize", "Alignment", "DriveLetter",
			"NewDriveLetter=DriveLetter", "AssignDriveLetter"),
		mk("Set-Partition", setPartition, "DiskNumber", "PartitionNumber", "Number=PartitionNumber", "DriveLetter",
			"NewDriveLetter"),
		mk("Remove-Partition", removePartition, "DiskNumber", "PartitionNumber", "Number=PartitionNumber", "DriveLetter",
			"PassThru", "Confirm"),
		mk("Add-PartitionAccessPath", addAccessPath, "DiskNumber", "PartitionNumber", "Number=PartitionNumber", "AccessPath",
			"AssignDriveLetter", "PassThru", "Confirm"),
		mk("Remove-PartitionAccessPath", removeAccessPath, "DiskNumber", "PartitionNumber", "Number=PartitionNumber",
			"DriveLetter", "AccessPath", "PassThru", "Confirm"),
		mk("Get-Volume", getVolume, "DriveLetter", "FileSystemLabel", "Path"),
		mk("Format-Volume", formatVolume, "DriveLetter", "Path", "FileSystem", "NewFileSystemLabel", "AllocationUnitSize",
			"ClusterSize=AllocationUnitSize", "Full", "Force", "Confirm"),
	}
	list[0].ParamSince = map[string]node.Release{"SerialNumber": node.WS2016}
	return list
}

// clustered says that a cluster has a resource for the disk, online or not.
func clustered(c *Ctx, serial string) bool {
	for _, cl := range c.W.Clusters {
		for _, r := range cl.Resources {
			if r.Disk == serial {
				return true
			}
		}
	}
	return false
}

func uniqueID(d Disk) string { return "6000C29" + strings.ToUpper(d.Disk.Serial) }

func diskObject(c *Ctx, d Disk) Object {
	off := d.Offline(c)
	status := "Online"
	if off {
		status = "Offline"
	}
	var signature, guid any
	switch d.Disk.Style {
	case "MBR":
		signature = int64(d.Disk.Signature)
	case "GPT":
		guid = d.Disk.GUID
	}
	free := max(d.FreeMB(c), 0) * mb
	return Object{"": "MSFT_Disk", "Number": int64(d.See.Number), "DiskNumber": int64(d.See.Number),
		"FriendlyName": "LAB SHARED Multi-Path Disk Device", "Manufacturer": "LAB", "Model": "SHARED",
		"SerialNumber": d.Disk.Serial, "UniqueId": uniqueID(d),
		"Path": `\\?\scsi#disk&ven_lab#` + strings.ToLower(d.Disk.Serial), "IsOffline": off, "IsReadOnly": d.See.ReadOnly,
		"IsClustered": clustered(c, d.Disk.Serial),
		"IsBoot":      d.See.Local, "IsSystem": d.See.Local, "PartitionStyle": d.Disk.Style, "Size": d.Disk.SizeMB * mb,
		"AllocatedSize": d.Disk.SizeMB*mb - free, "LargestFreeExtent": free,
		"NumberOfPartitions": int64(len(d.Disk.Partitions)), "Signature": signature, "Guid": guid,
		"OperationalStatus": status, "HealthStatus": "Healthy", "BusType": "SAS",
		"LogicalSectorSize": int64(512), "PhysicalSectorSize": int64(512)}
}

// disksBy finds disks by Number, UniqueId, SerialNumber or FriendlyName; none of them lists all.
func disksBy(c *Ctx, p map[string]any, cmdlet string) ([]Disk, error) {
	all := Disks(c)
	for _, key := range []string{"Number", "UniqueId", "SerialNumber", "FriendlyName"} {
		if !HasArg(p, key) {
			continue
		}
		var out []Disk
		for _, want := range ArgStrings(p, key) {
			n := len(out)
			for _, d := range all {
				have := map[string]string{"Number": fmt.Sprint(d.See.Number), "UniqueId": uniqueID(d),
					"SerialNumber": d.Disk.Serial, "FriendlyName": "LAB SHARED Multi-Path Disk Device"}[key]
				if matchAny([]string{want}, have) {
					out = append(out, d)
				}
			}
			if len(out) == n {
				return nil, notFoundBy(c, key, want, cmdlet)
			}
		}
		return out, nil
	}
	return all, nil
}

func getDisk(c *Ctx, p map[string]any) ([]Object, error) {
	list, err := disksBy(c, p, "Get-Disk")
	if err != nil {
		return nil, err
	}
	return diskObjects(c, list), nil
}

func diskObjects(c *Ctx, list []Disk) []Object {
	var out []Object
	for _, d := range list {
		out = append(out, diskObject(c, d))
	}
	return out
}

// named finds the disks of a cmdlet that must be told which.
func named(c *Ctx, p map[string]any, cmdlet string) ([]Disk, error) {
	if !HasArg(p, "Number") && !HasArg(p, "UniqueId") {
		return nil, missingParameter(c, "Number", cmdlet)
	}
	return disksBy(c, p, cmdlet)
}

func passThru(c *Ctx, p map[string]any, list []Disk) []Object {
	if !ArgBool(p, "PassThru") {
		return nil
	}
	return diskObjects(c, list)
}

// setDisk: IsOffline and IsReadOnly are of different parameter sets, so both in one call are
// refused.
func setDisk(c *Ctx, p map[string]any) ([]Object, error) {
	if HasArg(p, "IsOffline") && HasArg(p, "IsReadOnly") {
		return nil, ambiguousSet(c, "Set-Disk")
	}
	list, err := named(c, p, "Set-Disk")
	if err != nil {
		return nil, err
	}
	for _, d := range list {
		switch {
		case clustered(c, d.Disk.Serial):
			return nil, storageFail(c, stgInCluster, "Set-Disk", diskReserved)
		case HasArg(p, "IsOffline"):
			if d.See.Local && ArgBool(p, "IsOffline") {
				return nil, storageError(c, diskBoot, "Set-Disk")
			}
			d.See.Offline = ArgBool(p, "IsOffline")
		case HasArg(p, "IsReadOnly"):
			if d.See.Local && ArgBool(p, "IsReadOnly") {
				return nil, storageError(c, diskBoot, "Set-Disk")
			}
			d.See.ReadOnly = ArgBool(p, "IsReadOnly")
		}
	}
	return nil, nil
}

func initializeDisk(c *Ctx, p map[string]any) ([]Object, error) {
	list, err := named(c, p, "Initialize-Disk")
	if err != nil {
		return nil, err
	}
	style := strings.ToUpper(ArgString(p, "PartitionStyle"))
	switch style {
	case "", "2":
		style = "GPT"
	case "1":
		style = "MBR"
	case "MBR", "GPT":
	default:
		return nil, storageError(c, diskBadRequest, "Initialize-Disk")
	}
	for _, d := range list {
		if d.Disk.Style != "RAW" {
			return nil, storageError(c, diskNotRaw, "Initialize-Disk")
		}
		if e := InitDisk(c, d, style); e != diskNone {
			return nil, storageError(c, e, "Initialize-Disk")
		}
	}
	return passThru(c, p, list), nil
}

func updateDisk(c *Ctx, p map[string]any) ([]Object, error) {
	list, err := named(c, p, "Update-Disk")
	if err != nil {
		return nil, err
	}
	return passThru(c, p, list), nil
}

func clearDisk(c *Ctx, p map[string]any) ([]Object, error) {
	list, err := named(c, p, "Clear-Disk")
	if err != nil {
		return nil, err
	}
	for _, d := range list {
		switch {
		case d.Disk.Style == "RAW":
			return nil, storageError(c, diskRaw, "Clear-Disk")
		case clustered(c, d.Disk.Serial):
			return nil, storageFail(c, stgInCluster, "Clear-Disk", diskReserved)
		case len(dataPartitions(d.Disk)) > 0 && !ArgBool(p, "RemoveData") && d.writable(c) == diskNone && !d.See.Local:
			return nil, storageFail(c, stgData, "Clear-Disk", diskBadRequest)
		}
		if e := CleanDisk(c, d); e != diskNone {
			return nil, storageError(c, e, "Clear-Disk")
		}
	}
	return passThru(c, p, list), nil
}
