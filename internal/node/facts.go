package node

import "strings"

// Release is a generation of an operating system, the unit in which Windows' abilities differ.
type Release string

// The Windows Server releases that deploy knows. Linux nodes have the release "linux".
const (
	WS2003   Release = "2003"
	WS2008   Release = "2008"
	WS2008R2 Release = "2008r2"
	WS2012   Release = "2012"
	WS2012R2 Release = "2012r2"
	WS2016   Release = "2016"
	WS2019   Release = "2019"
	WS2022   Release = "2022"
	WS2025   Release = "2025"
	Linux    Release = "linux"
)

// WindowsReleases lists the Windows releases, oldest first.
func WindowsReleases() []Release {
	return []Release{WS2003, WS2008, WS2008R2, WS2012, WS2012R2, WS2016, WS2019, WS2022, WS2025}
}

// AtLeast says that r is the Windows release o or a later one. It is false for anything that is not
// Windows.
func (r Release) AtLeast(o Release) bool {
	a, b := -1, -1
	for i, x := range WindowsReleases() {
		if x == r {
			a = i
		}
		if x == o {
			b = i
		}
	}
	return a >= 0 && b >= 0 && a >= b
}

// ReleaseOf tells the Windows release from Win32_OperatingSystem's Version ("6.0.6002") . From 10.0
// on the build number decides. It returns "" for a version that it does not know. Source:
// Win32_OperatingSystem, OSVERSIONINFOEX documentation.
func ReleaseOf(version string, build int) Release {
	switch {
	case strings.HasPrefix(version, "5.2."):
		return WS2003
	case strings.HasPrefix(version, "6.0."):
		return WS2008
	case strings.HasPrefix(version, "6.1."):
		return WS2008R2
	case strings.HasPrefix(version, "6.2."):
		return WS2012
	case strings.HasPrefix(version, "6.3."):
		return WS2012R2
	case strings.HasPrefix(version, "10.0."):
		switch {
		case build >= 26100:
			return WS2025
		case build >= 20348:
			return WS2022
		case build >= 17763:
			return WS2019
		case build >= 14393:
			return WS2016
		}
	}
	return ""
}

// Facts are what is known of a node once it has answered. They hold no display name: nothing may be
// decided on one.
type Facts struct {
	OS          string  `json:"os"`                     // "windows" or "linux"
	Release     Release `json:"release"`                // see ReleaseOf; "" when unknown
	Version     string  `json:"version"`                // "6.0.6002"
	Build       int     `json:"build"`                  // 6002
	ServicePack int     `json:"service_pack,omitempty"` // major number
	Arch        string  `json:"arch"`                   // "amd64", "386", "arm64"
	// Linux: ID of os-release(5): "debian", "rhel", "rocky"; Version is then its VERSION_ID
	Distro   string `json:"distro,omitempty"`
	Init     string `json:"init,omitempty"` // Linux: "systemd" when it is process 1, else ""
	Computer string `json:"computer"`       // NetBIOS or host name
	// Machine tells this installation from every other and outlives restarts and new names: Linux,
	// /etc/machine-id. "" where nobody can tell.
	Machine string `json:"machine,omitempty"`
	Domain  string `json:"domain,omitempty"` // DNS domain, "" in a workgroup
	// Win32_ComputerSystem.DomainRole: 3 member server, 4 and 5 domain controllers
	DomainRole int `json:"domain_role"`
	// compare with SameBoot (LastBootUpTime in UTC; /proc/sys/kernel/random/boot_id)
	BootID     string `json:"boot_id"`
	PowerShell string `json:"powershell,omitempty"`  // "2.0", "5.1"
	UILanguage int    `json:"ui_language,omitempty"` // LCID, for messages only
	Privileged bool   `json:"privileged"`            // the session may change the machine
}
