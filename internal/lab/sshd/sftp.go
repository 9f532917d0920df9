package sshd

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"deploy/internal/lab/front"
	"deploy/internal/lab/machine"
	"deploy/internal/session/powershell/protocol"
)

// maxFile bounds what one SFTP upload may hold in memory.
const maxFile = 256 << 20

// chunk is how much file.read and file.put move at once.
const chunk = 256 << 10

// sftp serves the SFTP subsystem until the client leaves.
func (s *Server) sftp(ctx context.Context, p front.Process, ch ssh.Channel) {
	f := &files{ctx: ctx, serve: func(verb string, args map[string]any) ([]machine.Object, error) {
		return s.cfg.Serve(ctx, p, verb, args)
	}}
	srv := sftp.NewRequestServer(ch, sftp.Handlers{FileGet: f, FilePut: f, FileCmd: f, FileList: f},
		sftp.WithStartDirectory("/C:/Users/"+shortName(p.User)))
	err := srv.Serve()
	if err != nil && !errors.Is(err, io.EOF) {
		s.cfg.Log.Debug("sftp ended", "machine", s.cfg.Machine, "error", err)
	}
	_ = srv.Close()
	_, _ = ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{0}))
}

// files carries SFTP requests out with the machine's own file verbs, so that both ways to a file
// have one meaning.
type files struct {
	ctx   context.Context
	serve func(verb string, args map[string]any) ([]machine.Object, error)
}

