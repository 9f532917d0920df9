package main

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"deploy/internal/testkit/linuxnodes"
)

// slow has a step in the middle that takes a while, between others.
func slow() *book {
	k := newBook("slow")
	k.phase("all")
	k.step("directory", "path: /srv/data, mode: '0750'")
	k.step("file", `path: /srv/data/before, content: "text\n"`)
	k.step("command", `check: [test, -e, /srv/data/slow], apply: [sh, -c, 'touch /srv/data/begun; sleep 3; touch /srv/data/slow'], undo: [rm, -f, /srv/data/begun, /srv/data/slow]`)
	k.step("file", `path: /srv/data/after, content: "text\n"`)
	k.step("sysctl", "key: net.ipv4.ip_forward, value: '1'")
	return k
}

// restarting has a step that asks for a restart, which counts only once the machine has restarted:
// /run is empty then.
func restarting() *book {
	k := newBook("restarting")
	k.phase("all")
	k.step("file", `path: /etc/before, content: "text\n"`)
	k.step("command", `check: [sh, -c, 'test -e /etc/asked && ! test -e /run/asked'], apply: [sh, -c, 'touch /etc/asked /run/asked; exit 7'], `+
		`reboot_codes: [7], undo: [rm, -f, /etc/asked, /run/asked]`)
	k.step("sysctl", "key: net.ipv4.ip_forward, value: '1'")
	k.step("file", `path: /etc/after, content: "text\n"`)
	return k
}

// eventually waits for a condition that another process brings about.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for start := time.Now(); time.Since(start) < time.Minute; time.Sleep(20 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("waited in vain: %s", what)
}

// inTheStep starts the slow site, waits until its slow step is under way on the node, and lets
// something happen.
func (f *fleet) inTheStep(t *testing.T, happens func() error) result {
	t.Helper()
	p := f.start(t, nil, "apply", "--auto-approve", "--json", f.site)
	eventually(t, "the slow step", func() bool { _, err := f.nodes[0].Read("/srv/data/begun"); return err == nil })
	if err := happens(); err != nil {
		t.Error(err)
	}
	return p.wait(t)
}

// Whatever happens to a node in the middle, by an agent and direct, it ends as one that nobody
// disturbed.
func TestTierNodesTrouble(t *testing.T) {
	l := nodes(t, linuxnodes.Options{Systemd: 2, DiskMB: 96})
	for i, mode := range []string{"auto", "never"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			trouble(t, l, l.Node(i), mode)
		})
	}
}

