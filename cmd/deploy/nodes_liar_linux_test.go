package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"deploy/internal/agent/wire"
	"deploy/internal/testkit/linuxnodes"
	"deploy/steps"
)

// buildLiar builds the program that an attacker puts in an agent's place.
func buildLiar(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "liar")
	cmd := exec.Command("go", "build", "-o", file, "./testdata/liar")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("cannot build the liar: %v\n%s", err, out)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// One of two nodes is in other hands: its agent's program is another one, which tells of the other
// node's tasks, with steps of its own. Nothing of it is taken, the run names the node and ends with
// 1, and a rollback runs nothing on the other node but the undo of what was done there.
func TestTierNodesAgentInOtherHands(t *testing.T) {
	l := nodes(t, linuxnodes.Options{Plain: 2})
	liar := buildLiar(t)
	bad, good := l.Node(0), l.Node(1)
	k := newBook("two")
	k.phase("p")
	k.step("directory", "path: /srv/brk, mode: '0750'")
	k.step("file", `path: /srv/brk/conf, content: "hello\n", mode: '0640'`)
	evil := &wire.Step{Kind: "command", Data: json.RawMessage(
		`{"check":["true"],"apply":["true"],"undo":["touch","/root/pwned"]}`)}
	diff := steps.MustJSON(steps.Diff{Action: steps.Run})
	for _, tc := range []struct {
		name   string
		events []wire.Event
		says   string
	}{
		{"another node's task with another step", []wire.Event{
			{What: wire.EvBegin, Task: "p/s2@" + good.Name, Phase: "p", Step: evil, Diff: diff},
			{What: wire.EvDone, Task: "p/s2@" + good.Name, Phase: "p"}},
			`"begin" of "p/s2@` + good.Name + `"`},
		{"a path as an id", []wire.Event{
			{What: wire.EvBegin, Task: "../../../etc/passwd", Phase: "../..", Step: evil, Diff: diff}},
			`"begin" of "../../../etc/passwd"`},
		{"an undo of another node's act", []wire.Event{
			{What: wire.EvUndone, Task: "p/s2@" + good.Name, Phase: "p", Act: 4}},
			`"undone" of "p/s2@` + good.Name + `"`},
		{"a number that no record has", []wire.Event{
			{What: wire.EvDone, Task: "p/s1@" + bad.Name, Phase: "p", Epoch: "e", Seq: 1 << 62}},
			"it is number 4611686018427387904"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := quick(t, newFleet(t, l, k.String(), bad, good))
			bare := f.stateOf(t, []string{"/root", "/srv"})
			f.apply(t)
			placed, err := bad.Exec(t.Context(), "sh", "-c", "ls -d /root/.cache/deploy/*")
			if err != nil {
				t.Fatal(err)
			}
			program := strings.TrimSpace(placed)
			sum, err := bad.Exec(t.Context(), "sha256sum", program)
			if err != nil {
				t.Fatal(err)
			}
			for i := range tc.events {
				tc.events[i].Run = f.lastRun(t)
			}
			own := steps.MustJSON(map[string]any{"Digest": sum[:64], "Events": tc.events})
			if err := bad.Write("/root/lies.json", string(own), 0o600); err != nil {
				t.Fatal(err)
			}
			kept, err := bad.Read(program)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := bad.Exec(t.Context(), "rm", program); err != nil { // it may still be read by a process
				t.Fatal(err)
			}
			if err := bad.Write(program, liar, 0o700); err != nil {
				t.Fatal(err)
			}
			for _, args := range [][]string{{"apply", "--auto-approve"}, {"rollback", "--auto-approve"}} {
				r := f.run(t, nil, append(args, f.site)...)
				text := r.out + r.errOut
				if r.code != 1 || !strings.Contains(text, "cannot accept what the agent on "+bad.Name+" reports") ||
					!strings.Contains(text, tc.says) {
					t.Errorf("deploy %s: exit %d\n%s\n%s", args[0], r.code, tail(r.out), tail(r.errOut))
				}
			}
			if _, err := good.Read("/root/pwned"); err == nil {
				t.Error("the other node ran what the first one said")
			}
			if h := f.must(t, 0, "history", "--json").out; strings.Contains(h, "pwned") {
				t.Error("the journal holds a step of the attacker's")
			}
			// the machine is ours again, and everything goes back
			if err := bad.Write(program, kept, 0o700); err != nil {
				t.Fatal(err)
			}
			if _, err := bad.Exec(t.Context(), "rm", "/root/lies.json"); err != nil {
				t.Fatal(err)
			}
			f.must(t, 0, "rollback", "--all", "--auto-approve")
			same(t, "after the rollback", bare, f.stateOf(t, []string{"/root", "/srv"}))
		})
	}
}

// lastRun is the id of the last run.
func (f *fleet) lastRun(t *testing.T) string {
	t.Helper()
	var s struct {
		LastRun struct{ ID string } `json:"last_run"`
	}
	if err := json.Unmarshal([]byte(f.must(t, 0, "status", "--json").out), &s); err != nil || s.LastRun.ID == "" {
		t.Fatalf("no run: %v", err)
	}
	return s.LastRun.ID
}
