package rules

// linux are the rules of the playbook linux-baseline. Source: the manual pages that each names.
func linux() Catalogue {
	in := []string{"linux-baseline"}
	r := func(n string, severity Severity, how, source, text, hint string) Rule {
		return row("LNX-"+n, severity, in, how, source, text, hint)
	}
	return Catalogue{
		r("01", Must, "P", "systemd(1)", "Nodes run Linux with systemd as process 1.",
			"Take nodes with another init system off the role linux."),
		r("02", Must, "S", "sshd_config(5), PasswordAuthentication", "Passwords are forbidden only where a user has a key.",
			"Give a user of the list its public keys, or leave PasswordAuthentication out."),
		r("03", Must, "S", "passwd(5)", "No two users have the same number.", "Give each user a uid of its own, or none."),
		r("04", Should, "S", "network_namespaces(7), namespaces(7)",
			"In a container only the network's own kernel settings can be set.",
			"Keep other settings for machines with a kernel of their own."),
		r("05", Must, "P", "sshd(8), -t", "sshd accepts its settings and runs with them.",
			"Run sshd -t on the node: it names the line."),
	}
}
