package main

import (
	"errors"
	"os"
	"strings"
	"testing"

	"deploy/internal/testkit/linuxnodes"
)

// inRun is work that needs no disk: what it makes lies in memory.
func inRun() *book {
	k := newBook("run")
	k.phase("all")
	k.step("command", `check: [test, -e, /run/slow], apply: [sh, -c, 'touch /run/begun; test ! -e /run/wait || sleep 5; touch /run/slow'], undo: [rm, -f, /run/begun, /run/slow]`)
	k.step("command", `check: [test, -e, /run/second], apply: [touch, /run/second], undo: [rm, -f, /run/second]`)
	return k
}

// A node whose disk takes nothing carries no agent, and the plan says why; where the site wants an
// agent always, a person hears what to do. Nothing is done there from here either: what cannot be
// announced in the node's owner record is not done. And where an agent was at work already, nothing
// is done beside it.
func TestTierNodesNoDisk(t *testing.T) {
	l := nodes(t, linuxnodes.Options{Systemd: 1, DiskMB: 96})
	n := l.Node(0)
	site := func(t *testing.T, mode string) *fleet {
		f := newFleet(t, l, inRun().String(), n)
		f.settings = ", agent: " + mode
		return quick(t, f)
	}
	readOnly := func() error { return n.ReadOnlyRoot(t.Context(), true) }
	writable := func() error { return n.ReadOnlyRoot(t.Context(), false) }
	play := func(name, refused, todo string, fail, heal func() error) {
		t.Run(name, func(t *testing.T) {
			auto, always := site(t, "auto"), site(t, "always")
			if err := fail(); err != nil {
				t.Fatal(err)
			}
			healed := false
			defer func() {
				if !healed {
					_ = heal()
				}
			}()
			r := auto.run(t, nil, "apply", "--auto-approve", "--json", auto.site)
			if got := modes(t, r)[n.Name]; !strings.HasPrefix(got, "direct: over ssh ("+refused) {
				t.Errorf("the steps run %q", got)
			}
			if r.code != 1 || !strings.Contains(r.errOut, "cannot write the owner record") ||
				!strings.Contains(r.errOut, "free space on that disk of "+n.Name+", or make it writable") {
				t.Errorf("exit %d\n%s", r.code, r.errOut)
			}
			if _, err := n.Read("/run/begun"); err == nil {
				t.Error("the step was done although the node could not keep who did it")
			}
			r = always.run(t, nil, "apply", "--auto-approve", always.site)
			if r.code != 1 || !strings.Contains(r.errOut, "with agent: always: "+refused) ||
				!strings.Contains(r.errOut, todo) {
				t.Errorf("exit %d\n%s", r.code, r.errOut)
			}
			healed = true
			if err := heal(); err != nil {
				t.Fatal(err)
			}
			if got := modes(t, auto.must(t, 0, "apply", "--auto-approve", "--json"))[n.Name]; !strings.HasPrefix(got, "agent") {
				t.Errorf("on a sound disk the steps run %q", got)
			}
			auto.rollback(t)
		})
	}
	play("read-only before the first agent", "cannot place the agent on "+n.Name, "check that it is writable", readOnly,
		writable)
	if err := errors.Join(n.Reset(), n.Wait(t.Context())); err != nil {
		t.Fatal(err)
	}
	play("full before the first agent", "cannot place the agent on "+n.Name, "free space in the user's home "+
		"directory", n.FillDisk,
		n.FreeDisk)
	play("read-only since", "cannot start the agent on "+n.Name, "make it writable", readOnly, writable)
	play("full since", "cannot start the agent on "+n.Name, "free space on that disk", n.FillDisk, n.FreeDisk)

	t.Run("an agent was at work", func(t *testing.T) {
		f := site(t, "auto")
		if _, err := n.Exec(t.Context(), "touch", "/run/wait"); err != nil {
			t.Fatal(err)
		}
		p := f.start(t, nil, "apply", "--auto-approve", f.site)
		eventually(t, "the slow step", func() bool { _, err := n.Read("/run/begun"); return err == nil })
		if err := p.cmd.Process.Signal(os.Kill); err != nil {
			t.Fatal(err)
		}
		if r := p.wait(t); !r.killed {
			t.Fatalf("exit %d", r.code)
		}
		if _, err := n.Exec(t.Context(), "pkill", "-KILL", "-f", "agent --worker"); err != nil {
			t.Fatal(err)
		}
		if err := readOnly(); err != nil {
			t.Fatal(err)
		}
		for command, code := range map[string]int{"apply": 1, "rollback": 4} {
			r := f.run(t, nil, command, "--auto-approve", f.site)
			if r.code != code || !strings.Contains(r.errOut, "the agent on this node has unreported work") ||
				!strings.Contains(r.errOut, "--forget-agent "+n.Name) {
				t.Errorf("%s: exit %d\n%s", command, r.code, r.errOut)
			}
		}
		if r := f.run(t, nil, "plan", f.site); r.code != 2 && r.code != 0 {
			t.Errorf("a plan only looks: exit %d\n%s", r.code, r.errOut)
		}
		if _, err := n.Read("/run/second"); err == nil {
			t.Error("the second step was done beside the agent")
		}
		if err := writable(); err != nil {
			t.Fatal(err)
		}
		f.apply(t)
		f.rollback(t)
		for _, path := range []string{"/run/begun", "/run/slow", "/run/second"} {
			if _, err := n.Read(path); err == nil {
				t.Errorf("%s is left", path)
			}
		}
	})
}
