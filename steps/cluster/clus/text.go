package clus

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"deploy/internal/hint"
	"deploy/internal/node"
)

// textView reads what cluster.exe prints on Windows Server 2003, where WMI's numbers are not
// documented. Lines begin below the row of dashes; no heading is looked at. Of words, only those of
// state are read, and one that is not known is an error.
type textView struct{ r node.Reader }

func (v textView) run(ctx context.Context, args ...string) ([]line, error) {
	argv := append([]string{"cluster.exe"}, args...)
	rows, err := v.r.Query(ctx, node.Tool{Argv: argv})
	if err != nil {
		return nil, fmt.Errorf("cannot run %s on %s: %w", strings.Join(argv, " "), v.r.Facts().Computer, err)
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("cannot run %s on %s: no answer", strings.Join(argv, " "), v.r.Facts().Computer)
	}
	if code := rows[0].Int("code"); code != 0 {
		err := error(&node.CodeError{Op: strings.Join(argv, " "), Code: code, Text: lastLine(rows[0].String("stdout"))})
		if IsCode(err, 5007, 5013, 5042) {
			return nil, fmt.Errorf("%w: %w", node.ErrNotFound, err)
		}
		return nil, err
	}
	return table(rows[0].String("stdout")), nil
}

// line is one line of a table.
type line struct{ text string }

// table returns the lines below the row of dashes.
func table(text string) []line {
	var out []line
	begun := false
	for _, l := range strings.Split(strings.ReplaceAll(text, "\r", ""), "\n") {
		if !begun {
			begun = strings.Trim(l, "- ") == "" && strings.Contains(l, "--")
			continue
		}
		if strings.TrimSpace(l) != "" {
			out = append(out, line{strings.TrimRight(l, " ")})
		}
	}
	return out
}

var groupWords = map[string]int64{"online": GroupOnline, "offline": GroupOffline, "failed": GroupFailed,
	"partially online": GroupPartial, "pending": GroupPending}

var resourceWords = map[string]int64{"online": ResourceOnline, "offline": ResourceOffline, "failed": ResourceFailed,
	"online pending": ResourceOnlinePending, "offline pending": ResourceOfflinePending, "pending": ResourcePending,
	"initializing": 1, "inherited": 0}

var networkWords = map[string]int64{"up": 3, "down": 1, "partitioned": 2, "unavailable": 0}

var nodeWords = map[string]int64{"up": NodeUp, "down": NodeDown, "paused": NodePaused, "joining": NodeJoining}

// state takes the word of state off the end of a line. A name that is longer than its column pushes
// everything to the right, and names may hold blanks, so lines are read from the right, where
// nothing is unknown.
func (l line) state(table map[string]int64) (rest string, state int64, err error) {
	best := ""
	for w := range table {
		if strings.HasSuffix(strings.ToLower(l.text), " "+w) && len(w) > len(best) {
			best = w
		}
	}
	if best == "" {
		return "", 0, hint.Wrap(fmt.Errorf("cannot tell the state in %q", l.text),
			"cluster.exe on Windows Server 2003 gives states as words only; deploy knows the English ones")
	}
	return strings.TrimRight(l.text[:len(l.text)-len(best)], " "), table[best], nil
}

// owner takes a node name, which holds no blank, off the end.
func owner(s string) (rest, node string) {
	i := strings.LastIndexByte(s, ' ')
	return strings.TrimRight(s[:i+1], " "), s[i+1:]
}

func (v textView) Nodes(ctx context.Context) ([]Member, error) {
	lines, err := v.run(ctx, "node")
	if err != nil {
		return nil, err
	}
	var out []Member
	for _, l := range lines {
		_, st, err := l.state(nodeWords)
		if err != nil {
			return nil, err
		}
		name, _, _ := strings.Cut(l.text, " ")
		out = append(out, Member{Name: name, State: st})
	}
	return out, nil
}

func (v textView) Networks(ctx context.Context) ([]Network, error) {
	lines, err := v.run(ctx, "network")
	if err != nil {
		return nil, err
	}
	var out []Network
	for _, l := range lines {
		name, _, err := l.state(networkWords)
		if err != nil {
			return nil, err
		}
		n := Network{Name: name}
		props, err := v.props(ctx, []string{"network", n.Name, "/prop"}, n.Name)
		if err != nil {
			return nil, err
		}
		n.Address, n.Mask, n.Role = props.String("Address"), props.String("AddressMask"), props.Int("Role")
		out = append(out, n)
	}
	return out, nil
}

