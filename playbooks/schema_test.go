package playbooks_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"deploy/internal/yamlx"
	"deploy/inventory"
	"deploy/playbooks"
)

// compileSchema reads a schema with an independent implementation, which also checks it against the
// draft's own schema.
func compileSchema(t *testing.T, schema map[string]any) *jsonschema.Schema {
	t.Helper()
	b, err := json.Marshal(schema)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// asJSON reads a YAML file as an editor's schema checker sees it.
func asJSON(t *testing.T, file string, data []byte) any {
	t.Helper()
	doc, err := yamlx.Parse(file, data, yamlx.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(doc.Root.Plain())
	if err != nil {
		t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestSchemasAcceptTheExamples: what deploy accepts, the schemas accept: the site and playbook of
// testdata, every shipped playbook, and every site of examples/ with its playbook's own parameters.
func TestSchemasAcceptTheExamples(t *testing.T) {
	sites := []string{"testdata/site.yaml"}
	more, err := filepath.Glob("../examples/*/site.yaml")
	if err != nil {
		t.Fatal(err)
	}
	general := compileSchema(t, inventory.Schema())
	for _, path := range append(sites, more...) {
		v := asJSON(t, path, read(t, path))
		if err := general.Validate(v); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		site, err := inventory.Load(path)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		pb, err := playbooks.Load(site)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if err := compileSchema(t, pb.SiteSchema()).Validate(v); err != nil {
			t.Errorf("%s with its playbook's parameters: %v", path, err)
		}
	}
	schema := compileSchema(t, playbooks.Schema(testRegistry()))
	if err := schema.Validate(asJSON(t, "hello", read(t, "testdata/hello.yaml"))); err != nil {
		t.Error(err)
	}
	// the kinds of shipped playbooks are not known here: with an empty registry `with` is free
	free := compileSchema(t, playbooks.Schema(emptyRegistry()))
	for _, name := range playbooks.Shipped() {
		data, err := playbooks.Source(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := free.Validate(asJSON(t, name, data)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSchemasRefuse: an editor shows the same mistakes as deploy, where a schema can.
func TestSchemasRefuse(t *testing.T) {
	site, err := inventory.Load("testdata/site.yaml")
	if err != nil {
		t.Fatal(err)
	}
	pb, err := playbooks.Load(site)
	if err != nil {
		t.Fatal(err)
	}
	schema := compileSchema(t, pb.SiteSchema())
	good := string(read(t, "testdata/site.yaml"))
	for _, c := range []struct{ old, new string }{
		{"name: mbx01-clu", "nmae: mbx01-clu"},
		{"address: 192.0.2.20", "address: here"},
		{"address: 192.0.2.20", "address: 7"},
		{"letter: R", "letter: RR"},
		{"password: {env: DEPLOY_PASSWORD}", "password: x"},
		{"transport: winrm", "transport: telnet"},
		{"port: 5986", "port: 0"},
		{"cluster: {name: mbx01-clu, address: 192.0.2.20}", "tolerance: 5"},
		{"password: {env: DEPLOY_PASSWORD}", "password: {env: A, file: b}"},
	} {
		bad := strings.Replace(good, c.old, c.new, 1)
		if bad == good {
			t.Fatalf("%q is not in the site", c.old)
		}
		if err := schema.Validate(asJSON(t, c.new, []byte(bad))); err == nil {
			t.Errorf("%s: accepted", c.new)
		}
	}
	schema = compileSchema(t, playbooks.Schema(testRegistry()))
	good = string(read(t, "testdata/hello.yaml"))
	for _, c := range []struct{ old, new string }{
		{"uses: test.note", "uses: test.nope"},
		{"order: one-by-one", "order: random"},
		{"count: ${{ parameters.tolerance }}", "count: many"},
		{"count: ${{ parameters.tolerance }}", "cuont: 1"},
		{"type: hostname", "type: host"},
		{"on-failure: rollback", "on-failure: weep"},
	} {
		bad := strings.Replace(good, c.old, c.new, 1)
		if bad == good {
			t.Fatalf("%q is not in the playbook", c.old)
		}
		if err := schema.Validate(asJSON(t, c.new, []byte(bad))); err == nil {
			t.Errorf("%s: accepted", c.new)
		}
	}
}
