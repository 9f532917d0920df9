package winelab

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"deploy/internal/engine"
	"deploy/internal/journal"
	"deploy/internal/node"
	"deploy/internal/remote"
	"deploy/steps"
	"deploy/steps/all"
	"deploy/transport"
)

// fleetSize is how many nodes work at the same time.
const fleetSize = 8

// work is what the fleet's nodes shall do; each kind that Wine may judge is in it. Tasks of one step run on all nodes at once.
func work() []wish {
	const key = `HKLM\SOFTWARE\DeployFleet`
	return []wish{
		{"directory", map[string]any{"path": `C:\site\data\deep`}},
		{"file", map[string]any{"path": `C:\site\data\settings.txt`, "content": "line é\nnext 世\n", "crlf": true}},
		{"file", map[string]any{"path": `C:\site\old.txt`, "content": "new text\n"}},
		{"xmlsetting", map[string]any{"file": `C:\site\app.config`, "element": "configuration/appSettings/add[@key='A']", "value": `E:\Queue & more`}},
		{"registry", map[string]any{"key": key, "name": "Text", "data": "été"}},
		{"registry", map[string]any{"key": key + `\Deep`, "name": "List", "type": "multi", "data": []any{"a", "b c"}}},
		{"registry", map[string]any{"key": `HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion`, "name": "ProductName", "data": "other"}},
		{"service", map[string]any{"name": fleetService, "start": "auto", "state": "running"}},
		{"package", map[string]any{"path": ProductPath, "product_code": ProductCode}},
		{"command", map[string]any{"check": []any{`C:\site\check.cmd`, `C:\site\mark, of it.txt`}, "apply": []any{`C:\site\make.cmd`, `C:\site\mark, of it.txt`},
			"undo": []any{`C:\site\undo.cmd`, `C:\site\mark, of it.txt`}}},
		{"command", map[string]any{"check": []any{"reg.exe", "query", key + `\Cmd`}, "apply": []any{"reg.exe", "add", key + `\Cmd`, "/f"}, "undo": []any{"reg.exe", "delete", key + `\Cmd`, "/f"}}},
	}
}

type wish struct {
	kind string
	with map[string]any
}

const fleetService = "DeployFleet"

// before is what lies on each node before the work.
func before() map[string]string {
	return map[string]string{
		"/C:/site/old.txt":    "what was there\r\n",
		"/C:/site/app.config": "\xef\xbb\xbf<?xml version=\"1.0\"?>\r\n<configuration><appSettings><add key=\"A\" value=\"1\" /></appSettings></configuration>\r\n",
		"/C:/site/check.cmd":  "@if exist \"%~1\" (exit /b 0) else (exit /b 1)\r\n",
		"/C:/site/make.cmd":   "@echo made > \"%~1\"\r\n",
		"/C:/site/undo.cmd":   "@del \"%~1\"\r\n",
	}
}

// crew is the fleet with an agent's program for it.
type crew struct {
	t       *testing.T
	lab     *Lab
	nodes   map[string]*Node
	key     string
	program string // on this machine
	digest  string

	mu      sync.Mutex
	journal []journal.Entry
	dials   int
}

const controller = "the tier"

func newCrew(t *testing.T, size int) *crew {
	t.Helper()
	lab, nodes, key := fleet(t, size)
	c := &crew{t: t, lab: lab, key: key, nodes: map[string]*Node{}, program: filepath.Join(lab.dir, "agent.exe")}
	must(t, lab.Build(t.Context(), "deploy/cmd/deploy", c.program, "-tags=agentonly"))
	b, err := os.ReadFile(c.program)
	must(t, err)
	sum := sha256.Sum256(b)
	c.digest = hex.EncodeToString(sum[:])
	var group sync.WaitGroup
	for _, n := range nodes {
		c.nodes[n.Name] = n
		group.Go(func() { c.furnish(n, b) })
	}
	group.Wait()
	return c
}

