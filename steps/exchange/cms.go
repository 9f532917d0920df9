package exchange

// CMS is a clustered mailbox server on shared storage. It runs on the node that shall be active first.
type CMS struct {
	Name     string   `json:"name" doc:"network name of the clustered mailbox server" required:"true" example:"mbx01"`
	Address  string   `json:"address" doc:"its IPv4 address on the client network" required:"true" example:"192.0.2.21"`
	DataPath string   `json:"data_path" doc:"folder on the shared disk for the first storage group" required:"true" example:"E:\\mbx01"`
	Disks    []string `json:"disks" doc:"serial numbers of its cluster disks: brought to this node before setup runs and put into its group after" required:"true"`
	Setup    string   `json:"setup" doc:"path of setup.com on the node" required:"true" example:"D:\\Exchange\\setup.com"`
	As       string   `json:"as" doc:"credential of the site: Exchange organisation administrator and local administrator" required:"true" example:"admin"`
}
