package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"deploy/internal/engine"
	"deploy/internal/journal"
	"deploy/internal/lab"
	"deploy/internal/task"
)

// faultCase is one run with a fault, and what it must come to.
type faultCase struct {
	name  string
	fault string
	edit  func(string) string
	// failed is the task that stops the run, as the journal must name it; "nothing" when the run stops
	// before the first act. A run that the fault does not stop has "".
	failed string
	says   []string // parts of what is said at the end, the hint among them
	heal   func(t *testing.T, l *lab.Lab)
	// moved says that the first node went down under way: the cluster's own group then stays where it
	// went, so a person moves it back.
	moved bool
}

// A program that gives up on a machine sooner than people would.
var impatient = []string{"--link-timeout", "6s", "--reboot-timeout", "10s"}

// answersSoon makes a machine that is silent count as gone after a second.
func answersSoon(s string) string {
	return strings.Replace(s, "defaults: {transport: winrm,", "defaults: {timeout: 1s, transport: winrm,", 1)
}

func powerOn(names ...string) func(*testing.T, *lab.Lab) {
	return func(t *testing.T, l *lab.Lab) {
		for _, n := range names {
			if err := l.Operate(t.Context(), n, "power-on", ""); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func restart(name string) func(*testing.T, *lab.Lab) {
	return func(t *testing.T, l *lab.Lab) {
		for _, act := range []string{"power-off", "power-on"} {
			if err := l.Operate(t.Context(), name, act, ""); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func faultCases() []faultCase {
	const (
		full  = "There is not enough space on the disk"
		setup = `read C:\ExchangeSetupLogs\ExchangeSetup.log on the node, mend what it says, and run again: setup goes on where it stopped`
		gone  = " is powered on and reachable, then run again to continue"
	)
	cases := []faultCase{
		{name: "every answer lost", fault: "link-drop:machine=mbx01-node1,times=always", failed: "nothing",
			says: []string{"cannot check mbx01-node1: ", "lost the connection to mbx01-node1",
				"hint: check that mbx01-node1" + gone}},
		{name: "frozen at once", fault: "link-freeze:machine=mbx01-node1", edit: answersSoon, failed: "nothing",
			says: []string{"cannot check mbx01-node1: ", "cannot reach mbx01-node1",
				"hint: check that WinRM is enabled (winrm quickconfig) and that the firewall allows its port"}},
		{name: "frozen in the middle", fault: "link-freeze:machine=mbx01-node1,at=100", edit: answersSoon, failed: "storage/",
			says: []string{"cannot reach mbx01-node1", "hint: check that mbx01-node1" + gone}},
		{name: "frozen in setup", fault: "link-freeze:machine=dc01,at=20", edit: answersSoon,
			failed: "preparation/schema@dc01",
			says:   []string{"cannot reach dc01", "hint: check that dc01" + gone}},
		{name: "frozen for a while", fault: "link-freeze:machine=mbx01-node1,at=200,for=4s", edit: answersSoon},
		{name: "logon refused", fault: "logon-refused:machine=mbx01-node2", failed: "nothing",
			says: []string{`cannot check mbx01-node2: cannot connect to mbx01-node2 over WinRM: credentials refused for CONTOSO\deploy`,
				"hint: check the name and the password; deploy does not retry, since that may lock the account"}},
		{name: "too many shells for a moment", fault: "shell-quota:machine=mbx01-node1"},
		{name: "too many shells", fault: "shell-quota:machine=mbx01-node1,times=always", edit: answersSoon, failed: "nothing",
			says: []string{"cannot check mbx01-node1: ", "fault 2150859173",
				"hint: wait until the shells of earlier sessions time out"}},
		{name: "slow", fault: "slow:machine=mbx01-node1,ms=4"},
		{name: "an address is shown late", fault: "address-late:machine=mbx01-node1"},
		{name: "a node is off", fault: "node-lost:machine=mbx01-node2", failed: "nothing", heal: powerOn("mbx01-node2"),
			says: []string{"cannot check mbx01-node2: ", "cannot reach mbx01-node2", "hint: check that WinRM is enabled " +
				"(winrm quickconfig)"}},
		{name: "a node goes", fault: "node-lost:machine=mbx01-node1,at=300", failed: "cluster-", heal: powerOn("mbx01-node1"),
			moved: true,
			says:  []string{"cannot reach mbx01-node1", "hint: check that mbx01-node1" + gone}},
		{name: "a node goes and comes before the cluster", fault: "node-lost:machine=mbx01-node1,at=100,back=2s"},
		{name: "a node goes and comes in the cluster", fault: "node-lost:machine=mbx01-node1,at=300,back=2s", moved: true},
		{name: "the domain controller goes and comes", fault: "node-lost:machine=dc01,at=20,back=2s"},
		{name: "a restart hangs", fault: "reboot-hangs:machine=mbx01-node1", failed: "network/binding@mbx01-node1",
			heal: powerOn("mbx01-node1"),
			says: []string{"cannot restart the machine after network/binding@mbx01-node1 on mbx01-node1: mbx01-node1 did " +
				"not come back within 10s",
				"hint: check its console; when it is back, run again to continue"}},
		{name: "a restart takes long", fault: "reboot-hangs:machine=mbx01-node1,for=2s"},
		{name: "a restart is due on a node", fault: "reboot-pending:machine=mbx01-node1"},
		{name: "a restart is due on the domain controller", fault: "reboot-pending:machine=dc01",
			failed: "preparation/schema@dc01", heal: restart("dc01"),
			says: []string{"cannot apply preparation/schema@dc01 on dc01: cannot finish setup on DC01: ",
				"hint: a restart of DC01 is due (servicing)", "restart the machine, then run again"}},
		{name: "no second hop", fault: "second-hop-refused:machine=mbx01-node1", failed: "cluster/create@mbx01-node1",
			says: []string{"cannot form cluster mbx01-clu: cluster.exe /create failed with code 5",
				"hint: the credential must be a local administrator and may make computer accounts in the domain"}},
		{name: "a disk is not seen by a node", fault: "disk-missing:machine=mbx01-node2,serial=LUN-DATA-01",
			failed: "nothing",
			says: []string{"@mbx01-node2 on mbx01-node2: cannot see a disk with serial number LUN-DATA-01",
				"hint: is the storage connected and shown to this node?"}},
		{name: "a disk is not seen at all", fault: "disk-missing:serial=LUN-QUORUM", failed: "nothing",
			says: []string{"@mbx01-node1 on mbx01-node1: cannot see a disk with serial number LUN-QUORUM",
				"hint: is the storage connected and shown to this node?"}},
		{name: "the system disk is full", fault: "disk-full:machine=mbx01-node1",
			failed: "storage/disk[LUN-QUORUM]@mbx01-node1",
			says:   []string{"on mbx01-node1: ", full, "hint: free space on that drive of mbx01-node1, then run again"}},
		{name: "setup cannot write its log", fault: "disk-full:machine=dc01,times=always", failed: "preparation/schema@dc01",
			says: []string{"DC01", full, setup}},
		{name: "the data disk is full", fault: "disk-full:machine=mbx01-node1,letter=E",
			failed: "mailbox-active/server[mbx01]@mbx01-node1",
			says:   []string{"MBX01-NODE1", full, setup}},
		{name: "the log disk is full", fault: "disk-full:machine=mbx01-node1,letter=F,times=always",
			failed: "directories/logs[mbx01-0]@mbx01-node1",
			says: []string{"cannot run Move-StorageGroupPath on MBX01-NODE1: ", full,
				"hint: free space on that drive of mbx01-node1, then run again"}},
		{name: "a program's answer lost with the service", fault: "winrm-restarts:machine=mbx01-node1,at=60"},
		{name: "setup restarts the service", fault: "winrm-restarts:machine=mbx01-node1,at=351"},
	}
	for _, c := range []struct{ machine, stage, task string }{
		{"dc01", "Extending-Active-Directory-schema", "preparation/schema@dc01"},
		{"dc01", "Organization-Preparation", "preparation/ad@dc01"},
		{"mbx01-node1", "Copying-Exchange-Files", "mailbox-active/role@mbx01-node1"},
		{"mbx01-node1", "Mailbox-Server-Role", "mailbox-active/role@mbx01-node1"},
		{"mbx01-node1", "Clustered-Mailbox-Server", "mailbox-active/server[mbx01]@mbx01-node1"},
		{"mbx01-node2", "Mailbox-Server-Role", "mailbox-passive/role@mbx01-node2"},
	} {
		cases = append(cases, faultCase{name: "setup fails at " + c.stage + " on " + c.machine,
			fault:  "setup-fails:machine=" + c.machine + ",at=" + c.stage,
			failed: c.task, says: []string{strings.ToUpper(c.machine), strings.ReplaceAll(c.stage, "-", " "), "hint: " + setup}})
	}
	// wherever the link breaks, the run goes on, whether what was asked for was done or not
	for i, at := range []int{1, 30, 53, 74, 111, 160, 210, 273, 327, 350, 398, 440, 480, 520} {
		when := []string{"after", "before"}[i%2]
		cases = append(cases, faultCase{name: fmt.Sprintf("link lost %s request %d", when, at),
			fault: fmt.Sprintf("link-drop:machine=mbx01-node1,at=%d,when=%s", at, when)})
	}
	return cases
}

// Every fault that the lab can play is met with a clear message, a journal that tells the truth,
// and a later run that finishes.
func TestTierLabFaults(t *testing.T) {
	tierLab(t)
	for _, k := range lab.FaultKinds() {
		if !slices.ContainsFunc(faultCases(), func(c faultCase) bool { return strings.HasPrefix(c.fault, k.Name+":") }) {
			t.Errorf("no case plays %s", k.Name)
		}
	}
	calm := newBench(t, twoNodes)
	l := calm.startLab()
	calm.must(0, "apply", "--lab", "--auto-approve", calm.site)
	want := machines(t, l)
	for _, c := range faultCases() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.play(t, want)
		})
	}
}

func (c faultCase) play(t *testing.T, want any) {
	b := newBench(t, twoNodes)
	if c.edit != nil {
		b.edit(c.edit)
	}
	l := b.startLab(c.fault)
	apply := append(append([]string{"apply", "--lab", "--auto-approve"}, impatient...), b.site)
	r := b.run(nil, apply...)
	if r.code != map[bool]int{true: 0, false: 1}[c.failed == ""] {
		t.Fatalf("exit %d\n%s\n%s", r.code, tail(r.out), r.errOut)
	}
	for _, s := range c.says {
		if !strings.Contains(r.errOut, s) {
			t.Errorf("nobody says %q:\n%s", s, r.errOut)
		}
	}
	st := b.history()
	switch run := st.LastRun(); {
	case c.failed == "":
		for id, task := range st.Tasks {
			if task.Status != journal.StatusDone && task.Status != journal.StatusUnchanged {
				t.Errorf("the run ended well, and %s is %s", id, task.Status)
			}
		}
	case c.failed == "nothing":
		if len(st.Tasks) > 0 {
			t.Errorf("the journal holds %d tasks of a run that could not begin", len(st.Tasks))
		}
	case run.Result.How != engine.HowFailed || run.Result.Error == "":
		t.Errorf("the journal has no failed run: %+v", run.Result)
	default:
		c.blames(t, st, r.errOut)
	}
	if err := l.SetFaults(nil); err != nil {
		t.Fatal(err)
	}
	if c.heal != nil {
		c.heal(t, l)
	}
	b.truthful()
	b.must(0, apply...)
	if c.moved {
		restart("mbx01-node2")(t, l)
	}
	same(t, "the machines", want, machines(t, l))
	b.must(0, "plan", "--lab", b.site)
}

// blames wants the journal to name the task that failed, in the words that the person saw.
func (c faultCase) blames(t *testing.T, st *journal.State, seen string) {
	t.Helper()
	for id, task := range st.Tasks {
		if task.Status != journal.StatusFailed {
			continue
		}
		if !strings.HasPrefix(id, c.failed) {
			t.Errorf("%s failed, and should not", id)
		}
		if !strings.Contains(seen, task.Failure.Error) || task.Failure.Hint == "" ||
			!strings.Contains(seen, task.Failure.Hint) {
			t.Errorf("the journal says %+v of %s, and the person saw\n%s", task.Failure, id, seen)
		}
		return
	}
	t.Error("the journal names no task that failed")
}

// truthful looks at the machines: what the journal calls done needs nothing.
func (b *bench) truthful() {
	b.t.Helper()
	r := b.run(nil, "plan", "--lab", "--json", b.site)
	if r.code != 0 && r.code != 2 {
		b.t.Fatalf("plan: exit %d\n%s", r.code, r.errOut)
	}
	var p engine.Plan
	if err := json.Unmarshal([]byte(r.out), &p); err != nil {
		b.t.Fatal(err)
	}
	for _, pt := range p.Tasks() {
		if pt.Last == journal.StatusDone && pt.Diff.Action != "no-op" {
			b.t.Errorf("the journal calls %s done, and it needs: %s", pt.ID, task.Describe(pt.Diff))
		}
	}
}

// history is the folded journal, as the program prints it.
func (b *bench) history() *journal.State {
	b.t.Helper()
	const longest = 16 << 20
	sc := bufio.NewScanner(strings.NewReader(b.must(0, "history", "--lab", "--json", b.site).out))
	sc.Buffer(nil, longest)
	var list []journal.Entry
	for sc.Scan() {
		var e journal.Entry
		if err := json.Unmarshal(sc.Bytes(), &e); err != nil {
			b.t.Fatal(err)
		}
		list = append(list, e)
	}
	st, err := journal.Fold(list)
	if err != nil {
		b.t.Fatal(err)
	}
	return st
}
