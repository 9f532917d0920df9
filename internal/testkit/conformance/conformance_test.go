package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"deploy/internal/node"
	"deploy/internal/testkit/nodetest"
	"deploy/steps"
)

// fault is a step about one registry value that does one thing wrong.
type fault struct {
	Wrong string `json:"wrong" doc:"what it does wrong"`
}

const faultKey = `HKLM\SOFTWARE\Fault`

func (s *fault) Kind() string {
	return map[bool]string{true: "other", false: "fault"}[s.Wrong == "name"]
}

func (s *fault) Reads(node.Facts) []node.Query {
	if s.Wrong == "reads" {
		return []node.Query{node.Registry{Key: `HKLM\SOFTWARE\Never`}}
	}
	return nil
}

func (s *fault) Check(ctx context.Context, r node.Reader) (steps.Diff, error) {
	if n, ok := r.(node.Node); ok && s.Wrong == "peeks" {
		_, _ = n.Do(ctx, node.RegistrySet{Key: faultKey, Name: "x", Type: "dword", Data: int64(1)})
	}
	if s.Wrong == "twice" {
		d := steps.Diff{Action: steps.Create, Before: json.RawMessage("{}")}
		d.Changes = []steps.Change{{Attr: "x", To: 1}, {Attr: "x", To: 2}}
		if rows, err := r.Query(ctx, node.Registry{Key: faultKey}); err != nil || len(rows) == 0 {
			return d, nil
		}
	}
	if s.Wrong == "wmi" {
		_, _ = r.Query(ctx, node.WMI{Namespace: `root\cimv2`, Class: "Win32_Service", Props: []string{"Name", "Colour"}})
	}
	if s.Wrong == "cmdlet" {
		_, _ = r.Query(ctx, node.Cmdlet{Name: "Get-Disk", Params: map[string]any{"Nothing": "x"}})
	}
	rows, err := r.Query(ctx, node.Registry{Key: faultKey})
	if err != nil || len(rows) == 0 || s.Wrong == "never" {
		d := steps.Diff{Action: steps.Create, Before: json.RawMessage("{}"), Changes: []steps.Change{{Attr: "x", To: 1}}}
		if s.Wrong == "silent" {
			d.Changes = nil
		}
		return d, nil
	}
	return steps.NoChange(), nil
}

func (s *fault) Apply(ctx context.Context, n node.Node, _ steps.Diff) (steps.Outcome, error) {
	switch s.Wrong {
	case "restart":
		_, err := n.Do(ctx, node.Restart{})
		return steps.Outcome{}, err
	case "tool":
		_, err := n.Run(ctx, node.Cmd{Argv: []string{`c:\x\tool.exe`}})
		if err != nil {
			return steps.Outcome{}, err
		}
	}
	_, err := n.Do(ctx, node.RegistrySet{Key: faultKey, Name: "x", Type: "dword", Data: int64(1)})
	return steps.Outcome{}, err
}

func (s *fault) Undo(ctx context.Context, n node.Node, _ json.RawMessage) error {
	if s.Wrong == "undo" {
		return nil
	}
	rows, err := n.Query(ctx, node.Registry{Key: faultKey})
	if s.Wrong == "once" && (err != nil || len(rows) == 0) {
		return fmt.Errorf("there is nothing to undo")
	}
	_, err = n.Do(ctx, node.RegistryDelete{Key: faultKey, Name: "x"})
	return err
}

// complaints stands for a test and keeps what it is told. Fatalf ends the play by a panic.
type complaints struct {
	ctx  context.Context
	text []string
}

type fatal struct{}

func (c *complaints) Helper()                  {}
func (c *complaints) Context() context.Context { return c.ctx }
func (c *complaints) Errorf(format string, args ...any) {
	c.text = append(c.text, fmt.Sprintf(format, args...))
}
func (c *complaints) Fatalf(format string, args ...any) {
	c.Errorf(format, args...)
	panic(fatal{})
}

