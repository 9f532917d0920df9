package storage

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/steps/inspect"
)

// disk is one disk as the machine sees it.
type disk struct {
	Number   int64
	Serial   string
	Style    string // "raw", "mbr", "gpt"
	Offline  *bool  // nil: this release does not tell
	ReadOnly *bool
	Dynamic  bool
	// Clustered says that a failover cluster owns it; only 2012 and later tell, see clustered.
	Clustered bool
	Signature int64 // of an MBR disk before 2012
	SizeMB    int64
	Parts     []part // without the reserved partition of GPT disks
}

// part is one partition with its volume.
type part struct {
	Number int64
	Letter string // "E:" or ""
	FS     string // "" is raw, or unknown
	Label  string
	SizeMB int64
}

func (p part) String() string {
	name := p.Letter
	if name == "" {
		name = "no letter"
	}
	fs := p.FS
	if fs == "" {
		fs = "no file system"
	}
	return fmt.Sprintf("partition %d (%s, %s, label %q, %d MB)", p.Number, name, fs, p.Label, p.SizeMB)
}

func describe(parts []part) string {
	if len(parts) == 0 {
		return "no partition"
	}
	out := make([]string, 0, len(parts))
	for _, p := range parts {
		out = append(out, p.String())
	}
	return strings.Join(out, ", ")
}

var (
	driveProps     = []string{"Index", "DeviceID", "Signature", "Size", "Partitions"}
	mediaProps     = []string{"Tag", "SerialNumber"}
	partitionProps = []string{"DeviceID", "DiskIndex", "Index", "Size", "Type"}
	mapProps       = []string{"Antecedent", "Dependent"}

	diskSelect = []string{"Number", "SerialNumber", "IsOffline", "IsReadOnly", "IsClustered", "PartitionStyle",
		"Size"}
	partitionSelect = []string{"DiskNumber", "PartitionNumber", "DriveLetter", "Size", "GptType", "MbrType"}
	volumeSelect    = []string{"DriveLetter", "FileSystem", "FileSystemLabel"}
)

func cimv2(class string, props []string) node.Query {
	return node.WMI{Namespace: inspect.CIMv2, Class: class, Props: props}
}

func cmdlet(name string, selected []string) node.Query {
	return node.Cmdlet{Name: name, Load: module, Select: selected}
}

// reads are the questions that tell everything about disks: the same for every step of the family,
// so that a phase asks once.
func reads(f node.Facts) []node.Query {
	if modern(f) {
		return []node.Query{cmdlet("Get-Disk", diskSelect), cmdlet("Get-Partition", partitionSelect),
			cmdlet("Get-Volume", volumeSelect)}
	}
	if f.Release.AtLeast(node.WS2008) {
		return []node.Query{cimv2("Win32_DiskDrive", append(append([]string{}, driveProps...), "SerialNumber")),
			cimv2("Win32_DiskPartition", partitionProps), cimv2("Win32_LogicalDiskToPartition", mapProps),
			inspect.LettersQuery()}
	}
	// Win32_DiskDrive.SerialNumber came with Windows Vista; 2003 has the number in
	// Win32_PhysicalMedia.
	return []node.Query{cimv2("Win32_DiskDrive", driveProps), cimv2("Win32_DiskPartition", partitionProps),
		cimv2("Win32_LogicalDiskToPartition", mapProps), inspect.LettersQuery(), cimv2("Win32_PhysicalMedia", mediaProps)}
}

// find returns the disk with a serial number; numbers are compared without case and outer blanks.
func find(ctx context.Context, r node.Reader, serial string) (disk, error) {
	all, err := disks(ctx, r)
	if err != nil {
		return disk{}, err
	}
	var hits []disk
	var known []string
	for _, d := range all {
		known = append(known, fmt.Sprintf("%s (disk %d)", d.Serial, d.Number))
		if sameSerial(d.Serial, serial) {
			hits = append(hits, d)
		}
	}
	switch len(hits) {
	case 1:
		return hits[0], nil
	case 0:
		return disk{}, hint.Wrap(fmt.Errorf("cannot see a disk with serial number %s", serial),
			"is the storage connected and shown to this node? the machine sees "+strings.Join(known, ", "))
	}
	return disk{}, hint.Wrap(fmt.Errorf("cannot tell which disk is meant: %d disks have serial number %s", len(hits),
		serial),
		"the same disk over several paths needs multipath I/O to be set up")
}

func sameSerial(a, b string) bool {
	return strings.EqualFold(strings.TrimSpace(a), strings.TrimSpace(b))
}

func disks(ctx context.Context, r node.Reader) ([]disk, error) {
	qs := reads(r.Facts())
	answers := make([][]node.Row, len(qs))
	for i, q := range qs {
		rows, err := r.Query(ctx, q)
		if err != nil && !errors.Is(err, node.ErrNotFound) { // Get-Partition says so when no disk has any
			return nil, fmt.Errorf("cannot list the disks: %w", err)
		}
		answers[i] = rows
	}
	if modern(r.Facts()) {
		return fromModule(answers[0], answers[1], answers[2]), nil
	}
	var media []node.Row
	if len(answers) > 4 {
		media = answers[4]
	}
	return fromWMI(answers[0], answers[1], answers[2], answers[3], media), nil
}

const mb = 1 << 20

