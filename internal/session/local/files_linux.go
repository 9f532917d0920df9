package local

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"deploy/internal/node"
)

// The codes of errors that the session itself makes.
const (
	errAbsent      = syscall.ENOENT
	errNotDir      = syscall.ENOTDIR
	errIsDir       = syscall.EISDIR
	errInvalid     = syscall.EINVAL
	errPermission  = syscall.EPERM
	errLoop        = syscall.ELOOP
	errTimeout     = syscall.ETIMEDOUT
	errUnsupported = syscall.ENOTSUP
)

// codeOf is what a CodeError has of an errno.
func codeOf(e syscall.Errno) int64 { return int64(e) }

// isAbsent: a path below something that is no directory is not there either.
func isAbsent(e syscall.Errno) bool { return e == syscall.ENOENT || e == syscall.ENOTDIR }

func isDiskFull(e syscall.Errno) bool { return e == syscall.ENOSPC || e == syscall.EDQUOT }

// modeMask are the bits that chmod(2) sets.
const modeMask = 0o7777

func (p *platform) statOf(fi fs.FileInfo) node.FileInfo {
	info := node.FileInfo{Size: fi.Size(), Dir: fi.IsDir(), Modified: fi.ModTime().UTC().Truncate(time.Second)}
	if info.Dir {
		info.Size = 0
	}
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		info.Mode = st.Mode & modeMask
		info.Owner, info.Group = p.names.of(st.Uid, st.Gid)
	}
	return info
}

// newTemp makes the temporary file anew: what stands there may be a link that somebody laid, or
// have too open a mode.
func newTemp(path string) (*os.File, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, 0o600)
}

// dress gives the temporary file the owner and the mode that o asks for, or those of the file at
// path. The owner comes first: a change of owner takes setuid and setgid away.
func dress(f *os.File, path string, o node.WriteOptions) error {
	mode, uid, gid := uint32(0o644), -1, -1
	var st syscall.Stat_t
	if err := syscall.Stat(path, &st); err == nil {
		mode, uid, gid = st.Mode&modeMask, int(st.Uid), int(st.Gid)
	} else if !errors.Is(err, syscall.ENOENT) {
		return err
	}
	if o.Mode != 0 {
		mode = o.Mode & modeMask
	}
	if o.Owner != "" {
		id, err := userID(o.Owner)
		if err != nil {
			return err
		}
		uid = id
	}
	if o.Group != "" {
		id, err := groupID(o.Group)
		if err != nil {
			return err
		}
		gid = id
	}
	var now syscall.Stat_t
	if err := syscall.Fstat(int(f.Fd()), &now); err != nil {
		return err
	}
	if (uid >= 0 && uid != int(now.Uid)) || (gid >= 0 && gid != int(now.Gid)) {
		if err := f.Chown(uid, gid); err != nil {
			return err
		}
	}
	// between the two: an owner takes capabilities away, an access list sets the mode
	if err := keepAttributes(f, path); err != nil {
		return err
	}
	return syscall.Fchmod(int(f.Fd()), mode)
}

// kept says that a file that takes another's place is given this extended attribute of it: access
// list, capabilities, the users' own, and what SELinux and Smack say that the file is for. Others
// are digests of the content, or a file system's own.
func kept(name string) bool {
	return name == "system.posix_acl_access" || name == "security.selinux" || name == "security.capability" ||
		strings.HasPrefix(name, "user.") || strings.HasPrefix(name, "security.SMACK64")
}

func keepAttributes(f *os.File, path string) error {
	list := make([]byte, 64<<10) // the most that the kernel gives: XATTR_LIST_MAX
	n, err := unix.Listxattr(path, list)
	if errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ENOTSUP) {
		return nil // no file there yet, or a file system without attributes
	}
	if err != nil {
		return fmt.Errorf("cannot list its extended attributes: %w", err)
	}
	value := make([]byte, 64<<10) // XATTR_SIZE_MAX
	for name := range strings.SplitSeq(string(list[:n]), "\x00") {
		if !kept(name) {
			continue
		}
		size, err := unix.Getxattr(path, name, value)
		if errors.Is(err, syscall.ENODATA) {
			continue
		}
		if err == nil {
			err = unix.Fsetxattr(int(f.Fd()), name, value[:size], 0)
		}
		if err != nil && !errors.Is(err, syscall.ENOTSUP) {
			return fmt.Errorf("cannot keep its attribute %s: %w", name, err)
		}
	}
	return nil
}

// place gives the temporary file its name, and has the directory on the disk too.
func place(temp, path string) error {
	if err := os.Rename(temp, path); err != nil {
		return err
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	if err := d.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) { // some file systems cannot
		return err
	}
	return nil
}

func removable(path string) error {
	if abs, err := filepath.Abs(path); err != nil || abs == "/" {
		return errors.New("the root directory cannot be removed")
	}
	return nil
}
