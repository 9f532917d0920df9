package model

// Cluster is the database that the members of one failover cluster share.
// Owned by the failover family; extend it there.
type Cluster struct {
	Name       string                   `json:"name"`
	Nodes      []*ClusterNode           `json:"nodes"`
	Networks   []*ClusterNetwork        `json:"networks"`
	Groups     []*ClusterGroup          `json:"groups"`
	Resources  []*ClusterResource       `json:"resources"`
	Quorum     Quorum                   `json:"quorum"`
	Properties map[string]any           `json:"properties"` // common properties by their own spelling
	Private    map[string]any           `json:"private,omitempty"`
	Types      map[string]*ResourceType `json:"types"` // resource types by name
}

// ClusterNode is a member. State: 0 up 1 down 2 paused 3 joining.
type ClusterNode struct {
	Name  string `json:"name"`
	ID    int    `json:"id"`
	State int    `json:"state"`
	Vote  int    `json:"vote"`
}

// ClusterNetwork is a network that the cluster found. Role: 0 none 1 internal 3 mixed. State: 0 unavailable 1 down 2 partitioned 3 up.
type ClusterNetwork struct {
	ID, Name, Address, Mask string
	Role, State, Metric     int
}

// ClusterGroup is a unit of failover. State: 0 online 1 offline 2 failed 3 partially online 4 pending.
type ClusterGroup struct {
	ID, Name, Owner string
	Core            bool
	Type            int // GroupType: 1 cluster, 2 available storage, 9999 other
	Persistent      bool
	PreferredOwners []string
	Properties      map[string]any
}

// ClusterResource has State: 2 online 3 offline 4 failed 129 online pending 130 offline pending.
type ClusterResource struct {
	ID, Name, Type, Group string
	State                 int
	Core                  bool
	DependsOn             string         // expression: "[A] and ([B] or [C])"
	Owners                []string       // possible owners; empty means every node
	Properties            map[string]any // common
	Private               map[string]any // private
}

// ResourceType is a registered resource type.
type ResourceType struct {
	Name, Display, DLL string
	Class              int
}

// Quorum is how votes are counted. Model: node-majority, node-and-disk, node-and-share, disk-only.
type Quorum struct {
	Model    string `json:"model"`
	Resource string `json:"resource,omitempty"`
	Path     string `json:"path,omitempty"`
}
