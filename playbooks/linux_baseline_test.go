package playbooks_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"deploy/inventory"
	"deploy/playbooks"
	"deploy/steps"
	"deploy/steps/all"
)

// baselineSite compiles the example after replacing text in it: old, new, old, new.
func baselineSite(t *testing.T, edits ...string) (*steps.Program, []playbooks.Finding, error) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "examples", "linux-baseline", "site.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
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
	source, err := playbooks.Source("linux-baseline")
	if err != nil {
		t.Fatal(err)
	}
	pb, err := playbooks.Parse("playbook linux-baseline", source)
	if err != nil {
		t.Fatal(err)
	}
	return pb.Compile(site, all.Kinds())
}

// The example has some forty steps for each node, of every kind that Linux has.
func TestBaselineExampleCompiles(t *testing.T) {
	prog, findings, err := baselineSite(t)
	if err != nil || len(findings) > 0 {
		t.Fatalf("%v, findings %v", err, findings)
	}
	perNode, kinds := map[string]int{}, map[string]int{}
	for _, task := range prog.Tasks() {
		perNode[task.Node]++
		kinds[task.Step.Kind()]++
	}
	for _, n := range []string{"web1", "web2"} {
		if perNode[n] < 40 {
			t.Errorf("%s has %d steps", n, perNode[n])
		}
	}
	for _, k := range []string{"packages", "service", "file", "template", "directory", "user", "group", "sysctl", "mount",
		"network.hosts", "command", "probe"} {
		if kinds[k] == 0 {
			t.Errorf("no step of kind %s", k)
		}
	}
}

// A site that gives nothing but its nodes works too.
func TestBaselineNeedsOnlyNodes(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("..", "examples", "linux-baseline", "site.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	_, parameters, _ := strings.Cut(string(data), "\nparameters:")
	prog, findings, err := baselineSite(t, "\nparameters:"+parameters, "\n")
	if err != nil || len(findings) > 0 {
		t.Fatalf("%v, findings %v", err, findings)
	}
	if n := len(prog.Tasks()); n < 30 {
		t.Errorf("%d steps", n)
	}
}

func TestBaselineRules(t *testing.T) {
	for name, c := range map[string]struct {
		edits []string
		rule  string
		fails bool
	}{
		"passwords forbidden, no key": {[]string{"  motd:", "  sshd: {options: {PasswordAuthentication: 'no'}}\n  motd:"},
			"LNX-02", true},
		"two of one number": {[]string{"name: viewer, uid: 1601", "name: viewer, uid: 1600"}, "LNX-03", true},
		"a setting of the kernel": {[]string{"    net.ipv4.tcp_fin_timeout: '30'", "    vm.swappiness: '10'"}, "LNX-04",
			false},
	} {
		_, findings, err := baselineSite(t, c.edits...)
		found := false
		for _, f := range findings {
			found = found || f.Rule == c.rule
		}
		if err != nil {
			found = found || strings.Contains(err.Error(), c.rule)
		}
		if !found || (err != nil) != c.fails {
			t.Errorf("%s: findings %v, error %v", name, findings, err)
		}
	}
	edits := []string{"  motd:", "  sshd: {options: {PasswordAuthentication: 'no'}}\n  motd:",
		"comment: Brings new releases,", "comment: Brings new releases, keys: ['ssh-ed25519 AAAA x'],"}
	prog, findings, err := baselineSite(t, edits...)
	if err != nil || len(findings) > 0 {
		t.Fatalf("with a key: %v, %v", findings, err)
	}
	keys := 0
	for _, task := range prog.Tasks() {
		if strings.HasPrefix(task.ID, "accounts/keys") {
			keys++
		}
	}
	if keys != 4 { // directory and file on two nodes
		t.Errorf("%d steps for keys", keys)
	}
}
