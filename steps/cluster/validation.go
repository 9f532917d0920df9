package cluster

// Validation runs the cluster's own configuration tests and keeps the report.
type Validation struct {
	Report string   `json:"report" doc:"folder on the node that keeps the reports" required:"true" example:"C:\\ClusterReports"`
	Name   string   `json:"name" doc:"name of the report without an extension" required:"true" example:"before-exchange"`
	Nodes  []string `json:"nodes" doc:"computer names to test; the members of the cluster when empty"`
	Ignore []string `json:"ignore" doc:"test categories or tests to leave out, as Test-Cluster -List shows them on that node"`
	As     string   `json:"as" doc:"credential of the site under which the tests run: they log on to the other nodes" required:"true" example:"admin"`
}
