package playbooks_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"deploy/internal/testkit/leaves"
	"deploy/internal/testkit/linuxnodes"
	"deploy/inventory"
	"deploy/playbooks"
	"deploy/steps"
	"deploy/steps/all"
)

func TestMain(m *testing.M) {
	linuxnodes.Child()
	os.Exit(m.Run())
}

// baseline is the example site with the addresses of two real nodes, and the program that runs it.
type baseline struct {
	lab     *linuxnodes.Lab
	program string
	site    string
}

func newBaseline(t *testing.T) *baseline {
	t.Helper()
	b := &baseline{lab: linuxnodes.New(t, linuxnodes.Options{Systemd: 2})}
	dir := t.TempDir()
	b.program, b.site = filepath.Join(dir, "deploy"), filepath.Join(dir, "site.yaml")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", b.program,
		"deploy/cmd/deploy").CombinedOutput(); err != nil {
		t.Fatalf("cannot build the program: %v\n%s", err, out)
	}
	data, err := os.ReadFile("../examples/linux-baseline/site.yaml")
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	change := func(old, with string) {
		t.Helper()
		if strings.Count(text, old) != 1 {
			t.Fatalf("the example holds %q %d times", old, strings.Count(text, old))
		}
		text = strings.Replace(text, old, with, 1)
	}
	change("{username: root, key_file: ~/.ssh/id_ed25519, agent: true}",
		fmt.Sprintf("{username: root, key_file: %s}", b.lab.Key()))
	change("ssh: {accept_new: true}", "agent: always")
	for i, n := range b.lab.Nodes() {
		change(fmt.Sprintf("address: 192.0.2.1%d, roles: [linux]", i+1),
			fmt.Sprintf("address: %s, roles: [linux], ssh: {fingerprints: ['%s']}", n.Addr, n.Fingerprint()))
	}
	if err := os.WriteFile(b.site, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return b
}

// run runs the program in the lab's networks.
func (b *baseline) run(t *testing.T, want int, args ...string) string {
	t.Helper()
	code, out := b.try(t, args...)
	if code != want {
		t.Fatalf("%v ended with code %d, not %d:\n%s", args, code, want, out)
	}
	t.Logf("deploy %s\n%s", strings.Join(args, " "), out)
	return out
}

// try is run for any exit code.
func (b *baseline) try(t *testing.T, args ...string) (code int, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, b.program, append(args, b.site)...)
	cmd.Env = append(os.Environ(), "NO_COLOR=1")
	cmd.WaitDelay = 5 * time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := b.lab.Start(cmd); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	return cmd.ProcessState.ExitCode(), out.String()
}

func (b *baseline) state(t *testing.T) []linuxnodes.State {
	t.Helper()
	var out []linuxnodes.State
	for _, n := range b.lab.Nodes() {
		s, err := n.State(t.Context(), linuxnodes.StateOptions{Ignore: []string{
			// the agent itself stays, so that the next run is quick and its record is not lost
			"/root/.cache", "/root/.cache/*", "/var/lib/deploy", "/var/lib/deploy/*"}})
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, s)
	}
	return out
}

