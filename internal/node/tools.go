package node

import "strings"

// ReadOnlyTool says that a program with these arguments only looks. It knows the few programs that
// steps read with, in the forms that change nothing; everything else is taken for one that changes
// something. Programs are named without a path, or by one below the Windows directory of drive C,
// or on Linux by one directly in /usr/bin, /usr/sbin, /bin or /sbin.
func ReadOnlyTool(argv []string) bool {
	if len(argv) == 0 {
		return false
	}
	if reads, known := posixReads(argv); known {
		return reads
	}
	name := strings.ToLower(argv[0])
	if i := strings.LastIndexAny(name, `\/:`); i >= 0 {
		if !strings.HasPrefix(name, `c:\windows\`) || strings.Contains(name, `..`) || strings.ContainsAny(name[2:], `/:`) {
			return false
		}
		name = name[i+1:]
	}
	args := make([]string, 0, len(argv)-1)
	for _, a := range argv[1:] {
		args = append(args, strings.ToLower(a))
	}
	switch strings.TrimSuffix(name, ".exe") {
	case "hostname", "whoami":
		return len(args) == 0 || name[0] == 'w'
	case "cluster":
		return clusterReads(args)
	case "sc":
		return scReads(args)
	case "reg":
		return len(args) > 1 && args[0] == "query"
	case "dnscmd":
		return dnscmdReads(args)
	case "netsh":
		return netshReads(args)
	case "servermanagercmd":
		return len(args) > 0 && (args[0] == "-query" || args[0] == "-q" || args[0] == "-version")
	case "icacls":
		return icaclsReads(args)
	}
	return false
}

// clusterReads: every option must be one that shows, and no argument may set a value (name=value).
// Source: cluster.exe syntax of Windows Server 2003 and 2008.
func clusterReads(args []string) bool {
	for _, a := range args {
		if strings.Contains(a, "=") {
			return false
		}
		if !strings.HasPrefix(a, "/") {
			continue
		}
		option, value, valued := strings.Cut(a[1:], ":")
		switch option {
		case "cluster":
			if value == "" {
				return false
			}
		case "prop", "properties", "priv", "privproperties":
		case "stat", "status", "listowners", "listdep", "listdependencies", "listnetpri", "list", "ver", "version", "quorum",
			"quorumresource", "?", "help":
			if valued {
				return false
			}
		default:
			return false
		}
	}
	return true
}

func scReads(args []string) bool {
	if len(args) > 0 && strings.HasPrefix(args[0], `\\`) {
		args = args[1:]
	}
	if len(args) == 0 {
		return false
	}
	switch args[0] {
	case "query", "queryex", "qc", "qdescription", "qfailure", "qtriggerinfo", "sdshow", "enumdepend", "getdisplayname",
		"getkeyname":
		return true
	}
	return false
}

func dnscmdReads(args []string) bool {
	if len(args) > 0 && !strings.HasPrefix(args[0], "/") {
		args = args[1:] // the server's name
	}
	if len(args) == 0 {
		return false
	}
	switch args[0] {
	case "/enumzones", "/enumrecords", "/enumdirectorypartitions", "/zoneinfo", "/zoneprint", "/info",
		"/directorypartitioninfo", "/statistics":
		return true
	}
	return false
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

// icaclsReads: a path and at most /t, /c, /l, /q, which only say how much is shown.
func icaclsReads(args []string) bool {
	if len(args) == 0 || strings.HasPrefix(args[0], "/") {
		return false
	}
	for _, a := range args[1:] {
		switch a {
		case "/t", "/c", "/l", "/q":
		default:
			return false
		}
	}
	return true
}
