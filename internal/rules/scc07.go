package rules

// scc07 are the rules for a single copy cluster of Exchange 2007 on Windows Server 2008. Source:
// Microsoft, "Installing a Single Copy Cluster on Windows Server 2008" (Exchange Server 2007).
func scc07() Catalogue {
	in := []string{"scc07"}
	r := func(n string, severity Severity, how, section, text, hint string) Rule {
		return row("SCC-"+n, severity, in, how,
			"Microsoft, Installing a Single Copy Cluster on Windows Server 2008 (Exchange 2007): "+section, text, hint)
	}
	return Catalogue{
		r("01", Must, "SP", "first note", "Nodes run Windows Server 2008 (version 6.0), never 2008 R2.",
			"Install Windows Server 2008 with SP2 on the node; Exchange 2007 is not supported on 2008 R2."),
		r("02", Must, "P", "introduction", "The Windows components that Exchange needs are installed before the first phase.",
			"Let the prerequisites phase install them, or run ServerManagerCmd -i for what it names."),
		r("03", Should, "SP", "introduction", "Each phase is complete before the next one begins.",
			"Finish or resume the earlier phase first; deploy resume goes on where it stopped."),
		r("04", Should, "P", "introduction and verification", "The cluster is verified before it carries production mail.",
			"Let the proof phase run to its end before you move mailboxes."),
		r("05", Must, "P", "storage", "Shared storage is connected and set up on every node before the cluster is formed.",
			"Connect the disk to the node that does not see its serial number, then rescan."),
		r("06", Should, "S", "storage", "A witness disk is preferred to a witness share in a single copy cluster.",
			"Give quorum.disk; keep the file share for sites with no disk to spare."),
		r("07", Should, "SP", "storage", "An odd number of nodes uses node majority.",
			"Leave the quorum model to the playbook, or set it to node majority."),
		r("08", Should, "SP", "storage", "An even number of nodes uses node and disk majority.",
			"Leave the quorum model to the playbook, or give a witness disk."),
		r("09", Must, "P", "storage, note", "Every node that may own a mailbox server reaches that server's disks.",
			"Present the disk to every possible owner, or take the node off the list of owners."),
		r("10", Must, "P", "storage, note", "Every node reaches the quorum disk.",
			"Present the quorum disk to every node of the cluster."),
		r("11", Must, "P", "storage", "The cluster has at least one physical disk resource before Exchange is set up.",
			"Add the shared disks to the cluster's available storage first."),
		r("12", Must, "SP", "storage", "The quorum disk holds no storage group and no database.",
			"Put logs and databases on another disk than the witness."),
		r("13", Must, "P", "storage", "Each database depends on its disk once the mailbox server exists.",
			"Let the dependencies phase set them; cluster res NAME /listdep shows what is there."),
		r("14", Must, "S", "network", "Every network card of every node, the cluster and each mailbox server have an "+
			"address of their own.", "Give each one an unused address of its network."),
		r("15", Should, "SP", "network, note", "Production clusters use static IPv4 addresses.",
			"Give static addresses instead of DHCP."),
		r("16", Should, "N", "network, note", "Where DHCP is used its leases do not end.",
			"Ask who runs the DHCP server for unlimited leases or reservations."),
		r("17", Should, "P", "network", "The mailbox server's host record lives 10 minutes when nodes stand in several "+
			"subnets.", "Set HostRecordTTL of the network name to 600."),
		r("18", Should, "N", "network", "Clients have to drop their cached name after a move to another subnet.",
			"Tell users that Outlook may wait up to the record's lifetime; ipconfig /flushdns helps at once."),
		r("19", Must, "S", "private addresses", "No private address lies in a public subnet.",
			"Choose a range for the private network that no public card uses."),
		r("20", Must, "S", "public addresses", "No public address lies in a private subnet.",
			"Move the address to the public range, or the private network to another one."),
		r("21", Must, "S", "private addresses", "A private address is static IPv4 or dynamic IPv6.",
			"Give each private card a static IPv4 address."),
		r("22", Must, "S", "public addresses", "A public address is static or DHCP IPv4, or static IPv6.",
			"Give each public card a static IPv4 address."),
		r("23", Should, "S", "private addresses, table", "10.10.10.10 and upward with mask 255.255.255.0 is the suggested "+
			"private range.", "Use 10.10.10.0/24 unless it is taken."),
		r("24", Should, "S", "best practices", "A public network in 10.x with a /24 mask calls for another private range.",
			"Choose a private range outside 10.0.0.0/8, such as 192.168.255.0/24."),
		r("25", Must, "P", "important note", "All cards of one cluster network use the same IP versions.",
			"Switch IPv6 on or off alike on the cards of that network."),
		r("26", Should, "S", "best practices", "Names tell what things are: Public and Private, nodes named after their "+
			"mailbox server.", "Name nodes like mbx01-node1 for the mailbox server mbx01."),
		r("27", Should, "SP", "best practices", "The private network uses no teamed or fault-tolerant card.",
			"Use a plain card; add a second private network for redundancy."),
		r("28", Should, "S", "best practices", "A redundant private network is made of more cards for cluster use only.",
			"Add another network with the role private."),
		r("29", Should, "N", "best practices", "Firmware and drivers of the cards are current, and their vendor supports "+
			"clusters.", "Ask the vendor before you team cards, and update first."),
		r("30", Must, "P", "adding nodes", "The cluster service runs and Cluster Group is online before a node joins.",
			"Bring Cluster Group online first; cluster group shows it."),
		r("31", Should, "P", "adding nodes", "The event logs show no error or warning that matters before you go on.",
			"Read the System and Application logs of the nodes and settle what they report."),
		r("32", Must, "SP", "cluster networks, note", "Every node has at least two network cards.",
			"Add a card, and declare it for the node."),
		r("33", Must, "SP", "cluster networks, note", "One network is private and one is mixed.",
			"Give one network the role private and another the role mixed."),
		r("34", Should, "SP", "tolerance", "Private and mixed networks tolerate 10 missed heartbeats on all nodes, about "+
			"12 seconds.", "Leave tolerance at 10."),
		r("35", Should, "P", "cluster networks", "Cluster networks carry names that mean something.",
			"Let the networks phase name them after the cards."),
		r("36", Must, "S", "quorum", "The quorum is set after the networks and before validation.",
			"Keep the phases in the order of the shipped playbook."),
		r("37", Should, "P", "notes", "Validation runs first with the network tests alone, later with all four groups.",
			"Run the wizard twice, or Test-Cluster first with -Include Network."),
		r("38", Should, "PN", "validation", "The cluster is validated in full before Exchange is installed.",
			"Run the Validate a Configuration wizard with all tests and keep its report."),
		r("39", Must, "N", "validation", "The cluster hardware carries the Windows Server 2008 logo.",
			"Look the solution up in the Windows Server catalog, or ask its vendor."),
		r("40", Must, "SP", "installation", "The active node gets the Mailbox role and the mailbox server before any "+
			"passive node is installed.", "Keep the phases in the order of the shipped playbook."),
		r("41", Should, "P", "installation", "The first storage group is checked before the passive node is installed.",
			"Look at Get-StorageGroup on the active node, and at the disk its paths lie on."),
		r("42", Must, "S", "several servers", "Every node is active or passive; nothing else is supported.",
			"Give each cluster node the role active or the role passive, not both."),
		r("43", Must, "S", "several servers", "There are fewer clustered mailbox servers than nodes.",
			"Add a passive node, or remove a mailbox server."),
		r("44", Must, "S", "several servers", "A cluster has at most eight nodes and seven clustered mailbox servers.",
			"Split the site into two clusters."),
		r("45", Must, "S", "several servers", "Every active node has a passive counterpart; one passive node for each "+
			"active node is recommended.", "Add a passive node; while one passive serves several actives, only one of them "+
			"can fail at a time."),
		r("46", Must, "P", "several servers", "A node carries one clustered mailbox server at a time.",
			"Move the second mailbox server to a free node."),
		r("47", Should, "P", "known problem", "From the second mailbox server on, each one has a Microsoft MTA object.",
			"Let the playbook create the object, or create mailboxes elsewhere and move them."),
		r("48", Should, "P", "verification", "Get-ClusteredMailboxServerStatus is asked after the installation and after "+
			"large changes.", "Run it and look at State and FailedResources."),
		r("49", Should, "P", "verification", "Move-ClusteredMailboxServer has brought the mailbox server online on every "+
			"node.", "Let the proof phase run, or move the server to each node once."),
	}
}
