package machine

import (
	"fmt"
	"strings"
	"time"

	"deploy/internal/lab/model"
	"deploy/internal/node"
)

const cimv2 = `root\cimv2`

// systemClasses are the classes of the machine itself. Property names follow the documentation of
// the CIMWin32 provider; a property that is not listed here is refused as an unknown one is,
// whatever the real class has besides.
func systemClasses() []*Class {
	v08 := node.WS2008
	return []*Class{
		{Namespace: cimv2, Name: "Win32_OperatingSystem",
			Props: []string{"BootDevice", "BuildNumber", "BuildType", "Caption", "CodeSet", "CountryCode", "CreationClassName",
				"CSCreationClassName", "CSDVersion", "CSName",
				"CurrentTimeZone", "Description", "FreePhysicalMemory", "InstallDate", "LastBootUpTime", "LocalDateTime", "Locale",
				"Manufacturer", "MUILanguages", "Name",
				"NumberOfProcesses", "NumberOfUsers", "OperatingSystemSKU", "Organization", "OSArchitecture", "OSLanguage",
				"OSProductSuite", "OSType", "Primary", "ProductType",
				"RegisteredUser", "SerialNumber", "ServicePackMajorVersion", "ServicePackMinorVersion", "Status", "SystemDevice",
				"SystemDirectory", "SystemDrive",
				"TotalVisibleMemorySize", "Version", "WindowsDirectory"},
			PropSince: map[string]node.Release{"MUILanguages": v08, "OperatingSystemSKU": v08, "OSArchitecture": v08},
			List:      func(c *Ctx) ([]Object, error) { return []Object{operatingSystem(c)}, nil },
			Methods: map[string]Method{
				"Reboot":        {Call: reboot},
				"Shutdown":      {Call: func(c *Ctx, _ Object, _ map[string]any) (Object, error) { return powerOff(c) }},
				"Win32Shutdown": {Args: []string{"Flags", "Reserved"}, Call: win32Shutdown},
				"Win32ShutdownTracker": {Args: []string{"Timeout", "Comment", "ReasonCode", "Flags"},
					Call: func(c *Ctx, o Object, args map[string]any) (Object, error) {
						if !c.AtLeast(v08) {
							return nil, unsupported("Win32_OperatingSystem has no method Win32ShutdownTracker")
						}
						return win32Shutdown(c, o, args)
					}},
			}},
		{Namespace: cimv2, Name: "Win32_ComputerSystem",
			Props: []string{"Caption", "CreationClassName", "CurrentTimeZone", "DaylightInEffect", "Description", "DNSHostName",
				"Domain", "DomainRole", "HypervisorPresent",
				"Manufacturer", "Model", "Name", "NumberOfLogicalProcessors", "NumberOfProcessors", "PartOfDomain",
				"PrimaryOwnerName", "Roles", "Status", "SystemType",
				"TotalPhysicalMemory", "UserName", "Workgroup"},
			PropSince: map[string]node.Release{"DNSHostName": v08, "NumberOfLogicalProcessors": v08, "Workgroup": v08,
				"HypervisorPresent": node.WS2012},
			List: func(c *Ctx) ([]Object, error) { return []Object{computerSystem(c)}, nil }},
		{Namespace: cimv2, Name: "Win32_Processor",
			Props: []string{"AddressWidth", "Architecture", "Caption", "CreationClassName", "DataWidth", "DeviceID",
				"MaxClockSpeed", "Manufacturer", "Name", "NumberOfCores",
				"NumberOfLogicalProcessors", "ProcessorType", "Status", "SystemName"},
			PropSince: map[string]node.Release{"NumberOfCores": v08, "NumberOfLogicalProcessors": v08},
			List: func(c *Ctx) ([]Object, error) {
				return []Object{{"AddressWidth": int64(64), "Architecture": int64(9), "Caption": "Intel64 Family 6 Model 15",
					"CreationClassName": "Win32_Processor", "DataWidth": int64(64),
					"DeviceID": "CPU0", "MaxClockSpeed": int64(2400), "Manufacturer": "GenuineIntel", "Name": "Lab processor",
					"NumberOfCores": int64(2), "NumberOfLogicalProcessors": int64(2),
					"ProcessorType": int64(3), "Status": "OK", "SystemName": strings.ToUpper(c.M.Name)}}, nil
			}},
		{Namespace: cimv2, Name: "Win32_QuickFixEngineering",
			Props: []string{"Caption", "CSName", "Description", "FixComments", "HotFixID", "InstallDate", "InstalledBy",
				"InstalledOn", "Name", "ServicePackInEffect", "Status"},
			List: func(c *Ctx) ([]Object, error) {
				var out []Object
				for _, id := range HotFixes(c.M) {
					out = append(out, Object{"Caption": "http://support.microsoft.com/?kbid=" + strings.TrimPrefix(id, "KB"),
						"CSName": strings.ToUpper(c.M.Name), "Description": "Update",
						"HotFixID": id, "InstalledBy": `NT AUTHORITY\SYSTEM`, "InstalledOn": "1/5/2026", "ServicePackInEffect": "",
						"FixComments": ""})
				}
				return out, nil
			}},
		{Namespace: cimv2, Name: "Win32_Process",
			Props: []string{"Caption", "CommandLine", "CreationClassName", "CreationDate", "CSName", "Description",
				"ExecutablePath", "Handle", "Name", "OSName", "ParentProcessId", "ProcessId", "SessionId"},
			List: listProcesses},
		{Namespace: cimv2, Name: "Win32_NTLogEvent",
			Props: []string{"Category", "CategoryString", "ComputerName", "Data", "EventCode", "EventIdentifier", "EventType",
				"InsertionStrings", "Logfile", "Message", "RecordNumber",
				"SourceName", "TimeGenerated", "TimeWritten", "Type", "User"},
			List: listEvents},
		{Namespace: cimv2, Name: "Win32_UserAccount",
			Props: []string{"AccountType", "Caption", "Description", "Disabled", "Domain", "FullName", "LocalAccount", "Lockout",
				"Name", "PasswordChangeable", "PasswordExpires", "PasswordRequired", "SID", "SIDType", "Status"},
			List: func(c *Ctx) ([]Object, error) {
				name := c.Pick([4]string{"Administrator", "Administrateur", "Administrator", "Administrator"})
				host := strings.ToUpper(c.M.Name)
				return []Object{{"AccountType": int64(512), "Caption": host + `\` + name, "Disabled": false, "Domain": host,
					"LocalAccount": true, "Lockout": false, "Name": name,
					"PasswordChangeable": true, "PasswordExpires": false, "PasswordRequired": true,
					"SID": "S-1-5-21-2000478354-1708537768-1957994488-500", "SIDType": int64(1), "Status": "OK"}}, nil
			}},
		{Namespace: cimv2, Name: "Win32_Group",
			Props: []string{"Caption", "Description", "Domain", "InstallDate", "LocalAccount", "Name", "SID", "SIDType",
				"Status"},
			List: func(c *Ctx) ([]Object, error) {
				host := strings.ToUpper(c.M.Name)
				var out []Object
				for _, g := range []struct{ alias, sid string }{{"BA", "S-1-5-32-544"}, {"BU", "S-1-5-32-545"}} {
					name := c.Pick(accountNames()[g.alias])
					out = append(out, Object{"Caption": host + `\` + name, "Domain": host, "LocalAccount": true, "Name": name,
						"SID": g.sid, "SIDType": int64(4), "Status": "OK"})
				}
				return out, nil
			}},
	}
}

// HotFixes are the updates that the machine has, in the order of their numbers. Extra["hotfix"]
// holds them by id ("KB931836").
func HotFixes(m *model.Machine) []string { return sortedKeys(m.Extra["hotfix"]) }

func caption(c *Ctx) string {
	name, _ := RegValue(c, `HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion`, "ProductName").(string)
	if !strings.HasPrefix(name, "Microsoft") {
		name = "Microsoft " + name
	}
	return name
}

func operatingSystem(c *Ctx) Object {
	m := c.M
	product := int64(3)
	if m.Role >= 4 {
		product = 2
	}
	sku := int64(10) // Enterprise Server; Datacenter is 8
	if c.AtLeast(node.WS2012) {
		sku = 8
	}
	var csd any
	if m.SP > 0 {
		csd = fmt.Sprintf("Service Pack %d", m.SP)
	}
	ansi, _ := codePages(m.Locale)
	return Object{
		"BootDevice": `\Device\HarddiskVolume1`, "BuildNumber": fmt.Sprint(m.Build), "BuildType": "Multiprocessor Free",
		"Caption": caption(c), "CodeSet": ansi,
		"CountryCode": c.Pick([4]string{"1", "33", "49", "81"}), "CreationClassName": "Win32_OperatingSystem",
		"CSCreationClassName": "Win32_ComputerSystem", "CSDVersion": csd,
		"CSName": strings.ToUpper(m.Name), "CurrentTimeZone": int64(0), "Description": "",
		"FreePhysicalMemory": int64(6 << 20), "InstallDate": cimTime(delivered().Add(-24 * time.Hour)),
		"LastBootUpTime": cimTime(m.Booted), "LocalDateTime": cimTime(c.Now()), "Locale": fmt.Sprintf("%04x", lcid(m.Locale)),
		"Manufacturer":      "Microsoft Corporation",
		"MUILanguages":      []any{c.Pick([4]string{"en-US", "fr-FR", "de-DE", "ja-JP"})},
		"Name":              caption(c) + `|C:\Windows|\Device\Harddisk0\Partition1`,
		"NumberOfProcesses": int64(40), "NumberOfUsers": int64(1), "OperatingSystemSKU": sku, "Organization": "",
		"OSArchitecture": c.Pick([4]string{"64-bit", "64 bits", "64-Bit", "64 ビット"}),
		"OSLanguage":     int64(lcid(m.Locale)), "OSProductSuite": int64(274), "OSType": int64(18), "Primary": true,
		"ProductType": product, "RegisteredUser": "", "SerialNumber": "00000-000-0000000-00000",
		"ServicePackMajorVersion": int64(m.SP), "ServicePackMinorVersion": int64(0), "Status": "OK",
		"SystemDevice": `\Device\HarddiskVolume1`, "SystemDirectory": `C:\Windows\system32`,
		"SystemDrive": "C:", "TotalVisibleMemorySize": int64(8 << 20), "Version": m.Version, "WindowsDirectory": `C:\Windows`,
	}
}

func computerSystem(c *Ctx) Object {
	m := c.M
	domain, workgroup := m.Domain, any(nil)
	if m.Domain == "" {
		domain, workgroup = "WORKGROUP", "WORKGROUP"
	}
	host := strings.ToUpper(m.Name)
	return Object{"Caption": host, "CreationClassName": "Win32_ComputerSystem", "CurrentTimeZone": int64(0),
		"DaylightInEffect": false, "Description": "AT/AT COMPATIBLE",
		"DNSHostName": m.Name, "Domain": domain, "DomainRole": int64(m.Role), "HypervisorPresent": true,
		"Manufacturer": "deploy lab", "Model": "emulated machine", "Name": host,
		"NumberOfLogicalProcessors": int64(2), "NumberOfProcessors": int64(1), "PartOfDomain": m.Domain != "",
		"PrimaryOwnerName": "", "Roles": []any{"LM_Workstation", "LM_Server", "NT"},
		"Status": "OK", "SystemType": "x64-based PC", "TotalPhysicalMemory": int64(8 << 30), "UserName": nil,
		"Workgroup": workgroup}
}

func done() (Object, error) { return Object{"ReturnValue": int64(0)}, nil }

func reboot(c *Ctx, _ Object, _ map[string]any) (Object, error) {
	RestartSoon(c, restartDelay)
	return done()
}

func powerOff(c *Ctx) (Object, error) {
	boot := c.M.Boots
	c.Spawn(func(b *Ctx) {
		b.Sleep(restartDelay)
		if b.M.Boots == boot {
			GoDown(b)
		}
	})
	return done()
}

// win32Shutdown reads the flags: 0 log off, 1 shut down, 2 restart, 8 power off, 4 more forces.
func win32Shutdown(c *Ctx, _ Object, args map[string]any) (Object, error) {
	flags, _ := ArgInt(args, "Flags")
	wait, given := ArgInt(args, "Timeout")
	switch flags &^ 4 {
	case 0:
		return done()
	case 2:
		if !given {
			wait = 2
		}
		RestartSoon(c, time.Duration(wait)*time.Second)
		return done()
	case 1, 8:
		return powerOff(c)
	}
	return Object{"ReturnValue": int64(errInvalidParameter)}, nil
}

// listProcesses shows the system and the running services, and the programs of running jobs.
func listProcesses(c *Ctx) ([]Object, error) {
	host := strings.ToUpper(c.M.Name)
	one := func(name string, pid int64, line any) Object {
		return Object{"Caption": name, "CommandLine": line, "CreationClassName": "Win32_Process",
			"CreationDate": cimTime(c.M.Booted), "CSName": host, "Description": name,
			"Handle": fmt.Sprint(pid), "Name": name, "OSName": caption(c), "ParentProcessId": int64(4), "ProcessId": pid,
			"SessionId": int64(0)}
	}
	out := []Object{one("System Idle Process", 0, nil), one("System", 4, nil)}
	for _, n := range sortedKeys(c.M.Services) {
		s := c.M.Services[n]
		if pid := servicePID(c, s); pid != 0 {
			exe, _, _ := strings.Cut(strings.Trim(s.Path, `"`), ".exe")
			_, name := splitPath(exe + ".exe")
			out = append(out, one(name, pid, s.Path))
		}
	}
	for i, id := range sortedKeys(c.M.Jobs) {
		if j := c.M.Jobs[id]; j.Phase == "running" && len(j.Argv) > 0 {
			_, name := splitPath(j.Argv[0])
			out = append(out, one(name, int64(3000+4*i), strings.Join(j.Argv, " ")))
		}
	}
	return out, nil
}

// listEvents shows the machine's event logs: the start of each boot, and what families put into
// Extra["events"] as number to "log|source|code|type|message" (type 1 error, 2 warning, 3
// information).
func listEvents(c *Ctx) ([]Object, error) {
	host := strings.ToUpper(c.M.Name)
	words := map[string][4]string{"1": {"Error", "Erreur", "Fehler", "エラー"},
		"2": {"Warning", "Avertissement", "Warnung", "警告"}, "3": {"Information", "Information", "Informationen", "情報"}}
	out := []Object{{"ComputerName": host, "EventCode": int64(6005), "EventIdentifier": int64(0x80001775),
		"EventType": int64(3), "Logfile": "System", "RecordNumber": int64(c.M.Boots),
		"SourceName": "EventLog", "TimeGenerated": cimTime(c.M.Booted), "TimeWritten": cimTime(c.M.Booted),
		"Type": c.Pick(words["3"]), "Message": ""}}
	for i, k := range sortedKeys(c.M.Extra["events"]) {
		f := strings.SplitN(c.M.Extra["events"][k], "|", 5)
		if len(f) != 5 {
			continue
		}
		code, _ := toInt(f[2])
		typ, _ := toInt(f[3])
		out = append(out, Object{"ComputerName": host, "EventCode": code, "EventIdentifier": code, "EventType": typ,
			"Logfile": f[0], "RecordNumber": int64(1000 + i), "SourceName": f[1],
			"TimeGenerated": cimTime(c.M.Booted), "TimeWritten": cimTime(c.M.Booted), "Type": c.Pick(words[f[3]]),
			"Message": f[4]})
	}
	return out, nil
}
