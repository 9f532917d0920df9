package system

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/internal/testkit/conformance"
	"deploy/internal/testkit/nodetest"
	"deploy/steps"
)

func TestDocumented(t *testing.T) { conformance.Documented(t, Kinds()) }

const oldFstab = "# static file systems\nUUID=1 /\text4 errors=remount-ro 0 1\n/dev/sdb1 /data xfs defaults,noatime 0 2"

// linuxMachine is a machine with settings and mounts.
type linuxMachine struct {
	*nodetest.Machine
	settings map[string]string
	mounts   map[string]*mounted
	calls    []string
	ask      *node.Result // what findmnt answers instead
}

func machine() *linuxMachine {
	l := &linuxMachine{Machine: nodetest.NewLinux(),
		settings: map[string]string{"net.ipv4.tcp_rmem": "4096\t131072\t6291456"},
		mounts:   map[string]*mounted{"/data": {"/dev/sdb1", "xfs", "rw,attr2,noatime"}}}
	l.SetFile(fstabFile, []byte(oldFstab))
	l.SetDir("/data")
	l.SetFile("/proc/sys/net/ipv4/tcp_rmem", nil)
	l.SetFile("/proc/sys/vm/stubborn", nil)
	l.Programs["sysctl"] = func(argv []string) node.Result {
		if argv[1] == "-n" {
			v, ok := l.settings[argv[2]]
			if !ok {
				return node.Result{Code: 1}
			}
			return node.Result{Stdout: []byte(v + "\n")}
		}
		key, value, _ := strings.Cut(argv[3], "=")
		l.settings[key] = strings.ReplaceAll(value, " ", "\t")
		return node.Result{}
	}
	l.Programs["findmnt"] = func(argv []string) node.Result {
		if l.ask != nil {
			return *l.ask
		}
		m := l.mounts[argv[slices.Index(argv, "--mountpoint")+1]]
		if i := slices.Index(argv, "--source"); m == nil || (i > 0 && argv[i+1] != "UUID=2") {
			return node.Result{Code: 1}
		}
		return node.Result{Stdout: []byte(
			fmt.Sprintf(`{"filesystems": [{"target":"x","source":%q,"fstype":%q,"options":%q}]}`, m.Source, m.Type, m.Options))}
	}
	l.Programs["mount"] = func(argv []string) node.Result {
		l.calls = append(l.calls, strings.Join(argv, " "))
		path := argv[len(argv)-1]
		if len(argv) == 2 {
			for _, line := range strings.Split(string(l.Files[fstabFile].Data), "\n") {
				if f := fields(line); f != nil && f[1] == path {
					l.mounts[path] = &mounted{f[0], f[2], kernel(f[2], "rw,"+f[3])}
					return node.Result{}
				}
			}
			return node.Result{Code: 1}
		}
		if options, ok := strings.CutPrefix(argv[2], "remount,"); ok {
			for _, o := range strings.Split(options, ",") {
				have := strings.Split(l.mounts[path].Options, ",")
				key, _, valued := strings.Cut(o, "=")
				have = slices.DeleteFunc(have, func(h string) bool {
					return h == opposites[o] ||
						(valued && strings.HasPrefix(h, key+"="))
				})
				if slices.Contains(shown, o) || valued {
					have = append(have, o)
				}
				l.mounts[path].Options = kernel("", strings.Join(have, ","))
			}
			return node.Result{}
		}
		l.mounts[path] = &mounted{argv[5], argv[2], kernel(argv[2], argv[4])}
		return node.Result{}
	}
	l.Programs["umount"] = func(argv []string) node.Result {
		if argv[1] == "/busy" {
			return node.Result{Code: 32}
		}
		delete(l.mounts, argv[1])
		return node.Result{}
	}
	l.Programs["systemctl"] = func([]string) node.Result { return node.Result{} }
	return l
}

