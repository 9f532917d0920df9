package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"unsafe"

	"golang.org/x/sys/windows"
)

// private makes the directory if it is missing, and closes it to everybody but SYSTEM, the
// administrators and, unless that is one of them, the user who runs the agent. One that is no
// directory of theirs is refused, and so is one that lies in such: whoever owns it can open it
// again, or put another in its place. Everybody may make directories in %ProgramData%, so somebody
// may have been there before.
//
// On a file system whose lists do not last (Wine's) the calls do no harm.
func private(dir string) error {
	sd, err := closed()
	if err != nil {
		return err
	}
	attributes := &windows.SecurityAttributes{SecurityDescriptor: sd}
	attributes.Length = uint32(unsafe.Sizeof(*attributes))
	if err := makeDirs(dir, attributes); err != nil {
		return onDisk(dir, fmt.Errorf("cannot make the agent's directory: %w", err))
	}
	for _, d := range []string{filepath.Dir(dir), dir} {
		if err := ours(d); err != nil {
			return fmt.Errorf("cannot use %s as the agent's directory: %w", dir, err)
		}
	}
	dacl, _, err := sd.DACL()
	if err != nil {
		return err
	}
	var what windows.SECURITY_INFORMATION = windows.DACL_SECURITY_INFORMATION | windows.PROTECTED_DACL_SECURITY_INFORMATION
	owner, _, err := sd.Owner()
	if err != nil {
		return err
	}
	if owner != nil {
		what |= windows.OWNER_SECURITY_INFORMATION
	}
	if err := windows.SetNamedSecurityInfo(dir, windows.SE_FILE_OBJECT, what, owner, nil, dacl, nil); err != nil {
		return fmt.Errorf("cannot close %s to others: %w", dir, err)
	}
	return nil
}

// closed is how the agent's directories shall be. Of an administrator they belong to all
// administrators, so that a program of the same user without those rights gets no hold of the
// agent.
func closed() (*windows.SECURITY_DESCRIPTOR, error) {
	const list = "D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)"
	is, err := administrator()
	if err != nil {
		return nil, err
	}
	if is {
		return windows.SecurityDescriptorFromString("O:BA" + list)
	}
	user, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return nil, fmt.Errorf("cannot tell who runs the agent: %w", err)
	}
	return windows.SecurityDescriptorFromString(list + "(A;OICI;FA;;;" + user.User.Sid.String() + ")")
}

// administrator says that the process has the administrators' group, and has it switched on.
func administrator() (bool, error) {
	group, err := windows.CreateWellKnownSid(windows.WinBuiltinAdministratorsSid)
	if err != nil {
		return false, err
	}
	is, err := windows.Token(0).IsMember(group)
	if err != nil {
		return false, fmt.Errorf("cannot tell whether an administrator runs the agent: %w", err)
	}
	return is, nil
}

// makeDirs makes what is missing of a path, closed from its first moment.
func makeDirs(dir string, attributes *windows.SecurityAttributes) error {
	if parent := filepath.Dir(dir); parent != dir {
		if _, err := os.Stat(parent); errors.Is(err, fs.ErrNotExist) {
			if err := makeDirs(parent, attributes); err != nil {
				return err
			}
		}
	}
	name, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return err
	}
	err = windows.CreateDirectory(name, attributes)
	if err == nil || errors.Is(err, windows.ERROR_ALREADY_EXISTS) {
		return nil
	}
	return &fs.PathError{Op: "mkdir", Path: dir, Err: err}
}

// trustedInstaller owns what came with Windows; x/sys has no name for it.
const trustedInstaller = "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464"

// ours refuses what is no directory but leads to one, and what belongs to somebody who is not to be
// trusted with the agent.
func ours(dir string) error {
	name, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return err
	}
	attributes, err := windows.GetFileAttributes(name)
	if err != nil {
		return &fs.PathError{Op: "check", Path: dir, Err: err}
	}
	if attributes&windows.FILE_ATTRIBUTE_DIRECTORY == 0 || attributes&windows.FILE_ATTRIBUTE_REPARSE_POINT != 0 {
		return fmt.Errorf("%s is not a directory", dir)
	}
	sd, err := windows.GetNamedSecurityInfo(dir, windows.SE_FILE_OBJECT, windows.OWNER_SECURITY_INFORMATION)
	if err != nil {
		return fmt.Errorf("cannot read the owner of %s: %w", dir, err)
	}
	owner, _, err := sd.Owner()
	if err != nil {
		return fmt.Errorf("cannot read the owner of %s: %w", dir, err)
	}
	if is, err := trusted(owner); is || err != nil {
		return err
	}
	return fmt.Errorf("%s belongs to %s, who is neither an administrator nor the user who runs the agent: remove it, "+
		"or give it to the administrators (icacls /setowner *S-1-5-32-544)", dir, owner)
}

// trusted says that the owner of a directory may have a hold of the agent.
func trusted(owner *windows.SID) (bool, error) {
	user, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return false, fmt.Errorf("cannot tell who runs the agent: %w", err)
	}
	return owner.Equals(user.User.Sid) || owner.IsWellKnown(windows.WinLocalSystemSid) ||
		owner.IsWellKnown(windows.WinBuiltinAdministratorsSid) ||
		owner.String() == trustedInstaller, nil
}
