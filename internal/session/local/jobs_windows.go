package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/windows"

	"deploy/internal/node"
	"deploy/internal/session/local/winapi"
	"deploy/internal/session/powershell/protocol"
	"deploy/internal/winargs"
)

// A job is a scheduled task whose program is the runner of the resident script, with the same files
// in the same place: a job that one kind of session has started is known to the other. NAME.job
// says what to run, NAME.lock is held by the runner for as long as it lives, NAME.out takes the
// output, NAME.exit the exit code.

// stateDir is where the resident script keeps its jobs too.
func stateDir() string { return filepath.Join(os.Getenv("SystemRoot"), "deploy", "jobs") }

// onlyAdministrators: what stands in the directory is run with somebody's rights.
const onlyAdministrators = "D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)"

const (
	slack    = 2 * time.Minute  // the scheduler's own limit is so much longer than the runner's
	starting = 90 * time.Second // until a task without a lock counts as lost
	jobTail  = 64 << 10         // bytes of output that are told
)

var jobName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,100}$`)

func (s *Session) jobBase(op, id string) (string, error) {
	if !jobName.MatchString(id) {
		return "", s.refuse(op, idBadName, int64(windows.ERROR_INVALID_PARAMETER), "not a job name: "+id)
	}
	return filepath.Join(s.opts.State, id), nil
}

func (s *Session) startJob(ctx context.Context, j job) error {
	base, err := s.jobBase("job.start "+j.id, j.id)
	if err != nil {
		return err
	}
	line, err := winargs.Quote(j.argv)
	if err != nil {
		return err
	}
	if known, err := exists(base + ".job"); known || err != nil {
		return err
	}
	if err := os.MkdirAll(s.opts.State, 0o700); err != nil {
		return err
	}
	if err := winapi.SetACL(s.opts.State, onlyAdministrators); err != nil {
		return err
	}
	if err := os.WriteFile(base+".ps1", []byte(protocol.Runner()), 0o600); err != nil {
		return err
	}
	if err := os.WriteFile(base+".job", []byte(protocol.JobFile(j.argv[0], line, j.dir, int64(j.limit/time.Second))),
		0o600); err != nil {
		return err
	}
	task := winapi.Task{
		Name:      j.id,
		Program:   filepath.Join(os.Getenv("SystemRoot"), "System32", "WindowsPowerShell", "v1.0", "powershell.exe"),
		Arguments: protocol.RunnerFlags + `"` + base + `.ps1"`,
		Limit:     j.limit + slack,
	}
	if j.as != nil {
		task.User, task.Password = j.as.User, j.as.Password.Reveal()
	}
	if err := s.platform.host.RunTask(ctx, task); err != nil {
		// not known after all, so that it can be tried again
		return errors.Join(err, dropFiles(base, ".job", ".ps1"))
	}
	return nil
}

func exists(path string) (bool, error) {
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func dropFiles(base string, ends ...string) error {
	for _, end := range ends {
		if err := os.Remove(base + end); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (s *Session) jobState(_ context.Context, id string) (node.JobState, error) {
	op := "job.state " + id
	base, err := s.jobBase(op, id)
	if err != nil {
		return node.JobState{}, err
	}
	known, err := exists(base + ".job")
	if err == nil && !known {
		err = s.refuse(op, idNotFound, int64(windows.ERROR_FILE_NOT_FOUND), "there is no job "+id)
	}
	if err != nil {
		return node.JobState{}, err
	}
	state := node.JobState{}
	if state.Phase, err = jobPhase(base); err != nil {
		return node.JobState{}, err
	}
	if state.Phase == node.JobDone {
		text, err := os.ReadFile(base + ".exit")
		if err != nil {
			return node.JobState{}, err
		}
		code, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
		if err != nil {
			return node.JobState{}, fmt.Errorf("the exit file of the job holds no number: %w", err)
		}
		state.Code = int(int32(code))
	}
	state.Output, err = fileTail(base+".out", jobTail)
	return state, err
}

func jobPhase(base string) (node.JobPhase, error) {
	if done, err := exists(base + ".exit"); done || err != nil {
		return node.JobDone, err
	}
	locked, err := exists(base + ".lock")
	if err != nil {
		return "", err
	}
	if !locked {
		fi, err := os.Stat(base + ".job")
		if err != nil {
			return "", err
		}
		if time.Since(fi.ModTime()) < starting {
			return node.JobRunning, nil
		}
		return node.JobLost, nil
	}
	held, err := heldByOther(base + ".lock")
	switch {
	case err != nil:
		return "", err
	case held:
		return node.JobRunning, nil
	}
	// it may have ended between the first look and this one
	if done, err := exists(base + ".exit"); done || err != nil {
		return node.JobDone, err
	}
	return node.JobLost, nil
}

// heldByOther says that another process has a file open for itself alone.
func heldByOther(path string) (bool, error) {
	p, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return false, err
	}
	h, err := windows.CreateFile(p, windows.GENERIC_READ|windows.GENERIC_WRITE, 0, nil, windows.OPEN_EXISTING, 0, 0)
	if errors.Is(err, windows.ERROR_SHARING_VIOLATION) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	return false, windows.CloseHandle(h)
}

func fileTail(path string, most int64) (string, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return "", err
	}
	if _, err := f.Seek(max(0, size-most), io.SeekStart); err != nil {
		return "", err
	}
	b, err := io.ReadAll(io.LimitReader(f, most))
	return string(b), err
}

func (s *Session) removeJob(ctx context.Context, id string) error {
	op := "job.remove " + id
	base, err := s.jobBase(op, id)
	if err != nil {
		return err
	}
	if known, err := exists(base + ".job"); !known || err != nil {
		return err
	}
	phase, err := jobPhase(base)
	if err != nil {
		return err
	}
	if phase == node.JobRunning {
		return s.refuse(op, idBusy, int64(windows.ERROR_BUSY), "the job is running: "+id)
	}
	if err := s.platform.host.DeleteTask(ctx, id); err != nil {
		return err
	}
	// the runner writes its exit file a moment before it lets go of its lock; the job's own file goes
	// last, so that a removal that was cut off can be done again
	if err := winapi.Shared(func() error { return dropFiles(base, ".lock") }); err != nil {
		return err
	}
	return dropFiles(base, ".ps1", ".out", ".exit", ".exit.tmp", ".job")
}
