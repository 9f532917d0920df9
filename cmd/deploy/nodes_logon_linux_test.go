package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"deploy/internal/testkit/linuxnodes"
)

// small is a playbook of a few quick steps.
func small() *book {
	k := newBook("small")
	k.phase("all")
	k.step("directory", "path: /srv/data, mode: '0750', owner: admin")
	k.step("file", `path: /srv/data/file, content: "text\n", mode: '0640', owner: admin`)
	k.step("sysctl", "key: net.ipv4.ip_forward, value: '1'")
	return k
}

// Every way to become root on a node: by the key itself, by sudo without and with a password,
// through another node.
func TestTierNodesLogons(t *testing.T) {
	l := nodes(t, linuxnodes.Options{Plain: 2})
	n, hop := l.Node(0), l.Node(1)
	bare := newFleet(t, l, small().String(), n).state(t)
	known := filepath.Join(t.TempDir(), "known_hosts")
	key, err := hop.HostKey()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(known, []byte(hop.Addr+" "+string(ssh.MarshalAuthorizedKey(key))), 0o600); err != nil {
		t.Fatal(err)
	}
	through := fmt.Sprintf(", ssh: {fingerprints: ['%s'], keepalive: 500ms, proxy_jump: 'admin@%s', known_hosts: %s}",
		n.Fingerprint(), hop.Addr, known)
	var want map[string]linuxnodes.State
	for _, tc := range []struct{ name, user, extra string }{
		{"root", "", ""},
		{"sudo without a password", "admin", ""},
		{"sudo with a password", "operator", ""},
		{"bastion", "", through},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFleet(t, l, small().String(), n)
			f.user, f.extra[0] = tc.user, tc.extra
			f.write(t)
			if end := f.apply(t); end.Counts.Change != 3 {
				t.Errorf("%+v", end.Counts)
			}
			got := f.state(t)
			if want == nil {
				want = got
			}
			same(t, "the node", want, got)
			if end := f.apply(t); end.Counts.Change != 0 {
				t.Errorf("the second run: %+v", end.Counts)
			}
			cleaned(t, f, n)
			f.rollback(t)
			same(t, "after the rollback", bare, f.state(t))
		})
	}
}

// cleaned takes the agent off a node, in two tries: while something holds it nothing is touched.
func cleaned(t *testing.T, f *fleet, n *linuxnodes.Node) {
	t.Helper()
	home := "/root"
	if f.user != "" {
		home = "/home/" + f.user
	}
	left := func() string {
		t.Helper()
		out, err := n.Exec(t.Context(), "sh", "-c",
			"ls -d /var/lib/deploy/agent "+home+"/.cache/deploy "+home+"/.local/state/deploy 2>/dev/null || :")
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	before := left()
	if strings.Count(before, "\n") < 1 {
		t.Fatalf("an agent left only %q", before)
	}
	if _, err := n.Exec(t.Context(), "sh", "-c", "flock /var/lib/deploy/agent/lock sleep 600 >/dev/null 2>&1 & echo $! "+
		">/run/holder"); err != nil {
		t.Fatal(err)
	}
	if r := f.must(t, 1, "clean"); !strings.Contains(r.errOut,
		"cannot remove the agent from "+n.Name+": an agent is running there") {
		t.Errorf("%s", r.errOut)
	}
	if now := left(); now != before {
		t.Errorf("in spite of an agent at work %q is left of %q", now, before)
	}
	if _, err := n.Exec(t.Context(), "sh", "-c", "pkill -P $(cat /run/holder); kill $(cat /run/holder) 2>/dev/null; rm "+
		"/run/holder"); err != nil {
		t.Fatal(err)
	}
	f.must(t, 0, "clean")
	if now := left(); now != "" {
		t.Errorf("left: %s", now)
	}
	if _, err := n.Read("/var/lib/deploy/owner/nodes.json"); err != nil {
		t.Errorf("the owner record, whose work stands, is gone: %v", err)
	}
	if again := f.must(t, 0, "clean"); !strings.Contains(again.out, n.Name+": agents and their records removed") {
		t.Errorf("where nothing is: %s", again.out)
	}
}

// Who may not come in is told why and what to do, and nothing is done on the node.
func TestTierNodesRefused(t *testing.T) {
	l := nodes(t, linuxnodes.Options{Plain: 2})
	n, other := l.Node(0), l.Node(1)
	f := newFleet(t, l, small().String(), n)
	bare := f.state(t)
	for _, tc := range []struct {
		name string
		edit func(f *fleet, site string) string
		env  string
		want []string
	}{
		{"wrong key", func(_ *fleet, s string) string { return strings.ReplaceAll(s, l.Key(), l.StrangerKey()) }, "",
			[]string{"cannot log on to n1 as root", "hint"}},
		{"host key changed", func(_ *fleet, s string) string {
			return strings.ReplaceAll(s, n.Fingerprint(),
				other.Fingerprint())
		}, "", []string{"none of the fingerprints", "hint"}},
		{"no sudo", func(_ *fleet, s string) string {
			return strings.ReplaceAll(strings.ReplaceAll(s, "username: root", "username: operator"), "sudo: false", "sudo: true")
		}, "", []string{"n1 as root", "sudo", "hint"}},
		{"wrong sudo password", func(f *fleet, s string) string {
			f.user = "operator"
			f.write(t)
			b, err := os.ReadFile(f.site)
			if err != nil {
				t.Fatal(err)
			}
			return string(b)
		}, "DEPLOY_PASSWORD=Nonsense-8-Nonsense", []string{"n1 as root", "sudo", "hint"}},
		{"no root", func(_ *fleet, s string) string { return strings.ReplaceAll(s, "username: root", "username: admin") }, "",
			nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFleet(t, l, small().String(), n)
			b, err := os.ReadFile(f.site)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(f.site, []byte(tc.edit(f, string(b))), 0o644); err != nil {
				t.Fatal(err)
			}
			r := f.run(t, []string{tc.env}, "apply", "--auto-approve", f.site)
			if r.code != 1 {
				t.Errorf("exit %d", r.code)
			}
			for _, w := range tc.want {
				if !strings.Contains(r.errOut, w) {
					t.Errorf("it does not say %q", w)
				}
			}
			if strings.Contains(r.out+r.errOut, "Nonsense-8") {
				t.Error("a password was printed")
			}
			t.Log(r.errOut)
			same(t, "the node", bare, f.state(t))
		})
	}
	t.Run("unreachable", func(t *testing.T) {
		if err := n.PowerOff(); err != nil {
			t.Fatal(err)
		}
		f.timeout = "2s"
		f.write(t)
		r := f.run(t, nil, "apply", "--auto-approve", "--link-timeout", "2s", f.site)
		if r.code != 1 || !strings.Contains(r.errOut, "n1") {
			t.Errorf("exit %d: %s", r.code, r.errOut)
		}
	})
}
