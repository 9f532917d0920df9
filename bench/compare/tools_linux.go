package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"

	"deploy/internal/testkit/linuxnodes"
)

// atOnce is how many nodes are worked on at the same time by every tool that lets itself be told;
// as many as deploy reads from.
const atOnce = 64

// job is one desired state on some nodes, and where a tool may keep its files.
type job struct {
	c     *comparison
	nodes []*linuxnodes.Node
	steps int
	dir   string
}

// started is how a tool is started for a job.
type started struct{ argv, env []string }

// tool is one way to bring nodes to the desired state.
type tool struct {
	name, what string
	once       bool // has only a first run
	cold       bool // the agent's program is taken from the nodes before the first run
	idle       bool // does nothing with the files
	warm       bool // the agent's program is brought to the nodes before the first run
	agent      bool // must be seen at work with an agent on the nodes
	start      func(j *job) (started, error)
}

func tools() []tool {
	ansible := func(config string) func(j *job) (started, error) {
		return func(j *job) (started, error) { return j.ansible(config) }
	}
	// on a busy machine ten seconds are not always enough for a connection
	const patience = "[defaults]\ntimeout = 60\n"
	forks := fmt.Sprintf(patience+"forks = %d\n", atOnce)
	return []tool{
		{name: "floor", idle: true, what: "reaches each node by SSH and runs `true` there once: the least that anything " +
			"over SSH can cost (golang.org/x/crypto/ssh, a process of its own)", start: (*job).floor},
		{name: "deploy", agent: true, warm: true, what: "`deploy apply --auto-approve`, with the agent's program on the " +
			"nodes already", start: (*job).deploy},
		{name: "placing", agent: true, once: true, cold: true,
			what: "the same on nodes that never saw the agent: its program travels first", start: (*job).deploy},
		{name: "ansible", what: "`ansible-playbook`, as it comes (5 forks)", start: ansible(patience)},
		{name: "pipelining", what: "the same with pipelining and " + fmt.Sprint(atOnce) + " forks",
			start: ansible(forks + "[ssh_connection]\npipelining = True\n")},
		{name: "mitogen", what: "the same with the strategy mitogen_linear and " + fmt.Sprint(atOnce) + " forks",
			start: ansible(forks + "strategy_plugins = " + mitogenPlugins + "\nstrategy = mitogen_linear\n")},
		{name: "ssh", what: "a shell loop with one `ssh` for each step, nodes beside each other",
			start: func(j *job) (started, error) { return j.loop("") }},
		{name: "master", what: "the same over one shared connection for each node (ControlMaster)",
			start: func(j *job) (started, error) {
				return j.loop("-o ControlMaster=auto -o ControlPersist=60 -o ControlPath=" + j.c.dir + "/%C")
			}},
	}
}

// mitogenPlugins is where Debian's package ansible-mitogen puts them.
const mitogenPlugins = "/usr/lib/python3/dist-packages/ansible_mitogen/plugins/strategy"

func toolNames() []string {
	var out []string
	for _, t := range tools() {
		out = append(out, t.name)
	}
	return out
}

// target is the directory of the files on the nodes.
const target = "/srv/bench"

func path(i int) string { return fmt.Sprintf("%s/f%03d", target, i) }

// content is what the file of a step shall hold, a line without anything that a shell or YAML would
// read as its own.
func content(i int) string {
	return fmt.Sprintf("file %d of the comparison, with a line of some seventy bytes of text", i)
}

func (j *job) write(name, text string, mode os.FileMode) (string, error) {
	file := filepath.Join(j.dir, name)
	return file, os.WriteFile(file, []byte(text), mode)
}

// environment of the tools: nothing of the person who measures.
func (j *job) environment(more ...string) []string {
	return append([]string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=" + j.dir,
		"LC_ALL=C.UTF-8"}, more...)
}

