package account

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/internal/testkit/conformance"
	"deploy/internal/testkit/nodetest"
	"deploy/steps"
)

func TestDocumented(t *testing.T) { conformance.Documented(t, Kinds()) }

type user struct {
	uid, gid             int
	comment, home, shell string
}

type group struct {
	gid     int
	members []string
}

// shadow is a machine's accounts, with the tools that change them as the package shadow documents
// them.
type shadow struct {
	m      *nodetest.Machine
	users  map[string]*user
	groups map[string]*group
	calls  []string
	// running are the lines that ps prints; while there are any, no account can be removed.
	running []string
}

func machine() *shadow {
	s := &shadow{m: nodetest.NewLinux(), users: map[string]*user{"www": {33, 33, "", "/var/www", "/usr/sbin/nologin"}},
		groups: map[string]*group{"www": {33, nil}, "adm": {4, []string{"www"}}, "sudo": {27, nil}}}
	s.m.SetFile("/etc/skel/.profile", []byte("profile"))
	for name, f := range map[string]func([]string) int{"useradd": s.useradd, "usermod": s.usermod, "userdel": s.userdel,
		"groupadd": s.groupadd, "groupmod": s.groupmod, "groupdel": s.groupdel, "gpasswd": s.gpasswd} {
		s.m.Programs[name] = func(argv []string) node.Result {
			s.calls = append(s.calls, strings.Join(argv, " "))
			return node.Result{Code: f(argv[1:])}
		}
	}
	s.m.Programs["getent"] = s.getent
	s.m.Programs["id"] = func(argv []string) node.Result {
		u := s.users[argv[2]]
		if u == nil || argv[1] != "-Gnz" {
			return node.Result{Code: 1}
		}
		names := []string{s.groupOf(u.gid)}
		for _, g := range slices.Sorted(maps.Keys(s.groups)) {
			if slices.Contains(s.groups[g].members, argv[2]) && s.groups[g].gid != u.gid {
				names = append(names, g)
			}
		}
		return node.Result{Stdout: []byte(strings.Join(names, "\x00") + "\x00")}
	}
	s.m.Programs["ps"] = func(argv []string) node.Result {
		if len(s.running) == 0 {
			return node.Result{Code: 1}
		}
		return node.Result{Stdout: []byte(strings.Join(s.running, "\n") + "\n")}
	}
	return s
}

func (s *shadow) groupOf(gid int) string {
	for name, g := range s.groups {
		if g.gid == gid {
			return name
		}
	}
	return strconv.Itoa(gid)
}

func (s *shadow) getent(argv []string) node.Result {
	if len(argv) == 2 {
		out := ""
		for _, name := range slices.Sorted(maps.Keys(s.users)) {
			out += string(s.getent([]string{"getent", argv[1], name}).Stdout)
		}
		return node.Result{Stdout: []byte(out)}
	}
	switch argv[1] {
	case "passwd":
		if u := s.users[argv[2]]; u != nil {
			return node.Result{Stdout: []byte(fmt.Sprintf("%s:x:%d:%d:%s:%s:%s\n", argv[2], u.uid, u.gid, u.comment, u.home,
				u.shell))}
		}
	case "group":
		if g := s.groups[argv[2]]; g != nil {
			return node.Result{Stdout: []byte(fmt.Sprintf("%s:x:%d:%s\n", argv[2], g.gid, strings.Join(g.members, ",")))}
		}
	}
	return node.Result{Code: 2}
}

// options parts arguments into options (with a value where valued says so) and the name at the end.
func options(args []string, flags ...string) (map[string]string, string) {
	out := map[string]string{}
	for i := 0; i < len(args)-1; i++ {
		if slices.Contains(flags, args[i]) {
			out[args[i]] = "yes"
			continue
		}
		out[args[i]] = args[i+1]
		i++
	}
	return out, args[len(args)-1]
}

func (s *shadow) member(name string, list []string) {
	for g, x := range s.groups {
		x.members = slices.DeleteFunc(x.members, func(m string) bool { return m == name })
		if slices.Contains(list, g) {
			x.members = append(x.members, name)
		}
	}
}

func (s *shadow) useradd(args []string) int {
	o, name := options(args, "--create-home", "--no-create-home", "--system", "--user-group", "--no-user-group")
	if s.users[name] != nil {
		return 9
	}
	first := 1000
	if o["--system"] != "" {
		first = 900
	}
	u := &user{uid: first + len(s.users), home: o["--home-dir"], shell: o["--shell"], comment: o["--comment"]}
	if v, ok := o["--uid"]; ok {
		u.uid, _ = strconv.Atoi(v)
	}
	switch {
	case o["--gid"] != "":
		g := s.groups[o["--gid"]]
		if g == nil {
			return 6
		}
		u.gid = g.gid
	default:
		if s.groups[name] != nil {
			return 9
		}
		s.groups[name] = &group{gid: u.uid}
		u.gid = u.uid
	}
	for _, g := range list(o["--groups"]) {
		if s.groups[g] == nil {
			return 6
		}
	}
	s.users[name] = u
	s.member(name, list(o["--groups"]))
	if o["--create-home"] != "" {
		s.m.SetFile(u.home+"/.profile", []byte("profile"))
	}
	return 0
}

