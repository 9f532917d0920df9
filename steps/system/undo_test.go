package system

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"deploy/internal/node"
	"deploy/steps"
)

// act checks and applies a step and returns what the undo needs.
func act(t *testing.T, l *linuxMachine, s steps.Step) steps.Diff {
	t.Helper()
	d, err := s.Check(t.Context(), l)
	if err != nil || d.Action == steps.NoOp {
		t.Fatalf("%+v, %v", d, err)
	}
	if _, err := s.Apply(t.Context(), l, d); err != nil {
		t.Fatal(err)
	}
	return d
}

// left wants an undo to be left for this reason.
func left(t *testing.T, err error, why string) {
	t.Helper()
	var l *steps.LeftError
	if !errors.As(err, &l) || l.Why != why {
		t.Errorf("%v, want left: %s", err, why)
	}
}

// Lines of others in fstab stay, and so does what others did to options that the step leaves open.
func TestUndoKeepsLinesOfOthers(t *testing.T) {
	for name, c := range map[string]struct {
		s        Mount
		from, to string // what others change
		want     string
	}{
		"a line of theirs": {Mount{Path: "/srv", Source: "tmpfs", Type: "tmpfs", State: "configured"}, "",
			"nas:/y /y nfs ro 0 0\n", oldFstab + "\nnas:/y /y nfs ro 0 0\n"},
		"options of our line": {Mount{Path: "/srv", Source: "tmpfs", Type: "tmpfs", State: "configured"}, "defaults\t0\t0\n",
			"ro,nodev\t0\t0\n", oldFstab + "\n"},
		"options of a line that was there": {Mount{Path: "/data", Source: "/dev/sdb1", Type: "xfs", State: "configured"},
			"defaults,noatime", "ro", strings.Replace(oldFstab, "/dev/sdb1 /data xfs defaults,noatime 0 2",
				"/dev/sdb1\t/data\txfs\tro\t0\t2\n", 1)},
		"it comes back": {Mount{Path: "/data", State: "absent"}, "", "nas:/y /y nfs ro 0 0\n",
			strings.Replace(oldFstab, "0 2", "0 2\nnas:/y /y nfs ro 0 0\n", 1)},
	} {
		l := machine()
		delete(l.mounts, "/data")
		d := act(t, l, &c.s)
		now := string(l.Files[fstabFile].Data)
		if c.from == "" {
			now += c.to
		} else if now = strings.Replace(now, c.from, c.to, 1); !strings.Contains(now, c.to) {
			t.Fatalf("%s: %s", name, now)
		}
		l.SetFile(fstabFile, []byte(now))
		if again, err := c.s.Check(t.Context(), l); err != nil || again.Action != steps.NoOp {
			t.Fatalf("%s: the step is not as it was left: %+v, %v", name, again, err)
		}
		for range 2 {
			if err := c.s.Undo(t.Context(), l, d.Before); err != nil {
				t.Fatal(err)
			}
			if got := string(l.Files[fstabFile].Data); got != c.want {
				t.Errorf("%s: %q, want %q", name, got, c.want)
			}
		}
	}
}

