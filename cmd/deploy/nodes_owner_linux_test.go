package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"deploy/internal/testkit/linuxnodes"
)

// second is another controller of f's nodes: its own directory, site file and journal.
func (f *fleet) second(t *testing.T) *fleet {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, withoutState{os.DirFS(f.dir)}); err != nil {
		t.Fatal(err)
	}
	c := *f
	c.dir, c.site = dir, filepath.Join(dir, "site.yaml")
	c.env = append(append([]string{}, f.env...), "HOME="+dir)
	return &c
}

// refused wants every command that acts to end with 1 before its first act, with text and a hint,
// and those that only read to say the same.
func (f *fleet) refused(t *testing.T, text string) {
	t.Helper()
	was := f.stateOf(t, ownedDirs())
	for _, args := range [][]string{{"apply"}, {"resume"}, {"rollback", "--all"}} {
		r := f.run(t, nil, append(args, "--auto-approve", f.site)...)
		if args[0] != "apply" && strings.Contains(r.out+r.errOut, "nothing to ") {
			continue // its journal has nothing to go on with, or to take back
		}
		if r.code != 1 || !strings.Contains(r.errOut, "error: cannot work on "+f.nodes[0].Name+": "+text) ||
			!strings.Contains(r.errOut, "hint: ") {
			t.Errorf("%s: exit %d, want 1 and %q\n%s\n%s", args[0], r.code, text, tail(r.out), tail(r.errOut))
		}
	}
	if r := f.run(t, nil, "plan", f.site); (r.code != 0 && r.code != 2) || !strings.Contains(r.out, "! "+text) {
		t.Errorf("plan: exit %d, and it does not say %q\n%s\n%s", r.code, text, tail(r.out), tail(r.errOut))
	}
	if r := f.must(t, 0, "status", "--nodes"); !strings.Contains(r.out, text) {
		t.Errorf("status --nodes does not say %q:\n%s", text, tail(r.out))
	}
	same(t, "a command that was refused, or only reads, changed the node", was, f.stateOf(t, ownedDirs()))
}

func ownedDirs() []string { return []string{"/srv"} }

// ownedBook has two phases; the second has steps that take a while.
func ownedBook() string {
	k := newBook("owned")
	k.phase("one")
	k.step("directory", "path: /srv/owned, mode: '0750'")
	k.step("file", `path: /srv/owned/first, content: "1\n"`)
	k.phase("two")
	for _, name := range []string{"a", "b", "c", "d"} {
		file := "/srv/owned/" + name
		k.step("command", "check: [test, -e, "+file+"], apply: [sh, -c, 'sleep 0.3; date > "+file+
			"'], undo: [rm, -f, "+file+"]")
	}
	return k.String()
}

// eachMode plays f on the node by an agent there, and over SSH from here.
func eachMode(t *testing.T, do func(t *testing.T, f *fleet, n *linuxnodes.Node)) {
	l := nodes(t, linuxnodes.Options{Plain: 1})
	n := l.Node(0)
	for _, mode := range []string{"always", "never"} {
		t.Run("agent "+mode, func(t *testing.T) {
			f := newFleet(t, l, ownedBook(), n)
			f.settings = ", agent: " + mode
			do(t, quick(t, f), n)
		})
	}
}

// Two controllers with a journal each work on one node: the one that is not in charge does nothing
// there until --take-over.
func TestTierNodesTwoControllers(t *testing.T) {
	eachMode(t, func(t *testing.T, a *fleet, n *linuxnodes.Node) {
		const other = "another journal of this site is in charge of "
		bare := a.stateOf(t, ownedDirs())
		b := a.second(t)
		a.apply(t, "--phase", "one")
		b.refused(t, other+n.Name+": journal ")
		b.apply(t, "--take-over")
		if end := b.apply(t); end.Counts.Change != 0 {
			t.Errorf("the second run after a take-over: %+v", end.Counts)
		}
		a.refused(t, other+n.Name+": journal ")
		b.rollback(t) // what a did before the take-over is not b's
		execOn(t, n, "test -e /srv/owned/first && test ! -e /srv/owned/a")
		a.refused(t, other+n.Name+": journal ")
		a.must(t, 0, "rollback", "--all", "--auto-approve", "--take-over")
		same(t, "after the rollbacks", bare, a.stateOf(t, ownedDirs()))
		a.must(t, 0, "clean")
	})
}

// A controller that is stopped anywhere in its run and wakes when another one has taken over does
// nothing more.
func TestTierNodesFrozenController(t *testing.T) {
	eachMode(t, func(t *testing.T, a *fleet, n *linuxnodes.Node) {
		for _, entries := range []string{"2", "4", "7", "10"} {
			t.Run("after "+entries+" entries", func(t *testing.T) {
				execOn(t, n, "rm -rf /var/lib/deploy/owner /srv/owned")
				a, b := a.second(t), a.second(t)
				p := a.start(t, []string{stopAfter + "=" + entries}, "apply", "--auto-approve", a.site)
				stopped(t, p.cmd.Process.Pid)
				b.must(t, 0, "apply", "--auto-approve", "--take-over", "--phase", "one") // the second is left to do
				was := b.stateOf(t, ownedDirs())
				if err := p.cmd.Process.Signal(syscall.SIGCONT); err != nil {
					t.Fatal(err)
				}
				r := p.wait(t)
				if text := r.out + r.errOut; r.code != 1 || !strings.Contains(text, "is in charge there since") &&
					!strings.Contains(text, "another journal of this site is in charge of "+n.Name) {
					t.Errorf("the one that woke: exit %d\n%s\n%s", r.code, tail(r.out), tail(r.errOut))
				}
				same(t, "the one that woke changed the node", was, b.stateOf(t, ownedDirs()))
				if end := b.apply(t); end.Counts.Change != 4 {
					t.Errorf("the one in charge goes on with %+v", end.Counts)
				}
				b.rollback(t)
				b.must(t, 0, "clean")
			})
		}
	})
}
