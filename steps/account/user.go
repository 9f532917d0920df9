package account

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/steps"
	"deploy/steps/linux"
)

// User is a local account, or none of that name.
type User struct {
	Name        string   `json:"name" required:"true" doc:"name of the account" check:"compared"`
	UID         *int     `json:"uid" doc:"its number; no key leaves it to the machine" min:"0" check:"compared"`
	Group       string   `json:"group,omitempty" doc:"primary group, which must be there; no key leaves it, and gives a new user a group of its own name" check:"compared"`
	Groups      []string `json:"groups" doc:"other groups that it must be a member of; they must be there" check:"compared"`
	OnlyGroups  bool     `json:"only_groups,omitempty" doc:"it is a member of no other groups than these" check:"compared"`
	Home        string   `json:"home,omitempty" doc:"home directory; no key leaves it, and gives a new user /home/NAME; changing it does not move what is in it" type:"path" check:"compared"`
	MakeHome    *bool    `json:"make_home" doc:"a new user gets the directory, filled from /etc/skel; the default is true, and false for system: true; false leaves one that is there" check:"fixed"`
	Shell       string   `json:"shell,omitempty" doc:"login shell, a full path; no key leaves it" type:"path" check:"compared"`
	Comment     *string  `json:"comment" doc:"the comment field, often the full name; no key leaves it" pattern:"^[^:\n]*$" means:"write it without a colon and on one line" check:"compared"`
	System      bool     `json:"system,omitempty" doc:"a new user without uid gets a number of the range for system accounts" check:"fixed"`
	Absent      bool     `json:"absent,omitempty" doc:"there shall be no such account" check:"compared"`
	DeletesHome bool     `json:"delete_home,omitempty" doc:"with absent: delete the home directory and the mail box too; that cannot be undone" check:"unreadable:linux" why:"which directory was its home is in the entry of the account, and that is gone"`
}

// userFound is an account as found.
type userFound struct {
	Found   bool     `json:"found"`
	UID     int      `json:"uid,omitempty"`
	Group   string   `json:"group,omitempty"`
	GID     int      `json:"gid,omitempty"`    // of the primary group
	Groups  []string `json:"groups,omitempty"` // others than the primary one, sorted
	Comment string   `json:"comment,omitempty"`
	Home    string   `json:"home,omitempty"`
	Shell   string   `json:"shell,omitempty"`
	// Of a user that is made: whether its home was there before, and the group of its name.
	HadHome bool        `json:"had_home,omitempty"`
	Own     *groupFound `json:"own_group,omitempty"`
}

func userKind() steps.Kind {
	return steps.Kind{
		Name:    "user",
		OS:      "linux",
		Summary: "Makes, changes or removes a local account on Linux.",
		Doc: "Looks by getent and id, and works by useradd, usermod and userdel. It never reads or sets a password: a new " +
			"account has none, so it is locked for passwords; " +
			"keys are files below its home. Of groups only membership that is declared is added, unless only_groups is set. " +
			"Removing an account leaves its home unless delete_home is set.",
		Undo: "Removes the account that was made, with its home only while that holds nothing but what came from " +
			"/etc/skel; or puts the recorded number, groups, home, shell and comment back. " +
			"A home with files of its own is left, and so is an account that a process uses; both are reported. " +
			"An account that was removed comes back without its password.",
		Proof:   "unit-tested on a scripted machine; " + linux.Proof,
		Sources: []string{"getent(1)", "id(1)", "ps(1)", "useradd(8)", "usermod(8)", "userdel(8)", "gpasswd(1)"},
		Calls: append(linux.Calls("getent(1), id(1), ps(1)", "getent", "id", "ps"),
			linux.Calls("useradd(8), usermod(8), userdel(8), groupadd(8), groupdel(8), gpasswd(1)", "useradd", "usermod",
				"userdel", "groupadd", "groupdel", "gpasswd")...),
		ReadForms: forms(),
		New:       func() steps.Step { return &User{} },
		Example:   "name: ops\nuid: 1500\ngroups: [adm]\nshell: /bin/bash\n",
	}
}

// Kind names the step.
func (s *User) Kind() string { return "user" }

