package playbooks

import (
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/expr-lang/expr"

	"deploy/internal/nearest"
)

// builtins are the library's functions that playbooks may use: those that make nothing large and do
// not look at the world.
func builtins() []string {
	return []string{"all", "none", "any", "one", "filter", "map", "find", "findIndex", "findLast", "findLastIndex",
		"count", "sum", "sortBy",
		"len", "abs", "ceil", "floor", "round", "int", "float", "string", "trim", "trimPrefix", "trimSuffix", "upper",
		"lower", "split",
		"indexOf", "lastIndexOf", "hasPrefix", "hasSuffix", "max", "min", "first", "last", "get", "take",
		"reverse", "sort", "flatten"}
}

// Function documents a function of the language that is not the library's own.
type Function struct{ Name, Usage, Doc string }

// function is one of ours.
type function struct {
	name, usage, doc string
	call             func(args ...any) (any, error)
	typ              any
	budgeted         bool // its first argument is the budget; users do not see it
}

// Functions lists what playbooks may call besides the library's functions.
func Functions() []Function {
	out := []Function{
		{"first", "first(list)", "the first element, or nil"},
		{"last", "last(list)", "the last element, or nil"},
		{"rest", "rest(list)", "all but the first element"},
		{"node", "node(name)", "the node of that name, or nil"},
	}
	for _, f := range ownFunctions() {
		if !strings.HasPrefix(f.name, hiddenName) {
			out = append(out, Function{f.name, f.usage, f.doc})
		}
	}
	return out
}

// Builtins lists the library's functions that playbooks may call, in alphabetical order.
func Builtins() []string { return slices.Sorted(slices.Values(builtins())) }

func ownFunctions() []function {
	return []function{
		{name: "even", usage: "even(number)", doc: "whether it is even", typ: new(func(int) bool),
			call: func(a ...any) (any, error) { return whole(a[0])%2 == 0, nil }},
		{name: "odd", usage: "odd(number)", doc: "whether it is odd", typ: new(func(int) bool),
			call: func(a ...any) (any, error) { return whole(a[0])%2 != 0, nil }},
		{name: "unique", usage: "unique(list)", doc: "the list without repeated values; texts are compared without case",
			typ: new(func(any) []any), call: unique},
		{name: "concat", usage: "concat(list, list, ...)", doc: "one list of all", typ: new(func(*budget, ...any) []any),
			call: concat, budgeted: true},
		{name: "keys", usage: "keys(map)", doc: "the keys of a map, sorted", typ: new(func(any) []any),
			call: func(a ...any) (any, error) { return ofMap(a[0], func(k string, _ any) any { return k }) }},
		{name: "values", usage: "values(map)", doc: "the values of a map, in the order of its keys",
			typ:  new(func(any) []any),
			call: func(a ...any) (any, error) { return ofMap(a[0], func(_ string, v any) any { return v }) }},
		{name: "join", usage: "join(list, separator)", doc: "one text of a list of texts",
			typ: new(func(*budget, any, string) string), call: join, budgeted: true},
		{name: "replace", usage: "replace(text, old, new)", doc: "the text with every old replaced by new",
			typ: new(func(*budget, string, string, string) string), call: replace, budgeted: true},
		{name: "cidr_address", usage: "cidr_address('10.0.0.1/24')", doc: "the address: 10.0.0.1",
			typ: new(func(string) string), call: cidr(func(p netip.Prefix) any { return p.Addr().String() })},
		{name: "cidr_network", usage: "cidr_network('10.0.0.1/24')", doc: "the network: 10.0.0.0",
			typ: new(func(string) string), call: cidr(func(p netip.Prefix) any { return p.Masked().Addr().String() })},
		{name: "cidr_mask", usage: "cidr_mask('10.0.0.1/24')", doc: "the mask: 255.255.255.0", typ: new(func(string) string),
			call: cidr(func(p netip.Prefix) any { return mask(p.Bits()) })},
		{name: "cidr_prefix", usage: "cidr_prefix('10.0.0.1/24')", doc: "the prefix length: 24", typ: new(func(string) int),
			call: cidr(func(p netip.Prefix) any { return p.Bits() })},
		{name: "cidr_broadcast", usage: "cidr_broadcast('10.0.0.1/24')",
			doc: "the last address, which reaches all of the network: 10.0.0.255", typ: new(func(string) string),
			call: cidr(func(p netip.Prefix) any { return broadcast(p) })},
		{name: "duplicates", usage: "duplicates(list, 'field')",
			doc: "the values that a field has in more than one element, each with these elements: [{value, items, indexes}]; " +
				"texts are compared without case", typ: new(func(any, string) []any), call: duplicates},
		{name: "nearest", usage: "nearest(text, list)", doc: "the text of the list that was probably meant, or ''",
			typ: new(func(string, any) string), call: nearestOf},
		{name: "cidr_contains", usage: "cidr_contains('10.0.0.0/24', '10.0.0.1')", doc: "whether the network has the address",
			typ: new(func(string, string) bool), call: cidrContains},
		{name: "cidr_overlaps", usage: "cidr_overlaps('10.0.0.0/24', '10.0.0.0/16')",
			doc: "whether the networks share an address", typ: new(func(string, string) bool), call: cidrOverlaps},
		{name: "__tick", typ: new(func(*budget) bool), call: func(a ...any) (any, error) { return a[0].(*budget).tick() }},
		{name: "__join", typ: new(func(*budget, any, any) string), call: joinTwo},
		{name: "__add", typ: new(func(*budget, any, any) any), call: add},
	}
}

