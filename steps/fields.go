package steps

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"deploy/internal/nearest"
	"deploy/internal/yamlx"
	"deploy/internal/yamlx/shape"
)

// Field is one key of a kind's `with`, read from its struct tags:
//
//	json:"name"  doc:"text"  required:"true"  example:"x"
//	type:"ipv4"       what the text means: a kind of package shape; of a list or map, that of its elements
//	enum:"a|b"        the values of a text
//	pattern:"^x"      a regular expression (RE2) that the text must match; means:"..." says it in words
//	min:"1" max:"9"   bounds of a number
//	items:"1"         how many elements a list has at least
//	unique:"true"     no element of a list stands there twice
//	key:"hostname"    what the keys of a map mean
//	check:"compared"  how Check treats it: a Class. Behind "instruction:" stands one of Instructions,
//	                  behind "unreadable:" the systems concerned, parted by commas (none: all), and why
//	                  says the reason
//
// An object has no class of its own: its fields have.
type Field struct {
	Name     string
	Type     string // in words: "list of ipv4"
	Required bool
	Enum     []string
	Doc      string
	Default  any
	Class    Class
	Why      string      // of an unreadable field and of an instruction: the reason
	On       []string    // of an unreadable field: the systems concerned; none means all
	Fields   []Field     // of an object, or of the elements of a list or map of objects
	Optional bool        `json:"-"` // no key, and false, 0 or "", mean different things
	Shape    *shape.Type `json:"-"`
}

// Leaves calls visit for every field that holds a value and no fields of its own, with its path:
// "acl[].sid".
func Leaves(fields []Field, visit func(path string, f Field)) { leaves("", fields, visit) }

func leaves(prefix string, fields []Field, visit func(path string, f Field)) {
	for _, f := range fields {
		if len(f.Fields) == 0 {
			visit(prefix+f.Name, f)
			continue
		}
		at := prefix + f.Name
		if f.Shape.Kind == "list" {
			at += "[]"
		}
		leaves(at+".", f.Fields, visit)
	}
}

// FieldError points at a key inside `with`. Path holds keys, and indexes as "[2]".
type FieldError struct {
	Path []string
	Msg  string
	Hint string
}

func (e *FieldError) Error() string {
	return strings.ReplaceAll(strings.Join(e.Path, "."), ".[", "[") + ": " + e.Msg
}

// FieldErr makes a FieldError for one key.
func FieldErr(key, format string, args ...any) error {
	return &FieldError{Path: []string{key}, Msg: fmt.Sprintf(format, args...)}
}

// Fields lists the keys of a kind. The list is shared: it must not be changed.
func (k Kind) Fields() []Field {
	if k.fields != nil {
		return k.fields()
	}
	v := reflect.ValueOf(k.New()).Elem()
	return fieldsOf(v.Type(), v)
}

func fieldsOf(t reflect.Type, defaults reflect.Value) []Field {
	var out []Field
	for i := range t.NumField() {
		sf := t.Field(i)
		if sf.Anonymous && sf.Type.Kind() == reflect.Struct {
			var d reflect.Value
			if defaults.IsValid() {
				d = defaults.Field(i)
			}
			out = append(out, fieldsOf(sf.Type, d)...)
			continue
		}
		name, _, _ := strings.Cut(sf.Tag.Get("json"), ",")
		if name == "" || name == "-" {
			continue
		}
		f := Field{Name: name, Doc: sf.Tag.Get("doc"), Required: sf.Tag.Get("required") == "true",
			Optional: sf.Type.Kind() == reflect.Pointer}
		if e := sf.Tag.Get("enum"); e != "" {
			f.Enum = strings.Split(e, "|")
		}
		f.Shape, f.Fields = shapeOf(sf.Type, sf.Tag)
		f.Shape.Doc, f.Shape.Required = f.Doc, f.Required
		f.Shape.Filled = f.Required && f.Shape.Kind == "string" && len(f.Enum) == 0
		f.Type = inWords(f.Shape)
		f.classify(sf.Tag)
		if defaults.IsValid() && !defaults.Field(i).IsZero() {
			f.Default = defaults.Field(i).Interface()
			f.Shape.Default = f.Default
		}
		out = append(out, f)
	}
	return out
}

// shapeOf makes the type of a struct's field. Tags that narrow a text or a number concern the
// elements of a list or map.
func shapeOf(t reflect.Type, tag reflect.StructTag) (*shape.Type, []Field) {
	switch t.Kind() {
	case reflect.Pointer:
		return shapeOf(t.Elem(), tag)
	case reflect.String:
		s := &shape.Type{Kind: "string", Pattern: tag.Get("pattern"), Means: tag.Get("means")}
		if k := tag.Get("type"); k != "" {
			s.Kind = k
		}
		if e := tag.Get("enum"); e != "" {
			s.Enum = strings.Split(e, "|")
		}
		return s, nil
	case reflect.Bool:
		return &shape.Type{Kind: "boolean"}, nil
	case reflect.Int, reflect.Int64, reflect.Uint32, reflect.Int32:
		return &shape.Type{Kind: "integer", Min: bound(tag.Get("min")), Max: bound(tag.Get("max"))}, nil
	case reflect.Float64:
		return &shape.Type{Kind: "number", Min: bound(tag.Get("min")), Max: bound(tag.Get("max"))}, nil
	case reflect.Slice:
		of, f := shapeOf(t.Elem(), tag)
		s := &shape.Type{Kind: "list", Of: of, Unique: tag.Get("unique")}
		s.MinItems, _ = strconv.Atoi(tag.Get("items")) // "" means none; a test reads every tag
		return s, f
	case reflect.Map:
		of, f := shapeOf(t.Elem(), tag)
		return &shape.Type{Kind: "map", Of: of, KeyKind: tag.Get("key")}, f
	case reflect.Struct:
		fields := fieldsOf(t, reflect.Value{})
		return object(fields), fields
	}
	return &shape.Type{Kind: "any"}, nil
}