// Validate looks at the data.
func (s *User) Validate() error {
	if err := checkName("name", s.Name); err != nil {
		return err
	}
	if s.Absent {
		if s.UID != nil || s.Group != "" || s.Groups != nil || s.OnlyGroups || s.Home != "" || s.MakeHome != nil ||
			s.Shell != "" || s.Comment != nil || s.System {
			return steps.FieldErr("absent", "excludes everything but delete_home")
		}
		return nil
	}
	if s.DeletesHome {
		return steps.FieldErr("delete_home", "goes with absent: true")
	}
	if s.Group != "" {
		if err := checkName("group", s.Group); err != nil {
			return err
		}
	}
	for i, g := range s.Groups {
		if !isName(g) {
			return &steps.FieldError{Path: []string{"groups", fmt.Sprintf("[%d]", i)},
				Msg: fmt.Sprintf("%q is not the name of a group", g)}
		}
	}
	for key, path := range map[string]string{"home": s.Home, "shell": s.Shell} {
		if path != "" && (!strings.HasPrefix(path, "/") || strings.ContainsAny(path, ":\n")) {
			return steps.FieldErr(key, "%q is not a full path", path)
		}
	}
	return nil
}

// Reads names what Check will ask.
func (s *User) Reads(f node.Facts) []node.Query {
	if f.OS != "linux" {
		return nil
	}
	return []node.Query{query("passwd", s.Name)}
}

func findUser(ctx context.Context, r node.Reader, name string) (userFound, error) {
	parts, found, err := entry(ctx, r, "passwd", name, passwdFields)
	if err != nil || !found {
		return userFound{}, err
	}
	uid, err := number(parts[2])
	if err != nil {
		return userFound{}, err
	}
	gid, err := number(parts[3])
	if err != nil {
		return userFound{}, err
	}
	// the primary group comes first; names are parted by NUL, since those of a directory may hold
	// blanks
	a, err := linux.Ask(ctx, r, "id", "-Gnz", name)
	if err != nil {
		return userFound{}, err
	}
	groups := strings.FieldsFunc(a.Stdout, func(c rune) bool { return c == 0 })
	if a.Code != 0 || len(groups) == 0 {
		return userFound{}, fmt.Errorf("cannot tell the groups of user %s: %w", name, a.Failed("id"))
	}
	return userFound{Found: true, UID: uid, Group: groups[0], GID: gid, Groups: others(groups, groups[0]),
		Comment: parts[4], Home: parts[5], Shell: parts[6]}, nil
}

// others sorts a list of groups and leaves the primary one out, as id does.
func others(groups []string, primary string) []string {
	out := slices.DeleteFunc(slices.Clone(groups), func(g string) bool { return g == primary })
	slices.Sort(out)
	return slices.Compact(out)
}

// wish is the account as it shall be, given how it stands.
func (s *User) wish(now userFound) userFound {
	w := now
	w.Found = true
	if s.UID != nil {
		w.UID = *s.UID
	}
	if s.Group != "" {
		w.Group = s.Group
	}
	if s.Home != "" {
		w.Home = s.Home
	}
	if s.Shell != "" {
		w.Shell = s.Shell
	}
	if s.Comment != nil {
		w.Comment = *s.Comment
	}
	w.Groups = nil
	if !s.OnlyGroups {
		w.Groups = slices.Clone(now.Groups)
	}
	w.Groups = others(append(w.Groups, s.Groups...), w.Group)
	return w
}

func differences(now, want userFound) (out []steps.Change) {
	add := func(attr string, from, to any) {
		if from != to {
			out = append(out, steps.Change{Attr: attr, From: from, To: to})
		}
	}
	add("uid", now.UID, want.UID)
	add("group", now.Group, want.Group)
	add("groups", strings.Join(now.Groups, ","), strings.Join(want.Groups, ","))
	add("home", now.Home, want.Home)
	add("shell", now.Shell, want.Shell)
	add("comment", now.Comment, want.Comment)
	return out
}

// Check compares what is declared.
func (s *User) Check(ctx context.Context, r node.Reader) (steps.Diff, error) {
	if err := linux.Only(r, "user"); err != nil {
		return steps.Diff{}, err
	}
	now, err := findUser(ctx, r, s.Name)
	if err != nil {
		return steps.Diff{}, err
	}
	switch {
	case s.Absent && !now.Found:
		return steps.NoChange(), nil
	case s.Absent:
		d := steps.Diff{Action: steps.Delete, Changes: []steps.Change{{Attr: "user " + s.Name, From: "there", To: nil}},
			Before: steps.MustJSON(now), Via: "userdel",
			Warnings: []string{"the account's password is not kept: after an undo it has none"}}
		for _, c := range differences(now, userFound{UID: -1}) {
			d.Changes = append(d.Changes, steps.Change{Attr: c.Attr, From: c.From, To: nil})
		}
		if s.DeletesHome {
			d.Effects.PointOfNoReturn = "home directory " + now.Home + " is deleted with all that it holds"
		}
		return d, nil
	case !now.Found:
		return s.create(ctx, r)
	}
	if err := s.made(ctx, r, now); err != nil {
		return steps.Diff{}, err
	}
	changes := differences(now, s.wish(now))
	if len(changes) == 0 {
		return steps.NoChange(), nil
	}
	d := steps.Diff{Action: steps.Update, Changes: changes, Before: steps.MustJSON(now), Via: "usermod"}
	if s.UID != nil && *s.UID != now.UID {
		d.Warnings = []string{fmt.Sprintf("files outside the home directory that belong to user number %d keep that number",
			now.UID)}
	}
	return d, nil
}

