package playbooks_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"deploy/inventory"
	"deploy/playbooks"
	"deploy/steps"
	"deploy/steps/assert"
	"deploy/steps/cluster"
	"deploy/steps/command"
	"deploy/steps/dns"
	"deploy/steps/exchange"
	"deploy/steps/feature"
	"deploy/steps/file"
	"deploy/steps/gate"
	"deploy/steps/network"
	"deploy/steps/packages"
	regkind "deploy/steps/registry"
	"deploy/steps/service"
	"deploy/steps/storage"
)

func allKinds() *steps.Registry {
	return steps.NewRegistry(cluster.Kinds(), dns.Kinds(), exchange.Kinds(), feature.Kinds(), file.Kinds(), assert.Kinds(),
		command.Kinds(), gate.Kinds(),
		network.Kinds(),
		packages.Kinds(), regkind.Kinds(), service.Kinds(), storage.Kinds())
}

// sccSite compiles an example after replacing text in it: old, new, old, new.
func sccSite(t *testing.T, example string, edits ...string) (*steps.Program, []playbooks.Finding, error) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "examples", example, "site.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for i := 0; i < len(edits); i += 2 {
		if !strings.Contains(text, edits[i]) {
			t.Fatalf("the example does not hold %q", edits[i])
		}
		text = strings.Replace(text, edits[i], edits[i+1], 1)
	}
	path := filepath.Join(t.TempDir(), "site.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	site, err := inventory.Load(path)
	if err != nil {
		return nil, nil, err
	}
	pb, err := sccPlaybook()
	if err != nil {
		t.Fatal(err)
	}
	return pb.Compile(site, allKinds())
}

// sccPlaybook is parsed once: it holds some hundred expressions.
var sccPlaybook = sync.OnceValues(func() (*playbooks.Playbook, error) {
	data, err := playbooks.Source("exchange-2007-scc")
	if err != nil {
		return nil, err
	}
	return playbooks.Parse("playbook exchange-2007-scc", data)
})

func TestSCCExamplesCompile(t *testing.T) {
	for example, want := range map[string]struct {
		servers  int
		warnings []string
	}{
		"exchange-2007-scc":       {1, nil},
		"exchange-2007-scc-4node": {3, []string{"SCC-45"}},
	} {
		prog, findings, err := sccSite(t, example)
		if err != nil {
			t.Errorf("%s: %v", example, err)
			continue
		}
		var rules []string
		for _, f := range findings {
			rules = append(rules, f.Rule)
		}
		if !slices.Equal(rules, want.warnings) {
			t.Errorf("%s: findings %v, want %v", example, findings, want.warnings)
		}
		count := map[string]int{}
		for _, task := range prog.Tasks() {
			count[task.Step.Kind()]++
		}
		if count["exchange.cms"] != want.servers || count["exchange.move"] != want.servers ||
			count["exchange.mta"] != want.servers-1 {
			t.Errorf("%s: kinds %v", example, count)
		}
	}
}

// The order of the phases is that of the product's own procedure.
func TestSCCPhaseOrder(t *testing.T) {
	prog, _, err := sccSite(t, "exchange-2007-scc")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range prog.Phases {
		got = append(got, p.ID)
	}
	want := "prerequisites storage network cluster cluster-disks cluster-networks quorum validation preparation " +
		"mailbox-active mailbox-passive disks-and-dependencies dns directories services mailbox-creation proof"
	if strings.Join(got, " ") != want {
		t.Errorf("phases %s", strings.Join(got, " "))
	}
	seen := map[string]int{}
	for i, task := range prog.Tasks() {
		seen[task.ID] = i
	}
	for _, pair := range [][2]string{
		{"cluster/create@mbx01-node1", "cluster/join[mbx01-node2]@mbx01-node1"},
		{"cluster-networks/tolerance@mbx01-node1", "quorum/disk-majority@mbx01-node1"},
		{"quorum/disk-majority@mbx01-node1", "validation/report@mbx01-node1"},
		{"validation/report@mbx01-node1", "mailbox-active/role@mbx01-node1"},
		{"mailbox-active/storage-group[mbx01]@mbx01-node1", "mailbox-passive/role@mbx01-node2"},
	} {
		a, ok1 := seen[pair[0]]
		b, ok2 := seen[pair[1]]
		if !ok1 || !ok2 || a >= b {
			t.Errorf("%s (%v) must come before %s (%v)", pair[0], ok1, pair[1], ok2)
		}
	}
}

