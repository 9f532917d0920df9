package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"deploy/internal/journal"
	"deploy/internal/lab"
	"deploy/internal/testkit/auditor"
)

// How many schedules are played, from which seed on; a seed replays its schedule.
const (
	auditSeeds = "DEPLOY_AUDIT_SEEDS"
	auditFirst = "DEPLOY_AUDIT_FIRST"
)

func tierAuditor(t *testing.T) {
	t.Helper()
	if os.Getenv("DEPLOY_TIER") != "auditor" {
		t.Skip("belongs to the tier auditor: make test-auditor")
	}
}

func auditNumber(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s=%s: give a number from 1 on", name, text)
	}
	return n
}

// audited is one site under audit: the program in processes of their own, its machines in this one
// or in namespaces.
type audited struct {
	t       *testing.T
	site    string
	env     []string
	mode    []string                  // arguments of every command: --lab
	state   string                    // where the journal is
	launch  func(cmd *exec.Cmd) error // starts the program
	look    func() auditor.View
	cut     func(rnd *rand.Rand) // arranges for a link that breaks between an act and its answer
	objects []auditor.Object
	calm    auditor.Calm
	tally   *tally
}

// tally counts what was played.
type tally struct {
	schedules, cuts, freezes int
	kills                    map[string]int
}

func (c *tally) String() string {
	return fmt.Sprintf("%d schedules, kills %v, %d cut links, %d freezes", c.schedules, c.kills, c.cuts, c.freezes)
}

// objectAt is where the lab's state shows what a task sets.
var objectAt = []struct {
	task, phase string
	path        [][]string // below the machine
	recorded    string
}{
	{"settings/level", "settings", [][]string{{"registry", `hklm\software\audited`, "values", "level", "data"}}, ""},
	{"settings/hostname", "settings", [][]string{{"registry",
		`hklm\system\currentcontrolset\services\tcpip\parameters`, "values", "hostname", "data"}}, "NODE"},
	{"settings/spooler", "settings", [][]string{{"Services", "spooler", "start"}, {"Services", "spooler", "state"}}, ""},
	{"settings/file", "settings", [][]string{{"files", `c:\audited.config`, "data"}}, ""},
	{"roles/clustering", "roles", [][]string{{"features", "Failover-Clustering"}}, ""},
	{"rest/one", "rest", [][]string{{"registry", `hklm\software\audited`, "values", "one", "data"}}, ""},
	{"rest/two", "rest", [][]string{{"registry", `hklm\software\audited`, "values", "two", "data"}}, ""},
}

// ours are parts of a machine that the program keeps for itself.
func ours(m map[string]any) {
	for key := range sub(m, "registry") {
		if strings.HasPrefix(key, `hklm\software\deploy`) || key == `hklm\software\audited` {
			delete(sub(m, "registry"), key)
		}
	}
}

func sub(m map[string]any, keys ...string) map[string]any {
	for _, k := range keys {
		m, _ = m[k].(map[string]any)
	}
	return m
}

// view is what the lab's machines hold now. An agent may still be at its last step, so it is looked
// at until two views are alike.
func (a *audited) view() auditor.View {
	a.t.Helper()
	last := a.look()
	for range 200 {
		time.Sleep(20 * time.Millisecond)
		next := a.look()
		if fmt.Sprint(next) == fmt.Sprint(last) {
			return next
		}
		last = next
	}
	a.t.Fatal("the machines do not come to rest")
	return last
}

// labView is what the machines of a lab hold.
func labView(t *testing.T, l *lab.Lab) auditor.View {
	t.Helper()
	data, err := l.Show()
	if err != nil {
		t.Fatal(err)
	}
	var show struct{ State, Volatile map[string]any }
	if err := json.Unmarshal(data, &show); err != nil {
		t.Fatal(err)
	}
	withoutAgent(show.State)
	v := auditor.View{Objects: map[string]string{}, Rest: map[string]string{}, Boots: map[string]int{},
		Pending: map[string]bool{}}
	for name, m := range sub(show.State, "machines") {
		m, _ := m.(map[string]any)
		boots, _ := sub(show.Volatile, "machines", name)["boots"].(float64)
		v.Boots[name] = int(boots)
		v.Pending[name] = len(sub(m, "pending_reboot")) > 0
		for _, o := range objectAt {
			var parts []string
			for _, p := range o.path {
				at := sub(m, p[:len(p)-1]...)
				parts = append(parts, fmt.Sprint(at[p[len(p)-1]]))
				delete(at, p[len(p)-1])
			}
			v.Objects[o.task+"@"+name] = strings.Join(parts, " ")
		}
		ours(m)
		rest, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		v.Rest[name] = string(rest)
	}
	return v
}

