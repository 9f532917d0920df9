package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"deploy/internal/engine"
	"deploy/internal/lab"
	"deploy/internal/owner"
)

// ownerWays are the ways in which a controller works on the machine of the tests' site.
func ownerWays(t *testing.T) map[string][]func(string) string {
	return map[string][]func(string) string{
		"winrm-direct": nil,
		"ssh-direct":   {replace(t, "transport: winrm", "transport: ssh")},
		"winrm-agent":  {replace(t, "agent: never", "agent: always")},
		"ssh-agent":    {replace(t, "transport: winrm", "transport: ssh"), replace(t, "agent: never", "agent: always")},
	}
}

// eachOwnerWay plays f on a lab of its own for each way.
func eachOwnerWay(t *testing.T, f func(t *testing.T, b *bench, l *lab.Lab)) {
	tierLab(t)
	for _, way := range []string{"winrm-direct", "ssh-direct", "winrm-agent", "ssh-agent"} {
		t.Run(way, func(t *testing.T) {
			b := benchOf(t, "testdata/owner", ownerWays(t)[way]...)
			f(t, b, b.startLab())
		})
	}
}

// second is another controller of b's machines: its own directory, site file and journal.
func (b *bench) second(edits ...func(string) string) *bench {
	b.t.Helper()
	dir := filepath.Join(b.t.TempDir(), "site")
	if err := os.CopyFS(dir, withoutState{os.DirFS(filepath.Dir(b.site))}); err != nil {
		b.t.Fatal(err)
	}
	c := &bench{t: b.t, site: filepath.Join(dir, filepath.Base(b.site)), env: b.env}
	c.edit(edits...)
	if err := os.MkdirAll(c.state(), 0o700); err != nil {
		b.t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(b.state(), "machines"), filepath.Join(c.state(), "machines")); err != nil {
		b.t.Fatal(err)
	}
	return c
}

// refused wants commands that act to end with 1 and to say text, without any change; and those that
// only tell to go on telling.
func (b *bench) refused(l *lab.Lab, verdict owner.Verdict, text string) {
	b.t.Helper()
	was := machines(b.t, l)
	for _, command := range []string{"apply", "resume", "rollback"} {
		args := []string{command, "--lab", "--auto-approve", b.site}
		if command == "rollback" {
			args = append(args, "--all")
		}
		r := b.run(nil, args...)
		if command != "apply" && strings.Contains(r.out+r.errOut, "nothing to ") {
			continue // its journal has nothing to go on with, or to take back
		}
		if r.code != 1 || !strings.Contains(r.errOut, "error: cannot work on dc01: "+text) ||
			!strings.Contains(r.errOut, "hint: ") {
			b.t.Errorf("%s: exit %d, want 1 and %q\n%s\n%s", command, r.code, text, tail(r.out), tail(r.errOut))
		}
	}
	same(b.t, "a refused command changed the machines", was, machines(b.t, l))
	shown := b.run(nil, "plan", "--lab", b.site)
	if (shown.code != 0 && shown.code != 2) || !strings.Contains(shown.out, "! "+text) {
		b.t.Errorf("plan: exit %d, and it does not say %q\n%s\n%s", shown.code, text, tail(shown.out), tail(shown.errOut))
	}
	var p engine.Plan
	if err := json.Unmarshal([]byte(b.run(nil, "plan", "--lab", "--json", b.site).out), &p); err != nil {
		b.t.Fatal(err)
	}
	if len(p.Nodes) != 1 || p.Nodes[0].Owner == nil || p.Nodes[0].Owner.Verdict != verdict || !p.Nodes[0].Owner.Refused {
		b.t.Errorf("the plan's JSON says %+v, want %s", p.Nodes, verdict)
	}
	b.must(0, "history", "--lab", b.site)
	if r := b.must(0, "status", "--lab", "--nodes", b.site); !strings.Contains(r.out, "! dc01") || !strings.Contains(r.out,
		text) {
		b.t.Errorf("status --nodes does not say %q:\n%s", text, tail(r.out))
	}
	var s engine.StatusReport
	if err := json.Unmarshal([]byte(b.must(0, "status", "--lab", "--nodes", "--json", b.site).out), &s); err != nil {
		b.t.Fatal(err)
	}
	if len(s.Nodes) != 1 || s.Nodes[0].Verdict != verdict || s.Nodes[0].Hint == "" {
		b.t.Errorf("the status's JSON says %+v, want %s", s.Nodes, verdict)
	}
	same(b.t, "a command that only reads changed the machines", was, machines(b.t, l))
}

