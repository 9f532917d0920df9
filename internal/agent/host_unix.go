//go:build !windows

package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// socket is the worker's address, in a directory that only its owner may enter.
func socket(root string) string { return filepath.Join(root, "socket") }

func dial(root string) (net.Conn, error) { return net.Dial("unix", socket(root)) }

// listen takes the address. Who calls it holds the lock, so what stands there was left by a dead
// worker.
func listen(root string) (net.Listener, error) {
	if err := os.Remove(socket(root)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return net.Listen("unix", socket(root))
}

// private makes the directory if it is missing, and refuses one that somebody else owns or may
// write to: its lock and its socket would be theirs.
func private(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return onDisk(dir, fmt.Errorf("cannot make the agent's directory: %w", err))
	}
	fi, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("cannot check the agent's directory: %w", err)
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok || !fi.IsDir() || int(st.Uid) != os.Geteuid() || fi.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("cannot use %s as the agent's directory: it must be a directory of user %d that nobody else may "+
			"enter", dir, os.Geteuid())
	}
	return nil
}

// Root is where the agent of the user who runs it lives: /var/lib/deploy/agent for root, else below
// the user's state directory.
func Root() (string, error) {
	if os.Geteuid() == 0 {
		return "/var/lib/deploy/agent", nil
	}
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "deploy", "agent"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("cannot find a directory for the agent: %w", err)
	}
	return filepath.Join(home, ".local", "state", "deploy", "agent"), nil
}

func diskFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

func diskReadOnly(err error) bool { return errors.Is(err, syscall.EROFS) }

// Spawn starts a worker in a session of its own, so that the end of a login does not end it.
func Spawn(program, root string, log *os.File) error {
	cmd := exec.Command(program, "agent", "--worker", "--root", root)
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	return cmd.Process.Release()
}
