package machine

import (
	"slices"
	"strings"
	"testing"

	"deploy/internal/node"
)

// The return codes of the setters (windows.md 5.4).
func TestAdapterConfiguration(t *testing.T) {
	c := newLab(t, node.WS2003, "de").node1()
	a := c.M.Adapters[0]
	method := func(name string, args map[string]any) int64 {
		t.Helper()
		return serve(t, c, "wmi.call", call("Win32_NetworkAdapterConfiguration", name,
			map[string]any{"SettingID": strings.ToLower(a.GUID)}, args))[0]["ReturnValue"].(int64)
	}
	one := func(s string) []any { return []any{s} }
	for _, x := range []struct {
		method string
		args   map[string]any
		want   int64
	}{
		{"EnableStatic", map[string]any{"IPAddress": one("10.9.0.1"), "SubnetMask": one("255.255.0.0")}, 0},
		{"EnableStatic", map[string]any{"IPAddress": one("10.9.0.1"), "SubnetMask": one("255.0.255.0")}, 66},
		{"EnableStatic", map[string]any{"IPAddress": one("300.1.1.1"), "SubnetMask": one("255.255.0.0")}, 70},
		{"EnableStatic", map[string]any{"IPAddress": one("10.9.0.1"), "SubnetMask": []any{}}, 68},
		{"SetGateways", map[string]any{"DefaultIPGateway": one("10.9.0.254")}, 0},
		{"SetGateways", map[string]any{"DefaultIPGateway": one("x")}, 71},
		{"SetGateways", map[string]any{"DefaultIPGateway": []any{"1.1.1.1", "1.1.1.2", "1.1.1.3", "1.1.1.4", "1.1.1.5",
			"1.1.1.6"}}, 69},
		{"SetDNSServerSearchOrder", map[string]any{"DNSServerSearchOrder": []any{"10.9.0.5", "10.9.0.6"}}, 0},
		{"SetDNSServerSearchOrder", map[string]any{"DNSServerSearchOrder": one("x")}, 70},
		{"SetDynamicDNSRegistration", map[string]any{"FullDNSRegistrationEnabled": false}, 0},
		{"SetDynamicDNSRegistration", nil, 68},
		{"SetTcpipNetbios", map[string]any{"TcpipNetbiosOptions": int64(2)}, 0},
		{"SetTcpipNetbios", map[string]any{"TcpipNetbiosOptions": int64(3)}, 68},
	} {
		if got := method(x.method, x.args); got != x.want {
			t.Errorf("%s %v returned %d, want %d", x.method, x.args, got, x.want)
		}
	}
	row := serve(t, c, "wmi.get", wmi("Win32_NetworkAdapterConfiguration",
		[]string{"IPAddress", "IPSubnet", "DefaultIPGateway", "DNSServerSearchOrder", "DHCPEnabled",
			"FullDNSRegistrationEnabled", "TcpipNetbiosOptions"},
		map[string]any{"MACAddress": a.MAC}))[0]
	if !slices.Equal(row["IPAddress"].([]any), one("10.9.0.1")) ||
		!slices.Equal(row["IPSubnet"].([]any), one("255.255.0.0")) || row["DHCPEnabled"] != false ||
		row["FullDNSRegistrationEnabled"] != false || row["TcpipNetbiosOptions"] != int64(2) ||
		len(row["DNSServerSearchOrder"].([]any)) != 2 {
		t.Errorf("configuration %v", row)
	}
	if method("SetDNSServerSearchOrder", nil) != 0 || method("EnableDHCP", nil) != 0 || !a.DHCP || a.DNS != nil ||
		a.Gateways != nil {
		t.Errorf("adapter %+v", a)
	}
	a.LinkDown = true
	if method("EnableDHCP", nil) != 84 {
		t.Error("a card without TCP/IP takes settings")
	}
	row = serve(t, c, "wmi.get", wmi("Win32_NetworkAdapterConfiguration",
		[]string{"IPEnabled", "IPAddress", "TcpipNetbiosOptions"}, map[string]any{"SettingID": a.GUID}))[0]
	if row["IPEnabled"] != false || row["IPAddress"] != nil || row["TcpipNetbiosOptions"] != nil {
		t.Errorf("configuration %v", row)
	}
}

