package node

import (
	"strconv"
	"time"
)

// bootDrift is how far apart two looks at the time of the same boot may be, at most. Windows
// corrects LastBootUpTime when its clock is set, and some versions work it out of the clock and a
// counter of ticks, which are not read at once and run at different speeds: milliseconds between
// two looks (elastic/beats pull request 12591), seconds after the time service has been at work
// (prometheus-community/windows_exporter issue 2336). From one boot of a machine, over a logon, to
// its next boot it takes longer than this.
const bootDrift = 10 * time.Second

// dmtf is how CIM writes a moment, without the offset from UTC in minutes that follows.
const dmtf = "20060102150405.000000"

// BootID makes the id of a boot from Win32_OperatingSystem.LastBootUpTime, which tells it in local
// time: in UTC, so that the beginning of summer time does not change it. What is no CIM moment is
// left as it is.
func BootID(lastBootUpTime string) string {
	t, ok := cimMoment(lastBootUpTime)
	if !ok {
		return lastBootUpTime
	}
	return t.Format(dmtf) + "+000"
}

// SameBoot says that two boot ids (Facts.BootID) name the same boot of one machine. Ids that are
// moments are the same when they are ten seconds apart at most, in whatever zone they were written;
// all others must be equal.
func SameBoot(a, b string) bool {
	if a == b {
		return true
	}
	x, ok := cimMoment(a)
	y, also := cimMoment(b)
	return ok && also && x.Sub(y).Abs() <= bootDrift
}

// cimMoment reads a moment as CIM writes it: 20260701120000.500000+120, the offset in minutes.
// Source: DSP0004, "Datetime Type".
func cimMoment(s string) (time.Time, bool) {
	if len(s) != len(dmtf)+4 {
		return time.Time{}, false
	}
	at, err := time.Parse(dmtf, s[:len(dmtf)])
	if err != nil || (s[len(dmtf)] != '+' && s[len(dmtf)] != '-') {
		return time.Time{}, false
	}
	minutes, err := strconv.ParseUint(s[len(dmtf)+1:], 10, 16)
	if err != nil {
		return time.Time{}, false
	}
	offset := time.Duration(minutes) * time.Minute
	if s[len(dmtf)] == '-' {
		offset = -offset
	}
	return at.Add(-offset), true
}