func (j *job) deploy() (started, error) {
	var b strings.Builder
	b.WriteString("playbook: compare\ntitle: Compare\nroles: {server: {min: 1}}\nphases:\n  - id: files\n    title: " +
		"Files\n    steps:\n")
	for i := range j.steps {
		fmt.Fprintf(&b, "      - {id: f%d, title: A file, uses: file, on: role.server, with: {path: %s, content: "+
			"\"%s\\n\", mode: '0644'}}\n", i, path(i), content(i))
	}
	if _, err := j.write("compare.yaml", b.String(), 0o600); err != nil {
		return started{}, err
	}
	b.Reset()
	fmt.Fprintf(&b, "site: compare\nplaybook: ./compare.yaml\ncredentials:\n  root: {username: root, key_file: %s}\n"+
		"inventory:\n  defaults: {transport: ssh, credential: root}\n  nodes:\n", j.c.key)
	for _, n := range j.nodes {
		fmt.Fprintf(&b, "    - {name: %s, address: %s, roles: [server], ssh: {fingerprints: ['%s']}}\n", n.Name, n.Addr,
			n.Fingerprint())
	}
	site, err := j.write("site.yaml", b.String(), 0o600)
	return started{[]string{j.c.deploy, "apply", "--auto-approve", "--state-dir", filepath.Join(j.dir, "state"), site},
		j.environment("DEPLOY_AGENTS=" + j.c.agents)}, err
}

func (j *job) ansible(config string) (started, error) {
	var b strings.Builder
	for _, n := range j.nodes {
		fmt.Fprintf(&b, "%s ansible_host=%s\n", n.Name, n.Addr)
	}
	fmt.Fprintf(&b, "\n[all:vars]\nansible_user=root\nansible_ssh_private_key_file=%s\nansible_ssh_common_args='-F "+
		"none -o UserKnownHostsFile=%s'\nansible_python_interpreter=/usr/bin/python3\n",
		j.c.key, j.c.known)
	inventory, err := j.write("hosts", b.String(), 0o600)
	if err != nil {
		return started{}, err
	}
	b.Reset()
	b.WriteString("- hosts: all\n  gather_facts: false\n  tasks:\n")
	for i := range j.steps {
		fmt.Fprintf(&b, "    - name: f%d\n      ansible.builtin.copy: {dest: %s, content: \"%s\\n\", mode: '0644'}\n", i,
			path(i), content(i))
	}
	book, err := j.write("book.yaml", b.String(), 0o600)
	if err != nil {
		return started{}, err
	}
	cfg, err := j.write("ansible.cfg", config, 0o600)
	return started{[]string{"ansible-playbook", "-i", inventory, book},
		j.environment("ANSIBLE_CONFIG="+cfg, "ANSIBLE_NOCOLOR=1")}, err
}

// loop is what people write who have no tool: look, and write when it is not so.
func (j *job) loop(more string) (started, error) {
	options := fmt.Sprintf("-F none -i %s -o IdentitiesOnly=yes -o BatchMode=yes -o UserKnownHostsFile=%s %s", j.c.key,
		j.c.known, more)
	var b strings.Builder
	fmt.Fprintf(&b, "#!/bin/sh\nset -e\nto=root@$1\n")
	for i := range j.steps {
		p, text := path(i), content(i)
		fmt.Fprintf(&b, `ssh -n %s $to '[ "$(cat %s 2>/dev/null)" = "%s" ] && [ "$(stat -c %%a %[2]s)" = 644 ] || { echo "%[3]s" > %[2]s.new && chmod 644 %[2]s.new && mv %[2]s.new %[2]s; }'`+"\n", options, p, text)
	}
	if more != "" {
		fmt.Fprintf(&b, "ssh -O exit %s $to 2>/dev/null\n", options)
	}
	node, err := j.write("node.sh", b.String(), 0o700)
	if err != nil {
		return started{}, err
	}
	b.Reset()
	for _, n := range j.nodes {
		b.WriteString(n.Addr + "\n")
	}
	hosts, err := j.write("addresses", b.String(), 0o600)
	return started{[]string{"xargs", "-a", hosts, "-n", "1", "-P", fmt.Sprint(atOnce), node}, j.environment()}, err
}

func (j *job) floor() (started, error) {
	p := floorPlan{Key: j.c.key, User: "root", Hosts: map[string]string{}, Program: "true", AtOnce: atOnce}
	for _, n := range j.nodes {
		key, err := n.HostKey()
		if err != nil {
			return started{}, err
		}
		p.Hosts[n.Addr+":22"] = string(ssh.MarshalAuthorizedKey(key))
	}
	b, err := json.Marshal(p)
	return started{[]string{"/proc/self/exe", floorWord, string(b)}, j.environment()}, err
}
