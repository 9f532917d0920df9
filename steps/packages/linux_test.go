package packages

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/internal/testkit/conformance"
	"deploy/internal/testkit/nodetest"
	"deploy/steps"
)

// debian is a machine whose apt knows a few packages, newest version first, with what they need.
type debian struct {
	m        *nodetest.Machine
	versions map[string][]string
	needs    map[string][]string
	have     map[string]string // name to version
	config   map[string]bool   // removed, with configuration files left
	stale    bool              // the package lists are not there
	half     map[string]string // name to dpkg's status, of packages half on their way
	conflict map[string]string // name to the one that cannot be there beside it
	cut      bool              // dpkg was interrupted
	locked   int               // how often dpkg's database is another one's
	calls    []string
}

func newDebian() *debian {
	d := &debian{m: nodetest.NewLinux(), config: map[string]bool{"oldconf": true},
		versions: map[string][]string{"chrony": {"4.3-2", "4.2-1"}, "libcap": {"2.66"}, "tzdata": {"2024a"}, "oldconf": {"1"},
			"base": {"12.4"}, "addon": {"1"}},
		needs: map[string][]string{"chrony": {"libcap", "tzdata"}, "addon": {"libcap"}},
		have:  map[string]string{"base": "12.4", "tzdata": "2024a"}}
	d.m.Programs["dpkg-query"] = func([]string) node.Result {
		out := ""
		for _, n := range slices.Sorted(maps.Keys(d.have)) {
			out += "ii \t" + n + "\tamd64\t" + d.have[n] + "\n"
		}
		for n := range d.config {
			out += "rc \t" + n + "\tall\t1\n"
		}
		for n, status := range d.half {
			out += status + "\t" + n + "\tamd64\t1\n"
		}
		return node.Result{Stdout: []byte(out + "iU \thalf\tamd64\t1\n")}
	}
	d.m.Programs["apt-get"] = d.apt
	d.m.Programs["env"] = d.apt
	return d
}

func (d *debian) apt(argv []string) node.Result {
	simulate, sweeps := slices.Contains(argv, "-s"), slices.Contains(argv, "--auto-remove")
	if !simulate {
		d.calls = append(d.calls, strings.Join(argv, " "))
		if argv[0] != "env" || argv[1] != "DEBIAN_FRONTEND=noninteractive" {
			return node.Result{Code: 1}
		}
	}
	if slices.Contains(argv, "dpkg") {
		if d.locked > 0 {
			d.locked--
			return node.Result{Code: 2}
		}
		d.interrupt(false)
		for n, status := range d.half {
			if status == "iU" || status == "iF" {
				d.have[n] = "1"
				delete(d.half, n)
			}
		}
		return node.Result{}
	}
	if d.cut {
		return node.Result{Code: 100, Stderr: []byte("E: dpkg was interrupted, you must manually run ...")}
	}
	if slices.Contains(argv, "update") {
		d.stale = false
		return node.Result{}
	}
	verb := slices.IndexFunc(argv, func(a string) bool { return a == "install" || a == "remove" })
	var out strings.Builder
	have := maps.Clone(d.have)
	if argv[verb] == "install" {
		var add func(n string) bool
		add = func(n string) bool {
			name, version, _ := strings.Cut(n, "=")
			name = strings.TrimSuffix(name, ":amd64")
			known := d.versions[name]
			if known == nil || d.stale {
				return false
			}
			if version == "" {
				version = known[0]
			}
			if !slices.Contains(known, version) {
				return false
			}
			for _, need := range d.needs[name] {
				if have[need] == "" && !add(need) {
					return false
				}
			}
			if have[name] != version {
				fmt.Fprintf(&out, "Inst %s (%s repo [amd64])\n", name, version)
			}
			have[name] = version
			for a, b := range d.conflict {
				other := map[string]string{a: b, b: a}[name]
				if other != "" && have[other] != "" {
					fmt.Fprintf(&out, "Remv %s [%s]\n", other, have[other])
					delete(have, other)
				}
			}
			return true
		}
		for _, n := range argv[verb+1:] {
			if !add(n) {
				return node.Result{Code: 100, Stderr: []byte("E: Unable to locate package " + n)}
			}
		}
	} else {
		drop := slices.Clone(argv[verb+1:])
		for i := range drop {
			drop[i] = strings.TrimSuffix(drop[i], ":amd64")
		}
		for changed := true; changed; {
			changed = false
			for n := range have {
				if !slices.Contains(drop, n) &&
					slices.ContainsFunc(d.needs[n], func(x string) bool { return slices.Contains(drop, x) }) {
					drop, changed = append(drop, n), true
				}
			}
		}
		if sweeps && slices.Contains(drop, "chrony") {
			drop = append(drop, "libcap", "tzdata")
		}
		for _, n := range drop {
			if have[n] != "" {
				fmt.Fprintf(&out, "Remv %s [%s]\n", n, have[n])
				delete(have, n)
			}
		}
	}
	if !simulate {
		d.have = have
		for _, n := range argv[verb+1:] {
			delete(d.half, n)
		}
	}
	return node.Result{Stdout: []byte("NOTE: This is only a simulation!\n" + out.String())}
}

