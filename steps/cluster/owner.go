package cluster

// Owner limits where a resource may run, and says where a group prefers to run.
type Owner struct {
	Resource string   `json:"resource" doc:"resource whose possible owners are set; give resource or group"`
	Group    string   `json:"group" doc:"group whose preferred owners are set, in order"`
	Nodes    []string `json:"nodes" doc:"node names: possible owners as a set, preferred owners in order" required:"true"`
}
