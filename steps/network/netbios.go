package network

import (
	"context"
	"encoding/json"
	"fmt"

	"deploy/internal/node"
	"deploy/steps"
	"deploy/steps/inspect"
)

// Netbios sets NetBIOS over TCP/IP of a card.
type Netbios struct {
	MAC  string `json:"mac" required:"true" doc:"hardware address of the card" type:"mac" check:"compared"`
	Mode string `json:"mode" required:"true" enum:"default|enabled|disabled" doc:"default takes what DHCP says" check:"compared"`
}

// modes by the number that WMI and the registry share. Source:
// Win32_NetworkAdapterConfiguration.TcpipNetbiosOptions.
var modes = []string{"default", "enabled", "disabled"}

type netbiosBefore struct {
	GUID   string `json:"guid"`
	Option int64  `json:"option"`
	Absent bool   `json:"absent,omitempty"` // no registry value: the same as 0
}

func netbiosKind() steps.Kind {
	return steps.Kind{
		Name:    "network.netbios",
		OS:      "windows",
		Summary: "Switches NetBIOS over TCP/IP of a network card.",
		Doc: "On Windows. Finds the card by its hardware address. Where TCP/IP is enabled on it, WMI reads and sets the " +
			"option; " +
			"for a card that is unplugged or disabled, the registry value NetbiosOptions does.",
		Undo:  "Puts the recorded option back.",
		Proof: proof,
		Sources: []string{"Win32_NetworkAdapterConfiguration: SetTcpipNetbios",
			`HKLM\SYSTEM\CurrentControlSet\Services\NetBT\Parameters\Interfaces`},
		Calls: append(inspect.AdapterCalls(),
			node.Call{WMI: config, Method: "SetTcpipNetbios", Args: []string{"TcpipNetbiosOptions"},
				Props: []string{"SettingID"}, On: node.WindowsReleases()}),
		ReadForms: forms(),
		New:       func() steps.Step { return &Netbios{} },
		Example:   "mac: 00:15:5D:00:01:02\nmode: disabled\n",
	}
}

// Kind names the step.
func (s *Netbios) Kind() string { return "network.netbios" }

// Validate looks at the data.
// Reads names what Check will ask.
func (s *Netbios) Reads(f node.Facts) []node.Query { return inspect.AdapterReads(f) }

// Check compares the option.
func (s *Netbios) Check(ctx context.Context, r node.Reader) (steps.Diff, error) {
	if err := onlyWindows(r, "network.netbios"); err != nil {
		return steps.Diff{}, err
	}
	a, err := inspect.AdapterByMAC(ctx, r, s.MAC)
	if err != nil {
		return steps.Diff{}, err
	}
	b, err := option(ctx, r, a)
	if err != nil {
		return steps.Diff{}, err
	}
	if b.Option < 0 || b.Option >= int64(len(modes)) {
		return steps.Diff{}, fmt.Errorf("cannot tell NetBIOS of card %s: option %d is none of 0, 1, 2", a.MAC, b.Option)
	}
	if modes[b.Option] == s.Mode {
		return steps.NoChange(), nil
	}
	via := "WMI"
	if !a.IPEnabled {
		via = "registry"
	}
	return steps.Diff{
		Action: steps.Update, Changes: []steps.Change{{Attr: "mode", From: modes[b.Option], To: s.Mode}},
		Before: steps.MustJSON(b), Via: via, Effects: steps.Effects{MayReboot: true},
	}, nil
}

// Apply sets the option.
func (s *Netbios) Apply(ctx context.Context, n node.Node, _ steps.Diff) (steps.Outcome, error) {
	a, err := inspect.AdapterByMAC(ctx, n, s.MAC)
	if err != nil {
		return steps.Outcome{}, err
	}
	for i, m := range modes {
		if m == s.Mode {
			reboot, err := setOption(ctx, n, a, int64(i))
			return steps.Outcome{Reboot: reboot}, err
		}
	}
	return steps.Outcome{}, fmt.Errorf("cannot set NetBIOS to %q: no such mode", s.Mode)
}

// Undo puts the option back, through the registry or WMI as the card stands now.
func (s *Netbios) Undo(ctx context.Context, n node.Node, before json.RawMessage) error {
	var b netbiosBefore
	if err := decode(before, &b); err != nil {
		return err
	}
	a, err := cardForUndo(ctx, n, b.GUID)
	if err != nil {
		return err
	}
	now, err := option(ctx, n, a)
	if err != nil || now == b {
		return err
	}
	if b.Absent && !a.IPEnabled {
		if _, err := n.Do(ctx, node.RegistryDelete{Key: netbtKey(a.GUID), Name: "NetbiosOptions"}); err != nil {
			return fmt.Errorf("cannot clear NetBIOS of card %s: %w", a.MAC, err)
		}
		return nil
	}
	return due(setOption(ctx, n, a, b.Option))
}

func netbtKey(guid string) string {
	return `HKLM\SYSTEM\CurrentControlSet\Services\NetBT\Parameters\Interfaces\Tcpip_` + guid
}

// option reads the option of a card; where WMI has none, because TCP/IP is not enabled, the
// registry does and no value means 0.
func option(ctx context.Context, r node.Reader, a inspect.Adapter) (netbiosBefore, error) {
	if a.IPEnabled && a.HasNetbios {
		return netbiosBefore{GUID: a.GUID, Option: a.Netbios}, nil
	}
	v, found, err := inspect.RegistryValue(ctx, r, netbtKey(a.GUID), "NetbiosOptions")
	if err != nil {
		return netbiosBefore{}, err
	}
	n, isNumber := v.Data.(int64)
	if found && !isNumber {
		return netbiosBefore{}, fmt.Errorf("cannot tell NetBIOS of card %s: NetbiosOptions is not a number", a.MAC)
	}
	return netbiosBefore{GUID: a.GUID, Option: n, Absent: !found}, nil
}

func setOption(ctx context.Context, n node.Node, a inspect.Adapter, value int64) (reboot bool, err error) {
	if a.IPEnabled {
		return call(ctx, n, a.GUID, "SetTcpipNetbios", map[string]any{"TcpipNetbiosOptions": value})
	}
	if _, err := n.Do(ctx, node.RegistrySet{Key: netbtKey(a.GUID), Name: "NetbiosOptions", Type: "dword",
		Data: value}); err != nil {
		return false, fmt.Errorf("cannot set NetBIOS of card %s: %w", a.MAC, err)
	}
	return false, nil
}
