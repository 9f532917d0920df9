package machine

import (
	"strings"

	"deploy/internal/lab/model"
)

// serviceCmdlets are the few of PowerShell's own cmdlets that a machine here knows. They need no
// load.
func serviceCmdlets() []*Cmdlet {
	return []*Cmdlet{
		{Name: "Get-Service", Params: []string{"Name", "DisplayName"}, Run: getService},
		{Name: "Start-Service", Params: []string{"Name", "PassThru", "Confirm"},
			Run: func(c *Ctx, p map[string]any) ([]Object, error) {
				return eachService(c, p, "Start-Service", func(s *model.Service) error {
					if code := StartService(c, s.Name); code != 0 && code != errServiceRunning {
						return serviceFail(c, "CouldNotStartService", "StartServiceCommand", code)
					}
					return nil
				})
			}},
		{Name: "Stop-Service", Params: []string{"Name", "Force", "PassThru", "Confirm"},
			Run: func(c *Ctx, p map[string]any) ([]Object, error) {
				return eachService(c, p, "Stop-Service", func(s *model.Service) error {
					return stopForCmdlet(c, s, ArgBool(p, "Force"), "StopServiceCommand")
				})
			}},
		{Name: "Restart-Service", Params: []string{"Name", "Force", "PassThru", "Confirm"},
			Run: func(c *Ctx, p map[string]any) ([]Object, error) {
				return eachService(c, p, "Restart-Service", func(s *model.Service) error {
					deps := dependents(c, s.Name)
					if err := stopForCmdlet(c, s, ArgBool(p, "Force"), "RestartServiceCommand"); err != nil {
						return err
					}
					for _, x := range append([]*model.Service{s}, deps...) {
						if code := StartService(c, x.Name); code != 0 && code != errServiceRunning {
							return serviceFail(c, "CouldNotStartService", "RestartServiceCommand", code)
						}
					}
					return nil
				})
			}},
		{Name: "Set-Service", Params: []string{"Name", "StartupType", "DisplayName", "Status", "PassThru", "Confirm"},
			Run: setService},
		{Name: "Get-HotFix", Params: []string{"Id"}, Run: getHotFix},
	}
}

func stopForCmdlet(c *Ctx, s *model.Service, force bool, command string) error {
	code := StopService(c, s.Name, force)
	switch code {
	case 0, errServiceNotActive:
		return nil
	case errDependentRunning:
		return serviceFail(c, "ServiceHasDependentServices", command, code)
	}
	return serviceFail(c, "CouldNotStopService", command, code)
}

func serviceFail(c *Ctx, id, command string, code int) error {
	return PSFail(id+",Microsoft.PowerShell.Commands."+command, "OpenError", "System.ComponentModel.Win32Exception",
		int64(code), c.Text(code))
}

func serviceObject(s *model.Service) Object {
	states := []string{"", "Stopped", "StartPending", "StopPending", "Running"}
	starts := []string{"Boot", "System", "Automatic", "Manual", "Disabled"}
	var deps []any
	for _, d := range s.DependsOn {
		deps = append(deps, Object{"": d, "Name": d, "ServiceName": d})
	}
	return Object{"": s.Name, "Name": s.Name, "ServiceName": s.Name, "DisplayName": s.Display,
		"Status": Enum{int64(s.State), states[s.State]}, "StartType": Enum{int64(s.Start), starts[s.Start]},
		"ServicesDependedOn": deps, "CanStop": s.State == 4}
}

