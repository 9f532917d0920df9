package playbooks

import (
	"deploy/internal/yamlx"
)

// value is data of a playbook in which texts may hold expressions.
type value struct {
	node  *yamlx.Node
	text  *texts // a text with expressions
	plain any    // another scalar
	keys  []string
	items []*value
}

// compileValue compiles the expressions within a node.
func (r *reader) compileValue(n *yamlx.Node, sc scope) *value {
	v := &value{node: n}
	switch n.Kind {
	case yamlx.Scalar:
		s, ok := n.Value.(string)
		if !ok {
			v.plain = n.Value
			return v
		}
		t, err := compileText(s, r.place(n), sc, "")
		if err != nil {
			r.list.Add(r.place(n).err(err))
			return v
		}
		v.text = t
	case yamlx.Map, yamlx.Seq:
		v.keys = n.Keys
		for i, x := range n.Items {
			switch {
			case x.IsNull() && n.Kind == yamlx.Map:
				// lines that are all remarks leave a key without a value: nobody means "empty" by that
				r.list.AtKey(r.file, x, "write a value, or remove the key", "%q has no value", n.Keys[i])
			case x.IsNull():
				r.list.At(r.file, x, "remove the dash or write a value after it", "an empty item in a list")
			}
			v.items = append(v.items, r.compileValue(x, sc))
		}
	}
	return v
}

// eval gives the data. A key or element whose expression gives nothing is left out: that is how an
// optional parameter is handed on. Errors go to report.
func (v *value) eval(vars variables, report func(*yamlx.Node, error)) any {
	if v == nil {
		return nil
	}
	switch v.node.Kind {
	case yamlx.Map:
		out := map[string]any{}
		for i, k := range v.keys {
			if x := v.items[i].eval(vars, report); x != nil {
				out[k] = x
			}
		}
		return out
	case yamlx.Seq:
		out := []any{}
		for _, item := range v.items {
			if x := item.eval(vars, report); x != nil {
				out = append(out, x)
			}
		}
		return out
	case yamlx.Scalar:
		if v.text == nil {
			return v.plain
		}
		x, err := v.text.eval(vars)
		if err != nil {
			report(v.node, err)
		}
		return x
	}
	return nil
}

// find follows a path of keys and indexes ("[2]") as far as it is written in the file. The second
// value says that the whole path was found.
func (v *value) find(path []string) (*value, bool) {
	for _, step := range path {
		var next *value
		switch v.node.Kind {
		case yamlx.Map:
			for j, k := range v.keys {
				if k == step {
					next = v.items[j]
				}
			}
		case yamlx.Seq:
			if j := index(step); j >= 0 && j < len(v.items) {
				next = v.items[j]
			}
		}
		if next == nil {
			return v, false
		}
		v = next
	}
	return v, true
}

// index reads "[2]"; -1 means that it is no index.
func index(step string) int {
	if len(step) < 3 || step[0] != '[' || step[len(step)-1] != ']' {
		return -1
	}
	n := 0
	for _, c := range step[1 : len(step)-1] {
		if c < '0' || c > '9' || n > 1<<20 {
			return -1
		}
		n = n*10 + int(c-'0')
	}
	return n
}
