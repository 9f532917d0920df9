package machine

import (
	"strings"

	"deploy/internal/lab/model"
	"deploy/internal/node"
)

// Return codes of Win32_Service's methods. Source: CIMWin32Prov win32-service (windows.md 7).
func serviceReturn(win32 int) int64 {
	switch win32 {
	case 0:
		return 0
	case errDependentRunning:
		return 3
	case 1052:
		return 4 // invalid service control
	case errServiceNotActive:
		return 6
	case errServiceTimeout:
		return 7
	case errServiceRunning:
		return 10
	case errServiceDisabled:
		return 14
	case errServiceLogon:
		return 15
	case errServiceMarked:
		return 16
	case errDependencyFailed:
		return 13 // dependency failed
	case errServiceExists:
		return 23
	}
	return 8 // unknown failure
}

func startMode(n int) string { return []string{"Boot", "System", "Auto", "Manual", "Disabled"}[n] }

// startModeOf reads the words of ChangeStartMode, which are not those that StartMode shows; -1 is
// none of them.
func startModeOf(s string) int {
	switch strings.ToLower(s) {
	case "boot":
		return 0
	case "system":
		return 1
	case "automatic":
		return 2
	case "manual":
		return 3
	case "disabled":
		return 4
	}
	return -1
}

func serviceClass() *Class {
	ret := func(n int64) (Object, error) { return Object{"ReturnValue": n}, nil }
	of := func(c *Ctx, o Object) *model.Service { s, _ := o["Name"].(string); return Service(c, s) }
	return &Class{Namespace: cimv2, Name: "Win32_Service",
		Props: []string{"AcceptPause", "AcceptStop", "Caption", "CheckPoint", "CreationClassName", "DelayedAutoStart",
			"Description", "DesktopInteract", "DisplayName", "ErrorControl",
			"ExitCode", "Name", "PathName", "ProcessId", "ServiceSpecificExitCode", "ServiceType", "Started", "StartMode",
			"StartName", "State", "Status",
			"SystemCreationClassName", "SystemName", "TagId", "WaitHint"},
		PropSince: map[string]node.Release{"DelayedAutoStart": node.WS2016},
		List: func(c *Ctx) ([]Object, error) {
			var out []Object
			for _, n := range sortedKeys(c.M.Services) {
				s := c.M.Services[n]
				if s.Kind == 1 || s.Kind == 2 { // drivers are Win32_SystemDriver
					continue
				}
				kind := "Share Process"
				if s.Kind == 16 {
					kind = "Own Process"
				}
				out = append(out, Object{"AcceptPause": false, "AcceptStop": s.State == 4, "Caption": s.Display,
					"CheckPoint": int64(0), "CreationClassName": "Win32_Service",
					"DelayedAutoStart": s.Delayed, "Description": s.Display, "DesktopInteract": false, "DisplayName": s.Display,
					"ErrorControl": "Normal", "ExitCode": int64(0),
					"Name": s.Name, "PathName": s.Path, "ProcessId": servicePID(c, s), "ServiceSpecificExitCode": int64(0),
					"ServiceType": kind, "Started": s.State == 4,
					"StartMode": startMode(s.Start), "StartName": s.Account,
					"State": []string{"Unknown", "Stopped", "Start Pending", "Stop Pending", "Running"}[s.State], "Status": "OK",
					"SystemCreationClassName": "Win32_ComputerSystem", "SystemName": strings.ToUpper(c.M.Name), "TagId": int64(0),
					"WaitHint": int64(0)})
			}
			return out, nil
		},
		Methods: map[string]Method{
			"StartService": {Call: func(c *Ctx, o Object, _ map[string]any) (Object, error) {
				return ret(serviceReturn(StartService(c, o["Name"].(string))))
			}},
			"StopService": {Call: func(c *Ctx, o Object, _ map[string]any) (Object, error) {
				return ret(serviceReturn(StopService(c, o["Name"].(string), false)))
			}},
			"InterrogateService": {Call: func(c *Ctx, o Object, _ map[string]any) (Object, error) {
				if s := of(c, o); s == nil || s.State == 1 {
					return ret(6)
				}
				return ret(0)
			}},
			// nothing here accepts a pause
			"PauseService":  {Call: func(*Ctx, Object, map[string]any) (Object, error) { return ret(4) }},
			"ResumeService": {Call: func(*Ctx, Object, map[string]any) (Object, error) { return ret(4) }},
			"Delete": {Call: func(c *Ctx, o Object, _ map[string]any) (Object, error) {
				return ret(serviceReturn(DeleteService(c, o["Name"].(string))))
			}},
			"ChangeStartMode": {Args: []string{"StartMode"}, Call: func(c *Ctx, o Object, args map[string]any) (Object, error) {
				s, n := of(c, o), startModeOf(ArgString(args, "StartMode"))
				if n < 0 {
					return ret(21)
				}
				if s.Deleted {
					return ret(16)
				}
				s.Start, s.Delayed = n, false
				return ret(0)
			}},
			"Change": {Args: []string{"DisplayName", "PathName", "ServiceType", "ErrorControl", "StartMode", "DesktopInteract",
				"StartName", "StartPassword", "LoadOrderGroup",
				"LoadOrderGroupDependencies", "ServiceDependencies"}, Call: changeService},
		},
		Static: map[string]Method{
			"Create": {Args: []string{"Name", "DisplayName", "PathName", "ServiceType", "ErrorControl", "StartMode",
				"DesktopInteract", "StartName", "StartPassword", "LoadOrderGroup",
				"LoadOrderGroupDependencies", "ServiceDependencies"},
				Call: func(c *Ctx, _ Object, args map[string]any) (Object, error) {
					name := ArgString(args, "Name")
					if Service(c, name) != nil {
						return ret(23)
					}
					if name == "" || ArgString(args, "PathName") == "" {
						return ret(21)
					}
					AddService(c.M, model.Service{Name: name, Display: name, Start: 3, Kind: 16, Path: ArgString(args, "PathName")})
					out, err := changeService(c, Object{"Name": name}, args)
					if err == nil && out["ReturnValue"] != int64(0) {
						DropService(c.M, name)
					}
					return out, err
				}},
		}}
}

func changeService(c *Ctx, o Object, args map[string]any) (Object, error) {
	s := Service(c, o["Name"].(string))
	mode := -1
	if HasArg(args, "StartMode") {
		if mode = startModeOf(ArgString(args, "StartMode")); mode < 0 {
			return Object{"ReturnValue": int64(21)}, nil
		}
	}
	if s.Deleted {
		return Object{"ReturnValue": int64(16)}, nil
	}
	if mode >= 0 {
		s.Start, s.Delayed = mode, false
	}
	if v := ArgString(args, "DisplayName"); v != "" {
		s.Display = v
	}
	if v := ArgString(args, "PathName"); v != "" {
		s.Path = v
	}
	if v := ArgString(args, "StartName"); v != "" {
		s.Account = v
	}
	if n, ok := ArgInt(args, "ServiceType"); ok && (n == 16 || n == 32) {
		s.Kind = int(n)
	}
	if HasArg(args, "ServiceDependencies") {
		s.DependsOn = ArgStrings(args, "ServiceDependencies")
	}
	return Object{"ReturnValue": int64(0)}, nil
}
