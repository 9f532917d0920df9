package playbooks

import (
	"reflect"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/checker/nature"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/types"

	"deploy/internal/yamlx"
	"deploy/internal/yamlx/shape"
)

// newScope makes the variables that every expression of a playbook can read.
func newScope(pb *Playbook) scope {
	out := scope{strict: types.Map{}, loose: types.Map{}}
	out.words = append(words(pb.Parameters), words(pb.NodeParameters)...)
	out.words = append(out.words, "name", "address", "transport", "roles", "parameters")
	build := func(m types.Map, loose bool) {
		n := types.Map{"name": types.String, "address": types.String, "transport": types.String,
			"roles":      types.Array(types.String),
			"parameters": typeOf(pb.NodeParameters, loose)}
		roles := types.Map{}
		for _, r := range pb.Roles {
			roles[r.Name] = types.Array(n)
		}
		m["parameters"] = typeOf(pb.Parameters, loose)
		m["role"] = roles
		m["nodes"] = types.Array(n)
		m["site"] = types.String
		m["lab"] = types.Map{"os": types.Map{types.Extra: types.String}, "domain": types.String, "locale": types.String}
		m["__nodes"] = types.Map{types.Extra: n}
		m["__budget"] = types.TypeOf(&budget{})
	}
	build(out.strict, false)
	build(out.loose, true)
	return out
}

// nodeTypes gives the types of the variable node.
func nodeTypes(sc scope) (strict, loose types.Type) {
	return sc.strict["__nodes"].(types.Map)[types.Extra], sc.loose["__nodes"].(types.Map)[types.Extra]
}

// typeOf gives the type of a declared value in expressions. When loose, what may be absent can be
// anything.
func typeOf(t *shape.Type, loose bool) types.Type {
	switch t.Kind {
	case "integer", "size":
		return types.Int
	case "number":
		return types.Float64
	case "boolean":
		return types.Bool
	case "any":
		return types.Any
	case "list":
		return types.Array(typeOf(t.Of, loose))
	case "map":
		return types.Map{types.Extra: typeOf(t.Of, loose)}
	case "object":
		out := types.Map{}
		for _, f := range t.Fields {
			if loose && !f.Type.Required && f.Type.Absent() == nil {
				out[f.Name] = types.Any
				continue
			}
			out[f.Name] = typeOf(f.Type, loose)
		}
		return out
	}
	return types.String
}

func words(t *shape.Type) []string {
	if t == nil {
		return nil
	}
	out := t.FieldNames()
	for _, f := range t.Fields {
		out = append(out, words(f.Type)...)
	}
	return append(out, words(t.Of)...)
}

// elementType is the type of the elements of a list whose nature is known from a compiled
// expression.
type elementType struct{ n nature.Nature }

func (e elementType) Nature() nature.Nature { return e.n }

// Equal is asked only of types that were written in Go; two of ours are never compared.
func (e elementType) Equal(types.Type) bool { return false }

func (e elementType) String() string { return e.n.String() }

func elementOf(list nature.Nature) types.Type {
	if list.Type == nil || !list.IsArray() {
		return types.Any
	}
	elem := list.Elem(&nature.Cache{})
	if elem.Type == nil || elem.Kind == reflect.Interface {
		return types.Any
	}
	return elementType{elem}
}

// each compiles what a step or rule is repeated for, and gives the scope with item and index.
func (r *reader) each(n *yamlx.Node, sc scope) (*each, scope) {
	if n.IsNull() {
		return nil, sc
	}
	out := &each{node: n}
	var strict, loose types.Type = types.Any, types.Any
	if n.Kind == yamlx.Seq {
		out.list = r.compileValue(n, sc)
	} else {
		out.expr = r.expression(n, sc, "list")
		if e := out.expr; e != nil && e.whole() {
			strict, loose = elementOf(e.parts[0].expr.strict), elementOf(e.parts[0].expr.loose)
		}
	}
	return out, sc.with("item", strict, loose).with("index", types.Int, types.Int)
}

// expression compiles a key that is always an expression; the braces may be left out.
func (r *reader) expression(n *yamlx.Node, sc scope, want string) *texts {
	if n.IsNull() {
		return nil
	}
	at := r.place(n)
	s := n.Text()
	var t *texts
	var err error
	if strings.Contains(s, "${{") {
		t, err = compileText(strings.TrimRight(s, "\n"), at, sc, want)
		if err == nil && !t.whole() {
			err = &exprError{msg: "text around an expression", hint: "write one expression, with nothing around ${{ }}"}
		}
	} else {
		var e *expression
		e, err = compile(s, at, sc, want)
		t = &texts{parts: []textPart{{expr: e}}, place: at}
	}
	if err != nil {
		r.list.Add(at.err(err))
		return nil
	}
	return t
}

// text compiles a key that is a text with expressions in it.
func (r *reader) text(n *yamlx.Node, sc scope) *texts {
	if n.IsNull() {
		return nil
	}
	t, err := compileText(n.Text(), r.place(n), sc, "")
	if err != nil {
		r.list.Add(r.place(n).err(err))
		return nil
	}
	return t
}

// mentions says that the expressions of a scalar or list read a variable. Expressions that cannot
// be read are reported later.
func mentions(n *yamlx.Node, name string) bool {
	found := false
	n.Walk("", func(path string, x *yamlx.Node) {
		parts, err := split(x.Text())
		if err != nil {
			return
		}
		bare := path == "" && len(parts) == 1 // the braces may be left out
		for _, p := range parts {
			if !p.expr && !bare {
				continue
			}
			if tree, err := parser.Parse(p.text); err == nil {
				look := &visitor{names: map[string]int{}}
				ast.Walk(&tree.Node, look)
				found = found || look.names[name] > 0
			}
		}
	})
	return found
}
