package inspect

import (
	"errors"
	"slices"
	"testing"
	"time"

	"deploy/internal/node"
	"deploy/internal/testkit/nodetest"
)

func TestRestartDue(t *testing.T) {
	tool := func(code int, stdout string) func(m *nodetest.Machine) {
		return func(m *nodetest.Machine) {
			m.F.Distro = "rocky"
			m.SetFile(rebootTool, nil)
			m.Programs["needs-restarting"] = func([]string) node.Result {
				return node.Result{Code: code,
					Stdout: []byte(stdout)}
			}
		}
	}
	for name, c := range map[string]struct {
		change func(m *nodetest.Machine)
		want   []string
		fails  bool
		none   bool
	}{
		"Debian, nothing": {change: func(*nodetest.Machine) {}},
		"Debian, no names": {change: func(m *nodetest.Machine) { m.SetFile(RebootMark, nil) },
			want: []string{"packages"}},
		"Debian, an empty list": {change: func(m *nodetest.Machine) {
			m.SetFile(RebootMark, nil)
			m.SetFile(RebootPackages,
				[]byte("\n"))
		}, want: []string{"packages"}},
		"Debian, twice": {change: func(m *nodetest.Machine) {
			m.SetFile(RebootMark, nil)
			m.SetFile(RebootPackages, []byte("libc6\nlinux-base\nlibc6\n"))
		}, want: []string{"libc6", "linux-base"}},
		"a list without the mark": {change: func(m *nodetest.Machine) { m.SetFile(RebootPackages, []byte("libc6\n")) }},
		"the mark elsewhere": {change: func(m *nodetest.Machine) { m.F.Distro = "alpine"; m.SetFile(RebootMark, nil) },
			want: []string{"packages"}},
		"no mark is known":      {change: func(m *nodetest.Machine) { m.F.Distro = "alpine" }, fails: true, none: true},
		"RHEL without the tool": {change: func(m *nodetest.Machine) { m.F.Distro = "rhel" }, fails: true, none: true},
		"RHEL, nothing":         {change: tool(0, "Aucune bibliothèque n'a été mise à jour.\n")},
		"RHEL": {change: tool(1, "Core libraries or services have been updated since boot-up:\n  * "+
			"kernel\n  * glibc\n\nReboot is required.\n"), want: []string{"kernel", "glibc"}},
		"RHEL, a traceback":    {change: tool(1, ""), fails: true},
		"RHEL, no such option": {change: tool(2, ""), fails: true},
		"the mark cannot be read": {change: func(m *nodetest.Machine) {
			m.Break = func(r node.Request) error {
				if r.Verb == "file.stat" {
					return errors.New("access denied")
				}
				return nil
			}
		}, fails: true},
	} {
		m := nodetest.NewLinux()
		c.change(m)
		d, err := RestartDue(t.Context(), m)
		if !slices.Equal(d.Reasons, c.want) || (err != nil) != c.fails || errors.Is(err, ErrNoRebootMark) != c.none {
			t.Errorf("%s: %v, %v", name, d.Reasons, err)
		}
		if reasons, weak, perr := PendingReboot(t.Context(), m); !slices.Equal(reasons, c.want) || weak != nil ||
			(perr != nil) != c.fails {
			t.Errorf("%s, as a pending restart: %v, %v", name, reasons, perr)
		}
	}
}

func TestDueSince(t *testing.T) {
	early, late := time.Unix(1000, 0), time.Unix(2000, 0)
	for name, c := range map[string]struct {
		before, now Due
		want        []string
	}{
		"nothing": {},
		"ours":    {now: Due{Reasons: []string{"libc6"}, marked: late}, want: []string{"libc6"}},
		"another's": {before: Due{Reasons: []string{"libc6"}, marked: early},
			now: Due{Reasons: []string{"libc6"}, marked: early}},
		"another's and ours": {before: Due{Reasons: []string{"libc6"}, marked: early},
			now:  Due{Reasons: []string{"libc6", "linux-base"}, marked: late},
			want: []string{"linux-base"}},
		"the same again": {before: Due{Reasons: []string{"libc6"}, marked: early},
			now: Due{Reasons: []string{"libc6"}, marked: late}, want: []string{"libc6"}},
		"another's, by tool": {before: Due{Reasons: []string{"glibc"}, tool: true},
			now: Due{Reasons: []string{"glibc"}, tool: true}},
		"ours, by tool": {before: Due{tool: true}, now: Due{Reasons: []string{"kernel"}, tool: true},
			want: []string{"kernel"}},
		"it was taken away": {before: Due{Reasons: []string{"libc6"}, marked: early}},
	} {
		if got := c.now.Since(c.before); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v", name, got)
		}
	}
}
