package winapi

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"unsafe"

	"deploy/internal/node"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"
)

// Facts tells what package node wants to know of the machine.
func Facts(ctx context.Context, m *Host) (node.Facts, error) {
	v := windows.RtlGetVersion()
	f := node.Facts{
		OS: "windows", Version: fmt.Sprintf("%d.%d.%d", v.MajorVersion, v.MinorVersion, v.BuildNumber),
		Build:       int(v.BuildNumber),
		ServicePack: int(v.ServicePackMajor), Arch: arch(), PowerShell: powerShell(),
	}
	f.Release = node.ReleaseOf(f.Version, f.Build)
	language, _, _ := procGetUserDefaultUILangID.Call()
	f.UILanguage = int(uint16(language))
	var err error
	if f.Computer, err = computerName(); err != nil {
		return f, failed("facts: computer name", err)
	}
	if f.DomainRole, f.Domain, err = domain(); err != nil {
		return f, failed("facts: domain", err)
	}
	if f.Privileged, err = Administrator(); err != nil {
		return f, failed("facts: administrators", err)
	}
	f.BootID, err = bootID(ctx, m)
	return f, err
}

// arch is the machine's and not the program's: a 32-bit program sees the second variable.
func arch() string {
	a := os.Getenv("PROCESSOR_ARCHITEW6432")
	if a == "" {
		a = os.Getenv("PROCESSOR_ARCHITECTURE")
	}
	if a = strings.ToLower(a); a == "x86" {
		return "386"
	}
	return a
}

func computerName() (string, error) {
	const netbios = 0 // ComputerNameNetBIOS
	n := uint32(64)
	buf := make([]uint16, n)
	err := windows.GetComputerNameEx(netbios, &buf[0], &n)
	return windows.UTF16ToString(buf), err
}

// domain tells the role, whose numbers are those of Win32_ComputerSystem.DomainRole, and the DNS
// name of the domain; "" in a workgroup.
func domain() (role int, name string, err error) {
	type info struct {
		role              int32
		flags             uint32
		flat, dns, forest *uint16
		guid              windows.GUID
	}
	const basic = 1 // DsRolePrimaryDomainInfoBasic
	var p *info
	if r, _, _ := procDsRoleGet.Call(0, basic, uintptr(unsafe.Pointer(&p))); r != 0 {
		return 0, "", syscall.Errno(r)
	}
	defer procDsRoleFree.Call(uintptr(unsafe.Pointer(p)))
	const workstation, server = 0, 2 // both stand alone
	if p.role != workstation && p.role != server {
		if name = windows.UTF16PtrToString(p.dns); name == "" {
			name = windows.UTF16PtrToString(p.flat) // a domain of Windows NT
		}
	}
	return int(p.role), name, nil
}

// powerShell is the version of the newest Windows PowerShell, as "5.1"; "" when there is none. Key
// 3 came with version 3.
func powerShell() string {
	for _, engine := range []string{"3", "1"} {
		k, err := registry.OpenKey(registry.LOCAL_MACHINE, `SOFTWARE\Microsoft\PowerShell\`+engine+`\PowerShellEngine`,
			registry.QUERY_VALUE|view64)
		if err != nil {
			continue
		}
		v, _, err := k.GetStringValue("PowerShellVersion")
		k.Close()
		if parts := strings.SplitN(v, ".", 3); err == nil && len(parts) > 1 {
			return parts[0] + "." + parts[1]
		}
	}
	return ""
}

// bootID comes from Win32_OperatingSystem.LastBootUpTime, so that it is the same text whichever way
// a session looks at the machine. Where WMI is broken it is the kernel's own time of the start,
// which is as good among sessions of this kind.
func bootID(ctx context.Context, m *Host) (string, error) {
	rows, err := m.Get(ctx, `root\cimv2`, "Win32_OperatingSystem", []string{"LastBootUpTime"}, nil)
	if err == nil && len(rows) == 1 && rows[0].String("LastBootUpTime") != "" {
		return node.BootID(rows[0].String("LastBootUpTime")), nil
	}
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	var t struct {
		boot, current, bias int64
		zone, reserved      uint32
		bootBias, sleepBias uint64
	}
	const timeOfDay = 3 // SystemTimeOfDayInformation
	if e := windows.NtQuerySystemInformation(timeOfDay, unsafe.Pointer(&t), uint32(unsafe.Sizeof(t)), nil); e != nil {
		return "", errors.Join(fmt.Errorf("cannot tell when the machine was started: %w", e), err)
	}
	// the bias takes out what the clock has been set by since
	return fmt.Sprintf("kernel %d", t.boot-int64(t.bootBias)), nil
}
