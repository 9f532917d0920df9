package local

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/windows"

	"deploy/internal/node"
	"deploy/internal/proctree"
	"deploy/internal/winargs"
)

func environment() []string { return os.Environ() }

// lookProgram finds a program as CreateProcess does: a name without an extension has .exe, and a
// bare name is looked for in the system's directories and on the path. The working directory and
// the program's own directory are left out: what lies there is nobody's choice.
func lookProgram(name string) (string, error) {
	if filepath.Ext(name) == "" {
		name += ".exe"
	}
	if strings.ContainsAny(name, `\/:`) {
		abs, err := filepath.Abs(name)
		if err != nil {
			return "", err
		}
		return abs, isProgram(abs)
	}
	root := os.Getenv("SystemRoot")
	for _, dir := range append([]string{filepath.Join(root, "System32"), root}, filepath.SplitList(os.Getenv("PATH"))...) {
		if !filepath.IsAbs(dir) {
			continue
		}
		file := filepath.Join(dir, name)
		if isProgram(file) == nil {
			return file, nil
		}
	}
	return "", fs.ErrNotExist
}

func isProgram(file string) error {
	fi, err := os.Stat(file)
	if err == nil && fi.IsDir() {
		return fs.ErrNotExist
	}
	return err
}

// family is a program and all that it starts.
type family struct {
	cmd  *exec.Cmd
	tree *proctree.Tree
}

// newFamily also writes the command line, which Go would quote for the C run time only, and a batch
// file would read otherwise.
func newFamily(cmd *exec.Cmd) *family {
	f := &family{cmd: cmd}
	if cmd.Dir == "" {
		cmd.Dir = os.Getenv("SystemRoot") // where the resident script starts programs too
	}
	line, err := winargs.CommandLine(cmd.Args)
	if err == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{CmdLine: line}
		f.tree, err = proctree.New(cmd)
	}
	if err != nil {

		cmd.Err = err // Start gives it back
	}
	return f
}

func (f *family) adopt(*exec.Cmd) error { return f.tree.Adopt() }

func (f *family) kill() error { return f.tree.Kill() }

func (f *family) close() {
	if f.tree != nil {
		f.tree.Close()
	}
}

// byItself says that a program was not ended by the session.
func byItself(p *os.ProcessState) bool { return uint32(p.ExitCode()) != proctree.Killed }

// exitCode makes 4294967295 and -1 one value: Windows exit codes have 32 bits.
func exitCode(p *os.ProcessState) int { return int(int32(p.ExitCode())) }

// startFailed gives the Win32 number itself, as the resident script does for programs.
func (s *Session) startFailed(op string, c node.Cmd, err error) error {
	var errno syscall.Errno
	switch {
	case errors.Is(err, windows.ERROR_FILE_NOT_FOUND), errors.Is(err, windows.ERROR_PATH_NOT_FOUND),
		errors.Is(err, fs.ErrNotExist):
		return s.unsupported(op, "no program "+c.Argv[0])
	case errors.As(err, &errno):
		return &node.Refusal{Node: s.opts.Node, Code: &node.CodeError{Op: op, Code: int64(errno), Text: errno.Error()}}
	}
	return s.fail(op, err)
}
