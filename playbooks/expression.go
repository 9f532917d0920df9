package playbooks

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/checker/nature"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/types"
	"github.com/expr-lang/expr/vm"

	"deploy/internal/yamlx/shape"
)

// What one expression may cost. A playbook comes from outside: an expression that runs away must
// end as an error.
const (
	maxLength  = 4096    // characters of the text
	maxNodes   = 400     // of its tree
	maxTicks   = 20_000  // rounds of all its loops together
	maxBytes   = 1 << 20 // text that it makes
	maxItems   = 20_000  // list elements that it makes
	hiddenName = "__"    // names with this prefix are ours
)

// scope is what an expression may name: strict has the declared types and finds mistakes; loose
// takes everything that may be absent as "any", since an absent value is nil, and is what runs.
type scope struct {
	strict, loose types.Map
	words         []string // every declared key, for suggestions
}

// with returns the scope and one more name.
func (s scope) with(name string, strict, loose types.Type) scope {
	out := scope{types.Map{}, types.Map{}, s.words}
	for k := range s.strict {
		out.strict[k], out.loose[k] = s.strict[k], s.loose[k]
	}
	out.strict[name], out.loose[name] = strict, loose
	return out
}

// expression is a compiled text.
type expression struct {
	text   string
	place  place
	prog   *vm.Program
	strict nature.Nature // of the result
	loose  nature.Nature
	names  map[string]int // the variables that it reads
	paths  []string       // the dotted paths that it reads: "parameters.cluster.name"
}

// budget is what is left for one evaluation. Its methods are called from within expressions.
type budget struct{ ticks, bytes, items int }

var errRunaway = errors.New("the expression is too expensive")

func (b *budget) tick() (bool, error) {
	if b.ticks--; b.ticks < 0 {
		return false, errRunaway
	}
	return true, nil
}

func (b *budget) grow(n int) error {
	if b.bytes -= n; b.bytes < 0 || n < 0 {
		return errRunaway
	}
	return nil
}

func (b *budget) list(n int) error {
	if b.items -= n; b.items < 0 || n < 0 {
		return errRunaway
	}
	return nil
}

// exprError is a mistake at a place within an expression's text.
type exprError struct {
	offset    int // in characters
	msg, hint string
}

func (e *exprError) Error() string { return e.msg }

// compile checks and compiles text. want is "", "bool", "list" or "nodes".
func compile(text string, at place, s scope, want string) (*expression, error) {
	if strings.TrimSpace(text) == "" {
		return nil, &exprError{msg: "an empty expression", hint: "write an expression, or remove the key"}
	}
	if len(text) > maxLength {
		return nil, &exprError{msg: fmt.Sprintf("an expression of %d characters; %d are allowed", len(text), maxLength),
			hint: "make a parameter of it, or several steps"}
	}
	e := &expression{text: text, place: at}
	strict, look, err := build(text, s.strict)
	if look.err != nil {
		return nil, look.err
	}
	if err != nil {
		return nil, explain(text, err, s)
	}
	loose, _, err := build(text, s.loose)
	if err != nil {
		return nil, explain(text, err, s)
	}
	e.prog, e.names, e.paths = loose, look.names, look.longest()
	e.strict, e.loose = *strict.Node().Nature(), *loose.Node().Nature()
	if msg := e.result(want); msg != "" {
		return nil, &exprError{msg: msg, hint: wantHint(want)}
	}
	return e, nil
}

// result says what is wrong with the type of the result, or "".
func (e *expression) result(want string) string {
	n := e.strict
	if n.Nil || n.Type == nil || n.Kind == reflect.Interface {
		return "" // known only when it runs
	}
	ok := true
	switch want {
	case "bool":
		ok = n.Kind == reflect.Bool
	case "list":
		ok = n.Kind == reflect.Slice
	case "nodes":
		ok = n.Kind == reflect.Slice || n.Kind == reflect.Map || n.Kind == reflect.String
	}
	if ok {
		return ""
	}
	return fmt.Sprintf("gives %s, not %s", typeWord(n), map[string]string{"bool": "true or false", "list": "a list",
		"nodes": "a node or a list of nodes"}[want])
}

