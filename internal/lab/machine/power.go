package machine

import (
	"strings"
	"time"

	"deploy/internal/lab/model"
)

// How long things take in emulated time.
const (
	restartDelay = 2 * time.Second  // from the request to going down
	bootTime     = 40 * time.Second // from down to answering again
)

const cbsPending = `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\RebootPending`
const wuPending = `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\WindowsUpdate\Auto Update\RebootRequired`
const sessionManager = `HKLM\SYSTEM\CurrentControlSet\Control\Session Manager`

// PendReboot notes that a restart is due. How: "cbs" (2008 and later: the Component Based Servicing
// key; on 2003, which has none, the Windows Update key), "rename" (PendingFileRenameOperations), or
// "" (nothing that a probe could see). Source: windows.md 8.3.
func PendReboot(c *Ctx, reason, how string) {
	if c.M.Pending == nil {
		c.M.Pending = map[string]string{}
	}
	c.M.Pending[reason] = how
	switch how {
	case "cbs":
		if c.AtLeast("2008") {
			RegMakeKey(c, cbsPending)
		} else {
			RegMakeKey(c, wuPending)
		}
	case "rename":
		put(c.M.Registry, sessionManager, "PendingFileRenameOperations", "multi",
			[]string{`\??\C:\Windows\Temp\` + reason + `.tmp`, ""})
	}
}

// GoDown takes a machine down at once: power loss, or the first half of a restart. Running jobs are
// lost.
func GoDown(c *Ctx) {
	if !c.M.Powered {
		return
	}
	c.M.Powered = false
	for _, s := range c.M.Services {
		s.State = 1
	}
	for _, j := range c.M.Jobs {
		if j.Phase == "running" {
			j.Phase = "lost"
		}
	}
	for _, f := range c.B.OnDown {
		f(c)
	}
}

// ComeUp boots a machine that is down.
func ComeUp(c *Ctx) {
	if c.M.Powered {
		return
	}
	c.M.Powered = true
	c.M.Boots++
	booted := c.Now().UTC().Truncate(time.Second)
	// a restart takes its time on the machine, whatever the wait for it was shortened to: the next
	// boot is not taken for this one (node.SameBoot)
	if next := c.M.Booted.Add(restartDelay + bootTime); booted.Before(next) {
		booted = next
	}
	c.M.Booted = booted
	c.M.Pending = nil
	RegDeleteKey(c, cbsPending)
	RegDeleteKey(c, wuPending)
	RegDelete(c, sessionManager, "PendingFileRenameOperations")
	for n, s := range c.M.Services {
		if s.Deleted {
			delete(c.M.Services, n)
		}
	}
	startAutomatic(c)
	for _, f := range c.B.OnBoot {
		f(c)
	}
}

// startAutomatic starts what starts by itself, dependencies first. A service whose dependency is
// disabled stays down.
func startAutomatic(c *Ctx) {
	for _, n := range sortedKeys(c.M.Services) {
		if s := c.M.Services[n]; s.Start <= 2 {
			bootService(c, s, 0)
		}
	}
}

func bootService(c *Ctx, s *model.Service, depth int) bool {
	const deepest = 20 // a circle of dependencies is refused by Windows; here it just ends
	if s.State == 4 {
		return true
	}
	if s.Start == 4 || depth > deepest {
		return false
	}
	for _, d := range s.DependsOn {
		if dep := c.M.Services[strings.ToLower(d)]; dep == nil || !bootService(c, dep, depth+1) {
			return false
		}
	}
	s.State = 4
	return true
}

// Restart takes the machine down and, after the time a boot takes, up again. Do not call it from a
// tool or a verb: schedule it with RestartSoon, since it ends whatever runs on the machine.
func Restart(c *Ctx) {
	GoDown(c)
	sleep := c.Sleep
	if c.wait != nil {
		sleep = c.wait
	}
	sleep(bootTime)
	ComeUp(c)
}

// RestartSoon restarts the machine in about two seconds and returns at once.
func RestartSoon(c *Ctx, after time.Duration) {
	boot := c.M.Boots
	c.Spawn(func(b *Ctx) {
		b.Sleep(after)
		if b.M.Boots == boot && b.M.Powered {
			Restart(b)
		}
	})
}

func verbRestart(c *Ctx, _ map[string]any) ([]Object, error) {
	RestartSoon(c, restartDelay)
	return nil, nil
}

// BootID names the current boot: it changes with every one.
func BootID(m *model.Machine) string { return cimTime(m.Booted) }

// cimTime writes a moment as CIM does: 20080102030405.000000+000.
func cimTime(t time.Time) string { return t.UTC().Format("20060102150405.000000") + "+000" }

func verbFacts(c *Ctx, _ map[string]any) ([]Object, error) {
	return []Object{{
		"version": c.M.Version, "build": int64(c.M.Build), "sp": int64(c.M.SP),
		"computer": strings.ToUpper(c.M.Name), "domain": c.M.Domain, "domain_role": int64(c.M.Role),
		"boot_id": BootID(c.M), "powershell": c.M.PSVer,
		"ui_language": int64(lcid(c.M.Locale)), "arch": "amd64", "privileged": true,
	}}, nil
}

func lcid(locale string) int {
	switch locale {
	case "fr":
		return 1036
	case "de":
		return 1031
	case "ja":
		return 1041
	}
	return 1033
}
