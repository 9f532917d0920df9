package cluster

// Node makes a computer a member of a cluster that exists.
type Node struct {
	Cluster string `json:"cluster" doc:"name of the cluster to join" required:"true" example:"mbx01-clu"`
	Name    string `json:"name" doc:"computer name of the node that joins; the step runs on a node that is a member already" required:"true" example:"mbx01-node2"`
	As      string `json:"as" doc:"credential of the site under which the node is added: it must be an administrator of both nodes" required:"true" example:"admin"`
}
