package local

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"deploy/internal/node"
)

// tempSuffix makes the temporary name of Write. It is always the same: what a kill has left there
// is written over by the next try.
const tempSuffix = ".deploy.tmp"

// Stat tells about a path.
func (s *Session) Stat(ctx context.Context, path string) (node.FileInfo, error) {
	if err := ctx.Err(); err != nil {
		return node.FileInfo{}, err
	}
	fi, err := os.Stat(path)
	if err != nil {
		return node.FileInfo{}, s.fail("file.stat "+path, err)
	}
	return s.platform.statOf(fi), nil
}

// Open reads a file. A directory is refused here and not at the first Read.
func (s *Session) Open(ctx context.Context, path string) (io.ReadCloser, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f, err := s.openFile("file.read "+path, path)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// openFile opens a regular file. Anything else (a pipe would block for ever) is refused.
func (s *Session) openFile(op, path string) (*os.File, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return nil, s.fail(op, err)
	}
	switch {
	case fi.IsDir():
		return nil, s.fail(op, errIsDir)
	case !fi.Mode().IsRegular():
		return nil, s.fail(op, errInvalid) // not a regular file
	}
	f, err := os.Open(path)
	return f, s.fail(op, err)
}

func (s *Session) hash(path string) ([]node.Row, error) {
	f, err := s.openFile("file.hash "+path, path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	fi, err := f.Stat()
	if err != nil {
		return nil, err
	}
	sum := sha256.New()
	// io.Copy would take a large buffer for each of many small files
	room := min(max(fi.Size()+1, 512), 64<<10)
	n, err := io.CopyBuffer(sum, struct{ io.Reader }{f}, make([]byte, room))
	if err != nil {
		return nil, err
	}
	return []node.Row{{"sha256": hex.EncodeToString(sum.Sum(nil)), "size": n}}, nil
}

func (s *Session) remove(path string, tree bool) error {
	if err := removable(path); err != nil {
		return s.refuse("file.remove "+path, idRefused, int64(errPermission), err.Error())
	}
	var err error
	if tree {
		err = os.RemoveAll(path)
	} else {
		err = os.Remove(path)
	}
	if errors.Is(s.fail("", err), node.ErrNotFound) {
		return nil
	}
	return err
}

// makeDir makes a directory and those above it that are missing, with 0755 whatever the umask of
// this process is.
func (s *Session) makeDir(path string) error {
	if _, err := os.Stat(path); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return os.MkdirAll(path, 0o755) // says what stands there when it is no directory
	}
	if above := filepath.Dir(path); above != path {
		if err := s.makeDir(above); err != nil {
			return err
		}
	}
	if err := os.Mkdir(path, 0o755); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return os.MkdirAll(path, 0o755)
		}
		return err
	}
	return os.Chmod(path, 0o755)
}

// listDir tells of each entry itself: a symbolic link is not followed.
func (s *Session) listDir(path string) ([]node.Row, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !fi.IsDir() {
		return nil, s.refuse("dir.list "+path, "deploy.NotDirectory", int64(errNotDir), "not a directory")
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	rows := make([]node.Row, 0, len(entries))
	for _, e := range entries {
		row := node.Row{"name": e.Name(), "dir": e.IsDir(), "size": int64(0)}
		if !e.IsDir() {
			fi, err := e.Info()
			if errors.Is(err, os.ErrNotExist) {
				continue // it went away meanwhile
			}
			if err != nil {
				return nil, err
			}
			row["size"] = fi.Size()
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// Write puts a file in place whole: a temporary file beside it, which is on the disk and has its
// mode and owner before it takes the name. A path that is a symbolic link keeps the link: what it
// points to is written, as Stat and Open see it.
func (s *Session) Write(ctx context.Context, path string, r io.Reader, o node.WriteOptions) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if f, ok := s.Fence(); ok {
		if err := s.pass(f); err != nil {
			return s.fail("file.write "+path, err)
		}
	}
	target, err := resolve(path)
	if err == nil {
		err = s.put(ctx, target, r, o)
	}
	return s.fail("file.write "+path, err)
}

func (s *Session) put(ctx context.Context, path string, r io.Reader, o node.WriteOptions) (err error) {
	if fi, err := os.Stat(path); err == nil {
		switch {
		case fi.IsDir():
			return errIsDir
		case !fi.Mode().IsRegular():
			return errInvalid // a device or a pipe is not replaced by a file
		}
	}
	temp := path + tempSuffix
	f, err := newTemp(temp)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close() // closed already, when the trouble came later
			_ = os.Remove(temp)
		}
	}()
	if _, err = io.Copy(f, &source{ctx: ctx, r: r}); err != nil {
		return err
	}
	if err = dress(f, path, o); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	return place(temp, path)
}

// source ends a copy when nobody wants it any more, and tells trouble of the caller's reader from
// trouble of the disk.
type source struct {
	ctx context.Context
	r   io.Reader
}

func (s *source) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := s.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("cannot read what is to be written: %w", err)
	}
	return n, err
}

// resolve follows the symbolic links that a path ends in, also when nothing is at the end of them.
func resolve(path string) (string, error) {
	for range 40 {
		fi, err := os.Lstat(path)
		if errors.Is(err, os.ErrNotExist) {
			return path, nil
		}
		if err != nil {
			return "", err
		}
		if fi.Mode()&os.ModeSymlink == 0 {
			return path, nil
		}
		next, err := os.Readlink(path)
		if err != nil {
			return "", err
		}
		if !filepath.IsAbs(next) {
			next = filepath.Join(filepath.Dir(path), next)
		}
		path = next
	}
	return "", errLoop
}
