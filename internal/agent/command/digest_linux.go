package command

import (
	"fmt"
	"io/fs"
	"syscall"
)

// fileIdentity tells a file from what it was before it was written to or replaced: nobody sets the
// time of an inode's last change (inode(7), ctime).
func fileIdentity(fi fs.FileInfo) string {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	return fmt.Sprint(st.Dev, " ", st.Ino, " ", st.Size, " ", st.Ctim)
}
