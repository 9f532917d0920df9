package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"deploy/internal/agent/client"
	"deploy/internal/testkit/winenodes"
	"deploy/transport"
	"deploy/transport/ssh"
)

// wineKey and wineService are where a site leaves its marks in the registry and among the services.
const (
	wineKey     = `HKLM\SOFTWARE\DeployFleet`
	wineService = "DeployFleet"
)

// wineWork has every kind that Wine may judge. The first few are one of each family.
func wineWork(families bool) *book {
	k := newBook("wine")
	k.phase("all")
	do := func(kind string, with map[string]any) {
		b, _ := json.Marshal(with) // of texts and lists of texts
		k.step(kind, strings.Trim(string(b), "{}"))
	}
	do("directory", map[string]any{"path": `C:\site\data\deep`})
	do("file", map[string]any{"path": `C:\site\data\settings.txt`, "content": "line é\nnext 世\n", "crlf": true})
	do("xmlsetting", map[string]any{"file": `C:\site\app.config`, "element": "configuration/appSettings/add[@key='A']",
		"value": `E:\Queue & more`})
	do("registry", map[string]any{"key": wineKey, "name": "Text", "data": "été"})
	do("service", map[string]any{"name": wineService, "start": "auto", "state": "running"})
	do("package", map[string]any{"path": winenodes.ProductPath, "product_code": winenodes.ProductCode})
	do("command", map[string]any{"check": []any{`C:\site\check.cmd`, `C:\site\mark, of it.txt`},
		"apply": []any{`C:\site\make.cmd`, `C:\site\mark, of it.txt`},
		"undo":  []any{`C:\site\undo.cmd`, `C:\site\mark, of it.txt`}})
	if families {
		return k
	}
	do("file", map[string]any{"path": `C:\site\old.txt`, "content": "new text\n"})
	do("registry", map[string]any{"key": wineKey + `\Deep`, "name": "List", "type": "multi", "data": []any{"a", "b c"}})
	do("registry", map[string]any{"key": `HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion`, "name": "ProductName",
		"data": "other"})
	do("command", map[string]any{"check": []any{"reg.exe", "query", wineKey + `\Cmd`},
		"apply": []any{"reg.exe", "add", wineKey + `\Cmd`, "/f"},
		"undo":  []any{"reg.exe", "delete", wineKey + `\Cmd`, "/f"}})
	return k
}

// wineBefore is what lies on each node before the work.
func wineBefore() map[string]string {
	return map[string]string{
		"/C:/site/old.txt": "what was there\r\n",
		"/C:/site/app.config": "\xef\xbb\xbf<?xml version=\"1.0\"?>\r\n<configuration><appSettings><add key=\"A\" " +
			"value=\"1\" /></appSettings></configuration>\r\n",
		"/C:/site/check.cmd": "@if exist \"%~1\" (exit /b 0) else (exit /b 1)\r\n",
		"/C:/site/make.cmd":  "@echo made > \"%~1\"\r\n",
		"/C:/site/undo.cmd":  "@del \"%~1\"\r\n",
	}
}

// wineLab is nodes with an agent's program for them.
type wineLab struct {
	nodes  []*winenodes.Node
	key    string // file
	agents string // directory
}

func newWineLab(t *testing.T, count int) *wineLab {
	t.Helper()
	winenodes.Tier(t)
	lab, err := winenodes.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	l := &wineLab{agents: t.TempDir()}
	begun := time.Now()
	l.nodes, l.key, err = lab.Fleet(t.Context(), "WINNODE", count)
	t.Cleanup(func() {
		for _, n := range l.nodes {
			if err := n.Stop(); err != nil {
				t.Error(err)
			}
		}
	})
	if err == nil {
		err = lab.Build(t.Context(), "deploy/cmd/deploy",
			filepath.Join(l.agents, client.Platform{OS: "windows", Arch: "amd64"}.FileName()), "-tags=agentonly")
	}
	if err != nil {
		t.Fatal(err)
	}
	errs := make([]error, count)
	var group sync.WaitGroup
	for i, n := range l.nodes {
		group.Go(func() { errs[i] = l.furnish(t.Context(), n) })
	}
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d nodes were ready after %s", count, time.Since(begun).Round(10*time.Millisecond))
	return l
}

