package machine

import (
	"fmt"
	"strings"
	"testing"

	"deploy/internal/lab/model"
	"deploy/internal/node"
	"deploy/internal/session/powershell/protocol"
)

func numberOf(t *testing.T, c *Ctx, serial string) int {
	t.Helper()
	for _, d := range Disks(c) {
		if d.Disk.Serial == serial {
			return d.See.Number
		}
	}
	t.Fatalf("no disk %s", serial)
	return 0
}

func script(t *testing.T, c *Ctx, lines ...string) Result {
	t.Helper()
	if err := WriteFile(c, `C:\Windows\Temp\d.txt`, []byte(strings.Join(lines, "\r\n"))); err != nil {
		t.Fatal(err)
	}
	return CommandLine(c, `diskpart /s C:\Windows\Temp\d.txt`, nil)
}

// The standard script for a shared disk (windows.md 6.1) works in every language, and stops where
// it must.
func TestDiskpart(t *testing.T) {
	for _, locale := range []string{"en", "fr", "de", "ja"} {
		l := newLab(t, node.WS2008, locale)
		c := l.node1()
		n := numberOf(t, c, "E1")
		disk := l.w.Disks["E1"]
		see := findVisible(c, "E1")
		run := func(code int, lines ...string) string {
			t.Helper()
			r := script(t, c, append([]string{fmt.Sprintf("select disk %d", n)}, lines...)...)
			if r.Code != code {
				t.Fatalf("%s: %v left %d, want %d:\n%s", locale, lines, r.Code, code, r.Stdout)
			}
			return r.Stdout
		}
		run(4, "create partition primary")                // offline
		run(4, "online disk", "create partition primary") // read-only
		if see.Offline || disk.Style != "RAW" {
			t.Errorf("after a failed script: %+v %+v", see, disk)
		}
		run(4, "online disk") // is online
		run(0, "online disk noerr", "attributes disk clear readonly noerr", "rem the seed's order",
			"create partition primary align=1024", "assign letter=E", `format fs=ntfs label="Mail 1" quick`)
		p := disk.Partitions[0]
		if disk.Style != "MBR" || disk.Signature == 0 || p.FS != "NTFS" || p.Label != "Mail 1" || p.OffsetKB != 1024 ||
			see.Letters[1] != "E:" || p.SizeMB != 20479 {
			t.Errorf("disk %+v partition %+v letters %v", disk, p, see.Letters)
		}
		run(4, "select partition 1", "assign letter=C")
		run(4, "create partition primary") // no room
		run(5, "frobnicate")
		run(5, "create partition")
		run(0, "frobnicate noerr")
		has(t, run(0, "list disk", "list volume", "list partition", "detail disk"), "NTFS")
		run(0, "select partition 1", "remove letter=E")
		if see.Letters != nil {
			t.Errorf("letters %v", see.Letters)
		}
		run(0, "clean")
		if disk.Style != "RAW" || disk.Partitions != nil || disk.Signature != 0 {
			t.Errorf("after clean: %+v", disk)
		}
		run(0, "convert gpt", "create partition primary size=1000", "assign")
		if len(disk.Partitions) != 2 || !disk.Partitions[0].Reserved || see.Letters[2] == "" {
			t.Errorf("GPT disk: %+v %v", disk.Partitions, see.Letters)
		}
		if r := script(t, c, "select disk 99"); r.Code != 4 {
			t.Errorf("a disk that is not there: %d", r.Code)
		}
		line(t, c, `diskpart /s C:\none.txt`, 3)
		disk.Owner = "mbx01-node2"
		run(4, "clean")
		run(4, "online disk")
	}
	// newer ones leave an HRESULT, which a .NET caller sees as a negative number
	c := newLab(t, node.WS2016, "en").node1()
	if r := script(t, c, "frobnicate"); r.Code != 0x80070057 {
		t.Errorf("left 0x%X", r.Code)
	}
	r := serve(t, c, "run", map[string]any{"argv": []any{"diskpart.exe", "/s", `C:\none.txt`}})[0]
	if r["code"] != int64(-2147024895) {
		t.Errorf("a .NET caller sees %v", r["code"])
	}
}

func TestDiskpartOf2003(t *testing.T) {
	c := newLab(t, node.WS2003, "en").node1()
	n := numberOf(t, c, "E1")
	sel := fmt.Sprintf("select disk %d", n)
	if r := script(t, c, sel, "create partition primary align=64", "assign letter=E"); r.Code != 0 {
		t.Fatal(r.Stdout)
	}
	for _, word := range []string{"format fs=ntfs quick", "online disk", "attributes disk clear readonly", "san"} {
		if r := script(t, c, sel, "select partition 1", word); r.Code != 5 {
			t.Errorf("%s on 2003 left %d", word, r.Code)
		}
	}
	line(t, c, "format E: /fs:ntfs /q", 5) // asks, and nobody answers
	line(t, c, "format E: /fs:ntfs /q /v:Mail /y", 0)
	line(t, c, "format Z: /fs:ntfs /q /y", 4)
	if p := c.W.Disks["E1"].Partitions[0]; p.FS != "NTFS" || p.Label != "Mail" || p.OffsetKB%64 != 0 {
		t.Errorf("partition %+v", p)
	}
	rows := serve(t, c, "wmi.get", wmi("Win32_PhysicalMedia", []string{"Tag", "SerialNumber"},
		map[string]any{"SerialNumber": "E1"}))
	if len(rows) != 1 || rows[0]["Tag"] != fmt.Sprintf(`\\.\PHYSICALDRIVE%d`, n) {
		t.Errorf("media %v", rows)
	}
	refusal(t, c, "wmi.get", wmi("Win32_DiskDrive", []string{"SerialNumber"}, nil), protocol.IDUnsupported, 0x80041017)
}

