package model

// Cluster is the database that the members of one failover cluster share.
// Owned by the failover family; extend it there.
type Cluster struct {
	Name      string             `json:"name"`
	ID        string             `json:"id"`
	Domain    string             `json:"domain,omitempty"` // DNS domain of its name; "" without one
	Nodes     []*ClusterNode     `json:"nodes"`
	Networks  []*ClusterNetwork  `json:"networks"`
	Groups    []*ClusterGroup    `json:"groups"`
	Resources []*ClusterResource `json:"resources"`
	Quorum    Quorum             `json:"quorum"`
	// common properties by their own spelling, only what was set: int64, string, []any of text
	Properties Props                    `json:"properties"`
	Private    Props                    `json:"private,omitempty"`
	Types      map[string]*ResourceType `json:"types"`              // resource types by name
	Priority   []string                 `json:"priority,omitempty"` // ids of internal networks, most wanted first (2003)
}

// ClusterNode is a member. State: 0 up 1 down 2 paused 3 joining.
type ClusterNode struct {
	Name    string `json:"name"`
	ID      int    `json:"id"`
	State   int    `json:"state"`
	Vote    int    `json:"vote"`    // NodeWeight
	Dynamic int    `json:"dynamic"` // DynamicWeight, from Windows Server 2012 on
	Props   Props  `json:"props,omitempty"`
}

// ClusterNetwork is a network that the cluster found. Role: 0 none 1 internal 3 mixed. State: 0
// unavailable 1 down 2 partitioned 3 up.
type ClusterNetwork struct {
	ID, Name, Address, Mask string
	Role, State, Metric     int
	FixedMetric             bool // the metric was set by hand: AutoMetric is off
	Props                   Props
}

// ClusterGroup is a unit of failover. State: 0 online 1 offline 2 failed 3 partially online 4
// pending.
type ClusterGroup struct {
	ID, Name, Owner string
	Core            bool
	Type            int // GroupType: 1 cluster, 2 available storage, 9999 other
	Persistent      bool
	PreferredOwners []string
	Properties      Props
}

// ClusterResource has State: 2 online 3 offline 4 failed 129 online pending 130 offline pending.
type ClusterResource struct {
	ID, Name, Type, Group string
	State                 int
	Core                  bool
	Wanted                bool                 // PersistentState: it was online when somebody last decided
	DependsOn             string               // expression: "[A] and ([B] or [C])"
	Owners                []string             // possible owners; empty means every node
	Properties            Props                // common; only what was set
	Private               Props                // private; only what was set
	Separate              bool                 // has a resource monitor of its own
	Disk                  string               // serial number, of a Physical Disk
	Letters               map[int]string       // drive letters that follow a Physical Disk, by partition
	Found                 map[string]DiskState // how each machine held the disk before it was clustered
}

// DiskState is how a machine holds a disk that no cluster owns.
type DiskState struct {
	Offline, ReadOnly bool
	Letters           map[int]string
}

// ResourceType is a registered resource type.
type ResourceType struct {
	Name, Display, DLL string
	Class              int // CLUS_RESCLASS: 0 unknown 1 storage 2 network, 32768 and above user
	Properties         Props
	Private            Props
}

// Quorum is how votes are counted. Model: node-majority, node-and-disk, node-and-share, disk-only.
type Quorum struct {
	Model    string `json:"model"`
	Resource string `json:"resource,omitempty"` // id of the witness resource
	Path     string `json:"path,omitempty"`
}