// findServices finds services by Name with patterns; a name without a pattern that is none is an
// error.
func findServices(c *Ctx, p map[string]any, command string) ([]*model.Service, error) {
	key := "Name"
	if !HasArg(p, "Name") && HasArg(p, "DisplayName") {
		key = "DisplayName"
	}
	var out []*model.Service
	if !HasArg(p, key) {
		for _, n := range sortedKeys(c.M.Services) {
			if s := c.M.Services[n]; s.Kind != 1 && s.Kind != 2 {
				out = append(out, s)
			}
		}
		return out, nil
	}
	for _, want := range ArgStrings(p, key) {
		n := len(out)
		for _, k := range sortedKeys(c.M.Services) {
			s := c.M.Services[k]
			have := s.Name
			if key == "DisplayName" {
				have = s.Display
			}
			if matchAny([]string{want}, have) {
				out = append(out, s)
			}
		}
		if len(out) == n && !strings.Contains(want, "*") {
			return nil, PSFail("NoServiceFoundForGivenName,Microsoft.PowerShell.Commands."+command, "ObjectNotFound",
				"Microsoft.PowerShell.Commands.ServiceCommandException", corSystem, c.Pick([4]string{
					"Cannot find any service with service name '" + want + "'.",
					"Impossible de trouver un service assorti du nom « " + want + " ».",
					"Es kann kein Dienst mit dem Dienstnamen \"" + want + "\" gefunden werden.",
					"サービス名 '" + want + "' のサービスが見つかりません。"}))
		}
	}
	return out, nil
}

func getService(c *Ctx, p map[string]any) ([]Object, error) {
	list, err := findServices(c, p, "GetServiceCommand")
	if err != nil {
		return nil, err
	}
	var out []Object
	for _, s := range list {
		o := serviceObject(s)
		if c.M.PSVer < "5" {
			delete(o, "StartType") // of the .NET Framework 4.6.1
		}
		out = append(out, o)
	}
	return out, nil
}

func eachService(c *Ctx, p map[string]any, cmdlet string, f func(s *model.Service) error) ([]Object, error) {
	if !HasArg(p, "Name") {
		return nil, missingParameter(c, "Name", cmdlet)
	}
	list, err := findServices(c, p, strings.ReplaceAll(cmdlet, "-", "")+"Command")
	if err != nil {
		return nil, err
	}
	var out []Object
	for _, s := range list {
		if err := f(s); err != nil {
			return nil, err
		}
		if ArgBool(p, "PassThru") {
			out = append(out, serviceObject(s))
		}
	}
	return out, nil
}

func setService(c *Ctx, p map[string]any) ([]Object, error) {
	return eachService(c, p, "Set-Service", func(s *model.Service) error {
		if HasArg(p, "StartupType") {
			n := startModeOf(ArgString(p, "StartupType"))
			if n < 0 {
				if n64, ok := ArgInt(p, "StartupType"); ok && n64 >= 2 && n64 <= 4 {
					n = int(n64)
				}
			}
			if n < 2 {
				return PSFail("CannotConvertArgumentNoMessage,Microsoft.PowerShell.Commands.SetServiceCommand", "InvalidArgument",
					"System.Management.Automation.ParameterBindingException", corSystem, c.Text(errInvalidParameter))
			}
			s.Start, s.Delayed = n, false
		}
		if v := ArgString(p, "DisplayName"); v != "" {
			s.Display = v
		}
		switch strings.ToLower(ArgString(p, "Status")) {
		case "running":
			if code := StartService(c, s.Name); code != 0 && code != errServiceRunning {
				return serviceFail(c, "CouldNotStartService", "SetServiceCommand", code)
			}
		case "stopped":
			return stopForCmdlet(c, s, false, "SetServiceCommand")
		}
		return nil
	})
}

func getHotFix(c *Ctx, p map[string]any) ([]Object, error) {
	ids := ArgStrings(p, "Id")
	var out []Object
	for _, id := range HotFixes(c.M) {
		if len(ids) == 0 || containsFold(ids, id) {
			out = append(out, Object{"": id, "HotFixID": id, "Description": "Update", "CSName": strings.ToUpper(c.M.Name),
				"InstalledBy": `NT AUTHORITY\SYSTEM`})
		}
	}
	if len(out) == 0 && len(ids) > 0 {
		return nil, PSFail("GetHotFixNoEntriesFound,Microsoft.PowerShell.Commands.GetHotFixCommand", "ObjectNotFound",
			"System.ArgumentException", 0x80070057, c.Text(errFileNotFound))
	}
	return out, nil
}
