package machine

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"

	"deploy/internal/lab/model"
	"deploy/internal/node"
	"deploy/internal/session/powershell/protocol"
)

// What the machine does not have is refused with the ids and codes that the resident process gives
// it.
func TestRefusesWhatItDoesNotKnow(t *testing.T) {
	for _, locale := range []string{"en", "fr", "de", "ja"} {
		c := newLab(t, node.WS2008R2, locale).node1()
		refusal(t, c, "no.verb", nil, protocol.IDUnsupported, 50)
		refusal(t, c, "wmi.get", map[string]any{"ns": `root\nothing`, "class": "X"}, protocol.IDUnsupported, 0x8004100E)
		refusal(t, c, "wmi.get", wmi("Win32_Nothing", nil, nil), protocol.IDUnsupported, 0x80041010)
		refusal(t, c, "wmi.get", wmi("Win32_Service", []string{"Nothing"}, nil), protocol.IDUnsupported, 0x80041017)
		refusal(t, c, "wmi.get", wmi("Win32_Service", []string{"Name"}, map[string]any{"Nothing": "x"}),
			protocol.IDUnsupported, 0x80041017)
		refusal(t, c, "wmi.call", call("Win32_Service", "Nothing", map[string]any{"Name": "Dhcp"}, nil),
			protocol.IDUnsupported, 50)
		refusal(t, c, "wmi.call", call("Win32_Service", "ChangeStartMode", map[string]any{"Name": "Dhcp"},
			map[string]any{"Mode": "Manual"}), protocol.IDUnsupported, 50)
		refusal(t, c, "wmi.call", call("Win32_Service", "StartService", map[string]any{"Name": "nobody"}, nil),
			protocol.IDNotFound, 0x80041002)
		refusal(t, c, "wmi.call", call("Win32_Service", "StartService", map[string]any{"State": "Running"}, nil),
			"deploy.Ambiguous", 87)
		refusal(t, c, "wmi.set", map[string]any{"ns": `root\cimv2`, "class": "Win32_Service",
			"where": map[string]any{"Name": "Dhcp"}, "set": map[string]any{"State": "x"}}, "GetWMIManagementException",
			0x8004100C)
		refusal(t, c, "cmdlet", cmdletArgs("", "Get-Nothing", nil), protocol.IDUnsupported, 50)
		refusal(t, c, "cmdlet", cmdletArgs("Storage", "Get-Disk", nil), protocol.IDUnsupported, 50)
		refusal(t, c, "cmdlet", cmdletArgs("snapin:Nothing", "Get-Service", nil), protocol.IDUnsupported, 50)
		refusal(t, c, "cmdlet", cmdletArgs("", "Get-Service", map[string]any{"Nothing": 1}), protocol.IDUnsupported,
			corSystem)
		refusal(t, c, "run", map[string]any{"argv": []any{"nvspbind.exe", "/o"}}, protocol.IDUnsupported, 50)
		refusal(t, c, "reg.get", map[string]any{"key": `HKLM\SOFTWARE\Nothing`}, protocol.IDNotFound, 2)
		refusal(t, c, "reg.get", map[string]any{"key": `HKCU\Software`}, protocol.IDUnsupported, 50)
		refusal(t, c, "reg.delkey", map[string]any{"key": `HKLM\SOFTWARE`}, "deploy.Refused", 5)
		refusal(t, c, "file.stat", map[string]any{"path": `C:\nothing\here`}, protocol.IDNotFound, 2)
		refusal(t, c, "file.put", map[string]any{"path": `C:\nothing\here`, "offset": int64(0), "data": []byte("x")}, "",
			0x80070003)
		refusal(t, c, "file.remove", map[string]any{"path": `C:\`, "tree": true}, "deploy.Refused", 5)
		refusal(t, c, "dir.list", map[string]any{"path": `D:\Media\Exchange\setup.com`}, "deploy.NotDirectory", 267)
		refusal(t, c, "job.state", map[string]any{"id": "none"}, protocol.IDNotFound, 2)
		if _, err := RunCmdlet(c, "Get-Nothing", "", nil); c.AsFail(err).ID != "CommandNotFoundException" {
			t.Errorf("a PowerShell of its own answers %v", err)
		}
		_, err := RunCmdlet(c, "Get-Service", "", map[string]any{"Nothing": 1})
		if c.AsFail(err).ID != "NamedParameterNotFound,Get-Service" {
			t.Errorf("an unknown parameter is %v", c.AsFail(err).ID)
		}
	}
}

// The whole list of the resident's verbs is served, except the directory's, which another family
// brings.
func TestEveryVerbIsServed(t *testing.T) {
	have := strings.Join(Verbs(), " ") + " "
	for _, v := range []string{"facts", "reg.get", "reg.keys", "reg.set", "reg.del", "reg.delkey", "wmi.get", "wmi.call",
		"wmi.set", "cmdlet", "run", "file.stat", "file.read", "file.put",
		"file.commit", "file.hash", "file.remove", "dir.make", "dir.list", "acl.get", "acl.set", "job.start", "job.state",
		"job.remove", "restart"} {
		if !strings.Contains(have, v+" ") {
			t.Errorf("no verb %s", v)
		}
	}
}

// Everything that is answered can travel through the codec of package resident.
func TestAnswersCanTravel(t *testing.T) {
	for _, release := range []node.Release{node.WS2003, node.WS2008R2, node.WS2025} {
		c := newLab(t, release, "ja").node1()
		var rows []Object
		for _, k := range c.B.Classes {
			rows = append(rows, serve(t, c, "wmi.get", wmi(k.Name, nil, nil))...)
		}
		for _, k := range c.B.Cmdlets {
			if k.has(c) && strings.HasPrefix(k.Name, "Get-") {
				list, err := RunCmdlet(c, k.Name, k.Load, nil)
				if err != nil {
					t.Fatalf("%s: %v", k.Name, err)
				}
				for _, o := range list {
					row := Object{}
					for p := range o {
						row[p], row[p+":name"] = Select(o, p), Select(o, p+":name")
					}
					rows = append(rows, row)
				}
			}
		}
		rows = append(rows, serve(t, c, "reg.get", map[string]any{"key": tcpipLinkage})...)
		for _, r := range rows {
			if _, err := protocol.Encode(map[string]any(r)); err != nil {
				t.Errorf("%s: %v in %v", release, err, r)
			}
		}
	}
}

func TestRegistry(t *testing.T) {
	c := newLab(t, node.WS2008, "fr").node1()
	key := `HKLM\SOFTWARE\Contoso\App`
	serve(t, c, "reg.set", map[string]any{"key": key + `\Sub`, "name": "N", "type": "dword", "data": int64(7)})
	rows := serve(t, c, "reg.keys", map[string]any{"key": `HKLM\software\CONTOSO`})
	if len(rows) != 1 || rows[0]["name"] != "App" {
		t.Errorf("keys %v", rows)
	}
	if got := RegValue(c, strings.ToUpper(key)+`\sub`, "n"); got != int64(7) {
		t.Errorf("value %v", got)
	}
	serve(t, c, "reg.del", map[string]any{"key": key, "name": "absent"})
	serve(t, c, "reg.delkey", map[string]any{"key": key})
	refusal(t, c, "reg.get", map[string]any{"key": key + `\Sub`}, protocol.IDNotFound, 2)
	if rows := serve(t, c, "reg.keys", map[string]any{"key": `HKLM\SOFTWARE\Contoso`}); len(rows) != 0 {
		t.Errorf("the parent went with its child: %v", rows)
	}

	// services and adapters are the same thing in the registry as elsewhere
	svc := `HKLM\SYSTEM\CurrentControlSet\Services\Spooler`
	serve(t, c, "reg.set", map[string]any{"key": svc, "name": "Start", "type": "dword", "data": int64(4)})
	serve(t, c, "reg.set", map[string]any{"key": svc, "name": "DelayedAutostart", "type": "dword", "data": int64(1)})
	if s := Service(c, "spooler"); s.Start != 4 || !s.Delayed {
		t.Errorf("service %+v", s)
	}
	a := c.M.Adapters[0]
	serve(t, c, "reg.set", map[string]any{
		"key": `HKLM\SYSTEM\CurrentControlSet\Services\NetBT\Parameters\Interfaces\Tcpip_` + a.GUID, "name": "NetbiosOptions",
		"type": "dword", "data": int64(2)})
	if a.Netbios != 2 {
		t.Errorf("NetBIOS %d", a.Netbios)
	}
	a.Name = "Public"
	if n := RegValue(c, `HKLM\SYSTEM\CurrentControlSet\Control\Network\`+networkClass+`\`+a.GUID+`\Connection`,
		"Name"); n != "Public" {
		t.Errorf("name %v", n)
	}
}

func TestFiles(t *testing.T) {
	l := newLab(t, node.WS2008, "de")
	c := l.node1()
	sum := sha256.Sum256([]byte("hello, world"))
	hash := hex.EncodeToString(sum[:])
	serve(t, c, "dir.make", map[string]any{"path": `C:\Data\deep\er`})
	serve(t, c, "dir.make", map[string]any{"path": `C:\Data\deep`})
	serve(t, c, "file.put", map[string]any{"path": `C:\Data\t.tmp`, "offset": int64(0), "data": []byte("hello, ")})
	refusal(t, c, "file.put", map[string]any{"path": `C:\Data\t.tmp`, "offset": int64(3), "data": []byte("x")},
		"deploy.Changed", 38)
	serve(t, c, "file.put", map[string]any{"path": `C:\Data\t.tmp`, "offset": int64(7), "data": []byte("world")})
	serve(t, c, "file.commit", map[string]any{"temp": `C:\Data\t.tmp`, "path": `C:\Data\File.txt`, "sha256": hash})
	if r := serve(t, c, "file.hash", map[string]any{"path": `c:\data\file.TXT`})[0]; r["sha256"] != hash ||
		r["size"] != int64(12) {
		t.Errorf("hash %v", r)
	}
	if r := serve(t, c, "file.read", map[string]any{"path": `C:\Data\File.txt`, "offset": int64(7),
		"count": int64(100)})[0]; string(r["data"].([]byte)) != "world" {
		t.Errorf("read %v", r)
	}
	serve(t, c, "file.put", map[string]any{"path": `C:\Data\u.tmp`, "offset": int64(0), "data": []byte("x")})
	refusal(t, c, "file.commit", map[string]any{"temp": `C:\Data\u.tmp`, "path": `C:\Data\File.txt`, "sha256": hash},
		"deploy.Hash", 23)
	if Exists(c, `C:\Data\u.tmp`) {
		t.Error("a temporary file that arrived torn was left")
	}
	if rows := serve(t, c, "dir.list", map[string]any{"path": `C:\Data`}); len(rows) != 2 || rows[0]["name"] != "deep" ||
		rows[1]["name"] != "File.txt" {
		t.Errorf("list %v", rows)
	}
	refusal(t, c, "file.remove", map[string]any{"path": `C:\Data`, "tree": false}, "", 0x80070091)
	serve(t, c, "file.remove", map[string]any{"path": `C:\Data`, "tree": true})
	serve(t, c, "file.remove", map[string]any{"path": `C:\Data`, "tree": true})

	// the content of a shared disk is the same for every machine that has it
	makeVolume(t, c, "E1", "E:")
	serve(t, c, "dir.make", map[string]any{"path": `E:\Mail`})
	o := l.on("mbx01-node2")
	refusal(t, o, "file.stat", map[string]any{"path": `M:\Mail`}, protocol.IDNotFound, 2)
	for _, d := range Disks(o) {
		if d.Disk.Serial == "E1" {
			d.See.Offline = false
			SetLetter(d.See, 1, "M")
		}
	}
	if r := serve(t, o, "file.stat", map[string]any{"path": `M:\mail`})[0]; r["dir"] != true {
		t.Errorf("seen from the other machine: %v", r)
	}
	l.w.Disks["E1"].Owner = "MBX01-NODE1"
	refusal(t, o, "file.stat", map[string]any{"path": `M:\Mail`}, "", 0x80070015)

	// another machine's share takes a second hop
	refusal(t, c, "file.stat", map[string]any{"path": `\\dc01\c$\Windows`}, "", 0x80070005)
	c.Network = false
	if r := serve(t, c, "file.stat", map[string]any{"path": `\\dc01.contoso.com\c$\Windows`})[0]; r["dir"] != true {
		t.Errorf("share: %v", r)
	}
}

func TestACL(t *testing.T) {
	c := newLab(t, node.WS2008, "ja").node1()
	serve(t, c, "dir.make", map[string]any{"path": `C:\Data\Sub`})
	get := func(path string) string {
		return serve(t, c, "acl.get", map[string]any{"path": path})[0]["sddl"].(string)
	}
	before := get(`C:\Data`)
	if before != "D:AI"+defaultACEs {
		t.Errorf("fresh directory: %s", before)
	}
	serve(t, c, "acl.set", map[string]any{"path": `C:\Data`, "sddl": "D:(A;OICI;0x1f01ff;;;S-1-5-20)" + defaultACEs})
	if got := get(`C:\Data`); got != "D:AI(A;OICI;FA;;;NS)"+defaultACEs {
		t.Errorf("after a grant: %s", got)
	}
	if got := get(`C:\Data\Sub`); !strings.Contains(got, "(A;OICIID;FA;;;NS)") {
		t.Errorf("below it: %s", got)
	}
	serve(t, c, "acl.set", map[string]any{"path": `C:\Data\Sub`, "sddl": "D:P(A;;FA;;;SY)"})
	if got := get(`C:\Data\Sub`); got != "D:PAI(A;;FA;;;SY)" {
		t.Errorf("protected: %s", got)
	}
	serve(t, c, "acl.set", map[string]any{"path": `C:\Data`, "sddl": before})
	if f, err := StatFile(c, `C:\Data`); err != nil || f.SDDL != "" {
		t.Errorf("what was there before did not come back: %v %v", f, err)
	}
	refusal(t, c, "acl.set", map[string]any{"path": `C:\Data`, "sddl": "nonsense"}, "", 0x80070538)
	line(t, c, `icacls C:\Data /grant *S-1-5-20:(OI)(CI)F`, 0)
	has(t, get(`C:\Data`), "(A;OICI;FA;;;NS)")
	has(t, line(t, c, `cacls C:\Data /s`, 0), "(A;OICI;FA;;;NS)")
}

// What a program prints while it runs is its standard output: shown, or redirected with the rest.
func TestPrintedText(t *testing.T) {
	l := newLab(t, node.WS2008, "en")
	c := l.node1()
	l.b.Tools["progress.exe"] = func(c *Ctx, _ []string, _ []byte) Result {
		c.Print("10%\r\n")
		return Result{Stdout: "done\r\n"}
	}
	if out := line(t, c, "progress", 0); out != "10%\r\ndone\r\n" {
		t.Errorf("printed %q", out)
	}
	line(t, c, `progress > C:\p.txt`, 0)
	if out := line(t, c, `type C:\p.txt`, 0); out != "10%\r\ndone\r\n" {
		t.Errorf("redirected %q", out)
	}
	if r := serve(t, c, "run", map[string]any{
		"argv": []any{"progress"}})[0]; string(r["stdout"].([]byte)) != "10%\r\ndone\r\n" {
		t.Errorf("run gave %v", r)
	}
}

func TestHistoryHasNoSecrets(t *testing.T) {
	l := newLab(t, node.WS2008R2, "en")
	c := l.node1()
	run := l.background(c)
	serve(t, c, "job.start", map[string]any{"id": "a", "argv": []any{"hostname.exe", "/pass:right", "/rp", "right"},
		"user": `CONTOSO\deploy`, "password": "right"})
	run()
	CommandLine(c, `schtasks /create /tn x /tr hostname /sc once /st 00:00 /ru CONTOSO\deploy /rp right`, nil)
	CommandLine(c, `schtasks /create /tn x /tr hostname /sc once /st 00:00 /ru CONTOSO\deploy /rp "two right"`, nil)
	CommandLine(c, `net user deploy right /add`, nil)
	_, _ = Serve(c, "cmdlet", map[string]any{"name": "Get-Service", "params": map[string]any{"Name": "right"},
		"user": `CONTOSO\deploy`, "password": "right"})
	raw, err := json.Marshal(struct {
		W *model.World
		H []model.HistoryEntry
	}{l.w, l.w.History})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(raw), "right\"") || strings.Contains(string(raw), ":right") ||
		strings.Contains(string(raw), " right") {
		t.Errorf("the password is in the history or the state")
	}
	if len(l.w.History) < 4 {
		t.Errorf("history has %d lines", len(l.w.History))
	}
}
