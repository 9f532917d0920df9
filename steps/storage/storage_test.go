package storage

import (
	"errors"
	"strings"
	"testing"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/internal/testkit/conformance"
	"deploy/internal/testkit/nodetest"
	"deploy/steps"
)

// apply checks and applies a step, and checks that nothing is left to do.
func apply(t *testing.T, s steps.Step, n node.Node) steps.Diff {
	t.Helper()
	d, err := s.Check(t.Context(), n)
	if err != nil {
		t.Fatalf("check: %v", err)
	}
	if _, err := s.Apply(t.Context(), n, d); err != nil {
		t.Fatalf("apply: %v", err)
	}
	again, err := s.Check(t.Context(), n)
	if err != nil || again.Action != steps.NoOp {
		t.Fatalf("after apply: %+v, %v", again, err)
	}
	return d
}

const drives, partitions, letters, logical = `root\cimv2:Win32_DiskDrive`, `root\cimv2:Win32_DiskPartition`,
	`root\cimv2:Win32_LogicalDiskToPartition`, `root\cimv2:Win32_LogicalDisk`

// machine is a Japanese 2008 with a local disk C: and a shared disk that is number 3. Ids of
// partitions are translated there. diskpart is a function of the test, which gets the script's
// lines.
func machine(release node.Release, diskpart func(m *nodetest.Machine, line string) int) *nodetest.Machine {
	m := nodetest.New(release)
	m.SetDir(`C:\Windows\Temp`)
	m.SetClass(drives,
		node.Row{"Index": int64(0), "DeviceID": `\\.\PHYSICALDRIVE0`, "SerialNumber": " LOCAL", "Signature": int64(7),
			"Size": int64(60 << 30), "Partitions": int64(1)},
		node.Row{"Index": int64(3), "DeviceID": `\\.\PHYSICALDRIVE3`, "SerialNumber": "  600a0b80 ", "Signature": int64(0),
			"Size": int64(1 << 30), "Partitions": int64(0)})
	m.SetClass(partitions, node.Row{"DeviceID": "ディスク #0, パーティション #0", "DiskIndex": int64(0),
		"Index": int64(0), "Size": int64(40 << 30), "Type": "インストール可能なファイル システム"})
	m.SetClass(letters, node.Row{"Antecedent": `\\NODE1\root\cimv2:Win32_DiskPartition.DeviceID="ディスク #0, パーティション #0"`, "Dependent": `\\NODE1\root\cimv2:Win32_LogicalDisk.DeviceID="C:"`})
	m.SetClass(logical, node.Row{"DeviceID": "C:", "DriveType": int64(3), "FileSystem": "NTFS", "VolumeName": ""},
		node.Row{"DeviceID": "D:", "DriveType": int64(5), "FileSystem": nil, "VolumeName": nil})
	m.Programs["diskpart.exe"] = func(argv []string) node.Result {
		f := m.Files[strings.ToLower(argv[2])]
		if f == nil {
			return node.Result{Code: 3}
		}
		for _, line := range strings.Fields(strings.ReplaceAll(strings.ReplaceAll(string(f.Data), " ", "\x01"), "\r\n",
			"\n")) {
			if code := diskpart(m, strings.ReplaceAll(line, "\x01", " ")); code != 0 {
				return node.Result{Code: code, Stdout: []byte("エラー")}
			}
		}
		return node.Result{}
	}
	return m
}

// play does what the real diskpart does with the lines that the steps send.
func play(m *nodetest.Machine, line string) int {
	disk := m.Classes[strings.ToLower(drives)][1]
	switch {
	case line == "select disk 3", strings.HasSuffix(line, "noerr"):
	case line == "convert mbr":
		disk["Signature"] = int64(0x1234)
	case line == "clean":
		disk["Signature"] = int64(0)
	case strings.HasPrefix(line, "create partition primary"):
		m.SetClass(partitions, append(m.Classes[strings.ToLower(partitions)],
			node.Row{"DeviceID": "ディスク #3, パーティション #0", "DiskIndex": int64(3), "Index": int64(0),
				"Size": int64(1000 << 20), "Type": "x"})...)
	case line == "assign letter=E":
		m.SetClass(letters, append(m.Classes[strings.ToLower(letters)],
			node.Row{"Antecedent": `\\NODE1\root\cimv2:Win32_DiskPartition.DeviceID="ディスク #3, パーティション #0"`,
				"Dependent": `\\NODE1\root\cimv2:Win32_LogicalDisk.DeviceID="E:"`})...)
		m.SetClass(logical, append(m.Classes[strings.ToLower(logical)],
			node.Row{"DeviceID": "E:", "DriveType": int64(3), "FileSystem": nil, "VolumeName": nil})...)
	case line == `format fs=ntfs label="Data 1" quick`:
		volume := m.Classes[strings.ToLower(logical)][2]
		volume["FileSystem"], volume["VolumeName"] = "NTFS", "Data 1"
		m.SetDir(`E:\System Volume Information`)
	case line == "select partition 1":
	case line == "delete partition":
		for _, c := range []string{partitions, letters} {
			m.SetClass(c, m.Classes[strings.ToLower(c)][:1]...)
		}
		m.SetClass(logical, m.Classes[strings.ToLower(logical)][:2]...)
		delete(m.Files, `e:\system volume information`)
	default:
		return 5
	}
	return 0
}

