package steps

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"deploy/internal/nearest"
)

// Field is one key of a kind's `with`, read from its struct tags:
// json:"name", doc:"text", required:"true", enum:"a|b", example:"x".
type Field struct {
	Name     string
	Type     string // string, int, bool, list of T, map of T, object
	Required bool
	Enum     []string
	Doc      string
	Default  any
	Fields   []Field // of an object, or of the elements of a list or map of objects
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

// Fields lists the keys of a kind.
func (k Kind) Fields() []Field {
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
		f := Field{Name: name, Doc: sf.Tag.Get("doc"), Required: sf.Tag.Get("required") == "true"}
		if e := sf.Tag.Get("enum"); e != "" {
			f.Enum = strings.Split(e, "|")
		}
		f.Type, f.Fields = typeName(sf.Type)
		if defaults.IsValid() && !defaults.Field(i).IsZero() {
			f.Default = defaults.Field(i).Interface()
		}
		out = append(out, f)
	}
	return out
}

func typeName(t reflect.Type) (string, []Field) {
	switch t.Kind() {
	case reflect.Pointer:
		return typeName(t.Elem())
	case reflect.String:
		return "string", nil
	case reflect.Bool:
		return "bool", nil
	case reflect.Int, reflect.Int64, reflect.Uint32, reflect.Int32:
		return "int", nil
	case reflect.Float64:
		return "number", nil
	case reflect.Slice:
		n, f := typeName(t.Elem())
		return "list of " + n, f
	case reflect.Map:
		n, f := typeName(t.Elem())
		return "map of " + n, f
	case reflect.Struct:
		return "object", fieldsOf(t, reflect.Value{})
	}
	return "any", nil
}

// Decode fills an empty step of kind k from with, strictly: unknown keys, missing required keys,
// wrong types and values outside an enumeration are FieldErrors, all of them, joined.
func (k Kind) Decode(with map[string]any) (Step, error) {
	errs := checkFields(k.Fields(), with, nil)
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	s := k.New()
	b, err := json.Marshal(with)
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

func checkFields(fields []Field, with map[string]any, path []string) []error {
	var errs []error
	byName := map[string]Field{}
	var names []string
	for _, f := range fields {
		byName[f.Name] = f
		names = append(names, f.Name)
	}
	for key, v := range with {
		f, ok := byName[key]
		at := append(append([]string{}, path...), key)
		if !ok {
			e := &FieldError{Path: at, Msg: fmt.Sprintf("unknown key %q", key)}
			if s := Nearest(key, names); s != "" {
				e.Hint = fmt.Sprintf("did you mean %q?", s)
			} else {
				e.Hint = "known keys: " + strings.Join(names, ", ")
			}
			errs = append(errs, e)
			continue
		}
		errs = append(errs, checkValue(f, f.Type, v, at)...)
	}
	for _, f := range fields {
		if v, ok := with[f.Name]; f.Required && (!ok || v == nil || v == "") {
			errs = append(errs, &FieldError{Path: append(append([]string{}, path...), f.Name), Msg: "is required", Hint: f.Doc})
		}
	}
	return errs
}

func checkValue(f Field, typ string, v any, at []string) []error {
	if v == nil {
		return nil
	}
	wrong := func() []error {
		return []error{&FieldError{Path: at, Msg: fmt.Sprintf("must be %s, is %s", typ, kindOf(v)), Hint: f.Doc}}
	}
	if elem, ok := strings.CutPrefix(typ, "list of "); ok {
		list, ok := v.([]any)
		if !ok {
			return wrong()
		}
		var errs []error
		for i, x := range list {
			errs = append(errs, checkValue(f, elem, x, append(append([]string{}, at...), fmt.Sprintf("[%d]", i)))...)
		}
		return errs
	}
	if elem, ok := strings.CutPrefix(typ, "map of "); ok {
		m, ok := v.(map[string]any)
		if !ok {
			return wrong()
		}
		var errs []error
		for key, x := range m {
			errs = append(errs, checkValue(f, elem, x, append(append([]string{}, at...), key))...)
		}
		return errs
	}
	ok := true
	switch typ {
	case "string":
		_, ok = v.(string)
	case "bool":
		_, ok = v.(bool)
	case "int":
		switch n := v.(type) {
		case int, int64:
		case float64:
			ok = n == float64(int64(n))
		default:
			ok = false
		}
	case "object":
		m, isMap := v.(map[string]any)
		if !isMap {
			return wrong()
		}
		return checkFields(f.Fields, m, at)
	}
	if !ok {
		return wrong()
	}
	if s, isText := v.(string); isText && len(f.Enum) > 0 {
		for _, e := range f.Enum {
			if s == e {
				return nil
			}
		}
		e := &FieldError{Path: at, Msg: fmt.Sprintf("%q is not one of %s", s, strings.Join(f.Enum, ", "))}
		if n := Nearest(s, f.Enum); n != "" {
			e.Hint = fmt.Sprintf("did you mean %q?", n)
		}
		return []error{e}
	}
	return nil
}

func kindOf(v any) string {
	switch v.(type) {
	case string:
		return "text"
	case bool:
		return "a truth value"
	case int, int64, float64:
		return "a number"
	case []any:
		return "a list"
	case map[string]any:
		return "a map"
	}
	return fmt.Sprintf("%T", v)
}

// Nearest returns the word of known that a person probably meant by got, or "".
func Nearest(got string, known []string) string { return nearest.Of(got, known) }
