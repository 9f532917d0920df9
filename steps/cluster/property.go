package cluster

// Property sets common properties of the cluster itself.
type Property struct {
	Properties map[string]int64 `json:"properties" doc:"property names and whole numbers, for example SameSubnetThreshold: 10" required:"true"`
}
