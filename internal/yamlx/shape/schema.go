package shape

// Schema answers a JSON Schema (draft 2020-12) for a file whose root is t.
func Schema(t *Type, id, title string) map[string]any {
	defs := map[string]any{}
	out := build(t, defs, false)
	out["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	out["$id"] = id
	out["title"] = title
	if len(defs) > 0 {
		out["$defs"] = defs
	}
	return out
}

// Part answers the schema of a type that has no names, to stand within another schema.
func Part(t *Type) map[string]any { return build(t, map[string]any{}, true) }

// build answers the schema of one type; named types go to defs. With ref set the type itself is
// spelt out.
func build(t *Type, defs map[string]any, ref bool) map[string]any {
	if t.Name != "" && !ref {
		if _, ok := defs[t.Name]; !ok {
			defs[t.Name] = true // holds the place while the type refers to itself
			defs[t.Name] = build(t, defs, true)
		}
		out := map[string]any{"$ref": "#/$defs/" + t.Name}
		if t.Doc != "" {
			out["description"] = t.Doc
		}
		return out
	}
	out := map[string]any{}
	if t.Or != nil {
		plain := *t
		plain.Or, plain.Doc, plain.Name = nil, "", ""
		out["anyOf"] = []any{build(&plain, defs, true), build(t.Or, defs, false)}
	} else {
		narrow(t, out, defs)
	}
	if t.Doc != "" {
		out["description"] = t.Doc
	}
	if t.Default != nil {
		out["default"] = t.Default
	}
	if t.Example != nil {
		out["examples"] = []any{t.Example}
	}
	return out
}

func narrow(t *Type, out, defs map[string]any) {
	switch t.Kind {
	case "any", "":
		return
	case "object":
		object(t, out, defs)
		return
	case "map":
		out["type"] = "object"
		out["additionalProperties"] = build(t.Of, defs, false)
		if p := pattern(t.KeyKind); p != "" {
			out["propertyNames"] = map[string]any{"pattern": p}
		}
		return
	case "list":
		out["type"] = "array"
		out["items"] = build(t.Of, defs, false)
		if t.MinItems > 0 {
			out["minItems"] = t.MinItems
		}
		if t.MaxItems > 0 {
			out["maxItems"] = t.MaxItems
		}
		if t.Unique == "true" {
			out["uniqueItems"] = true
		}
		return
	case "integer", "number", "boolean":
		out["type"] = t.Kind
		if t.Min != nil {
			out["minimum"] = *t.Min
		}
		if t.Max != nil {
			out["maximum"] = *t.Max
		}
		return
	}
	out["type"] = "string"
	if p := pattern(t.Kind); p != "" {
		out["pattern"] = p
	}
	if t.Pattern != "" {
		out["pattern"] = t.Pattern
	}
	if t.Filled {
		out["minLength"] = 1
	}
	if len(t.Enum) > 0 {
		out["enum"] = t.Enum
	}
}

func object(t *Type, out, defs map[string]any) {
	out["type"] = "object"
	out["additionalProperties"] = false
	props := map[string]any{}
	var required []string
	for _, f := range t.Fields {
		props[f.Name] = build(f.Type, defs, false)
		if f.Type.Required {
			required = append(required, f.Name)
		}
	}
	out["properties"] = props
	if len(required) > 0 {
		out["required"] = required
	}
	if t.OneKey {
		out["minProperties"], out["maxProperties"] = 1, 1
	}
}

// pattern is the regular expression of a kind, in the part that ECMA 262 and RE2 share.
func pattern(kind string) string {
	switch kind {
	case "hostname":
		return hostPattern
	case "domain":
		return domainPattern
	case "mac":
		return macPattern
	case "letter":
		return letterPattern
	case "path":
		return pathPattern
	case "size":
		return sizePattern
	case "ipv4":
		return ipv4Pattern
	case "cidr":
		return cidrPattern
	case "duration":
		return timePattern
	}
	return ""
}
