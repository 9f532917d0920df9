package cluster

// Network names a cluster network and gives it a role. It is known by its address, never by its name.
type Network struct {
	Subnet string `json:"subnet" doc:"the network in CIDR form, 192.0.2.0/24: how the network is found" required:"true" example:"10.10.10.0/24"`
	Name   string `json:"name" doc:"name to give it; left alone when empty"`
	Role   string `json:"role" doc:"private: cluster traffic only; mixed: cluster and clients; unmanaged: not used by the cluster" enum:"private|mixed|unmanaged"`
}
