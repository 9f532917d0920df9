package cluster

// Create forms a failover cluster of which the node it runs on is the first and only member.
type Create struct {
	Name       string   `json:"name" doc:"name of the cluster: a NetBIOS computer name that nothing else in the domain uses" required:"true" example:"mbx01-clu"`
	Addresses  []string `json:"addresses" doc:"IPv4 addresses of the cluster, one for each client subnet" required:"true"`
	Mask       string   `json:"mask" doc:"subnet mask of the first address; with connection, only where cluster.exe is used"`
	Connection string   `json:"connection" doc:"name of the node's network connection for the first address; needs mask"`
	As         string   `json:"as" doc:"credential of the site under which the cluster is formed: it makes a computer account in the directory" required:"true" example:"admin"`
}