func TestDiskAndVolumeOn2008(t *testing.T) {
	m := machine(node.WS2008, play)
	open := func(*testing.T) node.Session { return m }
	conformance.Run(t, conformance.Case{Kind: diskKind(), With: map[string]any{"serial": "600A0B80"}, Open: open})
	apply(t, &Disk{Serial: "600A0B80", Style: "mbr", Initialize: true}, m)
	conformance.Run(t, conformance.Case{Kind: volumeKind(),
		With: map[string]any{"serial": "600A0B80", "letter": "e", "label": "Data 1"}, Open: open})
	if m.Files[strings.ToLower(script)] != nil {
		t.Error("diskpart's script was left behind")
	}
}

// Undo never deletes what somebody has put there: the volume and its disk are left, and it says
// why.
func TestUndoLeavesData(t *testing.T) {
	m := machine(node.WS2008, play)
	disk, volume := &Disk{Serial: "600A0B80", Style: "mbr", Initialize: true},
		&Volume{Serial: "600A0B80", Letter: "E", Label: "Data 1"}
	first := apply(t, disk, m)
	second := apply(t, volume, m)
	m.SetFile(`E:\mail.edb`, []byte("x"))
	for why, err := range map[string]error{
		"volume E: of disk 600A0B80 holds 1 entry (mail.edb)": volume.Undo(t.Context(), m, second.Before),
		"disk 600A0B80 holds": disk.Undo(t.Context(), m, first.Before),
	} {
		var left *steps.LeftError
		if !errors.As(err, &left) || !strings.HasPrefix(left.Why, why) || hint.Of(err) == "" {
			t.Errorf("%v, want left with advice: %s", err, why)
		}
	}
	if m.Asked("run", "diskpart") != 3 { // one for the disk, two for the volume
		t.Error("undo has run diskpart")
	}
}

func TestWhatIsOnADiskIsLeftAlone(t *testing.T) {
	m := machine(node.WS2008, play)
	apply(t, &Disk{Serial: "600A0B80", Style: "mbr", Initialize: true}, m)
	apply(t, &Volume{Serial: "600A0B80", Letter: "E", Label: "Data 1"}, m)
	for name, s := range map[string]steps.Step{
		"other letter": &Volume{Serial: "600A0B80", Letter: "F", Label: "Data 1"},
		"other label":  &Volume{Serial: "600A0B80", Letter: "E", Label: "Logs"},
		"other size":   &Volume{Serial: "600A0B80", Letter: "E", Size: 500},
		"other disk":   &Volume{Serial: "600A0B81", Letter: "E"},
		"local disk":   &Volume{Serial: "LOCAL", Letter: "Q"},
		"letter taken": &Letter{Serial: "600A0B80", Letter: "D"},
	} {
		if d, err := s.Check(t.Context(), m); err == nil || hint.Of(err) == "" {
			t.Errorf("%s: %+v, %v", name, d, err)
		}
	}
	if d, err := (&Volume{Serial: "600a0b80", Letter: "E:"}).Check(t.Context(), m); err != nil || d.Action != steps.NoOp {
		t.Errorf("a volume that fits: %+v, %v", d, err)
	}
	if d, err := (&Letter{Serial: "600A0B80", Letter: "E"}).Check(t.Context(), m); err != nil || d.Action != steps.NoOp {
		t.Errorf("the disk's own letter: %+v, %v", d, err)
	}
}

// On 2008 an offline disk looks empty. What it holds shows once it is online, and then nothing may
// be made on it.
func TestOfflineDiskThatWasFull(t *testing.T) {
	m := machine(node.WS2008, func(m *nodetest.Machine, line string) int {
		if line == "online disk noerr" {
			m.SetClass(partitions, node.Row{"DeviceID": "x", "DiskIndex": int64(3), "Index": int64(0), "Size": int64(500 << 20),
				"Type": "x"})
		}
		if strings.HasPrefix(line, "create") || strings.HasPrefix(line, "format") {
			t.Errorf("diskpart was told to %s", line)
		}
		return 0
	})
	s := &Volume{Serial: "600A0B80", Letter: "E"}
	d, err := s.Check(t.Context(), m)
	if err != nil || d.Action != steps.Create {
		t.Fatalf("%+v, %v", d, err)
	}
	if _, err := s.Apply(t.Context(), m, d); err == nil {
		t.Error("apply went on")
	}
}

