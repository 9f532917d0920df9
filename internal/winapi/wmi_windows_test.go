package winapi

import (
	"errors"
	"testing"
	"time"

	"deploy/internal/node"
)

func TestWMIGet(t *testing.T) {
	var m Host
	defer m.Close()
	ctx := t.Context()
	rows, err := m.Get(ctx, `root\cimv2`, "Win32_OperatingSystem", []string{"Version", "BuildNumber", "LastBootUpTime", "ServicePackMajorVersion"}, nil)
	t.Log(rows, err)
	rows, err = m.Get(ctx, `root\cimv2`, "Win32_OperatingSystem", nil, nil)
	t.Log(rows, err)
	rows, err = m.Get(ctx, `root\cimv2`, "Win32_LogicalDisk", []string{"DeviceID", "DriveType", "FileSystem", "VolumeName"}, nil)
	t.Log(rows, err)
	rows, err = m.Get(ctx, `root\cimv2`, "Win32_LogicalDisk", []string{"DeviceID"}, map[string]any{"deviceid": "c:"})
	t.Log(rows, err)
	rows, err = m.Get(ctx, `root\cimv2`, "Win32_Nosuch", []string{"DeviceID"}, nil)
	t.Log(rows, err, errors.Is(err, node.ErrUnsupported))
	rows, err = m.Get(ctx, `root\nosuch`, "Win32_Nosuch", []string{"DeviceID"}, nil)
	t.Log(rows, err, errors.Is(err, node.ErrUnsupported))
	rows, err = m.Get(ctx, `root\cimv2`, "Win32_OperatingSystem", []string{"Nosuch"}, nil)
	t.Log(rows, err, errors.Is(err, node.ErrUnsupported))
	rows, err = m.Get(ctx, `root\cimv2`, "Win32_OperatingSystem", []string{"Version"}, map[string]any{"Nosuch": "x"})
	t.Log(rows, err, errors.Is(err, node.ErrUnsupported))
	s := time.Now()
	rows, err = m.Get(ctx, `root\cimv2`, "Win32_Service", nil, map[string]any{"Name": "rpcss"})
	t.Log(rows, err, time.Since(s))
	rows, err = m.Get(ctx, `root\cimv2`, "Win32_NetworkAdapterConfiguration", nil, nil)
	t.Log(rows, err)
	row, err := m.Call(ctx, `root\default`, "StdRegProv", nil, "GetStringValue", map[string]any{"hDefKey": int64(0x80000002), "sSubKeyName": `SOFTWARE\Microsoft\Windows NT\CurrentVersion`, "sValueName": "ProductName"})
	t.Log(row, err)
	row, err = m.Call(ctx, `root\default`, "StdRegProv", nil, "EnumKey", map[string]any{"hDefKey": int64(0x80000002), "sSubKeyName": `SOFTWARE\Microsoft\Windows NT`})
	t.Log(row, err)
	row, err = m.Call(ctx, `root\default`, "StdRegProv", nil, "Nosuch", nil)
	t.Log(row, err)
	row, err = m.Call(ctx, `root\cimv2`, "Win32_Service", map[string]any{"Name": "rpcss"}, "StopService", nil)
	t.Log(row, err)
	row, err = m.Call(ctx, `root\cimv2`, "Win32_Process", nil, "Create", map[string]any{"CommandLine": "cmd /c exit 3"})
	t.Log(row, err)
	err = m.Set(ctx, `root\cimv2`, "Win32_LogicalDisk", map[string]any{"DeviceID": "C:"}, map[string]any{"VolumeName": "x"})
	t.Log(err)
}