func (s *shadow) usermod(args []string) int {
	o, name := options(args, "--append")
	u := s.users[name]
	if u == nil {
		return 6
	}
	for option, v := range o {
		switch option {
		case "--uid":
			u.uid, _ = strconv.Atoi(v)
		case "--gid":
			u.gid = s.groups[v].gid
		case "--groups":
			if o["--append"] == "" {
				s.member(name, list(v))
				continue
			}
			for _, g := range list(v) {
				if s.groups[g] == nil {
					return 6
				}
				if !slices.Contains(s.groups[g].members, name) {
					s.groups[g].members = append(s.groups[g].members, name)
				}
			}
		case "--append":
		case "--home":
			u.home = v
		case "--shell":
			u.shell = v
		case "--comment":
			u.comment = v
		default:
			return 2
		}
	}
	return 0
}

func (s *shadow) userdel(args []string) int {
	o, name := options(args, "--remove")
	u := s.users[name]
	if u == nil {
		return 6
	}
	if name == "busy" || len(s.running) > 0 {
		return 8
	}
	delete(s.users, name)
	s.member(name, nil)
	if g := s.groups[name]; g != nil && len(g.members) == 0 {
		delete(s.groups, name)
	}
	if o["--remove"] != "" {
		delete(s.m.Files, u.home)
	}
	return 0
}

func (s *shadow) groupadd(args []string) int {
	o, name := options(args, "--system")
	if s.groups[name] != nil {
		return 9
	}
	g := &group{gid: 1000 + len(s.groups)}
	if o["--system"] != "" {
		g.gid -= 100
	}
	if v, ok := o["--gid"]; ok {
		g.gid, _ = strconv.Atoi(v)
	}
	if s.groupOf(g.gid) != strconv.Itoa(g.gid) {
		return 4
	}
	s.groups[name] = g
	return 0
}

func (s *shadow) groupmod(args []string) int {
	o, name := options(args)
	s.groups[name].gid, _ = strconv.Atoi(o["--gid"])
	return 0
}

func (s *shadow) groupdel(args []string) int {
	for _, u := range s.users {
		if u.gid == s.groups[args[0]].gid {
			return 8
		}
	}
	delete(s.groups, args[0])
	return 0
}

func (s *shadow) gpasswd(args []string) int {
	if args[0] == "--delete" {
		g := s.groups[args[2]]
		if g == nil || !slices.Contains(g.members, args[1]) {
			return 3
		}
		g.members = slices.DeleteFunc(g.members, func(m string) bool { return m == args[1] })
		return 0
	}
	s.groups[args[2]].members = strings.Split(args[1], ",")
	return 0
}

func (s *shadow) state() string {
	out := ""
	for _, n := range slices.Sorted(maps.Keys(s.users)) {
		out += fmt.Sprintf("%s %+v\n", n, *s.users[n])
	}
	for _, n := range slices.Sorted(maps.Keys(s.groups)) {
		out += fmt.Sprintf("%s %+v\n", n, *s.groups[n])
	}
	return out
}

func TestTierConformanceAgainstScript(t *testing.T) {
	for name, c := range map[string]struct {
		kind steps.Kind
		with map[string]any
	}{
		"new user": {userKind(), map[string]any{"name": "ops", "uid": 1500, "groups": []any{"adm", "sudo"},
			"shell": "/bin/bash", "comment": "Opérateur"}},
		"new in a group": {userKind(), map[string]any{"name": "ops", "group": "adm", "groups": []any{"adm"},
			"make_home": false}},
		"new with own group": {userKind(), map[string]any{"name": "sudo", "system": true}},
		"other attributes": {userKind(), map[string]any{"name": "www", "uid": 3333, "home": "/srv/www", "shell": "/bin/sh",
			"comment": "x", "groups": []any{"sudo"}}},
		"no other groups":     {userKind(), map[string]any{"name": "www", "groups": []any{"sudo"}, "only_groups": true}},
		"no groups at all":    {userKind(), map[string]any{"name": "www", "only_groups": true}},
		"primary group":       {userKind(), map[string]any{"name": "www", "group": "adm"}},
		"no user":             {userKind(), map[string]any{"name": "www", "absent": true}},
		"new group":           {groupKind(), map[string]any{"name": "web", "gid": 1500}},
		"new plain group":     {groupKind(), map[string]any{"name": "web"}},
		"new system group":    {groupKind(), map[string]any{"name": "web", "system": true}},
		"other number":        {groupKind(), map[string]any{"name": "adm", "gid": 44}},
		"no group":            {groupKind(), map[string]any{"name": "adm", "absent": true}},
		"user's own group in": {userKind(), map[string]any{"name": "www", "groups": []any{"www", "sudo"}}},
	} {
		t.Run(name, func(t *testing.T) {
			s := machine()
			start := s.state()
			conformance.Run(t, conformance.Case{Kind: c.kind, With: c.with, Open: func(*testing.T) node.Session { return s.m }})
			if end := s.state(); end != start {
				t.Errorf("was\n%sis\n%s", start, end)
			}
			if _, left := s.m.Files["/home/ops"]; left {
				t.Error("the home that was made is still there")
			}
			for _, call := range s.calls {
				if strings.Contains(call, "passw") && !strings.HasPrefix(call, "gpasswd --members") &&
					!strings.HasPrefix(call, "gpasswd --delete") {
					t.Errorf("%q is about passwords", call)
				}
			}
		})
	}
}