func budgeted() []string {
	var out []string
	for _, f := range ownFunctions() {
		if f.budgeted {
			out = append(out, f.name)
		}
	}
	return out
}

func functions() []expr.Option {
	var out []expr.Option
	for _, f := range ownFunctions() {
		out = append(out, expr.Function(f.name, f.call, f.typ))
	}
	return out
}

func whole(v any) int {
	switch n := v.(type) {
	case int:
		return n
	case float64:
		return int(n)
	}
	return 0
}

// items gives the elements of any list.
func items(v any) ([]any, error) {
	if list, ok := v.([]any); ok {
		return list, nil
	}
	if v == nil {
		return nil, nil
	}
	r := reflect.ValueOf(v)
	if r.Kind() != reflect.Slice {
		return nil, fmt.Errorf("%s is not a list", valueWord(v))
	}
	out := make([]any, r.Len())
	for i := range out {
		out[i] = r.Index(i).Interface()
	}
	return out, nil
}

func unique(a ...any) (any, error) {
	list, err := items(a[0])
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	out := []any{}
	for _, v := range list {
		key := fmt.Sprintf("%T %s", v, strings.ToLower(fmt.Sprint(v)))
		if !seen[key] {
			seen[key] = true
			out = append(out, v)
		}
	}
	return out, nil
}

func concat(a ...any) (any, error) {
	b := a[0].(*budget)
	out := []any{}
	for _, v := range a[1:] {
		list, err := items(v)
		if err != nil {
			return nil, err
		}
		if err := b.list(len(list)); err != nil {
			return nil, err
		}
		out = append(out, list...)
	}
	return out, nil
}

func join(a ...any) (any, error) {
	list, err := items(a[1])
	if err != nil {
		return nil, err
	}
	sep := a[2].(string)
	parts := make([]string, len(list))
	size := 0
	for i, v := range list {
		s, ok := scalarText(v)
		if !ok {
			return nil, fmt.Errorf("cannot join %s", valueWord(v))
		}
		parts[i] = s
		size += len(s) + len(sep)
	}
	if err := a[0].(*budget).grow(size); err != nil {
		return nil, err
	}
	return strings.Join(parts, sep), nil
}

func replace(a ...any) (any, error) {
	s, old, with := a[1].(string), a[2].(string), a[3].(string)
	if err := a[0].(*budget).grow(len(s) + strings.Count(s, old)*len(with)); err != nil {
		return nil, err
	}
	return strings.ReplaceAll(s, old, with), nil
}

func joinTwo(a ...any) (any, error) {
	x, xok := a[1].(string)
	y, yok := a[2].(string)
	if !xok || !yok {
		return nil, fmt.Errorf("cannot add %s and %s", valueWord(a[1]), valueWord(a[2]))
	}
	if err := a[0].(*budget).grow(len(x) + len(y)); err != nil {
		return nil, err
	}
	return x + y, nil
}

