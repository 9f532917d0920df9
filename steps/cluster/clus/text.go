package clus

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"deploy/internal/hint"
	"deploy/internal/node"
)

// textView reads what cluster.exe prints on Windows Server 2003, where WMI's numbers are not documented. Columns are found by
// the row of dashes, never by a heading. Only words of state are read, and one that is not known is an error.
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

// line is one line of a table: its text and where the columns stand.
type line struct {
	text string
	cols []int
}

// table returns the lines below the row of dashes.
func table(text string) []line {
	var cols []int
	var out []line
	for _, l := range strings.Split(strings.ReplaceAll(text, "\r", ""), "\n") {
		if cols == nil {
			if strings.Trim(l, "- ") == "" && strings.Contains(l, "--") {
				for i := range len(l) {
					if l[i] == '-' && (i == 0 || l[i-1] == ' ') {
						cols = append(cols, i)
					}
				}
			}
			continue
		}
		if strings.TrimSpace(l) != "" {
			out = append(out, line{strings.TrimRight(l, " "), cols})
		}
	}
	return out
}

// cell returns a column. A cell that is longer than its column pushes the rest of the line to the right.
func (l line) cell(i int) string {
	rest, shift := l.text, 0
	for c := range l.cols {
		if c == len(l.cols)-1 {
			if c == i {
				return strings.TrimSpace(rest)
			}
			return ""
		}
		width := l.cols[c+1] - l.cols[c] - 1
		end := width
		for end < len(rest) && rest[end] != ' ' {
			end++
		}
		end = min(end, len(rest))
		if c == i {
			return strings.TrimSpace(rest[:end])
		}
		rest = rest[min(end+1, len(rest)):]
		shift += end - width
	}
	return ""
}

var groupWords = map[string]int64{"online": GroupOnline, "offline": GroupOffline, "failed": GroupFailed, "partially online": GroupPartial, "pending": GroupPending}

var resourceWords = map[string]int64{"online": ResourceOnline, "offline": ResourceOffline, "failed": ResourceFailed,
	"online pending": ResourceOnlinePending, "offline pending": ResourceOfflinePending, "pending": ResourcePending, "initializing": 1, "inherited": 0}

var nodeWords = map[string]int64{"up": NodeUp, "down": NodeDown, "paused": NodePaused, "joining": NodeJoining}

func word(table map[string]int64, s string) (int64, error) {
	if n, ok := table[strings.ToLower(s)]; ok {
		return n, nil
	}
	return 0, hint.Wrap(fmt.Errorf("cannot tell what state %q is", s),
		"cluster.exe on Windows Server 2003 gives states as words only; deploy knows the English ones")
}

func (v textView) Nodes(ctx context.Context) ([]Member, error) {
	lines, err := v.run(ctx, "node")
	if err != nil {
		return nil, err
	}
	var out []Member
	for _, l := range lines {
		st, err := word(nodeWords, l.cell(2))
		if err != nil {
			return nil, err
		}
		out = append(out, Member{Name: l.cell(0), State: st})
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
		n := Network{Name: l.cell(0)}
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
		st, err := word(groupWords, l.cell(2))
		if err != nil {
			return nil, err
		}
		out = append(out, Group{Name: l.cell(0), Owner: l.cell(1), State: st})
	}
	return out, nil
}

func (v textView) Resources(ctx context.Context) ([]Resource, error) {
	lines, err := v.run(ctx, "resource")
	if err != nil {
		return nil, err
	}
	var out []Resource
	for _, l := range lines {
		st, err := word(resourceWords, l.cell(3))
		if err != nil {
			return nil, err
		}
		r := Resource{Name: l.cell(0), Group: l.cell(1), State: st}
		props, err := v.props(ctx, []string{"resource", r.Name, "/prop"}, r.Name)
		if err != nil {
			return nil, err
		}
		r.Type = props.String("Type")
		out = append(out, r)
	}
	return out, nil
}

func (v textView) Dependencies(ctx context.Context, resource string) ([]string, error) {
	return v.names(ctx, "resource", resource, "/listdep")
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
		out = append(out, l.cell(0))
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

// props reads a property list. Each line holds a letter for the type, the owner, the property and the value; numbers come as
// "1200 (0x4b0)". The owner's name is known, so that blanks in it do no harm.
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
