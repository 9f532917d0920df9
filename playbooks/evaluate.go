package playbooks

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/vm"
)

// variables are what an expression can read, by name.
type variables map[string]any

func (v variables) with(name string, value any) variables {
	out := make(variables, len(v)+1)
	for k, x := range v {
		out[k] = x
	}
	out[name] = value
	return out
}

// eval runs an expression. The result is plain data.
func (e *expression) eval(vars variables) (any, error) {
	env := map[string]any(vars.with("__budget", &budget{maxTicks, maxBytes, maxItems}))
	machine := vm.VM{MemoryBudget: maxItems * 5}
	out, err := machine.Run(e.prog, env)
	if err != nil {
		return nil, e.runError(err)
	}
	return plain(out, 0)
}

func (e *expression) runError(err error) error {
	if errors.Is(err, errRunaway) || strings.Contains(err.Error(), "memory budget exceeded") {
		return &exprError{msg: "the expression is too expensive", hint: "loop over fewer values, or make them a parameter"}
	}
	msg := strings.SplitN(err.Error(), "\n", 2)[0]
	offset := 0
	var fe *file.Error
	if errors.As(err, &fe) {
		offset, msg = fe.From, fe.Message
	}
	hintText := "check the values that it reads: " + strings.Join(e.paths, ", ")
	if strings.Contains(msg, "<nil>") || strings.Contains(msg, "nil pointer") || strings.Contains(msg, "from nil") {
		msg = "a value that the expression needs is not given"
		hintText = "give the parameter in the site file"
		if len(e.paths) > 0 {
			hintText = "it reads " + strings.Join(e.paths, ", ") + "; give them in the site file, or use ?? and ?. for what " +
				"may be absent"
		}
	}
	return &exprError{offset: offset, msg: "cannot evaluate: " + msg, hint: hintText}
}

// maxNesting bounds the depth of a result.
const maxNesting = 64

// plain turns a result into plain data: nil, string, bool, int, float64, []any, map[string]any.
func plain(v any, depth int) (any, error) {
	if depth > maxNesting {
		return nil, &exprError{msg: "gives data that is nested too deeply", hint: "give a text, a number, a list or a map"}
	}
	switch v := v.(type) {
	case nil, string, bool, int, float64:
		return v, nil
	case int64:
		return int(v), nil
	}
	r := reflect.ValueOf(v)
	switch r.Kind() {
	case reflect.Slice:
		out := make([]any, r.Len())
		for i := range out {
			x, err := plain(r.Index(i).Interface(), depth+1)
			if err != nil {
				return nil, err
			}
			out[i] = x
		}
		return out, nil
	case reflect.Map:
		out := make(map[string]any, r.Len())
		for _, k := range r.MapKeys() {
			x, err := plain(r.MapIndex(k).Interface(), depth+1)
			if err != nil {
				return nil, err
			}
			out[fmt.Sprint(k.Interface())] = x
		}
		return out, nil
	}
	return nil, &exprError{msg: fmt.Sprintf("gives %s, which a playbook cannot use", r.Type()),
		hint: "give a text, a number, a list or a map"}
}

// texts is a text with expressions, compiled.
type texts struct {
	parts []textPart
	place place
}

type textPart struct {
	plain string
	expr  *expression
}

// whole says that the text is one expression and nothing else; it then keeps its type.
func (t *texts) whole() bool { return len(t.parts) == 1 && t.parts[0].expr != nil }

// compileText compiles a text that may hold expressions.
func compileText(s string, at place, sc scope, want string) (*texts, error) {
	parts, err := split(s)
	if err != nil {
		return nil, err
	}
	out := &texts{place: at}
	for _, p := range parts {
		if !p.expr {
			out.parts = append(out.parts, textPart{plain: p.text})
			continue
		}
		here := at
		here.start += p.start
		w := want
		if len(parts) > 1 {
			w = ""
		}
		e, err := compile(p.text, here, sc, w)
		if err != nil {
			var x *exprError
			if errors.As(err, &x) {
				x.offset += p.start
			}
			return nil, err
		}
		out.parts = append(out.parts, textPart{expr: e})
	}
	return out, nil
}

// eval gives the value of a text: of any type when it is one expression, else a text.
func (t *texts) eval(vars variables) (any, error) {
	if t.whole() {
		v, err := t.parts[0].expr.eval(vars)
		return v, t.shift(t.parts[0].expr, err)
	}
	var b strings.Builder
	for _, p := range t.parts {
		if p.expr == nil {
			b.WriteString(p.plain)
			continue
		}
		v, err := p.expr.eval(vars)
		if err != nil {
			return nil, t.shift(p.expr, err)
		}
		s, ok := scalarText(v)
		if !ok {
			return nil, t.shift(p.expr, &exprError{msg: fmt.Sprintf("gives %s, which cannot be part of a text", valueWord(v)),
				hint: "give a text or a number"})
		}
		b.WriteString(s)
	}
	return b.String(), nil
}

// shift counts an error's place from the beginning of the scalar.
func (t *texts) shift(e *expression, err error) error {
	var x *exprError
	if err != nil && errors.As(err, &x) {
		moved := *x
		moved.offset += e.place.start - t.place.start
		return &moved
	}
	return err
}

// names tells whether a variable is read.
func (t *texts) reads(name string) bool {
	for _, p := range t.parts {
		if p.expr != nil && p.expr.names[name] > 0 {
			return true
		}
	}
	return false
}

// paths lists the dotted paths that are read.
func (t *texts) paths() []string {
	var out []string
	for _, p := range t.parts {
		if p.expr != nil {
			out = append(out, p.expr.paths...)
		}
	}
	return out
}
