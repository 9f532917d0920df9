package all

import (
	"strings"
	"testing"

	"deploy/steps"
)

// TestReadOnly holds what the kinds declare against what only looks and what does not.
func TestReadOnly(t *testing.T) {
	reads := Kinds().ReadOnly()
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
		if got := reads(argv); got != tt.want {
			t.Errorf("%q is %v, want %v", argv, got, tt.want)
		}
	}
}

func TestReadOnlyOnLinux(t *testing.T) {
	reads := Kinds().ReadOnly()
	for _, tt := range []struct {
		line string // arguments parted by |
		want bool
	}{
		{"systemctl|show|--property=Id,LoadState|--|ssh.service", true}, {"systemctl|show|-p|Id|ssh.service", true},
		{"systemctl|is-enabled|ssh", true},
		{"systemctl|is-active|--quiet|ssh", true}, {"systemctl|list-unit-files|--no-legend|--type=service", true},
		{"systemctl", false}, {"systemctl|start|ssh", false}, {"systemctl|daemon-reload", false},
		{"systemctl|enable|show", false}, {"systemctl|show|--root=/mnt|ssh", false},
		{"systemctl|-H|host|show|ssh", false}, {"systemctl|show|--host=other|ssh", false}, {"systemctl|show|-p", false},
		{"systemctl|show-environment", false},
		{"systemctl|is-enabled|--now|ssh", false},
		{"dpkg-query|-W|-f|${Package}\n", true}, {"dpkg-query|-W|-f=${Package}\n|bash", false},
		{"dpkg-query|--show|--showformat=${Package}|bash", true},
		{"dpkg-query|--control-path|bash", false}, {"dpkg-query|--admindir=/x|-W", false}, {"dpkg|-i|x.deb", false},
		{"dpkg-query|-W|-f", false},
		{"apt-cache|policy|bash", true}, {"apt-cache|madison|bash", true}, {"apt-cache|gencaches", false},
		{"apt-cache|policy|-o|Dir::Bin::x=/bin/sh", false}, {"apt-cache", false},
		{"apt-get|-s|-o|Debug::NoLocking=true|install|bash", true}, {"apt-get|install|--simulate|bash", true},
		{"apt-get|-s|--auto-remove|remove|bash", true},
		{"apt-get|install|bash", false}, {"apt-get|-y|install|bash", false}, {"apt-get|update", false},
		{"apt-get|-s|-o|DPkg::Pre-Invoke::=/bin/sh|install|bash", false},
		{"apt-get|-s|-c|/tmp/conf|install|bash", false}, {"apt-get|-s|install|-o", false},
		{"apt-get|-s|--option=APT::X=y|install|x", false}, {"apt-get|-o|-s|install|bash", false},
		{"rpm|-qa|--qf|%{NAME}\n", true}, {"rpm|-q|bash", true}, {"rpm|-q|--whatprovides|vim", true}, {"rpm|-e|bash", false},
		{"rpm|-i|x.rpm", false}, {"rpm|-q|--root|/x|bash", false},
		{"rpm|-q|--pipe|sh|bash", false}, {"rpm|-qa|--define|_x y", false}, {"rpm|-q|--eval|x", false},
		{"rpm|--rebuilddb", false}, {"rpm", false},
		{"dnf|-q|-C|repoquery|--installed|--recursive|--qf|%{name}|--whatrequires|libx", true},
		{"dnf|repoquery|--installed", false}, {"dnf|-C|remove|x", false}, {"dnf|-C|install|repoquery|--installed", false},
		{"dnf|-C|install|-q|repoquery|--installed", false}, {"dnf|-C|repoquery|x", false},
		{"dnf|-C|--setopt=x=y|repoquery|--installed", false},
		{"sysctl|-n|net.ipv4.ip_forward", true}, {"sysctl|-a", true}, {"sysctl|-w|net.ipv4.ip_forward=1", false},
		{"sysctl|-n|net.ipv4.ip_forward=1", false}, {"sysctl|--system", false},
		{"sysctl|-p", false}, {"sysctl|-n|-w|x", false}, {"sysctl|--load", false}, {"sysctl", false},
		{"findmnt|--json|--kernel|--mountpoint|/srv|--output|TARGET,SOURCE", true}, {"findmnt|--json|--fstab", true},
		{"findmnt|--poll", false}, {"findmnt|-p|/srv", false},
		{"findmnt|--tab-file|/x", false},
		{"getent|passwd|root", true}, {"getent|group", true}, {"getent|shadow|root", false}, {"getent|gshadow", false},
		{"getent|-s|x|passwd", false}, {"getent", false},
		{"id|-Gn|root", true}, {"id|-Gnz|root", true}, {"ps|-o|pid=,comm=|-u|5|-U|5", true}, {"ps|-e", true},
		{"ps|aux", true}, {"ps|-o", false}, {"ps|--cols|5", false}, {"id|-u", true}, {"id|--x", false},
		{"uname|-r", true}, {"uname", true}, {"uname|x", false},
		{"ip|-j|addr|show|dev|eth0", true}, {"ip|-j|-d|link|show", true}, {"ip|route", true},
		{"ip|link|set|eth0|down", false}, {"ip|addr|add|192.0.2.1/24|dev|eth0", false},
		{"ip|-batch|/x|link|show", false}, {"ip|-n|other|link|show", false}, {"ip|netns|exec|x|sh", false},
		{"ip|route|flush|show", false}, {"ip", false},
		{"needs-restarting|-r", true}, {"needs-restarting", false}, {"needs-restarting|-r|--installroot=/x", false},
		{"/usr/bin/systemctl|show|ssh", true}, {"/sbin/sysctl|-n|x.y", true}, {"/bin/systemctl|stop|ssh", false},
		{"/usr/local/bin/systemctl|show|ssh", false},
		{"/usr/bin/../../tmp/id", false}, {"./id", false}, {"/tmp/id", false}, {"/usr/bin/x/id", false},
		{"Systemctl|show|x", false}, {"cat|/etc/shadow", false}, {"env|id", false},
		{"sh|-c|id", false}, {"/usr/bin/hostname", false}, {"hostname", true},
	} {
		if got := reads(strings.Split(tt.line, "|")); got != tt.want {
			t.Errorf("%q is %v, want %v", tt.line, got, tt.want)
		}
	}
}

// TestNothingReadsWithoutForms: what no kind declares may start nothing.
func TestNothingReadsWithoutForms(t *testing.T) {
	for _, reads := range []func([]string) bool{steps.NewRegistry().ReadOnly(),
		steps.NewRegistry([]steps.Kind{{Name: "x"}}).ReadOnly()} {
		for _, argv := range [][]string{{"hostname"}, {"id"}, {"cluster.exe", "group"}, {"/usr/bin/systemctl", "show",
			"x"}, {}} {
			if reads(argv) {
				t.Errorf("%q", argv)
			}
		}
	}
}
