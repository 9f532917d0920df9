package network

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/steps"
	"deploy/steps/inspect"
)

// Adapter gives a network card its connection name.
type Adapter struct {
	MAC  string `json:"mac" required:"true" doc:"hardware address of the card, like 00:15:5D:00:00:01; dashes are allowed" type:"mac" check:"compared"`
	Name string `json:"name" required:"true" doc:"connection name that the card shall have, like Public" check:"compared"`
}

type adapterBefore struct {
	GUID string `json:"guid"`
	Name string `json:"name"`
}

func adapterKind() steps.Kind {
	return steps.Kind{
		Name:    "network.adapter",
		OS:      "windows",
		Summary: "Gives a network card its connection name.",
		Doc: "On Windows. Finds the card by its hardware address and renames its connection with netsh. " +
			"A name that another card holds is an error: that card must be renamed first.",
		Undo:    "Renames the connection back.",
		Proof:   proof,
		Sources: []string{"Win32_NetworkAdapter", "netsh interface set interface"},
		Calls: append(inspect.AdapterCalls(),
			node.Call{Tool: "netsh.exe", On: node.WindowsReleases(),
				Source: "netsh interface set interface name= newname=, Windows Server command reference"}),
		ReadForms: forms(),
		New:       func() steps.Step { return &Adapter{} },
		Example:   "mac: 00:15:5D:00:01:01\nname: Public\n",
	}
}

// Kind names the step.
func (s *Adapter) Kind() string { return "network.adapter" }

// Validate looks at the data.
func (s *Adapter) Validate() error {
	// Windows refuses these in connection names, since they cannot be part of a key or file name.
	if strings.ContainsAny(s.Name, `\/:*?"<>|`) || strings.TrimSpace(s.Name) != s.Name {
		return steps.FieldErr("name", `%q holds one of \ / : * ? " < > | or begins or ends with a blank`, s.Name)
	}
	return nil
}

// Reads names what Check will ask.
func (s *Adapter) Reads(f node.Facts) []node.Query { return inspect.AdapterReads(f) }

// Check compares the card's connection name.
func (s *Adapter) Check(ctx context.Context, r node.Reader) (steps.Diff, error) {
	if err := onlyWindows(r, "network.adapter"); err != nil {
		return steps.Diff{}, err
	}
	all, err := inspect.Adapters(ctx, r)
	if err != nil {
		return steps.Diff{}, err
	}
	a, err := inspect.ByMAC(all, s.MAC)
	if err != nil {
		return steps.Diff{}, err
	}
	if strings.EqualFold(a.Name, s.Name) {
		return steps.NoChange(), nil
	}
	for _, other := range all {
		if other.GUID != a.GUID && strings.EqualFold(other.Name, s.Name) {
			return steps.Diff{}, hint.Wrap(fmt.Errorf("cannot name card %s %q: card %s has that name", a.MAC, s.Name, other.MAC),
				"give that card another name by a step of its own before this one")
		}
	}
	return steps.Diff{
		Action:  steps.Update,
		Changes: []steps.Change{{Attr: "name", From: a.Name, To: s.Name}},
		Before:  steps.MustJSON(adapterBefore{a.GUID, a.Name}),
		Via:     "netsh",
	}, nil
}

// Apply renames the connection.
func (s *Adapter) Apply(ctx context.Context, n node.Node, _ steps.Diff) (steps.Outcome, error) {
	a, err := inspect.AdapterByMAC(ctx, n, s.MAC)
	if err != nil {
		return steps.Outcome{}, err
	}
	return steps.Outcome{}, rename(ctx, n, a.Name, s.Name)
}

// Undo renames the connection back.
func (s *Adapter) Undo(ctx context.Context, n node.Node, before json.RawMessage) error {
	var b adapterBefore
	if err := decode(before, &b); err != nil {
		return err
	}
	a, err := cardForUndo(ctx, n, b.GUID)
	if err != nil || a.Name == b.Name {
		return err
	}
	return rename(ctx, n, a.Name, b.Name)
}

// rename does it by netsh on every release: WMI's NetConnectionID can be written, but
// Rename-NetAdapter is from 2012 only. netsh answers 0 or 1; the engine's second look is what
// proves the change.
func rename(ctx context.Context, n node.Node, from, to string) error {
	res, err := n.Run(ctx, node.Cmd{Argv: []string{"netsh.exe", "interface", "set", "interface", "name=" + from,
		"newname=" + to}})
	if err != nil {
		return fmt.Errorf("cannot rename connection %q: %w", from, err)
	}
	if res.Code != 0 {
		return fmt.Errorf("cannot rename connection %q to %q: %w", from, to,
			&node.CodeError{Op: "netsh interface set interface", Code: int64(res.Code),
				Text: strings.TrimSpace(string(res.Stdout))})
	}
	return nil
}
