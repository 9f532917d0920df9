package cluster

// Quorum says how the cluster counts votes.
type Quorum struct {
	Model string `json:"model" doc:"how votes are counted" required:"true" enum:"node-majority|node-and-disk-majority|node-and-share-majority|disk-only"`
	Disk  string `json:"disk" doc:"serial number of the witness disk, for node-and-disk-majority and disk-only; it is a cluster disk already"`
	Share string `json:"share" doc:"UNC path of the witness share, for node-and-share-majority; the cluster's computer account writes to it"`
}
