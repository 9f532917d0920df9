package main

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"deploy/internal/engine"
)

const twoNodes = "exchange-2007-scc"

// The main job: plan, apply, nothing left to do, status, and rollback up to the first point of no
// return.
func TestTierLabTwoNodes(t *testing.T) {
	tierLab(t)
	b := newBench(t, twoNodes)
	l := b.startLab()
	bare := machines(t, l)

	plan := b.must(2, "plan", "--lab", "--json", b.site)
	var p engine.Plan
	if err := json.Unmarshal([]byte(plan.out), &p); err != nil {
		t.Fatal(err)
	}
	if len(p.NoReturn) < 3 || len(p.Gates) == 0 || len(p.Reboots) == 0 || len(p.Failovers) == 0 {
		t.Errorf("the plan marks %d points of no return, %d gates, %d restarts, %d failovers", len(p.NoReturn), len(p.Gates),
			len(p.Reboots), len(p.Failovers))
	}
	for _, task := range p.Tasks() {
		if task.Diff.Action == "unknown" && len(task.Diff.Waits) == 0 {
			t.Errorf("%s is unknown and waits for nothing", task.ID)
		}
	}
	same(t, "a plan changed the machines", bare, machines(t, l))

	applied := b.must(0, "apply", "--lab", "--auto-approve", b.site)
	for _, want := range []string{"proof", "changed"} {
		if !strings.Contains(applied.out, want) {
			t.Errorf("the output has no %q:\n%s", want, tail(applied.out))
		}
	}
	done := machines(t, l)
	b.must(0, "plan", "--lab", b.site)
	again := b.must(0, "apply", "--lab", "--auto-approve", b.site)
	if !strings.Contains(again.out, "no changes") {
		t.Errorf("the second run does not say that it changed nothing:\n%s", tail(again.out))
	}
	same(t, "the second run changed the machines", done, machines(t, l))
	status := b.must(0, "status", "--lab", b.site)
	if strings.Contains(status.out, "[ ]") || !strings.Contains(status.out, "[x]") {
		t.Errorf("status:\n%s", status.out)
	}

	back := b.run(nil, "rollback", "--lab", "--all", "--auto-approve", b.site)
	if back.code != 4 || !strings.Contains(back.out, "--leave preparation/ad@dc01 goes on to what is older") {
		t.Errorf("rollback past a point of no return: exit %d\n%s%s", back.code, tail(back.out), tail(back.errOut))
	}
}

// Three active nodes and a passive one.
func TestTierLabFourNodes(t *testing.T) {
	tierLab(t)
	b := newBench(t, "exchange-2007-scc-4node")
	b.startLab()
	b.must(0, "apply", "--lab", "--auto-approve", b.site)
	b.must(0, "plan", "--lab", b.site)
}

// Everything works whatever language the machines speak, and over either transport.
func TestTierLabLanguagesAndTransports(t *testing.T) {
	tierLab(t)
	for _, tc := range []struct {
		name  string
		edits []func(string) string
	}{
		{"fr", []func(string) string{locale(t, "fr")}},
		{"de", []func(string) string{locale(t, "de")}},
		{"ja", []func(string) string{locale(t, "ja")}},
		{"ssh", []func(string) string{replace(t, "transport: winrm", "transport: ssh")}},
		{"ja over ssh", []func(string) string{locale(t, "ja"), replace(t, "transport: winrm", "transport: ssh")}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, twoNodes, tc.edits...)
			b.startLab()
			b.must(0, "apply", "--lab", "--auto-approve", b.site)
			b.must(0, "plan", "--lab", b.site)
		})
	}
}

func locale(t *testing.T, name string) func(string) string {
	return replace(t, "locale: en", "locale: "+name)
}

// From the end of every phase before the first point of no return, rollback leads to the machines
// as they were.
func TestTierLabRollbackOfEveryPhase(t *testing.T) {
	tierLab(t)
	b := newBench(t, twoNodes)
	l := b.startLab()
	bare := machines(t, l)
	plan := b.must(2, "plan", "--lab", "--json", b.site)
	var p engine.Plan
	if err := json.Unmarshal([]byte(plan.out), &p); err != nil {
		t.Fatal(err)
	}
	firstOfNoReturn, _, _ := strings.Cut(p.NoReturn[0].Task, "/")
	phases := []string{}
	for _, ph := range p.Phases {
		if ph.ID == firstOfNoReturn {
			break
		}
		phases = append(phases, ph.ID)
		t.Run(ph.ID, func(t *testing.T) {
			b.t = t
			b.must(0, "apply", "--lab", "--auto-approve", "--phase", strings.Join(phases, ","), b.site)
			b.must(0, "rollback", "--lab", "--all", "--auto-approve", b.site)
			same(t, "after the rollback", bare, machines(t, l))
		})
	}
	if len(phases) < 5 {
		t.Errorf("only %v come before the first point of no return", phases)
	}
}

// A password from the environment is found nowhere.
func TestTierLabSecrets(t *testing.T) {
	tierLab(t)
	b := newBench(t, twoNodes)
	l := b.startLab()
	dir := filepath.Dir(b.site)
	plan, debug := filepath.Join(dir, "plan.json"), filepath.Join(dir, "debug.log")
	var said []string
	for _, args := range [][]string{
		{"plan", "--lab", "-o", plan, "--debug-log", debug, b.site},
		{"apply", "--lab", "--auto-approve", "--json", "--debug-log", debug, b.site},
		{"history", "--lab", "--json", b.site}, {"status", "--lab", "--json", b.site}, {"lab", "show", b.site},
		{"rollback", "--lab", "--all", "--auto-approve", "--debug-log", debug, b.site},
	} {
		r := b.run(nil, args...)
		said = append(said, r.out, r.errOut)
	}
	for _, h := range l.History() {
		said = append(said, h.What)
	}
	if info, err := os.Stat(debug); err != nil || info.Size() < 1000 {
		t.Errorf("the debug log is empty: %v", err)
	}
	needles := []string{password, "Q29ycmVjdC1Ib3JzZS03LUJhdHRlcnk"} // and in base64, as the wire carries it
	for i, text := range said {
		for _, n := range needles {
			if strings.Contains(text, n) {
				t.Errorf("the password is in output %d", i)
			}
		}
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		for _, n := range needles {
			if strings.Contains(string(data), n) {
				t.Errorf("the password is in %s", path)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
