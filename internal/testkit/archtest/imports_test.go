package archtest

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path"
	"strings"
	"testing"
)

// arrows says which packages of the project each package may import. An arrow that is not here is a
// defect; so is a package that is not here. A name that ends in /... stands for everything below
// it.
var arrows = map[string][]string{
	"cmd/deploy": {"internal/agent/command", "internal/cli", "internal/agent/client", "internal/journal", "steps",
		"steps/...", "transport", "transport/...", "internal/lab", "playbooks", "inventory"},
	"bench":     {},
	"bench/...": {"internal/testkit/linuxnodes"},
	"tools/...": {"internal/testkit/winenodes"},

	// the user's own layout
	"inventory": {"internal/hint", "internal/nearest", "internal/secret", "internal/yamlx", "internal/yamlx/shape"},
	"playbooks": {"internal/hint", "internal/nearest", "internal/node", "internal/rules",
		"internal/yamlx", "internal/yamlx/shape",
		"inventory", "steps"},
	"steps":         {"internal/hint", "internal/nearest", "internal/node", "internal/yamlx", "internal/yamlx/shape"},
	"steps/...":     {"internal/hint", "internal/node", "steps", "steps/..."},
	"transport":     {"internal/secret"},
	"transport/...": {"internal/hint", "internal/node", "internal/proctree", "internal/secret", "transport"},

	// what serves them
	"internal/cli": {"internal/agent", "internal/agent/wire", "internal/agent/command", "internal/session",
		"internal/session/local",
		"internal/session/shell", "internal/agent/client", "internal/session/powershell", "internal/engine", "internal/hint",
		"internal/journal", "internal/lab", "internal/lab/...", "internal/nearest", "internal/node",
		"internal/rules", "internal/secret", "internal/view", "inventory", "playbooks", "steps", "transport"},
	"internal/session": {"internal/hint", "internal/node"},
	"internal/session/powershell": {"internal/hint", "internal/node", "internal/session",
		"internal/session/powershell/protocol",
		"internal/secret", "internal/winargs", "transport"},
	"internal/engine": {"internal/engine/recorder", "internal/nearest", "internal/hint", "internal/journal",
		"internal/node", "internal/owner", "internal/task", "steps"},
	"internal/engine/recorder": {"internal/hint", "internal/journal"},
	"internal/owner":           {"internal/node"},
	"internal/task":            {"internal/node", "steps"},
	"internal/agent": {"internal/agent/wire", "internal/hint", "internal/node", "internal/task",
		"internal/secret", "steps"},
	"internal/agent/wire": {"internal/hint", "internal/node", "internal/task", "steps"},
	"internal/agent/command": {"internal/agent", "internal/agent/wire", "internal/session", "internal/session/local",
		"internal/node", "steps"},
	"internal/agent/client": {"internal/journal", "internal/agent/wire", "internal/engine", "internal/hint",
		"internal/node", "internal/owner", "internal/task", "internal/secret", "steps", "transport"},
	"internal/hint":          {},
	"internal/journal":       {"internal/hint"},
	"internal/session/linux": {"internal/node"},
	"internal/session/local": {"internal/session", "internal/secret", "internal/session/powershell", "internal/hint",
		"internal/session/linux",
		"internal/node", "internal/proctree", "internal/session/powershell/protocol", "internal/session/local/winapi",
		"internal/winargs", "transport/local"},
	"internal/nearest":                     {},
	"internal/node":                        {"internal/secret"},
	"internal/proctree":                    {},
	"internal/session/powershell/protocol": {},
	"internal/session/shell": {"internal/session", "internal/hint", "internal/session/linux", "internal/node",
		"internal/secret",
		"transport"},
	"internal/rules":  {"internal/yamlx"},
	"internal/secret": {"internal/hint"},
	"internal/view": {"internal/engine", "internal/hint", "internal/journal", "internal/node",
		"internal/rules", "steps"},
	"internal/testkit/winenodes":     {}, // Windows programs under Wine, for tests
	"internal/testkit/winenodes/...": {},
	"internal/session/local/winapi":  {"internal/node", "internal/session/powershell/protocol", "internal/winargs"},
	"internal/winargs":               {},
	"internal/yamlx":                 {"internal/hint", "internal/nearest"},
	"internal/yamlx/shape":           {"internal/nearest", "internal/yamlx"},
	"internal/testkit/auditor":       {"internal/journal"},
	"internal/testkit/archtest":      {},
	"internal/testkit/leaves":        {"steps"},                // site files changed one value at a time, for tests
	"internal/testkit/gendoc":        {"internal/yamlx/shape"}, // parts of the documentation, held by tests
	"internal/testkit/names":         {"internal/node", "steps", "steps/..."},
	"internal/testkit/names/gen":     {"internal/testkit/names", "steps/all"},
	"internal/testkit/sshdtest":      {"transport"}, // a real sshd, for tests
	"internal/testkit/linuxnodes":    {},            // real nodes, for tests and bench
	"internal/testkit/nodetest":      {"internal/node", "internal/session/powershell/protocol"},
	"internal/testkit/pslint":        {},
	"internal/testkit/psproof":       {},
	"internal/lab/session": {"internal/session", "internal/lab/...", "internal/node",
		"internal/session/powershell/protocol"},
	"internal/testkit/conformance": {"internal/secret", "internal/session", "internal/agent", "internal/journal",
		"internal/lab", "internal/agent/client",
		"internal/lab/...", "internal/lab/session", "internal/node", "internal/testkit/nodetest",
		"internal/session/powershell/protocol", "internal/yamlx/shape", "steps", "inventory", "internal/engine"},

	// the lab knows nothing of steps: it is written from the documented behaviour of the real thing
	"internal/lab": {"internal/session", "internal/hint", "internal/lab/session", "internal/lab/...",
		"internal/secret", "inventory",
		"internal/node"},
	"internal/lab/model":   {"internal/node"},
	"internal/lab/machine": {"internal/lab/model", "internal/node", "internal/session/powershell/protocol", "inventory"},
	"internal/lab/failover": {"internal/lab/machine", "internal/lab/model", "internal/node",
		"internal/session/powershell/protocol"},
	"internal/lab/directory": {"internal/lab/machine", "internal/lab/model", "internal/node",
		"internal/session/powershell/protocol"},
	"internal/lab/exchange": {"internal/lab/directory", "internal/lab/failover", "internal/lab/machine",
		"internal/lab/model", "internal/node", "internal/session/powershell/protocol"},
	"internal/lab/front": {"internal/lab/machine", "internal/lab/model", "internal/node",
		"internal/session/powershell/protocol"},
	"internal/lab/winrmd": {"internal/secret", "internal/lab/front", "internal/lab/machine", "internal/lab/model"},
	"internal/lab/sshd": {"internal/session/powershell/protocol", "internal/secret", "internal/lab/front",
		"internal/lab/machine", "internal/lab/model"},
}

