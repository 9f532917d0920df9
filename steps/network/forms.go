package network

import (
	"slices"
	"strings"

	"deploy/internal/node"
)

// forms are the programs that look at adapters and addresses.
func forms() []node.ToolForm {
	return []node.ToolForm{{Program: "netsh", Reads: netshReads}, {Program: "ip", Linux: true, Reads: ipReads}}
}

// netshReads: the verb is "show" or "dump", and comes before any name. A script file (-f) or
// another machine (-r) is not looked into.
func netshReads(args []string) bool {
	for _, a := range args {
		if strings.HasPrefix(a, "-") || strings.HasPrefix(a, "/") {
			return false
		}
		switch a {
		case "show", "dump":
			return true
		case "interface", "ip", "ipv4", "ipv6", "advfirewall", "firewall", "winhttp", "http", "tcp", "dnsclient", "lan":
		default:
			return false
		}
	}
	return false
}

// ipReads: options that shape the output, an object, and show (or no verb at all, which shows).
// -batch and -netns name files and other places, and are not among them. Source: ip(8).
func ipReads(args []string) bool {
	for len(args) > 0 && !node.IsWord(args[0]) {
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
	return len(args) == 1 || ((args[1] == "show" || args[1] == "list") && node.NoOptions(args[2:]))
}
