package cluster

// Move brings a group to a node.
type Move struct {
	Group       string `json:"group" doc:"group to move; give group or disk" example:"files"`
	Disk        string `json:"disk" doc:"serial number of a cluster disk: the group that holds it moves, whatever its name" example:"LUN-DATA-01"`
	Node        string `json:"node" doc:"node that shall own it" required:"true" example:"mbx01-node1"`
	StorageOnly bool   `json:"storage_only" doc:"move it only while it holds nothing but disks; a group with a service in it stays where it is"`
}