// auditedLab is the site of testdata/audit. The lab runs once start was called.
func auditedLab(t *testing.T, edits ...func(string) string) (a *audited, start func(faults ...string) *lab.Lab) {
	t.Helper()
	b := benchOf(t, "testdata/audit", edits...)
	a = &audited{t: t, site: b.site, env: b.env, mode: []string{"--lab"}, state: b.state(), launch: (*exec.Cmd).Start}
	start = func(faults ...string) *lab.Lab {
		l := b.startLab(faults...)
		a.look = func() auditor.View { return labView(t, l) }
		return l
	}
	return a, start
}

// labCalm learns from an undisturbed run in the lab how the machines are before and after.
func labCalm(t *testing.T) (auditor.Calm, []auditor.Object, time.Duration) {
	t.Helper()
	a, start := auditedLab(t)
	start()
	var list []auditor.Object
	for _, o := range objectAt {
		for _, name := range []string{"w19", "w08"} {
			list = append(list, auditor.Object{Task: o.task + "@" + name, Phase: o.phase, Node: name, Recorded: o.recorded})
		}
	}
	return a.learn(list)
}

// learn applies the site undisturbed and completes the objects by what it saw before and after.
func (a *audited) learn(list []auditor.Object) (auditor.Calm, []auditor.Object, time.Duration) {
	a.t.Helper()
	calm := auditor.Calm{Bare: a.view()}
	start := time.Now()
	if _, code, out := a.disturbed(0, 0, nil, "apply", "--auto-approve"); code != 0 {
		a.t.Fatalf("the undisturbed apply: exit %d\n%s", code, tail(out))
	}
	took := time.Since(start)
	calm.Done = a.view()
	for i := range list {
		x := &list[i]
		x.Before, x.Declared = calm.Bare.Objects[x.Task], calm.Done.Objects[x.Task]
		if x.Recorded != "" {
			x.Recorded = strconv.Quote(x.Before)
		}
		if x.Before == x.Declared {
			a.t.Fatalf("%s: an apply makes no difference: %s", x.Task, x.Before)
		}
	}
	return calm, list, took
}

// audit compares journal and machines as they are now.
func (a *audited) audit(settled bool) []auditor.Finding {
	a.t.Helper()
	st, err := journal.OpenReadOnly(a.state, "")
	if err != nil {
		if os.IsNotExist(err) || strings.Contains(err.Error(), "not exist") {
			return auditor.Audit(a.calm, a.objects, nil, a.view(), false)
		}
		a.t.Fatal(err)
	}
	entries, err := st.Entries(a.t.Context())
	if cerr := st.Close(); err != nil || cerr != nil {
		a.t.Fatal(err, cerr)
	}
	found := auditor.Audit(a.calm, a.objects, entries, a.view(), settled)
	if len(found) > 0 {
		for _, e := range entries {
			a.t.Logf("%d %s %s %s %s %.300s", e.Seq, e.Run, e.Kind, e.Node, e.Task, e.Data)
		}
	}
	return found
}

