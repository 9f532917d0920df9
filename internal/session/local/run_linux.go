package local

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"deploy/internal/node"
)

// searchPath is where programs are looked for, in this order, after the directories of the
// session's own PATH: a session over SSH as an ordinary user has no sbin in it.
const searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

func fullPath() string {
	if own := os.Getenv("PATH"); own != "" {
		return own + ":" + searchPath
	}
	return searchPath
}

// environment is the session's own, with the language that programs answer in set to none.
func environment() []string {
	env := make([]string, 0, len(os.Environ())+2)
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		if name == "PATH" || name == "LANGUAGE" || name == "LANG" || strings.HasPrefix(name, "LC_") {
			continue
		}
		env = append(env, kv)
	}
	return append(env, "PATH="+fullPath(), "LC_ALL=C.UTF-8")
}

// lookProgram finds a bare name on the path; a name with a slash must be a file that may be run.
func lookProgram(name string) (string, error) {
	if strings.Contains(name, "/") {
		return name, runnable(name)
	}
	for _, dir := range filepath.SplitList(fullPath()) {
		if !filepath.IsAbs(dir) {
			continue
		}
		file := filepath.Join(dir, name)
		if runnable(file) == nil {
			return file, nil
		}
	}
	return "", fs.ErrNotExist
}

func runnable(file string) error {
	fi, err := os.Stat(file)
	if err != nil {
		return err
	}
	if fi.IsDir() || fi.Mode()&0o111 == 0 {
		return syscall.EACCES
	}
	return nil
}

// family is a program and all that it starts: a process group of its own.
type family struct{ cmd *exec.Cmd }

func newFamily(cmd *exec.Cmd) *family {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return &family{cmd}
}

// adopt has nothing to do: the group exists from the start.
func (f *family) adopt(*exec.Cmd) error { return nil }

func (f *family) kill() error {
	err := syscall.Kill(-f.cmd.Process.Pid, syscall.SIGKILL)
	if errors.Is(err, syscall.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}

func (f *family) close() {}

// byItself says that a program was not ended by a signal.
func byItself(p *os.ProcessState) bool { return p.Exited() }

// exitCode is that of the program; one that a signal ended has 128 and the signal's number, as a
// shell tells it.
func exitCode(p *os.ProcessState) int {
	if st, ok := p.Sys().(syscall.WaitStatus); ok && st.Signaled() {
		return 128 + int(st.Signal())
	}
	return p.ExitCode()
}

// startFailed tells a working directory that is not there from a program that cannot be started.
func (s *Session) startFailed(op string, c node.Cmd, err error) error {
	if c.Dir != "" {
		if fi, e := os.Stat(c.Dir); e != nil {
			return s.fail(op, e)
		} else if !fi.IsDir() {
			return s.fail(op, syscall.ENOTDIR)
		}
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOEXEC) {
		return s.unsupported(op, "no program "+c.Argv[0]+" that can be run")
	}
	return s.fail(op, err)
}
