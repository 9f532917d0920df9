package main

import (
	"strings"
	"testing"

	"deploy/internal/testkit/linuxnodes"
)

// lived is a node on which people have worked since the apply.
const lived = `echo x > /srv/shared/data
echo mine > /home/carl/mine
systemd-run --quiet --unit=theirs --uid=svc sleep 1000
echo '192.0.2.77 printer' >> /etc/hosts
sed -i 's/^\(192.0.2.11.*\)$/\1 also/' /etc/hosts
printf 'tmpfs /srv/theirs tmpfs noauto 0 0\n' >> /etc/fstab
chmod 600 /srv/own`

// A rollback takes back the work of the steps alone. What holds something of others or is in use is
// left with the reason and stops nothing; once that is over, it is taken back as well.
func TestTierNodesUndoLeaves(t *testing.T) {
	l := nodes(t, linuxnodes.Options{Systemd: 1})
	n := l.Node(0)
	k := newBook("undo")
	k.phase("all")
	k.step("file", `path: /srv/older, content: "a\n"`)
	k.step("directory", "path: /srv/shared")
	k.step("user", "name: carl")
	k.step("user", "name: svc, system: true, home: /srv/svc, make_home: false")
	k.step("network.hosts", "entries: [{address: 192.0.2.11, names: [web1.example.com]}]")
	k.step("mount", "path: /srv/t, source: tmpfs, type: tmpfs, state: configured")
	k.step("file", `path: /srv/own, content: "new\n"`)
	node := func(t *testing.T, script string) string {
		t.Helper()
		out, err := n.Exec(t.Context(), "sh", "-ec", script)
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return string(out)
	}
	for _, mode := range []string{"auto", "never"} {
		t.Run("agent "+mode, func(t *testing.T) {
			if err := anew(t, n); err != nil {
				t.Fatal(err)
			}
			node(t, "echo old > /srv/own")
			f := newFleet(t, l, k.String(), n)
			f.settings = ", agent: " + mode
			f.write(t)
			f.must(t, 0, "apply", "--auto-approve", "--json")
			node(t, lived)

			r := f.run(t, nil, "rollback", "--auto-approve", f.site)
			said := strings.Join(strings.Fields(r.out+r.errOut), " ")
			for _, why := range []string{"/srv/shared holds 1 entry (data)",
				"account carl is removed; its home /home/carl holds files of its own (mine) and is left",
				"account svc is used by process "} {
				if !strings.Contains(said, why) {
					t.Errorf("it does not say %q", why)
				}
			}
			const left = 4
			if r.code != left || t.Failed() {
				t.Fatalf("exit %d\n%s%s", r.code, r.out, r.errOut)
			}
			for what, want := range map[string]string{
				"test -e /srv/older && echo there || echo gone": "gone",
				"cat /srv/shared/data /home/carl/mine":          "x\nmine",
				"getent passwd carl || echo gone":               "gone",
				"id -un svc":                                    "svc",
				"grep 192.0.2.11 /etc/hosts":                    "192.0.2.11\talso",
				"grep -c printer /etc/hosts":                    "1",
				"grep tmpfs /etc/fstab":                         "tmpfs /srv/theirs tmpfs noauto 0 0",
				"cat /srv/own; stat -c %a /srv/own":             "old\n600",
			} {
				if got := strings.TrimSpace(node(t, what)); got != want {
					t.Errorf("%s: %q, want %q", what, got, want)
				}
			}

			node(t, "rm /srv/shared/data; systemctl stop theirs")
			if r := f.run(t, nil, "rollback", "--auto-approve", "--all", f.site); r.code != 0 {
				t.Fatalf("nothing is in the way any more, and it ends with %d\n%s%s", r.code, r.out, r.errOut)
			}
			got := node(t, "if test -e /srv/shared || getent passwd svc; then echo there; fi")
			if strings.Contains(got, "there") {
				t.Errorf("the directory or the account is still there: %s", got)
			}
		})
	}
}
