package node

import (
	"slices"
	"strings"
)

// posixBins are the directories whose programs may be named with their path.
var posixBins = []string{"/usr/bin/", "/usr/sbin/", "/bin/", "/sbin/"}

// posixReads says that a program of a Linux machine with these arguments only looks. Names and
// arguments are compared with case. known is false for a program that is not in the table. Every
// form is listed by what it may hold, not by what it may not: an option that nobody has looked at
// is one that may write.
func posixReads(argv []string) (reads, known bool) {
	name := argv[0]
	if strings.HasPrefix(name, "/") {
		i := strings.LastIndexByte(name, '/')
		if !slices.Contains(posixBins, name[:i+1]) {
			return false, true
		}
		name = name[i+1:]
	}
	args := argv[1:]
	switch name {
	case "systemctl":
		return systemctlReads(args), true
	case "dpkg-query":
		return only(args, []string{"-W", "--show", "-l", "--list", "-s", "--status", "-S", "--search", "-L", "--listfiles"},
			[]string{"-f", "--showformat"}), true
	case "apt-cache":
		return len(args) > 0 && slices.Contains([]string{"policy", "madison", "show", "depends", "rdepends", "search"},
			args[0]) && plain(args[1:]), true
	case "apt-get":
		return aptReads(args), true
	case "rpm":
		return rpmReads(args), true
	case "dnf":
		return dnfReads(args), true
	case "sysctl":
		return sysctlReads(args), true
	case "findmnt":
		return findmntReads(args), true
	case "getent":
		return len(args) > 0 && slices.Contains([]string{"passwd", "group", "hosts", "ahosts", "services", "protocols",
			"networks"}, args[0]) && plain(args[1:]), true
	case "id":
		return only(args, []string{"-u", "-g", "-G", "-n", "-un", "-gn", "-Gn", "-Gnz", "-r"}, nil), true
	case "ps":
		return only(args, []string{"-e", "-A"}, []string{"-o", "-p", "-u", "-U"}), true
	case "uname":
		return only(args, []string{"-a", "-s", "-n", "-r", "-v", "-m", "-o"}, nil) && !slices.ContainsFunc(args, word), true
	case "needs-restarting":
		return slices.Equal(args, []string{"-r"}), true
	case "ip":
		return ipReads(args), true
	}
	return false, false
}

func word(arg string) bool { return !strings.HasPrefix(arg, "-") }

// plain says that no argument is an option.
func plain(args []string) bool {
	return !slices.ContainsFunc(args, func(a string) bool { return !word(a) })
}

// only says that every option is one of flags, or one of valued with its value behind it or behind
// "="; words may stand anywhere, and everything behind "--" is a word.
func only(args, flags, valued []string) bool {
	for i := 0; i < len(args); i++ {
		a := args[i]
		name, _, joined := strings.Cut(a, "=")
		switch {
		case a == "--":
			return true
		case word(a), slices.Contains(flags, a):
		case slices.Contains(valued, a):
			if i++; i == len(args) {
				return false
			}
		case joined && strings.HasPrefix(name, "--") && slices.Contains(valued, name):
		default:
			return false
		}
	}
	return true
}

// systemctlReads: the verb comes first, as steps write it. Source: systemctl(1).
func systemctlReads(args []string) bool {
	if len(args) == 0 {
		return false
	}
	switch args[0] {
	case "show", "is-active", "is-enabled", "is-failed", "list-unit-files", "list-units", "list-timers", "list-sockets",
		"cat", "get-default", "is-system-running":
	default:
		return false
	}
	return only(args[1:], []string{"--no-pager", "--no-legend", "--all", "-a", "--value", "--plain", "--quiet", "-q",
		"--full", "-l"},
		[]string{"-p", "--property", "-t", "--type", "--state", "--output", "-o"})
}

// aptReads: a simulation, in which no other option may stand but those that change what is
// simulated. -o can name programs to run, so it is taken for the one form that steps use. Source:
// apt-get(8).
func aptReads(args []string) bool {
	simulated := false
	for i := 0; i < len(args); i++ {
		switch a := args[i]; {
		case a == "-s", a == "--simulate":
			simulated = true
		case a == "-o":
			if i++; i == len(args) || args[i] != "Debug::NoLocking=true" {
				return false
			}
		case word(a), slices.Contains([]string{"-q", "-qq", "-y", "--no-install-recommends", "--install-recommends",
			"--auto-remove", "--allow-downgrades", "--purge"}, a):
		default:
			return false
		}
	}
	return simulated
}

// rpmReads: the query mode, without the options that load macros or other databases. Source:
// rpm(8).
func rpmReads(args []string) bool {
	if len(args) == 0 || (args[0] != "-q" && args[0] != "-qa" && args[0] != "--query") {
		return false
	}
	return only(args[1:], []string{"-a", "--all", "-i", "--info", "-l", "--list", "-f", "--file", "--whatprovides",
		"--whatrequires", "-R", "--requires", "--provides"},
		[]string{"--qf", "--queryformat"})
}

// dnfReads: a query of what is installed, from the cache alone. Source: dnf(8), repoquery.
func dnfReads(args []string) bool {
	at := slices.Index(args, "repoquery")
	return at >= 0 && slices.Contains(args, "--installed") && slices.Contains(args[:at], "-C") &&
		!slices.ContainsFunc(args[:at], word) &&
		only(args, []string{"-q", "-C", "--installed", "--recursive"}, []string{"--whatrequires", "--qf"})
}

// sysctlReads: no argument may hold "=", which writes, and no option but those that show. Source:
// sysctl(8).
func sysctlReads(args []string) bool {
	if len(args) == 0 {
		return false
	}
	for _, a := range args {
		if strings.Contains(a, "=") || (!word(a) &&
			!slices.Contains([]string{"-n", "--values", "-a", "--all", "-N", "--names", "-b", "--binary", "-e", "--ignore",
				"--"}, a)) {
			return false
		}
	}
	return true
}

// findmntReads: everything but --poll, which never ends. Source: findmnt(8).
func findmntReads(args []string) bool {
	return only(args, []string{"-J", "--json", "-k", "--kernel", "-s", "--fstab", "-m", "--mtab", "-n", "--noheadings",
		"-r", "--raw", "-P", "--pairs", "-l", "--list",
		"-b", "--bytes", "-A", "--all", "-e", "--evaluate", "-f", "--first-only", "-u", "--notruncate", "-v", "--nofsroot"},
		[]string{"-M", "--mountpoint", "-T", "--target", "-S", "--source", "-o", "--output", "-t", "--types", "-O",
			"--options"})
}

// ipReads: options that shape the output, an object, and show (or no verb at all, which shows).
// -batch and -netns name files and other places, and are not among them. Source: ip(8).
func ipReads(args []string) bool {
	for len(args) > 0 && !word(args[0]) {
		if !slices.Contains([]string{"-j", "-json", "-J", "-d", "-details", "-s", "-stats", "-4", "-6", "-o", "-oneline",
			"-br", "-brief", "-N", "-Numeric", "-p", "-pretty"}, args[0]) {
			return false
		}
		args = args[1:]
	}
	if len(args) == 0 || !slices.Contains([]string{"addr", "address", "link", "route", "rule", "neigh", "neighbour",
		"maddress"}, args[0]) {
		return false
	}
	return len(args) == 1 || ((args[1] == "show" || args[1] == "list") && plain(args[2:]))
}
