package ssh

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/pkg/sftp"

	"deploy/internal/node"
	"deploy/transport"
)

// Files opens the SFTP subsystem. A server without it gives node.ErrUnsupported.
func (c *conn) Files(ctx context.Context) (transport.Files, error) {
	s, free, err := c.session(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot open files on %s: %w", c.target.Node, err)
	}
	fail := func(err error) (transport.Files, error) {
		_ = s.Close()
		free()
		return nil, fmt.Errorf("cannot open files on %s: %w", c.target.Node, err)
	}
	in, err := s.StdinPipe()
	if err != nil {
		return fail(err)
	}
	out, err := s.StdoutPipe()
	if err != nil {
		return fail(err)
	}
	if err := s.RequestSubsystem("sftp"); err != nil {
		return fail(fmt.Errorf("%w: no SFTP: %v", node.ErrUnsupported, err))
	}
	// concurrent writes hide the latency; their price, a file that is too long after an error, is paid
	// by the temporary name
	client, err := sftp.NewClientPipe(out, in, sftp.UseConcurrentWrites(true))
	if err != nil {
		return fail(err)
	}
	return &files{node: c.target.Node, client: client, close: func() error {
		err := client.Close()
		_ = s.Close()
		free()
		return err
	}}, nil
}

type files struct {
	node   string
	client *sftp.Client
	close  func() error
}

// Put writes beside the target, reads back, compares the hash and renames.
func (f *files) Put(ctx context.Context, path string, r io.Reader, mode uint32) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("cannot write %s on %s: %w", path, f.node, err)
		}
	}()
	temp := path + ".deploy-new"
	stop := context.AfterFunc(ctx, func() { _ = f.client.Close() })
	defer stop()
	w, err := f.client.Create(temp)
	if err != nil {
		return err
	}
	want := sha256.New()
	_, err = w.ReadFrom(io.TeeReader(r, want))
	if err = errors.Join(err, w.Close()); err != nil {
		return errors.Join(err, f.drop(temp))
	}
	if mode != 0 {
		if err := f.client.Chmod(temp, os.FileMode(mode)); err != nil {
			return errors.Join(err, f.drop(temp))
		}
	}
	back, err := f.client.Open(temp)
	if err != nil {
		return err
	}
	got := sha256.New()
	_, err = back.WriteTo(got)
	if err = errors.Join(err, back.Close()); err != nil {
		return err
	}
	if string(got.Sum(nil)) != string(want.Sum(nil)) {
		return errors.Join(errors.New("checksum mismatch after the transfer"), f.drop(temp))
	}
	if err := f.client.PosixRename(temp, path); err == nil {
		return nil
	}
	// servers without the extension (Win32-OpenSSH before 8) refuse to rename over a file
	if err := f.drop(path); err != nil {
		return errors.Join(err, f.drop(temp))
	}
	if err := f.client.Rename(temp, path); err != nil {
		return errors.Join(err, f.drop(temp))
	}
	return nil
}

func (f *files) drop(path string) error {
	err := f.client.Remove(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// Get reads a file; a missing one is node.ErrNotFound.
func (f *files) Get(_ context.Context, path string) (io.ReadCloser, error) {
	r, err := f.client.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("cannot read %s on %s: %w", path, f.node, node.ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read %s on %s: %w", path, f.node, err)
	}
	return r, nil
}

// Home is where a session begins: the directory of the user who is logged on.
func (f *files) Home(ctx context.Context) (home string, err error) {
	err = f.ask(ctx, func() (err error) { home, err = f.client.Getwd(); return err })
	if err != nil {
		return "", fmt.Errorf("cannot find the home directory on %s: %w", f.node, err)
	}
	return home, nil
}

// MakeDir makes a directory and what is missing above it.
func (f *files) MakeDir(ctx context.Context, path string) error {
	if err := f.ask(ctx, func() error { return f.client.MkdirAll(path) }); err != nil {
		return fmt.Errorf("cannot make the directory %s on %s: %w", path, f.node, err)
	}
	return nil
}

// Remove removes a file; one that is not there is fine.
func (f *files) Remove(ctx context.Context, path string) error {
	if err := f.ask(ctx, func() error { return f.drop(path) }); err != nil {
		return fmt.Errorf("cannot remove %s on %s: %w", path, f.node, err)
	}
	return nil
}

// ask lets the end of ctx end what waits for the server.
func (f *files) ask(ctx context.Context, do func() error) error {
	stop := context.AfterFunc(ctx, func() { _ = f.client.Close() })
	defer stop()
	err := do()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

func (f *files) Close() error { return f.close() }
