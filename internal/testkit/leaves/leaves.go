// Package leaves changes a site file one value at a time: every leaf below the parameters of the
// site and of its nodes. It is for tests that want a plan to see every change.
package leaves

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"deploy/steps"
)

// Leaf is one value of a site file, and another one for it.
type Leaf struct {
	Path     string // "parameters.cluster.address"
	From, To string
	line     int // from 0
	col      int
	quote    string // what stands around it, or ""
	block    bool   // a block of lines: its first line is changed
}

// Of lists the leaves below parameters of a site file, in order.
func Of(site string) ([]Leaf, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(site), &doc); err != nil {
		return nil, err
	}
	var out []Leaf
	var walk func(path string, n *yaml.Node)
	walk = func(path string, n *yaml.Node) {
		switch n.Kind {
		case yaml.MappingNode:
			for i := 0; i+1 < len(n.Content); i += 2 {
				walk(path+"."+n.Content[i].Value, n.Content[i+1])
			}
		case yaml.SequenceNode:
			for i, x := range n.Content {
				walk(fmt.Sprintf("%s[%d]", path, i), x)
			}
		case yaml.ScalarNode:
			l := Leaf{Path: strings.TrimPrefix(path, "."), From: n.Value, To: other(n), line: n.Line - 1, col: n.Column - 1}
			switch n.Style {
			case yaml.SingleQuotedStyle:
				l.quote = "'"
			case yaml.DoubleQuotedStyle:
				l.quote = `"`
			case yaml.LiteralStyle, yaml.FoldedStyle:
				l.block = true
			}
			out = append(out, l)
		}
	}
	root := &doc
	if len(doc.Content) == 1 {
		root = doc.Content[0]
	}
	walk("parameters", get(root, "parameters"))
	if nodes := get(get(root, "inventory"), "nodes"); nodes != nil {
		for i, n := range nodes.Content {
			walk(fmt.Sprintf("inventory.nodes[%d].parameters", i), get(n, "parameters"))
		}
	}
	return out, nil
}

// get is the value of a key; an empty node where there is none.
func get(n *yaml.Node, key string) *yaml.Node {
	for i := 0; n != nil && i+1 < len(n.Content); i += 2 {
		if n.Kind == yaml.MappingNode && n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return &yaml.Node{}
}

// other is a value of the same form that differs.
func other(n *yaml.Node) string {
	v := n.Value
	if n.Style == yaml.LiteralStyle || n.Style == yaml.FoldedStyle {
		return "x" + v
	}
	if p, err := netip.ParsePrefix(v); err == nil {
		if p.Masked() == p {
			return fmt.Sprintf("198.51.100.0/%d", p.Bits())
		}
		return fmt.Sprintf("%s/%d", moved(p.Addr()), p.Bits())
	}
	if a, err := netip.ParseAddr(v); err == nil {
		return moved(a)
	}
	if n.Tag == "!!int" {
		i, _ := strconv.Atoi(v)
		return strconv.Itoa(i + 1)
	}
	switch {
	case v == "true":
		return "false"
	case v == "false":
		return "true"
	case len(v) == 17 && strings.Count(v, ":") == 5: // a hardware address
		return v[:15] + "77"
	case len(v) == 2 && v[1] == ':':
		return "Y:"
	case strings.HasSuffix(v, ".edb"):
		return strings.TrimSuffix(v, ".edb") + "x.edb"
	case strings.Trim(v, "01234567") == "" && (len(v) == 4 || len(v) > 1 && v[0] == '0'):
		return v[:len(v)-1] + strconv.Itoa((int(v[len(v)-1]-'0')+4)%8) // a mode
	case strings.Trim(v, "0123456789") == "" && v != "":
		i, _ := strconv.Atoi(v)
		return strconv.Itoa(i + 1)
	}
	return v + "x"
}

// moved is another address of the same network of 24 bits.
func moved(a netip.Addr) string {
	if !a.Is4() {
		return a.Next().String()
	}
	b := a.As4()
	b[3] = 2 + (b[3]+60)%200
	return netip.AddrFrom4(b).String()
}

// Change is the site file with this leaf changed.
func (l Leaf) Change(site string) (string, error) {
	lines := strings.Split(site, "\n")
	if l.block {
		i := l.line + 1
		text := strings.TrimLeft(lines[i], " ")
		lines[i] = lines[i][:len(lines[i])-len(text)] + "x" + text
		return strings.Join(lines, "\n"), nil
	}
	line := []rune(lines[l.line])
	rest := string(line[l.col:])
	if !strings.HasPrefix(rest, l.quote+l.From+l.quote) {
		return "", fmt.Errorf("%s: %q does not stand at %q", l.Path, l.From, rest)
	}
	rest = l.quote + l.To + l.quote + strings.TrimPrefix(rest, l.quote+l.From+l.quote)
	lines[l.line] = string(line[:l.col]) + rest
	return strings.Join(lines, "\n"), nil
}

// Feeds names the fields of steps in which two programs of one playbook differ, as "kind.field
// class", and "tasks" where one has a task that the other has not.
func Feeds(kinds *steps.Registry, a, b *steps.Program) ([]string, error) {
	var out []string
	add := func(s string) {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	were := map[string]steps.Task{}
	for _, t := range a.Tasks() {
		were[t.ID] = t
	}
	for _, t := range b.Tasks() {
		was, ok := were[t.ID]
		delete(were, t.ID)
		if !ok {
			add("tasks")
			continue
		}
		k, _ := kinds.Get(t.Step.Kind())
		from, err := plain(was.Step)
		if err != nil {
			return nil, err
		}
		to, err := plain(t.Step)
		if err != nil {
			return nil, err
		}
		for _, f := range k.Fields() {
			if reflect.DeepEqual(from[f.Name], to[f.Name]) {
				continue
			}
			class := f.Class
			if class == "" {
				class = steps.Compared // an object: its fields are, as far as shipped playbooks use them
			}
			add(fmt.Sprintf("%s.%s %s", k.Name, f.Name, class))
		}
	}
	if len(were) > 0 {
		add("tasks")
	}
	slices.Sort(out)
	return out, nil
}

func plain(s steps.Step) (map[string]any, error) {
	b, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	var out map[string]any
	return out, json.Unmarshal(b, &out)
}

// Seen says that a plan must see a change that feeds these fields.
func Seen(fields []string) bool {
	return slices.ContainsFunc(fields, func(f string) bool {
		_, class, _ := strings.Cut(f, " ")
		return f == "tasks" || class == string(steps.Compared) || class == string(steps.Fixed)
	})
}
