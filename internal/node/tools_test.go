package node

import (
	"strings"
	"testing"
)

func TestReadOnlyTool(t *testing.T) {
	for _, tt := range []struct {
		line string // arguments parted by |
		want bool
	}{
		{"", false},
		{"hostname", true}, {"hostname|newname", false}, {"whoami|/user", true},
		{"cluster.exe|group", true}, {"CLUSTER|/cluster:C1|res|Disk F:|/priv", true}, {"cluster|node|N2|/status", true},
		{"cluster|/cluster:C1|/prop", true}, {"cluster|/cluster:C1|/prop:SameSubnetThreshold", true},
		{"cluster|/quorum", true},
		{"cluster|/cluster:C1|/prop|SameSubnetThreshold=10", false}, {"cluster|/quorum:Disk Q:", false},
		{"cluster|node|N2|/evict", false},
		{"cluster|group|G|/moveto:N2", false}, {"cluster|/destroy", false}, {"cluster|res|R|/priv:X|/usedefault", false},
		{"cluster|res|R|/online", false},
		{"sc|query|ClusSvc", true}, {`sc.exe|\\N1|qc|ClusSvc`, true}, {"sc|config|ClusSvc|start=|auto", false}, {"sc", false},
		{"sc|stop|x", false},
		{`reg|query|HKLM\Cluster`, true}, {`reg|add|HKLM\Cluster`, false}, {"reg|query", false},
		{"dnscmd|/enumrecords|example.com|@", true}, {"dnscmd|dc1|/zoneinfo|example.com", true},
		{"dnscmd|/recorddelete|example.com", false}, {"dnscmd|dc1", false},
		{"netsh|interface|ip|show|config", true}, {"netsh|interface|set|interface|name=show", false},
		{"netsh|-f|show", false}, {"netsh", false},
		{"netsh|interface|ip|delete|show", false},
		{"ServerManagerCmd.exe|-query|x.xml", true}, {"ServerManagerCmd|-install|Failover-Clustering", false},
		{`icacls|C:\x`, true}, {`icacls|C:\x|/grant|u:F`, false}, {`icacls|C:\x|/save|f`, false}, {"icacls", false},
		{"diskpart", false}, {"diskpart|/s|x", false}, {"cmd|/c|hostname", false}, {"powershell|-c|hostname", false},
		{`C:\Windows\System32\hostname.exe`, true}, {`D:\hostname.exe`, false}, {`C:\Windows\..\evil\hostname.exe`, false},
		{`C:\Windows\x:hostname`, false}, {`.\hostname`, false},
	} {
		var argv []string
		if tt.line != "" {
			argv = strings.Split(tt.line, "|")
		}
		if got := ReadOnlyTool(argv); got != tt.want {
			t.Errorf("ReadOnlyTool(%q) = %v, want %v", argv, got, tt.want)
		}
	}
}
