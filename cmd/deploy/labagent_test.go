package main

import (
	"fmt"
	"strings"
	"testing"

	"deploy/internal/lab"
)

// agentBench is a site with two machines that are new enough for an agent, one reached over WinRM
// and one over SSH.
func agentBench(t *testing.T, edits ...func(string) string) *bench {
	t.Helper()
	return benchOf(t, "testdata/agent", edits...)
}

// withoutAgent takes away what placing an agent leaves on a machine.
func withoutAgent(state any) any {
	// over WinRM and over SSH; the machines have no profile of their own
	places := []string{`c:\windows\deploy`, `c:\users\administrator`}
	top, _ := state.(map[string]any)
	list, _ := top["machines"].(map[string]any)
	for _, m := range list {
		m, _ := m.(map[string]any)
		files, _ := m["files"].(map[string]any)
		for path := range files {
			for _, place := range places {
				if path == place || strings.HasPrefix(path, place+`\`) {
					delete(files, path)
				}
			}
		}
	}
	return state
}

// directly is how the machines are before and after an apply that no agent had a part in.
func directly(t *testing.T) (bare, done any) {
	t.Helper()
	b := agentBench(t, replace(t, "agent: always", "agent: never"))
	l := b.startLab()
	bare = machines(t, l)
	b.must(0, "apply", "--lab", "--auto-approve", b.site)
	return bare, machines(t, l)
}

// What agents do is what is done from here, and it is taken back the same way.
func TestTierLabAgent(t *testing.T) {
	tierLab(t)
	bare, done := directly(t)
	b := agentBench(t)
	l := b.startLab()
	plan := b.must(2, "plan", "--lab", b.site)
	for _, want := range []string{"agent: over winrm", "agent: over ssh"} {
		if !strings.Contains(plan.out, want) {
			t.Errorf("the plan does not say %q:\n%s", want, plan.out)
		}
	}
	same(t, "a plan changed the machines", bare, withoutAgent(machines(t, l)))
	b.must(0, "apply", "--lab", "--auto-approve", b.site)
	same(t, "the machines", done, withoutAgent(machines(t, l)))
	before := len(asked(l))
	if again := b.must(0, "apply", "--lab", "--auto-approve", b.site); !strings.Contains(again.out, "no changes") {
		t.Errorf("the second run does not say that it changed nothing:\n%s", tail(again.out))
	}
	// the agents are there and are found by a command line: no machine starts PowerShell for a look
	starts := 0
	for _, h := range asked(l)[before:] {
		if strings.Contains(strings.ToLower(h), "powershell") {
			t.Errorf("the second run began with PowerShell: %s", h)
		}
		if strings.Contains(h, " agent") {
			starts++
		}
	}
	if starts != 2 {
		t.Errorf("%d agents were started, want 2: %q", starts, asked(l)[before:])
	}
	same(t, "the second run changed the machines", done, withoutAgent(machines(t, l)))
	b.must(0, "rollback", "--lab", "--all", "--auto-approve", b.site)
	same(t, "the rollback left something", bare, withoutAgent(machines(t, l)))
	b.must(0, "clean", "--lab", b.site)
	data, err := l.Show()
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{`windows\\deploy`, `local\\deploy`} {
		if strings.Contains(strings.ToLower(string(data)), word) {
			t.Errorf("after clean something is left below %s", word)
		}
	}
}

// asked is what was asked of the lab's machines so far, in order.
func asked(l *lab.Lab) []string {
	var out []string
	for _, h := range l.History() {
		out = append(out, h.Machine+": "+h.What)
	}
	return out
}

// The plan says where steps run and why.
func TestTierLabAgentPolicy(t *testing.T) {
	tierLab(t)
	for name, c := range map[string]struct {
		edit      func(string) string
		code      int
		out, says string
	}{
		"never": {replace(t, "agent: always", "agent: never"), 2,
			"direct: over ssh (agent: never)", ""},
		"auto": {replace(t, "agent: always", "agent: auto"), 2, "agent: over winrm", ""},
		"old": {func(s string) string {
			return strings.NewReplacer("agent: always", "agent: auto", "'2022'", "2012r2", "'2019'", "'2008'").Replace(s)
		}, 2, "direct: over winrm (no agent for Windows Server 2012 R2)", ""},
		"always, and old": {replace(t, "'2019'", "'2012'"), 1, "",
			"cannot connect to ws19 with agent: always: no agent for Windows Server 2012"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := agentBench(t, c.edit)
			b.startLab()
			r := b.must(c.code, "plan", "--lab", b.site)
			if !strings.Contains(r.out, c.out) || !strings.Contains(r.errOut, c.says) {
				t.Errorf("%s\n%s", r.out, r.errOut)
			}
		})
	}
}

// A controller that is killed after any one of its journal entries finds the agents again, hears
// what they did meanwhile, and ends as if nobody had disturbed it.
func TestTierLabAgentKilledAfterEveryEntry(t *testing.T) {
	tierLab(t)
	_, done := directly(t)
	everyEntry(t, func(t *testing.T) *bench { return agentBench(t) }, done, 40, "apply", "--lab", "--auto-approve")
}

// Controller and machines go down together, as in a power cut: the agents' records are on the
// machines' disks.
func TestTierLabAgentKilledWithItsLab(t *testing.T) {
	tierLab(t)
	_, done := directly(t)
	b := agentBench(t)
	for kills := 0; ; kills++ {
		r := b.run([]string{fmt.Sprintf("%s=%d", killAfter, 5+7*(kills%5))}, "apply", "--lab", "--auto-approve", b.site)
		if r.killed && kills < most {
			continue
		}
		if r.code != 0 || kills < 3 {
			t.Fatalf("after %d kills: exit %d\n%s\n%s", kills, r.code, tail(r.out), tail(r.errOut))
		}
		break
	}
	same(t, "the machines", done, withoutAgent(machines(t, b.startLab())))
}

// The link breaks at every single request that reaches a machine, an agent's among them; and what
// else a lab can play that a run survives.
func TestTierLabAgentFaults(t *testing.T) {
	tierLab(t)
	bare, done := directly(t)
	play := func(t *testing.T, back bool, faults ...string) (struck bool) {
		t.Helper()
		b := agentBench(t)
		l := b.startLab(faults...)
		apply := append(append([]string{"apply", "--lab", "--auto-approve"}, "--link-timeout", "20s", "--reboot-timeout",
			"20s"), b.site)
		if r := b.run(nil, apply...); r.code != 0 {
			t.Fatalf("%s: exit %d\n%s\n%s", faults, r.code, tail(r.out), r.errOut)
		}
		same(t, "the machines", done, withoutAgent(machines(t, l)))
		struck = !waits(l, len(faults))
		if err := l.SetFaults(nil); err != nil {
			t.Fatal(err)
		}
		b.must(0, "plan", "--lab", b.site)
		if back {
			b.must(0, "rollback", "--lab", "--all", "--auto-approve", b.site)
			same(t, "after the rollback, the machines", bare, withoutAgent(machines(t, l)))
		}
		return struck
	}
	for _, m := range []string{"ws22", "ws19"} {
		for _, fault := range []string{"link-freeze:machine=%s,at=30,for=2s", "node-lost:machine=%s,at=40,back=2s",
			"reboot-hangs:machine=%s,for=2s", "slow:machine=%s,ms=20", "winrm-restarts:machine=%s,at=25"} {
			fault = fmt.Sprintf(fault, m)
			t.Run(fault, func(t *testing.T) {
				t.Parallel()
				play(t, true, fault)
			})
		}
	}
	for turn := range turns {
		t.Run(fmt.Sprint("link lost ", turn), func(t *testing.T) {
			t.Parallel()
			at := 1 + turn
			for ; at < most; at += turns {
				when := []string{"before", "after"}[at%2]
				if !play(t, at%10 < 5, fmt.Sprintf("link-drop:machine=ws22,at=%d,when=%s", at, when),
					fmt.Sprintf("link-drop:machine=ws19,at=%d,when=%s", at, when)) {
					break
				}
			}
			if at < 30 {
				t.Errorf("no more than %d requests reached either machine", at)
			}
		})
	}
}

// turns is how many runs whose link breaks are under way at the same time.
const turns = 5

// waits says that so many faults have not struck.
func waits(l *lab.Lab, all int) bool {
	w := l.World()
	w.Lock()
	defer w.Unlock()
	n := 0
	for _, f := range w.Faults {
		if f.Times > 0 {
			n++
		}
	}
	return n == all
}
