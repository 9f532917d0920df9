package machine

import (
	"slices"
	"strings"

	"deploy/internal/lab/model"
)

// Service finds a service by its name, or, as the service manager's tools accept it, by its display
// name; nil says none.
func Service(c *Ctx, name string) *model.Service {
	if s := c.M.Services[strings.ToLower(name)]; s != nil {
		return s
	}
	return nil
}

func serviceByDisplay(c *Ctx, name string) *model.Service {
	if s := Service(c, name); s != nil {
		return s
	}
	for _, n := range sortedKeys(c.M.Services) {
		if s := c.M.Services[n]; strings.EqualFold(s.Display, name) {
			return s
		}
	}
	return nil
}

// AddService installs a service, or does nothing when there is one of that name.
func AddService(m *model.Machine, s model.Service) {
	if m.Services == nil {
		m.Services = map[string]*model.Service{}
	}
	key := strings.ToLower(s.Name)
	if m.Services[key] != nil {
		return
	}
	if s.State == 0 {
		s.State = 1
	}
	if s.Account == "" {
		s.Account = "LocalSystem"
	}
	m.Services[key] = &s
}

// DropService removes a service at once, as the removal of its feature does.
func DropService(m *model.Machine, name string) { delete(m.Services, strings.ToLower(name)) }

// StartService starts a service and what it depends on. The result is a Win32 code: 0, 1056
// running, 1058 disabled, 1060 unknown, 1068 a dependency did not start, 1072 marked for deletion.
func StartService(c *Ctx, name string) int {
	s := Service(c, name)
	switch {
	case s == nil:
		return errServiceAbsent
	case s.Deleted:
		return errServiceMarked
	case s.State == 4:
		return errServiceRunning
	case s.Start == 4:
		return errServiceDisabled
	}
	return c.startWithDeps(s, 0)
}

func (c *Ctx) startWithDeps(s *model.Service, depth int) int {
	const deepest = 20
	for _, d := range s.DependsOn {
		dep := Service(c, d)
		if dep != nil && dep.State == 4 {
			continue
		}
		if dep == nil || dep.Start == 4 || dep.Deleted || depth > deepest || c.startWithDeps(dep, depth+1) != 0 {
			return errDependencyFailed
		}
	}
	s.State = 4
	for _, f := range c.B.OnService {
		f(c, s.Name)
	}
	if s.State != 4 {
		return 1067 // ERROR_PROCESS_ABORTED: it ended right after its start
	}
	return 0
}

// dependents are the running services that need one.
func dependents(c *Ctx, name string) []*model.Service {
	var out []*model.Service
	for _, n := range sortedKeys(c.M.Services) {
		s := c.M.Services[n]
		if s.State != 1 && slices.ContainsFunc(s.DependsOn, func(d string) bool { return strings.EqualFold(d, name) }) {
			out = append(out, s)
		}
	}
	return out
}

// StopService stops a service. With force what depends on it is stopped first; without, that is
// 1051. Other codes: 0, 1060 unknown, 1062 not started.
func StopService(c *Ctx, name string, force bool) int {
	s := Service(c, name)
	switch {
	case s == nil:
		return errServiceAbsent
	case s.State == 1:
		return errServiceNotActive
	}
	if deps := dependents(c, s.Name); len(deps) > 0 {
		if !force {
			return errDependentRunning
		}
		for _, d := range deps {
			if d.State == 1 {
				continue
			}
			if code := StopService(c, d.Name, true); code != 0 {
				return code
			}
		}
	}
	if s.Kind == 1 || s.Kind == 2 {
		return 1052 // ERROR_INVALID_SERVICE_CONTROL: a driver of the boot does not stop
	}
	s.State = 1
	for _, f := range c.B.OnService {
		f(c, s.Name)
	}
	if s.Deleted {
		DropService(c.M, s.Name)
	}
	return 0
}

// DeleteService marks a service for deletion: one that runs stays until it stops or the machine
// restarts. Codes: 0, 1060, 1072.
func DeleteService(c *Ctx, name string) int {
	s := Service(c, name)
	switch {
	case s == nil:
		return errServiceAbsent
	case s.Deleted:
		return errServiceMarked
	case s.State == 1:
		DropService(c.M, name)
	default:
		s.Deleted = true
	}
	return 0
}

// serviceHive is the registry's view of the services.
func serviceHive() *Hive {
	const root = `HKLM\SYSTEM\CurrentControlSet\Services`
	named := func(c *Ctx, key string) *model.Service {
		rest, ok := strings.CutPrefix(key, regPath(root)+`\`)
		if !ok || strings.Contains(rest, `\`) {
			return nil
		}
		return c.M.Services[rest]
	}
	return &Hive{
		Root: root,
		Load: func(c *Ctx) model.Registry {
			r := model.Registry{}
			for _, s := range c.M.Services {
				k := root + `\` + s.Name
				kind := s.Kind
				if kind == 0 {
					kind = 32
				}
				put(r, k, "DisplayName", "string", s.Display)
				put(r, k, "Start", "dword", int64(s.Start))
				put(r, k, "Type", "dword", int64(kind))
				put(r, k, "ErrorControl", "dword", int64(1))
				put(r, k, "ImagePath", "expand", s.Path)
				if kind >= 16 {
					put(r, k, "ObjectName", "string", s.Account)
				}
				if len(s.DependsOn) > 0 {
					put(r, k, "DependOnService", "multi", append([]string{}, s.DependsOn...))
				}
				if s.Delayed {
					put(r, k, "DelayedAutostart", "dword", int64(1))
				}
				if s.Deleted {
					put(r, k, "DeleteFlag", "dword", int64(1))
				}
			}
			return r
		},
		Set: func(c *Ctx, key, name, _ string, data any) (bool, error) {
			s := named(c, key)
			if s == nil {
				return false, nil
			}
			n, number := data.(int64)
			text, isText := data.(string)
			list, isList := data.([]string)
			switch low := strings.ToLower(name); {
			case low == "start" && number && n >= 0 && n <= 4:
				s.Start = int(n)
			case low == "delayedautostart" && number && c.AtLeast("2008"):
				s.Delayed = n != 0
			case low == "type" && number:
				s.Kind = int(n)
			case low == "displayname" && isText:
				s.Display = text
			case low == "imagepath" && isText:
				s.Path = text
			case low == "objectname" && isText:
				s.Account = text
			case low == "dependonservice" && isList:
				s.DependsOn = list
			default:
				return false, nil
			}
			return true, nil
		},
		Delete: func(c *Ctx, key, name string) bool {
			s := named(c, key)
			if s == nil {
				return false
			}
			switch strings.ToLower(name) {
			case "delayedautostart":
				s.Delayed = false
			case "dependonservice":
				s.DependsOn = nil
			default:
				return false
			}
			return true
		},
	}
}