// interrupt leaves dpkg as one that was cut off leaves it, or takes that away.
func (d *debian) interrupt(cut bool) {
	d.cut = cut
	d.m.SetDir(updates)
	delete(d.m.Files, updates+"/0001")
	if cut {
		d.m.SetFile(updates+"/0001", nil)
	}
}

func TestTierConformanceDebianAgainstScript(t *testing.T) {
	for name, c := range map[string]struct {
		with  map[string]any
		start func(d *debian)
	}{
		"new":              {map[string]any{"names": []any{"chrony", "base"}}, nil},
		"new at a version": {map[string]any{"names": []any{"chrony=4.2-1"}, "recommends": true}, nil},
		"other version": {map[string]any{"names": []any{"chrony=4.2-1"}},
			func(d *debian) { d.have["chrony"], d.have["libcap"] = "4.3-2", "2.66" }},
		"configuration only": {map[string]any{"names": []any{"oldconf"}}, nil},
		"none": {map[string]any{"names": []any{"chrony", "addon", "oldconf"}, "absent": true},
			func(d *debian) { d.have["chrony"], d.have["libcap"] = "4.3-2", "2.66" }},
		"goes with another": {map[string]any{"names": []any{"libcap"}, "absent": true},
			func(d *debian) { d.have["chrony"], d.have["libcap"] = "4.2-1", "2.66" }},
		"lists are not there":  {map[string]any{"names": []any{"chrony"}, "refresh": true}, nil},
		"by name:architecture": {map[string]any{"names": []any{"tzdata:amd64"}, "absent": true}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDebian()
			if c.start != nil {
				c.start(d)
			}
			start := fmt.Sprint(d.have)
			conformance.Run(t, conformance.Case{Kind: linuxKind(), With: c.with,
				Open: func(*testing.T) node.Session { return d.m }})
			if end := fmt.Sprint(d.have); end != start {
				t.Errorf("was %s, is %s", start, end)
			}
			if d.m.Asked("job.start", "apt-get") == 0 {
				t.Error("no job was started")
			}
		})
	}
}

// Somebody else's apt that holds the lock of the lists or of the archives is waited for; any other
// failure of apt-get is told at once.
func TestAptsOtherLocks(t *testing.T) {
	for _, held := range []int{0, 1} {
		d := newDebian()
		apt, left, asked := d.m.Programs["env"], 1, 0
		d.m.Programs["env"] = func(argv []string) node.Result {
			if left--; left >= 0 {
				return node.Result{Code: aptNone}
			}
			return apt(argv)
		}
		d.m.Programs["perl"] = func([]string) node.Result {
			asked++
			return node.Result{Code: held * lockHeld}
		}
		_, err := (&Packages{Names: []string{"chrony"}}).Apply(t.Context(), d.m, steps.Diff{})
		if (err == nil) != (held == 1) || asked != 1 {
			t.Errorf("held %d: %v, asked %d times", held, err, asked)
		}
	}
}

func TestPackagesThatCannotBe(t *testing.T) {
	d := newDebian()
	if _, err := (&Packages{Names: []string{"nothing"}}).Apply(t.Context(), d.m, steps.Diff{}); err == nil ||
		hint.Of(err) == "" {
		t.Errorf("a package that does not exist: %v", err)
	} else if code, _ := node.Code(err); code != 100 {
		t.Errorf("code %d", code)
	}
	d.m.Programs["env"] = func([]string) node.Result { return node.Result{} }
	if _, err := (&Packages{Names: []string{"mail-transport-agent"}}).Apply(t.Context(), d.m, steps.Diff{}); err == nil ||
		hint.Of(err) == "" {
		t.Errorf("a name that others provide: %v", err)
	}
	for name, res := range map[string]node.Result{"code": {Code: 2, Stdout: []byte("ii \tbase\tamd64\t1\n")},
		"nothing": {}} {
		d.m.Programs["dpkg-query"] = func([]string) node.Result { return res }
		if diff, err := (&Packages{Names: []string{"chrony"}}).Check(t.Context(), d.m); err == nil {
			t.Errorf("%s: %+v", name, diff)
		}
	}
	d.m.F.Distro = "alpine"
	if _, err := (&Packages{Names: []string{"chrony"}}).Check(t.Context(), d.m); err == nil || hint.Of(err) == "" {
		t.Errorf("an unknown distribution: %v", err)
	}
	if _, err := (&Packages{Names: []string{"chrony"}}).Check(t.Context(), nodetest.New(node.WS2022)); err == nil {
		t.Error("packages on Windows, and no error came")
	}
	if _, err := (&Package{Path: "/x", Detect: &Detect{Key: `HKLM\x`}}).Check(t.Context(),
		nodetest.NewLinux()); err == nil || hint.Of(err) == "" {
		t.Errorf("a setup program on Linux: %v", err)
	}
}

