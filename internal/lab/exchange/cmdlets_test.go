package exchange

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"deploy/internal/lab/failover"
	"deploy/internal/lab/machine"
)

// served is a cluster whose clustered mailbox server mbx01 can run on both nodes, with its disks in
// its group.
func served(t *testing.T, locale string) *world {
	t.Helper()
	x := clustered(t, locale, "n1", "n2")
	x.must("n1", newCMS("mbx01", "192.0.2.21", `E:\mbx01`)...)
	for _, r := range x.cluster().Resources {
		if r.Disk == "E" || r.Disk == "F" {
			x.tool("n1", "cluster.exe", "resource", r.Name, "/move:mbx01")
		}
	}
	return x
}

func (x *world) one(c *machine.Ctx, name string, params map[string]any, sel ...string) machine.Object {
	x.t.Helper()
	rows, err := x.cmdlet(c, name, params, sel...)
	if err != nil || len(rows) != 1 {
		x.t.Fatalf("%s %v: %d rows, %v", name, params, len(rows), err)
	}
	return rows[0]
}

func TestStatus(t *testing.T) {
	for i, locale := range locales() {
		x := served(t, locale)
		active := []string{"Active", "Actif", "Aktiv", "アクティブ"}[i]
		look := func() (string, string) {
			o := x.one(x.at("n1"), "Get-ClusteredMailboxServerStatus", map[string]any{"Identity": "mbx01"}, "State:name",
				"State", "OperationalMachines", "FailedResources")
			return fmt.Sprint(o["State:name"]), fmt.Sprint(o["OperationalMachines"])
		}
		state, machines := look()
		if state != "Online" || machines != "[n1 <"+active+"> n2]" {
			t.Errorf("%s: %s on %s", locale, state, machines)
		}
		x.tool("n1", "cluster.exe", "resource", isName("mbx01"), "/off")
		if state, _ = look(); state != "PartiallyOnline" {
			t.Errorf("%s: without the store it is %s", locale, state)
		}
		x.tool("n1", "cluster.exe", "group", "mbx01", "/off")
		if state, _ = look(); state != "Offline" {
			t.Errorf("%s: offline it is %s", locale, state)
		}
		if _, err := x.cmdlet(x.at("n1"), "Start-ClusteredMailboxServer",
			map[string]any{"Identity": "mbx01", "Confirm": false}); err != nil {
			t.Error(err)
		}
		machine.GoDown(x.at("n2"))
		if state, machines = look(); state != "Online" || machines != "[n1 <"+active+">]" {
			t.Errorf("%s: without n2 it is %s on %s", locale, state, machines)
		}
	}
}

func TestMoveServer(t *testing.T) {
	const move = "Move-ClusteredMailboxServer"
	x := served(t, "en")
	owner := func() string { return failover.Group(x.cluster(), "mbx01").Owner }
	to := func(target string) map[string]any {
		return map[string]any{"Identity": "mbx01", "TargetMachine": target, "MoveComment": "test", "Confirm": false}
	}
	x.fails("InvalidOperationException", x.at("n1"), move,
		map[string]any{"Identity": "mbx01", "TargetMachine": "n2", "MoveComment": "test"})
	x.fails("ManagementObjectNotFoundException", x.at("n1"), move,
		map[string]any{"Identity": "mbx09", "TargetMachine": "n2", "Confirm": false})
	x.fails("ManagementObjectNotFoundException", x.at("n1"), move, to("n3"))
	x.fails("Microsoft.Exchange.Data.Directory.ADTransientException", x.network("n1"), move, to("n2"))
	if owner() != "n1" {
		t.Fatalf("a refused move moved it to %s", owner())
	}
	for _, target := range []string{"n2", "N2", "n1"} {
		if _, err := x.cmdlet(x.at("n1"), move, to(target)); err != nil || !strings.EqualFold(owner(), target) {
			t.Errorf("moved to %s: it is on %s, %v", target, owner(), err)
		}
		if s := x.service(strings.ToLower(target), "MSExchangeIS"); s != "start 3 state 4" {
			t.Errorf("on %s the store is %s", target, s)
		}
	}
	machine.GoDown(x.at("n2"))
	x.fails("InvalidOperationException", x.at("n1"), move, to("n2"))
	machine.ComeUp(x.at("n2"))
	x.fails("InvalidOperationException", x.at("n1"), "Stop-ClusteredMailboxServer",
		map[string]any{"Identity": "mbx01", "Confirm": false})
	if _, err := x.cmdlet(x.at("n1"), "Stop-ClusteredMailboxServer",
		map[string]any{"Identity": "mbx01", "StopReason": "test", "Confirm": false}); err != nil {
		t.Error(err)
	}
	if r := failover.Resource(x.cluster(), isName("mbx01")); r.State == 2 {
		t.Error("the stopped server's store is online")
	}
	if r := failover.Resource(x.cluster(), nnName("mbx01")); r.State != 2 {
		t.Error("the stopped server's name went offline")
	}
}

