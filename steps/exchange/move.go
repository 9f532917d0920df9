package exchange

// Move proves that a clustered mailbox server runs on every node: it moves it to each and back to the node this runs on.
type Move struct {
	Name    string   `json:"name" doc:"name of the clustered mailbox server" required:"true" example:"mbx01"`
	Nodes   []string `json:"nodes" doc:"nodes to prove, in order; the last move is to owner" required:"true"`
	Owner   string   `json:"owner" doc:"node that holds it when the proof is done" required:"true" example:"mbx01-node1"`
	Comment string   `json:"comment" doc:"comment that Exchange writes down with each move"`
	As      string   `json:"as" doc:"credential of the site for Exchange's cmdlets" required:"true" example:"admin"`
}
