package local

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"

	"deploy/internal/node"
)

// files moves whole files on this machine.
type files struct{ node string }

// Put writes a temporary file beside the target, reads it back against its hash, and renames it.
func (f files) Put(ctx context.Context, path string, r io.Reader, mode uint32) error {
	if err := f.put(ctx, path, r, mode); err != nil {
		return fmt.Errorf("cannot write %s on %s: %w", path, f.node, err)
	}
	return nil
}

func (f files) put(ctx context.Context, path string, r io.Reader, mode uint32) (err error) {
	temp := path + ".deploy.tmp"
	if err := os.Remove(temp); err != nil && !os.IsNotExist(err) {
		return err
	}
	if mode == 0 {
		mode = 0o644
	}
	file, err := os.OpenFile(temp, os.O_RDWR|os.O_CREATE|os.O_EXCL, os.FileMode(mode)&os.ModePerm)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = file.Close()
			_ = os.Remove(temp)
		}
	}()
	// the mode of OpenFile is cut by the umask
	if err = file.Chmod(os.FileMode(mode) & os.ModePerm); err != nil {
		return err
	}
	want := sha256.New()
	if _, err = io.Copy(io.MultiWriter(file, want), reader{ctx, r}); err != nil {
		return err
	}
	if err = file.Sync(); err != nil {
		return err
	}
	if _, err = file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	have := sha256.New()
	if _, err = io.Copy(have, file); err != nil {
		return err
	}
	if !bytes.Equal(have.Sum(nil), want.Sum(nil)) {
		return errors.New("the file transfer is incomplete")
	}
	if err = file.Close(); err != nil {
		return err
	}
	return replace(temp, path)
}

// Get opens a file; a missing one is node.ErrNotFound.
func (f files) Get(ctx context.Context, path string) (io.ReadCloser, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("cannot read %s on %s: %w", path, f.node, node.ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read %s on %s: %w", path, f.node, err)
	}
	return file, nil
}

// Home is the directory of the user who runs this program.
func (f files) Home(context.Context) (string, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("cannot find the home directory on %s: %w", f.node, err)
	}
	return home, nil
}

// MakeDir makes a directory and what is missing above it.
func (f files) MakeDir(_ context.Context, path string) error {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return fmt.Errorf("cannot make the directory %s on %s: %w", path, f.node, err)
	}
	return nil
}

// Remove removes a file; one that is not there is fine.
func (f files) Remove(_ context.Context, path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("cannot remove %s on %s: %w", path, f.node, err)
	}
	return nil
}

// Close has nothing to close.
func (files) Close() error { return nil }

// reader ends a copy whose context has ended.
type reader struct {
	ctx context.Context
	r   io.Reader
}

func (r reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}
