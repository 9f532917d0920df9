package account

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/steps"
	"deploy/steps/inspect"
	"deploy/steps/linux"
)

// Group is a local group, or none of that name.
type Group struct {
	Name   string `json:"name" required:"true" doc:"name of the group" check:"compared"`
	GID    *int   `json:"gid" doc:"its number; no key leaves it to the machine" min:"0" check:"compared"`
	System bool   `json:"system,omitempty" doc:"a new group without gid gets a number of the range for system groups" check:"fixed"`
	Absent bool   `json:"absent,omitempty" doc:"there shall be no such group" check:"compared"`
}

// groupFound is a group as found.
type groupFound struct {
	Found   bool     `json:"found"`
	GID     int      `json:"gid,omitempty"`
	Members []string `json:"members,omitempty"`
}

func groupKind() steps.Kind {
	return steps.Kind{
		Name:    "group",
		OS:      "linux",
		Summary: "Makes or removes a local group on Linux.",
		Doc: "Looks by getent, and works by groupadd, groupmod and groupdel. Members are the business of the user kind. " +
			"Changing the number of a group does not change the files that carry the old one. The primary group of a user " +
			"cannot be removed.",
		Undo: "Removes the group that was made, or puts number and members back. A group that has members by now, or is " +
			"the primary one of a user, is left and reported.",
		Proof:   "unit-tested on a scripted machine; " + linux.Proof,
		Sources: []string{"getent(1)", "groupadd(8)", "groupmod(8)", "groupdel(8)", "gpasswd(1)"},
		Calls: append(linux.Calls("getent(1)", "getent"),
			linux.Calls("groupadd(8), groupmod(8), groupdel(8), gpasswd(1)", "groupadd", "groupmod", "groupdel", "gpasswd")...),
		ReadForms: forms(),
		New:       func() steps.Step { return &Group{} },
		Example:   "name: web\ngid: 1500\n",
	}
}

// Kind names the step.
func (s *Group) Kind() string { return "group" }

// Validate looks at the data.
func (s *Group) Validate() error {
	if s.Absent && (s.GID != nil || s.System) {
		return steps.FieldErr("absent", "excludes gid and system")
	}
	return checkName("name", s.Name)
}

// Reads names what Check will ask.
func (s *Group) Reads(f node.Facts) []node.Query {
	if f.OS != "linux" {
		return nil
	}
	return []node.Query{query("group", s.Name)}
}

func findGroup(ctx context.Context, r node.Reader, name string) (groupFound, error) {
	parts, found, err := entry(ctx, r, "group", name, 4)
	if err != nil || !found {
		return groupFound{}, err
	}
	gid, err := number(parts[2])
	members := list(parts[3])
	slices.Sort(members)
	return groupFound{true, gid, members}, err
}

// Check compares what is declared.
func (s *Group) Check(ctx context.Context, r node.Reader) (steps.Diff, error) {
	if err := linux.Only(r, "group"); err != nil {
		return steps.Diff{}, err
	}
	g, err := findGroup(ctx, r, s.Name)
	if err != nil {
		return steps.Diff{}, err
	}
	if g.Found && s.System && s.GID == nil {
		if err := inRange(ctx, r, "group "+s.Name, "gid", "GID_MIN", g.GID); err != nil {
			return steps.Diff{}, err
		}
	}
	d := steps.Diff{Before: steps.MustJSON(g), Via: "groupmod"}
	switch {
	case s.Absent && g.Found:
		d.Action, d.Via = steps.Delete, "groupdel"
		d.Changes = []steps.Change{{Attr: "group " + s.Name, From: "there", To: nil}, {Attr: "gid", From: g.GID, To: nil}}
		if len(g.Members) > 0 {
			d.Changes = append(d.Changes, steps.Change{Attr: "members", From: strings.Join(g.Members, ","), To: nil})
		}
	case s.Absent:
		return steps.NoChange(), nil
	case !g.Found:
		d.Action, d.Via, d.Changes = steps.Create, "groupadd",
			[]steps.Change{{Attr: "group " + s.Name, From: nil, To: "there"}}
		if s.GID != nil {
			d.Changes = append(d.Changes, steps.Change{Attr: "gid", From: nil, To: *s.GID})
		}
	case s.GID != nil && *s.GID != g.GID:
		d.Action, d.Changes = steps.Update, []steps.Change{{Attr: "gid", From: g.GID, To: *s.GID}}
		d.Warnings = []string{fmt.Sprintf("files that belong to group number %d keep that number", g.GID)}
	default:
		return steps.NoChange(), nil
	}
	return d, nil
}

