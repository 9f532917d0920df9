package winapi

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-ole/go-ole"
	"github.com/go-ole/go-ole/oleutil"
	"golang.org/x/sys/windows"
)

// Task is a program that the task scheduler runs once, at once.
type Task struct {
	Name      string // in the scheduler's root folder
	Program   string
	Arguments string
	User      string        // "" is SYSTEM
	Password  string        // goes to the scheduler as data and nowhere else
	Limit     time.Duration // after which the scheduler ends it
}

// Constants of the task scheduler (TASK_CREATION, TASK_LOGON_TYPE, TASK_RUNLEVEL,
// TASK_INSTANCES_POLICY, TASK_ACTION_TYPE).
const (
	taskCreateOrUpdate = 6
	taskLogonPassword  = 1
	taskLogonService   = 5
	taskHighest        = 1
	taskIgnoreNew      = 2
	taskActionExec     = 0
)

// scheduler runs f with the connected scheduler. A machine without one is node.ErrUnsupported.
func (m *Host) scheduler(ctx context.Context, op string, f func(service *ole.IDispatch) error) error {
	return m.com.do(ctx, func(*worker) error {
		u, err := oleutil.CreateObject("Schedule.Service")
		if err != nil {
			return noScheduler(op, err)
		}
		defer u.Release()
		service, err := u.QueryInterface(ole.IID_IDispatch)
		if err != nil {
			return noScheduler(op, err)
		}
		defer service.Release()
		if _, err := oleutil.CallMethod(service, "Connect"); err != nil {
			return noScheduler(op, err)
		}
		return f(service)
	})
}

// noScheduler: the class is not there, or its methods are not made. Anything else is a scheduler's
// own refusal.
func noScheduler(op string, err error) error {
	const (
		notImplemented = 0x80004001
		notRegistered  = 0x80040154
		noClassString  = 0x800401F3
		unknownName    = 0x80020006
	)
	switch code := codeOf(err); code {
	case notImplemented, notRegistered, noClassString, unknownName:
		return unsupported(op, "there is no task scheduler that can be asked (0x%08X)", code)
	}
	return taskError(op, err)
}

// codeOf is the HRESULT of an error of go-ole; the one that the other side gave stands inside a
// general one.
func codeOf(err error) uint32 {
	var e *ole.OleError
	if !errors.As(err, &e) {
		return 0
	}
	const exception = 0x80020009 // DISP_E_EXCEPTION
	if uint32(e.Code()) == exception {
		if info, ok := e.SubError().(ole.EXCEPINFO); ok && info.SCODE() != 0 {
			return info.SCODE()
		}
	}
	return uint32(e.Code())
}

func taskError(op string, err error) error {
	code := codeOf(err)
	if code == 0 {
		return fmt.Errorf("%s failed: %w", op, err)
	}
	// the text of the error is not passed on: it may quote what it was given
	return refusedNumber(op, int64(code))
}

// RunTask registers a task and starts it.
func (m *Host) RunTask(ctx context.Context, t Task) error {
	op := "job.start " + t.Name
	user, password, logon := any(t.User), any(t.Password), taskLogonPassword
	if t.User == "" {
		name, err := systemAccount()
		if err != nil {
			return failed(op, err)
		}
		user, password, logon = name, nil, taskLogonService
	}
	return m.scheduler(ctx, op, func(service *ole.IDispatch) error {
		var c chain
		task := c.call(service, "NewTask", 0)
		c.put(c.get(task, "RegistrationInfo"), "Description", "deploy job")
		settings := c.get(task, "Settings")
		c.put(settings, "DisallowStartIfOnBatteries", false)
		c.put(settings, "StopIfGoingOnBatteries", false)
		c.put(settings, "MultipleInstances", taskIgnoreNew)
		c.put(settings, "ExecutionTimeLimit", fmt.Sprintf("PT%dS", int64(t.Limit/time.Second)))
		c.put(c.get(task, "Principal"), "RunLevel", taskHighest)
		action := c.call(c.get(task, "Actions"), "Create", taskActionExec)
		c.put(action, "Path", t.Program)
		c.put(action, "Arguments", t.Arguments)
		folder := c.call(service, "GetFolder", `\`)
		registered := c.call(folder, "RegisterTaskDefinition", t.Name, task, taskCreateOrUpdate, user, password, logon)
		c.call(registered, "Run", nil)
		c.release()
		if c.err != nil {
			return noScheduler(op, c.err)
		}
		return nil
	})
}

// DeleteTask forgets a task; one that is not there is fine.
func (m *Host) DeleteTask(ctx context.Context, name string) error {
	op := "job.remove " + name
	return m.scheduler(ctx, op, func(service *ole.IDispatch) error {
		var c chain
		folder := c.call(service, "GetFolder", `\`)
		c.call(folder, "DeleteTask", name, 0)
		c.release()
		if c.err == nil || int64(codeOf(c.err)) == HResult(windows.ERROR_FILE_NOT_FOUND) {
			return nil
		}
		return noScheduler(op, c.err)
	})
}

// systemAccount is the name of SYSTEM, which differs from language to language; its identifier does
// not.
func systemAccount() (string, error) {
	sid, err := windows.CreateWellKnownSid(windows.WinLocalSystemSid)
	if err != nil {
		return "", err
	}
	account, domain, _, err := sid.LookupAccount("")
	return domain + `\` + account, err
}

// chain makes calls on automation objects until one fails, and keeps the objects to release them.
type chain struct {
	err  error
	kept []*ole.VARIANT
}

func (c *chain) keep(v *ole.VARIANT, err error) *ole.IDispatch {
	if err != nil {
		c.err = err
		return nil
	}
	c.kept = append(c.kept, v)
	return v.ToIDispatch()
}

func (c *chain) call(o *ole.IDispatch, name string, args ...any) *ole.IDispatch {
	if c.err != nil || c.missing(o, name) {
		return nil
	}
	return c.keep(oleutil.CallMethod(o, name, args...))
}

func (c *chain) get(o *ole.IDispatch, name string) *ole.IDispatch {
	if c.err != nil || c.missing(o, name) {
		return nil
	}
	return c.keep(oleutil.GetProperty(o, name))
}

func (c *chain) put(o *ole.IDispatch, name string, value any) {
	if c.err != nil || c.missing(o, name) {
		return
	}
	c.keep(oleutil.PutProperty(o, name, value))
}

// missing: a call before gave no object to call this on.
func (c *chain) missing(o *ole.IDispatch, name string) bool {
	if o == nil {
		c.err = fmt.Errorf("no object to ask for %s", name)
	}
	return o == nil
}

func (c *chain) release() {
	for _, v := range c.kept {
		_ = v.Clear()
	}
}
