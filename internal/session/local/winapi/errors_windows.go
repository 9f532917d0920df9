package winapi

import (
	"errors"
	"fmt"
	"syscall"

	"deploy/internal/node"
	"deploy/internal/session/powershell/protocol"

	"golang.org/x/sys/windows"
)

func absent(op, format string, args ...any) error {
	return &node.Refusal{Kind: node.ErrNotFound, Code: &node.CodeError{Op: op, Code: int64(windows.ERROR_FILE_NOT_FOUND),
		ID: protocol.IDNotFound, Text: fmt.Sprintf(format, args...)}}
}

func unsupported(op, format string, args ...any) error {
	return &node.Refusal{Kind: node.ErrUnsupported, Code: &node.CodeError{Op: op, Code: int64(windows.ERROR_NOT_SUPPORTED),
		ID: protocol.IDUnsupported, Text: fmt.Sprintf(format, args...)}}
}

// refused is a refusal of our own, with the id that the resident script gives it.
func refused(op, id string, code syscall.Errno, format string, args ...any) error {
	return &node.Refusal{Code: &node.CodeError{Op: op, Code: int64(code), ID: id, Text: fmt.Sprintf(format, args...)}}
}

// HResult is HRESULT_FROM_WIN32.
func HResult(e syscall.Errno) int64 {
	if e == 0 || uint32(e)&0x80000000 != 0 {
		return int64(uint32(e))
	}
	return 0x80070000 | int64(e)&0xFFFF
}

// failed turns an error of the API into a refusal with the HRESULT of its number. What carries no
// number stays as it is.
func failed(op string, err error) error {
	var e syscall.Errno
	if !errors.As(err, &e) {
		return fmt.Errorf("%s failed: %w", op, err)
	}
	return &node.Refusal{Code: &node.CodeError{Op: op, Code: HResult(e), Text: e.Error()}}
}

// isMissing knows the two numbers that say that a path or key is not there.
func isMissing(err error) bool {
	return errors.Is(err, windows.ERROR_FILE_NOT_FOUND) || errors.Is(err, windows.ERROR_PATH_NOT_FOUND)
}

// refusedCode is refused with the number and the text of an error of the API.
func refusedCode(op, id string, err error) error {
	var e syscall.Errno
	if !errors.As(err, &e) {
		return fmt.Errorf("%s failed: %w", op, err)
	}
	return refused(op, id, e, "%s", e.Error())
}

// refusedNumber is a refusal of which no more than the number is told.
func refusedNumber(op string, code int64) error {
	return &node.Refusal{Code: &node.CodeError{Op: op, Code: code}}
}
