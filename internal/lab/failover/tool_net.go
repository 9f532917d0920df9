package failover

import (
	"fmt"
	"sort"
	"strings"
)

// runNetwork: list, /ren, /listint, /prop, /priv. UNCONFIRMED: the spelling of its options and its
// columns.
func (t *tool) runNetwork() error {
	if t.name == "" {
		if len(t.opts) > 0 && !t.has("status") {
			return InvalidParameter
		}
		t.networks("")
		return nil
	}
	n := Network(t.cl, t.name)
	if n == nil {
		return NetworkNotFound
	}
	switch {
	case t.has("rename"):
		if err := RenameNetwork(t.cl, n, t.value("rename")); err != nil {
			return err
		}
	case t.has("listinterfaces"):
		t.interfaces(func(i card) bool { return i.network == n })
		return nil
	case t.has("properties"), t.has("privproperties"):
		return t.properties(object{kind: "network", name: n.Name, cl: t.cl, network: n})
	}
	t.networks(n.Name)
	return nil
}

func (t *tool) networks(name string) {
	t.heading("networks", "network", name)
	var rows [][]string
	for _, n := range t.cl.Networks {
		if name == "" || n.Name == name {
			rows = append(rows, []string{n.Name, t.w.netState(n.State)})
		}
	}
	t.table([]column{{t.w.networkH, 30, false}, {t.w.statusH, 11, false}}, rows)
}

// runInterface: list by /node and /net, and /prop of one. UNCONFIRMED columns.
func (t *tool) runInterface() error {
	match := func(i card) bool {
		return (t.value("node") == "" || strings.EqualFold(i.node.Name, t.value("node"))) &&
			(t.value("network") == "" || strings.EqualFold(i.networkName(), t.value("network"))) &&
			(t.name == "" || strings.EqualFold(i.name(), t.name))
	}
	if t.has("properties") || t.has("privproperties") {
		var found *card
		for _, i := range cards(t.c.W, t.cl) {
			if match(i) {
				if found != nil {
					return InvalidParameter
				}
				found = &i
			}
		}
		if found == nil {
			return InterfaceNotFound
		}
		return t.properties(object{kind: "netinterface", name: found.name(), cl: t.cl, card: found})
	}
	t.interfaces(match)
	return nil
}

func (t *tool) interfaces(match func(i card) bool) {
	t.heading("network interfaces", "network interface", "")
	var rows [][]string
	for _, i := range cards(t.c.W, t.cl) {
		if match(i) {
			rows = append(rows, []string{i.node.Name, i.networkName(), t.w.netState(interfaceState(i))})
		}
	}
	t.table([]column{{t.w.nodeH, 15, false}, {t.w.networkH, 30, false}, {t.w.statusH, 11, false}}, rows)
}

// runType lists the resource types. UNCONFIRMED columns.
func (t *tool) runType() error {
	if t.name != "" {
		rt := ResourceType(t.cl, t.name)
		if rt == nil {
			return TypeNotFound
		}
		switch {
		case t.has("listowners"):
			var names []string
			for _, n := range t.cl.Nodes {
				names = append(names, n.Name)
			}
			t.owners(names)
			return nil
		case t.has("properties"), t.has("privproperties"):
			return t.properties(object{kind: "restype", name: rt.Name, cl: t.cl, restype: rt})
		}
	}
	var names []string
	for _, rt := range t.cl.Types {
		if t.name == "" || strings.EqualFold(t.name, rt.Name) {
			names = append(names, rt.Name)
		}
	}
	sort.Strings(names)
	var rows [][]string
	for _, n := range names {
		rows = append(rows, []string{t.cl.Types[n].Display, n})
	}
	t.table([]column{{t.w.resourceH, 40, false}, {"Type", 40, false}}, rows)
	return nil
}

