package main

import (
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"deploy/internal/testkit/auditor"
	"deploy/internal/testkit/linuxnodes"
)

// linuxObjects are what the tasks of the audited nodes set: the lines of a node's state that begin
// so.
var linuxObjects = []struct {
	task, phase string
	lines       []string // a name of the state, or the beginning of one, with a star at its end
}{
	{"settings/directory", "settings", []string{"file /srv/audited"}},
	{"settings/file", "settings", []string{"file /srv/audited/a.conf"}},
	{"settings/hosts", "settings", []string{"file /etc/hosts"}},
	{"rest/user", "rest", []string{"account audited:*", "account group audited:*", "shadow audited:*",
		"file /home/audited*",
		"file /etc/passwd", "file /etc/group", "file /etc/shadow", "file /etc/gshadow", "file /etc/subuid",
		"file /etc/subgid"}},
	{"rest/command", "rest", []string{"file /srv/audited/made"}},
}

const linuxAudited = `playbook: audited
title: Objects that an auditor can see on the node
roles:
  systemd: {doc: a node, min: 0}
phases:
  - id: settings
    title: Settings
    steps:
      - {id: directory, uses: directory, on: role.systemd, with: {path: /srv/audited, mode: '0750'}}
      - {id: file, uses: file, on: role.systemd, with: {path: /srv/audited/a.conf, content: "a = 1\n"}}
      - {id: hosts, uses: network.hosts, on: role.systemd, with: {entries: [{address: 192.0.2.11, names: [web1]}]}}
  - id: rest
    title: What comes after it
    needs: [settings]
    steps:
      - {id: user, uses: user, on: role.systemd, with: {name: audited, uid: 3100}}
      - id: command
        uses: command
        on: role.systemd
        with:
          check: [test, -e, /srv/audited/made]
          apply: [sh, -c, 'sleep 0.2; touch /srv/audited/made']
          undo: [rm, /srv/audited/made]
`

// linuxView is what the nodes hold.
func (f *fleet) linuxView(t *testing.T) auditor.View {
	t.Helper()
	v := auditor.View{Objects: map[string]string{}, Rest: map[string]string{}, Boots: map[string]int{},
		Pending: map[string]bool{}}
	for name, s := range f.stateOf(t, []string{"/etc", "/home", "/srv", "/root"}) {
		tokens := map[string][]string{}
		var rest []string
		for key, value := range s {
			line, best := key+" "+value, ""
			for _, o := range linuxObjects {
				for _, p := range o.lines {
					if start, open := strings.CutSuffix(p, "*"); key == p || open && strings.HasPrefix(key, start) {
						best = o.task
					}
				}
			}
			if best == "" {
				rest = append(rest, strings.ReplaceAll(line, " linkdown", "")) // a cut may last longer than a command
				continue
			}
			tokens[best] = append(tokens[best], line)
		}
		for _, o := range linuxObjects {
			slices.Sort(tokens[o.task])
			v.Objects[o.task+"@"+name] = strings.Join(tokens[o.task], "\n")
		}
		slices.Sort(rest)
		v.Rest[name] = strings.Join(rest, "\n")
	}
	for _, n := range f.nodes {
		v.Boots[n.Name] = n.Boots()
	}
	return v
}

// audited puts a fleet under audit.
func (f *fleet) audited(t *testing.T) *audited {
	t.Helper()
	a := &audited{t: t, site: f.site, env: f.env, state: filepath.Join(f.dir, ".deploy", "nodes"),
		launch: func(cmd *exec.Cmd) error { return f.launch(cmd) },
		look:   func() auditor.View { return f.linuxView(t) }}
	a.cut = func(rnd *rand.Rand) {
		n := f.nodes[rnd.IntN(len(f.nodes))]
		time.AfterFunc(time.Duration(100+rnd.IntN(1500))*time.Millisecond, func() {
			if err := n.LinkDown(); err != nil {
				t.Error(err)
			}
			time.Sleep(lasting)
			if err := n.LinkUp(); err != nil {
				t.Error(err)
			}
		})
	}
	return a
}

// Journal and real nodes agree after every cut of every schedule: one node with an agent, one that
// is worked on from here.
func TestTierAuditorNodes(t *testing.T) {
	tierAuditor(t)
	linuxnodes.Tier(t, "auditor")
	l := linuxnodes.New(t, linuxnodes.Options{Systemd: 2})
	buildAgent(t, l)
	if err := l.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	fresh := func(t *testing.T) *fleet {
		f := newFleet(t, l, linuxAudited, l.Nodes()...)
		for i, n := range f.nodes {
			f.extra[i] = fmt.Sprintf(", agent: %s, ssh: {fingerprints: ['%s'], keepalive: 250ms}",
				[]string{"always", "never"}[i%2], n.Fingerprint())
		}
		f.timeout = "5s"
		f.write(t)
		return f
	}
	var list []auditor.Object
	for _, o := range linuxObjects {
		for _, n := range l.Nodes() {
			list = append(list, auditor.Object{Task: o.task + "@" + n.Name, Phase: o.phase, Node: n.Name})
		}
	}
	calm, objects, usual := fresh(t).audited(t).learn(list)
	schedules(t, "real nodes", func(t *testing.T, _ uint64) *audited {
		for _, n := range l.Nodes() {
			if err := anew(t, n); err != nil {
				t.Fatal(err)
			}
		}
		a := fresh(t).audited(t)
		a.calm, a.objects = calm, objects
		a.calm.Bare.Boots = a.view().Boots // the reset was one
		return a
	}, usual)
}
