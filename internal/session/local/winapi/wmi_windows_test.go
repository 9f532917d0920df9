package winapi

import (
	"context"
	"errors"
	"regexp"
	"sync"
	"testing"
	"time"

	"deploy/internal/node"
)

func host(t *testing.T) *Host {
	t.Helper()
	h := &Host{}
	t.Cleanup(h.Close)
	return h
}

func TestWMIGet(t *testing.T) {
	h := host(t)
	rows, err := h.Get(t.Context(), `root\cimv2`, "Win32_OperatingSystem",
		[]string{"Version", "buildnumber", "LastBootUpTime", "ServicePackMajorVersion", "Primary", "TotalVisibleMemorySize"},
		nil)
	must(t, err)
	if len(rows) != 1 {
		t.Fatal(rows)
	}
	os := rows[0]
	if _, ok := os["buildnumber"].(string); !ok { // as it was asked for, and a text as the class has it
		t.Errorf("%#v", os)
	}
	if n, ok := os["ServicePackMajorVersion"].(int64); !ok || n < 0 {
		t.Errorf("a uint16 is %#v", os["ServicePackMajorVersion"])
	}
	if n, ok := os["TotalVisibleMemorySize"].(int64); !ok || n <= 0 { // a uint64, which WMI carries as text
		t.Errorf("a uint64 is %#v", os["TotalVisibleMemorySize"])
	}
	if b, ok := os["Primary"].(bool); !ok || !b {
		t.Errorf("a truth is %#v", os["Primary"])
	}
	if !regexp.MustCompile(`^\d{14}\.\d{6}[+-]\d{3}$`).MatchString(os.String("LastBootUpTime")) {
		t.Errorf("a datetime is %#v", os["LastBootUpTime"])
	}
	all, err := h.Get(t.Context(), `root\cimv2`, "Win32_OperatingSystem", nil, nil)
	if err != nil || len(all) != 1 || len(all[0]) < 10 || all[0].String("Version") != os.String("Version") {
		t.Errorf("%v, %v", all, err)
	}
}

func TestWMIWhere(t *testing.T) {
	h := host(t)
	get := func(where map[string]any) int {
		t.Helper()
		rows, err := h.Get(t.Context(), `root\cimv2`, "Win32_LogicalDisk", []string{"DeviceID"}, where)
		must(t, err)
		return len(rows)
	}
	if n := get(map[string]any{"deviceid": "c:"}); n != 1 {
		t.Errorf("%d drives C:", n)
	}
	if n := get(map[string]any{"DeviceID": "C:", "DriveType": int64(3)}); n != 1 {
		t.Errorf("%d fixed drives C:", n)
	}
	if n := get(map[string]any{"DeviceID": "C:", "DriveType": int64(5)}); n != 0 {
		t.Errorf("%d optical drives C:", n)
	}
	// a value never becomes part of a query
	if n := get(map[string]any{"DeviceID": "' OR DeviceID <> '"}); n != 0 {
		t.Errorf("%d drives of a hostile name", n)
	}
}

func TestWMILists(t *testing.T) {
	h := host(t)
	key := map[string]any{"hDefKey": int64(0x80000002), "sSubKeyName": `SOFTWARE\Microsoft\Windows NT`}
	row, err := h.Call(t.Context(), `root\default`, "StdRegProv", nil, "EnumKey", key)
	if code, _ := node.Code(err); code == 87 { // Wine's argument has a sign
		key["hDefKey"] = int64(0x80000002) - 1<<32
		row, err = h.Call(t.Context(), `root\default`, "StdRegProv", nil, "EnumKey", key)
	}
	must(t, err)
	if row.Int("ReturnValue") != 0 || len(row.Strings("sNames")) == 0 {
		t.Errorf("%#v", row)
	}
}