func TestDeletingAHomeIsAPointOfNoReturn(t *testing.T) {
	s := machine()
	d, err := (&User{Name: "www", Absent: true, DeletesHome: true}).Check(t.Context(), s.m)
	if err != nil || d.Effects.PointOfNoReturn == "" {
		t.Errorf("%+v, %v", d, err)
	}
	d, err = (&User{Name: "www", Absent: true}).Check(t.Context(), s.m)
	if err != nil || d.Effects.PointOfNoReturn != "" || len(d.Warnings) != 1 {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestCodesHaveHints(t *testing.T) {
	s := machine()
	gid := 4
	s.users["busy"] = &user{uid: 7, gid: 33}
	for name, step := range map[string]steps.Step{
		"number taken":      &Group{Name: "web", GID: &gid},
		"primary group":     &Group{Name: "www", Absent: true},
		"no such group":     &User{Name: "new", Groups: []string{"nothing"}},
		"user is logged in": &User{Name: "busy", Absent: true},
	} {
		if _, err := step.Apply(t.Context(), s.m, steps.Diff{}); err == nil || hint.Of(err) == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What getent or id cannot tell is not "absent".
func TestCannotTell(t *testing.T) {
	for name, res := range map[string]node.Result{"no enumeration": {Code: 3}, "missing argument": {Code: 1},
		"nothing": {}} {
		s := machine()
		s.m.Programs["getent"] = func([]string) node.Result { return res }
		for _, step := range []steps.Step{&User{Name: "ops"}, &Group{Name: "web"}, &User{Name: "www", Absent: true}} {
			if d, err := step.Check(t.Context(), s.m); err == nil {
				t.Errorf("%s: %s says %+v", name, step.Kind(), d)
			}
		}
	}
	s := machine()
	s.m.Programs["id"] = func([]string) node.Result { return node.Result{Code: 1} }
	if d, err := (&User{Name: "www", Shell: "/bin/sh"}).Check(t.Context(), s.m); err == nil {
		t.Errorf("id failed, and the answer is %+v", d)
	}
	for _, step := range []steps.Step{&User{Name: "ops"}, &Group{Name: "web"}} {
		if _, err := step.Check(t.Context(), nodetest.New(node.WS2022)); err == nil || hint.Of(err) == "" {
			t.Errorf("%s on Windows: %v", step.Kind(), err)
		}
	}
}

func TestValidate(t *testing.T) {
	minus := -1
	for name, s := range map[string]steps.Validator{
		"option as name":    &User{Name: "-r"},
		"number":            &User{Name: "1000"},
		"slash":             &User{Name: `DOM\\ops`},
		"blank at its end":  &User{Name: "ops "},
		"control character": &User{Name: "o\tps"},
		"two wishes":        &User{Name: "ops", Absent: true, Shell: "/bin/sh"},
		"home without need": &User{Name: "ops", DeletesHome: true},
		"relative shell":    &User{Name: "ops", Shell: "bash"},
		"colon in home":     &User{Name: "ops", Home: "/a:b"},
		"group's name":      &User{Name: "ops", Groups: []string{"a,b"}},
		"primary's name":    &User{Name: "ops", Group: "a:b"},
		"group":             &Group{Name: "a:b"},
		"group twice":       &Group{Name: "web", Absent: true, GID: &minus},
	} {
		var fe *steps.FieldError
		if err := s.Validate(); !errors.As(err, &fe) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Names that useradd and groupadd of Debian and RHEL take, and those of a directory's groups.
func TestNamesThatAreTaken(t *testing.T) {
	for _, s := range []steps.Validator{&User{Name: "john.doe"}, &User{Name: "Ops"}, &User{Name: "machine$"},
		&User{Name: "fran", Groups: []string{"Dom_Admins", "domain users"}}, &User{Name: "élodie"},
		&User{Name: "ops", Group: "domain users"}, &Group{Name: "web.team"}} {
		if err := s.Validate(); err != nil {
			t.Errorf("%+v: %v", s, err)
		}
	}
}