// Every fault that the suite is there to find is found, and a step without one passes.
func TestSuiteFindsFaults(t *testing.T) {
	kind := steps.Kind{Name: "fault", New: func() steps.Step { return &fault{} },
		Calls: []node.Call{{WMI: `root\cimv2:Win32_Service`, Props: []string{"Name"}, On: node.WindowsReleases()},
			{Cmdlet: "Get-Disk", On: node.WindowsReleases()}}}
	for wrong, says := range map[string]string{
		"":        "",
		"peeks":   "", // it finds no way to change anything, so nothing is wrong with what it does
		"name":    "calls itself",
		"reads":   "does not ask it",
		"never":   "still says",
		"silent":  "names no change",
		"twice":   "named twice",
		"restart": "must not restart",
		"undo":    "not as it was",
		"once":    "a second undo",
		"wmi":     "property Colour",
		"cmdlet":  "parameter Nothing",
		"tool":    "tool.exe",
	} {
		t.Run(wrong, func(t *testing.T) {
			m := nodetest.New(node.WS2008)
			m.SetKey(faultKey)
			m.SetClass(`root\cimv2:Win32_Service`)
			m.Programs[`c:\x\tool.exe`] = func([]string) node.Result { return node.Result{} }
			c := &complaints{ctx: t.Context()}
			func() {
				defer func() {
					if r := recover(); r != nil && r != (fatal{}) {
						panic(r)
					}
				}()
				play(c, Case{Kind: kind, With: map[string]any{"wrong": wrong}}, acts{open: func() node.Session { return m }})
			}()
			all := strings.Join(c.text, "\n")
			if (says == "") != (all == "") || !strings.Contains(all, says) {
				t.Errorf("the suite says: %s", all)
			}
		})
	}
}

// The lab's node gives the same answers over the codec as a real one: absent is not unsupported is
// not refused.
func TestLabNodeTellsAnswersApart(t *testing.T) {
	s := NewBench(t, node.WS2008, "ja").Session(t, Node1)
	ctx := t.Context()
	if _, err := s.Query(ctx, node.Registry{Key: `HKLM\SOFTWARE\Nothing`}); err == nil ||
		!strings.Contains(fmt.Sprintf("%v", err), "deploy.NotFound") {
		t.Errorf("missing key: %v", err)
	}
	for name, c := range map[string]struct {
		q    node.Query
		want error
	}{
		"key":   {node.Registry{Key: `HKLM\SOFTWARE\Nothing`}, node.ErrNotFound},
		"class": {node.WMI{Namespace: `root\cimv2`, Class: "Win32_Nothing"}, node.ErrUnsupported},
		"property": {node.WMI{Namespace: `root\cimv2`, Class: "Win32_Service", Props: []string{"Colour"}},
			node.ErrUnsupported},
		"cmdlet": {node.Cmdlet{Name: "Get-Nothing"}, node.ErrUnsupported},
		"file":   {node.FileHash{Path: `C:\nothing`}, node.ErrNotFound},
	} {
		if _, err := s.Query(ctx, c.q); !isOnly(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := s.Query(ctx, node.Tool{Argv: []string{"reg.exe", "delete", `HKLM\SOFTWARE`}}); err == nil {
		t.Error("a tool that changes something was let through as a query")
	}
}

func isOnly(err, want error) bool {
	for _, e := range []error{node.ErrNotFound, node.ErrUnsupported, node.ErrAuth} {
		if errors.Is(err, e) != (e == want) {
			return false
		}
	}
	return true
}

// An attribute that a kind's undo is not compared by is found, a pattern with slashes is one.
func TestWrongAttributes(t *testing.T) {
	for kind, attrs := range map[string][]string{"user": {"user ops", "uid"}, "mount": {"/etc/fstab", "/srv/x options"},
		"registry": {`a\b/c`}} {
		var changes []steps.Change
		for _, a := range attrs {
			changes = append(changes, steps.Change{Attr: a})
		}
		if wrong := wrongAttributes(kind, changes); len(wrong) > 0 {
			t.Errorf("%s: %v", kind, wrong)
		}
	}
	if wrong := wrongAttributes("service", []steps.Change{{Attr: "start"}, {Attr: "pid"}}); len(wrong) != 1 {
		t.Errorf("%v", wrong)
	}
}
