package node

// Access is what a verb may do to a machine.
type Access int

// A verb reads, or writes, or it depends on its arguments: on the program (run) or on the name
// (cmdlet).
const (
	Reads Access = iota + 1
	Writes
	Depends
)

// Verbs says of every verb what it may do. A verb that is not here is refused by every session's
// Reader.
func Verbs() map[string]Access {
	return map[string]Access{
		"facts":   Reads,
		"reg.get": Reads, "reg.keys": Reads, "reg.set": Writes, "reg.del": Writes, "reg.delkey": Writes,
		"wmi.get": Reads, "wmi.call": Writes, "wmi.set": Writes,
		"cmdlet": Depends, "run": Depends,
		"file.stat": Reads, "file.read": Reads, "file.hash": Reads, "file.put": Writes, "file.commit": Writes,
		"file.remove": Writes, "file.mode": Writes,
		"dir.list": Reads, "dir.make": Writes,
		"acl.get": Reads, "acl.set": Writes,
		"ad.find": Reads, "ad.add": Writes, "ad.mod": Writes, "ad.del": Writes,
		"job.start": Writes, "job.state": Reads, "job.remove": Writes,
		"owner.get": Reads, "owner.set": Writes,
		"restart": Writes,
	}
}
