package winapi

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"deploy/internal/node"

	"golang.org/x/sys/windows"
)

func TestFacts(t *testing.T) {
	h := host(t)
	f, err := Facts(t.Context(), h)
	must(t, err)
	name, err := os.Hostname()
	must(t, err)
	if f.OS != "windows" || f.Version == "" || f.Build < 2600 || f.Arch != runtime.GOARCH || f.Computer == "" ||
		f.BootID == "" || f.UILanguage == 0 || !f.Privileged {
		t.Errorf("%+v", f)
	}
	t.Logf("%+v, host name %s", f, name)
	again, err := Facts(t.Context(), h)
	if err != nil || again != f {
		t.Errorf("the second time they are %+v, %v", again, err)
	}
	// WMI is what sessions of another kind ask
	rows, err := h.Get(t.Context(), `root\cimv2`, "Win32_OperatingSystem", []string{"Version", "BuildNumber"}, nil)
	if err != nil || rows[0].String("Version") != f.Version || int(rows[0].Int("BuildNumber")) != f.Build {
		t.Errorf("%v, %v, and not %+v", rows, err, f)
	}
}

func TestReplace(t *testing.T) {
	dir := t.TempDir()
	temp, path := filepath.Join(dir, "temp"), filepath.Join(dir, "file.txt")
	for _, text := range []string{"first", "second"} { // without and with a file to replace
		must(t, os.WriteFile(temp, []byte(text), 0o600))
		must(t, Replace(temp, path))
		if b, err := os.ReadFile(path); err != nil || string(b) != text {
			t.Errorf("%q, %v", b, err)
		}
		if _, err := os.Stat(temp); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the temporary file: %v", err)
		}
	}
	is(t, failed("x", Replace(temp, path)), nil, HResult(windows.ERROR_FILE_NOT_FOUND))
}

// TestReplaceWaits: somebody who has the file open for a moment is waited for.
func TestReplaceWaits(t *testing.T) {
	dir := t.TempDir()
	temp, path := filepath.Join(dir, "temp"), filepath.Join(dir, "file.txt")
	must(t, os.WriteFile(temp, []byte("new"), 0o600))
	must(t, os.WriteFile(path, []byte("old"), 0o600))
	p, err := windows.UTF16PtrFromString(path)
	must(t, err)
	held, err := windows.CreateFile(p, windows.GENERIC_READ, 0, nil, windows.OPEN_EXISTING, 0, 0)
	must(t, err)
	let := time.AfterFunc(300*time.Millisecond, func() { _ = windows.CloseHandle(held) })
	defer let.Stop()
	must(t, Replace(temp, path))
	if b, err := os.ReadFile(path); err != nil || string(b) != "new" {
		t.Errorf("%q, %v", b, err)
	}
}

// TestACLRefusals: what is set and read back is judged on Windows only; what is refused is the same
// everywhere.
func TestACLRefusals(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "not there")
	_, err := ACL(missing)
	is(t, err, node.ErrNotFound, 2)
	is(t, SetACL(missing, "D:P(A;;FA;;;SY)"), node.ErrNotFound, 2)
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o600))
	is(t, SetACL(file, "not a descriptor"), nil, 0)
	is(t, SetACL(file, "O:BA"), nil, 0)
	rows, err := ACL(file)
	if err != nil || len(rows) != 1 || rows[0].String("sddl")[:2] != "D:" {
		t.Errorf("%v, %v", rows, err)
	}
}

// TestReturnValues: numbers of the service manager as Win32_Service tells them.
func TestReturnValues(t *testing.T) {
	for e, want := range map[error]int64{
		nil: 0, windows.ERROR_ACCESS_DENIED: 2, windows.ERROR_DEPENDENT_SERVICES_RUNNING: 3,
		windows.ERROR_SERVICE_CANNOT_ACCEPT_CTRL: 5, windows.ERROR_SERVICE_NOT_ACTIVE: 6,
		windows.ERROR_SERVICE_ALREADY_RUNNING: 10, windows.ERROR_SERVICE_DISABLED: 14,
		windows.ERROR_SERVICE_MARKED_FOR_DELETE: 16, windows.ERROR_SERVICE_LOGON_FAILED: 15,
	} {
		if got, err := returnValue(e); err != nil || got != want {
			t.Errorf("%v: %d, %v, want %d", e, got, err, want)
		}
	}
	// WMI would say 8 of every other error, and the system's number would be lost
	if got, err := returnValue(windows.ERROR_GEN_FAILURE); !errors.Is(err, windows.ERROR_GEN_FAILURE) {
		t.Errorf("a general failure: %d, %v", got, err)
	}
}