func TestTierLabTwoControllers(t *testing.T) {
	eachOwnerWay(t, func(t *testing.T, a *bench, l *lab.Lab) {
		b := a.second()
		a.must(0, "apply", "--lab", "--auto-approve", "--phase", "one", a.site)
		b.refused(l, owner.ForeignJournal, "another journal of this site is in charge of dc01: journal ")
		b.must(0, "apply", "--lab", "--auto-approve", "--take-over", b.site)
		if r := b.must(0, "apply", "--lab", "--auto-approve", b.site); !strings.Contains(r.out, "no changes") {
			t.Errorf("the second run after a take-over: %s", tail(r.out))
		}
		a.refused(l, owner.ForeignJournal, "another journal of this site is in charge of dc01: journal ")
	})
}

// A controller that is frozen between its intent and its act, and wakes when another one has taken
// over, does nothing.
func TestTierLabFrozenController(t *testing.T) {
	for _, entries := range []string{"4", "6"} { // before and after it has claimed the machine
		t.Run(entries, func(t *testing.T) { frozen(t, entries) })
	}
}

func frozen(t *testing.T, entries string) {
	eachOwnerWay(t, func(t *testing.T, a *bench, l *lab.Lab) {
		b := a.second()
		exe, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), exe, "apply", "--lab", "--auto-approve", a.site)
		cmd.Env = append(a.env, stopAfter+"="+entries)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		stopped(t, cmd.Process.Pid)
		b.must(0, "apply", "--lab", "--auto-approve", "--take-over", b.site)
		was := machines(t, l)
		if err := cmd.Process.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		if cmd.ProcessState.ExitCode() != 1 || !strings.Contains(out.String(), "is in charge there since") &&
			!strings.Contains(out.String(), "another journal of this site is in charge of dc01") {
			t.Errorf("the one that woke: exit %d\n%s", cmd.ProcessState.ExitCode(), tail(out.String()))
		}
		same(t, "the one that woke changed the machines", was, machines(t, l))
		b.must(0, "plan", "--lab", b.site)
	})
}

// stopped waits until a process has stopped itself.
func stopped(t *testing.T, pid int) {
	t.Helper()
	for end := time.Now().Add(60 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
		if err != nil {
			t.Fatal(err)
		}
		if _, rest, ok := strings.Cut(string(data), ") "); ok && strings.HasPrefix(rest, "T") {
			return
		}
	}
	t.Fatal("the program did not stop")
}

// An older copy of the journal is put back in the place of the newest one. Without its head file
// the journal itself cannot tell, but the machine does.
func TestTierLabOlderJournal(t *testing.T) {
	eachOwnerWay(t, func(t *testing.T, b *bench, l *lab.Lab) {
		b.must(0, "apply", "--lab", "--auto-approve", "--phase", "one", b.site)
		old := b.journalFiles()
		b.must(0, "apply", "--lab", "--auto-approve", b.site)
		newest := b.journalFiles()
		b.putJournal(old)
		b.refused(l, owner.UnknownAct, "dc01 has been worked on by a later state of this journal: act ")
		b.putJournal(newest)
		b.must(0, "rollback", "--lab", "--all", "--auto-approve", b.site)
	})
}

func (b *bench) journalFiles() map[string][]byte {
	b.t.Helper()
	out := map[string][]byte{}
	for _, name := range []string{"journal.db", "journal.head"} {
		data, err := os.ReadFile(filepath.Join(b.state(), name))
		if err != nil {
			b.t.Fatal(err)
		}
		out[name] = data
	}
	return out
}

func (b *bench) putJournal(files map[string][]byte) {
	b.t.Helper()
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(b.state(), name), data, 0o600); err != nil {
			b.t.Fatal(err)
		}
	}
	for _, name := range []string{"journal.db-wal", "journal.db-shm", "journal.db-journal"} {
		_ = os.Remove(filepath.Join(b.state(), name))
	}
}