func TestWMIAbsent(t *testing.T) {
	h := host(t)
	ask := func(ns, class string, props []string, where map[string]any) error {
		_, err := h.Get(t.Context(), ns, class, props, where)
		return err
	}
	is(t, ask(`root\cimv2`, "Win32_NoSuch", []string{"Name"}, nil), node.ErrUnsupported, wbemInvalidClass)
	is(t, ask(`root\nosuch`, "Win32_Service", []string{"Name"}, nil), node.ErrUnsupported, wbemInvalidNamespace)
	is(t, ask(`root\cimv2`, "Win32_OperatingSystem", []string{"NoSuch"}, nil), node.ErrUnsupported, wbemInvalidQuery)
	is(t, ask(`root\cimv2`, "Win32_OperatingSystem", nil, map[string]any{"NoSuch": "x"}), node.ErrUnsupported,
		wbemInvalidQuery)
	is(t, ask(`root\cimv2`, "Win32_OperatingSystem WHERE 1=1", nil, nil), node.ErrUnsupported, 50)
	is(t, ask(`root\cimv2`, "Win32_OperatingSystem", []string{"*"}, nil), node.ErrUnsupported, 50)

	call := func(class string, where map[string]any, method string, args map[string]any) error {
		_, err := h.Call(t.Context(), `root\cimv2`, class, where, method, args)
		return err
	}
	is(t, call("Win32_NoSuch", nil, "Create", nil), node.ErrUnsupported, wbemInvalidClass)
	is(t, call("Win32_Process", nil, "NoSuch", nil), node.ErrUnsupported, 50)
	is(t, call("Win32_Process", nil, "Create", map[string]any{"NoSuch": "x"}), node.ErrUnsupported, 50)
	is(t, call("Win32_Service", map[string]any{"Name": "no-such-service"}, "StartService", nil), node.ErrNotFound, 2)
	is(t, call("Win32_Service", map[string]any{"StartMode": "Manual"}, "StartService", nil), nil, 87)
	is(t, h.Set(t.Context(), `root\cimv2`, "Win32_LogicalDisk", map[string]any{"DeviceID": "no such"},
		map[string]any{"VolumeName": "x"}), node.ErrNotFound, 2)
	is(t, h.Set(t.Context(), `root\cimv2`, "Win32_LogicalDisk", map[string]any{"DeviceID": "C:"},
		map[string]any{"NoSuch": "x"}), node.ErrUnsupported, 50)
	is(t, h.Set(t.Context(), `root\cimv2`, "Win32_LogicalDisk", map[string]any{"DeviceID": "C:"},
		map[string]any{"DeviceID.X": "x"}), node.ErrUnsupported, 50)
}

func TestWMIMethodWithOutput(t *testing.T) {
	h := host(t)
	row, err := h.Call(t.Context(), `root\cimv2`, "Win32_Process", nil, "Create",
		map[string]any{"CommandLine": "cmd.exe /c exit 0"})
	if err != nil || row.Int("ReturnValue") != 0 || row.Int("ProcessId") == 0 {
		t.Errorf("%v, %v", row, err)
	}
}

// TestWMIConcurrent: many may ask at once, and one that gave up does not take the others along.
func TestWMIConcurrent(t *testing.T) {
	h := host(t)
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			if i%4 == 3 {
				cancel()
			}
			defer cancel()
			rows, err := h.Get(ctx, `root\cimv2`, "Win32_LogicalDisk", []string{"DeviceID"}, nil)
			if i%4 == 3 {
				if !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
			} else if err != nil || len(rows) == 0 {
				t.Error(rows, err)
			}
		})
	}
	group.Wait()
}

// TestThreadGivenUp: a call that hangs keeps its thread, not the next caller.
func TestThreadGivenUp(t *testing.T) {
	h := host(t)
	hang := make(chan struct{})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := h.com.do(ctx, func(*worker) error { <-hang; return nil }); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	if err := h.com.do(t.Context(), func(*worker) error { return nil }); err != nil {
		t.Error(err)
	}
	close(hang)
	h.Close()
	if err := h.com.do(t.Context(), func(*worker) error { return nil }); !errors.Is(err, errClosed) {
		t.Error(err)
	}
}
