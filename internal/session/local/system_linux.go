package local

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"deploy/internal/node"
	"deploy/internal/session/linux"
)

// platform is what a session keeps for Linux.
type platform struct {
	root  string // where facts are read; "" is the root of the file system
	names names
}

func (s *Session) open(context.Context) (node.Facts, error) {
	raw, err := s.platform.raw()
	if err != nil {
		return node.Facts{}, err
	}
	return raw.Facts()
}

func (s *Session) close() error { return nil }

// builtin answers as readlink(1) would, without starting it: a check of many files would start one
// for each. Whatever else goes wrong is for the program to say.
func builtin(argv []string) (node.Row, bool) {
	if len(argv) != 4 || argv[0] != "readlink" || argv[1] != "-n" || argv[2] != "--" {
		return nil, false
	}
	target, err := os.Readlink(argv[3])
	switch {
	case err == nil:
		return node.Row{"code": int64(0), "stdout": []byte(target), "stderr": []byte{}}, true
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOTDIR):
		return node.Row{"code": int64(1), "stdout": []byte{}, "stderr": []byte{}}, true
	}
	return nil, false
}

// raw reads what the machine says of itself. It starts no program.
func (p *platform) raw() (linux.Raw, error) {
	var raw linux.Raw
	for _, file := range linux.ReleaseFiles() {
		b, err := os.ReadFile(p.root + file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return raw, err
		}
		raw.Release = string(b)
		break
	}
	for file, to := range map[string]*string{"/proc/sys/kernel/random/boot_id": &raw.BootID, "/proc/1/stat": &raw.Init} {
		b, err := os.ReadFile(p.root + file)
		if err != nil {
			return raw, err
		}
		*to = string(b)
	}
	if b, err := os.ReadFile(p.root + "/etc/machine-id"); err == nil { // not every machine has one
		raw.ID = string(b)
	}
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return raw, err
	}
	raw.Machine, raw.Computer = unix.ByteSliceToString(name.Machine[:]), unix.ByteSliceToString(name.Nodename[:])
	fi, err := os.Stat(p.root + "/run/systemd/system")
	raw.Systemd = err == nil && fi.IsDir()
	raw.UID = os.Geteuid()
	return raw, nil
}

func (s *Session) system(ctx context.Context, r node.Request) ([]node.Row, error) {
	args := node.Row(r.Args)
	switch r.Verb {
	case "file.mode":
		return nil, s.setMode(args)
	case "restart":
		_, err := s.script(ctx, "restart", linux.RestartScript(s.platform.root))
		return nil, err
	}
	return nil, s.unsupported(r.Op(), "Linux has no "+r.Verb)
}

func (s *Session) setMode(args node.Row) error {
	path := args.String("path")
	uid, gid := -1, -1
	var err error
	if name := args.String("owner"); name != "" {
		if uid, err = userID(name); err != nil {
			return err
		}
	}
	if name := args.String("group"); name != "" {
		if gid, err = groupID(name); err != nil {
			return err
		}
	}
	path = filepath.Clean(path)
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return err
	}
	if (uid >= 0 && uid != int(st.Uid)) || (gid >= 0 && gid != int(st.Gid)) {
		if err := os.Chown(path, uid, gid); err != nil {
			return err
		}
	}
	mode := st.Mode & modeMask // a change of owner takes setuid and setgid away
	if args.Has("mode") {
		mode = uint32(args.Int("mode")) & modeMask
	}
	return unix.Chmod(path, mode)
}
