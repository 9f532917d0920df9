package playbooks

import (
	"strings"

	"deploy/internal/yamlx/shape"
	"deploy/inventory"
	"deploy/steps"
)

// SiteSchema is the JSON Schema of a site file for this playbook: that of every site, with the
// playbook's parameters.
func (pb *Playbook) SiteSchema() map[string]any {
	return inventory.SchemaFor(pb.Parameters, pb.NodeParameters)
}

// templated is a text that holds an expression; it may stand where another value is wanted.
const templated = `\$\{\{`

// Schema is the JSON Schema (draft 2020-12) of a playbook file, with the data of every kind of reg.
func Schema(reg *steps.Registry) map[string]any {
	with := shape.MapOf(shape.Of("any", ""), "data of the step; `deploy steps KIND` documents it")
	out := shape.Schema(playbookType(stepType(with)), "deploy:playbook", "deploy playbook file")
	uses, branches := []any{}, []any{}
	for _, name := range reg.Names() {
		kind, _ := reg.Get(name)
		uses = append(uses, map[string]any{"const": name, "description": kind.Summary})
		branches = append(branches, map[string]any{
			"if": map[string]any{"properties": map[string]any{"uses": map[string]any{"const": name}},
				"required": []string{"uses"}},
			"then": map[string]any{"properties": map[string]any{"with": withSchema(kind.Fields())}},
		})
	}
	step := dig(out, "properties", "phases", "items", "properties", "steps", "items")
	if len(uses) > 0 {
		dig(step, "properties")["uses"] = map[string]any{"oneOf": uses}
		step["allOf"] = branches
	}
	return out
}

func dig(m map[string]any, keys ...string) map[string]any {
	for _, k := range keys {
		m, _ = m[k].(map[string]any)
	}
	return m
}

// withSchema makes the schema of a kind's data. A required key may still be missing where an
// expression gives the whole.
func withSchema(fields []steps.Field) map[string]any {
	props := map[string]any{}
	var required []string
	for _, f := range fields {
		props[f.Name] = fieldSchema(f, f.Type)
		if f.Required {
			required = append(required, f.Name)
		}
	}
	out := map[string]any{"type": "object", "properties": props, "additionalProperties": false}
	if len(required) > 0 {
		out["required"] = required
	}
	return out
}

func fieldSchema(f steps.Field, typ string) map[string]any {
	out := map[string]any{}
	expression := map[string]any{"type": "string", "pattern": templated}
	switch elem, isList := strings.CutPrefix(typ, "list of "); {
	case isList:
		inner := f
		inner.Doc, inner.Default = "", nil
		out["anyOf"] = []any{map[string]any{"type": "array", "items": fieldSchema(inner, elem)}, expression}
	case strings.HasPrefix(typ, "map of "):
		inner := f
		inner.Doc, inner.Default = "", nil
		out["anyOf"] = []any{map[string]any{"type": "object",
			"additionalProperties": fieldSchema(inner, strings.TrimPrefix(typ, "map of "))}, expression}
	case typ == "object":
		out["anyOf"] = []any{withSchema(f.Fields), expression}
	case typ == "int":
		out["anyOf"] = []any{map[string]any{"type": "integer"}, expression}
	case typ == "number":
		out["anyOf"] = []any{map[string]any{"type": "number"}, expression}
	case typ == "bool":
		out["anyOf"] = []any{map[string]any{"type": "boolean"}, expression}
	case typ == "string" && len(f.Enum) > 0:
		out["anyOf"] = []any{map[string]any{"enum": f.Enum}, expression}
	case typ == "string":
		out["type"] = "string"
	}
	if f.Doc != "" {
		out["description"] = f.Doc
	}
	if f.Default != nil {
		out["default"] = f.Default
	}
	return out
}