func wantHint(want string) string {
	switch want {
	case "bool":
		return "compare with something: ${{ len(role.cluster) > 2 }}"
	case "list":
		return "name a parameter that is a list: ${{ parameters.disks }}"
	}
	return "write role.NAME, nodes, first(role.NAME) or node('name')"
}

func typeWord(n nature.Nature) string {
	switch n.Kind {
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "text"
	case reflect.Slice:
		return "a list"
	case reflect.Map:
		return "a map"
	case reflect.Int, reflect.Float64:
		return "a number"
	}
	return n.String()
}

func build(text string, env types.Map) (*vm.Program, *visitor, error) {
	look := &visitor{names: map[string]int{}}
	opts := []expr.Option{expr.Env(env), expr.MaxNodes(maxNodes), expr.Optimize(false), expr.DisableAllBuiltins(),
		expr.DisableIfOperator()}
	for _, name := range builtins() {
		opts = append(opts, expr.EnableBuiltin(name))
	}
	opts = append(opts, functions()...)
	opts = append(opts, expr.Patch(look))
	prog, err := expr.Compile(text, opts...)
	return prog, look, err
}

// visitor notes what an expression names and rewrites it: every round of a loop spends budget, text
// is joined within the budget, and first, last, rest and node keep the types of what they give.
type visitor struct {
	names map[string]int
	paths []string
	err   error
}

// Visit is called for every part, the inner ones first.
func (v *visitor) Visit(n *ast.Node) {
	switch x := (*n).(type) {
	case *ast.IdentifierNode:
		if strings.HasPrefix(x.Value, hiddenName) || x.Value == "$env" {
			v.refuse(x, x.Value, "names that begin with "+hiddenName+" or $ are not for playbooks")
		}
		v.names[x.Value]++
	case *ast.MemberNode:
		if path := chain(x); path != "" {
			v.paths = append(v.paths, path)
		}
	case *ast.PredicateNode:
		x.Node = ticked(x.Node)
	case *ast.BuiltinNode:
		switch {
		case !slices.Contains(builtins(), x.Name):
			// the library cannot switch off reduce and groupBy
			v.refuse(x, x.Name, shape.Suggest(x.Name, builtins()))
		case x.Name == "first" && len(x.Arguments) == 1:
			v.find(n, "find", x.Arguments[0])
		case x.Name == "last" && len(x.Arguments) == 1:
			v.find(n, "findLast", x.Arguments[0])
		}
	case *ast.CallNode:
		v.call(n, x)
	case *ast.BinaryNode:
		if x.Operator == "+" && textual(x.Left) && textual(x.Right) {
			name := "__add"
			if x.Left.Type().Kind() == reflect.String || x.Right.Type().Kind() == reflect.String {
				name = "__join"
			}
			at := x.Location()
			ast.Patch(n, &ast.CallNode{Callee: ident(name, at), Arguments: []ast.Node{ident("__budget", at), x.Left, x.Right}})
		}
	}
}

func (v *visitor) refuse(n ast.Node, name, hint string) {
	if v.err == nil {
		v.err = &exprError{offset: n.Location().From, msg: fmt.Sprintf("unknown name %q", name), hint: hint}
	}
}

// textual says that a part may be text: it is, or its type is not known.
func textual(n ast.Node) bool {
	k := n.Type().Kind()
	return k == reflect.String || k == reflect.Interface
}

func ident(name string, at file.Location) ast.Node {
	n := &ast.IdentifierNode{Value: name}
	n.SetLocation(at)
	return n
}

// ticked makes "tick; body" of a loop's body.
func ticked(body ast.Node) ast.Node {
	at := body.Location()
	call := &ast.CallNode{Callee: ident("__tick", at), Arguments: []ast.Node{ident("__budget", at)}}
	call.SetLocation(at)
	seq := &ast.SequenceNode{Nodes: []ast.Node{call, body}}
	seq.SetLocation(at)
	return seq
}

