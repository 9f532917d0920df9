package proctree

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
)

// Tree is a program and all that it starts.
type Tree struct{ cmd *exec.Cmd }

// New prepares a program that is not started yet.
func New(cmd *exec.Cmd) (*Tree, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	return &Tree{cmd}, nil
}

// Adopt has nothing to do: the group exists from the start.
func (t *Tree) Adopt() error { return nil }

// Kill ends the tree. One that has gone already is os.ErrProcessDone.
func (t *Tree) Kill() error {
	err := syscall.Kill(-t.cmd.Process.Pid, syscall.SIGKILL)
	if errors.Is(err, syscall.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}

// Close lets go of the tree.
func (t *Tree) Close() {}
