package rules

// shadow10 are the rules for shadow redundancy of Exchange 2010. Source: Microsoft,
// "Understanding Shadow Redundancy".
func shadow10() Catalogue {
	in := []string{"shadow10"}
	r := func(n string, severity Severity, how, section, text, hint string) Rule {
		return row("SHD-"+n, severity, in, how,
			"Microsoft, Understanding Shadow Redundancy (Exchange 2010): "+section, text, hint)
	}
	return Catalogue{
		r("01", Must, "P", "extended rights, note", "Shadow redundancy is enabled in the organisation.",
			"Set ShadowRedundancyEnabled of the transport configuration to true."),
		r("02", Must, "P", "extended rights", "Receive connectors grant the accept right and authenticate as Exchange "+
			"Server or externally secured.", "Grant the right to Exchange Servers and set the connector's authentication."),
		r("03", Must, "P", "extended rights", "Internal connectors grant the send right to the session.",
			"Grant the right to Exchange Servers on the Send connector."),
		r("04", Should, "SP", "flow, note", "There is a second way, over another Hub or Edge server; without it shadow "+
			"messages wait.", "Add a second transport server to the site."),
		r("05", Should, "P", "heartbeat, table", "Heartbeat interval and retries are known; their product is the longest "+
			"delay.", "Read both live: documents and product differ in the defaults. Set them to a delay that you accept."),
		r("06", Should, "P", "acknowledgement", "The acknowledgement delay of each Receive connector is checked; 30 "+
			"seconds is the default.", "Raise MaxAcknowledgementDelay, or set 0 to switch the delay off."),
		r("07", Should, "P", "interoperability", "The next hop offers XSHADOW; servers of other versions and vendors keep "+
			"no shadow.", "Route over a server that offers XSHADOW where mail must not be lost."),
		r("08", Should, "P", "benefits and table", "Before a transport server is removed, its peers' shadow queues for it "+
			"are empty, or the time for resubmission has passed.", "Wait until the shadow queues are empty."),
		r("09", Should, "N", "table", "A server that comes back with the same database may deliver mail to foreign "+
			"recipients twice.", "Tell the recipients, or bring the server back with a new database."),
		r("10", Should, "N", "introduction", "The transport dumpster of 2007 alone covers delivery to replicated "+
			"mailboxes, not the way from Hub to Edge.", "Do not count on it for mail that leaves the organisation."),
	}
}
