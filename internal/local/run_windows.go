package local

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"

	"deploy/internal/node"
)

func environment() []string { return os.Environ() }

func lookProgram(name string) (string, error) { return exec.LookPath(name) }

// family is a program and all that it starts.
type family struct{ cmd *exec.Cmd }

func newFamily(cmd *exec.Cmd) *family { return &family{cmd} }

func (f *family) adopt(*exec.Cmd) error { return nil }

func (f *family) kill() error { return f.cmd.Process.Kill() }

func (f *family) close() {}

// exitCode makes 4294967295 and -1 one value: Windows exit codes have 32 bits.
func exitCode(p *os.ProcessState) int { return int(int32(p.ExitCode())) }

func (s *Session) startFailed(op string, c node.Cmd, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return s.unsupported(op, "no program "+c.Argv[0])
	}
	return s.fail(op, err)
}