// forbidden are packages outside the project that a part must not see.
var forbidden = map[string][]string{
	"steps/...": {"os", "os/exec", "net", "net/http", "path/filepath", "io/ioutil"},
	"steps":     {"os", "os/exec", "net", "net/http", "path/filepath"},
	"inventory": {"gopkg.in/yaml.v3", "net/http"},
	"playbooks": {"gopkg.in/yaml.v3", "os/exec", "net/http"},
}

func TestImportGraph(t *testing.T) {
	for _, system := range []string{"linux", "windows"} {
		t.Run(system, func(t *testing.T) { checkGraph(t, projectImports(t, system)) })
	}
}

func checkGraph(t *testing.T, all map[string][]string) {
	for pkg, imports := range all {
		allowed, known := lookup(arrows, pkg)
		if !known {
			t.Errorf("package %s is not in the table of arrows", pkg)
			continue
		}
		bad, _ := lookup(forbidden, pkg)
		for _, imp := range imports {
			if own, ok := strings.CutPrefix(imp, "deploy/"); ok {
				if !matchAny(allowed, own) {
					t.Errorf("%s must not import %s", pkg, own)
				}
			} else if matchAny(bad, imp) {
				t.Errorf("%s must not import %s", pkg, imp)
			}
		}
	}
}

// projectImports maps each package (without the module's name) to what its non-test files for a
// system import.
func projectImports(t *testing.T, system string) map[string][]string {
	t.Helper()
	cmd := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "deploy/...")
	cmd.Dir = path.Join("..", "..", "..")
	cmd.Env = append(os.Environ(), "GOOS="+system)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("cannot list the packages: %v", err)
	}
	all := map[string][]string{}
	sc := bufio.NewScanner(bytes.NewReader(out))
	for sc.Scan() {
		f := strings.Fields(sc.Text())
		all[strings.TrimPrefix(f[0], "deploy/")] = f[1:]
	}
	if len(all) < 10 {
		t.Fatalf("only %d packages found", len(all))
	}
	return all
}

// lookup finds the entry for pkg: its own name before the longest name/... that covers it.
func lookup(table map[string][]string, pkg string) ([]string, bool) {
	if v, ok := table[pkg]; ok {
		return v, true
	}
	for p := path.Dir(pkg); p != "."; p = path.Dir(p) {
		if v, ok := table[p+"/..."]; ok {
			return v, true
		}
	}
	return nil, false
}

func matchAny(patterns []string, pkg string) bool {
	for _, p := range patterns {
		if p == pkg {
			return true
		}
		if prefix, ok := strings.CutSuffix(p, "/..."); ok && strings.HasPrefix(pkg, prefix+"/") {
			return true
		}
	}
	return false
}