func (s *User) create(ctx context.Context, r node.Reader) (steps.Diff, error) {
	own, err := findGroup(ctx, r, s.Name)
	if err != nil {
		return steps.Diff{}, err
	}
	_, err = r.Stat(ctx, s.home())
	if err != nil && !errors.Is(err, node.ErrNotFound) {
		return steps.Diff{}, fmt.Errorf("cannot check %s: %w", s.home(), err)
	}
	b := userFound{Home: s.home(), HadHome: err == nil, Own: &own}
	changes := []steps.Change{{Attr: "user " + s.Name, From: nil, To: "there"}}
	for _, c := range differences(userFound{}, s.wish(userFound{})) {
		changes = append(changes, steps.Change{Attr: c.Attr, From: nil, To: c.To})
	}
	return steps.Diff{Action: steps.Create, Changes: changes, Before: steps.MustJSON(b), Via: "useradd"}, nil
}

func (s *User) home() string {
	if s.Home != "" {
		return s.Home
	}
	return "/home/" + s.Name
}

// Apply makes, changes or removes the account.
func (s *User) Apply(ctx context.Context, n node.Node, _ steps.Diff) (steps.Outcome, error) {
	now, err := findUser(ctx, n, s.Name)
	if err != nil {
		return steps.Outcome{}, err
	}
	switch {
	case s.Absent && !now.Found:
		return steps.Outcome{}, nil
	case s.Absent:
		return steps.Outcome{}, s.delete(ctx, n)
	case now.Found:
		return steps.Outcome{}, s.change(ctx, n, now, s.wish(now))
	}
	own, err := findGroup(ctx, n, s.Name)
	if err != nil {
		return steps.Outcome{}, err
	}
	argv := []string{"useradd", "--home-dir", s.home()}
	if s.MakeHome != nil && *s.MakeHome || s.MakeHome == nil && !s.System {
		argv = append(argv, "--create-home")
	} else {
		argv = append(argv, "--no-create-home")
	}
	if s.UID != nil {
		argv = append(argv, "--uid", strconv.Itoa(*s.UID))
	}
	if s.System {
		argv = append(argv, "--system")
	}
	switch {
	case s.Group != "":
		argv = append(argv, "--no-user-group", "--gid", s.Group)
	case own.Found:
		argv = append(argv, "--no-user-group", "--gid", s.Name)
	default:
		argv = append(argv, "--user-group")
	}
	if w := s.wish(userFound{Group: s.Group}); len(w.Groups) > 0 {
		argv = append(argv, "--groups", strings.Join(w.Groups, ","))
	}
	if s.Shell != "" {
		argv = append(argv, "--shell", s.Shell)
	}
	if s.Comment != nil {
		argv = append(argv, "--comment", *s.Comment)
	}
	if err := linux.Do(ctx, n, nil, append(argv, s.Name)...); err != nil {
		return steps.Outcome{}, explain(fmt.Errorf("cannot make user %s: %w", s.Name, err))
	}
	return steps.Outcome{}, nil
}

// mailLess is userdel's code for an account that is gone, but whose home or mail box could not be
// removed.
const mailLess = 12

func (s *User) delete(ctx context.Context, n node.Node) error {
	argv := []string{"userdel"}
	var good []int
	if s.DeletesHome {
		argv = append(argv, "--remove")
	} else {
		good = []int{mailLess}
	}
	if err := linux.Do(ctx, n, good, append(argv, s.Name)...); err != nil {
		return explain(fmt.Errorf("cannot remove user %s: %w", s.Name, err))
	}
	return nil
}

// change brings an account from one state to another. Groups are added to those that it has, and
// taken away one by one, so that no other membership is named, and none can be lost.
func (s *User) change(ctx context.Context, n node.Node, now, want userFound) error {
	argv := []string{"usermod"}
	for _, c := range differences(now, want) {
		if c.Attr == "groups" {
			continue
		}
		option := map[string]string{"uid": "--uid", "group": "--gid", "home": "--home", "shell": "--shell",
			"comment": "--comment"}[c.Attr]
		argv = append(argv, option, fmt.Sprint(c.To))
	}
	if more := without(want.Groups, now.Groups); len(more) > 0 {
		argv = append(argv, "--append", "--groups", strings.Join(more, ","))
	}
	if len(argv) > 1 {
		if err := linux.Do(ctx, n, nil, append(argv, s.Name)...); err != nil {
			return explain(fmt.Errorf("cannot change user %s: %w", s.Name, err))
		}
	}
	for _, g := range without(now.Groups, append(slices.Clone(want.Groups), want.Group)) {
		if err := linux.Do(ctx, n, nil, "gpasswd", "--delete", s.Name, g); err != nil {
			return hint.Wrap(fmt.Errorf("cannot take user %s out of group %s: %w", s.Name, g, err),
				"a group of a directory service is changed there, not on this machine")
		}
	}
	return nil
}