func TestServers(t *testing.T) {
	x := served(t, "ja")
	o := x.one(x.at("n2"), "Get-MailboxServer", map[string]any{"Identity": "MBX01"}, "Name", "RedundantMachines",
		"ClusteredStorageType:name")
	if o["Name"] != "mbx01" || fmt.Sprint(o["RedundantMachines"]) != "[n1 n2]" ||
		o["ClusteredStorageType:name"] != "Shared" {
		t.Errorf("the mailbox server is %v", o)
	}
	o = x.one(x.at("n1"), "Get-ExchangeServer", nil, "AdminDisplayVersion", "ServerRole", "IsMemberOfCluster:name",
		"IsHubTransportServer", "Fqdn")
	if o["AdminDisplayVersion"] != "Version 8.1 (Build 240.6)" || o["ServerRole"] != "Mailbox" ||
		o["IsMemberOfCluster:name"] != "Yes" ||
		o["IsHubTransportServer"] != false || o["Fqdn"] != "mbx01.contoso.com" {
		t.Errorf("the Exchange server is %v", o)
	}
	x.fails("ManagementObjectNotFoundException", x.at("n1"), "Get-MailboxServer", map[string]any{"Identity": "mbx09"})
	x.fails("deploy.Unsupported", x.at("n1"), "Get-MailboxServer", map[string]any{"Nobody": 1})
	x.fails("Microsoft.Exchange.Data.Directory.ADTransientException", x.network("n1"), "Get-MailboxServer", nil)
	if _, err := x.cmdlet(x.at("dc01"), "Get-MailboxServer", nil); err == nil {
		t.Error("the snap-in answers where Exchange is not installed")
	}
}

func TestPaths(t *testing.T) {
	for _, locale := range locales() {
		x := served(t, locale)
		c := x.at("n1")
		sg, mdb := firstNames(c)
		group, db := `mbx01\`+sg, `mbx01\`+sg+`\`+mdb
		path := func(o machine.Object, attr string) any { return o[attr+".PathName"] }
		x.fails("InvalidOperationException", c, "Move-StorageGroupPath",
			map[string]any{"Identity": group, "LogFolderPath": `F:\logs`})
		x.fails("ManagementObjectNotFoundException", c, "Move-StorageGroupPath",
			map[string]any{"Identity": `mbx01\none`, "LogFolderPath": `F:\logs`, "Force": true})
		x.fails("InvalidOperationException", x.at("n2"), "Move-StorageGroupPath",
			map[string]any{"Identity": group, "LogFolderPath": `F:\logs`, "Force": true, "Confirm": false})
		x.fails("InvalidOperationException", c, "Move-DatabasePath",
			map[string]any{"Identity": db, "EdbFilePath": `E:\mbx01\mbx01.db`, "Force": true, "Confirm": false})
		x.fails("Microsoft.Exchange.Data.Directory.ADTransientException", x.network("n1"), "Move-DatabasePath",
			map[string]any{"Identity": db, "EdbFilePath": `E:\a.edb`, "Force": true})

		if _, err := x.cmdlet(c, "Move-StorageGroupPath", map[string]any{"Identity": group, "LogFolderPath": `F:\logs`,
			"SystemFolderPath": `F:\system`, "Force": true, "Confirm": false}); err != nil {
			t.Fatal(err)
		}
		o := x.one(c, "Get-StorageGroup", map[string]any{"Server": "mbx01"}, "Name", "LogFolderPath.PathName",
			"SystemFolderPath.PathName")
		if o["Name"] != sg || path(o, "LogFolderPath") != `F:\logs` || path(o, "SystemFolderPath") != `F:\system` {
			t.Errorf("%s: the storage group is %v", locale, o)
		}
		if !machine.Exists(c, `F:\logs\E00.log`) || !machine.Exists(c, `F:\system\E00.chk`) ||
			machine.Exists(c, `E:\mbx01\`+sg+`\E00.log`) {
			t.Errorf("%s: the logs did not move", locale)
		}
		if _, err := x.cmdlet(c, "Move-DatabasePath", map[string]any{"Identity": db, "EdbFilePath": `E:\mbx01\mbx01.edb`,
			"Force": true, "Confirm": false}); err != nil {
			t.Fatal(err)
		}
		o = x.one(c, "Get-MailboxDatabase", map[string]any{"Identity": db, "Status": true}, "Name", "EdbFilePath.PathName",
			"Mounted")
		if o["Name"] != mdb || path(o, "EdbFilePath") != `E:\mbx01\mbx01.edb` || o["Mounted"] != true ||
			!machine.Exists(c, `E:\mbx01\mbx01.edb`) {
			t.Errorf("%s: the database is %v", locale, o)
		}
		if o = x.one(c, "Get-MailboxDatabase", map[string]any{"Server": "mbx01"}, "Mounted"); o["Mounted"] != nil {
			t.Errorf("%s: without -Status nobody knows whether it is mounted, and it says %v", locale, o["Mounted"])
		}
		// without the file it does not mount
		if err := machine.RemoveFile(c, `E:\mbx01\mbx01.edb`, false); err != nil {
			t.Fatal(err)
		}
		name := sg + "/" + mdb + " (mbx01)"
		for _, way := range []string{"/off", "/on"} {
			machine.Exec(c, []string{"cluster.exe", "resource", name, way}, nil)
		}
		if o = x.one(c, "Get-MailboxDatabase", map[string]any{"Identity": mdb, "Status": true},
			"Mounted"); o["Mounted"] != false {
			t.Errorf("%s: a database without its file is mounted: %v", locale, o["Mounted"])
		}
	}
	names := map[string]bool{}
	for _, c := range (&Family{}).cmdlets() {
		names[c.Name] = true
		if !slices.Contains(c.Params, "DomainController") {
			t.Errorf("%s takes no DomainController", c.Name)
		}
	}
	if len(names) != 10 {
		t.Errorf("cmdlets: %v", names)
	}
}
