package proctree

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"
)

// Tree is a program and all that it starts.
type Tree struct {
	cmd *exec.Cmd
	mu  sync.Mutex // Kill may come while Close is at work
	job windows.Handle
}

// Killed is the exit code of what Kill has ended: ERROR_TIMEOUT, since a limit is why it is mostly
// done.
const Killed = uint32(windows.ERROR_TIMEOUT)

// New prepares a program that is not started yet. It will be started without a window, and waits
// for Adopt before it does anything, so that nothing it starts can escape.
func New(cmd *exec.Cmd) (*Tree, error) {
	job, err := windows.CreateJobObject(nil, nil)
	if err != nil {
		return nil, fmt.Errorf("cannot make a job object: %w", err)
	}
	t := &Tree{cmd: cmd, job: job}
	// a setup program that starts a process outside on purpose may do so
	if err := t.limit(windows.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE | windows.JOB_OBJECT_LIMIT_BREAKAWAY_OK); err != nil {
		t.Close()
		return nil, fmt.Errorf("cannot set up a job object: %w", err)
	}
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.CreationFlags |= windows.CREATE_SUSPENDED | windows.CREATE_NO_WINDOW
	return t, nil
}

func (t *Tree) limit(flags uint32) error {
	var info windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION
	info.BasicLimitInformation.LimitFlags = flags
	_, err := windows.SetInformationJobObject(t.job, windows.JobObjectExtendedLimitInformation,
		uintptr(unsafe.Pointer(&info)), uint32(unsafe.Sizeof(info)))
	return err
}

// Adopt puts the started program into the job and lets it run. When it fails the program is still
// to be ended.
func (t *Tree) Adopt() error {
	var err error
	known := t.cmd.Process.WithHandle(func(h uintptr) { err = windows.AssignProcessToJobObject(t.job, windows.Handle(h)) })
	if known != nil {
		return known
	}
	if err != nil {
		return fmt.Errorf("cannot put the program into a job object: %w", err)
	}
	return resume(uint32(t.cmd.Process.Pid))
}

// resume lets the only thread of a process that was started suspended run. Go keeps no handle of
// it, so it is looked for.
func resume(pid uint32) error {
	snapshot, err := windows.CreateToolhelp32Snapshot(windows.TH32CS_SNAPTHREAD, 0)
	if err != nil {
		return fmt.Errorf("cannot list the threads: %w", err)
	}
	defer func() { _ = windows.CloseHandle(snapshot) }()
	entry := windows.ThreadEntry32{Size: uint32(unsafe.Sizeof(windows.ThreadEntry32{}))}
	for err = windows.Thread32First(snapshot, &entry); err == nil; err = windows.Thread32Next(snapshot, &entry) {
		if entry.OwnerProcessID != pid {
			continue
		}
		h, err := windows.OpenThread(windows.THREAD_SUSPEND_RESUME, false, entry.ThreadID)
		if err != nil {
			return fmt.Errorf("cannot open the program's thread: %w", err)
		}
		defer func() { _ = windows.CloseHandle(h) }()
		if _, err := windows.ResumeThread(h); err != nil {
			return fmt.Errorf("cannot let the program run: %w", err)
		}
		return nil
	}
	if errors.Is(err, windows.ERROR_NO_MORE_FILES) {
		return errors.New("cannot find the program's thread")
	}
	return fmt.Errorf("cannot list the threads: %w", err)
}

// Kill ends the tree. One that was let go of already is os.ErrProcessDone.
func (t *Tree) Kill() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.job == 0 {
		return os.ErrProcessDone
	}
	return windows.TerminateJobObject(t.job, Killed)
}

// Close lets go of the tree; what still runs of it goes on.
func (t *Tree) Close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.job == 0 {
		return
	}
	_ = t.limit(0) // without it the job's end would be theirs
	_ = windows.CloseHandle(t.job)
	t.job = 0
}
