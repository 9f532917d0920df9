package inventory

import (
	"path/filepath"
	"slices"
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
		gendoc.Part(t, page, name, gendoc.Keys(t, typ))
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