func TestDiskClasses(t *testing.T) {
	l := newLab(t, node.WS2008, "ja")
	c := l.node1()
	n := int64(numberOf(t, c, "E1"))
	drive := func() Object {
		return serve(t, c, "wmi.get", wmi("Win32_DiskDrive", []string{"Index", "Signature", "Size", "Partitions"},
			map[string]any{"SerialNumber": "e1"}))[0]
	}
	if d := drive(); d["Index"] != n || d["Signature"] != nil || d["Size"] != int64(20480)<<20 ||
		d["Partitions"] != int64(0) {
		t.Errorf("raw drive %v", d)
	}
	makeVolume(t, c, "E1", "E:")
	if d := drive(); d["Signature"] != int64(l.w.Disks["E1"].Signature) || d["Partitions"] != int64(1) {
		t.Errorf("drive %v", d)
	}
	part := serve(t, c, "wmi.get", wmi("Win32_DiskPartition", []string{"DeviceID", "Index", "Size", "StartingOffset"},
		map[string]any{"DiskIndex": n}))[0]
	if part["Index"] != int64(0) || part["StartingOffset"] != int64(1<<20) ||
		part["DeviceID"] != fmt.Sprintf("ディスク #%d, パーティション #0", n) {
		t.Errorf("partition %v", part)
	}
	var found bool
	for _, r := range serve(t, c, "wmi.get", wmi("Win32_LogicalDiskToPartition", []string{"Antecedent", "Dependent"},
		nil)) {
		if strings.HasSuffix(r["Dependent"].(string), `Win32_LogicalDisk.DeviceID="E:"`) {
			found = true
			has(t, r["Antecedent"].(string), part["DeviceID"].(string), `\\MBX01-NODE1\root\cimv2:Win32_DiskPartition.DeviceID=`)
		}
	}
	vol := serve(t, c, "wmi.get", wmi("Win32_Volume", []string{"DeviceID", "FileSystem", "Label", "Capacity"},
		map[string]any{"DriveLetter": "E:"}))
	if !found || len(vol) != 1 || vol[0]["FileSystem"] != "NTFS" || vol[0]["Label"] != "Data" {
		t.Errorf("letter found %t, volume %v", found, vol)
	}
	serve(t, c, "wmi.set", map[string]any{"ns": `root\cimv2`, "class": "Win32_Volume",
		"where": map[string]any{"DriveLetter": "E:"}, "set": map[string]any{"Label": "Mail"}})
	if l.w.Disks["E1"].Partitions[0].Label != "Mail" {
		t.Error("the label was not written")
	}
	// reserved for the other node: neither partitions nor letters are seen
	l.w.Disks["E1"].Owner = "mbx01-node2"
	if d := drive(); d["Partitions"] != int64(0) {
		t.Errorf("reserved drive %v", d)
	}
	if rows := serve(t, c, "wmi.get",
		wmi("Win32_Volume", []string{"DeviceID"}, map[string]any{"DriveLetter": "E:"})); len(rows) != 0 {
		t.Errorf("reserved volume %v", rows)
	}
}

// fails wants a cmdlet's refusal by its FullyQualifiedErrorId.
func fails(t *testing.T, c *Ctx, id, load, name string, params map[string]any) {
	t.Helper()
	_, err := RunCmdlet(c, name, load, params)
	if err == nil || c.AsFail(err).ID != id {
		t.Errorf("%s %v: %v, want %s", name, params, err, id)
	}
}