func trouble(t *testing.T, l *linuxnodes.Lab, n *linuxnodes.Node, mode string) {
	siteOf := func(t *testing.T, b *book, mode string) *fleet {
		f := newFleet(t, l, b.String(), n)
		f.settings = ", agent: " + mode
		return quick(t, f)
	}
	site := func(t *testing.T, b *book) *fleet { return siteOf(t, b, mode) }
	ready := func(t *testing.T) {
		t.Helper()
		if err := errors.Join(n.PowerOn(), n.Wait(t.Context())); err != nil {
			t.Fatal(err)
		}
	}
	// peace plays a site in peace and tells how the node is without and with its work, and what the
	// journal says
	peace := func(t *testing.T, b *book, mode string) (like, []string) {
		t.Helper()
		f := siteOf(t, b, mode)
		k := like{bare: f.state(t)}
		r := f.must(t, 0, "apply", "--auto-approve", "--json")
		for _, m := range modes(t, r) {
			if strings.HasPrefix(m, "agent:") != (mode == "auto") {
				t.Errorf("with agent: %s the steps run %q", mode, m)
			}
		}
		ready(t)
		k.applied = f.state(t)
		story := f.story(t)
		f.rollback(t)
		ready(t)
		same(t, "after the rollback", k.bare, f.state(t))
		return k, story
	}
	all, story := peace(t, families(), mode)
	middle, _ := peace(t, slow(), mode)
	again, restarted := peace(t, restarting(), mode)
	if mode == "never" {
		t.Run("as by an agent", func(t *testing.T) {
			k, told := peace(t, families(), "auto")
			same(t, "the journal", told, story)
			same(t, "the node", k.applied, all.applied)
			k, told = peace(t, restarting(), "auto")
			same(t, "the journal with a restart", told, restarted)
			same(t, "the node after a restart", k.applied, again.applied)
		})
	}

	// settled: the run came to its end by itself, or the next one brings it there, and then nothing is
	// left to do
	settled := func(t *testing.T, f *fleet, want like, r result) {
		t.Helper()
		ready(t)
		if r.code != 0 {
			t.Logf("the run ended with %d: %s", r.code, tail(r.errOut))
			f.apply(t)
		}
		same(t, "the node", want.applied, f.state(t))
		if end := f.apply(t); end.Counts.Change != 0 {
			t.Errorf("a second run still changed something: %+v", end.Counts)
		}
		f.rollback(t)
		ready(t)
		same(t, "after the rollback", want.bare, f.state(t))
	}
	for _, tc := range []struct {
		name       string
		fail, heal func() error
	}{
		{"disk full", n.FillDisk, n.FreeDisk},
		{"read-only root", func() error { return n.ReadOnlyRoot(t.Context(), true) },
			func() error { return n.ReadOnlyRoot(t.Context(), false) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := site(t, families())
			if err := tc.fail(); err != nil {
				t.Fatal(err)
			}
			r := f.run(t, nil, "apply", "--auto-approve", f.site)
			if r.code != 1 {
				t.Errorf("exit %d\n%s", r.code, r.errOut)
			}
			t.Log(r.errOut)
			if err := tc.heal(); err != nil {
				t.Fatal(err)
			}
			same(t, "nothing could be done", all.bare, f.state(t))
			settled(t, f, all, f.run(t, nil, "apply", "--auto-approve", f.site))
		})
	}
	t.Run("disk full and no agent there yet", func(t *testing.T) {
		if err := n.Reset(); err != nil {
			t.Fatal(err)
		}
		ready(t)
		f := site(t, families())
		bare := f.state(t)
		if err := n.FillDisk(); err != nil {
			t.Fatal(err)
		}
		r := f.run(t, nil, "apply", "--auto-approve", f.site)
		if r.code != 1 {
			t.Errorf("exit %d\n%s", r.code, r.errOut)
		}
		t.Log(r.errOut)
		if err := n.FreeDisk(); err != nil {
			t.Fatal(err)
		}
		same(t, "nothing could be done", bare, f.state(t))
		f.apply(t)
		f.rollback(t)
	})
	for _, tc := range []struct {
		name    string
		happens func() error
	}{
		{"powered off in a step and back", func() error {
			err := n.PowerOff()
			time.Sleep(time.Second)
			return errors.Join(err, n.PowerOn())
		}},
		{"restarted by somebody else in a step", func() error {
			_, err := n.Exec(t.Context(), "systemctl", "reboot")
			return err
		}},
		{"cable cut in a step", func() error {
			err := n.LinkDown()
			time.Sleep(lasting)
			return errors.Join(err, n.LinkUp())
		}},
		{"frozen in a step", func() error {
			err := n.Freeze()
			time.Sleep(lasting)
			return errors.Join(err, n.Thaw())
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := site(t, slow())
			settled(t, f, middle, f.inTheStep(t, tc.happens))
		})
	}
	t.Run("a step that asks for a restart", func(t *testing.T) {
		f := site(t, restarting())
		boots := n.Boots()
		f.apply(t)
		if got := n.Boots() - boots; got != 1 {
			t.Errorf("the node was started %d times", got)
		}
		settled(t, f, again, result{})
	})
	t.Run("killed while the node restarts", func(t *testing.T) {
		f := site(t, restarting())
		boots := n.Boots()
		p := f.start(t, nil, "apply", "--auto-approve", f.site)
		eventually(t, "the restart", func() bool { return n.Boots() > boots })
		if err := p.cmd.Process.Signal(os.Kill); err != nil {
			t.Fatal(err)
		}
		if r := p.wait(t); !r.killed {
			t.Errorf("exit %d", r.code)
		}
		ready(t)
		f.moved(t)
		settled(t, f, again, result{code: 1})
		if got := n.Boots() - boots; got != 1 {
			t.Errorf("the node was started %d times", got)
		}
	})
}
