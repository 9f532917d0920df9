package machine

import (
	"fmt"
	"strings"

	"deploy/internal/lab/model"
	"deploy/internal/node"
)

const tcpipParameters = `HKLM\SYSTEM\CurrentControlSet\Services\Tcpip\Parameters`
const tcpipLinkage = `HKLM\SYSTEM\CurrentControlSet\Services\Tcpip\Linkage`

// deliverRegistry writes what a fresh machine has and somebody asks for. Services and adapters are
// computed, see their hives.
func deliverRegistry(m *model.Machine, v version) {
	r := m.Registry
	const cv = `HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion`
	put(r, cv, "ProductName", "string", v.product)
	put(r, cv, "CurrentVersion", "string", ntVersion(m.Release))
	put(r, cv, "CurrentBuild", "string", fmt.Sprint(v.build))
	put(r, cv, "CurrentBuildNumber", "string", fmt.Sprint(v.build))
	put(r, cv, "SystemRoot", "string", `C:\Windows`)
	if v.sp > 0 {
		put(r, cv, "CSDVersion", "string", fmt.Sprintf("Service Pack %d", v.sp))
	}
	if m.Release.AtLeast(node.WS2008) {
		edition := "ServerEnterprise"
		if m.Release.AtLeast(node.WS2012) {
			edition = "ServerDatacenter"
		}
		put(r, cv, "EditionID", "string", edition)
		put(r, `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing`, "", "", nil)
	}
	if m.Release.AtLeast(node.WS2008R2) {
		put(r, cv, "InstallationType", "string", "Server")
	}
	if m.Release.AtLeast(node.WS2016) {
		put(r, cv, "CurrentMajorVersionNumber", "dword", int64(10))
		put(r, cv, "CurrentMinorVersionNumber", "dword", int64(0))
	}
	put(r, `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\WindowsUpdate\Auto Update`, "", "", nil)
	put(r, `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion`, "ProgramFilesDir", "string", `C:\Program Files`)
	common := `C:\ProgramData`
	if !m.Release.AtLeast(node.WS2008) {
		common = `C:\Documents and Settings\All Users\Application Data`
	}
	put(r, `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Explorer\Shell Folders`, "Common AppData", "string", common)
	put(r, `HKLM\SOFTWARE\Microsoft\PowerShell\1\PowerShellEngine`, "PowerShellVersion", "string", "2.0")
	if v.powershell != "2.0" {
		put(r, `HKLM\SOFTWARE\Microsoft\PowerShell\3\PowerShellEngine`, "PowerShellVersion", "string", v.powershell)
	}
	put(r, `HKLM\SOFTWARE\Microsoft\NET Framework Setup\NDP\v2.0.50727`, "Install", "dword", int64(1))
	if v.release != 0 {
		put(r, `HKLM\SOFTWARE\Microsoft\NET Framework Setup\NDP\v4\Full`, "Release", "dword", v.release)
		put(r, `HKLM\SOFTWARE\Microsoft\NET Framework Setup\NDP\v4\Full`, "Install", "dword", int64(1))
	}

	upper := strings.ToUpper(m.Name)
	const names = `HKLM\SYSTEM\CurrentControlSet\Control\ComputerName`
	put(r, names+`\ComputerName`, "ComputerName", "string", upper)
	put(r, names+`\ActiveComputerName`, "ComputerName", "string", upper)
	put(r, tcpipParameters, "Hostname", "string", m.Name)
	put(r, tcpipParameters, "NV Hostname", "string", m.Name)
	put(r, tcpipParameters, "Domain", "string", m.Domain)
	put(r, tcpipParameters, "NV Domain", "string", m.Domain)
	put(r, sessionManager, "ProtectionMode", "dword", int64(1))
	if m.Release.AtLeast(node.WS2008) {
		put(r, sanKey, "SanPolicy", "dword", int64(sanOfflineShared))
	}

	ansi, oem := codePages(m.Locale)
	const nls = `HKLM\SYSTEM\CurrentControlSet\Control\Nls`
	put(r, nls+`\CodePage`, "ACP", "string", ansi)
	put(r, nls+`\CodePage`, "OEMCP", "string", oem)
	put(r, nls+`\Language`, "InstallLanguage", "string", fmt.Sprintf("%04X", lcid(m.Locale)))
	put(r, nls+`\Language`, "Default", "string", fmt.Sprintf("%04X", lcid(m.Locale)))

	// the order in which a fresh machine binds its cards: the one found last stands first
	var bind []string
	for i := len(m.Adapters) - 1; i >= 0; i-- {
		bind = append(bind, `\Device\`+m.Adapters[i].GUID)
	}
	put(r, tcpipLinkage, "Bind", "multi", append(bind, `\Device\NdisWanIp`))
}

func ntVersion(r node.Release) string {
	switch {
	case r.AtLeast(node.WS2012R2):
		return "6.3" // and stays so from 2016 on
	case r.AtLeast(node.WS2012):
		return "6.2"
	case r.AtLeast(node.WS2008R2):
		return "6.1"
	case r.AtLeast(node.WS2008):
		return "6.0"
	}
	return "5.2"
}

// codePages are the ANSI and OEM code pages of a language.
func codePages(locale string) (ansi, oem string) {
	switch locale {
	case "fr", "de":
		return "1252", "850"
	case "ja":
		return "932", "932"
	}
	return "1252", "437"
}

// asDomainController installs what a domain controller has: the roles and their services.
func asDomainController(m *model.Machine) {
	if m.Release.AtLeast(node.WS2008) {
		m.Features["AD-Domain-Services"], m.Features["DNS"] = true, true
	}
	for _, s := range domainServices() {
		if s.on(m.Release) {
			AddService(m, s.service(m.Locale))
		}
	}
}
