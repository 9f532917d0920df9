package machine

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"deploy/internal/lab/model"
	"deploy/internal/node"
	"deploy/inventory"
)

func TestDeliver(t *testing.T) {
	names := map[string][4]string{ // connection names before 2012 and after
		"en": {"Local Area Connection", "Local Area Connection 2", "Ethernet", "Ethernet 2"},
		"fr": {"Connexion au réseau local", "Connexion au réseau local 2", "Ethernet", "Ethernet 2"},
		"de": {"LAN-Verbindung", "LAN-Verbindung 2", "Ethernet", "Ethernet 2"},
		"ja": {"ローカル エリア接続", "ローカル エリア接続 2", "イーサネット", "イーサネット 2"},
	}
	for _, release := range node.WindowsReleases() {
		for locale, want := range names {
			l := newLab(t, release, locale)
			c := l.node1()
			facts := serve(t, c, "facts", nil)[0]
			if got := node.ReleaseOf(facts["version"].(string), int(facts["build"].(int64))); got != release {
				t.Errorf("%s calls itself %s", release, got)
			}
			at := 0
			if release.AtLeast(node.WS2012) {
				at = 2
			}
			if c.M.Adapters[0].Name != want[at] || c.M.Adapters[1].Name != want[at+1] {
				t.Errorf("%s %s: connections %q, %q", release, locale, c.M.Adapters[0].Name, c.M.Adapters[1].Name)
			}
			for _, v := range c.M.Visible {
				if raw := release.AtLeast(node.WS2008) && !v.Local; v.Offline != raw || v.ReadOnly != raw {
					t.Errorf("%s: disk %s offline %t read-only %t", release, v.Serial, v.Offline, v.ReadOnly)
				}
			}
			if facts["domain_role"] != int64(3) || l.w.Machine("dc01").Role != 5 || facts["domain"] != "contoso.com" {
				t.Errorf("%s: facts %v", release, facts)
			}
			bind, _ := RegValue(c, tcpipLinkage, "Bind").([]string)
			if len(bind) != 3 || bind[0] != `\Device\`+c.M.Adapters[1].GUID {
				t.Errorf("bind order %q", bind)
			}
			if n := RegValue(c, `HKLM\SYSTEM\CurrentControlSet\Control\Network\`+networkClass+`\`+c.M.Adapters[0].GUID+
				`\Connection`, "Name"); n != want[at] {
				t.Errorf("registry calls the connection %v", n)
			}
			if !Exists(c, `D:\media\exchange\SETUP.COM`) || !Exists(c, `C:\Windows\Temp`) {
				t.Errorf("media or directories are missing")
			}
		}
	}
}

// Disk numbers are a result of each machine's own scan.
func TestDiskNumbersDiffer(t *testing.T) {
	l := newLab(t, node.WS2008, "en")
	number := func(m string, serial string) int {
		for _, v := range l.w.Machine(m).Visible {
			if v.Serial == serial {
				return v.Number
			}
		}
		return -1
	}
	for _, s := range []string{"Q1", "E1"} {
		if a, b := number("mbx01-node1", s), number("mbx01-node2", s); a == b || a < 1 || b < 1 {
			t.Errorf("disk %s has the numbers %d and %d", s, a, b)
		}
	}
	if number("dc01", "Q1") != -1 {
		t.Error("the domain controller sees a cluster disk")
	}
}

func TestDeliverIsRepeatable(t *testing.T) {
	a, b := newLab(t, node.WS2016, "ja"), newLab(t, node.WS2016, "ja")
	if d := cmp.Diff(a.w, b.w, cmpopts.IgnoreUnexported(model.World{})); d != "" {
		t.Error(d)
	}
}

func TestDeliverRefuses(t *testing.T) {
	for want, change := range map[string]func(s *inventory.Site){
		"release": func(s *inventory.Site) { s.Lab.OS = "2000" },
		"locale":  func(s *inventory.Site) { s.Lab.Locale = "it" },
		"prefix": func(s *inventory.Site) {
			s.Lab.Machines["dc01"] = inventory.LabMachine{Adapters: []inventory.LabAdapter{{Address: "10.0.0.1"}}}
		},
		"media":     func(s *inventory.Site) { s.Lab.Machines["dc01"] = inventory.LabMachine{Media: []string{`exchange`}} },
		"serial":    func(s *inventory.Site) { s.Lab.Disks = append(s.Lab.Disks, s.Lab.Disks[0]) },
		"small":     func(s *inventory.Site) { s.Lab.Disks[0].SizeMB = 1 },
		"no machin": func(s *inventory.Site) { s.Lab.Disks[0].Nodes = []string{"nobody"} },
		"domain":    func(s *inventory.Site) { s.Lab.Domain = "" },
	} {
		s := site(node.WS2008, "en")
		change(s)
		if _, err := Deliver(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error about %s, got %v", want, err)
		}
	}
}

// A world that was saved and loaded is the same world, after everything that the base behaviours
// can put into it.
func TestWorldSurvivesJSON(t *testing.T) {
	for _, release := range []node.Release{node.WS2003, node.WS2008, node.WS2022} {
		l := newLab(t, release, "fr")
		c := l.node1()
		key := `HKLM\SOFTWARE\Deploy Test`
		for _, v := range []struct {
			typ  string
			data any
		}{{"dword", int64(4294967295)}, {"qword", int64(1) << 60}, {"multi", []any{"a", ""}}, {"binary", []byte{0, 1, 255}},
			{"binary", []byte{}}, {"string", ""}, {"expand", `%SystemRoot%\x`}} {
			serve(t, c, "reg.set", map[string]any{"key": key, "name": v.typ, "type": v.typ, "data": v.data})
		}
		serve(t, c, "reg.set", map[string]any{"key": key, "name": "empty", "type": "multi", "data": []any{}})
		serve(t, c, "file.put", map[string]any{"path": `C:\Windows\Temp\a.bin`, "offset": int64(0), "data": []byte{1, 2, 3}})
		makeVolume(t, c, "E1", "E:")
		serve(t, c, "dir.make", map[string]any{"path": `E:\Exchange\Data`})
		run := l.background(c)
		serve(t, c, "job.start", map[string]any{"id": "j1", "argv": []any{"hostname.exe"}})
		run()
		PendReboot(c, "test", "cbs")
		raw, err := json.Marshal(l.w)
		if err != nil {
			t.Fatal(err)
		}
		var back model.World
		if err := json.Unmarshal(raw, &back); err != nil {
			t.Fatal(err)
		}
		ignore := cmp.Options{cmpopts.IgnoreUnexported(model.World{}), cmpopts.IgnoreFields(model.World{}, "History"),
			cmpopts.IgnoreFields(model.Forest{}, "Users"), cmpopts.EquateEmpty()}
		if d := cmp.Diff(l.w, &back, ignore); d != "" {
			t.Errorf("%s: lost in JSON (-before +after):\n%s", release, d)
		}
		again, err := json.Marshal(&back)
		if err != nil || string(again) != string(raw) {
			t.Errorf("%s: a second save differs", release)
		}
		l.w = &back
		got := serve(t, l.node1(), "reg.get", map[string]any{"key": key})
		i := slices.IndexFunc(got, func(o Object) bool { return o["name"] == "dword" })
		if i < 0 || got[i]["data"] != int64(4294967295) {
			t.Errorf("the dword came back as %v", got)
		}
	}
}

// makeVolume brings a shared disk of c's machine to one NTFS volume with a letter, in the way of
// its release.
func makeVolume(t *testing.T, c *Ctx, serial, letter string) {
	t.Helper()
	for _, d := range Disks(c) {
		if d.Disk.Serial != serial {
			continue
		}
		d.See.Offline, d.See.ReadOnly = false, false
		if e := InitDisk(c, d, "MBR"); e != diskNone {
			t.Fatalf("init: %v", e)
		}
		p, e := AddPartition(c, d, 0, 0)
		if e != diskNone {
			t.Fatalf("partition: %v", e)
		}
		if e := FormatPartition(c, d, p, "ntfs", "Data"); e != diskNone {
			t.Fatalf("format: %v", e)
		}
		if e := AssignLetter(c, d, p.Number, letter); e != diskNone {
			t.Fatalf("letter: %v", e)
		}
		return
	}
	t.Fatalf("no disk %s", serial)
}
