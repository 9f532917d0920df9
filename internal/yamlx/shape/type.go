// Package shape declares what a value in a YAML file must look like, as data. One declaration
// serves the check with places and hints, the JSON Schema for editors, and (in package playbooks)
// the types of expressions.
package shape

// Type declares a value. Its Kind is one of Kinds; the other fields narrow it.
type Type struct {
	Kind     string
	Doc      string
	Required bool
	Default  any      // plain data; nil means none
	Enum     []string // allowed values of a text
	Pattern  string   // regular expression (RE2) that a text must match
	Means    string   // what Pattern means, for the message
	Min, Max *float64 // bounds of a number
	MinItems int
	MaxItems int    // 0 means no bound
	Unique   string // of a list: "" no, "true" no two equal values, else the field by which no two objects may be equal
	Of       *Type  // elements of a list or map
	Fields   []Field
	OneKey   bool  // an object must have exactly one of its keys
	Or       *Type // also allowed instead; used when the value's form fits it better
	KeyKind  string
	Name     string // names a type that contains itself; it becomes a definition of the schema
	Hidden   bool   // never show the value in a message
	Instead  string // hint for a value of the wrong form
	Refusal  string // message for a scalar where an object is wanted
	Example  any
	Filled   bool // a text must not be empty
}

// Field is a key of an object.
type Field struct {
	Name string
	Type *Type
}

// Kinds lists every kind. Besides the forms of JSON there are texts with a meaning:
//
//	ipv4        an IPv4 address
//	address     an IPv4 or IPv6 address or a host name
//	cidr        an IPv4 address with a prefix length, 10.0.0.1/24; host bits may be set
//	hostname    a computer name: letters, digits and hyphens, at most 63
//	domain      a DNS name of two or more labels
//	duration    90s, 10m, 1h30m
//	path        an absolute path: C:\x, \\server\share, /x
//	letter      a drive letter C to Z; "q:" becomes "Q"
//	mac         a network card's address; becomes 00:15:5D:01:02:03
//	node        the name of a node of the inventory
//	credential  the name of a credential of the site
//	size        10 GB; becomes megabytes (1 GB = 1024 MB)
func Kinds() []string {
	return []string{"string", "integer", "number", "boolean", "list", "map", "object", "any", "ipv4", "cidr", "hostname",
		"domain",
		"duration", "path", "letter", "mac", "node", "credential", "address", "size"}
}

// Text makes a plain string type.
func Text(doc string) *Type { return &Type{Kind: "string", Doc: doc} }

// Of makes a type of a kind.
func Of(kind, doc string) *Type { return &Type{Kind: kind, Doc: doc} }

// ListOf makes a list type.
func ListOf(of *Type, doc string) *Type { return &Type{Kind: "list", Of: of, Doc: doc} }

// MapOf makes a map type.
func MapOf(of *Type, doc string) *Type { return &Type{Kind: "map", Of: of, Doc: doc} }

// Object makes an object type.
func Object(doc string, fields ...Field) *Type {
	return &Type{Kind: "object", Doc: doc, Fields: fields}
}

// Enum makes a string type with fixed values.
func Enum(doc string, values ...string) *Type {
	return &Type{Kind: "string", Doc: doc, Enum: values}
}

// Need returns a copy of t that is required.
func Need(t *Type) *Type {
	c := *t
	c.Required = true
	return &c
}

// Field returns the type of a field, or nil.
func (t *Type) Field(name string) *Type {
	for _, f := range t.Fields {
		if f.Name == name {
			return f.Type
		}
	}
	return nil
}

// FieldNames lists the keys of an object in order.
func (t *Type) FieldNames() []string {
	out := make([]string, len(t.Fields))
	for i, f := range t.Fields {
		out[i] = f.Name
	}
	return out
}

// needy says that a value of the type cannot be made of defaults alone.
func (t *Type) needy() bool {
	if t.OneKey {
		return true
	}
	for _, f := range t.Fields {
		if f.Type.Required {
			return true
		}
	}
	return false
}

// Absent is the value of a key that is not given: the default; an empty list or map; an object of
// defaults when none of its keys is required; else nil.
func (t *Type) Absent() any {
	if t.Default != nil {
		return t.Default
	}
	switch t.Kind {
	case "list":
		return []any{}
	case "map":
		return map[string]any{}
	case "object":
		if t.needy() {
			return nil
		}
		out := map[string]any{}
		for _, f := range t.Fields {
			out[f.Name] = f.Type.Absent()
		}
		return out
	}
	return nil
}
