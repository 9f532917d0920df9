package inventory_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/internal/secret"
	"deploy/internal/yamlx"
	"deploy/inventory"
)

func TestFullSite(t *testing.T) {
	site, err := inventory.Load("testdata/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	wantCredentials := map[string]inventory.Credential{
		"admin":   {Username: `CONTOSO\deploy`, Password: secret.Ref{Env: "DEPLOY_PASSWORD"}},
		"file":    {Username: "root", Password: secret.Ref{File: "secret.txt"}},
		"key":     {Username: "root", KeyFile: "id_ed25519", Passphrase: secret.Ref{Prompt: "Passphrase of the key:"}},
		"command": {Username: "root", Password: secret.Ref{Command: []string{"pass", "show", "deploy"}}},
		"agent":   {Username: "root", Agent: true},
	}
	if d := cmp.Diff(wantCredentials, site.Credentials); d != "" {
		t.Errorf("credentials (-want +got)\n%s", d)
	}
	if site.Fetch != "https://mirror.contoso.example:8443/deploy/" {
		t.Errorf("agents are fetched from %q", site.Fetch)
	}
	ssh := inventory.SSH{KnownHosts: "hosts", KeepAlive: 15 * time.Second,
		Fingerprints: []string{"SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU"}}
	jump := ssh
	jump.AcceptNew, jump.Config, jump.ProxyJump = true, "ssh_config", "jump@gate:2222"
	kerberos := inventory.WinRM{Scheme: "https", Auth: "kerberos", CA: "ca.pem"}
	own := inventory.WinRM{Scheme: "https", Auth: "ntlm", CA: "ca.pem",
		Fingerprint: strings.Repeat("aabbccddeeff00112233445566778899", 2)}
	none := map[string]any{}
	wantNodes := []inventory.Node{
		{Name: "plain", Address: "192.0.2.11", Transport: "winrm", Port: 15986, Credential: "admin",
			Roles:      []string{"cluster", "active"},
			Parameters: map[string]any{"private": "10.10.10.10/24"}, WinRM: kerberos, SSH: ssh, Agent: "never",
			Timeout: 30 * time.Second},
		{Name: "own", Address: "2001:db8::1", Transport: "winrm", Port: 25986, Credential: "admin", Parameters: none,
			WinRM: own, SSH: ssh, Agent: "always", Timeout: 5 * time.Minute},
		// the default port belongs to the default transport
		{Name: "linux", Address: "linux.contoso.example", Transport: "ssh", Credential: "key", Parameters: none,
			WinRM: kerberos, SSH: jump, Agent: "never", Timeout: 30 * time.Second},
		{Name: "here", Address: "here", Transport: "local", Credential: "admin", Parameters: none, WinRM: kerberos, SSH: ssh,
			Agent: "never", Timeout: 30 * time.Second},
	}
	if d := cmp.Diff(wantNodes, site.Nodes); d != "" {
		t.Errorf("nodes (-want +got)\n%s", d)
	}
	wantLab := inventory.Lab{OS: "2008", Locale: "ja", Domain: "contoso.example", Faults: []string{"link-drop:plain:7"},
		Machines: map[string]inventory.LabMachine{
			"plain": {OS: "2008r2", Media: []string{`exchange-2007-sp1=D:\Exchange`}, Adapters: []inventory.LabAdapter{
				{MAC: "00:15:5D:01:02:03", Address: "192.0.2.11/24"}, {Name: "Private", Team: true}}},
			"here": {DC: true}},
		Disks: []inventory.LabDisk{{Serial: "S1", SizeMB: 10240},
			{Serial: "S2", SizeMB: 512, Nodes: []string{"plain", "own"}}, {Serial: "S3", SizeMB: 2 << 20}}}
	if d := cmp.Diff(wantLab, site.Lab); d != "" {
		t.Errorf("lab (-want +got)\n%s", d)
	}
	for path, at := range map[string]inventory.Position{"parameters.cluster.name": {Line: 38, Col: 19},
		"inventory.nodes[1].address": {Line: 24, Col: 16},
		"lab.disks[1].size":          {Line: 53, Col: 26}, "inventory.nodes": {Line: 18, Col: 3}} {
		if got := site.Positions[path]; got != at {
			t.Errorf("%s at %v, not %v", path, got, at)
		}
	}
	if n, ok := site.Node("own"); !ok || n.Port != 25986 {
		t.Error("Node does not find own")
	}
}

