package exchange

// MTA gives a second or later clustered mailbox server of a cluster the Microsoft MTA object without which mailboxes
// cannot be created on it. It runs on a domain controller.
type MTA struct {
	Server string `json:"server" doc:"name of the clustered mailbox server" required:"true" example:"mbx02"`
	Like   string `json:"like" doc:"name of the first clustered mailbox server, whose object gives the values" required:"true" example:"mbx01"`
}