// add adds two values whose types are known only now.
func add(a ...any) (any, error) {
	if _, ok := a[1].(string); ok {
		return joinTwo(a...)
	}
	switch x := a[1].(type) {
	case int:
		switch y := a[2].(type) {
		case int:
			return x + y, nil
		case float64:
			return float64(x) + y, nil
		}
	case float64:
		switch y := a[2].(type) {
		case int:
			return x + float64(y), nil
		case float64:
			return x + y, nil
		}
	}
	return nil, fmt.Errorf("cannot add %s and %s", valueWord(a[1]), valueWord(a[2]))
}

func prefix(v any) (netip.Prefix, error) {
	s, _ := v.(string)
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, fmt.Errorf("%q is not an address with a prefix length like 10.0.0.1/24", s)
	}
	return p, nil
}

func cidr(get func(netip.Prefix) any) func(...any) (any, error) {
	return func(a ...any) (any, error) {
		p, err := prefix(a[0])
		if err != nil {
			return nil, err
		}
		return get(p), nil
	}
}

func broadcast(p netip.Prefix) string {
	b := p.Masked().Addr().As4()
	for bit := p.Bits(); bit < 32; bit++ {
		b[bit/8] |= 1 << (7 - bit%8)
	}
	return netip.AddrFrom4(b).String()
}

// ofMap makes a list of a map in the order of its keys. The library's own keys and values come in
// another order each time, so a plan of an unchanged site would not be the same twice.
func ofMap(v any, get func(string, any) any) (any, error) {
	m, ok := v.(map[string]any)
	if !ok && v != nil {
		return nil, fmt.Errorf("%s is not a map", valueWord(v))
	}
	out := []any{}
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, get(k, m[k]))
	}
	return out, nil
}

func duplicates(a ...any) (any, error) {
	list, err := items(a[0])
	if err != nil {
		return nil, err
	}
	field := a[1].(string)
	byValue, places := map[string][]any{}, map[string][]any{}
	var order []any
	for i, x := range list {
		m, ok := x.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("%s has no field %s", valueWord(x), field)
		}
		if m[field] == nil {
			continue
		}
		k := strings.ToLower(fmt.Sprint(m[field]))
		if byValue[k] == nil {
			order = append(order, m[field])
		}
		byValue[k], places[k] = append(byValue[k], x), append(places[k], i)
	}
	out := []any{}
	for _, v := range order {
		k := strings.ToLower(fmt.Sprint(v))
		if found := byValue[k]; len(found) > 1 {
			out = append(out, map[string]any{"value": v, "items": found, "indexes": places[k]})
		}
	}
	return out, nil
}

func nearestOf(a ...any) (any, error) {
	list, err := items(a[1])
	if err != nil {
		return nil, err
	}
	var words []string
	for _, x := range list {
		if s, ok := x.(string); ok {
			words = append(words, s)
		}
	}
	return nearest.Of(a[0].(string), words), nil
}

// mask writes an IPv4 prefix length as Windows wants it.
func mask(bits int) string {
	m := ^uint32(0) << (32 - bits)
	if bits == 0 {
		m = 0
	}
	return netip.AddrFrom4([4]byte{byte(m >> 24), byte(m >> 16), byte(m >> 8), byte(m)}).String()
}

func cidrContains(a ...any) (any, error) {
	p, err := prefix(a[0])
	if err != nil {
		return nil, err
	}
	s, _ := a[1].(string)
	addr, err := netip.ParseAddr(s)
	if err != nil {
		return nil, fmt.Errorf("%q is not an IP address", s)
	}
	return p.Contains(addr), nil
}

func cidrOverlaps(a ...any) (any, error) {
	p, err := prefix(a[0])
	if err != nil {
		return nil, err
	}
	q, err := prefix(a[1])
	if err != nil {
		return nil, err
	}
	return p.Masked().Overlaps(q.Masked()), nil
}

// scalarText writes a scalar as text.
func scalarText(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case int:
		return strconv.Itoa(v), true
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), true
	}
	return "", false
}

func valueWord(v any) string {
	switch v.(type) {
	case nil:
		return "nothing"
	case string:
		return "text"
	case bool:
		return "a truth value"
	case int, float64:
		return "a number"
	case map[string]any:
		return "a map"
	}
	if reflect.TypeOf(v).Kind() == reflect.Slice {
		return "a list"
	}
	return fmt.Sprintf("%T", v)
}
