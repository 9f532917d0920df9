package rules

// ec are the rules for Exchange 2003 and 2007 on NEC ExpressCluster. Source: NEC, "ExpressCluster X
// for Windows, Configuration Guide (Exchange Server 2003 / 2007)", 2008; chapter 1: Exchange 2003,
// chapter 2: Exchange 2007.
func ec() Catalogue {
	both, ec03, ec07 := []string{"ec03", "ec07"}, []string{"ec03"}, []string{"ec07"}
	r := func(n string, severity Severity, in []string, how, section, text, hint string) Rule {
		return row("EC-"+n, severity, in, how,
			"NEC, ExpressCluster X for Windows Configuration Guide (Exchange 2003/2007): "+section, text, hint)
	}
	return append(ecBase(r, both, ec03),
		r("27", Must, ec07, "P", "chapter 2, step 8", "Administrators, NETWORK SERVICE and SYSTEM have full control of "+
			"TransportRoles.", "Set the access list of the folder on the switching partition."),
		r("28", Must, ec07, "SP", "chapter 2, step 8 note", "Each storage group has a directory of its own name.",
			"Create the directory, or rename it after the storage group."),
		r("29", Must, both, "P", "steps 15 and 13", "The Exchange services that the cluster starts are set to Manual on "+
			"both nodes.", "Set their start type to Manual; the group's scripts start them."),
		r("30", Must, both, "P", "steps 17 and 15", "Files that the standby node's pass left behind are deleted before "+
			"the active node's pass.", "Delete the files that the step names on the switching partition."),
		r("31", Should, both, "S", "steps 11, 16 and 22", "The group is moved, stopped and started from another machine "+
			"than the Exchange servers.", "Run deploy on a machine outside the cluster."),
		r("32", Must, both, "P", "steps 23 and 21, scripts", "The four script files are in place and built like the sample.",
			"Let the scripts phase write them again."),
		r("33", Must, both, "P", "notes", "Active Directory and Kerberos are served by the same machine.",
			"Point the nodes to a domain controller that does both."),
		r("34", Must, both, "P", "notes", "Nothing holds the switching partition open when the group moves; else the "+
			"server is shut down.", "Close the programs that have files open there before the move."),
		r("35", Should, both, "N", "notes", "The UPS and the delays allow a shutdown of more than five minutes.",
			"Set the UPS to wait longer than the server needs to stop."),
		r("36", Must, ec03, "N", "chapter 1, notes",
			"The domain is not renamed with the function of Windows Server 2003 SP1.",
			"Do not rename the domain while Exchange is in it."),
		r("37", Must, both, "P", "notes", "Settings of a server are made alike on both nodes; those of the organisation "+
			"are shared.", "Compare the two servers and set the missing value on the other."),
		r("38", Should, both, "N", "notes", "After a move Outlook is restarted, and POP3, IMAP4, SMTP and web clients use "+
			"the floating address, not a name.", "Tell the users, and give those clients the floating address."),
		r("39", Should, both, "N", "notes", "Message tracking uses the real name of the running node; with 2007 it is run "+
			"there.", "Track messages on the node that owns the group."),
		r("40", Should, both, "P", "notes", "Events about performance counters and a security data discrepancy are no "+
			"errors on standby or at failover.", "Leave these events out of alarms."),
		r("41", Must, both, "P", "functional range", "Functions that the cluster does not carry are not used: ADC, "+
			"calendar connector, event service, foreign connectors, NNTP, SRS.",
			"Move the function to another Exchange server."),
		r("42", Must, ec07, "P", "chapter 2, functional range",
			"With 2007 the cluster has no public folders, no Edge role and no Unified Messaging.",
			"Put these roles on another server."),
		r("43", Must, ec03, "P", "chapter 1, functional range", "A cluster has one Message Transfer Agent.",
			"Stop the second one."),
		r("44", Must, ec03, "P", "chapter 1, environment", "Exchange 2003 runs on Windows Server 2003 Standard or "+
			"Enterprise with Active Directory.", "Install a supported Windows on the node."),
		r("45", Must, ec07, "P", "chapter 2, environment", "Exchange 2007 runs on x64 Windows: 2003 with SP1 or 2008 "+
			"Standard or Enterprise; its SP1 needs 2003 SP2 or 2008.",
			"Install a supported Windows and service pack on the node."),
		r("46", Must, ec07, "P", "chapter 2, step 5", "The Active Directory domain is in native mode.",
			"Raise the domain's functional level first."),
		r("47", Must, ec07, "SP", "chapter 2, step 7", "On Windows Server 2008 only Exchange 2007 SP1 or later is newly "+
			"installed, and the cluster restarts once, after both servers are installed.",
			"Install both servers, then restart the cluster; do not restart single servers."),
		r("48", Must, ec07, "P", "chapter 2, step 6.3", "RSAT-ADDS is installed after the node joined the domain, and the "+
			"cluster restarts when both nodes have it.", "Join the domain, add RSAT-ADDS on both nodes, then restart the "+
			"cluster."),
		r("49", Must, ec07, "SP", "chapter 2, service pack", "For a service pack the group stays on the active node, the "+
			"standby node is upgraded first, then they swap and swap back.", "Keep the order of the service pack phase."),
		r("50", Should, ec07, "P", "chapter 2, service pack",
			"When setup misses the role Organization Administrators, log off and on and try once more.",
			"Log off, log on and start setup again."),
		r("51", Must, ec03, "P", "chapter 1, step 5", "On Windows Server 2003 SP1 the compatibility warning is accepted "+
			"and the latest service pack of Exchange is applied.", "Install the latest Exchange 2003 service pack after setup."),
		r("52", Must, ec07, "S", "chapter 2, steps 6.1 and 6.2",
			"Without the Internet the needed packages are fetched beforehand.",
			"Download the packages and give their paths in the site file."),
	)
}