// windowsPath turns /C:/dir/file into C:\dir\file. A path without a letter is below none and is not
// there.
func windowsPath(p string) (string, bool) {
	p = strings.TrimPrefix(path.Clean("/"+p), "/")
	if len(p) < 2 || p[1] != ':' || len(p) > 2 && p[2] != '/' {
		return "", false
	}
	p = strings.ReplaceAll(p, "/", `\`)
	if len(p) == 2 {
		p += `\`
	}
	return p, true
}

// status turns a refusal into what SFTP can say.
func status(err error) error {
	var f *machine.Fail
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &f):
		return err
	case f.ID == protocol.IDNotFound:
		return os.ErrNotExist
	}
	switch f.Code & 0xFFFF {
	case 2, 3:
		return os.ErrNotExist
	case 5:
		return os.ErrPermission
	case 80, 183:
		return os.ErrExist
	}
	return errors.New(f.Text)
}

func (f *files) one(verb string, args map[string]any) (machine.Object, error) {
	rows, err := f.serve(verb, args)
	if err != nil {
		return nil, status(err)
	}
	if len(rows) == 0 {
		return machine.Object{}, nil
	}
	return rows[0], nil
}

// info is an os.FileInfo.
type info struct {
	name string
	size int64
	dir  bool
	mod  time.Time
}

func (i info) Name() string { return i.name }
func (i info) Size() int64  { return i.size }
func (i info) Mode() fs.FileMode {
	if i.dir {
		return fs.ModeDir | 0o755
	}
	return 0o644
}
func (i info) ModTime() time.Time { return i.mod }
func (i info) IsDir() bool        { return i.dir }
func (i info) Sys() any           { return nil }

func (f *files) stat(p string) (info, error) {
	if path.Clean("/"+p) == "/" {
		return info{name: "/", dir: true}, nil
	}
	w, ok := windowsPath(p)
	if !ok {
		return info{}, os.ErrNotExist
	}
	row, err := f.one("file.stat", map[string]any{"path": w})
	if err != nil {
		return info{}, err
	}
	return fromRow(path.Base(p), row), nil
}

func fromRow(name string, row machine.Object) info {
	i := info{name: name}
	i.size, _ = row["size"].(int64)
	i.dir, _ = row["dir"].(bool)
	if n, ok := row["modified"].(int64); ok {
		i.mod = time.Unix(n, 0)
	}
	return i
}

// listing is a finished directory listing.
type listing []os.FileInfo

func (l listing) ListAt(out []os.FileInfo, offset int64) (int, error) {
	if offset >= int64(len(l)) {
		return 0, io.EOF
	}
	n := copy(out, l[offset:])
	if n < len(out) {
		return n, io.EOF
	}
	return n, nil
}

// Filelist answers List, Stat and Lstat.
func (f *files) Filelist(r *sftp.Request) (sftp.ListerAt, error) {
	if r.Method != "List" {
		i, err := f.stat(r.Filepath)
		if err != nil {
			return nil, err
		}
		return listing{i}, nil
	}
	var out listing
	if path.Clean("/"+r.Filepath) == "/" {
		for c := 'A'; c <= 'Z'; c++ {
			drive := string(c) + ":"
			if _, err := f.one("file.stat", map[string]any{"path": drive + `\`}); err == nil {
				out = append(out, info{name: drive, dir: true})
			}
		}
		return out, nil
	}
	w, ok := windowsPath(r.Filepath)
	if !ok {
		return nil, os.ErrNotExist
	}
	rows, err := f.serve("dir.list", map[string]any{"path": w})
	if err != nil {
		return nil, status(err)
	}
	for _, row := range rows {
		name, _ := row["name"].(string)
		out = append(out, fromRow(name, row))
	}
	return out, nil
}

// Fileread answers an open for reading.
func (f *files) Fileread(r *sftp.Request) (io.ReaderAt, error) {
	i, err := f.stat(r.Filepath)
	if err != nil {
		return nil, err
	}
	if i.dir {
		return nil, os.ErrPermission
	}
	w, _ := windowsPath(r.Filepath)
	return &reader{f, w}, nil
}

type reader struct {
	f    *files
	path string
}

func (r *reader) ReadAt(p []byte, off int64) (int, error) {
	done := 0
	for done < len(p) {
		row, err := r.f.one("file.read",
			map[string]any{"path": r.path, "offset": off + int64(done), "count": int64(min(len(p)-done, chunk))})
		if err != nil {
			return done, err
		}
		data, _ := row["data"].([]byte)
		if len(data) == 0 {
			return done, io.EOF
		}
		done += copy(p[done:], data)
	}
	return done, nil
}

// Filewrite answers an open for writing. Pieces may come in any order, so the file is put in place
// when it is closed.
func (f *files) Filewrite(r *sftp.Request) (io.WriterAt, error) {
	w, ok := windowsPath(r.Filepath)
	if !ok {
		return nil, os.ErrPermission
	}
	flags := r.Pflags()
	old, err := f.stat(r.Filepath)
	switch {
	case err == nil && old.dir:
		return nil, os.ErrPermission
	case err == nil && flags.Excl:
		return nil, os.ErrExist
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return nil, err
	}
	out := &writer{f: f, path: w}
	if err == nil && !flags.Trunc {
		out.data = make([]byte, old.size)
		if _, err := (&reader{f, w}).ReadAt(out.data, 0); err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		return out, nil
	}
	// the file is there, empty, as soon as it is open: a missing directory is found out now
	if _, err := f.one("file.put", map[string]any{"path": w, "offset": int64(0), "data": []byte{}}); err != nil {
		return nil, err
	}
	return out, nil
}

type writer struct {
	f    *files
	path string
	mu   sync.Mutex
	data []byte
}

func (w *writer) WriteAt(p []byte, off int64) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if off < 0 || off+int64(len(p)) > maxFile {
		return 0, errors.New("the file is too large for the lab")
	}
	if need := int(off) + len(p); need > len(w.data) {
		if need > cap(w.data) {
			grown := make([]byte, len(w.data), max(need, 2*cap(w.data)))
			copy(grown, w.data)
			w.data = grown
		}
		w.data = w.data[:need]
	}
	return copy(w.data[off:], p), nil
}

// Close puts the file in place.
func (w *writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for off := 0; off == 0 || off < len(w.data); off += chunk {
		piece := w.data[off:min(off+chunk, len(w.data))]
		if _, err := w.f.one("file.put", map[string]any{"path": w.path, "offset": int64(off), "data": piece}); err != nil {
			return err
		}
	}
	return nil
}

// Filecmd answers everything else that changes something.
func (f *files) Filecmd(r *sftp.Request) error {
	w, ok := windowsPath(r.Filepath)
	if !ok {
		return os.ErrPermission
	}
	switch r.Method {
	case "Setstat":
		return nil // permissions and times of a POSIX kind mean nothing here
	case "Mkdir":
		if _, err := f.stat(r.Filepath); err == nil {
			return os.ErrExist
		}
		_, err := f.one("dir.make", map[string]any{"path": w})
		return err
	case "Remove", "Rmdir":
		i, err := f.stat(r.Filepath)
		if err != nil {
			return err
		}
		if i.dir != (r.Method == "Rmdir") {
			return os.ErrPermission
		}
		_, err = f.one("file.remove", map[string]any{"path": w, "tree": false})
		return err
	case "Rename", "PosixRename":
		return f.rename(r, w)
	}
	return sftp.ErrSSHFxOpUnsupported
}

// rename moves a file. Only posix-rename may replace one that is there.
func (f *files) rename(r *sftp.Request, from string) error {
	to, ok := windowsPath(r.Target)
	if !ok {
		return os.ErrPermission
	}
	if _, err := f.stat(r.Target); err == nil && r.Method == "Rename" {
		return os.ErrExist
	}
	row, err := f.one("file.hash", map[string]any{"path": from})
	if err != nil {
		return err
	}
	sum, _ := row["sha256"].(string)
	if sum == "" {
		empty := sha256.Sum256(nil)
		sum = hex.EncodeToString(empty[:])
	}
	_, err = f.one("file.commit", map[string]any{"temp": from, "path": to, "sha256": sum})
	return err
}

// PosixRename answers posix-rename@openssh.com.
func (f *files) PosixRename(r *sftp.Request) error {
	w, ok := windowsPath(r.Filepath)
	if !ok {
		return os.ErrPermission
	}
	return f.rename(r, w)
}
