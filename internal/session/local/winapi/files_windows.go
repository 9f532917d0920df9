package winapi

import (
	"errors"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

// patience is how long a file that somebody else has open is waited for. A virus scanner or an
// indexer opens what has just been written.
const patience = 5 * time.Second

// Replace gives a file the name of another, in the place of what has that name. A file that is
// replaced hands on its security descriptor, its attributes and the time of its making
// (ReplaceFile).
func Replace(temp, path string) error {
	from, err := windows.UTF16PtrFromString(temp)
	if err != nil {
		return err
	}
	to, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return err
	}
	return Shared(func() error {
		r, _, err := procReplaceFile.Call(uintptr(unsafe.Pointer(to)), uintptr(unsafe.Pointer(from)), 0, 0, 0, 0)
		if r != 0 {
			return nil
		}
		if !isMissing(err) {
			return err
		}
		return windows.MoveFileEx(from, to, windows.MOVEFILE_REPLACE_EXISTING|windows.MOVEFILE_WRITE_THROUGH)
	})
}

// Shared does f again for a while as long as somebody else has the file open.
func Shared(f func() error) error {
	end := time.Now().Add(patience)
	for {
		err := f()
		switch {
		case errors.Is(err, windows.ERROR_SHARING_VIOLATION), errors.Is(err, windows.ERROR_LOCK_VIOLATION),
			errors.Is(err, windows.ERROR_UNABLE_TO_REMOVE_REPLACED):
			if time.Now().After(end) {
				return err
			}
			time.Sleep(50 * time.Millisecond)
		default:
			return err
		}
	}
}
