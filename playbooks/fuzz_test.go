package playbooks_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"deploy/internal/yamlx"
	"deploy/inventory"
	"deploy/playbooks"
)

// FuzzPlaybook: whatever the bytes, Parse and Compile answer in time and without a panic; what is
// wrong has a place.
func FuzzPlaybook(f *testing.F) {
	files, err := filepath.Glob("testdata/bad/playbook-*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range append(files, "testdata/hello.yaml", "testdata/cluster.yaml") {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	site, err := inventory.Parse("site.yaml", []byte(languageSite))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		start := time.Now()
		pb, err := playbooks.Parse("f", data)
		if err == nil {
			_, _, err = pb.Compile(site, testRegistry())
		}
		if err != nil && len(yamlx.All(err)) == 0 {
			t.Errorf("an error without a place: %v", err)
		}
		if d := time.Since(start); d > 20*time.Second {
			t.Errorf("took %s", d)
		}
	})
}

// FuzzExpression: an expression ends, as a value or as an error.
func FuzzExpression(f *testing.F) {
	for _, s := range []string{"1 + 2", "map(nodes, .name)", "first(role.cluster)?.name", "let a = 'x'; a + a",
		"count(1..100, # > 3)", "parameters.disks[0].size ** 9",
		"replace('a', '', 'b')", "cidr_mask('10.0.0.0/33')", "sortBy(nodes, .name)", "'x' matches '(a*)*b'", "{'a': nil}.a.b",
		"[1, 'a', nil][-1]", "split('a', '')", "1 / 0", "1 % 0", "take(nodes, -1)", "parameters['name']",
		"nodes | map(.name)"} {
		f.Add(s)
	}
	site, err := inventory.Parse("site.yaml", []byte(languageSite))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		start := time.Now()
		quoted := yamlQuote("${{ " + text + " }}")
		pb, err := playbooks.Parse("f",
			[]byte(onePhase("      - {id: s, uses: test.note, on: role.active, with: {extra: {a: "+quoted+"}}}\n")))
		if err == nil {
			_, _, err = pb.Compile(site, testRegistry())
		}
		if err != nil && len(yamlx.All(err)) == 0 {
			t.Errorf("an error without a place: %v", err)
		}
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("took %s", d)
		}
	})
}