func TestNoNamesNothingToDo(t *testing.T) {
	m := nodetest.NewLinux()
	d, err := (&Packages{}).Check(t.Context(), m)
	if err != nil || d.Action != steps.NoOp || len(m.Log()) != 0 {
		t.Errorf("%+v, %v, asked %v", d, err, m.Log())
	}
}

// redhat is a machine with rpm and dnf.
func redhat() (*nodetest.Machine, map[string]string) {
	m, have, _ := redhatNeeding(nil)
	return m, have
}

// redhatNeeding is a redhat on which packages need others; calls are what dnf was called with.
func redhatNeeding(needs map[string]string) (m *nodetest.Machine, have map[string]string, calls *[]string) {
	m, calls = nodetest.NewLinux(), &[]string{}
	m.F.Distro = "rocky"
	have = map[string]string{"bash": "0:5.1.8-9.el9", "chrony": "1:4.3-1.el9"}
	m.Programs["rpm"] = func([]string) node.Result {
		out := "gpg-pubkey\t(none)\t0:1-1\n"
		for _, n := range slices.Sorted(maps.Keys(have)) {
			out += n + "\tx86_64\t" + have[n] + "\n"
		}
		return node.Result{Stdout: []byte(out)}
	}
	var requiring func(name string) []string
	requiring = func(name string) (out []string) {
		for _, n := range slices.Sorted(maps.Keys(needs)) {
			if needs[n] == name && have[n] != "" {
				out = append(append(out, n), requiring(n)...)
			}
		}
		return out
	}
	m.Programs["dnf"] = func(argv []string) node.Result {
		*calls = append(*calls, strings.Join(argv, " "))
		if slices.Contains(argv, "repoquery") {
			return node.Result{Stdout: []byte(strings.Join(requiring(argv[len(argv)-1]), "\n"))}
		}
		verb := slices.IndexFunc(argv, func(a string) bool { return a == "install" || a == "remove" })
		for _, n := range argv[verb+1:] {
			switch {
			case argv[verb] == "remove":
				for _, x := range append(requiring(n), n) {
					delete(have, x)
				}
			case n == "tmux", n == "libx":
				have[n] = "0:3.2-1.el9"
			case n == "chrony-4.2":
				have["chrony"] = "0:4.2-1.el9"
			case n == "chrony-1:4.3-1.el9.x86_64":
				have["chrony"] = "1:4.3-1.el9"
			default:
				return node.Result{Code: 1}
			}
		}
		return node.Result{}
	}
	return m, have, calls
}

func TestTierConformanceRedHatAgainstScript(t *testing.T) {
	for name, with := range map[string]map[string]any{
		"new":           {"names": []any{"bash", "tmux"}},
		"other version": {"names": []any{"chrony=4.2"}},
		"none":          {"names": []any{"chrony"}, "absent": true},
	} {
		t.Run(name, func(t *testing.T) {
			m, have := redhat()
			start := fmt.Sprint(have)
			conformance.Run(t, conformance.Case{Kind: linuxKind(), With: with, Open: func(*testing.T) node.Session { return m }})
			if end := fmt.Sprint(have); end != start {
				t.Errorf("was %s, is %s", start, end)
			}
		})
	}
	for want, same := range map[string]bool{"4.3": true, "4.3-1.el9": true, "1:4.3-1.el9": true, "4.2": false,
		"0:4.3-1.el9": false} {
		if (dnf{}).same("1:4.3-1.el9", want) != same {
			t.Errorf("%s: same is %t", want, !same)
		}
	}
}

func TestPackagesValidate(t *testing.T) {
	for name, s := range map[string]*Packages{
		"an option":        {Names: []string{"-y"}},
		"a path":           {Names: []string{"./x.deb"}},
		"a removal":        {Names: []string{"chrony-"}},
		"twice":            {Names: []string{"a", "a=1"}},
		"absent version":   {Names: []string{"a=1"}, Absent: true},
		"absent, refresh":  {Names: []string{"a"}, Absent: true, Refresh: true},
		"empty":            {Names: []string{""}},
		"shell characters": {Names: []string{"a;b"}},
	} {
		var fe *steps.FieldError
		if err := s.Validate(); !errors.As(err, &fe) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