// A disk that the cluster holds on another node looks empty here. Nothing may be concluded from
// that.
func TestDiskOfTheCluster(t *testing.T) {
	m := machine(node.WS2008, play)
	m.Classes[strings.ToLower(drives)][1]["Signature"] = int64(0xA0000001)
	s := &Volume{Serial: "600A0B80", Letter: "E"}
	if d, err := s.Check(t.Context(), m); err != nil || d.Action != steps.Create {
		t.Errorf("before the cluster: %+v, %v", d, err)
	}
	m.SetKey(`HKLM\Cluster`)
	if d, err := s.Check(t.Context(), m); err == nil {
		t.Errorf("the cluster cannot be asked, so nothing can be told: %+v", d)
	}
	m.SetClass(clusterNS+":"+clusterDisk, node.Row{"Signature": int64(0xB), "GptGuid": ""})
	if d, err := s.Check(t.Context(), m); err != nil || d.Action != steps.Create {
		t.Errorf("another disk of the cluster: %+v, %v", d, err)
	}
	// the same, as a signed number
	m.SetClass(clusterNS+":"+clusterDisk, node.Row{"Signature": int64(-1610612735), "GptGuid": ""})
	d, err := s.Check(t.Context(), m)
	if err != nil || d.Action != steps.NoOp || len(d.Warnings) != 1 {
		t.Errorf("the cluster's disk: %+v, %v", d, err)
	}
	m.F.Release = node.WS2003
	m.SetClass(`root\cimv2:Win32_PhysicalMedia`, node.Row{"Tag": `\\.\PHYSICALDRIVE3`, "SerialNumber": "600a0b80"})
	if d, err := s.Check(t.Context(), m); err != nil || d.Action != steps.Create {
		t.Errorf("2003, not the cluster's: %+v, %v", d, err)
	}
	m.SetValue(`HKLM\Cluster\Resources\abc\Parameters`, "Signature", "dword", int64(0xA0000001))
	if d, err := s.Check(t.Context(), m); err != nil || d.Action != steps.NoOp {
		t.Errorf("2003, the cluster's: %+v, %v", d, err)
	}
}

func TestDiskpartIsJudgedByItsExitCode(t *testing.T) {
	m := machine(node.WS2008, func(*nodetest.Machine, string) int { return -2147024809 })
	s := &Disk{Serial: "600A0B80", Style: "mbr", Initialize: true}
	_, err := s.Apply(t.Context(), m, steps.Diff{Action: steps.Create})
	if code, ok := node.Code(err); !ok || code != -2147024809 {
		t.Errorf("error %v", err)
	}
	if m.Files[strings.ToLower(script)] != nil {
		t.Error("diskpart's script was left behind")
	}
}

func TestReadModule(t *testing.T) {
	list := fromModule(
		[]node.Row{{"Number": int64(2), "SerialNumber": "ABC ", "IsOffline": false, "IsReadOnly": true,
			"PartitionStyle": int64(2), "Size": int64(2 << 30)},
			{"Number": int64(4), "SerialNumber": "DEF", "IsOffline": true, "PartitionStyle": "MBR", "Size": int64(1 << 30)},
			{"Number": int64(5), "SerialNumber": "GHI", "PartitionStyle": int64(0)}},
		[]node.Row{{"DiskNumber": int64(2), "PartitionNumber": int64(1), "DriveLetter": "\x00",
			"GptType": "{E3C9E316-0B5C-4DB8-817D-F92DF00215AE}"},
			{"DiskNumber": int64(2), "PartitionNumber": int64(2), "DriveLetter": int64('F'), "Size": int64(1 << 30),
				"GptType": "{ebd0a0a2-b9e5-4433-87c0-68b6b72699c7}"},
			{"DiskNumber": int64(4), "PartitionNumber": int64(1), "DriveLetter": "", "MbrType": int64(0x42)}},
		[]node.Row{{"DriveLetter": "F", "FileSystem": "NTFS", "FileSystemLabel": "Logs"},
			{"DriveLetter": nil, "FileSystem": "RAW"}})
	if len(list) != 3 || list[0].Serial != "ABC" || list[0].Style != "gpt" || !*list[0].ReadOnly ||
		len(list[0].Parts) != 1 ||
		list[0].Parts[0] != (part{Number: 2, Letter: "F:", FS: "NTFS", Label: "Logs", SizeMB: 1024}) {
		t.Errorf("first disk %+v", list[0])
	}
	if list[1].Style != "mbr" || !list[1].Dynamic || !*list[1].Offline {
		t.Errorf("second disk %+v", list[1])
	}
	if list[2].Style != "raw" {
		t.Errorf("third disk %+v", list[2])
	}
}

func TestValidate(t *testing.T) {
	for name, s := range map[string]steps.Validator{
		"system letter": &Volume{Serial: "A", Letter: "C"},
	} {
		var fe *steps.FieldError
		if err := s.Validate(); !errors.As(err, &fe) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