// disturbed runs the program and kills it after a while; freeze stops it for some time before that.
// It says whether the program was killed, and its exit code otherwise.
func (a *audited) disturbed(after, freeze time.Duration, env []string, args ...string) (bool, int, string) {
	a.t.Helper()
	exe, err := os.Executable()
	if err != nil {
		a.t.Fatal(err)
	}
	cmd := exec.CommandContext(a.t.Context(), exe, append(append(slices.Clone(args), a.mode...), a.site)...)
	cmd.Env = append(a.env, env...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := a.launch(cmd); err != nil {
		a.t.Fatal(err)
	}
	if freeze > 0 {
		time.AfterFunc(after/2, func() {
			if cmd.Process.Signal(syscall.SIGSTOP) == nil {
				time.Sleep(freeze)
				_ = cmd.Process.Signal(syscall.SIGCONT)
			}
		})
	}
	if after > 0 {
		kill := time.AfterFunc(after+freeze, func() { _ = cmd.Process.Kill() })
		defer kill.Stop()
	}
	err = cmd.Wait()
	st, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	killed := ok && st.Signaled() && st.Signal() == syscall.SIGKILL
	if err != nil && !killed && cmd.ProcessState.ExitCode() < 0 {
		a.t.Fatal(err)
	}
	return killed, cmd.ProcessState.ExitCode(), out.String()
}

// play plays the schedule of a seed: apply, perhaps with a rollback behind it and another apply,
// each killed two or three times at moments that the seed chooses, and resumed. It returns what an
// audit after each of them found.
func (a *audited) play(seed uint64, usual time.Duration, env []string) []auditor.Finding {
	a.t.Helper()
	rnd := rand.New(rand.NewPCG(seed, 1))
	planted := len(env) > 0 // a program with a defect
	a.tally.schedules++
	disturb := rnd.IntN(3) // of three schedules one freezes the controller or cuts a link
	cuts := disturb == 0 && rnd.IntN(2) == 0
	if cuts {
		a.cut(rnd)
		a.tally.cuts++
	}
	commands := [][]string{{"apply", "--auto-approve"}}
	if rnd.IntN(3) > 0 {
		commands = append(commands, []string{"rollback", "--all", "--auto-approve"})
	}
	if rnd.IntN(3) == 0 {
		commands = append(commands, []string{"apply", "--auto-approve"})
	}
	for _, first := range commands {
		c := first
		for kills := 2 + rnd.IntN(2); kills > 0; kills-- {
			var freeze time.Duration
			if disturb == 0 && !cuts {
				freeze = time.Duration(20+rnd.IntN(200)) * time.Millisecond
				a.tally.freezes++
			}
			after := 30*time.Millisecond + time.Duration(rnd.Int64N(int64(usual)/2))
			killed, code, out := a.disturbed(after, freeze, env, c...)
			if killed {
				a.tally.kills[c[0]]++
			}
			if f := a.audit(!killed && code == 0); len(f) > 0 {
				return f
			}
			if nothing := strings.Contains(out, "nothing to resume"); nothing && code != 0 {
				break // it was killed before it had written anything
			}
			if !killed {
				if code != 0 && planted {
					return nil // the program itself saw that something was wrong; another seed is to tell
				}
				if code != 0 {
					a.t.Fatalf("seed %d: deploy %s: exit %d\n%s", seed, strings.Join(c, " "), code, tail(out))
				}
				break
			}
			if rnd.IntN(2) == 0 {
				c = []string{"resume", "--auto-approve"}
			}
		}
		if _, code, out := a.disturbed(0, 0, env, first...); code != 0 && planted {
			return nil
		} else if code != 0 {
			a.t.Fatalf("seed %d: deploy %s: exit %d\n%s", seed, strings.Join(first, " "), code, tail(out))
		}
		if f := a.audit(true); len(f) > 0 {
			return f
		}
	}
	return nil
}

// schedules plays schedules and reports what an audit found in each.
func schedules(t *testing.T, world string, fresh func(t *testing.T, seed uint64) *audited, usual time.Duration) {
	t.Helper()
	count, first := auditNumber(t, auditSeeds, 10), auditNumber(t, auditFirst, 1)
	sum := &tally{kills: map[string]int{}}
	findings := 0
	for seed := uint64(first); seed < uint64(first+count); seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			a := fresh(t, seed)
			a.tally = sum
			for _, f := range a.play(seed, usual, nil) {
				findings++
				t.Errorf("seed %d: %s", seed, f)
			}
		})
	}
	fmt.Printf("auditor, %s: %s, %d findings; a seed replays with %s=SEED %s=1\n", world, sum, findings, auditFirst,
		auditSeeds)
}

// Journal and the lab's machines agree after every cut of every schedule.
func TestTierAuditorLab(t *testing.T) {
	tierAuditor(t)
	calm, objects, usual := labCalm(t)
	schedules(t, "lab", func(t *testing.T, _ uint64) *audited { return labSchedule(t, calm, objects) }, usual)
}

// labSchedule is a delivered lab for one schedule.
func labSchedule(t *testing.T, calm auditor.Calm, objects []auditor.Object, edits ...func(string) string) *audited {
	t.Helper()
	a, start := auditedLab(t, edits...)
	a.calm, a.objects = calm, objects
	l := start()
	a.cut = func(rnd *rand.Rand) {
		spec := fmt.Sprintf("link-drop:machine=%s,at=%d", []string{"w19", "w08"}[rnd.IntN(2)], 3+rnd.IntN(30))
		if err := l.SetFaults([]string{spec}); err != nil {
			t.Fatal(err)
		}
	}
	return a
}
