package playbooks_test

import (
	"fmt"
	"strings"
	"testing"

	"deploy/inventory"
	"deploy/playbooks"
)

// fiftyNodes is a site of the size that a plan must take in its stride.
func fiftyNodes() []byte {
	var b strings.Builder
	b.WriteString("site: big\nplaybook: ../big.yaml\ninventory:\n  nodes:\n")
	for i := range 50 {
		fmt.Fprintf(&b, "    - {name: n%d, transport: local, roles: [cluster]}\n", i)
	}
	return []byte(b.String())
}

func fortySteps() []byte {
	var b strings.Builder
	b.WriteString("playbook: big\nparameters:\n  name: {type: string, default: x}\nroles: {cluster: {}}\nphases:\n  - " +
		"id: p\n    steps:\n")
	for i := range 40 {
		fmt.Fprintf(&b, "      - {id: s%d, uses: test.note, on: role.cluster, if: len(role.cluster) > 2, with: {text: "+
			"'${{ node.name }} of ${{ parameters.name }}', count: %d}}\n", i, i)
	}
	return []byte(b.String())
}

func BenchmarkReadSite(b *testing.B) {
	data := fiftyNodes()
	for b.Loop() {
		if _, err := inventory.Parse("site.yaml", data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReadPlaybook(b *testing.B) {
	data := fortySteps()
	for b.Loop() {
		if _, err := playbooks.Parse("pb.yaml", data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCompile50x40(b *testing.B) {
	site, err := inventory.Parse("site.yaml", fiftyNodes())
	if err != nil {
		b.Fatal(err)
	}
	pb, err := playbooks.Parse("pb.yaml", fortySteps())
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		prog, _, err := pb.Compile(site, testRegistry())
		if err != nil || len(prog.Tasks()) != 2000 {
			b.Fatal(err)
		}
	}
}

func BenchmarkReadShipped(b *testing.B) {
	for _, name := range playbooks.Shipped() {
		data, err := playbooks.Source(name)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := playbooks.Parse(name, data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