func ecBase(r func(n string, severity Severity, in []string, how, section, text, hint string) Rule, both,
	ec03 []string) Catalogue {
	return Catalogue{
		r("01", Must, both, "S", "overview", "The cluster has exactly two nodes, one active and one standby.",
			"Name one active and one standby node."),
		r("02", Must, both, "SP", "installation", "Exchange's programs stand on a local partition of each server.",
			"Install to a local disk, not to the switching partition."),
		r("03", Must, both, "SP", "overview and step 2", "Data stands on the switching partition, which is large enough "+
			"for all users.", "Enlarge the partition, or choose another."),
		r("04", Must, both, "P", "step 1", "The binding order has the public card before the interconnect card.",
			"Put the public card first in the binding order."),
		r("05", Must, both, "P", "step 1", "The interconnect card has no DNS server, and NetBIOS is off on it.",
			"Clear its DNS servers and switch NetBIOS over TCP/IP off."),
		r("06", Must, both, "P", "step 1", "The public card does not register itself in DNS.",
			"Switch the registration off on the public card."),
		r("07", Must, both, "S", "step 2, important note", "The group has one floating address, not two.",
			"Remove the second floating address."),
		r("08", Must, both, "S", "step 2, important note", "The group has no virtual IP resource.",
			"Use a floating address instead."),
		r("09", Must, both, "S", "step 2", "The group holds the switching partition.",
			"Add the switching partition to the group."),
		r("10", Must, both, "SP", "step 3", "The domain administrator's account is registered in the cluster.",
			"Register the account in the cluster's properties."),
		r("11", Must, both, "P", "step 4a", "The active server's A record shows the floating address, and records of the "+
			"nodes' own addresses are gone.", "Change the record, and delete the others."),
		r("12", Must, both, "P", "step 4b", "The DNS zone takes no dynamic updates.",
			"Set dynamic updates of the zone to none."),
		r("13", Must, both, "P", "steps 5 and 7", "ExpressCluster runs while Exchange is installed.",
			"Start the cluster first."),
		r("14", Must, both, "P", "steps 5 and 7", "MSDTC runs and starts automatically.",
			"Set the service to Automatic and start it."),
		r("15", Must, both, "S", "steps 5 and 7", "Exchange is installed on each server by itself.",
			"Run setup on both servers, one after the other."),
		r("16", Must, both, "P", "step 7 and service packs", "Both servers have the same service pack of Exchange.",
			"Bring the older server to the service pack of the other."),
		r("17", Must, ec03, "P", "chapter 1, step 6", "Exchange 2003 SP2 needs Windows Server 2003 SP2, or KB898060 "+
			"(which needs SP1 or MS05-019) and KB905214.", "Install Windows Server 2003 SP2."),
		r("18", Must, both, "P", "step 8", "The directories of the switching partition exist before the stores move.",
			"Create the directories that the step names."),
		r("19", Must, ec03, "P", "chapter 1, step 9", "The stores have the same names on both servers, without a server's "+
			"name in them.", "Rename the stores alike on both servers."),
		r("20", Must, ec03, "P", "chapter 1, step 10", "The standby server has replicas of public folders, free/busy "+
			"data, offline address books and organisational forms in use.", "Add the standby server to the list of replicas."),
		r("21", Should, ec03, "P", "chapter 1, step 10 C", "Where an offline address book's settings cannot be managed, "+
			"the default list is rebuilt first.", "Rebuild the default offline address list, then try again."),
		r("22", Must, both, "S", "steps 11 to 21", "The standby server is configured first, then the active one, with a "+
			"failover in between.", "Keep the phases in the order of the playbook."),
		r("23", Must, ec03, "P", "chapter 1, step 12", "Stores of Exchange 2003 may be overwritten by a restore.",
			"Set the flag on the database's page."),
		r("24", Must, both, "P", "steps 13 and 11", "Log and system paths lie on the switching partition.",
			"Move the storage group's paths."),
		r("25", Must, ec03, "P", "chapter 1, step 14", "SMTP badmail and queue lie on the switching partition; the "+
			"virtual server is stopped while they change.", "Stop the SMTP virtual server, change the paths, start it."),
		r("26", Must, []string{"ec07"}, "P", "chapter 2, step 12",
			"The transport queue's settings point to the switching partition, and the old files are deleted.",
			"Change the paths in the transport service's configuration file and delete the old queue."),
	}
}
