package inventory

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"deploy/internal/testkit/gendoc"
	"deploy/internal/yamlx/shape"
)

// TestTablesOfSite: the tables of keys in docs/language.md are what the site file's types say.
func TestTablesOfSite(t *testing.T) {
	page := filepath.Join("..", "docs", "language.md")
	lab := labType()
	for name, typ := range map[string]*shape.Type{
		"site": siteType(anyParameters()), "credentials": credentialType(), "secrets": secretType(""), "nodes": nodeType(),
		"winrm": winrmType(), "ssh": sshType(), "lab": lab, "machines": fieldOf(t, lab, "machines").Of,
		"adapters": fieldOf(t, fieldOf(t, lab, "machines").Of, "adapters").Of, "disks": fieldOf(t, lab, "disks").Of,
	} {
		var b strings.Builder
		b.WriteString("| key | type | meaning |\n|---|---|---|\n")
		for _, f := range typ.Fields {
			doc := f.Type.Doc
			if doc == "" {
				t.Errorf("%s: %s has no doc", name, f.Name)
			}
			if f.Type.Required {
				doc += " (required)"
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", f.Name, typeName(f.Type), doc)
		}
		gendoc.Part(t, page, name, b.String())
	}
}

func fieldOf(t *testing.T, typ *shape.Type, name string) *shape.Type {
	t.Helper()
	i := slices.IndexFunc(typ.Fields, func(f shape.Field) bool { return f.Name == name })
	if i < 0 {
		t.Fatalf("no field %s", name)
	}
	return typ.Fields[i].Type
}

func typeName(t *shape.Type) string {
	switch {
	case t.Enum != nil:
		return "`" + strings.Join(t.Enum, "`, `") + "`"
	case t.OneKey:
		return "secret"
	case t.Kind == "list" && t.Of != nil:
		return "list of " + t.Of.Kind
	case t.Min != nil && t.Max != nil:
		return fmt.Sprintf("%s %.0f to %.0f", t.Kind, *t.Min, *t.Max)
	}
	return t.Kind
}
