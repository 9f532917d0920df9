package all

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"deploy/internal/node"
	"deploy/internal/session"
	"deploy/internal/session/local"
	"deploy/internal/session/shell"
	"deploy/internal/testkit/conformance"
	"deploy/internal/testkit/linuxnodes"
	"deploy/steps"
	"deploy/transport"
	"deploy/transport/ssh"
)

func TestMain(m *testing.M) {
	linuxnodes.Child()
	os.Exit(m.Run())
}

// played is one kind on a real node.
type played struct {
	name     string
	kind     string
	with     map[string]any
	prepare  string           // a script that runs in the node before
	programs []string         // that the data names
	looks    bool             // the kind only looks
	changed  map[string][]any // other values of fields, where none can be made up
}

func text(list ...string) []any {
	out := make([]any, 0, len(list))
	for _, s := range list {
		out = append(out, s)
	}
	return out
}

func cases() []played {
	host := func(address string, names ...string) map[string]any {
		return map[string]any{"address": address, "names": text(names...)}
	}
	return []played{
		{name: "file-new", kind: "file", with: map[string]any{"path": "/etc/app.conf", "content": "été\n", "mode": "0640",
			"owner": "admin", "group": "adm"}},
		{name: "file-replaced", kind: "file", with: map[string]any{"path": "/etc/app.conf", "content": "b", "mode": "0600"},
			prepare: "echo a > /etc/app.conf; chown admin:adm /etc/app.conf; chmod 2755 /etc/app.conf"},
		{name: "file-owner-by-number", kind: "file", with: map[string]any{"path": "/etc/issue.net", "content": "x",
			"owner": "0", "group": "4242"}},
		{name: "file-mode-alone", kind: "file", with: map[string]any{"path": "/etc/app.conf", "content": "a\n",
			"mode": "4755"}, prepare: "echo a > /etc/app.conf"},
		{name: "file-no-rights", kind: "file", with: map[string]any{"path": "/etc/app.conf", "content": "", "mode": "0000"},
			prepare: "echo a > /etc/app.conf; chmod 0 /etc/app.conf; chmod 4700 /etc/app.conf"},
		{name: "file-behind-a-link", kind: "file", with: map[string]any{"path": "/etc/link", "content": "b"},
			prepare: "echo a > /etc/target; ln -s target /etc/link"},
		{name: "link-absent", kind: "file", with: map[string]any{"path": "/etc/link", "absent": true},
			prepare: "echo a > /etc/target; ln -s target /etc/link"},
		{name: "dangling-link-absent", kind: "file", with: map[string]any{"path": "/etc/link", "absent": true},
			prepare: "ln -s /nowhere /etc/link"},
		{name: "file-absent", kind: "file", with: map[string]any{"path": "/etc/app.conf", "absent": true},
			prepare: "echo a > /etc/app.conf; chown operator:operators /etc/app.conf; chmod 0604 /etc/app.conf"},
		{name: "directory-new", kind: "directory",
			with: map[string]any{"path": "/srv/a/b/c", "mode": "2770", "group": "adm"}},
		{name: "directory-there", kind: "directory",
			with:    map[string]any{"path": "/srv/shared", "mode": "1777", "owner": "admin"},
			prepare: "mkdir -m 2750 /srv/shared; chgrp adm /srv/shared"},
		{name: "template", kind: "template", with: map[string]any{"path": "/etc/motd", "text": "{{ .node.hostname }} {{ " +
			".node.distro }} {{ .node.arch }} {{ .node.init }} {{ .values.n }}\n", "values": map[string]any{"n": 7}}},
		{name: "service-stopped", kind: "service",
			with: map[string]any{"name": "cron", "start": "manual", "state": "stopped"}},
		{name: "service-masked", kind: "service",
			with: map[string]any{"name": "cron", "start": "disabled", "state": "stopped"}},
		{name: "service-unmasked", kind: "service", with: map[string]any{"name": "cron", "start": "auto", "state": "running"},
			prepare: "systemctl disable --now cron; systemctl mask cron"},
		{name: "service-for-this-boot", kind: "service", with: map[string]any{"name": "cron", "start": "auto"},
			prepare: "systemctl disable cron; systemctl enable --runtime cron"},
		{name: "service-of-a-new-file", kind: "service",
			with: map[string]any{"name": "own", "start": "auto", "state": "running"},
			prepare: `printf '[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n' > /etc/systemd/system/own.service; systemctl show own >/dev/null;` +
				`printf '[Service]\nExecStart=/bin/sleep 100000\n[Install]\nWantedBy=multi-user.target\n' > /etc/systemd/system/own.service`},
		{name: "service-static", kind: "service", with: map[string]any{"name": "systemd-hostnamed", "start": "disabled"}},
		{name: "timer", kind: "service", with: map[string]any{"name": "systemd-tmpfiles-clean.timer", "state": "stopped"}},
		{name: "packages-new", kind: "packages", with: map[string]any{"names": text("tree", "lsof", "cron")}},
		{name: "packages-absent", kind: "packages", with: map[string]any{"names": text("tree", "bc"), "absent": true},
			prepare: "DEBIAN_FRONTEND=noninteractive apt-get install -y -q tree"},
		{name: "user-new", kind: "user", with: map[string]any{"name": "ops", "uid": 1500, "groups": text("adm", "sudo"),
			"shell": "/bin/bash", "comment": "Opérateur, nuit"}},
		{name: "user-of-the-system", kind: "user", with: map[string]any{"name": "svc", "system": true, "home": "/var/lib/svc",
			"shell": "/usr/sbin/nologin"}},
		{name: "user-with-a-group", kind: "user", with: map[string]any{"name": "operators", "groups": text("users")}},
		{name: "user-changed", kind: "user", with: map[string]any{"name": "operator", "uid": 1700, "group": "users",
			"groups": text("adm"), "home": "/srv/operator", "shell": "/bin/sh", "comment": "x"},
			prepare: "usermod -aG users,audio operator"},
		{name: "user-in-no-other-group", kind: "user", with: map[string]any{"name": "operator", "groups": text("adm"),
			"only_groups": true}, prepare: "usermod -aG users,audio operator"},
		{name: "user-absent", kind: "user", with: map[string]any{"name": "gone", "absent": true},
			prepare: "useradd -m -c 'Some One' -G adm,audio -s /bin/bash gone"},
		{name: "group-new", kind: "group", with: map[string]any{"name": "web", "gid": 1600}},
		{name: "group-number", kind: "group", with: map[string]any{"name": "web", "gid": 1601},
			prepare: "groupadd -g 1600 web"},
		{name: "group-absent", kind: "group", with: map[string]any{"name": "web", "absent": true},
			prepare: "groupadd -g 1600 web; usermod -aG web admin"},
		{name: "sysctl", kind: "sysctl", with: map[string]any{"key": "net.ipv4.ip_forward", "value": "1"}},
		{name: "sysctl-of-parts", kind: "sysctl",
			with: map[string]any{"key": "net.ipv4.ip_local_port_range", "value": "20000 50000"}},
		{name: "mount-new", kind: "mount", with: map[string]any{"path": "/srv/my scratch/t", "source": "tmpfs",
			"type": "tmpfs", "options": text("size=2m", "mode=0750", "nosuid")}},
		{name: "mount-options", kind: "mount", with: map[string]any{"path": "/srv/t", "source": "tmpfs", "type": "tmpfs",
			"options": text("ro", "size=2m", "noexec")},
			prepare: "mkdir /srv/t; echo 'tmpfs /srv/t tmpfs size=1m 0 0' >> /etc/fstab; systemctl daemon-reload; mount /srv/t"},
		{name: "mount-bind", kind: "mount", with: map[string]any{"path": "/srv/bound", "source": "/etc", "type": "none",
			"options": text("bind", "ro")}},
		{name: "mount-absent", kind: "mount", with: map[string]any{"path": "/srv/t", "state": "absent"},
			prepare: "mkdir /srv/t; echo 'tmpfs /srv/t tmpfs size=1m 0 0' >> /etc/fstab; systemctl daemon-reload; mount /srv/t"},
		{name: "mount-configured", kind: "mount", with: map[string]any{"path": "/mnt/nas", "source": "192.0.2.9:/x",
			"type": "nfs", "options": text("noauto"), "state": "configured"}},
		{name: "hosts", kind: "network.hosts",
			with: map[string]any{"entries": []any{host("192.0.2.21", "db1.example.com", "db1"), host("2001:db8::21", "db1")}}},
		{name: "hosts-absent", kind: "network.hosts", with: map[string]any{"entries": []any{host("192.0.2.21", "db1")},
			"absent": true}, prepare: "printf '192.0.2.21 db1.example.com db1 # x' >> /etc/hosts"},
		{name: "command", kind: "command", with: map[string]any{"check": text("test", "-e", "/srv/mark"),
			"apply": text("touch", "/srv/mark"), "undo": text("rm", "/srv/mark")}, programs: []string{"touch", "rm"}},
		{name: "probe", kind: "probe", looks: true, changed: map[string][]any{"no_file": {"/etc/passwd"},
			"distros": {[]any{"rhel"}}}, with: map[string]any{"message": "m", "distros": text("debian", "ubuntu"),
			"listens": 22, "pending_reboot": "none", "file": "/etc/hosts", "no_file": "/etc/nothing",
			"service": map[string]any{"name": "ssh", "state": "running", "start": "auto"}}},
	}
}

