package main

import (
	"fmt"
	"strings"
)

// book builds a playbook step by step. Every step is on all nodes.
type book struct {
	b     strings.Builder
	steps int
}

func newBook(name string) *book {
	k := &book{}
	fmt.Fprintf(&k.b, "playbook: %s\nroles: {systemd: {}, plain: {}}\nphases:\n", name)
	return k
}

func (k *book) phase(id string) {
	fmt.Fprintf(&k.b, "  - id: %s\n    steps:\n", id)
}

// step adds a step; with is the inside of a flow mapping.
func (k *book) step(kind, with string, rest ...string) {
	k.steps++
	fmt.Fprintf(&k.b, "      - {id: s%d, uses: %s, on: nodes, with: {%s}%s}\n", k.steps, kind, with,
		strings.Join(rest, ""))
}

func (k *book) String() string { return k.b.String() }

// onSystemd limits a step to nodes with systemd.
const onSystemd = `, if: "'systemd' in node.roles"`

// forty is a site of forty steps of every family for Linux.
func forty() *book {
	k := newBook("forty")
	k.phase("accounts")
	for i := range 3 {
		k.step("group", fmt.Sprintf("name: team%d, gid: %d", i, 3000+i))
		k.step("user", fmt.Sprintf("name: person%d, uid: %d, group: team%d, shell: /bin/sh, comment: 'Nummer %[1]d é'", i,
			3100+i, i))
	}
	k.phase("files")
	for i := range 4 {
		k.step("directory", fmt.Sprintf("path: /srv/data%d, mode: '0750', owner: person%d, group: team%[2]d", i, i%3))
	}
	for i := range 14 {
		k.step("file", fmt.Sprintf(`path: /srv/data%d/file%d, content: "line %[2]d\nwith 'quotes', $(x) and é\n", mode: '06%[3]d0', owner: person%d`, i%4, i, i%5, i%3))
	}
	for i := range 4 {
		k.step("template", fmt.Sprintf(
			`path: /etc/motd%d, text: "{{ .node.hostname }} {{ .values.n }}\n", values: {n: %[1]d}`, i))
	}
	k.phase("system")
	for _, s := range []string{"ipv4.ip_forward, value: '1'", "ipv4.tcp_syncookies, value: '0'",
		"ipv4.conf.all.log_martians, value: '1'", "ipv4.tcp_keepalive_time, value: '600'"} {
		k.step("sysctl", "key: net."+s)
	}
	k.step("network.hosts", "entries: [{address: 192.0.2.11, names: [web1.example.com, web1]}, {address: 192.0.2.12, "+
		"names: [web2]}]")
	k.step("network.hosts", "entries: [{address: 192.0.2.13, names: [db]}]")
	k.step("mount", "path: /srv/scratch, source: tmpfs, type: tmpfs, options: [size=2m, nosuid]")
	k.step("packages", "names: [tree, lsof]")
	k.step("command", "check: [test, -e, /srv/data0/made], apply: [touch, /srv/data0/made], undo: [rm, /srv/data0/made]")
	k.step("command", "check: [test, -e, /srv/data1/made], apply: [touch, /srv/data1/made], undo: [rm, /srv/data1/made]")
	k.step("file", `path: /etc/cron.d/own, content: "# nothing\n", mode: '0644'`)
	k.step("service", "name: cron, start: manual, state: stopped", onSystemd)
	return k
}

// families has one phase with one step of every family for Linux.
func families() *book {
	k := newBook("families")
	k.phase("all")
	k.step("group", "name: team, gid: 3000")
	k.step("user", "name: person, uid: 3100, group: team")
	k.step("directory", "path: /srv/data, mode: '0750', owner: person, group: team")
	k.step("file", `path: /srv/data/file, content: "text\n", mode: '0640', owner: person`)
	k.step("template", `path: /srv/data/motd, text: "{{ .node.hostname }}\n"`)
	k.step("sysctl", "key: net.ipv4.ip_forward, value: '1'")
	k.step("network.hosts", "entries: [{address: 192.0.2.11, names: [web1]}]")
	k.step("mount", "path: /srv/scratch, source: tmpfs, type: tmpfs, options: [size=2m]")
	k.step("packages", "names: [tree]")
	k.step("command", "check: [test, -e, /srv/data/made], apply: [touch, /srv/data/made], undo: [rm, /srv/data/made]")
	k.step("service", "name: cron, start: manual, state: stopped", onSystemd)
	return k
}
