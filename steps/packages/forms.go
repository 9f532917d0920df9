package packages

import (
	"slices"

	"deploy/internal/node"
	"deploy/steps/inspect"
)

// forms are the programs that look at packages. apt-cache is among them although no check asks
// it: it only ever answers from what was fetched.
func forms() []node.ToolForm {
	return append(inspect.Forms(), []node.ToolForm{
		{Program: "dpkg-query", Linux: true, Reads: dpkgReads}, {Program: "apt-cache", Linux: true, Reads: cacheReads},
		{Program: "apt-get", Linux: true, Reads: aptReads}, {Program: "rpm", Linux: true, Reads: rpmReads},
		{Program: "dnf", Linux: true, Reads: dnfReads},
	}...)
}

// dpkgReads: Source: dpkg-query(1).
func dpkgReads(args []string) bool {
	return node.OnlyOptions(args, []string{"-W", "--show", "-l", "--list", "-s", "--status", "-S", "--search", "-L",
		"--listfiles"}, []string{"-f", "--showformat"})
}

// cacheReads: Source: apt-cache(8).
func cacheReads(args []string) bool {
	return len(args) > 0 && slices.Contains([]string{"policy", "madison", "show", "depends", "rdepends", "search"},
		args[0]) && node.NoOptions(args[1:])
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
		case node.IsWord(a), slices.Contains([]string{"-q", "-qq", "-y", "--no-install-recommends", "--install-recommends",
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
	return node.OnlyOptions(args[1:], []string{"-a", "--all", "-i", "--info", "-l", "--list", "-f", "--file",
		"--whatprovides",
		"--whatrequires", "-R", "--requires", "--provides"},
		[]string{"--qf", "--queryformat"})
}

// dnfReads: a query of what is installed, from the cache alone. Source: dnf(8), repoquery.
func dnfReads(args []string) bool {
	at := slices.Index(args, "repoquery")
	return at >= 0 && slices.Contains(args, "--installed") && slices.Contains(args[:at], "-C") &&
		!slices.ContainsFunc(args[:at], node.IsWord) &&
		node.OnlyOptions(args, []string{"-q", "-C", "--installed", "--recursive"}, []string{"--whatrequires", "--qf"})
}
