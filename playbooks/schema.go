package playbooks

import (
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
		s := fieldSchema(f.Shape, f.Fields)
		if f.Doc != "" {
			s["description"] = f.Doc
		}
		if f.Default != nil {
			s["default"] = f.Default
		}
		props[f.Name] = s
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

// fieldSchema is the schema of a value in `with`: what its type says, or a text with an expression.
func fieldSchema(t *shape.Type, fields []steps.Field) map[string]any {
	var own map[string]any
	switch t.Kind {
	case "any", "":
		return map[string]any{}
	case "object":
		own = withSchema(fields)
	case "list", "map":
		bare := *t
		bare.Of, bare.Doc, bare.Default = shape.Of("any", ""), "", nil
		own = shape.Part(&bare)
		own[map[string]string{"list": "items", "map": "additionalProperties"}[t.Kind]] = fieldSchema(t.Of, fields)
	default:
		bare := *t
		bare.Doc, bare.Default = "", nil
		own = shape.Part(&bare)
		if len(own) == 1 && own["type"] == "string" {
			return own // any text, so one with an expression too
		}
	}
	return map[string]any{"anyOf": []any{own, map[string]any{"type": "string", "pattern": templated}}}
}