func TestStorageCmdlets(t *testing.T) {
	for _, locale := range []string{"en", "fr", "de", "ja"} {
		l := newLab(t, node.WS2016, locale)
		c := l.node1()
		n := int64(numberOf(t, c, "E1"))
		run := func(name string, params map[string]any) []Object {
			t.Helper()
			out, err := RunCmdlet(c, name, "Storage", params)
			if err != nil {
				t.Fatalf("%s %v: %v %s", name, params, err, c.AsFail(err).ID)
			}
			return out
		}
		num := map[string]any{"Number": n}
		d := run("Get-Disk", map[string]any{"SerialNumber": "E1"})[0]
		if d["Number"] != n || d["IsOffline"] != true || d["IsReadOnly"] != true || d["PartitionStyle"] != "RAW" ||
			d["IsClustered"] != false {
			t.Errorf("disk %v", d)
		}
		fails(t, c, "StorageWMI 41003,Initialize-Disk", "Storage", "Initialize-Disk", num)
		fails(t, c, "AmbiguousParameterSet,Set-Disk", "Storage", "Set-Disk",
			map[string]any{"Number": n, "IsOffline": false, "IsReadOnly": false})
		run("Set-Disk", map[string]any{"Number": n, "IsOffline": false})
		fails(t, c, "StorageWMI 41002,Initialize-Disk", "Storage", "Initialize-Disk", num)
		run("Set-Disk", map[string]any{"Number": n, "IsReadOnly": false})
		fails(t, c, "StorageWMI 41000,New-Partition", "Storage", "New-Partition",
			map[string]any{"DiskNumber": n, "UseMaximumSize": true})
		run("Initialize-Disk", map[string]any{"Number": n, "PartitionStyle": "GPT", "Confirm": false})
		fails(t, c, "StorageWMI 41001,Initialize-Disk", "Storage", "Initialize-Disk", num)
		fails(t, c, "StorageWMI 40005,New-Partition", "Storage", "New-Partition", map[string]any{"DiskNumber": n})
		fails(t, c, "StorageWMI 42002,New-Partition", "Storage", "New-Partition",
			map[string]any{"DiskNumber": n, "UseMaximumSize": true, "DriveLetter": "D"})
		fails(t, c, "StorageWMI 40000,New-Partition", "Storage", "New-Partition",
			map[string]any{"DiskNumber": n, "Size": int64(99) << 40})
		fails(t, c, "StorageWMI 41005,New-Partition", "Storage", "New-Partition",
			map[string]any{"DiskNumber": n, "UseMaximumSize": true, "Alignment": int64(1000)})
		p := run("New-Partition", map[string]any{"DiskNumber": n, "UseMaximumSize": true, "DriveLetter": "E"})[0]
		// behind the reserved one
		if p["PartitionNumber"] != int64(2) || p["DriveLetter"] != "E" || p["GptType"] != basicData {
			t.Errorf("partition %v", p)
		}
		if v := run("Get-Volume", map[string]any{"DriveLetter": "E"})[0]; v["FileSystem"] != "" {
			t.Errorf("raw volume %v", v)
		}
		run("Format-Volume", map[string]any{"DriveLetter": "E", "FileSystem": "NTFS", "NewFileSystemLabel": "Mail",
			"Confirm": false, "Force": true})
		if v := run("Get-Volume", map[string]any{"DriveLetter": "E"})[0]; v["FileSystem"] != "NTFS" ||
			v["FileSystemLabel"] != "Mail" {
			t.Errorf("volume %v", v)
		}
		run("Set-Partition", map[string]any{"DiskNumber": n, "PartitionNumber": int64(2), "NewDriveLetter": "M"})
		run("Remove-PartitionAccessPath", map[string]any{"DiskNumber": n, "PartitionNumber": int64(2), "AccessPath": `M:\`})
		if p := run("Get-Partition", map[string]any{"DiskNumber": n,
			"PartitionNumber": int64(2)})[0]; p["DriveLetter"] != "\x00" {
			t.Errorf("partition without a letter %v", p)
		}
		fails(t, c, "CmdletizationQuery_NotFound_Number,Get-Disk", "Storage", "Get-Disk", map[string]any{"Number": int64(99)})
		fails(t, c, "StorageWMI 41008,Clear-Disk", "Storage", "Clear-Disk", num)
		run("Remove-Partition", map[string]any{"DiskNumber": n, "PartitionNumber": int64(2), "Confirm": false})
		run("Clear-Disk", map[string]any{"Number": n, "Confirm": false}) // the reserved partition is no data
		if l.w.Disks["E1"].Style != "RAW" {
			t.Errorf("disk %+v", l.w.Disks["E1"])
		}
		fails(t, c, "StorageWMI 41009,Clear-Disk", "Storage", "Clear-Disk",
			map[string]any{"Number": int64(0), "RemoveData": true})

		l.w.Clusters["c"] = &model.Cluster{Resources: []*model.ClusterResource{{Disk: "E1"}}}
		fails(t, c, "StorageWMI 41019,Set-Disk", "Storage", "Set-Disk", map[string]any{"Number": n, "IsOffline": true})
		l.w.Disks["E1"].Owner = "mbx01-node2"
		fails(t, c, "StorageWMI 40018,New-Partition", "Storage", "New-Partition",
			map[string]any{"DiskNumber": n, "UseMaximumSize": true})
		if d := run("Get-Disk", num)[0]; d["IsClustered"] != true || d["IsOffline"] != true {
			t.Errorf("clustered disk %v", d)
		}
	}
	old := newLab(t, node.WS2012, "en").node1()
	// from 2016 on
	fails(t, old, "NamedParameterNotFound,Get-Disk", "Storage", "Get-Disk", map[string]any{"SerialNumber": "E1"})
}
