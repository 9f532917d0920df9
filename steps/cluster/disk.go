package cluster

// Disk puts a shared disk under the cluster's control and gives its resource a name and, if asked, a group.
type Disk struct {
	Serial string `json:"serial" doc:"serial number of the disk, the same on every node" required:"true" example:"LUN-DATA-01"`
	Name   string `json:"name" doc:"name of the Physical Disk resource" required:"true" example:"mbx01-data"`
	Group  string `json:"group" doc:"group that holds it; when empty a new disk goes to the cluster's available storage and one that has a group stays there"`
}
