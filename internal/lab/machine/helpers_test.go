package machine

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"deploy/internal/lab/model"
	"deploy/internal/node"
	"deploy/inventory"
)

// lab is a small world: two machines with two shared disks, and a domain controller.
type lab struct {
	t   *testing.T
	w   *model.World
	b   *Module
	now time.Time
}

func site(release node.Release, locale string) *inventory.Site {
	card := func(n, i string) inventory.LabAdapter {
		return inventory.LabAdapter{MAC: "00:15:5D:0" + n + ":00:0" + i, Address: "10." + i + ".0.1" + n + "/24"}
	}
	return &inventory.Site{Name: "mbx01",
		Nodes: []inventory.Node{
			{Name: "mbx01-node1", Address: "192.0.2.11", Roles: []string{"cluster"}},
			{Name: "mbx01-node2", Address: "192.0.2.12", Roles: []string{"cluster"}},
			{Name: "dc01", Address: "192.0.2.5", Roles: []string{"directory"}},
		},
		Lab: inventory.Lab{OS: string(release), Locale: locale, Domain: "contoso.com",
			Machines: map[string]inventory.LabMachine{
				"mbx01-node1": {Adapters: []inventory.LabAdapter{card("1", "1"), card("1", "2")},
					Media: []string{`exchange-2007-sp1=D:\Media\Exchange`}},
				"mbx01-node2": {Adapters: []inventory.LabAdapter{card("2", "1"), card("2", "2")}},
				"dc01":        {DC: true, Adapters: []inventory.LabAdapter{{Name: "Corp"}}},
			},
			Disks: []inventory.LabDisk{{Serial: "Q1", SizeMB: 1024}, {Serial: "E1", SizeMB: 20480}},
		}}
}

func newLab(t *testing.T, release node.Release, locale string) *lab {
	t.Helper()
	w, err := Deliver(site(release, locale))
	if err != nil {
		t.Fatal(err)
	}
	w.Forest.Users[`contoso\deploy`] = "right"
	return &lab{t: t, w: w, b: Base(), now: time.Date(2026, 2, 1, 12, 0, 0, 0, time.UTC)}
}

// on makes a request's context on a machine. The caller holds the world's lock, as the real one
// does.
func (l *lab) on(name string) *Ctx {
	l.t.Helper()
	m := l.w.Machine(name)
	if m == nil {
		l.t.Fatalf("no machine %s", name)
	}
	return &Ctx{Context: context.Background(), W: l.w, M: m, B: l.b, User: `CONTOSO\deploy`, Network: true,
		Now: func() time.Time { return l.now }, Print: func(string) {},
		Sleep: func(d time.Duration) { l.now = l.now.Add(d) }}
}

// node1 is the machine that most tests look at.
func (l *lab) node1() *Ctx { return l.on("mbx01-node1") }

// background makes work that outlives a request run when the test says so.
func (l *lab) background(c *Ctx) (run func()) {
	var queue []func()
	c.Go = func(work func(c *Ctx)) {
		b := *c
		queue = append(queue, func() { work(&b) })
	}
	return func() {
		for len(queue) > 0 {
			next := queue[0]
			queue = queue[1:]
			next()
		}
	}
}

func serve(t *testing.T, c *Ctx, verb string, args map[string]any) []Object {
	t.Helper()
	rows, err := Serve(c, verb, args)
	if err != nil {
		t.Fatalf("%s %v: %v", verb, args, err)
	}
	return rows
}

// refusal wants an error with that id and code.
func refusal(t *testing.T, c *Ctx, verb string, args map[string]any, id string, code int64) {
	t.Helper()
	rows, err := Serve(c, verb, args)
	var f *Fail
	if !errors.As(err, &f) {
		t.Fatalf("%s %v gave %v, want a refusal", verb, args, rows)
	}
	if f.ID != id || f.Code != code {
		t.Errorf("%s %v: refused with id %q code 0x%X (%s), want %q 0x%X", verb, args, f.ID, f.Code, f.Text, id, code)
	}
}

func wmi(class string, props []string, where map[string]any) map[string]any {
	return map[string]any{"ns": `root\cimv2`, "class": class, "props": Anys(props), "where": where}
}

func call(class, method string, where, args map[string]any) map[string]any {
	return map[string]any{"ns": `root\cimv2`, "class": class, "where": where, "method": method, "args": args}
}

func cmdletArgs(load, name string, params map[string]any, sel ...string) map[string]any {
	return map[string]any{"load": load, "name": name, "params": params, "select": Anys(sel)}
}

// line runs a command line and wants an exit code; it returns what was printed.
func line(t *testing.T, c *Ctx, text string, code int) string {
	t.Helper()
	r := CommandLine(c, text, nil)
	if r.Code != code {
		t.Fatalf("%s left %d, want %d\n%s%s", text, r.Code, code, r.Stdout, r.Stderr)
	}
	return r.Stdout + r.Stderr
}

func has(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%q is not in\n%s", p, text)
		}
	}
}