func TestTierConformanceAgainstScript(t *testing.T) {
	for name, c := range map[string]struct {
		kind  steps.Kind
		with  map[string]any
		start func(l *linuxMachine)
	}{
		"setting": {sysctlKind(), map[string]any{"key": "net.ipv4.tcp_rmem", "value": "4096 87380 6291456"}, nil},
		"setting with a file of ours": {sysctlKind(), map[string]any{"key": "net.ipv4.tcp_rmem", "value": "1 2 3"},
			func(l *linuxMachine) {
				l.SetFile("/etc/sysctl.d/60-deploy-net.ipv4.tcp_rmem.conf", []byte("old"))
			}},
		"file alone": {sysctlKind(), map[string]any{"key": "net.ipv4.tcp_rmem", "value": "4096 131072  6291456"}, nil},
		"new mount": {mountKind(), map[string]any{"path": "/srv/my scratch", "source": "tmpfs", "type": "tmpfs",
			"options": []any{"size=64m", "nosuid"}}, nil},
		"line alone": {mountKind(), map[string]any{"path": "/mnt/x", "source": "nas:/x", "type": "nfs",
			"state": "configured"}, nil},
		"other options": {mountKind(), map[string]any{"path": "/data", "source": "/dev/sdb1", "type": "xfs",
			"options": []any{"ro", "noatime"}, "pass": 2}, nil},
		"other source": {mountKind(), map[string]any{"path": "/data", "source": "UUID=2", "type": "xfs"}, nil},
		"not there":    {mountKind(), map[string]any{"path": "/data", "state": "absent"}, nil},
		"without its line": {mountKind(), map[string]any{"path": "/other", "state": "absent"},
			func(l *linuxMachine) { l.mounts["/other"] = &mounted{"tmpfs", "tmpfs", "rw"} }},
		"line of a mount": {mountKind(), map[string]any{"path": "/data", "source": "/dev/sdb1", "type": "xfs"},
			func(l *linuxMachine) { l.SetFile(fstabFile, []byte("# none\n")) }},
		"no fstab": {mountKind(), map[string]any{"path": "/x", "source": "tmpfs", "type": "tmpfs"},
			func(l *linuxMachine) { delete(l.Files, fstabFile) }},
		"size of a tmpfs": {mountKind(), map[string]any{"path": "/t", "source": "tmpfs", "type": "tmpfs",
			"options": []any{"size=64m"}}, func(l *linuxMachine) {
			l.mounts["/t"] = &mounted{"tmpfs", "tmpfs",
				"rw,size=1024k"}
		}},
		"writable, was not": {mountKind(), map[string]any{"path": "/t", "source": "tmpfs", "type": "tmpfs",
			"options": []any{"rw", "exec"}}, func(l *linuxMachine) { l.mounts["/t"] = &mounted{"tmpfs", "tmpfs", "ro,noexec"} }},
		"two lines for one": {mountKind(), map[string]any{"path": "/data", "source": "/dev/sdb1", "type": "xfs", "pass": 2},
			func(l *linuxMachine) { l.SetFile(fstabFile, []byte(oldFstab+"\n/dev/sdc /data ext4 ro 0 0\n")) }},
	} {
		t.Run(name, func(t *testing.T) {
			l := machine()
			if c.start != nil {
				c.start(l)
			}
			state := func() string {
				out := fmt.Sprint(l.settings)
				for _, p := range []string{"/data", "/other", "/t", "/x", "/srv/my scratch"} {
					if m := l.mounts[p]; m != nil {
						o := strings.Split(m.Options, ",")
						slices.Sort(o)
						out += fmt.Sprintf("\n%s %s %s %v", p, m.Source, m.Type, o)
					}
				}
				for _, p := range []string{fstabFile, "/srv", "/srv/my scratch"} {
					if f := l.Files[p]; f != nil {
						out += "\n" + p + " " + string(f.Data)
					}
				}
				return out
			}
			start := state()
			conformance.Run(t, conformance.Case{Kind: c.kind, With: c.with, Open: func(*testing.T) node.Session { return l }})
			if end := state(); end != start {
				t.Errorf("was\n%s\nis\n%s", start, end)
			}
		})
	}
}