func (v textView) Groups(ctx context.Context) ([]Group, error) {
	lines, err := v.run(ctx, "group")
	if err != nil {
		return nil, err
	}
	var out []Group
	for _, l := range lines {
		rest, st, err := l.state(groupWords)
		if err != nil {
			return nil, err
		}
		name, node := owner(rest)
		out = append(out, Group{Name: name, Owner: node, State: st})
	}
	return out, nil
}

func (v textView) Resources(ctx context.Context) ([]Resource, error) {
	out, err := v.list(ctx, "resource")
	if err != nil {
		return nil, err
	}
	for i := range out {
		r := &out[i]
		props, err := v.props(ctx, []string{"resource", r.Name, "/prop"}, r.Name)
		if err != nil {
			return nil, err
		}
		r.Type = props.String("Type")
	}
	return out, nil
}

// list reads a table of resources: name, group, node, state. Where the name ends and the group
// begins is told by the groups' names.
func (v textView) list(ctx context.Context, args ...string) ([]Resource, error) {
	groups, err := v.Groups(ctx)
	if err != nil {
		return nil, err
	}
	lines, err := v.run(ctx, args...)
	if err != nil {
		return nil, err
	}
	var out []Resource
	for _, l := range lines {
		rest, st, err := l.state(resourceWords)
		if err != nil {
			return nil, err
		}
		rest, _ = owner(rest)
		group := ""
		for _, g := range groups {
			if strings.HasSuffix(strings.ToLower(rest), " "+strings.ToLower(g.Name)) && len(g.Name) > len(group) {
				group = g.Name
			}
		}
		if group == "" {
			return nil, fmt.Errorf("cannot tell the group in %q", l.text)
		}
		out = append(out, Resource{Name: strings.TrimRight(rest[:len(rest)-len(group)], " "), Group: group, State: st})
	}
	return out, nil
}

func (v textView) Dependencies(ctx context.Context, resource string) ([]string, error) {
	list, err := v.list(ctx, "resource", resource, "/listdep")
	var out []string
	for _, r := range list {
		out = append(out, r.Name)
	}
	return out, err
}

func (v textView) Owners(ctx context.Context, resource, group string) ([]string, error) {
	if resource != "" {
		return v.names(ctx, "resource", resource, "/listowners")
	}
	return v.names(ctx, "group", group, "/listowners")
}

func (v textView) names(ctx context.Context, args ...string) ([]string, error) {
	lines, err := v.run(ctx, args...)
	var out []string
	for _, l := range lines {
		out = append(out, strings.TrimSpace(l.text))
	}
	return out, err
}

func (v textView) Properties(ctx context.Context, of Object, names []string) (node.Row, error) {
	args, owner := []string{}, ""
	switch {
	case of.Resource != "":
		args, owner = []string{"resource", of.Resource}, of.Resource
	case of.Group != "":
		args, owner = []string{"group", of.Group}, of.Group
	}
	option := "/prop"
	if of.Private {
		option = "/priv"
	}
	all, err := v.props(ctx, append(args, option), owner)
	if err != nil {
		return nil, err
	}
	out := node.Row{}
	for _, n := range names {
		if all.Has(n) {
			out[n] = pick(all, n)
		}
	}
	return out, nil
}

// props reads a property list. Each line holds a letter for the type, the owner, the property and
// the value; numbers come as "1200 (0x4b0)". The owner's name is known, so that blanks in it do no
// harm.
func (v textView) props(ctx context.Context, args []string, owner string) (node.Row, error) {
	lines, err := v.run(ctx, args...)
	if err != nil {
		return nil, err
	}
	out := node.Row{}
	for _, l := range lines {
		kind, rest, _ := strings.Cut(l.text, " ")
		rest = strings.TrimLeft(rest, " ")
		if owner == "" {
			rest = strings.TrimLeft(cutField(rest), " ")
		} else if len(rest) >= len(owner) && strings.EqualFold(rest[:len(owner)], owner) {
			rest = strings.TrimLeft(rest[len(owner):], " ")
		} else {
			continue
		}
		name, value, _ := strings.Cut(rest, " ")
		value = strings.TrimSpace(value)
		if strings.HasPrefix(kind, "D") {
			num, _, _ := strings.Cut(value, " ")
			n, err := strconv.ParseInt(num, 0, 64)
			if err != nil {
				return nil, fmt.Errorf("cannot read property %s of %q: %q is no number", name, owner, value)
			}
			out[name] = n
			continue
		}
		out[name] = value
	}
	return out, nil
}

func cutField(s string) string {
	_, rest, _ := strings.Cut(s, " ")
	return rest
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}
