package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// setupSite has a setup program that learns of its restart from the exit code alone, and a step
// that relies on the restart.
func setupSite(t *testing.T) *bench {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"site.yaml": `site: setup
playbook: ./play.yaml
credentials:
  admin: {username: 'CONTOSO\deploy', password: {env: DEPLOY_PASSWORD}}
inventory:
  defaults: {transport: winrm, credential: admin}
  nodes:
    - {name: srv1, address: 192.0.2.31, roles: [server]}
lab: {os: '2008'}
`,
		"play.yaml": `playbook: setup
title: a command with a restart
roles: {server: {min: 1, doc: machines}}
phases:
  - id: p
    title: phase
    steps:
      - id: setup
        title: a setup that wants a restart
        uses: command
        on: role.server
        with:
          check: [cmd.exe, /c, 'type C:\done.txt']
          apply: [cmd.exe, /c, 'echo x> C:\done.txt&& exit 3010']
          undo: [cmd.exe, /c, 'del C:\done.txt']
          reboot_codes: [3010]
      - id: after
        title: something that relies on the restart
        uses: registry
        on: role.server
        with: {key: 'HKLM\SOFTWARE\Foo', name: Bar, type: string, data: x}
`} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return benchOf(t, dir)
}

// TestTierLabRestartOfALostAnswer cuts the link at every request of an apply whose setup program
// asks for a restart by its exit code. Where that answer is lost the machine keeps no mark, and a
// person hears so, in the run and in status.
func TestTierLabRestartOfALostAnswer(t *testing.T) {
	tierLab(t)
	unknown := 0
	for at := 3; at <= 9; at++ {
		for _, when := range []string{"before", "after"} {
			b := setupSite(t)
			r := b.run(nil, "apply", "--lab", "--auto-approve", "--fault",
				fmt.Sprintf("link-drop:machine=srv1,at=%d,when=%s", at, when), b.site)
			name := fmt.Sprintf("link lost %s request %d", when, at)
			if r.code != 0 {
				t.Errorf("%s: exit %d\n%s\n%s", name, r.code, tail(r.out), tail(r.errOut))
				continue
			}
			const says = "restart unknown: srv1  the answer of p/setup@srv1 was lost"
			status := b.must(0, "status", "--lab", b.site).out
			switch restarted := strings.Contains(r.out, ", 1 restart "); {
			case strings.Contains(r.out, says) && strings.Contains(status, says) && !restarted:
				unknown++
			case !restarted || strings.Contains(status, "restart unknown"):
				t.Errorf("%s: a restart is forgotten\n%s\n%s", name, tail(r.out), status)
			}
		}
	}
	if unknown == 0 {
		t.Error("the answer of the setup was never lost")
	}
}

// pending are the machines of a lab on which a restart is due.
func (b *bench) pending() string {
	b.t.Helper()
	var world struct {
		State struct {
			Machines map[string]struct {
				Pending json.RawMessage `json:"pending_reboot"`
			}
		}
	}
	if err := json.Unmarshal([]byte(b.must(0, "lab", "show", "--json", b.site).out), &world); err != nil {
		b.t.Fatal(err)
	}
	var out []string
	for name, m := range world.State.Machines {
		if len(m.Pending) > 0 && string(m.Pending) != "null" && string(m.Pending) != "{}" {
			out = append(out, name+" "+string(m.Pending))
		}
	}
	return strings.Join(out, ", ")
}

// TestTierLabRestartOfALostUndo cuts the link around the removal of features. No restart that the
// removal left due is forgotten: the servicing mark tells.
func TestTierLabRestartOfALostUndo(t *testing.T) {
	tierLab(t)
	b := newBench(t, "exchange-2007-scc")
	b.must(0, "apply", "--lab", "--auto-approve", "--phase", "prerequisites", b.site)
	state := filepath.Join(filepath.Dir(b.site), ".deploy")
	kept := os.DirFS(state)
	saved := filepath.Join(t.TempDir(), "saved")
	if err := os.CopyFS(saved, kept); err != nil {
		t.Fatal(err)
	}
	for at := 18; at <= 27; at++ {
		if err := os.RemoveAll(state); err != nil {
			t.Fatal(err)
		}
		if err := os.CopyFS(state, os.DirFS(saved)); err != nil {
			t.Fatal(err)
		}
		r := b.run(nil, "rollback", "--lab", "--auto-approve", "--fault",
			fmt.Sprintf("link-drop:machine=mbx01-node1,at=%d", at), b.site)
		if p := b.pending(); r.code != 0 || p != "" {
			t.Errorf("link lost at request %d: exit %d, still pending: %s\n%s\n%s", at, r.code, p, tail(r.out), tail(r.errOut))
		}
	}
}