// TestTierNodesBaseline plays the example of the README on two real nodes: plan, apply, no change,
// rollback.
func TestTierNodesBaseline(t *testing.T) {
	linuxnodes.Tier(t, "nodes")
	b := newBaseline(t)
	if err := b.lab.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := b.state(t)
	b.run(t, 2, "plan")
	if d := cmp.Diff(before, b.state(t)); d != "" {
		t.Errorf("a plan changed something (-before +after):\n%s", d)
	}
	b.run(t, 0, "apply", "--auto-approve")
	b.run(t, 0, "plan")
	after := b.state(t)
	for i, n := range b.lab.Nodes() {
		for _, k := range []string{"file /etc/web/environment", "file /etc/ssh/sshd_config.d/10-baseline.conf",
			"file /etc/systemd/system/timers.target.wants/baseline-report.timer"} {
			if before[i][k] != "" || after[i][k] == "" {
				t.Errorf("%s of %s: %q, then %q", k, n.Name, before[i][k], after[i][k])
			}
		}
		for script, want := range map[string]string{
			"head -n1 /etc/motd | cut -d: -f1":             n.Name,
			"id -Gn deployer":                              "deployer web release",
			"stat -c %A,%U,%G /srv/web/shared":             "drwxrws---,deployer,web",
			"sysctl -n net.ipv4.tcp_fin_timeout":           "30",
			"findmnt -n -o SOURCE,FSTYPE /srv/web/scratch": "tmpfs  tmpfs",
			"getent hosts db1":                             "192.0.2.21      db1.example.com db1",
			"systemctl start baseline-report; cd /var/log/baseline; head -c3 report.txt | wc -c; rm report.txt": "3",
			"sudo -n -u viewer true; passwd -S viewer | cut -d' ' -f2":                                          "L",
		} {
			out, err := n.Exec(t.Context(), "sh", "-c", script)
			if got := strings.TrimSpace(out); err != nil || got != want {
				t.Errorf("%s on %s: %q, %v, want %q", script, n.Name, got, err, want)
			}
		}
	}
	if out := b.run(t, 0, "apply", "--auto-approve"); !strings.Contains(out, "no changes") {
		t.Errorf("a second run says:\n%s", out)
	}
	if d := cmp.Diff(after, b.state(t)); d != "" {
		t.Errorf("a second run changed something (-before +after):\n%s", d)
	}
	b.run(t, 0, "rollback", "--all", "--auto-approve")
	if d := cmp.Diff(before, b.state(t)); d != "" {
		t.Errorf("a rollback does not bring everything back (-before +after):\n%s", d)
	}
}

// TestTierNodesBaselineLeaves changes every value of the example after an apply, one at a time: the
// plan does not say that nothing changes, unless the value feeds instructions alone. Those are
// printed.
func TestTierNodesBaselineLeaves(t *testing.T) {
	linuxnodes.Tier(t, "nodes")
	b := newBaseline(t)
	if err := b.lab.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.run(t, 0, "apply", "--auto-approve")
	raw, err := os.ReadFile(b.site)
	if err != nil {
		t.Fatal(err)
	}
	whole := string(raw)
	before := b.compiled(t)
	list, err := leaves.Of(whole)
	if err != nil || len(list) < 40 {
		t.Fatalf("%d leaves, %v", len(list), err)
	}
	silent := 0
	for _, l := range list {
		changed, err := l.Change(whole)
		if err == nil {
			err = os.WriteFile(b.site, []byte(changed), 0o600)
		}
		if err != nil {
			t.Error(err)
			continue
		}
		code, out := b.try(t, "plan")
		if code != 0 {
			continue
		}
		fields, err := leaves.Feeds(all.Kinds(), before, b.compiled(t))
		if err != nil {
			t.Fatal(err)
		}
		if leaves.Seen(fields) {
			t.Errorf("%s: %q -> %q, and the plan says that nothing changes; it feeds %s\n%s", l.Path, l.From, l.To,
				strings.Join(fields, ", "), out)
			continue
		}
		silent++
		t.Logf("%s feeds instructions alone: %s", l.Path, strings.Join(fields, ", "))
	}
	t.Logf("%d leaves, %d of them feed instructions alone", len(list), silent)
	if err := os.WriteFile(b.site, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	b.run(t, 0, "plan")
	b.run(t, 0, "rollback", "--all", "--auto-approve")
}

// compiled is the program of the site as it stands.
func (b *baseline) compiled(t *testing.T) *steps.Program {
	t.Helper()
	site, err := inventory.Load(b.site)
	if err != nil {
		t.Fatal(err)
	}
	pb, err := playbooks.Load(site)
	if err != nil {
		t.Fatal(err)
	}
	prog, _, err := pb.Compile(site, all.Kinds())
	if err != nil {
		t.Fatal(err)
	}
	return prog
}
