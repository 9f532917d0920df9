package registry

import (
	"testing"

	"deploy/internal/node"
	"deploy/internal/testkit/conformance"
)

func TestTierConformanceInLab(t *testing.T) {
	const tcpip = `HKLM\SYSTEM\CurrentControlSet\Services\Tcpip\Parameters`
	for name, with := range map[string]map[string]any{
		"new dword":  {"key": tcpip, "name": "KeepAliveTime", "type": "dword", "data": float64(300000)},
		"high dword": {"key": tcpip, "name": "High", "type": "dword", "data": float64(4294967295)},
		"new key":    {"key": `HKLM\SOFTWARE\Example\Deep\Deeper`, "name": "Text", "data": "été"},
		"default":    {"key": `HKLM\SOFTWARE\Example`, "data": "x"},
		"multi":      {"key": `HKLM\SOFTWARE\Example`, "name": "List", "type": "multi", "data": []any{"a", "b"}},
		"binary":     {"key": `HKLM\SOFTWARE\Example`, "name": "Raw", "type": "binary", "data": "00 ff 10"},
		"qword":      {"key": `HKLM\SOFTWARE\Example`, "name": "Big", "type": "qword", "data": "0x7fffffffffffffff"},
		"expand":     {"key": `HKLM\SOFTWARE\Example`, "name": "Path", "type": "expand", "data": `%SystemRoot%\x`},
		"absent": {"key": `HKLM\SYSTEM\CurrentControlSet\Control\ComputerName\ComputerName`, "name": "computername",
			"absent": true},
		"replace": {"key": `HKLM\SYSTEM\CurrentControlSet\Control\ComputerName\ComputerName`, "name": "ComputerName",
			"data": "other"},
	} {
		t.Run(name, func(t *testing.T) {
			conformance.InLab(t, nil, func(t *testing.T, b *conformance.Bench) {
				conformance.Run(t, conformance.Case{Kind: kind(), With: with,
					Open: func(t *testing.T) node.Session { return b.Session(t, conformance.Node1) }})
			})
		})
	}
}