// What each release has: GUID and NetEnabled came with 2008; IPv6 addresses stand beside IPv4 from
// then on.
func TestAdapters(t *testing.T) {
	for _, release := range []node.Release{node.WS2003, node.WS2008} {
		c := newLab(t, release, "fr").node1()
		_, err := Serve(c, "wmi.get", wmi("Win32_NetworkAdapter", []string{"GUID", "NetEnabled"}, nil))
		if (err == nil) != release.AtLeast(node.WS2008) {
			t.Errorf("%s: %v", release, err)
		}
		rows := serve(t, c, "wmi.get", wmi("Win32_NetworkAdapter", []string{"NetConnectionID", "MACAddress", "Index"}, nil))
		if len(rows) != 3 || rows[0]["NetConnectionID"] != nil || rows[0]["MACAddress"] != nil ||
			rows[1]["NetConnectionID"] != "Connexion au réseau local" {
			t.Errorf("adapters %v", rows)
		}
		ips := serve(t, c, "wmi.get", wmi("Win32_NetworkAdapterConfiguration", []string{"IPAddress"},
			map[string]any{"Index": rows[1]["Index"]}))[0]["IPAddress"].([]any)
		if want := map[bool]int{false: 1, true: 2}[release.AtLeast(node.WS2008)]; len(ips) != want {
			t.Errorf("%s: addresses %v", release, ips)
		}
	}
}

func TestNetCmdlets(t *testing.T) {
	c := newLab(t, node.WS2022, "ja").node1()
	a := c.M.Adapters[0]
	run := func(load, name string, params map[string]any) []Object {
		t.Helper()
		out, err := RunCmdlet(c, name, load, params)
		if err != nil {
			t.Fatalf("%s %v: %v", name, params, err)
		}
		return out
	}
	run("NetAdapter", "Rename-NetAdapter", map[string]any{"Name": a.Name, "NewName": "Public"})
	fails(t, c, "Windows System Error 183,Rename-NetAdapter", "NetAdapter", "Rename-NetAdapter",
		map[string]any{"Name": "Public", "NewName": c.M.Adapters[1].Name})
	fails(t, c, "CmdletizationQuery_NotFound_Name,Get-NetAdapter", "NetAdapter", "Get-NetAdapter",
		map[string]any{"Name": "none"})
	index := run("NetAdapter", "Get-NetAdapter", map[string]any{"Name": "pub*"})[0]["InterfaceIndex"]
	i := run("NetTCPIP", "Get-NetIPInterface", map[string]any{"InterfaceIndex": index, "AddressFamily": "IPv4"})[0]
	if Select(i, "AutomaticMetric") != int64(1) || Select(i, "AutomaticMetric:name") != "Enabled" ||
		Select(i, "AddressFamily") != int64(2) {
		t.Errorf("interface %v", i)
	}
	run("NetTCPIP", "Set-NetIPInterface", map[string]any{"InterfaceIndex": index, "AddressFamily": "IPv4",
		"InterfaceMetric": int64(5)})
	if i := run("NetTCPIP", "Get-NetIPInterface",
		map[string]any{"ifIndex": index, "AddressFamily": "IPv4"})[0]; i["InterfaceMetric"] != int64(5) ||
		Select(i, "AutomaticMetric") != int64(0) {
		t.Errorf("interface %v", i)
	}
	run("NetTCPIP", "Set-NetIPInterface", map[string]any{"InterfaceIndex": index, "AutomaticMetric": "Enabled"})
	if a.Metric != 0 {
		t.Errorf("metric %d", a.Metric)
	}
	run("NetTCPIP", "New-NetIPAddress", map[string]any{"InterfaceAlias": "Public", "IPAddress": "10.8.0.1",
		"PrefixLength": int64(16)})
	fails(t, c, "Windows System Error 5010,New-NetIPAddress", "NetTCPIP", "New-NetIPAddress",
		map[string]any{"InterfaceAlias": "Public", "IPAddress": "10.8.0.1", "PrefixLength": int64(16)})
	if list := run("NetTCPIP", "Get-NetIPAddress",
		map[string]any{"InterfaceAlias": "Public", "AddressFamily": "IPv4"}); len(list) != 2 {
		t.Errorf("addresses %v", list)
	}
	run("NetTCPIP", "Remove-NetIPAddress", map[string]any{"IPAddress": "10.8.0.1", "Confirm": false})
	fails(t, c, "CmdletizationQuery_NotFound_IPAddress,Get-NetIPAddress", "NetTCPIP", "Get-NetIPAddress",
		map[string]any{"IPAddress": "10.8.0.1"})
	run("DnsClient", "Set-DnsClient", map[string]any{"InterfaceAlias": "Public", "RegisterThisConnectionsAddress": false})
	run("DnsClient", "Set-DnsClientServerAddress",
		map[string]any{"InterfaceAlias": "Public", "ServerAddresses": []any{"10.8.0.5"}})
	if a.FullReg || !slices.Equal(a.DNS, []string{"10.8.0.5"}) {
		t.Errorf("adapter %+v", a)
	}
	run("DnsClient", "Set-DnsClientServerAddress",
		map[string]any{"InterfaceAlias": "Public", "ResetServerAddresses": true})
	if a.DNS != nil {
		t.Errorf("DNS %v", a.DNS)
	}
	old := newLab(t, node.WS2012, "en").node1()
	fails(t, old, "NamedParameterNotFound,Get-NetIPInterface", "NetTCPIP", "Get-NetIPInterface",
		map[string]any{"ifIndex": index})
}

