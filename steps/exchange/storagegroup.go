package exchange

// StorageGroup verifies that a clustered mailbox server has its storage group and databases, mounted, on shared disks. It changes nothing.
type StorageGroup struct {
	Server  string   `json:"server" doc:"name of the clustered mailbox server" required:"true" example:"mbx01"`
	Name    string   `json:"name" doc:"name of the storage group; the only one, whatever its name, when empty" example:"First Storage Group"`
	Letters []string `json:"letters" doc:"drive letters of the server's shared disks, E: and so on; every path must stand on one of them" required:"true"`
	As      string   `json:"as" doc:"credential of the site for Exchange's cmdlets" required:"true" example:"admin"`
}