// mount(8) takes lines of three fields and paths with a slash at their end, so both are lines of
// the path.
func TestLinesThatMountTakes(t *testing.T) {
	for name, line := range map[string]string{"three fields": "tmpfs /srv/a tmpfs",
		"a slash": "tmpfs /srv/a/ tmpfs ro 0 0"} {
		l := machine()
		l.SetFile(fstabFile, []byte("# x\n"+line+"\n"))
		s := &Mount{Path: "/srv/a", State: "absent"}
		d := act(t, l, s)
		if got := string(l.Files[fstabFile].Data); got != "# x\n" || d.Changes[0].From != line {
			t.Errorf("%s: %q, %+v", name, got, d.Changes)
		}
		if err := s.Undo(t.Context(), l, d.Before); err != nil {
			t.Fatal(err)
		}
		if got := string(l.Files[fstabFile].Data); got != "# x\n"+line+"\n" {
			t.Errorf("%s: %q", name, got)
		}
		once := &Mount{Path: "/srv/a", Source: "tmpfs", Type: "tmpfs", State: "configured", Options: []string{"nodev"}}
		act(t, l, once)
		if got := linesOf(string(l.Files[fstabFile].Data), "/srv/a"); len(got) != 1 {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// A directory that was made for a mount, and holds something once that is gone, stays and is told.
func TestUndoLeavesAMountPointInUse(t *testing.T) {
	l := machine()
	s := &Mount{Path: "/srv/t", Source: "tmpfs", Type: "tmpfs", State: "mounted"}
	d := act(t, l, s)
	l.SetFile("/srv/t/data", nil)
	left(t, s.Undo(t.Context(), l, d.Before),
		"/srv/t is taken back; the directory /srv/t holds 1 entry (data) and is left")
	if l.mounts["/srv/t"] != nil || strings.Contains(string(l.Files[fstabFile].Data), "/srv/t") {
		t.Errorf("%v, %s", l.mounts, l.Files[fstabFile].Data)
	}
}

// Options of the kernel that nobody declares are no part of what is compared.
func TestOptionsThatAreCompared(t *testing.T) {
	from := func(kernel string) any {
		l := machine()
		l.mounts["/t"] = &mounted{"tmpfs", "tmpfs", kernel}
		d, err := (&Mount{Path: "/t", Source: "tmpfs", Type: "tmpfs", State: "mounted",
			Options: []string{"ro", "size=2m", "nosuid", "exec"}}).Check(t.Context(), l)
		if err != nil {
			t.Fatal(err)
		}
		return d.Changes[len(d.Changes)-1].From
	}
	if a, b := from("rw,size=1024k,noexec,relatime"), from("rw,inode64,size=1024k,noexec"); a != b ||
		a != "rw,size=1024k,suid,noexec" {
		t.Errorf("%v, %v", a, b)
	}
}

// stuck is a kernel that never takes a setting back.
func stuck(l *linuxMachine, key string) {
	sysctl := l.Programs["sysctl"]
	l.SetFile("/proc/sys/"+strings.ReplaceAll(key, ".", "/"), nil)
	l.Programs["sysctl"] = func(argv []string) node.Result {
		if argv[1] != "-n" && l.settings[key] != "0" {
			return node.Result{Code: 255}
		}
		return sysctl(argv)
	}
	l.settings[key] = "0"
}

// What a running kernel does not take back is a point of no return until the next start, and its
// undo takes the file away, which would set it again there.
func TestOneWaySettings(t *testing.T) {
	for key, value := range map[string]string{"kernel.kexec_load_disabled": "1", "kernel.modules_disabled": "1",
		"kernel.unprivileged_bpf_disabled": "1", "kernel.yama.ptrace_scope": "3", "kernel/yama/ptrace_scope": "3"} {
		l := machine()
		stuck(l, key)
		s := &Sysctl{Key: key, Value: value}
		d := act(t, l, s)
		if !d.Effects.UntilRestart || !strings.Contains(d.Effects.PointOfNoReturn, "until the next start") {
			t.Errorf("%s: %+v", key, d.Effects)
		}
		left(t, s.Undo(t.Context(), l, d.Before),
			key+" stays "+value+" until a restart; the file that would set it again is taken back")
		if l.Files[s.file()] != nil {
			t.Errorf("%s: the file would set it again at the next start", key)
		}
		l.settings[key] = "0" // the node starts again
		again, err := s.Check(t.Context(), l)
		if diff := cmp.Diff(d.Changes, again.Changes); err != nil || diff != "" {
			t.Errorf("%s: %v %s", key, err, diff)
		}
	}
	for key, value := range map[string]string{"kernel.yama.ptrace_scope": "1", "kernel.unprivileged_bpf_disabled": "2",
		"net.ipv4.tcp_rmem": "1"} {
		l := machine()
		l.settings[key] = "0"
		d, err := (&Sysctl{Key: key, Value: value}).Check(t.Context(), l)
		if err != nil || d.Effects.PointOfNoReturn != "" {
			t.Errorf("%s=%s: %+v, %v", key, value, d.Effects, err)
		}
	}
	l := machine() // it was so already: only the file is ours
	l.settings["kernel.modules_disabled"] = "1"
	s := &Sysctl{Key: "kernel.modules_disabled", Value: "1"}
	d := act(t, l, s)
	if err := s.Undo(t.Context(), l, d.Before); err != nil || d.Effects.PointOfNoReturn != "" || l.Files[s.file()] != nil {
		t.Errorf("%+v, %v", d, err)
	}
}

// The file of a setting that the kernel refuses to take back goes first, so that the refusal does
// not keep it for the next start.
func TestFileGoesBeforeTheValue(t *testing.T) {
	l := machine()
	stuck(l, "vm.stubborn")
	s := &Sysctl{Key: "vm.stubborn", Value: "1"}
	d := act(t, l, s)
	if err := s.Undo(t.Context(), l, d.Before); err == nil || l.Files[s.file()] != nil {
		t.Errorf("%v, %v", err, l.Files[s.file()])
	}
}

// Another content of the setting's file can be told from yet another one.
func TestFileOfASettingIsComparable(t *testing.T) {
	from := func(text string) any {
		l := machine()
		s := &Sysctl{Key: "net.ipv4.tcp_rmem", Value: "1 2 3"}
		l.SetFile(s.file(), []byte(text))
		d, err := s.Check(t.Context(), l)
		if err != nil || len(d.Changes) != 2 {
			t.Fatalf("%+v, %v", d, err)
		}
		return d.Changes[1].From
	}
	if from("a") == from("b") || from("a") != from("a") {
		t.Errorf("%v, %v", from("a"), from("b"))
	}
}
