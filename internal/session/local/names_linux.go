package local

import (
	"sync"
	"syscall"
	"time"
)

// namesHold is how long a name is taken for the same without a look at the directory service, which
// may be another machine.
const namesHold = 5 * time.Second

// names remembers whose numbers are whose, since a look at many files asks for the same few again
// and again. A change of the machine's own accounts is seen at once. Its zero value is ready.
type names struct {
	mu     sync.Mutex
	mark   accounts  // when the names were asked for
	until  time.Time // how long they hold
	users  map[uint32]string
	groups map[uint32]string
}

// of are the names of a user and a group.
func (n *names) of(uid, gid uint32) (user, group string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	mark, now := accountsNow(), time.Now()
	if n.users == nil || mark != n.mark || now.After(n.until) {
		n.mark, n.until = mark, now.Add(namesHold)
		n.users, n.groups = map[uint32]string{}, map[uint32]string{}
	}
	return remembered(n.users, uid, userName), remembered(n.groups, gid, groupName)
}

func remembered(m map[uint32]string, id uint32, ask func(uint32) string) string {
	name, ok := m[id]
	if !ok {
		name = ask(id)
		m[id] = name
	}
	return name
}

// accounts tells one state of the files of accounts from another: they are replaced or written to,
// and either changes it.
type accounts [2]struct {
	dev, ino uint64
	size     int64
	changed  syscall.Timespec
}

func accountsNow() accounts {
	var out accounts
	for i, path := range []string{"/etc/passwd", "/etc/group"} {
		var st syscall.Stat_t
		if syscall.Stat(path, &st) == nil {
			out[i].dev, out[i].ino, out[i].size, out[i].changed = st.Dev, st.Ino, st.Size, st.Ctim
		}
	}
	return out
}
