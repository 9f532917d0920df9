package cluster

// Resource is one resource of the cluster with its properties.
type Resource struct {
	Name       string         `json:"name" doc:"name of the resource" required:"true" example:"mbx01-name"`
	Type       string         `json:"type" doc:"resource type by its type name, which is not translated: Network Name, IP Address, Generic Service; with of_type it finds the resource" example:"Network Name"`
	Group      string         `json:"group" doc:"group that holds it"`
	Find       string         `json:"find" doc:"name: the resource is known by its name; type: it is the only resource of its type in its group, whatever its name" enum:"name|type"`
	Common     map[string]any `json:"common" doc:"common properties, for example PendingTimeout: 300000"`
	Private    map[string]any `json:"private" doc:"private properties, for example HostRecordTTL: 600"`
	State      string         `json:"state" doc:"state to bring it to; left alone when empty" enum:"online|offline"`
	MayRestart bool           `json:"may_restart" doc:"whether the resource, with all that depends on it, may be taken offline and online so that private properties take effect"`
}