// properties carries out /prop and /priv: it lists without words, sets name=value[:format], and
// restores defaults with /prop:<names> /usedefault.
//
// The shape of a listing is UNCONFIRMED: columns of 2 (type letter, R behind it when it is
// read-only), 20 (the object), 30 (the name) and 23 (the value); a number is shown as "1200
// (0x4b0)".
func (t *tool) properties(o object) error {
	private := t.has("privproperties")
	op := t.opt("properties")
	if private {
		op = t.opt("privproperties")
	}
	if op == nil {
		return InvalidParameter
	}
	rel := releaseOf(t.c.W, t.cl)
	if t.has("usedefault") {
		if !op.given {
			return InvalidParameter
		}
		var stored error
		for _, n := range list(op.value) {
			if err := t.f.setProperty(t.c, o, n, nil, private); err == PropertiesStored {
				stored = err
			} else if err != nil {
				return err
			}
		}
		return stored
	}
	if len(op.words) == 0 {
		return t.listProperties(o, private, list(op.value))
	}
	var stored error
	for _, w := range op.words {
		name, value, ok := strings.Cut(w, "=")
		if !ok {
			return InvalidParameter
		}
		p, ok := t.f.property(o, rel, strings.TrimSpace(name), private)
		if !ok {
			return InvalidParameter
		}
		v, err := p.fromText(strings.TrimSpace(value))
		if err != nil {
			return err
		}
		if err := t.f.setProperty(t.c, o, p.Name, v, private); err == PropertiesStored {
			stored = err
		} else if err != nil {
			return err
		}
	}
	return stored
}

// formats of a property list by every spelling that the documents show. Source: cc776201.
var formats = map[string]string{"binary": "binary", "dword": "dword", "string": "string", "str": "string",
	"expandstr": "string", "expandstring": "string",
	"multistr": "multistr", "multistring": "multistr", "ularge": "ularge", "security": "binary"}

// fromText reads value[:format]. A format that is not the property's is 5895.
func (p Property) fromText(s string) (any, error) {
	if i := strings.LastIndexByte(s, ':'); i >= 0 {
		if f, ok := formats[strings.ToLower(s[i+1:])]; ok {
			if f != p.Type {
				return nil, PropertyTypeMismatch
			}
			s = s[:i]
		}
	}
	s = strings.Trim(s, `"`)
	if p.Type == "multistr" {
		out := []any{}
		for _, x := range list(s) {
			out = append(out, strings.Trim(x, `"`))
		}
		return out, nil
	}
	return s, nil
}

func (t *tool) listProperties(o object, private bool, only []string) error {
	rel := releaseOf(t.c.W, t.cl)
	format := t.w.listProps
	if private {
		format = t.w.listPrivs
	}
	t.linef(format, "'"+o.name+"'")
	t.line("")
	var rows [][]string
	for _, p := range t.f.table(o, rel, private) {
		if len(only) > 0 && !containsFold(only, p.Name) {
			continue
		}
		v := t.f.value(t.c.W, o, p, private)
		if p.Type == "binary" {
			continue
		}
		letter := map[string]string{"dword": "D", "ularge": "U", "string": "S", "multistr": "M"}[p.Type]
		if p.Access == "ro" {
			letter += "R"
		}
		if l, ok := v.([]any); ok && len(l) > 1 {
			for _, x := range l {
				rows = append(rows, []string{letter, o.name, p.Name, fmt.Sprint(x)})
			}
			continue
		}
		rows = append(rows, []string{letter, o.name, p.Name, shownValue(v)})
	}
	for _, n := range only {
		if _, ok := t.f.property(o, rel, n, private); !ok {
			return InvalidParameter
		}
	}
	head := map[string]string{"node": t.w.nodeH, "group": t.w.groupH, "resource": t.w.resourceH,
		"network": t.w.networkH}[o.kind]
	if head == "" {
		head = "Cluster"
	}
	t.table([]column{{"T", 2, false}, {head, 20, false}, {"Name", 30, false}, {"Value", 23, false}}, rows)
	return nil
}

func shownValue(v any) string {
	switch v := v.(type) {
	case int64:
		return fmt.Sprintf("%d (0x%x)", v, v)
	case []any:
		if len(v) == 1 {
			return fmt.Sprint(v[0])
		}
		return ""
	}
	return fmt.Sprint(v)
}
