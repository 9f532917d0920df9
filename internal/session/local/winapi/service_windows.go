package winapi

import (
	"errors"
	"strings"
	"syscall"
	"unsafe"

	"deploy/internal/node"

	"golang.org/x/sys/windows"
)

// Win32_Service's properties and methods that steps use are served by the service manager itself,
// not by WMI: it answers in a hundredth of the time, a method does not wait for a provider to be
// loaded, and a WMI repository that is broken (which is common) does not stop a service step. What
// is not served here goes to WMI. Values and return codes are those that Win32_Service documents.

// serviceProps are the properties that are served, in lower case.
var serviceProps = map[string]func(*service) any{
	"name":        func(s *service) any { return s.name },
	"displayname": func(s *service) any { return s.display },
	"caption":     func(s *service) any { return s.display },
	"startmode":   func(s *service) any { return word(startModes, s.start) },
	"state":       func(s *service) any { return word(states, s.state) },
	"started":     func(s *service) any { return s.state != windows.SERVICE_STOPPED },
	"pathname":    func(s *service) any { return s.path },
	"startname":   func(s *service) any { return s.account },
	"processid":   func(s *service) any { return int64(s.pid) },
}

var (
	startModes = []string{"Boot", "System", "Auto", "Manual", "Disabled"}
	states     = []string{"Unknown", "Stopped", "Start Pending", "Stop Pending", "Running", "Continue Pending",
		"Pause Pending", "Paused"}
)

func word(list []string, i uint32) string {
	if int(i) < len(list) {
		return list[i]
	}
	return "Unknown"
}

type service struct {
	name, display, path, account string
	start, state, pid            uint32
}

const serviceNS = `root\cimv2`

// ServesService says whether a wmi.get request is one for ServiceGet.
func ServesService(namespace, class string, props []string, where map[string]any) bool {
	if !strings.EqualFold(namespace, serviceNS) || !strings.EqualFold(class, "Win32_Service") || len(props) == 0 {
		return false
	}
	for _, p := range props {
		if serviceProps[strings.ToLower(p)] == nil {
			return false
		}
	}
	name, one := onlyName(where)
	return len(where) == 0 || one && name != ""
}

// onlyName: the condition is one on the name alone.
func onlyName(where map[string]any) (string, bool) {
	if len(where) != 1 {
		return "", false
	}
	for k, v := range where {
		s, ok := v.(string)
		return s, ok && strings.EqualFold(k, "Name")
	}
	return "", false
}

// ServesServiceCall says whether a wmi.call request is one for ServiceCall.
func ServesServiceCall(namespace, class string, where map[string]any, method string, args map[string]any) bool {
	if !strings.EqualFold(namespace, serviceNS) || !strings.EqualFold(class, "Win32_Service") {
		return false
	}
	if name, one := onlyName(where); !one || name == "" {
		return false
	}
	switch strings.ToLower(method) {
	case "startservice", "stopservice":
		return len(args) == 0
	case "changestartmode":
		_, ok := args["StartMode"].(string)
		return ok && len(args) == 1
	}
	return false
}

// manager opens the service manager with the least rights.
func manager(op string, access uint32) (windows.Handle, error) {
	h, err := windows.OpenSCManager(nil, nil, access)
	if err != nil {
		return 0, failed(op, err)
	}
	return h, nil
}

