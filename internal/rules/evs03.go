package rules

// evs03 are the rules for Exchange Virtual Servers of Exchange 2003 on a Windows cluster. Sources:
// Microsoft, "Deploying Exchange Server 2003 in a Cluster" and "Managing Exchange Server Clusters".
func evs03() Catalogue {
	in := []string{"evs03"}
	r := func(n string, severity Severity, how, section, text, hint string) Rule {
		return row("EVS-"+n, severity, in, how,
			"Microsoft, Deploying Exchange Server 2003 in a Cluster: "+section, text, hint)
	}
	return append(evs03Base(r),
		r("39", Must, "P", "table 3 and MSDTC", "MSDTC is a clustered resource of the default group and runs on a node.",
			"Create the Distributed Transaction Coordinator resource in the cluster group and bring it online."),
		r("40", Must, "P", "MSDTC and step 3", "The default group gets MSDTC and nothing else; no virtual server stands "+
			"in it.", "Give each virtual server a group of its own."),
		r("41", Should, "P", "MSDTC note", "Network access to MSDTC stays off.",
			"Leave NetworkDtcAccess at 0 unless another product needs it."),
		r("42", Must, "P", "table 3", "No node's full name equals an SMTP domain of a recipient policy.",
			"Rename the SMTP domain in the policy, or the node."),
		r("43", Must, "P", "table 4", "No virtual server's full name equals an SMTP domain of a recipient policy.",
			"Choose another network name for the virtual server."),
		r("44", Must, "S", "table 3", "With more than two nodes the cluster is active/passive and has fewer virtual "+
			"servers than nodes; two nodes may both be active.", "Add a node, or remove a virtual server."),
		r("45", Must, "P", "table 3", "Windows 2000 nodes have Service Pack 4.", "Install Service Pack 4 on the node."),
		r("46", Must, "P", "step 2", ".NET, ASP.NET, IIS, WWW, SMTP and NNTP are installed and enabled before setup starts.",
			"Add the missing Windows components on the node."),
		r("47", Should, "P", "important note", "After setup NNTP is disabled and only the services that are needed run.",
			"Set the NNTP service to disabled on every node."),
		r("48", Must, "S", "note", "Setup on a cluster node is done by hand, never unattended.",
			"Run setup at the gate and confirm it; the probe checks the result."),
		r("49", Should, "P", "step 2", "A node owns no cluster resource while Exchange is installed on it.",
			"Move its groups to another node first."),
		r("50", Should, "P", "step 2", "After the installation the latest service pack and security updates are installed.",
			"Bring every node to the same latest build."),
		r("51", Must, "SP", "step 3 and table 4", "Every virtual server has a group of its own.",
			"Give the virtual server another group name."),
		r("52", Must, "P", "table 4", "The network name and the disks are online before the System Attendant is created.",
			"Bring the group online without Exchange first."),
		r("53", Must, "P", "table 4", "The MDBDATA folder is empty before the System Attendant is created.",
			"Look at what the folder holds, save it and empty it."),
		r("54", Must, "P", "step 3", "Every disk that a virtual server uses is in its group.",
			"Move the disk resource into the group."),
		r("55", Should, "SP", "step 3", "IMAP4 and POP3 resources are created only where they are wanted.",
			"Name the protocols for the virtual server."),
		r("56", Must, "P", "note", "A cluster has one Message Transfer Agent, in its first virtual server.",
			"Do not wait for a Message Transfer Agent in the others."),
		r("57", Must, "SP", "front-end servers", "Each hosted SMTP namespace has an HTTP virtual server.",
			"Add an HTTP virtual server for the namespace."),
		r("58", Must, "P", "front-end servers", "Each front-end server maps to every node of the cluster.",
			"Add the missing node to the front-end server's mapping."),
		r("59", Must, "P", "table 5", "No resource runs on the node that is being upgraded, unless it is the only node.",
			"Move its groups to another node first."),
		r("60", Must, "P", "table 5", "Only Exchange 2000 with Service Pack 3 is upgraded.",
			"Install Exchange 2000 Service Pack 3 first."),
		r("61", Must, "S", "tables 5 and 6", "Nodes are upgraded one after the other, then the virtual servers one after "+
			"the other.", "Keep order: one-by-one in the upgrade phases."),
		r("62", Must, "P", "table 6", "While a virtual server is upgraded its name and disks are online and its System "+
			"Attendant is offline.", "Take the System Attendant offline and leave the rest of the group online."),
		r("63", Must, "P", "table 6", "Cluster Administrator runs on a machine with the Exchange version of the owning node.",
			"Run it on the node that owns the virtual server."),
		row("EVS-64", Should, in, "S", "Microsoft, Managing Exchange Server Clusters (Exchange 2003): failover",
			"A cluster survives as many failed nodes at once as it has nodes beyond its virtual servers.",
			"Add a node when more failures must be survived."),
	)
}