// Types of partitions that count for nothing or say that the disk is dynamic. Sources:
// PARTITION_INFORMATION_GPT, MBR partition types.
const (
	gptReserved    = "{e3c9e316-0b5c-4db8-817d-f92df00215ae}"
	gptLDMMetadata = "{5808c8aa-7e8f-42e0-85d2-e1e90434cfb3}"
	gptLDMData     = "{af9b60a0-1431-4f62-bc68-3311714a69ad}"
	mbrLDM         = 0x42
)

func fromModule(drives, partitions, volumes []node.Row) []disk {
	var out []disk
	for _, row := range drives {
		off, ro := row.Bool("IsOffline"), row.Bool("IsReadOnly")
		d := disk{Number: row.Int("Number"), Serial: strings.TrimSpace(row.String("SerialNumber")), Style: styleOf(row),
			Offline: &off, ReadOnly: &ro, Clustered: row.Bool("IsClustered"), SizeMB: row.Int("Size") / mb}
		for _, p := range partitions {
			if p.Int("DiskNumber") != d.Number {
				continue
			}
			switch strings.ToLower(p.String("GptType")) {
			case gptReserved:
				continue
			case gptLDMMetadata, gptLDMData:
				d.Dynamic = true
			}
			if p.Int("MbrType") == mbrLDM {
				d.Dynamic = true
			}
			x := part{Number: p.Int("PartitionNumber"), Letter: letterOf(p, "DriveLetter"), SizeMB: p.Int("Size") / mb}
			for _, v := range volumes {
				if x.Letter != "" && letterOf(v, "DriveLetter") == x.Letter {
					x.FS, x.Label = fsOf(v.String("FileSystem")), v.String("FileSystemLabel")
				}
			}
			d.Parts = append(d.Parts, x)
		}
		out = append(out, d)
	}
	return out
}

// letterOf reads a character property: no letter is the character 0, which arrives as text, number
// or nothing.
func letterOf(row node.Row, name string) string {
	text := row.String(name)
	if n := row.Int(name); n >= 'A' && n <= 'z' {
		text = string(rune(n))
	}
	return inspect.Letter(strings.Trim(text, "\x00"))
}

func fsOf(s string) string {
	if strings.EqualFold(s, "RAW") {
		return ""
	}
	return s
}

// styleOf reads MSFT_Disk.PartitionStyle, a number (0 unknown, 1 MBR, 2 GPT) or its name. Source:
// MSFT_Disk.
func styleOf(row node.Row) string {
	switch strings.ToUpper(row.String("PartitionStyle")) {
	case "1", "MBR":
		return "mbr"
	case "2", "GPT":
		return "gpt"
	}
	return "raw"
}

func fromWMI(drives, partitions, letters, logical, media []node.Row) []disk {
	var out []disk
	for _, row := range drives {
		d := disk{Number: row.Int("Index"), Serial: strings.TrimSpace(row.String("SerialNumber")), Style: "raw",
			SizeMB: row.Int("Size") / mb, Signature: row.Int("Signature")}
		for _, m := range media {
			if strings.EqualFold(m.String("Tag"), row.String("DeviceID")) {
				d.Serial = strings.TrimSpace(m.String("SerialNumber"))
			}
		}
		// a GPT disk has no signature; a disk that was never initialised has none either
		if row.Int("Signature") != 0 {
			d.Style = "mbr"
		}
		for _, p := range partitions {
			if p.Int("DiskIndex") != d.Number {
				continue
			}
			d.Style = "mbr"
			if strings.HasPrefix(p.String("Type"), "GPT") {
				d.Style = "gpt"
			}
			x := part{Number: p.Int("Index") + 1, SizeMB: p.Int("Size") / mb}
			for _, l := range letters {
				if strings.EqualFold(deviceOf(l.String("Antecedent")), p.String("DeviceID")) {
					x.Letter = inspect.Letter(deviceOf(l.String("Dependent")))
				}
			}
			for _, l := range logical {
				if x.Letter != "" && inspect.Letter(l.String("DeviceID")) == x.Letter {
					x.FS, x.Label = fsOf(l.String("FileSystem")), l.String("VolumeName")
				}
			}
			d.Parts = append(d.Parts, x)
		}
		out = append(out, d)
	}
	return out
}

// deviceOf returns the device id in a WMI reference, \\HOST\root\cimv2:Class.DeviceID="Disk #1,
// Partition #0". The id of a partition is translated, so it is only ever compared whole.
func deviceOf(reference string) string {
	_, id, ok := strings.Cut(reference, `="`)
	if !ok {
		return ""
	}
	return strings.NewReplacer(`\\`, `\`, `\"`, `"`).Replace(strings.TrimSuffix(id, `"`))
}

// Reads are the queries of Visible.
func Reads(f node.Facts) []node.Query { return reads(f) }

// Calls declares what Visible asks.
func Calls() []node.Call { return readCalls() }

// Visible says whether the machine sees a disk with that serial number. An error means that it
// cannot be told.
func Visible(ctx context.Context, r node.Reader, serial string) (bool, error) {
	all, err := disks(ctx, r)
	if err != nil {
		return false, err
	}
	for _, d := range all {
		if sameSerial(d.Serial, serial) {
			return true, nil
		}
	}
	return false, nil
}