// Apply makes, changes or removes the group.
func (s *Group) Apply(ctx context.Context, n node.Node, _ steps.Diff) (steps.Outcome, error) {
	now, err := findGroup(ctx, n, s.Name)
	if err != nil {
		return steps.Outcome{}, err
	}
	if s.Absent {
		return steps.Outcome{}, removeGroup(ctx, n, s.Name, now)
	}
	want := now.GID
	if s.GID != nil {
		want = *s.GID
	}
	if now.Found {
		return steps.Outcome{}, renumber(ctx, n, s.Name, now.GID, want)
	}
	return steps.Outcome{}, makeGroup(ctx, n, s.Name, s.GID, s.System)
}

func makeGroup(ctx context.Context, n node.Node, name string, gid *int, system bool) error {
	argv := []string{"groupadd"}
	if system {
		argv = append(argv, "--system")
	}
	if gid != nil {
		argv = append(argv, "--gid", strconv.Itoa(*gid))
	}
	if err := linux.Do(ctx, n, nil, append(argv, name)...); err != nil {
		return explain(fmt.Errorf("cannot make group %s: %w", name, err))
	}
	return nil
}

func renumber(ctx context.Context, n node.Node, name string, from, to int) error {
	if from == to {
		return nil
	}
	if err := linux.Do(ctx, n, nil, "groupmod", "--gid", strconv.Itoa(to), name); err != nil {
		return explain(fmt.Errorf("cannot change the number of group %s: %w", name, err))
	}
	return nil
}

func removeGroup(ctx context.Context, n node.Node, name string, now groupFound) error {
	if !now.Found {
		return nil
	}
	if err := linux.Do(ctx, n, nil, "groupdel", name); err != nil {
		return explain(fmt.Errorf("cannot remove group %s: %w", name, err))
	}
	return nil
}

// Undo puts the group back as it was.
func (s *Group) Undo(ctx context.Context, n node.Node, before json.RawMessage) error {
	var b groupFound
	if err := decode(before, &b); err != nil {
		return err
	}
	now, err := findGroup(ctx, n, s.Name)
	if err != nil {
		return err
	}
	switch {
	case !b.Found && len(now.Members) > 0:
		return steps.Left(fmt.Sprintf("group %s has members (%s)", s.Name, inspect.Some(now.Members)))
	case !b.Found:
		return leftWithUsers(ctx, n, s.Name, now.GID, removeGroup(ctx, n, s.Name, now))
	case now.Found:
		return renumber(ctx, n, s.Name, now.GID, b.GID)
	}
	if err := makeGroup(ctx, n, s.Name, &b.GID, false); err != nil || len(b.Members) == 0 {
		return err
	}
	if err := linux.Do(ctx, n, nil, "gpasswd", "--members", strings.Join(b.Members, ","), s.Name); err != nil {
		return fmt.Errorf("cannot put the members of group %s back: %w", s.Name, err)
	}
	return nil
}

// Exit codes that the tools of the package shadow share. Source: useradd(8), usermod(8),
// userdel(8), groupadd(8), groupdel(8).
const (
	codeNoFile  = 1
	codeNumber  = 4
	codeNoGroup = 6
	codeBusy    = 8
	codeName    = 9
	codeSave    = 10
)

func explain(err error) error {
	code, ok := node.Code(err)
	if !ok {
		return err
	}
	switch code {
	case codeNoFile, codeSave:
		return hint.Wrap(err, "the files below /etc could not be locked or written: does another program change accounts, "+
			"is the disk full or read-only?")
	case codeNumber:
		return hint.Wrap(err, "the number is taken: `getent passwd` and `getent group` show by whom")
	case codeNoGroup:
		return hint.Wrap(err, "a group or user that it needs is not there, or comes from a directory service and not from "+
			"this machine")
	case codeBusy:
		return hint.Wrap(err, "the user is logged in or runs processes, or the group is a user's primary group")
	case codeName:
		return hint.Wrap(err, "the name is taken")
	}
	return err
}