// agentPath is where the agent's program is placed on each node, as both of its readers write it.
func (c *crew) agentPath() (files, programs string) {
	name := "deploy-" + c.digest[:16] + ".exe"
	return "/C:/media/" + name, `C:\media\` + name
}

// furnish puts a node into the state before the work. The program goes over SFTP, as the transport does it.
func (c *crew) furnish(n *Node, program []byte) {
	conn := dial(c.t, n, c.key)
	if out, code := run(c.t, conn, `md C:\site`, ""); code != 0 {
		c.t.Errorf("%s: %s", n.Name, out)
	}
	f, err := conn.Files(c.t.Context())
	if err != nil {
		c.t.Error(err)
		return
	}
	put := func(path string, b []byte) {
		if err := f.Put(c.t.Context(), path, bytes.NewReader(b), 0); err != nil {
			c.t.Error(err)
		}
	}
	for path, text := range before() {
		put(path, []byte(text))
	}
	files, _ := c.agentPath()
	put(files, program)
	if err := f.Close(); err != nil {
		c.t.Error(err)
	}
	if out, code := run(c.t, conn, `sc create `+fleetService+` binPath= "C:\side.exe service `+fleetService+`" start= demand`, ""); code != 0 {
		c.t.Errorf("%s: %s", n.Name, out)
	}
}

// link is a program on a node as an agent's stream.
type link struct {
	transport.Process
	conn transport.Conn
	once sync.Once
}

func (l *link) Read(p []byte) (int, error)  { return l.Stdout().Read(p) }
func (l *link) Write(p []byte) (int, error) { return l.Stdin().Write(p) }

func (l *link) Close() error {
	var err error
	l.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		err = errors.Join(l.Kill(ctx), l.conn.Close())
	})
	return err
}

// dial starts the placed agent over SSH and joins it.
func (c *crew) dial(ctx context.Context, name string, b engine.Books) (engine.Executor, error) {
	return c.join(ctx, name, controller, b)
}

func (c *crew) join(ctx context.Context, name, who string, b engine.Books) (engine.Executor, error) {
	c.mu.Lock()
	c.dials++
	c.mu.Unlock()
	conn := dial(c.t, c.nodes[name], c.key)
	_, path := c.agentPath()
	p, err := conn.Start(ctx, path+" agent")
	if err != nil {
		return nil, err
	}
	go func() { _, _ = io.Copy(io.Discard, p.Stderr()) }()
	return remote.Attach(ctx, &link{Process: p, conn: conn}, "over ssh", remote.Options{Node: name, Who: who, Site: "fleet", Books: b,
		Digest: func(remote.Platform) string { return c.digest }})
}

// Append, Entries and Close make crew a journal in memory.
func (c *crew) Append(_ context.Context, list ...journal.Entry) (int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range list {
		e.Seq = int64(len(c.journal)) + 1
		c.journal = append(c.journal, e)
	}
	return int64(len(c.journal)), nil
}

func (c *crew) Entries(context.Context) ([]journal.Entry, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.journal), nil
}

func (c *crew) Close() error { return nil }

func (c *crew) options() engine.Options {
	kinds := all.Kinds()
	p := &steps.Program{Site: "fleet", Playbook: "work"}
	for name := range c.nodes {
		p.Nodes = append(p.Nodes, name)
	}
	slices.Sort(p.Nodes)
	phase := steps.Phase{ID: "work", Title: "Work"}
	for i, w := range work() {
		g := steps.Group{StepID: fmt.Sprintf("step%d", i+1)}
		for _, name := range p.Nodes {
			k, _ := kinds.Get(w.kind)
			s, err := k.Decode(w.with)
			must(c.t, err)
			g.Tasks = append(g.Tasks, steps.Task{ID: fmt.Sprintf("work/%s@%s", g.StepID, name), Phase: phase.ID, StepID: g.StepID, Node: name, Step: s})
		}
		phase.Groups = append(phase.Groups, g)
	}
	p.Phases = []steps.Phase{phase}
	return engine.Options{
		Program: p, Journal: c, Dial: c.dial, Who: controller, Version: "test",
		Decode: func(kind string, data json.RawMessage) (steps.Step, error) {
			k, ok := kinds.Get(kind)
			if !ok {
				return nil, fmt.Errorf("there is no kind %s", kind)
			}
			s := k.New()
			return s, json.Unmarshal(data, s)
		},
	}
}

// state is what the work can have changed on a node, seen past the agent: files from this side of the overlay, the registry by Wine's own reg.exe.
func (c *crew) state(n *Node) map[string]string {
	out := map[string]string{}
	written := filepath.Join(n.dir, "up", "drive_c")
	for _, dir := range []string{"site", "Program Files"} {
		err := filepath.WalkDir(filepath.Join(written, dir), func(path string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil {
				return err
			}
			if d.IsDir() {
				if path != filepath.Join(written, dir) { // that one is there below the overlay
					out[path[len(written):]+"/"] = ""
				}
				return nil
			}
			b, err := os.ReadFile(path)
			out[path[len(written):]] = string(b)
			return err
		})
		if err != nil {
			c.t.Error(err)
		}
	}
	for _, key := range []string{`HKLM\SOFTWARE\DeployFleet`, `HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion`, `HKLM\SYSTEM\CurrentControlSet\Services\` + fleetService,
		ProductKey, `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall`} {
		text, err := n.Run(c.t.Context(), "reg.exe", "query", key, "/s")
		out[key] = strings.TrimSpace(text) + fmt.Sprint(err != nil)
	}
	text, err := n.Run(c.t.Context(), "sc.exe", "query", fleetService)
	if err != nil {
		c.t.Error(err, text)
	}
	for line := range strings.Lines(text) { // the exit code of a service that never ran is another than that of one that was stopped
		if name, state, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "STATE" {
			out["service"] = strings.TrimSpace(state)
		}
	}
	return out
}

func (c *crew) states() map[string]map[string]string {
	var mu sync.Mutex
	var group sync.WaitGroup
	all := map[string]map[string]string{}
	for name, n := range c.nodes {
		group.Go(func() {
			s := c.state(n)
			mu.Lock()
			defer mu.Unlock()
			all[name] = s
		})
	}
	group.Wait()
	return all
}

// TestTierWineFleet: the Windows build of the agent does a site's work on eight nodes behind OpenSSH: apply, the same again without a change,
// and back, after which the nodes are as they were.
func TestTierWineFleet(t *testing.T) {
	Tier(t)
	c := newCrew(t, fleetSize)
	if t.Failed() {
		return
	}
	tasks := fleetSize * len(work())
	start := c.states()
	stage := func(name string, f func() (*engine.Summary, error)) *engine.Summary {
		t.Helper()
		begun := time.Now()
		sum, err := f()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		t.Logf("%s: %d tasks on %d nodes in %s: %+v", name, tasks, fleetSize, time.Since(begun).Round(10*time.Millisecond), sum.Counts)
		return sum
	}
	apply := func() (*engine.Summary, error) { return engine.Apply(t.Context(), c.options(), nil) }
	if sum := stage("apply", apply); sum.Counts.Change != tasks {
		t.Errorf("%+v", sum.Counts)
	}
	done := c.states()
	for name, s := range done {
		if s[`/site/data/settings.txt`] != "line é\r\nnext 世\r\n" || !strings.Contains(s[ProductKey], "1.2.3") || !strings.Contains(s["service"], "RUNNING") ||
			!strings.Contains(s[`HKLM\SOFTWARE\DeployFleet`], "b c") || !strings.Contains(s["/site/app.config"], `E:\Queue &amp; more`) {
			t.Errorf("%s after apply: %v", name, s)
		}
		if cmp.Equal(s, start[name]) {
			t.Errorf("%s is as it was before the work", name)
		}
	}
	if sum := stage("apply again", apply); sum.Counts.NoOp != tasks {
		t.Errorf("%+v", sum.Counts)
	}
	if d := cmp.Diff(done, c.states()); d != "" {
		t.Errorf("a run without a change changed something (-before +after):\n%s", d)
	}
	stage("rollback", func() (*engine.Summary, error) {
		return engine.Rollback(t.Context(), c.options(), engine.RollbackOptions{})
	})
	if d := cmp.Diff(start, c.states()); d != "" {
		t.Errorf("the nodes are not as they were (-before +after):\n%s", d)
	}
	t.Logf("%d connections", c.dials)
}

// TestTierWineAgentHolds: the agent knows the machine that it is on, and a second controller is told who holds it.
func TestTierWineAgentHolds(t *testing.T) {
	Tier(t)
	c := newCrew(t, 1)
	first, err := c.dial(t.Context(), "WINNODE1", engine.Books{})
	must(t, err)
	defer func() { _ = first.Close() }()
	if f := first.Facts(); f.OS != "windows" || !strings.EqualFold(f.Computer, "WINNODE1") || f.Release != node.WS2019 {
		t.Errorf("%+v", f)
	}
	var busy *remote.BusyError
	if second, err := c.join(t.Context(), "WINNODE1", "somebody else", engine.Books{}); !errors.As(err, &busy) || busy.Who != controller {
		t.Errorf("%v", err)
		if second != nil {
			_ = second.Close()
		}
	}
}
