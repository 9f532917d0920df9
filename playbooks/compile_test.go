package playbooks_test

import (
	"encoding/json"
	"testing"

	"deploy/inventory"
	"deploy/playbooks"
)

func TestCompile(t *testing.T) {
	site, err := inventory.Load("testdata/site.yaml")
	if err != nil {
		t.Fatal(err)
	}
	pb, err := playbooks.Load(site)
	if err != nil {
		t.Fatal(err)
	}
	prog, findings, err := pb.Compile(site, testRegistry())
	if err != nil {
		t.Fatal(err)
	}
	b, _ := json.MarshalIndent(prog, "", " ")
	t.Logf("%s\n%v", b, findings)
}