// object is the type of the kind's data.
func (k Kind) object() *shape.Type {
	if k.form != nil {
		return k.form()
	}
	return object(k.Fields())
}

func object(fields []Field) *shape.Type {
	t := &shape.Type{Kind: "object"}
	for _, f := range fields {
		t.Fields = append(t.Fields, shape.Field{Name: f.Name, Type: f.Shape})
	}
	return t
}

func bound(text string) *float64 {
	if text == "" {
		return nil
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		panic(fmt.Sprintf("a bound of a field is %q", text)) // the tests read every kind
	}
	return &n
}

func inWords(t *shape.Type) string {
	switch t.Kind {
	case "list", "map":
		return t.Kind + " of " + inWords(t.Of)
	case "integer", "number":
		switch {
		case t.Min != nil && t.Max != nil:
			return fmt.Sprintf("%s %.0f to %.0f", t.Kind, *t.Min, *t.Max)
		case t.Min != nil:
			return fmt.Sprintf("%s from %.0f", t.Kind, *t.Min)
		}
	}
	return t.Kind
}

// Decode fills an empty step of kind k from with, strictly: unknown keys, missing required keys,
// wrong types and values that are none of the type are FieldErrors, all of them, joined. Values
// come in their normal form: "q:" of a drive letter is "Q".
func (k Kind) Decode(with map[string]any) (Step, error) {
	plain, err := check(k.object(), with)
	if err != nil {
		return nil, err
	}
	s := k.New()
	b, err := json.Marshal(plain)
	if err != nil {
		return nil, fmt.Errorf("cannot encode the data of a %s step: %w", k.Name, err)
	}
	if err := json.Unmarshal(b, s); err != nil {
		var te *json.UnmarshalTypeError
		if errors.As(err, &te) {
			return nil, &FieldError{Path: strings.Split(te.Field, "."),
				Msg: fmt.Sprintf("is a %s, must be %s", te.Value, te.Type)}
		}
		return nil, fmt.Errorf("cannot decode the data of a %s step: %w", k.Name, err)
	}
	if v, ok := s.(Validator); ok {
		if err := v.Validate(); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// check holds data against a type. The mistakes are FieldErrors.
func check(t *shape.Type, with map[string]any) (any, error) {
	p := &places{}
	root := p.node(with, t, nil)
	var list yamlx.List
	plain := (&shape.Checker{List: &list, Sparse: true}).Check(root, t)
	var errs []error
	for _, e := range yamlx.All(list.Err()) {
		fe := &FieldError{Path: p.paths[e.Line-1], Msg: e.Msg, Hint: e.Hint}
		if e.Missing != "" {
			fe.Path, fe.Msg = append(slices.Clone(fe.Path), e.Missing), "is required"
		}
		errs = append(errs, fe)
	}
	if plain == nil {
		plain = map[string]any{} // nothing was given, and nothing is required
	}
	return plain, errors.Join(errs...)
}

// places are the paths of the values of a `with`: a node's line is the number of its path.
type places struct{ paths [][]string }

func (p *places) node(v any, t *shape.Type, path []string) *yamlx.Node {
	p.paths = append(p.paths, path)
	n := &yamlx.Node{Line: len(p.paths), Col: 1, KeyLine: len(p.paths), KeyCol: 1}
	below := func(step string, v any, t *shape.Type) {
		n.Items = append(n.Items, p.node(v, t, append(slices.Clone(path), step)))
	}
	switch v := v.(type) {
	case nil:
		return n
	case map[string]any:
		n.Kind = yamlx.Map
		for k := range v {
			n.Keys = append(n.Keys, k)
		}
		slices.Sort(n.Keys)
		for _, k := range n.Keys {
			below(k, v[k], within(t, k))
		}
		return n
	case []any:
		n.Kind = yamlx.Seq
		for i, x := range v {
			below(fmt.Sprintf("[%d]", i), x, within(t, ""))
		}
		return n
	case int64:
		n.Value = int(v)
	case float64:
		n.Value = v
		if t != nil && t.Kind == "integer" && v == float64(int64(v)) {
			n.Value = int(v) // JSON, and an expression that reckons, know no whole numbers
		}
	default:
		n.Value = v
	}
	n.Kind, n.Raw = yamlx.Scalar, fmt.Sprint(v)
	return n
}

// within is the type of what a key of t holds; nil where t says nothing of it.
func within(t *shape.Type, key string) *shape.Type {
	if t == nil {
		return nil
	}
	if t.Kind == "object" {
		return t.Field(key)
	}
	return t.Of
}

// Value is one value of a step's data.
type Value struct {
	Path []string // as in FieldError
	Text string
}

// Values lists the texts of a `with` that are of a type, like "credential".
func (k Kind) Values(typ string, with map[string]any) []Value {
	p := &places{}
	var out []Value
	var walk func(n *yamlx.Node, t *shape.Type)
	walk = func(n *yamlx.Node, t *shape.Type) {
		if t == nil {
			return
		}
		if text, ok := n.Value.(string); ok && t.Kind == typ && text != "" {
			out = append(out, Value{p.paths[n.Line-1], text})
		}
		for i, x := range n.Items {
			key := ""
			if n.Kind == yamlx.Map {
				key = n.Keys[i]
			}
			walk(x, within(t, key))
		}
	}
	t := k.object()
	walk(p.node(with, t, nil), t)
	return out
}

// Nearest returns the word of known that a person probably meant by got, or "".
func Nearest(got string, known []string) string { return nearest.Of(got, known) }
