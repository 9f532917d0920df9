package linux

import (
	"strings"

	"deploy/internal/node"
)

// Where jobs are kept when nothing else is said: below the root directory for root, else below the
// user's home.
const (
	RootState = "/var/lib/deploy/jobs"
	UserState = ".local/state/deploy/jobs"
)

// Owner records are kept in the directory OwnerDir beside the jobs', each in a file of its site's
// name with the ending OwnerEnd.
const (
	OwnerDir = "owner"
	OwnerEnd = ".json"
)

// Error numbers of Linux, as every architecture that deploy is built for has them. They are here
// and not taken from package syscall because a controller may run on Windows.
const (
	EPERM        = 1
	ENOENT       = 2
	EIO          = 5
	E2BIG        = 7
	ENOEXEC      = 8
	EACCES       = 13
	EBUSY        = 16
	EEXIST       = 17
	ENOTDIR      = 20
	EISDIR       = 21
	EINVAL       = 22
	ETXTBSY      = 26
	EFBIG        = 27
	ENOSPC       = 28
	EROFS        = 30
	ENAMETOOLONG = 36
	ENOTEMPTY    = 39
	ELOOP        = 40
	EBADMSG      = 74
	ENOTSUP      = 95
	ETIMEDOUT    = 110
	ESTALE       = 116
	EDQUOT       = 122
)

// Ids of refusals.
const (
	IDNotFound    = "deploy.NotFound"
	IDUnsupported = "deploy.Unsupported"
	IDTimeout     = "deploy.Timeout"
	IDRefused     = "deploy.Refused"
	IDBusy        = "deploy.Busy"
	IDHash        = "deploy.Hash"
	// IDNotDirectory is that of a list of something that is there and is no directory.
	IDNotDirectory = "deploy.NotDirectory"
)

// Failure is what a script's exit code and its last words on stderr mean: the code is an errno of
// Linux. Programs print an errno as its text, so they must have been started with LC_ALL=C or
// C.UTF-8, where it is the same text everywhere. A failure whose text is not known is EIO.
func Failure(op string, exit int, stderr []byte) *node.CodeError {
	text := strings.TrimSpace(string(stderr))
	c := &node.CodeError{Op: op, Text: text[max(0, len(text)-1000):]}
	switch exit {
	case ExitSuperseded:
		c.Code, c.ID, c.Text = ESTALE, node.SupersededID, string(stderr) // whole: it is an owner record
	case ExitAbsent:
		c.Code, c.ID = ENOENT, IDNotFound
	case ExitUnsupported:
		c.Code, c.ID = ENOTSUP, IDUnsupported
	case ExitBusy:
		c.Code, c.ID = EBUSY, IDBusy
	case ExitRefused:
		c.Code, c.ID = EPERM, IDRefused
	case ExitNotDirectory:
		c.Code, c.ID = ENOTDIR, IDNotDirectory
	case ExitHash:
		c.Code, c.ID = EBADMSG, IDHash
	default:
		c.Code = errnoOf(text)
	}
	return c
}

// errnoOf finds the number of the text that the last line ends in. Sources: strerror of glibc and
// musl, and the words that dash and busybox have of their own.
func errnoOf(text string) int64 {
	last := text[strings.LastIndexByte(text, '\n')+1:]
	words := last[strings.LastIndex(last, ": ")+1:]
	switch strings.TrimSpace(words) {
	case "Operation not permitted":
		return EPERM
	case "No such file or directory", "No such file", "Directory nonexistent", "nonexistent directory":
		return ENOENT
	case "Argument list too long":
		return E2BIG
	case "Exec format error":
		return ENOEXEC
	case "Permission denied":
		return EACCES
	case "Device or resource busy", "Resource busy":
		return EBUSY
	case "File exists":
		return EEXIST
	case "Not a directory":
		return ENOTDIR
	case "Is a directory":
		return EISDIR
	case "Invalid argument":
		return EINVAL
	case "Text file busy":
		return ETXTBSY
	case "File too large":
		return EFBIG
	case "No space left on device":
		return ENOSPC
	case "Read-only file system":
		return EROFS
	case "File name too long", "Filename too long":
		return ENAMETOOLONG
	case "Directory not empty":
		return ENOTEMPTY
	case "Too many levels of symbolic links", "Symbolic link loop":
		return ELOOP
	case "Disk quota exceeded", "Quota exceeded":
		return EDQUOT
	}
	return EIO
}
