package local

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/windows"

	"deploy/internal/node"
	"deploy/internal/session/local/winapi"
)

// The codes of errors that the session itself makes.
const (
	errAbsent      = windows.ERROR_FILE_NOT_FOUND
	errNotDir      = windows.ERROR_DIRECTORY
	errIsDir       = windows.ERROR_ACCESS_DENIED
	errInvalid     = windows.ERROR_INVALID_PARAMETER
	errPermission  = windows.ERROR_ACCESS_DENIED
	errLoop        = windows.ERROR_CANT_RESOLVE_FILENAME
	errTimeout     = windows.ERROR_TIMEOUT
	errUnsupported = windows.ERROR_NOT_SUPPORTED
)

// codeOf is HRESULT_FROM_WIN32: what .NET's file classes give the resident script, which other
// sessions ask.
func codeOf(e syscall.Errno) int64 { return winapi.HResult(e) }

func isAbsent(e syscall.Errno) bool {
	return e == windows.ERROR_FILE_NOT_FOUND || e == windows.ERROR_PATH_NOT_FOUND
}

func isDiskFull(e syscall.Errno) bool {
	return e == windows.ERROR_DISK_FULL || e == windows.ERROR_HANDLE_DISK_FULL
}

func (*platform) statOf(fi fs.FileInfo) node.FileInfo {
	info := node.FileInfo{Size: fi.Size(), Dir: fi.IsDir(), Modified: fi.ModTime().UTC().Truncate(time.Second)}
	if info.Dir {
		info.Size = 0
	}
	return info
}

func newTemp(path string) (*os.File, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
}

// dress does nothing: WriteOptions are ignored on Windows.
func dress(*os.File, string, node.WriteOptions) error { return nil }

// place has a file that is replaced hand on its security descriptor and its attributes.
func place(temp, path string) error { return winapi.Replace(temp, path) }

func removable(path string) error {
	abs, err := filepath.Abs(path)
	if err != nil || len(abs) <= len(filepath.VolumeName(abs))+1 {
		return errors.New("the root of a drive cannot be removed")
	}
	return nil
}
