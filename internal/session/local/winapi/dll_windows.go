package winapi

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"
)

// Functions that golang.org/x/sys/windows does not have. Lazy procedures are constants in all but
// name: the first use loads them.
var (
	advapi32 = windows.NewLazySystemDLL("advapi32.dll")
	kernel32 = windows.NewLazySystemDLL("kernel32.dll")
	netapi32 = windows.NewLazySystemDLL("netapi32.dll")
	ole32    = windows.NewLazySystemDLL("ole32.dll")
	oleaut32 = windows.NewLazySystemDLL("oleaut32.dll")

	procRegSetValueEx          = advapi32.NewProc("RegSetValueExW")
	procRegDeleteKeyEx         = advapi32.NewProc("RegDeleteKeyExW")
	procRegFlushKey            = advapi32.NewProc("RegFlushKey")
	procReplaceFile            = kernel32.NewProc("ReplaceFileW")
	procDsRoleGet              = netapi32.NewProc("DsRoleGetPrimaryDomainInformation")
	procDsRoleFree             = netapi32.NewProc("DsRoleFreeMemory")
	procCoSetProxyBlanket      = ole32.NewProc("CoSetProxyBlanket")
	procCoInitializeSecurity   = ole32.NewProc("CoInitializeSecurity")
	procSafeArrayGetLBound     = oleaut32.NewProc("SafeArrayGetLBound")
	procSafeArrayGetUBound     = oleaut32.NewProc("SafeArrayGetUBound")
	procSafeArrayGetDim        = oleaut32.NewProc("SafeArrayGetDim")
	procSafeArrayGetElement    = oleaut32.NewProc("SafeArrayGetElement")
	procSafeArrayPutElement    = oleaut32.NewProc("SafeArrayPutElement")
	procSafeArrayCreateVector  = oleaut32.NewProc("SafeArrayCreateVector")
	procSafeArrayDestroy       = oleaut32.NewProc("SafeArrayDestroy")
	procGetUserDefaultUILangID = kernel32.NewProc("GetUserDefaultUILanguage")
)

// setValue writes a value of any type as it is.
func setValue(k registry.Key, name string, typ uint32, data []byte) error {
	p, err := windows.UTF16PtrFromString(name)
	if err != nil {
		return err
	}
	r, _, _ := procRegSetValueEx.Call(uintptr(k), uintptr(unsafe.Pointer(p)), 0, uintptr(typ),
		uintptr(unsafe.Pointer(unsafe.SliceData(data))), uintptr(len(data)))
	if r != 0 {
		return syscall.Errno(r)
	}
	return nil
}

// deleteKey deletes one key without subkeys from the 64-bit view.
func deleteKey(sub string) error {
	p, err := windows.UTF16PtrFromString(sub)
	if err != nil {
		return err
	}
	r, _, _ := procRegDeleteKeyEx.Call(uintptr(windows.HKEY_LOCAL_MACHINE), uintptr(unsafe.Pointer(p)),
		windows.KEY_WOW64_64KEY, 0)
	if r != 0 {
		return syscall.Errno(r)
	}
	return nil
}

// flushKey has a key's values on the disk.
func flushKey(k registry.Key) error {
	if r, _, _ := procRegFlushKey.Call(uintptr(k)); r != 0 {
		return syscall.Errno(r)
	}
	return nil
}
