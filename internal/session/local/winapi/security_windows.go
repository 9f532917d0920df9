package winapi

import (
	"errors"
	"syscall"

	"deploy/internal/node"

	"golang.org/x/sys/windows"
)

// ACL serves acl.get: the access part of a path's security descriptor.
func ACL(path string) ([]node.Row, error) {
	op := "acl.get " + path
	sd, err := windows.GetNamedSecurityInfo(path, windows.SE_FILE_OBJECT, windows.DACL_SECURITY_INFORMATION)
	if isMissing(err) {
		return nil, absent(op, "there is no %s", path)
	}
	if err != nil {
		return nil, failed(op, err)
	}
	return []node.Row{{"sddl": sd.String()}}, nil
}

// SetACL serves acl.set: it replaces the access part. Whether the parents' entries are inherited is
// said by the flag P of the text.
func SetACL(path, sddl string) error {
	op := "acl.set " + path
	sd, err := windows.SecurityDescriptorFromString(sddl)
	if err != nil {
		return failed(op, err)
	}
	dacl, _, err := sd.DACL()
	if errors.Is(err, windows.ERROR_OBJECT_NOT_FOUND) {
		// without a list of its own everybody would get everything, which nobody means
		return refused(op, "deploy.BadValue", windows.ERROR_INVALID_SECURITY_DESCR, "the descriptor has no access list")
	}
	if err != nil {
		return failed(op, err)
	}
	control, _, err := sd.Control()
	if err != nil {
		return failed(op, err)
	}
	var what windows.SECURITY_INFORMATION = windows.DACL_SECURITY_INFORMATION |
		windows.UNPROTECTED_DACL_SECURITY_INFORMATION
	if control&windows.SE_DACL_PROTECTED != 0 {
		what = windows.DACL_SECURITY_INFORMATION | windows.PROTECTED_DACL_SECURITY_INFORMATION
	}
	err = windows.SetNamedSecurityInfo(path, windows.SE_FILE_OBJECT, what, nil, nil, dacl, nil)
	if isMissing(err) {
		return absent(op, "there is no %s", path)
	}
	if err != nil {
		return failed(op, err)
	}
	return nil
}

// Administrator says whether the process may change the machine: it has the administrators' group,
// and has it switched on.
func Administrator() (bool, error) {
	group, err := windows.CreateWellKnownSid(windows.WinBuiltinAdministratorsSid)
	if err != nil {
		return false, err
	}
	return windows.Token(0).IsMember(group)
}

// enable switches on a privilege of the process for as long as f runs.
func enable(privilege string, f func() error) error {
	var token windows.Token
	if err := windows.OpenProcessToken(windows.CurrentProcess(), windows.TOKEN_ADJUST_PRIVILEGES|windows.TOKEN_QUERY,
		&token); err != nil {
		return err
	}
	defer token.Close()
	want := windows.Tokenprivileges{PrivilegeCount: 1}
	name, err := windows.UTF16PtrFromString(privilege)
	if err != nil {
		return err
	}
	if err := windows.LookupPrivilegeValue(nil, name, &want.Privileges[0].Luid); err != nil {
		return err
	}
	want.Privileges[0].Attributes = windows.SE_PRIVILEGE_ENABLED
	if err := windows.AdjustTokenPrivileges(token, false, &want, 0, nil, nil); err != nil {
		return err
	}
	err = f()
	want.Privileges[0].Attributes = 0
	_ = windows.AdjustTokenPrivileges(token, false, &want, 0, nil, nil) // what was done stays done
	return err
}

// Restart serves restart: the machine restarts in two seconds, programs or not. One that is going
// down already is fine.
func Restart(reason string) error {
	const (
		delay   = 2          // seconds
		planned = 0x80040002 // application, installation, planned
		waiting = 1190       // ERROR_SHUTDOWN_IS_SCHEDULED, which x/sys does not name
	)
	text, err := windows.UTF16PtrFromString(reason)
	if err != nil {
		return failed("restart", err)
	}
	err = enable("SeShutdownPrivilege", func() error {
		return windows.InitiateSystemShutdownEx(nil, text, delay, true, true, planned)
	})
	if errors.Is(err, windows.ERROR_SHUTDOWN_IN_PROGRESS) || errors.Is(err, syscall.Errno(waiting)) {
		return nil
	}
	if err != nil {
		return refusedCode("restart", "deploy.Restart", err)
	}
	return nil
}
