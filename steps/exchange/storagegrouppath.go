package exchange

// StorageGroupPath moves a storage group's log and system folders.
type StorageGroupPath struct {
	Server     string `json:"server" doc:"name of the mailbox server" required:"true" example:"mbx01"`
	Name       string `json:"name" doc:"name of the storage group; the only one when empty"`
	LogPath    string `json:"log_path" doc:"folder for the transaction logs; left alone when empty" example:"F:\\mbx01\\logs"`
	SystemPath string `json:"system_path" doc:"folder for the checkpoint; left alone when empty" example:"F:\\mbx01\\logs"`
	As         string `json:"as" doc:"credential of the site for Exchange's cmdlets" required:"true" example:"admin"`
}