// inner is set in the node, to the case that is played there.
const inner = "DEPLOY_KINDS_CASE"

// TestTierNodesKinds plays every kind for Linux on a real node, in both ways: this program runs the
// conformance suite in the node, on the session that the agent serves steps over, and then here, on
// the session over SSH that works without an agent. What undo leaves is held against the node's
// state before: files with their modes and owners, accounts, units, mounts, settings.
func TestTierNodesKinds(t *testing.T) {
	if name := os.Getenv(inner); name != "" {
		for _, c := range cases() {
			if c.name == name {
				s, err := local.Open(t.Context(), local.Options{Options: session.Options{Node: "node",
					ReadOnly: Kinds().ReadOnly()}, Agent: true})
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = s.Close() }()
				play(t, c, s)
				return
			}
		}
		t.Fatalf("no case %q", name)
	}
	linuxnodes.Tier(t, "nodes")
	l := linuxnodes.New(t, linuxnodes.Options{Systemd: 1})
	n := l.Node(0)
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	covered := map[string]bool{}
	fresh := false
	for _, c := range cases() {
		covered[c.kind] = true
		t.Run(c.name, func(t *testing.T) {
			ctx := t.Context()
			// a case that needs no preparation leaves the node as it was, which is what it proves
			if !fresh {
				if err := n.Reset(); err != nil {
					t.Fatal(err)
				}
				if err := n.Wait(ctx); err != nil {
					t.Fatal(err)
				}
				if err := n.Write("/opt/kinds.test", string(self), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			defer func() { fresh = c.prepare == "" && !t.Failed() }()
			if _, err := n.Exec(ctx, "sh", "-ec", c.prepare); err != nil {
				t.Fatal(err)
			}
			before := state(ctx, t, n)
			unchanged := func(way string) {
				t.Helper()
				// a unit that was stopped may need a moment until it is as it was
				var d string
				for start := time.Now(); time.Since(start) < 30*time.Second; time.Sleep(200 * time.Millisecond) {
					if d = cmp.Diff(before, state(ctx, t, n)); d == "" {
						return
					}
				}
				t.Fatalf("after undo, %s, the node is not as it was (-before +after):\n%s", way, d)
			}
			if out, err := n.Exec(ctx, "env", inner+"="+c.name, "/opt/kinds.test", "-test.run=^TestTierNodesKinds$",
				"-test.timeout=100s"); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			unchanged("beside the node")
			play(t, c, logon(t, l, n))
			unchanged("from the controller")
		})
	}
	for _, k := range []string{"file", "directory", "template", "service", "packages", "user", "group", "sysctl", "mount",
		"network.hosts", "command", "probe"} {
		if !covered[k] {
			t.Errorf("kind %s is not played", k)
		}
	}
}

func state(ctx context.Context, t *testing.T, n *linuxnodes.Node) linuxnodes.State {
	t.Helper()
	s, err := n.State(ctx, linuxnodes.StateOptions{Ignore: []string{"/var/lib/deploy", "/var/lib/deploy/*", "/var/lib/apt",
		"/var/lib/dpkg"}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// logon opens a session without an agent, over SSH.
func logon(t *testing.T, l *linuxnodes.Lab, n *linuxnodes.Node) node.Session {
	t.Helper()
	d := ssh.New(ssh.Options{Home: t.TempDir(), Net: l.DialContext})
	t.Cleanup(func() { _ = d.Close() })
	c, err := d.Dial(t.Context(), transport.Target{Node: n.Name, Transport: "ssh", Address: n.Addr, Port: 22, User: "root",
		Timeout: time.Minute,
		SSH: transport.SSH{KeyFiles: []string{l.Key()}, Fingerprints: []string{n.Fingerprint()},
			KeepAlive: 5 * time.Second}})
	if err != nil {
		t.Fatal(err)
	}
	s, err := shell.Open(t.Context(), c, shell.Options{Options: session.Options{Node: n.Name,
		ReadOnly: Kinds().ReadOnly()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func play(t *testing.T, c played, s node.Session) {
	t.Helper()
	k, ok := Kinds().Get(c.kind)
	if !ok {
		t.Fatalf("no kind %s", c.kind)
	}
	conformance.Run(t, conformance.Case{Kind: k, With: c.with, Programs: c.programs, OnlyLooks: c.looks,
		Changed: c.changed,
		Open:    func(*testing.T) node.Session { return s }})
}

// TestTierNodesRestartMark installs packages on a real Debian whose dpkg asks for a restart after
// each transaction, and on one where somebody else had asked before.
func TestTierNodesRestartMark(t *testing.T) {
	linuxnodes.Tier(t, "nodes")
	l := linuxnodes.New(t, linuxnodes.Options{Systemd: 1})
	n := l.Node(0)
	if err := n.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	const hook = "/etc/apt/apt.conf.d/99-restart"
	if err := n.Write(hook, `DPkg::Post-Invoke {"echo restart > /run/reboot-required; echo linux-base > /run/reboot-required.pkgs"};`+"\n", 0o644); err != nil {
		t.Fatal(err)
	}
	s := logon(t, l, n)
	install := func(name string) steps.Outcome {
		t.Helper()
		k, _ := Kinds().Get("packages")
		step, err := k.Decode(map[string]any{"names": text(name), "restart": "when-due"})
		if err != nil {
			t.Fatal(err)
		}
		d, err := step.Check(t.Context(), s)
		if err != nil || !d.Effects.Reboot {
			t.Fatalf("%+v, %v", d, err)
		}
		out, err := step.Apply(t.Context(), s, d)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	if out := install("tree"); !out.Reboot || out.Note != "a restart is due: linux-base" || len(out.Warnings) != 0 {
		t.Errorf("the installation asked for a restart: %+v", out)
	}
	if _, err := n.Exec(t.Context(), "rm", hook); err != nil {
		t.Fatal(err)
	}
	if out := install("bc"); out.Reboot || len(out.Warnings) != 1 ||
		!strings.Contains(out.Warnings[0], "was due before this (linux-base)") {
		t.Errorf("the restart was due before: %+v", out)
	}
}
