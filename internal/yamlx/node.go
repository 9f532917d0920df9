package yamlx

import (
	"fmt"
	"strconv"
)

// Kind is the form of a node.
type Kind int

// The kinds. Null is a key without a value, or null, or ~.
const (
	Null Kind = iota
	Scalar
	Seq
	Map
)

// Node is one value of a file, with its place. Aliases are expanded; keys are always text.
type Node struct {
	Kind      Kind
	Line, Col int // where the value begins
	// KeyLine and KeyCol are where the key begins under which the value stands; 0 for a list item and
	// for the root.
	KeyLine, KeyCol int

	// Value of a scalar: string, int, float64 or bool.
	Value any
	Raw   string // a scalar as written, without quotes
	Style Style  // how a scalar was written

	Keys  []string // of a map, in the order of the file
	Items []*Node  // of a list; of a map: the value of each key
}

// Style is how a scalar was written. It decides how a place within the text is found.
type Style int

// The styles.
const (
	Plain Style = iota
	SingleQuoted
	DoubleQuoted
	Block // | or >
)

// Get returns the value of a key of a map, or nil.
func (n *Node) Get(key string) *Node {
	if n == nil {
		return nil
	}
	for i, k := range n.Keys {
		if k == key {
			return n.Items[i]
		}
	}
	return nil
}

// IsNull says that there is no value: no node, or an empty one.
func (n *Node) IsNull() bool { return n == nil || n.Kind == Null }

// Text returns a scalar that is text, or "".
func (n *Node) Text() string {
	if n == nil {
		return ""
	}
	s, _ := n.Value.(string)
	return s
}

// Pos is the place to show for a value: the value itself, or the key above it for a map, a list or
// nothing.
func (n *Node) Pos() (line, col int) {
	if n == nil {
		return 0, 0
	}
	if n.Kind != Scalar && n.KeyLine > 0 {
		return n.KeyLine, n.KeyCol
	}
	return n.Line, n.Col
}

// KeyPos is the place of the key, or of the value when it has no key.
func (n *Node) KeyPos() (line, col int) {
	if n != nil && n.KeyLine > 0 {
		return n.KeyLine, n.KeyCol
	}
	return n.Pos()
}

// Plain returns the node as plain data: nil, string, int, float64, bool, []any, map[string]any.
func (n *Node) Plain() any {
	if n == nil {
		return nil
	}
	switch n.Kind {
	case Scalar:
		return n.Value
	case Seq:
		out := make([]any, len(n.Items))
		for i, x := range n.Items {
			out[i] = x.Plain()
		}
		return out
	case Map:
		out := make(map[string]any, len(n.Keys))
		for i, k := range n.Keys {
			out[k] = n.Items[i].Plain()
		}
		return out
	}
	return nil
}

// What names the kind of value for a message: "text", "a number" ...
func (n *Node) What() string {
	if n == nil {
		return "nothing"
	}
	switch n.Kind {
	case Seq:
		return "a list"
	case Map:
		return "a map"
	case Scalar:
		switch n.Value.(type) {
		case string:
			return "text"
		case bool:
			return "a truth value"
		}
		return "a number"
	}
	return "nothing"
}

// Walk calls visit for n and all below it with dotted paths: "nodes[0].address".
func (n *Node) Walk(path string, visit func(path string, n *Node)) {
	if n == nil {
		return
	}
	visit(path, n)
	for i, x := range n.Items {
		x.Walk(Join(path, n.step(i)), visit)
	}
}

func (n *Node) step(i int) string {
	if n.Kind == Map {
		return n.Keys[i]
	}
	return "[" + strconv.Itoa(i) + "]"
}

// Join appends a key or an index "[2]" to a dotted path.
func Join(path, step string) string {
	if path == "" || (step != "" && step[0] == '[') {
		return path + step
	}
	return path + "." + step
}

// FromValue makes a node of plain data, with the place that at gives for a path, for data that did
// not come from a file or whose tree is gone. Map keys come in alphabetical order.
func FromValue(v any, path string, at func(path string) (line, col int)) *Node {
	n := &Node{}
	n.Line, n.Col = at(path)
	n.KeyLine, n.KeyCol = n.Line, n.Col
	switch v := v.(type) {
	case nil:
		return n
	case map[string]any:
		n.Kind = Map
		for _, k := range sortedKeys(v) {
			n.Keys = append(n.Keys, k)
			n.Items = append(n.Items, FromValue(v[k], Join(path, k), at))
		}
		return n
	case []any:
		n.Kind = Seq
		for i, x := range v {
			n.Items = append(n.Items, FromValue(x, Join(path, fmt.Sprintf("[%d]", i)), at))
		}
		return n
	case int64:
		n.Value = int(v)
	default:
		n.Value = v
	}
	n.Kind, n.Raw = Scalar, fmt.Sprint(v)
	return n
}