func TestFeatureCmdlets(t *testing.T) {
	for _, release := range []node.Release{node.WS2008R2, node.WS2012, node.WS2016} {
		c := newLab(t, release, "fr").node1()
		add, remove := "Install-WindowsFeature", "Uninstall-WindowsFeature"
		if release == node.WS2008R2 {
			add, remove = "Add-WindowsFeature", "Remove-WindowsFeature"
			fails(t, c, "CommandNotFoundException", "", "Get-WindowsFeature", nil) // 2.0 loads no module by itself
		}
		run := func(name string, params map[string]any) Object {
			t.Helper()
			out, err := RunCmdlet(c, name, "ServerManager", params)
			if err != nil {
				t.Fatalf("%s %v: %v", name, params, err)
			}
			return out[0]
		}
		f := run("Get-WindowsFeature", map[string]any{"Name": []any{"failover-clustering"}})
		if f["Installed"] != false || f["DisplayName"] != "Clustering avec basculement" {
			t.Errorf("feature %v", f)
		}
		r := run(add, map[string]any{"Name": []any{"Failover-Clustering", "Web-ISAPI-Ext"}})
		restart := map[bool]string{true: "Yes", false: "No"}[release.AtLeast(node.WS2016)]
		if r["Success"] != true || Select(r, "RestartNeeded:name") != restart {
			t.Errorf("%s: result %v", release, r)
		}
		r = run(add, map[string]any{"Name": "Web-ISAPI-Ext"})
		if Select(r, "ExitCode:name") != "NoChangeNeeded" || Select(r, "ExitCode") != int64(1003) ||
			len(r["FeatureResult"].([]any)) != 0 {
			t.Errorf("second time: %v", r)
		}
		if Feature(c.M, "RSAT-Clustering-PowerShell") {
			t.Error("the module came without its tools being asked for")
		}
		_, err := RunCmdlet(c, add, "ServerManager", map[string]any{"Name": "Nothing"})
		if err == nil || !strings.HasPrefix(c.AsFail(err).ID, "NameDoesNotExist") {
			t.Errorf("an unknown feature: %v", err)
		}
		r = run(remove, map[string]any{"Name": "Failover-Clustering"})
		if Select(r, "RestartNeeded:name") != "Yes" || Feature(c.M, "Failover-Clustering") {
			t.Errorf("removed: %v", r)
		}
		if release.AtLeast(node.WS2012) {
			run(add, map[string]any{"Name": "Failover-Clustering", "IncludeManagementTools": true})
			if !Feature(c.M, "RSAT-Clustering-PowerShell") {
				t.Error("the management tools are missing")
			}
			fails(t, c, "DISMAPI_Error__Failed_To_Enable_Updates,"+
				"Microsoft.Windows.ServerManager.Commands.AddWindowsFeatureCommand", "ServerManager", add,
				map[string]any{"Name": "NET-Framework-Core"})
			run(add, map[string]any{"Name": "NET-Framework-Core", "Source": `D:\sxs`})
		}
	}
}

