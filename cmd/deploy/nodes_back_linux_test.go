package main

import (
	"strings"
	"testing"

	"deploy/internal/testkit/linuxnodes"
)

// backBook is a playbook of the steps given.
func backBook(policy string, steps ...string) string {
	text := "playbook: back\ntitle: Back\ndescription: What others did since.\n" +
		"roles: {systemd: {min: 0}, plain: {min: 0}}\nphases:\n" +
		"  - id: app\n    title: App\n    on-failure: " + policy + "\n    steps:\n"
	for _, s := range steps {
		text += "      - {" + s + ", on: nodes}\n"
	}
	return text
}

// left wants a rollback that ends with 4 and says that of the thing that it left.
func (f *rig) left(t *testing.T, words ...string) {
	t.Helper()
	r := f.must(t, 4, "rollback", "--all", "--auto-approve")
	for _, w := range words {
		if !strings.Contains(r.out+r.errOut, w) {
			t.Errorf("it does not say %q:\n%s%s", w, tail(r.out), tail(r.errOut))
		}
	}
	if s := f.must(t, 0, "status"); !strings.Contains(s.out, words[0]) {
		t.Errorf("status does not show what is owed:\n%s", s.out)
	}
}

func execOn(t *testing.T, n *linuxnodes.Node, script string) {
	t.Helper()
	if out, err := n.Exec(t.Context(), "sh", "-c", script); err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
}

func isThere(t *testing.T, n *linuxnodes.Node, path string, want bool) {
	t.Helper()
	out, err := n.Exec(t.Context(), "sh", "-c", "test ! -e '"+path+"' || echo there")
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSpace(out) == "there"; got != want {
		t.Errorf("%s on %s: there is %v", path, n.Name, got)
	}
}

// The situations in which a rollback once came to no end: each leaves what is right to leave, says
// so, and goes on, on the same node and on the other one.
func TestTierNodesRollbackDeadEnds(t *testing.T) {
	l := nodes(t, linuxnodes.Options{Systemd: 1, Plain: 1})
	n, other := l.Node(0), l.Node(1)
	const dir = "id: dir, uses: directory, with: {path: /srv/back}"
	const older = "id: older, uses: file, with: {path: /etc/back-older, content: ours}"
	for _, mode := range []string{"auto", "never"} {
		f := newFleet(t, l, backBook("stop", dir), n, other) // one journal: the nodes know whose they are
		f.settings = ", agent: " + mode
		site := func(t *testing.T, book string) *fleet {
			f.playbook = book
			return quick(t, f)
		}
		t.Run(mode+"/a directory that holds data", func(t *testing.T) {
			f := site(t, backBook("stop", older, dir))
			f.apply(t)
			execOn(t, n, "echo x > /srv/back/data")
			f.left(t, "/srv/back")
			isThere(t, n, "/srv/back/data", true)
			isThere(t, n, "/etc/back-older", false)
			isThere(t, other, "/srv/back", false)
			f.must(t, 0, "rollback", "--all", "--auto-approve", "--leave", "app/dir@"+n.Name)
			execOn(t, n, "rm /srv/back/data")
			f.rollback(t)
			isThere(t, n, "/srv/back", false)
		})
		t.Run(mode+"/a file that somebody changed", func(t *testing.T) {
			f := site(t, backBook("stop", older, "id: file, uses: file, with: {path: /etc/back, content: ours}"))
			f.apply(t)
			execOn(t, n, "echo theirs > /etc/back")
			f.left(t, "app/file@"+n.Name, "--overwrite")
			if text, _ := n.Read("/etc/back"); text != "theirs\n" {
				t.Errorf("their file is now %q", text)
			}
			isThere(t, n, "/etc/back-older", false)
			isThere(t, other, "/etc/back", false)
			f.must(t, 0, "rollback", "--all", "--auto-approve", "--overwrite", "app/file")
			isThere(t, n, "/etc/back", false)
		})
		t.Run(mode+"/a user whose home is used", func(t *testing.T) {
			f := site(t, backBook("stop", older, "id: user, uses: user, with: {name: carl}"))
			f.apply(t)
			execOn(t, n, "echo x > /home/carl/data; chown carl /home/carl/data")
			f.must(t, 4, "rollback", "--all", "--auto-approve")
			isThere(t, n, "/home/carl/data", true)
			isThere(t, n, "/etc/back-older", false)
			isThere(t, other, "/home/carl", false)
			execOn(t, n, "rm -r /home/carl")
			f.rollback(t)
		})
		t.Run(mode+"/a directory that was removed and made anew", func(t *testing.T) {
			file := "id: file, uses: file, with: {path: /srv/back/x, content: "
			f := site(t, backBook("stop", dir, file+"one}"))
			f.apply(t)
			f.playbook = backBook("stop", dir, file+"two}")
			quick(t, f)
			f.apply(t)
			execOn(t, n, "rm -rf /srv/back")
			f.apply(t)
			if s := f.must(t, 0, "status"); !strings.Contains(s.out, "made anew") {
				t.Errorf("status does not tell that it was made anew:\n%s", s.out)
			}
			f.rollback(t)
			isThere(t, n, "/srv/back", false)
			isThere(t, other, "/srv/back", false)
		})
		t.Run(mode+"/a phase that is taken back leaves a file of the program that failed", func(t *testing.T) {
			fails := "id: fails, uses: command, with: {check: [test, -e, /nosuch], apply: [sh, -c, 'touch /srv/back/log; " +
				"false'], undo: ['true']}"
			f := site(t, backBook("rollback", older, dir, fails))
			r := f.run(t, nil, "apply", "--auto-approve", f.site)
			if r.code != 1 || !strings.Contains(r.out, "/srv/back") {
				t.Errorf("exit %d\n%s\n%s", r.code, tail(r.out), tail(r.errOut))
			}
			for _, node := range []*linuxnodes.Node{n, other} {
				isThere(t, node, "/etc/back-older", false)
				execOn(t, node, "rm -rf /srv/back")
			}
			f.rollback(t)
		})
		t.Run(mode+"/a dead node", func(t *testing.T) {
			f := site(t, backBook("stop", older, dir))
			f.apply(t)
			if err := other.PowerOff(); err != nil {
				t.Fatal(err)
			}
			f.left(t, "unreachable")
			isThere(t, n, "/srv/back", false)
			if err := other.PowerOn(); err != nil {
				t.Fatal(err)
			}
			if err := l.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
			f.rollback(t)
			isThere(t, other, "/srv/back", false)
		})
		f.must(t, 0, "clean")
	}
}