// kernel shows options as a kernel does: ro or rw first, the others in an order of its own, with
// what the type adds.
func kernel(typ, options string) string {
	list := slices.DeleteFunc(strings.Split(options, ","), func(o string) bool { return o == "defaults" || o == "exec" })
	if typ == "xfs" {
		list = append(list, "attr2")
	}
	slices.SortFunc(list, func(a, b string) int {
		first := func(o string) int { return map[bool]int{true: 0, false: 1}[o == "ro" || o == "rw"] }
		return cmp.Or(first(a)-first(b), strings.Compare(a, b))
	})
	if len(list) > 1 && list[0] == "rw" && list[1] == "ro" || len(list) > 1 && list[0] == "ro" && list[1] == "rw" {
		list = append([]string{"ro"}, list[2:]...)
	}
	return strings.Join(slices.Compact(list), ",")
}

func TestFstabLines(t *testing.T) {
	for name, c := range map[string]struct {
		s          *Mount
		text, want string
	}{
		"appended": {&Mount{Path: "/a b", Source: "tmpfs", Type: "tmpfs"}, "# x",
			"# x\ntmpfs\t/a\\040b\ttmpfs\tdefaults\t0\t0\n"},
		"in its place": {&Mount{Path: "/a", Source: "y", Type: "ext4", Pass: 2},
			"x /a ext4 noatime 1 0\nz /z xfs ro 0 0\n", "y\t/a\text4\tnoatime\t1\t2\nz /z xfs ro 0 0\n"},
		"as it is": {&Mount{Path: "/a", Source: "x", Type: "ext4", Options: []string{"ro", "noatime"}},
			"x /a ext4 noatime,ro", "x /a ext4 noatime,ro"},
		"swap is no path": {&Mount{Path: "none", State: "absent"}, "/dev/sda2 none swap sw 0 0\n",
			"/dev/sda2 none swap sw 0 0\n"},
		"comment": {&Mount{Path: "/a", State: "absent"}, "#x /a ext4 ro 0 0\nx /a ext4 ro 0 0\n",
			"#x /a ext4 ro 0 0\n"},
		"escaped name": {&Mount{Path: `/a\b`, State: "absent"}, "x /a\\134b ext4 ro 0 0\n", ""},
	} {
		if got := c.s.edit(c.text); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestOptionsOfTheKernel(t *testing.T) {
	for declared, differs := range map[string]bool{"ro": true, "rw": false, "noatime": true, "nofail": false,
		"_netdev": false, "size=64m": false, "size=65m": true,
		"mode=0755": false, "uid=0": false, "exec": false, "dev": true, "x-systemd.automount": false, "relatime": false,
		"defaults": false, "size=50%": false, "uid=admin": false} {
		s := &Mount{Options: []string{declared}}
		if got := len(s.differing("rw,nodev,relatime,size=65536k,mode=755")) > 0; got != differs {
			t.Errorf("%s: differs is %t", declared, got)
		}
	}
}

func TestMountThatCannotBe(t *testing.T) {
	l := machine()
	for name, s := range map[string]*Mount{
		"another type":   {Path: "/data", Source: "/dev/sdb1", Type: "ext4", State: "mounted"},
		"another source": {Path: "/data", Source: "/dev/sdc1", Type: "xfs", State: "mounted"},
	} {
		if d, err := s.Check(t.Context(), l); err == nil || hint.Of(err) == "" {
			t.Errorf("%s: %+v, %v", name, d, err)
		}
	}
	l.mounts["/busy"] = &mounted{"x", "xfs", "rw"}
	if _, err := (&Mount{Path: "/busy", State: "absent"}).Apply(t.Context(), l, steps.Diff{}); err == nil ||
		hint.Of(err) == "" {
		t.Errorf("a busy mount: %v", err)
	} else if code, _ := node.Code(err); code != 32 {
		t.Errorf("code %d", code)
	}
	for name, res := range map[string]node.Result{"code": {Code: 64}, "half an answer": {Code: 1, Stdout: []byte("{")},
		"no JSON": {Stdout: []byte("x")}, "empty": {}} {
		l.ask = &res
		if d, err := (&Mount{Path: "/data", State: "absent"}).Check(t.Context(), l); err == nil {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

func TestSettingThatCannotBe(t *testing.T) {
	l := machine()
	if _, err := (&Sysctl{Key: "vm.nothing", Value: "1"}).Check(t.Context(), l); err == nil || hint.Of(err) == "" {
		t.Errorf("a setting that is not there: %v", err)
	}
	if _, err := (&Sysctl{Key: "vm.stubborn", Value: "1"}).Check(t.Context(), l); err == nil || hint.Of(err) != "" {
		t.Errorf("a setting that cannot be read: %v", err)
	}
	l.Programs["sysctl"] = func(argv []string) node.Result {
		if argv[1] == "-n" {
			return node.Result{Stdout: []byte("0\n")}
		}
		return node.Result{Code: 255}
	}
	s := &Sysctl{Key: "net.ipv4.tcp_rmem", Value: "1"}
	if _, err := s.Apply(t.Context(), l, steps.Diff{}); err == nil || hint.Of(err) == "" {
		t.Errorf("a value that the kernel refuses: %v", err)
	}
	if l.Files[s.file()] != nil {
		t.Error("the file carries a value that the kernel refused")
	}
	for key, proc := range map[string]string{"net.ipv4.ip_forward": "net/ipv4/ip_forward",
		"net/ipv4/conf/eth0.100/forwarding": "net/ipv4/conf/eth0.100/forwarding",
		"net.ipv4.conf.eth0/100.forwarding": "net/ipv4/conf/eth0.100/forwarding"} {
		if got := (&Sysctl{Key: key}).proc(); got != "/proc/sys/"+proc {
			t.Errorf("%s is %s", key, got)
		}
	}
}

func TestOnlyLinux(t *testing.T) {
	for _, s := range []steps.Step{&Sysctl{Key: "a.b", Value: "1"}, &Mount{Path: "/x", State: "absent"}} {
		if _, err := s.Check(t.Context(), nodetest.New(node.WS2022)); err == nil || hint.Of(err) == "" {
			t.Errorf("%s: %v", s.Kind(), err)
		}
	}
}

func TestValidate(t *testing.T) {
	for name, s := range map[string]steps.Validator{
		"no key":          &Sysctl{Key: "ip_forward", Value: "1"},
		"an option":       &Sysctl{Key: "-w.x", Value: "1"},
		"a way out":       &Sysctl{Key: "net/../../etc/passwd", Value: "1"},
		"an assignment":   &Sysctl{Key: "a.b=1", Value: "1"},
		"relative":        &Mount{Path: "x", State: "absent"},
		"slash at end":    &Mount{Path: "/x/", State: "absent"},
		"absent source":   &Mount{Path: "/x", State: "absent", Source: "y"},
		"no source":       &Mount{Path: "/x", Type: "xfs", State: "mounted"},
		"no type":         &Mount{Path: "/x", Source: "y", State: "mounted"},
		"swap":            &Mount{Path: "/x", Source: "y", Type: "swap", State: "mounted"},
		"joined options":  &Mount{Path: "/x", Source: "y", Type: "xfs", Options: []string{"a,b"}, State: "mounted"},
		"option of blank": &Mount{Path: "/x", Source: "y", Type: "xfs", Options: []string{""}, State: "mounted"},
	} {
		var fe *steps.FieldError
		if err := s.Validate(); !errors.As(err, &fe) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