// without returns what of a is not in b.
func without(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(x string) bool { return slices.Contains(b, x) })
}

// Undo puts the account back as it was.
func (s *User) Undo(ctx context.Context, n node.Node, before json.RawMessage) error {
	var b userFound
	if err := decode(before, &b); err != nil {
		return err
	}
	now, err := findUser(ctx, n, s.Name)
	if err != nil {
		return err
	}
	switch {
	case !b.Found:
		return s.unmake(ctx, n, b, now)
	case now.Found:
		return leftInUse(ctx, n, s.Name, now.UID, s.change(ctx, n, now, s.declared(now, b)))
	}
	if g, err := findGroup(ctx, n, b.Group); err != nil {
		return err
	} else if !g.Found { // it went with its user
		if err := makeGroup(ctx, n, b.Group, &b.GID, false); err != nil {
			return err
		}
	}
	argv := []string{"useradd", "--no-create-home", "--no-user-group", "--uid", strconv.Itoa(b.UID), "--gid", b.Group,
		"--home-dir", b.Home, "--comment", b.Comment}
	if b.Shell != "" {
		argv = append(argv, "--shell", b.Shell)
	}
	if len(b.Groups) > 0 {
		argv = append(argv, "--groups", strings.Join(b.Groups, ","))
	}
	if err := linux.Do(ctx, n, nil, append(argv, s.Name)...); err != nil {
		return explain(fmt.Errorf("cannot bring user %s back: %w", s.Name, err))
	}
	return nil
}

// declared is how the account stands with what the step had declared put back to b.
func (s *User) declared(now, b userFound) userFound {
	w := now
	if s.UID != nil {
		w.UID = b.UID
	}
	if s.Group != "" {
		w.Group = b.Group
	}
	if s.OnlyGroups {
		w.Groups = b.Groups
	} else {
		w.Groups = slices.DeleteFunc(slices.Clone(now.Groups),
			func(g string) bool { return slices.Contains(s.Groups, g) && !slices.Contains(b.Groups, g) })
	}
	if slices.Contains(b.Groups, s.Group) {
		w.Groups = append(w.Groups, s.Group) // it became the primary one, and so vanished from the others
	}
	w.Groups = others(w.Groups, w.Group)
	if s.Home != "" {
		w.Home = b.Home
	}
	if s.Shell != "" {
		w.Shell = b.Shell
	}
	if s.Comment != nil {
		w.Comment = b.Comment
	}
	return w
}

// unmake removes an account that the step had made, the group of its name that came with it, and
// its home as far as nobody has used it. It brings that group back if userdel has taken it along
// though it was there before.
func (s *User) unmake(ctx context.Context, n node.Node, b, now userFound) error {
	if now.Found {
		if err := linux.Do(ctx, n, []int{mailLess}, "userdel", s.Name); err != nil {
			return leftInUse(ctx, n, s.Name, now.UID, explain(fmt.Errorf("cannot remove user %s: %w", s.Name, err)))
		}
	}
	var stays []string
	if b.Own != nil {
		why, err := s.ownGroup(ctx, n, *b.Own)
		if err != nil {
			return err
		}
		stays = append(stays, why...)
	}
	if !b.HadHome {
		why, err := dropHome(ctx, n, b.Home)
		if err != nil {
			return err
		}
		stays = append(stays, why...)
	}
	if len(stays) > 0 {
		return steps.Left(fmt.Sprintf("account %s is removed; %s", s.Name, strings.Join(stays, "; ")))
	}
	return nil
}

// ownGroup brings the group of the account's name to what was recorded, and answers why it stays.
func (s *User) ownGroup(ctx context.Context, n node.Node, was groupFound) (stays []string, err error) {
	g, err := findGroup(ctx, n, s.Name)
	switch {
	case err != nil:
		return nil, err
	case was.Found && !g.Found:
		return nil, makeGroup(ctx, n, s.Name, &was.GID, false)
	case was.Found || !g.Found || s.Group != "":
		return nil, nil
	case len(g.Members) > 0:
		return []string{fmt.Sprintf("its group %s has members of its own (%s) and is left", s.Name,
			strings.Join(g.Members, ", "))}, nil
	}
	return nil, removeGroup(ctx, n, s.Name, g)
}