// ServiceGet answers a wmi.get request that ServesService knows.
func ServiceGet(props []string, where map[string]any) ([]node.Row, error) {
	op := `wmi.get ` + serviceNS + `:Win32_Service`
	scm, err := manager(op, windows.SC_MANAGER_CONNECT|windows.SC_MANAGER_ENUMERATE_SERVICE)
	if err != nil {
		return nil, err
	}
	defer windows.CloseServiceHandle(scm)
	var names []string
	if name, one := onlyName(where); one {
		names = []string{name}
	} else if names, err = serviceNames(scm); err != nil {
		return nil, failed(op, err)
	}
	var rows []node.Row
	for _, name := range names {
		s, err := readService(scm, name)
		if errors.Is(err, windows.ERROR_SERVICE_DOES_NOT_EXIST) || errors.Is(err, windows.ERROR_INVALID_NAME) {
			continue // none of that name, or deleted since the list was made
		}
		if err != nil {
			return nil, failed(op, err)
		}
		if s == nil {
			continue
		}
		row := node.Row{}
		for _, p := range props {
			row[p] = serviceProps[strings.ToLower(p)](s)
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// serviceNames lists the services that are no drivers.
func serviceNames(scm windows.Handle) ([]string, error) {
	var need, count, resume uint32
	buf := make([]byte, 64<<10)
	for {
		resume = 0
		err := windows.EnumServicesStatusEx(scm, windows.SC_ENUM_PROCESS_INFO, windows.SERVICE_WIN32,
			windows.SERVICE_STATE_ALL, &buf[0], uint32(len(buf)), &need, &count, &resume, nil)
		if errors.Is(err, windows.ERROR_MORE_DATA) {
			buf = make([]byte, len(buf)+int(need))
			continue
		}
		if err != nil {
			return nil, err
		}
		break
	}
	var names []string
	if count > 0 {
		for _, e := range unsafe.Slice((*windows.ENUM_SERVICE_STATUS_PROCESS)(unsafe.Pointer(&buf[0])), count) {
			names = append(names, windows.UTF16PtrToString(e.ServiceName))
		}
	}
	return names, nil
}

// readService reads one service; nil is a driver, which is no Win32_Service.
func readService(scm windows.Handle, name string) (*service, error) {
	p, err := windows.UTF16PtrFromString(name)
	if err != nil {
		return nil, windows.ERROR_INVALID_NAME
	}
	h, err := windows.OpenService(scm, p, windows.SERVICE_QUERY_CONFIG|windows.SERVICE_QUERY_STATUS)
	if err != nil {
		return nil, err
	}
	defer windows.CloseServiceHandle(h)
	status, err := serviceStatus(h)
	if err != nil {
		return nil, err
	}
	if status.ServiceType&windows.SERVICE_WIN32 == 0 {
		return nil, nil
	}
	c, buf, err := serviceConfig(h)
	if err != nil {
		return nil, err
	}
	s := &service{name: name, start: c.StartType, state: status.CurrentState, pid: status.ProcessId,
		display: windows.UTF16PtrToString(c.DisplayName), path: windows.UTF16PtrToString(c.BinaryPathName),
		account: windows.UTF16PtrToString(c.ServiceStartName)}
	_ = buf // the texts stand in it
	if own := ownSpelling(name); own != "" {
		s.name = own
	}
	return s, nil
}

// ownSpelling is the service's name as it was given when the service was made: WMI shows that, not
// the one that was asked for. It is the spelling of its registry key; "" when that cannot be told.
func ownSpelling(name string) string {
	const root = `HKLM\SYSTEM\CurrentControlSet\Services`
	rows, err := RegistryKeys(root)
	if err != nil {
		return ""
	}
	for _, r := range rows {
		if strings.EqualFold(r.String("name"), name) {
			return r.String("name")
		}
	}
	return ""
}

func serviceStatus(h windows.Handle) (*windows.SERVICE_STATUS_PROCESS, error) {
	var st windows.SERVICE_STATUS_PROCESS
	var need uint32
	err := windows.QueryServiceStatusEx(h, windows.SC_STATUS_PROCESS_INFO, (*byte)(unsafe.Pointer(&st)),
		uint32(unsafe.Sizeof(st)), &need)
	return &st, err
}

// serviceConfig asks for the plain configuration only. Its later levels (delayed start, recovery)
// are not known to every system: x/sys's mgr.Service.Config asks for them all and fails as a whole
// where one is refused with ERROR_INVALID_LEVEL (124).
func serviceConfig(h windows.Handle) (*windows.QUERY_SERVICE_CONFIG, []byte, error) {
	buf := make([]byte, 2048)
	for {
		var need uint32
		c := (*windows.QUERY_SERVICE_CONFIG)(unsafe.Pointer(&buf[0]))
		err := windows.QueryServiceConfig(h, c, uint32(len(buf)), &need)
		if errors.Is(err, windows.ERROR_INSUFFICIENT_BUFFER) && int(need) > len(buf) {
			buf = make([]byte, need)
			continue
		}
		return c, buf, err
	}
}

// ServiceCall answers a wmi.call request that ServesServiceCall knows. Row: ReturnValue.
func ServiceCall(where map[string]any, method string, args map[string]any) (node.Row, error) {
	op := `wmi.call ` + serviceNS + `:Win32_Service.` + method
	name, _ := onlyName(where)
	scm, err := manager(op, windows.SC_MANAGER_CONNECT)
	if err != nil {
		return nil, err
	}
	defer windows.CloseServiceHandle(scm)
	var act func(windows.Handle) error
	var access uint32 = windows.SERVICE_QUERY_STATUS
	switch strings.ToLower(method) {
	case "startservice":
		access |= windows.SERVICE_START
		act = func(h windows.Handle) error { return windows.StartService(h, 0, nil) }
	case "stopservice":
		access |= windows.SERVICE_STOP
		act = stopService
	default:
		start := startModeOf(args["StartMode"].(string))
		if start < 0 {
			return node.Row{"ReturnValue": int64(invalidParameter)}, nil
		}
		access |= windows.SERVICE_CHANGE_CONFIG
		act = func(h windows.Handle) error { return changeStart(h, uint32(start)) }
	}
	p, err := windows.UTF16PtrFromString(name)
	if err != nil {
		return nil, absent(op, "there is no service %q", name)
	}
	h, err := windows.OpenService(scm, p, access)
	switch {
	case errors.Is(err, windows.ERROR_SERVICE_DOES_NOT_EXIST), errors.Is(err, windows.ERROR_INVALID_NAME):
		return nil, absent(op, "there is no service %s", name)
	case err == nil:
		defer windows.CloseServiceHandle(h)
		err = act(h)
	}
	code, err := returnValue(err)
	if err != nil {
		return nil, failed(op, err)
	}
	return node.Row{"ReturnValue": code}, nil
}

func stopService(h windows.Handle) error {
	var st windows.SERVICE_STATUS
	return windows.ControlService(h, windows.SERVICE_CONTROL_STOP, &st)
}

// startModeOf reads the words of ChangeStartMode, which are not those that StartMode shows.
func startModeOf(s string) int {
	for i, w := range []string{"boot", "system", "automatic", "manual", "disabled"} {
		if strings.EqualFold(s, w) {
			return i
		}
	}
	return -1
}

// changeStart sets how a service starts. As with WMI, an automatic start set here is not a delayed
// one: a flag from before is taken off.
func changeStart(h windows.Handle, start uint32) error {
	const keep = windows.SERVICE_NO_CHANGE
	if err := windows.ChangeServiceConfig(h, keep, start, keep, nil, nil, nil, nil, nil, nil, nil); err != nil {
		return err
	}
	if start != windows.SERVICE_AUTO_START {
		return nil
	}
	info := windows.SERVICE_DELAYED_AUTO_START_INFO{}
	err := windows.ChangeServiceConfig2(h, windows.SERVICE_CONFIG_DELAYED_AUTO_START_INFO, (*byte)(unsafe.Pointer(&info)))
	if errors.Is(err, windows.ERROR_INVALID_LEVEL) || errors.Is(err, windows.ERROR_CALL_NOT_IMPLEMENTED) {
		return nil // a system without delayed starts
	}
	return err
}

const invalidParameter = 21

// returnValue gives the code that Win32_Service's methods document for an error of the service
// manager. Sources: StartService method of Win32_Service, return values 0 to 24; CIMWin32Prov.
func returnValue(err error) (int64, error) {
	var e syscall.Errno
	if err == nil {
		return 0, nil
	}
	if !errors.As(err, &e) {
		return 0, err
	}
	switch e {
	case windows.ERROR_ACCESS_DENIED:
		return 2, nil
	case windows.ERROR_DEPENDENT_SERVICES_RUNNING:
		return 3, nil
	case windows.ERROR_INVALID_SERVICE_CONTROL:
		return 4, nil
	case windows.ERROR_SERVICE_CANNOT_ACCEPT_CTRL:
		return 5, nil
	case windows.ERROR_SERVICE_NOT_ACTIVE:
		return 6, nil
	case windows.ERROR_SERVICE_REQUEST_TIMEOUT:
		return 7, nil
	case windows.ERROR_FILE_NOT_FOUND, windows.ERROR_PATH_NOT_FOUND:
		return 9, nil
	case windows.ERROR_SERVICE_ALREADY_RUNNING:
		return 10, nil
	case windows.ERROR_SERVICE_DATABASE_LOCKED:
		return 11, nil
	case windows.ERROR_SERVICE_DEPENDENCY_DELETED:
		return 12, nil
	case windows.ERROR_SERVICE_DEPENDENCY_FAIL:
		return 13, nil
	case windows.ERROR_SERVICE_DISABLED:
		return 14, nil
	case windows.ERROR_SERVICE_LOGON_FAILED:
		return 15, nil
	case windows.ERROR_SERVICE_MARKED_FOR_DELETE:
		return 16, nil
	case windows.ERROR_SERVICE_NO_THREAD:
		return 17, nil
	case windows.ERROR_CIRCULAR_DEPENDENCY:
		return 18, nil
	case windows.ERROR_DUPLICATE_SERVICE_NAME:
		return 19, nil
	case windows.ERROR_INVALID_NAME:
		return 20, nil
	case windows.ERROR_INVALID_PARAMETER:
		return invalidParameter, nil
	case windows.ERROR_INVALID_SERVICE_ACCOUNT:
		return 22, nil
	case windows.ERROR_SERVICE_EXISTS:
		return 23, nil
	}
	// WMI answers 8, unknown failure, and the reason is lost; the system's own code says more
	return 0, err
}
