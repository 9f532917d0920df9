package machine

import (
	"fmt"
	"strings"

	"deploy/internal/lab/model"
)

const basicData = "{ebd0a0a2-b9e5-4433-87c0-68b6b72699c7}"
const reservedType = "{e3c9e316-0b5c-4db8-817d-f92df00215ae}"

// onePart is a partition with its disk.
type onePart struct {
	d Disk
	p *model.Partition
}

func (x onePart) letter() string { return strings.TrimSuffix(x.d.See.Letters[x.p.Number], ":") }

func partitionObject(c *Ctx, x onePart) Object {
	letter := "\x00" // a char without a value
	if l := x.letter(); l != "" {
		letter = l
	}
	var gpt, mbr any
	typ := "IFS"
	if x.d.Disk.Style == "GPT" {
		gpt, typ = basicData, "Basic"
		if x.p.Reserved {
			gpt, typ = reservedType, "Reserved"
		}
	} else {
		mbr = int64(7)
	}
	paths := []any{}
	if x.letter() != "" {
		paths = append(paths, x.letter()+`:\`)
	}
	if !x.p.Reserved {
		paths = append(paths, x.p.VolumeID)
	}
	return Object{"": "MSFT_Partition", "DiskNumber": int64(x.d.See.Number), "PartitionNumber": int64(x.p.Number),
		"DriveLetter": letter, "Size": x.p.SizeMB * mb, "Offset": x.p.OffsetKB << 10,
		"GptType": gpt, "MbrType": mbr, "Type": typ, "IsReadOnly": x.d.See.ReadOnly, "IsOffline": x.d.Offline(c),
		"IsBoot": x.d.See.Local && x.p.Number == 1, "IsSystem": x.d.See.Local && x.p.Number == 1,
		"IsActive": false, "IsHidden": x.p.Reserved, "NoDefaultDriveLetter": x.p.Reserved, "AccessPaths": paths,
		"DiskId": `\\?\scsi#disk&ven_lab#` + strings.ToLower(x.d.Disk.Serial)}
}

// parts lists partitions that the machine can see: those of disks that are online.
func parts(c *Ctx) []onePart {
	var out []onePart
	for _, d := range Disks(c) {
		if d.Offline(c) {
			continue
		}
		for _, p := range d.Disk.Partitions {
			out = append(out, onePart{d, p})
		}
	}
	return out
}

// partsBy finds partitions by DiskNumber, PartitionNumber and DriveLetter together.
func partsBy(c *Ctx, p map[string]any, cmdlet string) ([]onePart, error) {
	var out []onePart
	for _, x := range parts(c) {
		if HasArg(p, "DiskNumber") && !containsFold(ArgStrings(p, "DiskNumber"), fmt.Sprint(x.d.See.Number)) ||
			HasArg(p, "PartitionNumber") && !containsFold(ArgStrings(p, "PartitionNumber"), fmt.Sprint(x.p.Number)) ||
			HasArg(p, "DriveLetter") && !containsFold(ArgStrings(p, "DriveLetter"), x.letter()) {
			continue
		}
		out = append(out, x)
	}
	if len(out) == 0 {
		for _, key := range []string{"DiskNumber", "PartitionNumber", "DriveLetter"} {
			if HasArg(p, key) {
				return nil, notFoundBy(c, key, ArgString(p, key), cmdlet)
			}
		}
	}
	return out, nil
}

func containsFold(list []string, s string) bool {
	for _, x := range list {
		if strings.EqualFold(x, s) {
			return true
		}
	}
	return false
}

func getPartition(c *Ctx, p map[string]any) ([]Object, error) {
	list, err := partsBy(c, p, "Get-Partition")
	if err != nil {
		return nil, err
	}
	var out []Object
	for _, x := range list {
		out = append(out, partitionObject(c, x))
	}
	return out, nil
}

func newPartition(c *Ctx, p map[string]any) ([]Object, error) {
	const name = "New-Partition"
	if !HasArg(p, "DiskNumber") {
		return nil, missingParameter(c, "DiskNumber", name)
	}
	list, err := disksBy(c, map[string]any{"Number": Arg(p, "DiskNumber")}, name)
	if err != nil {
		return nil, err
	}
	d := list[0]
	size, given := ArgInt(p, "Size")
	all := ArgBool(p, "UseMaximumSize")
	if given == all {
		return nil, storageFail(c, stgNoSize, name, diskBadRequest)
	}
	if clustered(c, d.Disk.Serial) && reserved(c, d.Disk) {
		return nil, storageError(c, diskReserved, name)
	}
	align, _ := ArgInt(p, "Alignment")
	if align%512 != 0 || align < 0 {
		return nil, storageError(c, diskMisaligned, name)
	}
	letter := ""
	if HasArg(p, "DriveLetter") {
		if letter = Letter(ArgString(p, "DriveLetter")); letter == "" {
			return nil, storageFail(c, stgPathInvalid, name, diskBadRequest)
		}
		if LetterUsed(c, letter) {
			return nil, storageError(c, diskTaken, name)
		}
	}
	if given && size < mb {
		return nil, storageError(c, diskFull, name)
	}
	part, e := AddPartition(c, d, size/mb, align/1024)
	if e != diskNone {
		return nil, storageError(c, e, name)
	}
	if letter != "" || ArgBool(p, "AssignDriveLetter") {
		if e := AssignLetter(c, d, part.Number, letter); e != diskNone {
			return nil, storageError(c, e, name)
		}
	}
	return []Object{partitionObject(c, onePart{d, part})}, nil
}

// onlyOne finds the single partition that a changing cmdlet is about.
func onlyOne(c *Ctx, p map[string]any, cmdlet string) (onePart, error) {
	if !HasArg(p, "DriveLetter") && (!HasArg(p, "DiskNumber") || !HasArg(p, "PartitionNumber")) {
		return onePart{}, missingParameter(c, "DiskNumber, PartitionNumber", cmdlet)
	}
	list, err := partsBy(c, p, cmdlet)
	if err != nil {
		return onePart{}, err
	}
	return list[0], nil
}

func setPartition(c *Ctx, p map[string]any) ([]Object, error) {
	const name = "Set-Partition"
	x, err := onlyOne(c, p, name)
	if err != nil {
		return nil, err
	}
	if !HasArg(p, "NewDriveLetter") {
		return nil, missingParameter(c, "NewDriveLetter", name)
	}
	letter := Letter(ArgString(p, "NewDriveLetter"))
	if letter == "" {
		return nil, storageFail(c, stgPathInvalid, name, diskBadRequest)
	}
	if e := AssignLetter(c, x.d, x.p.Number, letter); e != diskNone {
		return nil, storageError(c, e, name)
	}
	return nil, nil
}

func removePartition(c *Ctx, p map[string]any) ([]Object, error) {
	const name = "Remove-Partition"
	x, err := onlyOne(c, p, name)
	if err != nil {
		return nil, err
	}
	if e := RemovePartition(c, x.d, x.p.Number); e != diskNone {
		return nil, storageError(c, e, name)
	}
	return nil, nil
}

func addAccessPath(c *Ctx, p map[string]any) ([]Object, error) {
	const name = "Add-PartitionAccessPath"
	x, err := onlyOne(c, p, name)
	if err != nil {
		return nil, err
	}
	letter := ""
	if HasArg(p, "AccessPath") {
		if letter = Letter(ArgString(p, "AccessPath")); letter == "" {
			return nil, storageFail(c, stgPathInvalid, name, diskBadRequest)
		}
		if x.letter() != "" && Letter(x.letter()) != letter {
			return nil, storageFail(c, stgPathInvalid, name, diskTaken) // a partition has one letter at most
		}
	} else if !ArgBool(p, "AssignDriveLetter") {
		return nil, missingParameter(c, "AccessPath", name)
	}
	if e := AssignLetter(c, x.d, x.p.Number, letter); e != diskNone {
		return nil, storageError(c, e, name)
	}
	return nil, nil
}

func removeAccessPath(c *Ctx, p map[string]any) ([]Object, error) {
	const name = "Remove-PartitionAccessPath"
	x, err := onlyOne(c, p, name)
	if err != nil {
		return nil, err
	}
	letter := Letter(ArgString(p, "AccessPath"))
	switch {
	case letter == "" || Letter(x.letter()) != letter:
		return nil, storageFail(c, stgPathInvalid, name, diskBadRequest)
	case letter == "C:":
		return nil, storageFail(c, 42006, name, diskBoot)
	}
	SetLetter(x.d.See, x.p.Number, "")
	return nil, nil
}

func volumeObject(c *Ctx, v Volume) Object {
	fs := v.Part.FS
	size, free := v.Part.SizeMB*mb, int64(0)
	if fs != "" {
		free = freeSpace(c, v)
	} else {
		size = 0
	}
	var letter any
	if l := strings.TrimSuffix(v.Letter, ":"); l != "" {
		letter = l
	}
	return Object{"": "MSFT_Volume", "DriveLetter": letter, "FileSystem": fs, "FileSystemLabel": v.Part.Label,
		"Path": v.Part.VolumeID, "ObjectId": v.Part.VolumeID, "UniqueId": v.Part.VolumeID,
		"DriveType": "Fixed", "HealthStatus": "Healthy", "Size": size, "SizeRemaining": free}
}

func volumesBy(c *Ctx, p map[string]any, cmdlet string) ([]Volume, error) {
	var out []Volume
	for _, v := range Volumes(c) {
		if HasArg(p, "DriveLetter") && !containsFold(ArgStrings(p, "DriveLetter"), strings.TrimSuffix(v.Letter, ":")) ||
			HasArg(p, "FileSystemLabel") && !containsFold(ArgStrings(p, "FileSystemLabel"), v.Part.Label) ||
			HasArg(p, "Path") && !containsFold(ArgStrings(p, "Path"), v.Part.VolumeID) {
			continue
		}
		out = append(out, v)
	}
	if len(out) == 0 {
		for _, key := range []string{"DriveLetter", "FileSystemLabel", "Path"} {
			if HasArg(p, key) {
				return nil, notFoundBy(c, key, ArgString(p, key), cmdlet)
			}
		}
	}
	return out, nil
}

func getVolume(c *Ctx, p map[string]any) ([]Object, error) {
	list, err := volumesBy(c, p, "Get-Volume")
	if err != nil {
		return nil, err
	}
	var out []Object
	for _, v := range list {
		out = append(out, volumeObject(c, v))
	}
	return out, nil
}

func formatVolume(c *Ctx, p map[string]any) ([]Object, error) {
	const name = "Format-Volume"
	if !HasArg(p, "DriveLetter") && !HasArg(p, "Path") {
		return nil, missingParameter(c, "DriveLetter", name)
	}
	list, err := volumesBy(c, map[string]any{"DriveLetter": Arg(p, "DriveLetter"), "Path": Arg(p, "Path")}, name)
	if err != nil {
		return nil, err
	}
	var out []Object
	for _, v := range list {
		if e := FormatPartition(c, v.On, v.Part, ArgString(p, "FileSystem"),
			ArgString(p, "NewFileSystemLabel")); e != diskNone {
			return nil, storageError(c, e, name)
		}
		out = append(out, volumeObject(c, v))
	}
	return out, nil
}
