package cluster

// Group is an empty group of resources, the unit of failover.
type Group struct {
	Name       string           `json:"name" doc:"name of the group" required:"true" example:"files"`
	Properties map[string]int64 `json:"properties" doc:"common properties of the group, for example FailoverThreshold: 2"`
}
