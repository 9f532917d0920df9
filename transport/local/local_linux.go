package local

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
)

// shell is what a login shell would do with a line, without anybody's settings.
func shell(line string) *exec.Cmd { return exec.Command("/bin/sh", "-c", line) }

// exitCode is the program's; one that a signal ended has 128 and the signal's number, as a shell
// tells it.
func exitCode(p *os.ProcessState) int {
	if st, ok := p.Sys().(syscall.WaitStatus); ok && st.Signaled() {
		return 128 + int(st.Signal())
	}
	return p.ExitCode()
}

func gone(err error) bool { return errors.Is(err, os.ErrProcessDone) || errors.Is(err, syscall.ESRCH) }

func replace(temp, path string) error { return os.Rename(temp, path) }