func TestSchemaAcceptsTheFullSite(t *testing.T) {
	b, err := json.Marshal(inventory.Schema())
	if err != nil {
		t.Fatal(err)
	}
	schema, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("site.json", schema); err != nil {
		t.Fatal(err)
	}
	compiled, err := c.Compile("site.json")
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile("testdata/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := yamlx.Parse("full.yaml", data, yamlx.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if b, err = json.Marshal(doc.Root.Plain()); err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if err := compiled.Validate(value); err != nil {
		t.Error(err)
	}
}

// TestReleases: the releases that the lab accepts are those that the rest of the program knows.
func TestReleases(t *testing.T) {
	for _, r := range append(node.WindowsReleases(), node.Linux) {
		if _, err := inventory.Parse("s", []byte(small+"lab: {os: '"+string(r)+"'}\n")); err != nil {
			t.Errorf("%s: %v", r, err)
		}
	}
}

const small = "site: s\nplaybook: p\ninventory: {nodes: [{name: n, transport: local}]}\n"

func TestWarnings(t *testing.T) {
	site, err := inventory.Parse("s.yaml", []byte(`site: s
playbook: p
credentials: {a: {username: u, password: {env: X}}}
inventory:
  nodes:
    - {name: a-very-long-computer-name, credential: a, port: 5985}
parameters: {version: 1.10}
`))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, w := range site.Warnings {
		got = append(got, w.Error())
	}
	text := strings.Join(got, "\n")
	for _, want := range []string{"s.yaml:7:23: YAML reads 1.10", "s.yaml:6:14: the name",
		"s.yaml:6:62: node \"a-very-long-computer-name\" has port 5985 with https"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
}

func TestDigest(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	digest := func() string {
		t.Helper()
		site, err := inventory.Load(filepath.Join(dir, "site.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		return site.Digest()
	}
	text := "site: s\nplaybook: p\ncredentials: {a: {username: u, password: {file: pw}}}\ninventory: {nodes: [{name: " +
		"n, credential: a, winrm: {ca: ca.pem}}]}\n"
	write("site.yaml", text)
	seen := map[string]string{}
	note := func(what string, fresh bool) {
		t.Helper()
		d := digest()
		if was, ok := seen[d]; ok == fresh {
			t.Errorf("%s: digest %s, seen after %q", what, d, was)
		}
		seen[d] = what
	}
	note("no ca", true)
	write("ca.pem", "one")
	note("a ca", true)
	write("ca.pem", "two")
	note("another ca", true)
	write("pw", "secret")
	note("a password", false)
	write("site.yaml", text+"# a comment\n")
	note("another text", true)
}

func TestLoadOfNothing(t *testing.T) {
	_, err := inventory.Load(filepath.Join(t.TempDir(), "none.yaml"))
	if !errors.Is(err, os.ErrNotExist) || hint.Of(err) == "" {
		t.Errorf("%v with hint %q", err, hint.Of(err))
	}
}

// TestMistakesWithoutPlaybook: what the corpus of package playbooks does not show.
func TestMistakesWithoutPlaybook(t *testing.T) {
	head := "site: s\nplaybook: p\ncredentials:\n  a: {username: u, password: {env: X}}\n  empty: {}\n  key: " +
		"{username: u, key_file: k}\n"
	nodes := "inventory:\n  nodes:\n    - "
	for in, want := range map[string]string{
		head + nodes + "{name: n, credential: empty, transport: ssh}":         `s:5:3: credential "empty" has no password, key_file or agent`,
		head + nodes + "{name: n, credential: key}":                           `s:6:3: credential "key" has no user name and password, which WinRM needs`,
		head + nodes + "{name: n, winrm: {auth: certificate}}":                `s:9:17: node "n" logs on with a certificate but names none`,
		head + nodes + "{name: n, credential: a, winrm: {fingerprint: abcd}}": `s:9:53: "abcd" does not match`,
		head + nodes + "{name: n, transport: ssh, ssh: {fingerprints: [x]}}":  `"x" does not match`,
		head + nodes + "{name: n, transport: ssh, ssh: {keepalive: often}}":   `"often" is not a duration`,
		head + nodes + "{name: n, transport: local, roles: [a, a]}":           `duplicate value "a"`,
		head + "inventory: {nodes: []}":                                       `s:7:13: needs at least 1, has 0`,
		head + "inventory: {nodes: [~]}":                                      `an empty item in a list`,
		head + "inventory: {nodes: }":                                         `"nodes" has no value`,
		"site: s\nplaybook: p\ncredentials: {a: }\n" + nodes +
			"{name: n, transport: local}": `credential "a" is empty`,
		"site: s\nplaybook: p\ncredentials: {a: {password: {env: X}}}\n" + nodes +
			"{name: n, transport: local}": `credential "a" has a password but no username`,
		"site: s\nplaybook: p\ncredentials: {a: {passphrase: {env: X}}}\n" + nodes +
			"{name: n, transport: local}": `credential "a" has a passphrase but no key_file`,
		"site: a b\nplaybook: p\n" + nodes +
			"{name: n, transport: local}": `s:1:7: "a b" does not match`,
		small + "lab: {machines: {n: {adapters: [{mac: 1, address: 10.0.0.1}]}}}":  `s:4:39: must be text, is a number`,
		small + "lab: {disks: [{serial: A, size: 0 GB}, {serial: a, size: 1 PB}]}": `"0 GB" is not a possible size`,
		small + "lab: {disks: [{serial: A, size: 1 GB}, {serial: a, size: 1 GB}]}": `duplicate value "a"`,
		small + "lab: {disks: [{serial: A, size: 1 GB, nodes: [m]}]}":              `"m" is not a node of the inventory`,
		small + "agents: {fetch: http://m.example/}":                               `s:4:17: agents.fetch must begin with https://`,
		small + "agents: {fetch: 'https://u:hunter2@m.example/'}":                  `s:4:17: agents.fetch must hold no user name or password`,
		small + "agents: {fetch: 'https://m.example/d?token=hunter2'}":             `s:4:17: agents.fetch must have no query`,
		small + "agents: {fetch: 'https://m.example/hunter2 $(id)'}":               `s:4:17: agents.fetch must be a plain https URL`,
		small + "agents: {fetch: 7}":                                               `s:4:17: must be text, is a number`,
		small + "agents: {fetch: ''}":                                              `s:4:17: agents.fetch must begin with https://`,
		small + "agents: {from: x}":                                                `s:4:10: unknown key "from"`,
		small + "lab: {locale: es}":                                                `"es" is not one of en, fr, de, ja`,
		small + "lab: {domain: contoso}":                                           `"contoso" is not a domain name`,
		small + "lab: {machines: {n: {media: [exchange]}}}":                        `"exchange" does not match`,
	} {
		_, err := inventory.Parse("s", []byte(in))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\n%v, wanted %q", in, err, want)
		}
		if strings.Contains(fmt.Sprint(err), "hunter2") {
			t.Errorf("the message repeats a value that may be secret: %v", err)
		}
		for _, e := range yamlx.All(err) {
			if e.Hint == "" || e.Line == 0 {
				t.Errorf("no hint or place: %v", e)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	full, err := os.ReadFile("testdata/full.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(full)
	f.Add([]byte(small))
	f.Add([]byte("site: [\ninventory: {nodes: [{name: {}}, 3], defaults: []}\nlab: {machines: [], disks: " +
		"{}}\ncredentials: {a: []}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		site, err := inventory.Parse("f", data)
		if err == nil {
			if len(site.Nodes) == 0 || site.Name == "" || site.Digest() == "" {
				t.Errorf("accepted, but empty: %+v", site)
			}
			return
		}
		if len(yamlx.All(err)) == 0 {
			t.Errorf("an error without a place: %v", err)
		}
	})
}
