package exchange

// Status proves that a clustered mailbox server is online and that every named node can run it. It changes nothing.
type Status struct {
	Name     string   `json:"name" doc:"name of the clustered mailbox server" required:"true" example:"mbx01"`
	Machines []string `json:"machines" doc:"nodes that must be operational for it" required:"true"`
	As       string   `json:"as" doc:"credential of the site for Exchange's cmdlets" required:"true" example:"admin"`
}
