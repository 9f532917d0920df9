package exchange

// DatabasePath moves the file of a mailbox database.
type DatabasePath struct {
	Server       string `json:"server" doc:"name of the mailbox server" required:"true" example:"mbx01"`
	StorageGroup string `json:"storage_group" doc:"name of the storage group; the only one when empty"`
	Name         string `json:"name" doc:"name of the database; the only one of the storage group when empty"`
	Path         string `json:"path" doc:"full path of the .edb file" required:"true" example:"E:\\mbx01\\mbx01.edb"`
	As           string `json:"as" doc:"credential of the site for Exchange's cmdlets" required:"true" example:"admin"`
}
