package machine

const (
	sanKey           = `HKLM\SYSTEM\CurrentControlSet\Services\partmgr\Parameters`
	sanOnlineAll     = 1
	sanOfflineShared = 2
	sanOfflineAll    = 3
)