// evs03Base are the rules that must hold before the first virtual server.
func evs03Base(r func(n string, severity Severity, how, section, text, hint string) Rule) Catalogue {
	return Catalogue{
		r("01", Must, "P", "system-wide", "DNS and WINS run, and DNS takes dynamic updates or has an A record for each "+
			"network name.", "Allow dynamic updates in the zone, or add the records by hand."),
		r("02", Must, "P", "system-wide", "Where a node's DNS zone is not its Active Directory domain, its dNSHostName is "+
			"corrected (KB240942).", "Set dNSHostName and the DNS suffix as KB240942 says."),
		r("03", Must, "P", "system-wide", "The nodes are member servers of one domain and no domain controllers.",
			"Demote the node, or use another machine."),
		r("04", Must, "S", "system-wide", "With n nodes and e virtual servers there are 2n + e + 1 static addresses.",
			"Give every card, the cluster and each virtual server an address of its own."),
		r("05", Must, "P", "system-wide", "The cluster service is installed and runs on every node before setup.",
			"Form the cluster first, then install Exchange."),
		r("06", Must, "P", "system-wide", "The quorum is a single disk, a majority node set, or one with a file share "+
			"witness.", "Change the quorum to one of the three."),
		r("07", Must, "P", "note", "Exchange that was installed before the cluster is removed, and installed again "+
			"afterwards.", "Uninstall Exchange, form the cluster, then install it."),
		r("08", Must, "S", "system-wide", "Exchange is never installed on two nodes at once.",
			"Keep order: one-by-one in the installation phase."),
		r("09", Must, "P", "system-wide", "The cluster is not the first Exchange 2003 server of an Exchange 5.5 site.",
			"Install a stand-alone Exchange 2003 server in the site first."),
		r("10", Must, "P", "system-wide", "The folder for shared data is empty before the installation.",
			"Save what the folder holds and empty it."),
		r("11", Must, "P", "system-wide", "All nodes have the same build of Exchange.",
			"Bring the older node to the build of the others."),
		r("12", Must, "SP", "system-wide and table 3", "Exchange stands in the same local folder on every node, never on "+
			"a shared disk.", "Choose one folder on a local disk for all nodes."),
		r("13", Must, "P", "system-wide", "Messaging and Collaboration Services and the System Management Tools are "+
			"installed on every node.", "Run setup again and choose both components."),
		r("14", Must, "P", "system-wide", "The cluster service account is a domain user and a local administrator of each "+
			"node.", "Add the account to the Administrators group of the node."),
		r("15", Must, "P", "system-wide", "The account may add workstations to the domain.",
			"Grant the right, or create the computer objects beforehand."),
		r("16", Should, "P", "system-wide", "The nodes can be administered by Remote Desktop.",
			"Enable Remote Desktop on the node."),
		r("17", Must, "N", "hardware", "The hardware is listed as a cluster in the server catalog, as a geographic one "+
			"when it is dispersed.", "Look the solution up in the catalog, or ask its vendor."),
		r("18", Should, "PN", "hardware note", "All nodes have the same storage hardware.",
			"Use the same adapters and firmware on all nodes."),
		r("19", Must, "P", "table 1", "Windows is an Enterprise or Datacenter edition (Windows 2000: Advanced or "+
			"Datacenter) and Exchange the Enterprise edition.", "Install an edition that can form a cluster."),
		r("20", Must, "S", "table 1", "The number of nodes is one that the edition allows: 2, 4 or 8.",
			"Remove nodes, or use a larger edition."),
		r("21", Must, "P", "shared disks", "Shared disks hang on a shared bus and every node sees them.",
			"Present the disk to the node that does not see its serial number."),
		r("22", Must, "P", "shared disks", "Shared disks are basic disks, not dynamic ones.",
			"Convert the disk to a basic disk; that needs an empty disk."),
		r("23", Must, "P", "shared disks", "Every partition of the shared disks is NTFS.",
			"Format the partition with NTFS; what is on it is lost."),
		r("24", Must, "S", "shared disks", "A physical disk is one cluster resource: all its partitions move together.",
			"Do not divide a disk between two virtual servers."),
		r("25", Should, "P", "shared disks", "Partitions are aligned with diskpart.",
			"Create the partition with an alignment of 64 KB."),
		r("26", Must, "P", "network", "The private and public networks and the order of connections are configured.",
			"Put the public card first in the binding order."),
		r("27", Should, "P", "permissions", "From Exchange 2003 on the cluster service account has no Exchange role.",
			"Remove the delegated role from the account."),
		r("28", Must, "PN", "permissions and table 4", "Whoever creates the organisation's first virtual server is "+
			"Exchange Full Administrator of the organisation.", "Delegate the role at the organisation."),
		r("29", Must, "PN", "permissions", "Whoever creates another virtual server is Exchange Full Administrator of the "+
			"administrative group.", "Delegate the role at the administrative group."),
		r("30", Must, "N", "permissions", "In native mode, with a routing group across administrative groups, the role is "+
			"held at all of them.", "Delegate the role at each of the administrative groups."),
		r("31", Must, "N", "permissions", "For the first Exchange server of a child domain the role Exchange "+
			"Administrator is held at the organisation too.", "Delegate Exchange Administrator at the organisation for the "+
			"time of the installation."),
		r("32", Should, "SP", "four-node cluster", "A four-node cluster has three active nodes and one passive node.",
			"Leave one node without a virtual server."),
		r("33", Should, "S", "four-node cluster", "That design gives each virtual server 3 storage groups with 5 "+
			"databases each.", "Divide the databases as in the design, or note why not."),
		r("34", Should, "S", "table 2", "The plan of 22 disks is kept: logs and databases on different disks, the quorum "+
			"alone.", "Move logs and databases apart, and nothing beside the quorum."),
		r("35", Must, "P", "step 1", "ForestPrep ran before the first installation and has replicated before DomainPrep.",
			"Run setup /forestprep and wait until every domain controller has the new schema."),
		r("36", Must, "P", "step 1", "DomainPrep ran once in each domain.", "Run setup /domainprep in the domain."),
		r("37", Must, "P", "step 1 note", "The account for ForestPrep is a domain account that is a local administrator "+
			"of the nodes.", "Add the account to the Administrators group of the nodes."),
		r("38", Must, "P", "table 3", "The installer holds the role at the organisation, or at the administrative group "+
			"where the node is in Exchange Domain Servers.", "Delegate the role, or add the node to Exchange Domain Servers."),
	}
}