func TestServiceObjects(t *testing.T) {
	c := newLab(t, node.WS2008, "ja").node1()
	row := serve(t, c, "wmi.get", wmi("Win32_Service", []string{"StartMode", "State", "Started", "DisplayName"},
		map[string]any{"Name": "EVENTLOG"}))[0]
	if row["StartMode"] != "Auto" || row["State"] != "Running" || row["Started"] != true ||
		row["DisplayName"] != "Windows イベント ログ" {
		t.Errorf("service %v", row)
	}
	if _, err := Serve(c, "wmi.get", wmi("Win32_Service", []string{"DelayedAutoStart"}, nil)); err == nil {
		t.Error("DelayedAutoStart is of 2016")
	}
	for _, x := range []struct {
		name, method string
		args         map[string]any
		want         int64
	}{
		{"Spooler", "StartService", nil, 10}, {"Spooler", "StopService", nil, 0}, {"Spooler", "StopService", nil, 6},
		{"Spooler", "ChangeStartMode", map[string]any{"StartMode": "Disabled"}, 0}, {"Spooler", "StartService", nil, 14},
		// it is read as Auto and written as Automatic
		{"Spooler", "ChangeStartMode", map[string]any{"StartMode": "Auto"}, 21},
		{"Spooler", "ChangeStartMode", map[string]any{"StartMode": "Automatic"}, 0},
		{"LanmanWorkstation", "StopService", nil, 3},
	} {
		if got := serve(t, c, "wmi.call", call("Win32_Service", x.method, map[string]any{"Name": x.name},
			x.args))[0]["ReturnValue"]; got != x.want {
			t.Errorf("%s.%s %v returned %v, want %d", x.name, x.method, x.args, got, x.want)
		}
	}
	s, err := RunCmdlet(c, "Get-Service", "", map[string]any{"Name": "Spooler"})
	if err != nil || Select(s[0], "Status") != int64(1) || Select(s[0], "Status:name") != "Stopped" {
		t.Errorf("%v %v", s, err)
	}
	if _, err := RunCmdlet(c, "Start-Service", "", map[string]any{"Name": "Spooler"}); err != nil {
		t.Error(err)
	}
	fails(t, c, "NoServiceFoundForGivenName,Microsoft.PowerShell.Commands.GetServiceCommand", "", "Get-Service",
		map[string]any{"Name": "nobody"})
	fails(t, c, "ServiceHasDependentServices,Microsoft.PowerShell.Commands.StopServiceCommand", "", "Stop-Service",
		map[string]any{"Name": "LanmanWorkstation"})
}

func TestOperatingSystemClass(t *testing.T) {
	for locale, lang := range map[string]int64{"en": 1033, "fr": 1036, "de": 1031, "ja": 1041} {
		l := newLab(t, node.WS2008R2, locale)
		row := serve(t, l.node1(), "wmi.get",
			wmi("Win32_OperatingSystem", []string{"OSLanguage", "Version", "LastBootUpTime", "ProductType"}, nil))[0]
		if row["OSLanguage"] != lang || row["Version"] != "6.1.7601" ||
			row["LastBootUpTime"] != "20260105060000.000000+000" || row["ProductType"] != int64(3) {
			t.Errorf("%v", row)
		}
		dc := serve(t, l.on("dc01"), "wmi.get",
			wmi("Win32_ComputerSystem", []string{"DomainRole", "Domain", "Name", "PartOfDomain"}, nil))[0]
		if dc["DomainRole"] != int64(5) || dc["Domain"] != "contoso.com" || dc["Name"] != "DC01" ||
			dc["PartOfDomain"] != true {
			t.Errorf("%v", dc)
		}
	}
}
