package gendoc

import (
	"fmt"
	"strings"
	"testing"

	"deploy/internal/yamlx/shape"
)

// Keys is the table of an object's keys.
func Keys(t testing.TB, object *shape.Type) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("| key | type | meaning |\n|---|---|---|\n")
	for _, f := range object.Fields {
		doc := f.Type.Doc
		if doc == "" {
			t.Errorf("%s has no doc", f.Name)
		}
		if f.Type.Required {
			doc += " (required)"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", f.Name, typeName(f.Type), strings.ReplaceAll(doc, "|", `\|`))
	}
	return b.String()
}

func typeName(t *shape.Type) string {
	switch {
	case len(t.Enum) > 0 && len(t.Enum) < 12:
		return "`" + strings.Join(t.Enum, "`, `") + "`"
	case t.OneKey:
		return "secret"
	case t.Kind == "list" && t.Of != nil:
		return "list of " + t.Of.Kind
	case t.Min != nil && t.Max != nil:
		return fmt.Sprintf("%s %.0f to %.0f", t.Kind, *t.Min, *t.Max)
	case t.Or != nil && t.Or.Kind != t.Kind:
		return t.Kind + " or " + t.Or.Kind
	}
	return t.Kind
}
