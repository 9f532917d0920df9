package node

// Call declares one thing that a kind of step asks of machines, so that a test can hold every name
// in it against tables recorded from real systems for every release that it claims. Exactly one of
// Cmdlet, WMI, Property and Tool is set.
type Call struct {
	Cmdlet string   // cmdlet name
	Params []string // cmdlet parameters used

	WMI    string   // namespace:class, like `root\MSCluster:MSCluster_Resource`
	Props  []string // WMI properties read or filtered on; or properties selected from a cmdlet's objects (not checked)
	Method string   // WMI method called, with its
	Args   []string // in-argument names

	Property string // a cluster property (cluster.exe /prop and /priv, Get-ClusterParameter), of the
	Of       string // object or resource type, as the fact table names it: "Cluster Common Properties"

	Tool string // program; no table is complete for these, the reference file is named in Source

	On      []Release // the releases on which the kind makes this call
	Product string    // for a product's cmdlets: "exchange-2007", "exchange-2010", ...
	Source  string    // where the name is documented when no table holds it
}
