package cluster

// Dependency says which resources must be online before a resource may come online. Others that it depends on stay.
type Dependency struct {
	Resource string   `json:"resource" doc:"resource that depends; or a group's name with of, to say it of all resources of one type in the group" required:"true" example:"First Storage Group/Mailbox Database (mbx01)"`
	Type     string   `json:"type" doc:"when set, resource is a group and every resource of this type in it depends" example:"Microsoft Exchange Database"`
	On       []string `json:"on" doc:"resources that must be online first, all of them; they are in the same group" required:"true"`
}