// A node that moves to another site is refused there until it was taken back and cleaned here.
func TestTierLabNodeMovedToAnotherSite(t *testing.T) {
	eachOwnerWay(t, func(t *testing.T, a *bench, l *lab.Lab) {
		b := a.second(replace(t, "site: first", "site: second"))
		bare := machines(t, l)
		a.must(0, "apply", "--lab", "--auto-approve", a.site)
		b.refused(l, owner.ForeignSite, "dc01 belongs to site first: ")
		a.must(0, "rollback", "--lab", "--all", "--auto-approve", a.site)
		b.refused(l, owner.ForeignSite, "dc01 belongs to site first: ")
		r := a.must(0, "clean", "--lab", a.site)
		if !strings.Contains(r.out, "owner record") {
			t.Errorf("clean: %s", r.out)
		}
		same(t, "after rollback and clean", bare, withoutAgent(machines(t, l)))
		if data, err := l.Show(); err != nil || strings.Contains(string(data), `"owners"`) {
			t.Errorf("an owner record stays after clean (%v)", err)
		}
		b.must(0, "apply", "--lab", "--auto-approve", b.site)
		a.refused(l, owner.ForeignSite, "dc01 belongs to site second: ")
		a.must(0, "apply", "--lab", "--auto-approve", "--take-over", a.site)
		b.refused(l, owner.ForeignSite, "dc01 belongs to site first: ")
	})
}

// One domain controller in two sites: both work, side by side too.
func TestTierLabSharedNode(t *testing.T) {
	eachOwnerWay(t, func(t *testing.T, a *bench, l *lab.Lab) {
		share := replace(t, "roles: [windows]}", "roles: [windows], shared: true}")
		b := a.second(replace(t, "site: first", "site: second"), replace(t, "parameters: {}", "parameters: {key: Other}"),
			share)
		a.must(0, "apply", "--lab", "--auto-approve", "--phase", "one", a.site)
		b.refused(l, owner.ForeignSite, "dc01 belongs to site first: ") // which does not share it yet
		a.edit(share)
		a.must(0, "apply", "--lab", "--auto-approve", "--phase", "one", a.site)
		done := make(chan result, 1)
		go func() { done <- a.run(nil, "apply", "--lab", "--auto-approve", a.site) }()
		r := b.run(nil, "apply", "--lab", "--auto-approve", b.site)
		if other := <-done; r.code != 0 || other.code != 0 {
			t.Fatalf("side by side: exit %d and %d\n%s\n%s", r.code, other.code, tail(r.errOut), tail(other.errOut))
		}
		for _, c := range []*bench{a, b} {
			c.must(0, "plan", "--lab", c.site)
		}
		b.must(0, "rollback", "--lab", "--all", "--auto-approve", b.site)
		a.must(0, "rollback", "--lab", "--all", "--auto-approve", a.site)
	})
}

// A machine is put back to a snapshot of before the last run.
func TestTierLabNodeWentBack(t *testing.T) {
	eachOwnerWay(t, func(t *testing.T, b *bench, l *lab.Lab) {
		bare := machines(t, l)
		b.must(0, "apply", "--lab", "--auto-approve", "--phase", "one", b.site)
		snapshot := filepath.Join(b.state(), "machines")
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		kept := filepath.Join(t.TempDir(), "snapshot")
		if err := os.CopyFS(kept, os.DirFS(snapshot)); err != nil {
			t.Fatal(err)
		}
		l = b.startLab()
		b.must(0, "apply", "--lab", "--auto-approve", b.site)
		done := machines(t, l)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(snapshot); err != nil {
			t.Fatal(err)
		}
		if err := os.CopyFS(snapshot, os.DirFS(kept)); err != nil {
			t.Fatal(err)
		}
		l = b.startLab()
		b.refused(l, owner.WentBack, "dc01 went back: act")
		b.must(0, "apply", "--lab", "--auto-approve", "--went-back", "dc01", b.site)
		same(t, "the apply heals", done, machines(t, l))
		if r := b.must(1, "apply", "--lab", "--auto-approve", "--went-back", "dc01", b.site); !strings.Contains(r.errOut,
			"dc01 did not go back") {
			t.Errorf("it is said twice: %s", r.errOut)
		}
		b.must(0, "rollback", "--lab", "--all", "--auto-approve", b.site)
		same(t, "after the rollback", withoutAgent(bare), withoutAgent(machines(t, l)))
	})
}