// furnish puts a node into the state before the work.
func (l *wineLab) furnish(ctx context.Context, n *winenodes.Node) (err error) {
	d := ssh.New(ssh.Options{})
	defer func() { err = errors.Join(err, d.Close()) }()
	c, err := d.Dial(ctx, transport.Target{Node: n.Name, Transport: "ssh", Address: "127.0.0.1", Port: n.Port,
		User: "root",
		SSH:  transport.SSH{Fingerprints: []string{n.HostKey}, KeyFiles: []string{l.key}}, Timeout: time.Minute})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	f, err := c.Files(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := f.MakeDir(ctx, "/C:/site"); err != nil {
		return err
	}
	for path, text := range wineBefore() {
		if err := f.Put(ctx, path, bytes.NewReader([]byte(text)), 0); err != nil {
			return err
		}
	}
	if out, err := n.Run(ctx, "sc.exe", "create", wineService, "binPath=", `C:\side.exe service `+wineService, "start=",
		"demand"); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// site writes a site of these nodes.
func (l *wineLab) site(t *testing.T, playbook *book, nodes ...*winenodes.Node) *rig {
	t.Helper()
	dir := t.TempDir()
	r := &rig{dir: dir, site: filepath.Join(dir, "site.yaml"), launch: (*exec.Cmd).Start,
		env: append(os.Environ(), asProgram+"=1", "NO_COLOR=1", "DEPLOY_AGENTS="+l.agents, "HOME="+dir)}
	var b strings.Builder
	fmt.Fprintf(&b, "site: wine\nplaybook: ./playbook.yaml\ncredentials:\n  them: {username: root, key_file: "+
		"%s}\ninventory:\n"+
		"  defaults: {transport: ssh, credential: them, timeout: 60s}\n  nodes:\n", l.key)
	for _, n := range nodes {
		// this journal is a new one: to a node that an earlier site worked on it would be a stranger's
		_, _ = n.Run(t.Context(), "reg.exe", "delete", `HKLM\SOFTWARE\deploy\Owner`, "/f")
		fmt.Fprintf(&b, "    - {name: %s, address: 127.0.0.1, port: %d, roles: [plain], ssh: {fingerprints: ['%s']}}\n",
			n.Name, n.Port, n.HostKey)
	}
	if err := errors.Join(os.WriteFile(r.site, []byte(b.String()), 0o644),
		os.WriteFile(filepath.Join(dir, "playbook.yaml"), []byte(playbook.String()), 0o644)); err != nil {
		t.Fatal(err)
	}
	return r
}

// wineState is what the work can have changed on nodes.
func wineState(t *testing.T, nodes ...*winenodes.Node) map[string]map[string]string {
	t.Helper()
	o := winenodes.StateOptions{Dirs: []string{"site", "Program Files"}, Service: wineService,
		Keys: []string{wineKey, `HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion`,
			`HKLM\SYSTEM\CurrentControlSet\Services\` + wineService, winenodes.ProductKey,
			`HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall`}}
	out := map[string]map[string]string{}
	var mu sync.Mutex
	var group sync.WaitGroup
	for _, n := range nodes {
		group.Go(func() {
			s, err := n.State(t.Context(), o)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			out[n.Name] = s
		})
	}
	group.Wait()
	return out
}

// A site's work on eight Windows nodes behind OpenSSH, by the command line: plan, apply, the same
// again without a change, and back, after which the nodes are as they were; clean leaves nothing of
// the agent. Nothing of it can have used PowerShell: it fails there.
func TestTierWineFleet(t *testing.T) {
	l := newWineLab(t, 8)
	work := wineWork(false)
	tasks := len(l.nodes) * work.steps
	f := l.site(t, work, l.nodes...)
	start := wineState(t, l.nodes...)
	stage := func(name string, code int, args ...string) result {
		t.Helper()
		begun := time.Now()
		r := f.must(t, code, args...)
		t.Logf("%s: %d tasks on %d nodes in %s", name, tasks, len(l.nodes), time.Since(begun).Round(10*time.Millisecond))
		return r
	}
	if plan := stage("plan, with agents placed", 2, "plan"); strings.Count(plan.out, "agent: over ssh") != len(l.nodes) {
		t.Errorf("not every node has an agent:\n%s", tail(plan.out))
	}
	same(t, "a plan changed the nodes", start, wineState(t, l.nodes...))
	r := stage("apply", 0, "apply", "--auto-approve", "--json")
	if end := endOf(t, r); end.Counts.Change != tasks {
		t.Errorf("%+v", end.Counts)
	}
	for name, mode := range modes(t, r) {
		if mode != "agent: over ssh" {
			t.Errorf("the steps of %s run %q", name, mode)
		}
	}
	done := wineState(t, l.nodes...)
	for name, s := range done {
		if s[`/site/data/settings.txt`] != "line é\r\nnext 世\r\n" || !strings.Contains(s[winenodes.ProductKey], "1.2.3") ||
			!strings.Contains(s["service"], "RUNNING") ||
			!strings.Contains(s[wineKey], "b c") || !strings.Contains(s["/site/app.config"], `E:\Queue &amp; more`) {
			t.Errorf("%s after apply: %v", name, s)
		}
		if cmp.Equal(s, start[name]) {
			t.Errorf("%s is as it was before the work", name)
		}
	}
	if end := endOf(t, stage("apply again", 0, "apply", "--auto-approve", "--json")); end.Counts.NoOp != tasks ||
		end.Counts.Change != 0 {
		t.Errorf("%+v", end.Counts)
	}
	same(t, "a run without a change changed something", done, wineState(t, l.nodes...))
	stage("rollback", 0, "rollback", "--all", "--auto-approve")
	same(t, "the nodes are not as they were", start, wineState(t, l.nodes...))
	own := winenodes.StateOptions{Dirs: []string{"users/nobody/AppData/Local/deploy", "ProgramData/deploy"}}
	left := func(n *winenodes.Node) int {
		s, err := n.State(t.Context(), own)
		if err != nil {
			t.Error(err)
		}
		return len(s)
	}
	for _, n := range l.nodes {
		if left(n) < 3 { // the program, and the agent's directory with its record
			t.Errorf("the agent of %s is not where it is looked for", n.Name)
		}
	}
	stage("clean", 0, "clean")
	for _, n := range l.nodes {
		if left(n) > 0 {
			t.Errorf("after clean something of the agent is left on %s", n.Name)
		}
	}
}