func TestSCCRulesFindBadSites(t *testing.T) {
	two, four := "exchange-2007-scc", "exchange-2007-scc-4node"
	for name, c := range map[string]struct {
		example string
		rule    string
		severe  bool
		edits   []string
	}{
		"R2": {two, "SCC-01", true, []string{"os: '2008'", "os: '2008r2'"}},
		"share witness": {two, "SCC-06", false,
			[]string{"  media: 'D:\\Exchange'\n  organization", "  quorum: {model: node-and-share-majority, share: " +
				"'\\\\dc01\\witness'}\n  media: 'D:\\Exchange'\n  organization"}},
		"share without model": {two, "SCC-06", true,
			[]string{"  media: 'D:\\Exchange'\n  organization",
				"  quorum: {share: '\\\\dc01\\witness'}\n  media: 'D:\\Exchange'\n  organization"}},
		"even, node majority": {two, "SCC-08", false,
			[]string{"  media: 'D:\\Exchange'\n  organization",
				"  quorum: {model: node-majority}\n  media: 'D:\\Exchange'\n  organization"}},
		"no witness": {two, "SCC-08", true,
			[]string{"label: quorum, use: quorum}", "label: quorum, use: data}"}},
		"data on the witness":     {two, "SCC-12", true, []string{`data_path: 'E:\mbx01'`, `data_path: 'Q:\mbx01'`}},
		"database on the witness": {two, "SCC-12", true, []string{`{path: 'E:\mbx01\mbx01.edb'}`, `{path: 'Q:\mbx01.edb'}`}},
		"data on no shared disk":  {two, "SCC-09", true, []string{`data_path: 'E:\mbx01'`, `data_path: 'D:\mbx01'`}},
		"disk of nobody": {two, "SCC-09", true,
			[]string{"label: mbx01-logs, use: data, server: mbx01}", "label: mbx01-logs, use: data, server: mbx09}"}},
		"letter twice":  {two, "SCC-05", true, []string{"letter: 'F:'", "letter: 'E:'"}},
		"label twice":   {two, "SCC-05", true, []string{"label: mbx01-logs", "label: mbx01-data"}},
		"system letter": {two, "SCC-05", true, []string{"letter: 'Q:'", "letter: 'C:'"}},
		"address twice": {two, "SCC-14", true, []string{"address: 192.0.2.21\n", "address: 192.0.2.20\n"}},
		"mac twice": {two, "SCC-14", true,
			[]string{"private: {mac: '00:15:5D:00:01:02'", "private: {mac: '00:15:5D:00:01:01'"}},
		"cluster elsewhere": {two, "SCC-14", true, []string{"address: 192.0.2.20}", "address: 192.0.3.20}"}},
		"private is public": {two, "SCC-19", true,
			[]string{"private: {name: Private, subnet: 10.10.10.0/24}", "private: {name: Private, subnet: 192.0.2.0/25}"}},
		"private card elsewhere": {two, "SCC-21", true, []string{"address: 10.10.10.11/24", "address: 10.10.11.11/24"}},
		"public card elsewhere":  {two, "SCC-22", true, []string{"address: 192.0.2.12/24", "address: 192.0.3.12/24"}},
		"public card private":    {two, "SCC-20", true, []string{"address: 192.0.2.12/24", "address: 10.10.10.12/24"}},
		"other private range": {two, "SCC-23", false,
			[]string{"subnet: 10.10.10.0/24", "subnet: 10.10.10.0/25", "10.10.10.10/24", "10.10.10.10/25", "10.10.10.11/24",
				"10.10.10.11/25"}},
		"names": {two, "SCC-26", false, []string{"- name: mbx01\n", "- name: mail\n", "server: mbx01}",
			"server: mail}", "server: mbx01}", "server: mail}"}},
		"one name for two nets": {two, "SCC-33", true, []string{"name: Private", "name: Public"}},
		"tolerance": {two, "SCC-34", false, []string{"  organization: Contoso", "  tolerance: 5\n  " +
			"organization: Contoso"}},
		"neither active nor": {two, "SCC-42", true, []string{"roles: [cluster, passive]", "roles: [cluster, " +
			"passive, active]"}},
		"active node is passive": {two, "SCC-42", true, []string{"active: mbx01-node1", "active: mbx01-node2"}},
		"cards not declared": {two, "SCC-32", true, []string{"          private: {mac: '00:15:5D:00:02:02', " +
			"address: 10.10.10.11/24}\n", "", "          public: {mac: '00:15:5D:00:02:01', address: 192.0.2.12/24, gateway: " +
			"192.0.2.1}\n", "", "      roles: [cluster, passive]\n      parameters:\n        adapters:\n",
			"      roles: [cluster, passive]\n"}},
		"one passive":             {four, "SCC-45", false, nil},
		"two servers on a node":   {four, "SCC-46", true, []string{"active: mbx-node2", "active: mbx-node1"}},
		"active without a server": {four, "SCC-45", true, []string{"active: mbx-node2", "active: mbx-node1"}},
		"as many servers as nodes": {four, "SCC-43", true,
			[]string{"  media: 'D:\\Exchange'\n  organization", "    - {name: mbx04, address: 192.0.2.24, active: mbx-node4, " +
				"passive: [mbx-node1], data_path: 'E:\\mbx04'}\n  media: 'D:\\Exchange'\n  organization"}},
	} {
		_, findings, err := sccSite(t, c.example, c.edits...)
		found := false
		for _, f := range findings {
			found = found || f.Rule == c.rule && (string(f.Severity) == "must") == c.severe
		}
		if !found {
			t.Errorf("%s: rule %s did not speak (%v; %v)", name, c.rule, findings, err)
		}
		if c.severe && err == nil {
			t.Errorf("%s: the site was taken", name)
		}
	}
}