// find rewrites first(x) as find(x, true): it gives nil for an empty list and keeps the type of the
// elements.
func (v *visitor) find(n *ast.Node, how string, list ast.Node) {
	yes := &ast.BoolNode{Value: true}
	yes.SetLocation(list.Location())
	pred := &ast.PredicateNode{Node: yes}
	pred.SetLocation(list.Location())
	ast.Patch(n, &ast.BuiltinNode{Name: how, Arguments: []ast.Node{list, pred}})
}

func (v *visitor) call(n *ast.Node, x *ast.CallNode) {
	callee, ok := x.Callee.(*ast.IdentifierNode)
	if !ok {
		return
	}
	switch {
	case callee.Value == "node" && len(x.Arguments) == 1:
		v.names["node"]-- // the function, not the variable
		ast.Patch(n, &ast.MemberNode{Node: ident("__nodes", x.Location()), Property: x.Arguments[0]})
	case callee.Value == "rest" && len(x.Arguments) == 1:
		one := &ast.IntegerNode{Value: 1}
		one.SetLocation(x.Location())
		ast.Patch(n, &ast.SliceNode{Node: x.Arguments[0], From: one})
	case slices.Contains(budgeted(), callee.Value):
		x.Arguments = append([]ast.Node{ident("__budget", x.Location())}, x.Arguments...)
	}
}

// chain answers the dotted path of a.b.c, or "".
func chain(n ast.Node) string {
	switch x := n.(type) {
	case *ast.IdentifierNode:
		return x.Value
	case *ast.ChainNode:
		return chain(x.Node)
	case *ast.MemberNode:
		p, ok := x.Property.(*ast.StringNode)
		if base := chain(x.Node); ok && base != "" {
			return base + "." + p.Value
		}
	}
	return ""
}

// longest drops the paths that only lead to a longer one.
func (v *visitor) longest() []string {
	var out []string
	for _, p := range v.paths {
		lead := slices.ContainsFunc(v.paths, func(q string) bool { return strings.HasPrefix(q, p+".") })
		if !lead && !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out
}

// lastWord finds the name in the library's "unknown name x" and "unknown field x".
var lastWord = regexp.MustCompile(`^(?:unknown (?:name|field) |type .* has no (?:field|method) )(\S+)$`)

// explain makes our error of the library's, with a suggestion for a misspelt name.
func explain(text string, err error, s scope) error {
	var fe *file.Error
	if !errors.As(err, &fe) {
		return &exprError{msg: strings.SplitN(err.Error(), "\n", 2)[0], hint: "make the expression shorter or simpler"}
	}
	out := &exprError{offset: fe.From, msg: fe.Message,
		hint: "check the expression; text within it needs its own quotes"}
	if strings.Contains(fe.Message, "mismatched types") || strings.Contains(fe.Message, "cannot use") {
		out.hint = "compare and join values of one type; string(x) and int(x) convert"
	}
	m := lastWord.FindStringSubmatch(fe.Message)
	if m == nil {
		return out
	}
	known := knownAt(text, fe.From, s)
	out.msg = fmt.Sprintf("unknown name %q", m[1])
	out.hint = shape.Suggest(m[1], known)
	return out
}

// leading finds the dotted path that stands before a dot.
var leading = regexp.MustCompile(`[A-Za-z_][A-Za-z0-9_.]*$`)

// knownAt lists the names that are possible at a place: the keys of what stands before the dot, or
// else everything.
func knownAt(text string, offset int, s scope) []string {
	runes := []rune(text)
	before := string(runes[:min(max(offset, 0), len(runes))])
	if lead, ok := strings.CutSuffix(before, "."); ok {
		fields := s.strict
		for _, step := range strings.Split(leading.FindString(strings.TrimSuffix(lead, "?")), ".") {
			inner, isMap := fields[step].(types.Map)
			if !isMap {
				return s.words
			}
			fields = inner
		}
		return keysOf(fields)
	}
	names := append(keysOf(s.strict), builtins()...)
	for _, f := range ownFunctions() {
		names = append(names, f.name)
	}
	return names
}

func keysOf(m types.Map) []string {
	var out []string
	for k := range m {
		if !strings.HasPrefix(k, hiddenName) && k != types.Extra {
			out = append(out, k)
		}
	}
	slices.Sort(out)
	return out
}
