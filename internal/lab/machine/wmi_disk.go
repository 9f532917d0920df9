package machine

import (
	"fmt"
	"strings"

	"deploy/internal/lab/model"
	"deploy/internal/node"
)

const mb = int64(1) << 20

// diskClasses are disks, partitions, volumes and what ties them. The ids of partitions and their
// types are words of the machine's language, as on the real thing; numbers and letters are not.
func diskClasses() []*Class {
	list := func(f func(c *Ctx) []Object) func(c *Ctx) ([]Object, error) {
		return func(c *Ctx) ([]Object, error) { return f(c), nil }
	}
	return []*Class{
		{Namespace: cimv2, Name: "Win32_DiskDrive",
			Props: []string{"BytesPerSector", "Caption", "ConfigManagerErrorCode", "CreationClassName", "Description",
				"DeviceID", "FirmwareRevision", "Index", "InterfaceType", "Manufacturer",
				"MediaLoaded", "MediaType", "Model", "Name", "Partitions", "PNPDeviceID", "SCSIBus", "SCSILogicalUnit", "SCSIPort",
				"SCSITargetId", "SerialNumber", "Signature", "Size",
				"Status", "SystemName", "TotalSectors"},
			PropSince: map[string]node.Release{"SerialNumber": node.WS2008, "FirmwareRevision": node.WS2008},
			List:      list(listDrives)},
		{Namespace: cimv2, Name: "Win32_PhysicalMedia", Props: []string{"CreationClassName", "SerialNumber", "Tag"},
			List: list(func(c *Ctx) []Object {
				var out []Object
				for _, d := range Disks(c) {
					out = append(out, Object{"CreationClassName": "Win32_PhysicalMedia", "Tag": physical(d),
						"SerialNumber": d.Disk.Serial})
				}
				return out
			})},
		{Namespace: cimv2, Name: "Win32_DiskPartition",
			Props: []string{"BlockSize", "Bootable", "BootPartition", "Caption", "CreationClassName", "Description", "DeviceID",
				"DiskIndex", "Index", "Name", "NumberOfBlocks",
				"PrimaryPartition", "Size", "StartingOffset", "SystemName", "Type"},
			List: list(listPartitions)},
		{Namespace: cimv2, Name: "Win32_LogicalDisk",
			Props: []string{"Access", "Caption", "Compressed", "CreationClassName", "Description", "DeviceID", "DriveType",
				"FileSystem", "FreeSpace", "MediaType", "Name", "ProviderName",
				"Size", "SystemName", "VolumeName", "VolumeSerialNumber"},
			List: list(listLogical)},
		{Namespace: cimv2, Name: "Win32_LogicalDiskToPartition",
			Props: []string{"Antecedent", "Dependent", "EndingAddress", "StartingAddress"}, List: list(func(c *Ctx) []Object {
				var out []Object
				for _, v := range volumesWithLetters(c) {
					start := v.Part.OffsetKB << 10
					out = append(out, Object{"Antecedent": reference(c, "Win32_DiskPartition", partitionID(c, v)),
						"Dependent":       reference(c, "Win32_LogicalDisk", v.Letter),
						"StartingAddress": start, "EndingAddress": start + v.Part.SizeMB*mb - 1})
				}
				return out
			})},
		{Namespace: cimv2, Name: "Win32_DiskDriveToDiskPartition", Props: []string{"Antecedent", "Dependent"},
			List: list(func(c *Ctx) []Object {
				var out []Object
				for _, v := range Volumes(c) {
					out = append(out, Object{"Antecedent": reference(c, "Win32_DiskDrive",
						strings.ReplaceAll(physical(v.On), `\`, `\\`)),
						"Dependent": reference(c, "Win32_DiskPartition", partitionID(c, v))})
				}
				return out
			})},
		{Namespace: cimv2, Name: "Win32_Volume",
			Props: []string{"Automount", "BlockSize", "BootVolume", "Capacity", "Caption", "Compressed", "DeviceID",
				"DirtyBitSet", "DriveLetter", "DriveType", "FileSystem", "FreeSpace",
				"IndexingEnabled", "Label", "Name", "PageFilePresent", "SerialNumber", "SystemName", "SystemVolume"},
			PropSince: map[string]node.Release{"BootVolume": node.WS2008, "SystemVolume": node.WS2008,
				"PageFilePresent": node.WS2008},
			List: list(listVolumes),
			Put:  putVolume},
	}
}

func physical(d Disk) string { return fmt.Sprintf(`\\.\PHYSICALDRIVE%d`, d.See.Number) }

func reference(c *Ctx, class, id string) string {
	return fmt.Sprintf(`\\%s\root\cimv2:%s.DeviceID="%s"`, strings.ToUpper(c.M.Name), class, id)
}

// partitionIndex counts from 0 and leaves the reserved partition out, as the class does.
func partitionIndex(v Volume) int {
	for i, p := range dataPartitions(v.On.Disk) {
		if p == v.Part {
			return i
		}
	}
	return -1
}

func partitionID(c *Ctx, v Volume) string {
	return fmt.Sprintf(c.Pick([4]string{"Disk #%d, Partition #%d", "Disque n° %d, partition n° %d",
		"Datenträgernr. %d, Partitionsnr. %d", "ディスク #%d, パーティション #%d"}), v.On.See.Number, partitionIndex(v))
}

func volumesWithLetters(c *Ctx) []Volume {
	var out []Volume
	for _, v := range Volumes(c) {
		if v.Letter != "" {
			out = append(out, v)
		}
	}
	return out
}

func listDrives(c *Ctx) []Object {
	host := strings.ToUpper(c.M.Name)
	var out []Object
	for _, d := range Disks(c) {
		var signature any
		parts := int64(0)
		if !d.Offline(c) {
			parts = int64(len(dataPartitions(d.Disk)))
		}
		if d.Disk.Style == "MBR" {
			signature = int64(d.Disk.Signature)
		}
		port, target, name := int64(2), int64(0), "LAB SHARED Multi-Path Disk Device"
		if d.See.Local {
			port, name = 0, "LAB LOCAL SCSI Disk Device"
		}
		out = append(out, Object{"BytesPerSector": int64(512), "Caption": name, "ConfigManagerErrorCode": int64(0),
			"CreationClassName": "Win32_DiskDrive",
			"Description":       c.Pick([4]string{"Disk drive", "Lecteur de disque", "Laufwerk", "ディスク ドライブ"}),
			"DeviceID":          physical(d), "FirmwareRevision": "1.0", "Index": int64(d.See.Number), "InterfaceType": "SCSI",
			"Manufacturer": "(Standard disk drives)", "MediaLoaded": true, "MediaType": "Fixed hard disk media", "Model": name,
			"Name": physical(d), "Partitions": parts,
			"PNPDeviceID": `SCSI\DISK&VEN_LAB\` + d.Disk.Serial, "SCSIBus": int64(0), "SCSILogicalUnit": int64(d.See.Number),
			"SCSIPort": port, "SCSITargetId": target,
			"SerialNumber": d.Disk.Serial, "Signature": signature, "Size": d.Disk.SizeMB * mb, "Status": "OK",
			"SystemName": host, "TotalSectors": d.Disk.SizeMB * 2048})
	}
	return out
}

func listPartitions(c *Ctx) []Object {
	host := strings.ToUpper(c.M.Name)
	var out []Object
	for _, v := range Volumes(c) {
		typ := c.Pick([4]string{"Installable File System", "Système de fichiers installable", "Installierbares Dateisystem",
			"インストール可能なファイル システム"})
		switch {
		case v.On.Disk.Style == "GPT":
			typ = c.Pick([4]string{"GPT: Basic Data", "GPT : données de base", "GPT: Basisdaten", "GPT: 基本データ"})
		case v.Part.FS == "":
			typ = c.Pick([4]string{"Unknown", "Inconnu", "Unbekannt", "不明"})
		}
		id := partitionID(c, v)
		boot := v.On.See.Local && v.Part.Number == 1
		out = append(out, Object{"BlockSize": int64(512), "Bootable": boot, "BootPartition": boot, "Caption": id,
			"CreationClassName": "Win32_DiskPartition", "Description": typ, "DeviceID": id,
			"DiskIndex": int64(v.On.See.Number), "Index": int64(partitionIndex(v)), "Name": id,
			"NumberOfBlocks": v.Part.SizeMB * 2048, "PrimaryPartition": true,
			"Size": v.Part.SizeMB * mb, "StartingOffset": v.Part.OffsetKB << 10, "SystemName": host, "Type": typ})
	}
	return out
}

// freeSpace is what files leave of a volume.
func freeSpace(c *Ctx, v Volume) int64 {
	used := int64(64) * mb
	files := v.On.Disk.Files
	if v.On.See.Local {
		files = c.M.Files
	}
	prefix := ""
	if v.On.See.Local {
		prefix = strings.ToLower(v.Letter)
	}
	for k, f := range files {
		if strings.HasPrefix(k, prefix) {
			used += int64(len(f.Data))
		}
	}
	return max(v.Part.SizeMB*mb-used, 0)
}

func fileSystem(p *model.Partition) any {
	if p.FS == "" {
		return nil
	}
	return p.FS
}

// volumeSerial is made of the volume's id, which a format keeps here; nothing may rely on it.
func volumeSerial(p *model.Partition) int64 {
	n := uint32(2166136261)
	for _, b := range []byte(p.VolumeID + p.FS) {
		n = (n ^ uint32(b)) * 16777619
	}
	return int64(n)
}

func listLogical(c *Ctx) []Object {
	var out []Object
	for _, v := range volumesWithLetters(c) {
		o := Object{"Access": int64(0), "Caption": v.Letter, "Compressed": false, "CreationClassName": "Win32_LogicalDisk",
			"Description": c.Pick([4]string{"Local Fixed Disk", "Disque fixe local", "Lokale Festplatte",
				"ローカル固定ディスク"}), "DeviceID": v.Letter, "DriveType": int64(3), "MediaType": int64(12),
			"Name": v.Letter, "SystemName": strings.ToUpper(c.M.Name)}
		if v.Part.FS != "" {
			o["FileSystem"], o["FreeSpace"], o["Size"] = v.Part.FS, freeSpace(c, v), v.Part.SizeMB*mb
			o["VolumeName"], o["VolumeSerialNumber"] = v.Part.Label, fmt.Sprintf("%08X", volumeSerial(v.Part))
		}
		out = append(out, o)
	}
	return out
}

func listVolumes(c *Ctx) []Object {
	var out []Object
	for _, v := range Volumes(c) {
		name, letter := v.Part.VolumeID, any(nil)
		if v.Letter != "" {
			name, letter = v.Letter+`\`, v.Letter
		}
		boot := v.On.See.Local && v.Part.Number == 1
		o := Object{"Automount": true, "BootVolume": boot, "Caption": name, "Compressed": false, "DeviceID": v.Part.VolumeID,
			"DirtyBitSet": false, "DriveLetter": letter, "DriveType": int64(3),
			"FileSystem": fileSystem(v.Part), "IndexingEnabled": true, "Name": name, "PageFilePresent": boot,
			"SystemName": strings.ToUpper(c.M.Name), "SystemVolume": boot}
		if v.Part.FS != "" {
			o["BlockSize"], o["Capacity"], o["FreeSpace"], o["Label"], o["SerialNumber"] = int64(4096), v.Part.SizeMB*mb,
				freeSpace(c, v), v.Part.Label, volumeSerial(v.Part)
		}
		out = append(out, o)
	}
	return out
}

// putVolume writes DriveLetter and Label, the two that are documented as writable.
func putVolume(c *Ctx, inst Object, set map[string]any) error {
	for _, v := range Volumes(c) {
		if v.Part.VolumeID != inst["DeviceID"] {
			continue
		}
		for k, x := range set {
			switch k {
			case "Label":
				s, ok := x.(string)
				if !ok || v.Part.FS == "" {
					return WMIFail(wbemNotSupported, "Label cannot be written")
				}
				v.Part.Label = s
			case "DriveLetter":
				s, _ := x.(string)
				if s == "" {
					SetLetter(v.On.See, v.Part.Number, "")
				} else if e := AssignLetter(c, v.On, v.Part.Number, s); e != diskNone {
					return WMIFail(wbemNotSupported, c.Pick(diskText(e)))
				}
			default:
				return WMIFail(wbemNotSupported, k+" cannot be written")
			}
		}
		return nil
	}
	return WMIFail(wbemNotFound, "not found: Win32_Volume")
}
