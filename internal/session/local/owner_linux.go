package local

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"deploy/internal/node"
	"deploy/internal/session/linux"
)

// ownerDir stands beside the directory of jobs: a session over SSH uses the same one.
func (s *Session) ownerDir() string { return filepath.Join(filepath.Dir(s.opts.State), linux.OwnerDir) }

func (s *Session) owners() ([]node.Row, error) {
	entries, err := os.ReadDir(s.ownerDir())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var rows []node.Row
	for _, e := range entries {
		site, ok := strings.CutSuffix(e.Name(), linux.OwnerEnd)
		if !ok {
			continue
		}
		text, err := os.ReadFile(filepath.Join(s.ownerDir(), e.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed by somebody since the directory was read
		}
		if err != nil {
			return nil, err
		}
		rows = append(rows, node.Row{"site": site, "record": string(text)})
	}
	return rows, nil
}

// putOwner puts a site's owner record in place, and has it on the disk: an act must not get there
// before what says whose it is. "" removes it, and the directory when it is empty then.
func (s *Session) putOwner(site, record string) error {
	dir := s.ownerDir()
	path := filepath.Join(dir, site+linux.OwnerEnd)
	if record == "" {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		err := os.Remove(dir)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTEMPTY) || errors.Is(err, unix.EEXIST) {
			return nil
		}
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	temp := path + tempSuffix
	f, err := newTemp(temp)
	if err != nil {
		return err
	}
	_, err = f.WriteString(record)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	return place(temp, path)
}
