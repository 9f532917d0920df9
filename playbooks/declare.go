package playbooks

import (
	"regexp"
	"slices"

	"deploy/internal/yamlx"
	"deploy/internal/yamlx/shape"
)

var validName = regexp.MustCompile(namePattern)

// name checks a name that expressions read.
func (r *reader) name(n *yamlx.Node, what, name string) {
	if !validName.MatchString(name) {
		r.list.AtKey(r.file, n, "use letters, digits and underscores: expressions would read a hyphen as minus",
			"invalid name %q for a %s", shape.Clip(name), what)
	}
}

// declareFields reads the declarations of parameters as an object type.
func (r *reader) declareFields(n *yamlx.Node) *shape.Type {
	t := &shape.Type{Kind: "object"}
	if n.IsNull() {
		return t
	}
	for i, name := range n.Keys {
		r.name(n.Items[i], "parameter", name)
		t.Fields = append(t.Fields, shape.Field{Name: name, Type: r.declare(n.Items[i])})
	}
	return t
}

func (r *reader) declare(n *yamlx.Node) *shape.Type {
	if n.Kind == yamlx.Scalar {
		return r.complete(n, &shape.Type{Kind: n.Text()})
	}
	t := &shape.Type{
		Kind: n.Get("type").Text(), Doc: n.Get("doc").Text(), Pattern: n.Get("pattern").Text(), Means: n.Get("means").Text(),
		Min: decimal(n.Get("min")), Max: decimal(n.Get("max")), MinItems: integer(n.Get("min_items")),
		MaxItems: integer(n.Get("max_items")),
		Example:  n.Get("example").Plain(),
	}
	if b, ok := n.Get("required").Plain().(bool); ok {
		t.Required = b
	}
	switch u := n.Get("unique").Plain().(type) {
	case bool:
		if u {
			t.Unique = "true"
		}
	case string:
		t.Unique = u
	}
	for _, e := range list(n.Get("enum")) {
		t.Enum = append(t.Enum, e.Text())
	}
	if of := n.Get("of"); !of.IsNull() {
		t.Of = r.declare(of)
	}
	if fields := n.Get("fields"); !fields.IsNull() {
		t.Fields = r.declareFields(fields).Fields
	}
	return r.complete(n, t)
}

func decimal(n *yamlx.Node) *float64 {
	if n == nil {
		return nil
	}
	var f float64
	switch v := n.Value.(type) {
	case int:
		f = float64(v)
	case float64:
		f = v
	default:
		return nil
	}
	return &f
}

// fits lists which keys make sense for which kinds.
func keyFits(key, kind string) bool {
	switch key {
	case "enum":
		return kind == "string"
	case "pattern", "means":
		return !slices.Contains([]string{"integer", "number", "boolean", "list", "map", "object", "any"}, kind)
	case "min", "max":
		return kind == "integer" || kind == "number"
	case "min_items", "max_items", "unique":
		return kind == "list"
	case "of":
		return kind == "list" || kind == "map"
	case "fields":
		return kind == "object"
	}
	return true
}

// complete checks that the parts of a declaration fit together, and its default.
func (r *reader) complete(n *yamlx.Node, t *shape.Type) *shape.Type {
	if n.Kind == yamlx.Map {
		for i, key := range n.Keys {
			if !keyFits(key, t.Kind) {
				r.list.AtKey(r.file, n.Items[i], "remove it, or change the type", "the type %s has no %s", t.Kind, key)
			}
		}
	}
	if t.Of == nil && (t.Kind == "list" || t.Kind == "map") {
		t.Of = &shape.Type{Kind: "any"}
	}
	if t.Pattern != "" {
		if _, err := regexp.Compile(t.Pattern); err != nil {
			r.list.At(r.file, n.Get("pattern"), "patterns are written in RE2 syntax", "cannot read the pattern: %s", err)
			t.Pattern = ""
		}
	}
	if t.Min != nil && t.Max != nil && *t.Min > *t.Max {
		r.list.At(r.file, n.Get("min"), "exchange them", "min is more than max")
	}
	if t.MaxItems > 0 && t.MinItems > t.MaxItems {
		r.list.At(r.file, n.Get("min_items"), "exchange them", "min_items is more than max_items")
	}
	if t.Unique != "" && t.Unique != "true" && (t.Of.Kind != "object" || t.Of.Field(t.Unique) == nil) {
		r.list.At(r.file, n.Get("unique"), shape.Suggest(t.Unique, t.Of.FieldNames()), "the elements have no field %q",
			t.Unique)
	}
	if d := n.Get("default"); !d.IsNull() {
		if t.Required {
			r.list.AtKey(r.file, d, "a required value has no default: remove one of them", "a default that is never used")
		}
		before := r.list.Len()
		check := &shape.Checker{File: r.file, List: r.list}
		if v := check.Check(d, t); r.list.Len() == before {
			t.Default = v
		}
	}
	return t
}
