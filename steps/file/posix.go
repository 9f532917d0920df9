package file

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/steps"
	"deploy/steps/linux"
)

// Access is who may do what with a file or directory on Linux.
type Access struct {
	Mode  string `json:"mode,omitempty" doc:"Linux: permission bits as octal text like '0644', with quotes; no key leaves those that are there, a new file gets 0644 and a new directory 0755" pattern:"^[0-7]{3,4}$" means:"write three or four octal digits like '0644', in quotes" check:"compared"`
	Owner string `json:"owner,omitempty" doc:"Linux: user name or number; no key leaves the one that is there" check:"compared"`
	Group string `json:"group,omitempty" doc:"Linux: group name or number; no key leaves the one that is there" check:"compared"`
}

var octal = regexp.MustCompile(`^[0-7]{3,4}$`)

func (a Access) given() bool { return a != Access{} }

// validate looks at the data; a path of Windows tells already that it cannot be.
func (a Access) validate(path string) error {
	if a.Mode != "" && !octal.MatchString(a.Mode) {
		return &steps.FieldError{Path: []string{"mode"}, Msg: fmt.Sprintf("%q is not three or four octal digits like 0644",
			a.Mode), Hint: "write it as text, with quotes: '0644'"}
	}
	if a.given() && !strings.HasPrefix(path, "/") {
		return &steps.FieldError{Path: []string{a.first()}, Msg: "mode, owner and group are for Linux",
			Hint: "on Windows, the acl of a directory step grants rights"}
	}
	return nil
}

func (a Access) first() string {
	switch {
	case a.Mode != "":
		return "mode"
	case a.Owner != "":
		return "owner"
	}
	return "group"
}

// refuse names what a machine does not have.
func (a Access) refuse(r node.Reader, path string) error {
	if a.given() && r.Facts().OS != "linux" {
		return hint.Wrap(fmt.Errorf("cannot set %s of %s: mode, owner and group are for Linux", a.first(), path),
			"on Windows, the acl of a directory step grants rights")
	}
	return nil
}

// bits returns the wished permission bits, nil when none are declared.
func (a Access) bits() *uint32 {
	n, err := strconv.ParseUint(a.Mode, 8, 32)
	if err != nil {
		return nil
	}
	m := uint32(n)
	return &m
}

// recorded is the access that was found, for undo.
type recorded struct {
	Mode  *uint32 `json:"mode,omitempty"`
	Owner string  `json:"owner,omitempty"`
	Group string  `json:"group,omitempty"`
}

func record(info node.FileInfo) recorded { return recorded{&info.Mode, info.Owner, info.Group} }

func octalText(mode uint32) string { return fmt.Sprintf("%04o", mode) }

// changes compares what is declared with what was found; nothing found makes every declared key a
// change.
func (a Access) changes(ctx context.Context, r node.Reader, found *node.FileInfo) ([]steps.Change, error) {
	var out []steps.Change
	if m := a.bits(); m != nil && (found == nil || found.Mode != *m) {
		c := steps.Change{Attr: "mode", To: octalText(*m)}
		if found != nil {
			c.From = octalText(found.Mode)
		}
		out = append(out, c)
	}
	for _, x := range []struct{ attr, want, table string }{{"owner", a.Owner, "passwd"}, {"group", a.Group, "group"}} {
		if x.want == "" {
			continue
		}
		c := steps.Change{Attr: x.attr, To: x.want}
		if found != nil {
			have := found.Owner
			if x.attr == "group" {
				have = found.Group
			}
			name, err := nameOf(ctx, r, x.table, x.want)
			if err != nil {
				return nil, err
			}
			if have == name {
				continue
			}
			c.From = have
		}
		out = append(out, c)
	}
	return out, nil
}

// nameOf returns the name of a user or group given by number; a number without a name stays one, as
// Stat gives it.
func nameOf(ctx context.Context, r node.Reader, table, who string) (string, error) {
	if _, err := strconv.ParseUint(who, 10, 32); err != nil {
		return who, nil
	}
	a, err := linux.Ask(ctx, r, "getent", table, who)
	if err != nil {
		return "", err
	}
	switch a.Code {
	case 0:
		name, _, _ := strings.Cut(a.Stdout, ":")
		return name, nil
	case linux.GetentNone:
		return who, nil
	}
	return "", fmt.Errorf("cannot tell the name of %s number %s: %w", table, who, a.Failed("getent"))
}

// set gives a path what is declared.
func (a Access) set(ctx context.Context, n node.Node, path string) error {
	if !a.given() {
		return nil
	}
	return setMode(ctx, n, node.SetMode{Path: path, Mode: a.bits(), Owner: a.Owner, Group: a.Group})
}

// declared is what was recorded of the keys that are declared.
func (a Access) declared(b recorded) (out recorded) {
	if a.Mode != "" {
		out.Mode = b.Mode
	}
	if a.Owner != "" {
		out.Owner = b.Owner
	}
	if a.Group != "" {
		out.Group = b.Group
	}
	return out
}

// back gives a path what was recorded of the keys that are declared.
func (a Access) back(ctx context.Context, n node.Node, path string, b recorded) error {
	b = a.declared(b)
	s := node.SetMode{Path: path, Mode: b.Mode, Owner: b.Owner, Group: b.Group}
	if s.Mode == nil && s.Owner == "" && s.Group == "" {
		return nil
	}
	return setMode(ctx, n, s)
}

func setMode(ctx context.Context, n node.Node, s node.SetMode) error {
	_, err := n.Do(ctx, s)
	if errors.Is(err, node.ErrNotFound) {
		return hint.Wrap(fmt.Errorf("cannot set mode and owner of %s: %w", s.Path, err),
			"is there a user "+s.Owner+" and a group "+s.Group+"? make them with user and group steps before")
	}
	if err != nil {
		return fmt.Errorf("cannot set mode and owner of %s: %w", s.Path, err)
	}
	return nil
}

// options are the access for a file that is written. What is not declared stays as the replaced
// file has it.
func (a Access) options() node.WriteOptions {
	o := node.WriteOptions{Owner: a.Owner, Group: a.Group}
	if m := a.bits(); m != nil {
		o.Mode = *m
	}
	return o
}

// options are the access for a file that is written back.
func (b recorded) options() node.WriteOptions {
	o := node.WriteOptions{Owner: b.Owner, Group: b.Group}
	if b.Mode != nil {
		o.Mode = *b.Mode
	}
	return o
}
